//! The blobs of a repository as they would be if what is only rehearsed had been done.
//!
//! A rehearsal of healing has good copies that it put nowhere; a rehearsal of moving aside has left
//! everything in its place. Whoever looks through this sees the ones there and the others gone.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;

use super::hash::State;
use crate::blob::{Blobs, Listing};
use crate::digest::Digest;
use crate::error::Result;
use crate::graph::{Documents, Loaded, MAX_MANIFEST_SIZE, Wanted};
use crate::ingest::Ingest;

/// The blobs as they would be.
pub(super) struct AsIf<'a> {
    blobs: &'a Blobs,
    session: Option<&'a Ingest<'a>>,
    /// What the session would have put in place, with sizes in bytes.
    placed: BTreeMap<Digest, u64>,
    aside: &'a BTreeSet<Digest>,
}

impl<'a> AsIf<'a> {
    pub(super) fn new(
        blobs: &'a Blobs,
        session: Option<&'a Ingest<'a>>,
        aside: &'a BTreeSet<Digest>,
    ) -> Self {
        let placed = session.map(Ingest::placed).into_iter().flatten().collect();
        Self { blobs, session, placed, aside }
    }

    /// What is seen of a blob whose place would be another; `None` for all others.
    fn state_of(&self, digest: &Digest) -> Option<State> {
        if self.aside.contains(digest) {
            return Some(State::default());
        }
        let size = self.placed.get(digest)?;
        Some(State { size: Some(*size), hashes_to: Some(digest.clone()), error: None })
    }

    /// Every blob whose place would be another, and what is seen of it.
    pub(super) fn states(&self) -> impl Iterator<Item = (Digest, State)> {
        let all: BTreeSet<&Digest> = self.placed.keys().chain(self.aside).collect();
        all.into_iter().filter_map(|digest| Some((digest.clone(), self.state_of(digest)?)))
    }

    /// Lists what would be there, given what is.
    pub(super) fn list(&self, mut listing: Listing) -> Listing {
        if !self.placed.is_empty() {
            let replaced: HashSet<PathBuf> =
                self.placed.keys().map(|digest| self.blobs.path(digest)).collect();
            listing.strangers.retain(|stranger| !replaced.contains(&stranger.path));
        }
        listing.blobs.retain(|digest| !self.placed.contains_key(digest) && !self.aside.contains(digest));
        listing.blobs.extend(self.placed.keys().cloned());
        listing
    }

    fn load_placed(&self, wanted: &Wanted<'_>, session: &Ingest<'_>, size: u64) -> Loaded {
        if size > MAX_MANIFEST_SIZE {
            // Nothing of it is read.
            return wanted.prove(size, std::io::empty());
        }
        match session.open_kept(wanted.digest) {
            Ok(file) => wanted.prove(size, file),
            Err(error) => Loaded::Broken(error.with_cause()),
        }
    }
}

impl Documents for AsIf<'_> {
    fn load(&self, wanted: &Wanted<'_>) -> Loaded {
        match (self.session, self.placed.get(wanted.digest)) {
            _ if self.aside.contains(wanted.digest) => wanted.absent(),
            (Some(session), Some(size)) => self.load_placed(wanted, session, *size),
            _ => self.blobs.load(wanted),
        }
    }

    fn blob_size(&self, digest: &Digest) -> Result<Option<u64>> {
        self.state_of(digest).map_or_else(|| self.blobs.blob_size(digest), |state| Ok(state.size))
    }
}
