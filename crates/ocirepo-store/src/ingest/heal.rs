//! Healing: good copies of blobs into the places of bad ones.
//!
//! A session that heals takes no blob of the repository for granted that was not proven, so whoever
//! imports through it brings what an ordinary session would leave out. Nothing of what it keeps gets
//! into the repository by itself: [`Ingest::put_in_place`] moves the blobs that are asked for, and
//! only those, and index.json stays as it is.
//!
//! # Order
//! As for every blob: staged, proven (size, then digest), fsynced, renamed over what is there, and
//! the directory fsynced. A kill at any point leaves the bad blob or the good one, and staging that
//! the next writer removes.
//!
//! # Rehearsal
//! [`Reading::rehearse_healing`] begins a session that puts nothing in place, and of which
//! [`Verification::look_through`](crate::verify::Verification::look_through) sees what would be there
//! if it had. For that, documents are written to its staging, which is elsewhere.

use std::path::Path;

use super::{BlobWriter, Ingest, Staged};
use crate::digest::{Algorithm, Digest};
use crate::disk::Kind;
use crate::error::{Error, Result};
use crate::graph::MAX_MANIFEST_SIZE;
use crate::lock::{Reading, Shared};

impl Shared<'_> {
    /// Begins a session that heals. No blob of the repository counts as there until
    /// [`Ingest::trust`] says so.
    pub fn heal(&self) -> Ingest<'_> {
        healing(Ingest::new(self, None))
    }
}

impl Reading<'_> {
    /// Begins a session that only finds out what one begun by [`Shared::heal`] would do. What has to be
    /// read again goes into a directory below `spool`, such as the system's for temporary files.
    pub fn rehearse_healing(&self, spool: &Path) -> Ingest<'_> {
        healing(self.rehearse(spool).keeping_documents())
    }
}

fn healing(ingest: Ingest<'_>) -> Ingest<'_> {
    ingest.state().proven.get_or_insert_default();
    ingest
}

impl Ingest<'_> {
    /// From now on these blobs count as there: somebody has hashed them, under the lock that is held.
    /// It means nothing to a session that does not heal.
    pub fn trust<'d>(&self, proven: impl IntoIterator<Item = &'d Digest>) {
        if let Some(known) = &mut self.state().proven {
            known.extend(proven.into_iter().cloned());
        }
    }

    /// [`Ingest::writer`] for a blob of `size` bytes: when healing is rehearsed, what may be a document is
    /// written, because it may show that more is lost.
    ///
    /// # Errors
    /// When no file can be made.
    pub fn writer_of(&self, algorithm: Algorithm, size: u64) -> Result<BlobWriter> {
        let is_to_be_read = self.state().proven.is_some() && size <= MAX_MANIFEST_SIZE;
        if is_to_be_read { self.spool(algorithm) } else { self.writer(algorithm) }
    }

    /// Moves blobs that the session has kept to their names, whatever stands there, and makes that
    /// durable. They are not part of the session any more, and have to be proven to count as there. A
    /// rehearsal moves nothing: from then on they count as there.
    ///
    /// # Errors
    /// [`Error::NotStaged`] for one that was not kept, and when the file system refuses. What was moved
    /// until then is good.
    pub fn put_in_place(&self, digests: &[Digest]) -> Result<()> {
        if self.is_rehearsal() {
            return self.note_placed(digests);
        }
        self.staging.syncer().wait()?;
        let mut blobs: Vec<(&Digest, Staged)> = Vec::with_capacity(digests.len());
        for digest in digests {
            let kept = self.state().kept.remove(digest).filter(|kept| kept.file.is_some());
            blobs.push((digest, kept.ok_or_else(|| Error::NotStaged { digest: digest.clone() })?));
        }
        self.repository.stop().note_change();
        self.name_blobs(blobs.iter().map(|(digest, staged)| (*digest, staged.file.as_ref())))
    }

    fn note_placed(&self, digests: &[Digest]) -> Result<()> {
        let mut state = self.state();
        if let Some(digest) = digests.iter().find(|digest| !state.kept.contains_key(digest)) {
            return Err(Error::NotStaged { digest: digest.clone() });
        }
        state.placed.extend(digests.iter().cloned());
        Ok(())
    }

    /// What a rehearsal would have put in place, with sizes in bytes.
    pub(crate) fn placed(&self) -> Vec<(Digest, u64)> {
        let state = self.state();
        let placed = state.placed.iter().filter_map(|digest| state.kept.get(digest));
        placed.map(|kept| (kept.digest.clone(), kept.size)).collect()
    }

    /// Whether what lies under a digest in the repository may be taken for the blob.
    pub(super) fn may_count(&self, digest: &Digest) -> bool {
        let state = self.state();
        // What was placed is proven, but not what lies there for real.
        state.proven.as_ref().is_none_or(|proven| proven.contains(digest) && !state.placed.contains(digest))
    }

    /// Whether something stands in the place of a blob that no file can replace.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn is_blocked(&self, digest: &Digest) -> Result<bool> {
        Ok(self.repository.blobs().stat(digest)?.is_some_and(|stat| stat.kind == Kind::Directory))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InitOptions, Repository, Settings};

    fn new_repository() -> (tempfile::TempDir, Repository) {
        let dir = tempfile::tempdir().unwrap();
        let made = Repository::init(dir.path(), InitOptions::default(), Settings::default());
        (dir, made.unwrap().0)
    }

    #[test]
    fn a_session_that_heals_takes_for_granted_what_was_proven_and_nothing_else() {
        let (dir, repository) = new_repository();
        let lock = repository.lock_shared().unwrap();
        let (good, bad) = (Digest::sha256(b"good"), Digest::sha256(b"bad"));
        std::fs::create_dir_all(dir.path().join("blobs/sha256")).unwrap();
        for (digest, content) in [(&good, b"good".as_slice()), (&bad, b"b-d")] {
            std::fs::write(repository.blobs().path(digest), content).unwrap();
        }
        assert!(lock.ingest().unwrap().has(&bad, 3).unwrap());

        let ingest = lock.heal();
        assert!(!ingest.has(&bad, 3).unwrap() && !ingest.has(&good, 4).unwrap());
        ingest.trust([&good]);
        assert!(!ingest.has(&bad, 3).unwrap() && ingest.has(&good, 4).unwrap());
        let other = ingest.put_bytes(b"not wanted").unwrap();
        ingest.put_bytes(b"bad").unwrap();
        ingest.put_in_place(std::slice::from_ref(&bad)).unwrap();
        assert_eq!(std::fs::read(repository.blobs().path(&bad)).unwrap(), b"bad");
        assert!(!ingest.has(&bad, 3).unwrap(), "it has to be proven where it lies");
        assert!(matches!(ingest.put_in_place(&[bad]), Err(Error::NotStaged { .. })));
        drop(ingest);
        assert!(!repository.blobs().path(&other).exists());
        assert_eq!(std::fs::read_dir(dir.path().join(".ocirepo/tmp")).unwrap().count(), 0);
    }

    #[test]
    fn a_rehearsal_counts_what_it_would_have_put_in_place() {
        let (dir, repository) = new_repository();
        let bad = Digest::sha256(b"bad");
        std::fs::create_dir_all(dir.path().join("blobs/sha256")).unwrap();
        std::fs::write(repository.blobs().path(&bad), b"b-d").unwrap();
        let lock = repository.lock_reading().unwrap();
        let ingest = lock.rehearse_healing(&std::env::temp_dir());
        assert!(matches!(ingest.put_in_place(std::slice::from_ref(&bad)), Err(Error::NotStaged { .. })));
        let mut writer = ingest.writer_of(Algorithm::Sha256, 3).unwrap();
        writer.push(b"bad").unwrap();
        ingest.keep(writer.finish().unwrap()).unwrap();
        ingest.put_in_place(std::slice::from_ref(&bad)).unwrap();
        ingest.trust([&bad]);
        assert_eq!(ingest.placed(), [(bad.clone(), 3)]);
        assert!(ingest.has(&bad, 3).unwrap() && ingest.open_kept(&bad).is_ok());
        assert!(!ingest.is_in_repository(&bad, 3).unwrap(), "what lies there is the bad one");
        assert_eq!(std::fs::read(repository.blobs().path(&bad)).unwrap(), b"b-d");
    }
}
