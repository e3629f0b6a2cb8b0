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

/// What the line begins with that names what the newest index.json was made from.
const BASE: &str = "from ";

/// The digests of the last index.json files of ours, newest first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    ours: Vec<Digest>,
    base: Option<Digest>,
}

impl History {
    /// Reads the record. One that cannot be read is no record: that only makes a sweep more careful.
    pub(crate) fn read(dir: Option<&Dir>) -> Self {
        let Some(Ok(Some((bytes, _)))) = dir.map(|dir| dir.read(LAST_INDEX, 4096)) else {
            return Self::default();
        };
        let text = String::from_utf8_lossy(&bytes);
        let base = text.lines().find_map(|line| line.strip_prefix(BASE)?.parse().ok());
        Self { ours: text.lines().filter_map(|line| line.parse().ok()).collect(), base }
    }

    /// Whether the index.json with this content was written by ocirepo.
    pub(crate) fn knows(&self, index: &[u8]) -> bool {
        !self.ours.is_empty() && self.ours.contains(&Digest::sha256(index))
    }

    /// Whether the newest index.json was made from this content.
    pub(crate) fn is_base(&self, index: &[u8]) -> bool {
        self.base.as_ref().is_some_and(|base| base.proves(index))
    }

    /// Records the first index.json of a repository, which is made from nothing.
    pub(crate) fn begin(dir: &Dir, first: &[u8], owner: Owner) -> Result<()> {
        disk::replace(dir, LAST_INDEX, format!("{}\n", Digest::sha256(first)).as_bytes(), owner)
    }

    /// Records an index.json that is about to replace `current`, and was made from `base`. If
    /// `current` is ours it stays on record: until the rename, it is what lies on the disk.
    pub(crate) fn announce(
        dir: &Dir,
        next: Digest,
        current: Digest,
        base: &Digest,
        owner: Owner,
    ) -> Result<()> {
        let known = Self::read(Some(dir));
        let mut digests = vec![next];
        digests.extend(Some(current).filter(|digest| known.ours.contains(digest)));
        digests.dedup();
        let mut text: String = digests.iter().map(|digest| format!("{digest}\n")).collect();
        text.push_str(&format!("{BASE}{base}\n"));
        disk::replace(dir, LAST_INDEX, text.as_bytes(), owner)
    }
}
