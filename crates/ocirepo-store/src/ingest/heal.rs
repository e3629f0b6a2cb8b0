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

use super::{Ingest, Staged};
use crate::digest::Digest;
use crate::disk::Kind;
use crate::error::{Error, Result};
use crate::lock::Shared;

impl Shared<'_> {
    /// Begins a session that heals. No blob of the repository counts as there until
    /// [`Ingest::trust`] says so.
    pub fn heal(&self) -> Ingest<'_> {
        let ingest = Ingest::new(self, None);
        ingest.state().proven.get_or_insert_default();
        ingest
    }
}

impl Ingest<'_> {
    /// From now on these blobs count as there: somebody has hashed them, under the lock that is held.
    /// It means nothing to a session that does not heal.
    pub fn trust<'d>(&self, proven: impl IntoIterator<Item = &'d Digest>) {
        if let Some(known) = &mut self.state().proven {
            known.extend(proven.into_iter().cloned());
        }
    }

    /// Moves blobs that the session has kept to their names, whatever stands there, and makes that
    /// durable. They are not part of the session any more, and have to be proven to count as there.
    ///
    /// # Errors
    /// [`Error::NotStaged`] for one that was not kept, and when the file system refuses. What was moved
    /// until then is good.
    pub fn put_in_place(&self, digests: &[Digest]) -> Result<()> {
        self.syncer.wait()?;
        let mut blobs: Vec<(&Digest, Staged)> = Vec::with_capacity(digests.len());
        for digest in digests {
            let kept = self.state().kept.remove(digest).filter(|kept| kept.file.is_some());
            blobs.push((digest, kept.ok_or_else(|| Error::NotStaged { digest: digest.clone() })?));
        }
        self.repository.stop().note_change();
        self.name_blobs(blobs.iter().map(|(digest, staged)| (*digest, staged.file.as_ref())))
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

    #[test]
    fn a_session_that_heals_takes_for_granted_what_was_proven_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (repository, _) =
            Repository::init(dir.path(), InitOptions::default(), Settings::default()).unwrap();
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
}
