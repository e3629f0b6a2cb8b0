//! The members of an archive that is written: known, with their sizes, before the first byte.

use std::io;
use std::sync::Arc;

use ocirepo_store::Digest;

use super::tar::{self, Kind};
use crate::compress::Encoding;
use crate::import::layers::Compression;

/// A member, and where its content comes from.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: String,
    /// Its size in bytes.
    pub(super) size: u64,
    pub(super) source: Source,
}

/// Where the content of a member comes from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Folder,
    Link(String),
    /// Shared, because every volume has the same documents.
    Bytes(Arc<[u8]>),
    /// A blob as it is stored.
    Blob(Digest),
    /// A layer in another form than it is stored in.
    Layer(Layer),
    /// The same, before anybody knows how large it gets: its member has no size yet.
    Late(Layer),
    /// A piece of a blob that has `of` bytes, from `offset` on. Its pieces are written in their order.
    Part {
        blob: Digest,
        of: u64,
        offset: u64,
    },
    /// The checksums of what stands before.
    Sums,
}

/// A layer, and the form that it is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layer {
    /// Its blob.
    pub(super) blob: Digest,
    /// The size of the blob in bytes.
    pub(super) stored: u64,
    pub(super) compression: Compression,
    /// The digest of its uncompressed content.
    pub(super) diff_id: Digest,
    /// How it is to be compressed; `None` for not at all.
    pub(super) encoding: Option<Encoding>,
    /// How to call the image that it belongs to in messages.
    pub(super) image: String,
}

impl Member {
    pub(super) fn bytes(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self { name: name.into(), size: bytes.len() as u64, source: Source::Bytes(bytes.into()) }
    }

    pub(super) fn folder(name: impl Into<String>) -> Self {
        Self { name: name.into(), size: 0, source: Source::Folder }
    }

    pub(super) fn kind(&self) -> Kind<'_> {
        match &self.source {
            Source::Folder => Kind::Folder,
            Source::Link(target) => Kind::Link(target),
            Source::Bytes(_)
            | Source::Blob(_)
            | Source::Layer(_)
            | Source::Late(_)
            | Source::Part { .. }
            | Source::Sums => Kind::File(self.size),
        }
    }

    /// The blob that it is made of, if it is one.
    pub(super) fn blob(&self) -> Option<&Digest> {
        match &self.source {
            Source::Blob(digest) | Source::Part { blob: digest, .. } => Some(digest),
            Source::Layer(layer) | Source::Late(layer) => Some(&layer.blob),
            Source::Folder | Source::Link(_) | Source::Bytes(_) | Source::Sums => None,
        }
    }

    /// The layer that it is, if nobody knows how large that gets.
    pub(super) fn late(&self) -> Option<&Layer> {
        if let Source::Late(layer) = &self.source { Some(layer) } else { None }
    }

    /// How many bytes are read for its content: what is stored, in whatever form it is written.
    pub(super) fn read(&self) -> u64 {
        match &self.source {
            Source::Layer(layer) | Source::Late(layer) => layer.stored,
            _ => self.size,
        }
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self.kind(), Kind::File(_))
    }
}

/// How many bytes a member takes in the archive.
///
/// # Errors
/// When it cannot be written.
pub(super) fn size_in_archive(member: &Member) -> io::Result<u64> {
    tar::size_of(&member.name, member.kind())
}

/// The size of the whole archive in bytes.
///
/// # Errors
/// When a member cannot be written.
pub(super) fn archive_size(members: &[Member]) -> io::Result<u64> {
    let sizes = members.iter().map(size_in_archive);
    let members: u64 = sizes.sum::<io::Result<u64>>()?;
    Ok(members + tar::END.len() as u64)
}
