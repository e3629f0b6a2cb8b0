//! An ingest: a session that brings blobs in and commits entries.
//!
//! Blobs are written into the session's private staging directory, hashed on the way, and are part
//! of nothing until [`Ingest::commit`]: that makes them durable, moves them to their names and
//! then replaces index.json, in that order (see `index::commit`). A session that is dropped or
//! killed before leaves the repository as it was; its staging goes with it, or is removed by the
//! next writer or by gc. Nothing at all is touched before the first blob is written.
//!
//! A session is used from several threads at once: everything but the commit takes `&self`.
//!
//! # Rehearsal
//! [`Reading::rehearse`] begins a session that finds out what another would do. It hashes and
//! counts what the other would write, its commit gives the same answer on index.json as it is now,
//! conflicts included, and the repository stays as it was. Only what has to be read again, because
//! it comes from a stream, is written: to staging, by [`Ingest::spool`], and dropped at the end.

mod commit;
mod copy;
mod debris;
mod heal;
mod staging;
mod writer;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use commit::Committed;
pub use copy::Copying;
pub(crate) use debris::{Debris, TMP, find_dead, remove_dead};
pub(crate) use staging::Staging;
pub use writer::BlobWriter;

use crate::digest::{Algorithm, Digest};
use crate::disk::{Kind, StagedFile, StagingDir};
use crate::error::{Error, Result};
use crate::layers::Fact;
use crate::lock::{Reading, Shared};
use crate::repository::Repository;
use crate::sabotage::Sabotage;

/// The disk is done with a smaller blob in no time, in bytes.
const WORTH_SYNCING: u64 = 1 << 20;

/// A blob in staging: complete, and named by the digest of what was written.
#[derive(Debug, Clone)]
pub struct Staged {
    digest: Digest,
    size: u64,
    /// Nothing in a rehearsal, which only counts.
    file: Option<StagedFile>,
}

impl Staged {
    /// The digest of what was written.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn file(&self) -> Option<&StagedFile> {
        self.file.as_ref()
    }

    fn path(&self) -> PathBuf {
        self.file.as_ref().map_or_else(PathBuf::new, StagedFile::path)
    }
}

/// How many blobs a session brought, and how many were there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Blobs that were not there.
    pub new: u64,
    /// Their size in bytes.
    pub new_bytes: u64,
    /// Blobs that were there at their right size.
    pub reused: u64,
    /// Their size in bytes.
    pub reused_bytes: u64,
}

#[derive(Debug, Default)]
struct State {
    kept: BTreeMap<Digest, Staged>,
    reused: HashMap<Digest, u64>,
    /// Those of `reused` that the commit has had synced. It may come by more than once.
    synced: HashSet<Digest>,
    /// Those of `kept` and `reused` whose names the commit has made durable.
    published: HashSet<Digest>,
    /// To be remembered once the session has ended well.
    facts: Vec<Fact>,
    /// In a session that heals, the only blobs of the repository that count as there.
    proven: Option<HashSet<Digest>>,
    /// Those of `kept` that a rehearsal would have put in place.
    placed: BTreeSet<Digest>,
}

/// A session that brings blobs in.
#[derive(Debug)]
#[must_use = "what it brings is dropped with it, unless it is committed"]
pub struct Ingest<'l> {
    repository: &'l Repository,
    staging: Staging<'l>,
    /// Whether documents can be read again in a rehearsal too.
    keeps_documents: bool,
    state: Mutex<State>,
}

impl Shared<'_> {
    /// Begins a session. Nothing is touched on the disk before it writes its first blob.
    ///
    /// # Errors
    /// None today.
    pub fn ingest(&self) -> Result<Ingest<'_>> {
        Ok(Ingest::new(self, None))
    }
}

impl Reading<'_> {
    /// Begins a session that only finds out what one begun by [`Shared::ingest`] would do. What has
    /// to be spooled goes into a directory below `spool`, such as the system's for temporary files,
    /// and nothing into the repository.
    pub fn rehearse(&self, spool: &Path) -> Ingest<'_> {
        Ingest::new(self, Some(spool.to_owned()))
    }
}

impl<'l> Ingest<'l> {
    /// The repository, for as long as the lock is held.
    pub(crate) const fn locked(&self) -> &'l Repository {
        self.repository
    }

    fn new(repository: &'l Repository, apart: Option<PathBuf>) -> Self {
        let staging = Staging::new(repository, apart);
        Self { repository, staging, keeps_documents: false, state: Mutex::default() }
    }
}

impl Ingest<'_> {
    /// The repository the session brings blobs to.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        self.repository
    }

    /// Whether this session only finds out what another would do.
    #[must_use]
    pub fn is_rehearsal(&self) -> bool {
        self.staging.is_rehearsal()
    }

    /// Has what comes in by [`Ingest::put_bytes`] and [`Ingest::put_as`] written in a rehearsal too,
    /// as [`Ingest::spool`] does it, so that it can be read again.
    pub fn keeping_documents(self) -> Self {
        Self { keeps_documents: true, ..self }
    }

    /// Whether a blob is there already, at its right size, in the repository or in this session.
    /// If so it is part of what the commit makes durable.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn has(&self, digest: &Digest, size: u64) -> Result<bool> {
        if self.state().kept.contains_key(digest) {
            return Ok(true);
        }
        let there = self.is_in_repository(digest, size)?;
        if there {
            self.state().reused.insert(digest.clone(), size);
        }
        Ok(there)
    }

    /// Begins a new blob in staging, to be named by its digest under `algorithm`. In a rehearsal
    /// the blob is only hashed and counted.
    ///
    /// # Errors
    /// When no file can be made.
    pub fn writer(&self, algorithm: Algorithm) -> Result<BlobWriter> {
        if self.is_rehearsal() { Ok(self.hasher(algorithm)) } else { self.spool(algorithm) }
    }

    /// Begins a blob that is only hashed and counted, in any session: a core that has nothing else to do
    /// helps with it as with those that are written.
    pub fn hasher(&self, algorithm: Algorithm) -> BlobWriter {
        BlobWriter::rehearsal(algorithm, self.staging.writers())
    }

    /// [`Ingest::writer`] for what has to be read again: there is a file in a rehearsal too.
    ///
    /// # Errors
    /// When no file can be made.
    pub fn spool(&self, algorithm: Algorithm) -> Result<BlobWriter> {
        self.staging.writer(algorithm)
    }

    /// Stages and keeps a blob that is in memory.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::sha256(bytes);
        self.put_as(&digest, bytes)?;
        Ok(digest)
    }

    /// [`Ingest::put_bytes`] under a digest of another algorithm.
    ///
    /// # Errors
    /// [`Error::Unverifiable`], [`Error::DigestMismatch`], and when it cannot be written.
    pub fn put_as(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        let algorithm = digest.algorithm().ok_or_else(|| Error::Unverifiable { digest: digest.clone() })?;
        if !self.has(digest, bytes.len() as u64)? {
            let mut writer =
                if self.keeps_documents { self.spool(algorithm)? } else { self.writer(algorithm)? };
            writer.push(bytes)?;
            self.keep(writer.finish_as(digest, bytes.len() as u64)?)?;
        }
        Ok(())
    }

    /// The size in bytes of a blob that is part of this session; `None` when it is not.
    #[must_use]
    pub fn kept_size(&self, digest: &Digest) -> Option<u64> {
        let state = self.state();
        state.kept.get(digest).map(Staged::size).or_else(|| state.reused.get(digest).copied())
    }

    /// Makes a staged blob part of what will be committed, and has it synced meanwhile. If the
    /// repository has it already, the staged copy is dropped. A rehearsal counts it.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn keep(&self, staged: Staged) -> Result<()> {
        let is_known = self.has(&staged.digest, staged.size)?;
        if self.is_rehearsal() {
            // What was spooled may be the only copy that can be read, so it stays in any case.
            if !is_known {
                self.state().kept.insert(staged.digest.clone(), staged);
            }
            return Ok(());
        }
        let unsynced = if is_known { None } else { Some((self.open(&staged)?, staged.path())) };
        let mut state = self.state();
        match (state.kept.get(&staged.digest), unsynced) {
            // A stream may hold one staged blob under several names.
            (Some(kept), _) if kept.file == staged.file => Ok(()),
            (None, Some((file, path))) => {
                state.kept.insert(staged.digest.clone(), staged);
                drop(state);
                self.staging.syncer().submit(file, path);
                Ok(())
            }
            _ => {
                drop(state);
                self.discard(&staged)
            }
        }
    }

    /// Has a large staged blob synced already while others are still to come. It is for blobs that
    /// will most likely be kept; one that is not has cost the disk some work.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn sync_soon(&self, staged: &Staged) -> Result<()> {
        if staged.size >= WORTH_SYNCING && !self.is_rehearsal() {
            self.staging.syncer().submit(self.open(staged)?, staged.path());
        }
        Ok(())
    }

    /// Drops a staged blob that is not needed.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn discard(&self, staged: &Staged) -> Result<()> {
        match (self.staging.made(), &staged.file) {
            (Some(staging), Some(file)) => staging.discard(file),
            _ => Ok(()),
        }
    }

    /// Moves a staged blob that was not kept to the staging of somebody else.
    pub(crate) fn give(&self, staged: Staged, to: &StagingDir) -> Result<Staged> {
        let (Some(staging), Some(file)) = (self.staging.made(), &staged.file) else {
            return Err(Error::NotStaged { digest: staged.digest });
        };
        let file = to.adopt(staging, file)?;
        Ok(Staged { file: Some(file), ..staged })
    }

    /// Reads a staged blob again. Of one that was dropped because the session or the repository has
    /// it already, that copy is read.
    ///
    /// # Errors
    /// [`Error::NotStaged`] in a rehearsal, unless the blob was spooled, and when the file cannot
    /// be opened.
    pub fn open(&self, staged: &Staged) -> Result<File> {
        let (Some(staging), Some(file)) = (self.staging.made(), &staged.file) else {
            return Err(Error::NotStaged { digest: staged.digest.clone() });
        };
        let twin = self.state().kept.get(&staged.digest).and_then(|kept| kept.file.clone());
        for file in std::iter::once(file).chain(&twin) {
            if let Some(file) = staging.open(file)? {
                return Ok(file);
            }
        }
        match self.repository.blobs().open(&staged.digest)? {
            Some((file, stat)) if stat.size == staged.size => Ok(file),
            _ => Err(Error::io("open", file.path(), io::Error::from(io::ErrorKind::NotFound))),
        }
    }

    /// The content of a blob that is part of this session, whether it is new or was there.
    ///
    /// # Errors
    /// [`Error::MissingBlob`], those of [`Ingest::open`], and when it cannot be opened.
    pub fn open_kept(&self, digest: &Digest) -> Result<File> {
        let kept = self.state().kept.get(digest).cloned();
        match kept {
            Some(staged) => self.open(&staged),
            None => match self.repository.blobs().open(digest)? {
                Some((file, _)) => Ok(file),
                None => Err(Error::MissingBlob { digest: digest.clone() }),
            },
        }
    }

    /// Has facts about layers recorded once the commit is done: see [`crate::layers`]. Whoever calls
    /// this has unpacked the blobs itself.
    pub fn remember(&self, facts: impl IntoIterator<Item = Fact>) {
        self.state().facts.extend(facts);
    }

    /// What has been kept so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let state = self.state();
        Counts {
            new: state.kept.len() as u64,
            new_bytes: state.kept.values().map(|staged| staged.size).sum(),
            reused: state.reused.len() as u64,
            reused_bytes: state.reused.values().sum(),
        }
    }

    /// Whether the repository has a blob at its right size. To a session that heals, only what was
    /// proven is there: see [`Shared::heal`].
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn is_in_repository(&self, digest: &Digest, size: u64) -> Result<bool> {
        if !self.may_count(digest) {
            return Ok(false);
        }
        let stat = self.repository.blobs().stat(digest)?;
        let fits = |found| found == size || Sabotage::TrustAnySize.is_on();
        Ok(stat.is_some_and(|stat| stat.kind == Kind::File && fits(stat.size)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
