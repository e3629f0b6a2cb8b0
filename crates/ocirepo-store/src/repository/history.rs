//! `.ocirepo/last-index`: which index.json files were ours.
//!
//! An index without entries over a store full of blobs is either the work of somebody who emptied
//! it, or a disaster. It is ours if its digest is on record here: the digests of the last two
//! index.json files that ocirepo wrote or was about to write, set before each rename, so that a
//! kill at any moment leaves a record that fits what is on the disk.

use crate::digest::Digest;
use crate::disk::{self, Dir, Owner};
use crate::error::Result;

const LAST_INDEX: &str = "last-index";

/// The digests of the last index.json files of ours, newest first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct History(Vec<Digest>);

impl History {
    /// Reads the record. One that cannot be read is no record: that only makes a sweep more careful.
    pub(crate) fn read(dir: Option<&Dir>) -> Self {
        let Some(Ok(Some((bytes, _)))) = dir.map(|dir| dir.read(LAST_INDEX, 4096)) else {
            return Self::default();
        };
        Self(String::from_utf8_lossy(&bytes).lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Whether the index.json with this content was written by ocirepo.
    pub(crate) fn knows(&self, index: &[u8]) -> bool {
        self.0.contains(&Digest::sha256(index))
    }

    /// Records an index.json that is about to replace `current`. If `current` is ours it stays on
    /// record: until the rename, it is what lies on the disk.
    pub(crate) fn announce(dir: &Dir, next: &[u8], current: Option<&[u8]>, owner: Owner) -> Result<()> {
        let known = Self::read(Some(dir));
        let mut digests = vec![Digest::sha256(next)];
        digests.extend(current.filter(|index| known.knows(index)).map(Digest::sha256));
        digests.dedup();
        let text: String = digests.iter().map(|digest| format!("{digest}\n")).collect();
        disk::replace(dir, LAST_INDEX, text.as_bytes(), owner)
    }
}
