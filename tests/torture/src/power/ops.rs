//! What a program does to files and directories, one step at a time, as far as it matters to what a disk holds.
//!
//! Files and directories are told apart by a number and not by their names, which change.

use std::sync::Arc;

/// A file or a directory.
pub(crate) type NodeId = usize;

/// The directory that everything is below.
pub(crate) const ROOT: NodeId = 0;

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) dir: NodeId,
    pub(crate) name: String,
}

impl Place {
    pub(crate) fn new(dir: NodeId, name: impl Into<String>) -> Self {
        Self { dir, name: name.into() }
    }
}

/// One step.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// Bytes are written at an offset; a file that is shorter is filled up with zeros before.
    Write { file: NodeId, offset: usize, bytes: Arc<[u8]> },
    /// A file gets another size: its end is cut off, or it is filled up with zeros.
    Resize { file: NodeId, size: usize },
    /// A name for a file or a directory, new or not, in place of what had that name.
    Link { at: Place, node: NodeId },
    /// A name goes.
    Unlink { at: Place, node: NodeId },
    /// What has one name gets another instead, in place of what had that.
    Rename { from: Place, to: Place, node: NodeId },
    /// Two names change places.
    Exchange { from: Place, to: Place, nodes: (NodeId, NodeId) },
    /// fsync: what was done to the content of a file, or to the names in a directory, by steps before the one of
    /// this number is durable. Steps that another thread took while the fsync was under way are not.
    Sync { node: NodeId, before: usize },
}

/// What kind of thing a step changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Content,
    Name,
    /// Nothing: it syncs.
    Sync,
}

impl Op {
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Write { .. } | Self::Resize { .. } => Kind::Content,
            Self::Link { .. } | Self::Unlink { .. } | Self::Rename { .. } | Self::Exchange { .. } => {
                Kind::Name
            }
            Self::Sync { .. } => Kind::Sync,
        }
    }

    /// Whether syncing a file or a directory makes this step durable: the file that it changes, or the directory of
    /// the name. A rename is one step in two directories, and either will do.
    pub(crate) fn is_made_durable_by(&self, node: NodeId) -> bool {
        match self {
            Self::Write { file, .. } | Self::Resize { file, .. } => *file == node,
            Self::Link { at, .. } | Self::Unlink { at, .. } => at.dir == node,
            Self::Rename { from, to, .. } | Self::Exchange { from, to, .. } => {
                from.dir == node || to.dir == node
            }
            Self::Sync { .. } => false,
        }
    }
}
