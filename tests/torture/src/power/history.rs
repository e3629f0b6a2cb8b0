//! What happened to a disk: how it was, every step since, and how it would be now if the power never failed.

use std::sync::Arc;

use super::disk::{Disk, Node};
use super::ops::{NodeId, Op, Place, ROOT};

/// Steps from a disk on that was all durable.
#[derive(Debug, Clone)]
pub(crate) struct History {
    /// The durable beginning. Things that come later are in it too, without a name.
    start: Disk,
    ops: Vec<Op>,
    now: Disk,
}

impl History {
    pub(crate) fn new(start: Disk) -> Self {
        Self { now: start.clone(), start, ops: Vec::new() }
    }

    pub(crate) const fn start(&self) -> &Disk {
        &self.start
    }

    pub(crate) fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The disk with every step taken.
    pub(crate) const fn now(&self) -> &Disk {
        &self.now
    }

    /// The same up to a step.
    pub(crate) fn until(&self, step: usize) -> Self {
        let mut history =
            Self { start: self.start.clone(), ops: self.ops[..step].to_vec(), now: self.start.clone() };
        for op in &history.ops {
            history.now.apply(op);
        }
        history
    }

    /// What a path leads to from a directory. There are no links.
    pub(crate) fn find(&self, from: NodeId, path: &str) -> Option<NodeId> {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        parts.try_fold(from, |dir, part| match part {
            "." => Some(dir),
            ".." => self.now.parent(dir),
            name => self.now.get(&Place::new(dir, name)),
        })
    }

    /// Whether a path goes up from the directory that everything is below.
    pub(crate) fn leads_out(&self, from: NodeId, path: &str) -> bool {
        let parts: Vec<&str> = path.split('/').collect();
        let ups = (0..parts.len()).filter(|at| parts[*at] == "..");
        ups.into_iter().any(|up| self.find(from, &parts[..up].join("/")) == Some(ROOT))
    }

    /// The place that a path means from a directory, whether anything is there or not.
    pub(crate) fn place(&self, from: NodeId, path: &str) -> Option<Place> {
        let path = path.trim_end_matches('/');
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dir = self.find(from, above)?;
        (!matches!(name, "" | "." | "..") && self.now.is_dir(dir)).then(|| Place::new(dir, name))
    }

    /// The path of something now, or where it was last, for messages.
    pub(crate) fn path(&self, node: NodeId) -> String {
        if node == ROOT {
            return ".".to_owned();
        }
        let named = self.ops.iter().rev().find_map(|op| match op {
            Op::Link { at, node: it } | Op::Rename { to: at, node: it, .. } if *it == node => {
                Some(at.clone())
            }
            Op::Exchange { to, nodes, .. } if nodes.0 == node => Some(to.clone()),
            Op::Exchange { from, nodes, .. } if nodes.1 == node => Some(from.clone()),
            _ => None,
        });
        let named = named.or_else(|| self.start.name_of(node));
        named.map_or_else(|| "a file without a name".to_owned(), |place| self.path_of(&place))
    }

    fn path_of(&self, place: &Place) -> String {
        if place.dir == ROOT {
            place.name.clone()
        } else {
            format!("{}/{}", self.path(place.dir), place.name)
        }
    }

    /// A step in words.
    pub(crate) fn describe(&self, step: usize) -> String {
        match &self.ops[step] {
            Op::Write { file, offset, bytes } => {
                format!("{} bytes at {offset} of {}", bytes.len(), self.path(*file))
            }
            Op::Resize { file, size } => format!("size {size} of {}", self.path(*file)),
            Op::Link { at, .. } => format!("new name {}", self.path_of(at)),
            Op::Unlink { at, .. } => format!("removal of {}", self.path_of(at)),
            Op::Rename { from, to, .. } => format!("rename {} -> {}", self.path_of(from), self.path_of(to)),
            Op::Exchange { from, to, .. } => {
                format!("exchange {} <-> {}", self.path_of(from), self.path_of(to))
            }
            Op::Sync { node, .. } => format!("fsync {}", self.path(*node)),
        }
    }

    /// A new file with a name.
    pub(crate) fn make_file(&mut self, at: Place) -> NodeId {
        self.make(at, Node::empty_file())
    }

    /// A new directory with a name.
    pub(crate) fn make_dir(&mut self, at: Place) -> NodeId {
        self.make(at, Node::empty_dir())
    }

    fn make(&mut self, at: Place, node: Node) -> NodeId {
        self.start.add(node.clone());
        let node = self.now.add(node);
        self.push(Op::Link { at, node });
        node
    }

    /// A second name.
    pub(crate) fn link(&mut self, from: &Place, at: Place) -> bool {
        let node = self.now.get(from);
        node.map(|node| self.push(Op::Link { at, node })).is_some()
    }

    pub(crate) fn write(&mut self, file: NodeId, offset: usize, bytes: &[u8]) {
        self.push(Op::Write { file, offset, bytes: Arc::from(bytes) });
    }

    pub(crate) fn resize(&mut self, file: NodeId, size: usize) {
        self.push(Op::Resize { file, size });
    }

    /// `false` when there is no such name.
    pub(crate) fn unlink(&mut self, at: Place) -> bool {
        let node = self.now.get(&at);
        node.map(|node| self.push(Op::Unlink { at, node })).is_some()
    }

    /// `false` when there is no such name.
    pub(crate) fn rename(&mut self, from: Place, to: Place) -> bool {
        let Some(node) = self.now.get(&from) else { return false };
        // Two names of one file: that does nothing.
        if self.now.get(&to) != Some(node) {
            self.push(Op::Rename { from, to, node });
        }
        true
    }

    /// `false` when there are no such names.
    pub(crate) fn exchange(&mut self, from: Place, to: Place) -> bool {
        let nodes = self.now.get(&from).zip(self.now.get(&to));
        nodes.map(|nodes| self.push(Op::Exchange { from, to, nodes })).is_some()
    }

    /// An fsync that began when there were so many steps.
    pub(crate) fn sync(&mut self, node: NodeId, before: usize) {
        self.push(Op::Sync { node, before });
    }

    fn push(&mut self, op: Op) {
        self.now.apply(&op);
        self.ops.push(op);
    }
}
