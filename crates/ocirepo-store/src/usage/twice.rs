//! Layers that a repository holds twice: the same content, packed in several ways.

use std::collections::BTreeMap;
use std::io::Read;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::repository::Repository;

/// How a layer is packed, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// Not at all: its digest is the diffID.
    Plain,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
    /// Something else.
    Other,
}

impl Form {
    /// The form in a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Other => "other",
        }
    }
}

/// One of the blobs that unpack to the same content.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holding {
    /// The blob.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// How it is packed.
    pub form: Form,
}

/// A layer of which there are several blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldTwice {
    /// The digest of the content.
    pub diff_id: Digest,
    /// The blobs that unpack to it, smallest first.
    pub blobs: Vec<Holding>,
}

impl HeldTwice {
    /// What all but the smallest take, in bytes.
    #[must_use]
    pub fn spare(&self) -> u64 {
        self.blobs.iter().skip(1).map(|blob| blob.size).sum()
    }
}

/// Finds them among the blobs of a graph, whose sizes on the disk are `sizes`. Which blob unpacks to
/// what is known only of those that somebody has unpacked; a blob whose digest is a diffID is itself
/// that content.
pub(super) fn find(repository: &Repository, graph: &Graph, sizes: &[Option<u64>]) -> Result<Vec<HeldTwice>> {
    let facts = repository.layer_facts()?;
    let size_of = |digest: &Digest| sizes[graph.find(digest)?.number()];
    let mut contents: BTreeMap<&Digest, BTreeMap<&Digest, u64>> = BTreeMap::new();
    for fact in facts.iter().filter(|fact| size_of(&fact.blob) == Some(fact.size)) {
        let blobs = contents.entry(&fact.diff_id).or_default();
        blobs.insert(&fact.blob, fact.size);
        blobs.extend(size_of(&fact.diff_id).map(|size| (&fact.diff_id, size)));
    }
    contents.retain(|_, blobs| blobs.len() > 1);
    let held = contents.into_iter().map(|(diff_id, blobs)| {
        let holding = |(digest, size): (&Digest, u64)| {
            Ok(Holding { digest: digest.clone(), size, form: form(repository, digest, diff_id)? })
        };
        let mut blobs = blobs.into_iter().map(holding).collect::<Result<Vec<_>>>()?;
        blobs.sort_by_key(|blob| blob.size);
        Ok(HeldTwice { diff_id: diff_id.clone(), blobs })
    });
    held.collect()
}

fn form(repository: &Repository, blob: &Digest, diff_id: &Digest) -> Result<Form> {
    if blob == diff_id {
        return Ok(Form::Plain);
    }
    let Some((file, _)) = repository.blobs().open(blob)? else { return Ok(Form::Other) };
    let mut head = Vec::new();
    let read = file.take(4).read_to_end(&mut head);
    read.map_err(|error| Error::io("read", repository.blobs().path(blob), error))?;
    Ok(match head.as_slice() {
        [0x1f, 0x8b, ..] => Form::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd] => Form::Zstd,
        _ => Form::Other,
    })
}
