//! An ingest: a session that brings blobs in and commits entries.
//!
//! Blobs are written into the session's private staging directory, hashed on the way, and are part
//! of nothing until [`Ingest::commit`]: that makes them durable, moves them to their names and
//! then replaces index.json, in that order (see `index::commit`). A session that is dropped or
//! killed before leaves the repository as it was; its staging goes with it, or is removed by the
//! next writer or by gc.
//!
//! A session is used from several threads at once: everything but the commit takes `&self`.

mod debris;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use debris::{Debris, TMP, find_dead, remove_dead};
pub use writer::BlobWriter;

use crate::digest::{Algorithm, Digest};
use crate::disk::{Dir, Kind, Owner, StagedFile, StagingDir, Syncer};
use crate::error::{Error, Result};
use crate::index::commit::commit;
use crate::index::edit::{self, Put, PutOutcome};
use crate::lock::{Shared, holders};
use crate::repository::Repository;

/// A blob in staging: complete, and named by the digest of what was written.
#[derive(Debug, Clone)]
pub struct Staged {
    digest: Digest,
    size: u64,
    file: StagedFile,
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
}

/// How many blobs a session brought, and how many were there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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

/// What a commit did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// One outcome for each [`Put`], in order.
    pub puts: Vec<PutOutcome>,
    /// The blobs of the session.
    pub counts: Counts,
}

#[derive(Debug, Default)]
struct State {
    kept: BTreeMap<Digest, Staged>,
    reused: HashMap<Digest, u64>,
}

/// A session that brings blobs in.
#[derive(Debug)]
pub struct Ingest<'l> {
    repository: &'l Repository,
    // Declared before the staging directory: its threads end before the directory goes.
    syncer: Syncer,
    staging: StagingDir,
    owner: Owner,
    state: Mutex<State>,
}

impl Shared<'_> {
    /// Begins a session. What dead sessions left behind is removed on the way.
    ///
    /// # Errors
    /// When no staging directory can be made.
    pub fn ingest(&self) -> Result<Ingest<'_>> {
        let repository: &Repository = self;
        let (own, owner) = repository.ensure_own_dir()?;
        let _lock = repository.lock_index()?;
        let tmp = own.ensure_own_dir(TMP, owner)?;
        remove_dead(&tmp)?;
        let description = holders::describe_self(repository.waiting());
        let staging = StagingDir::create(&tmp, &description, owner)?;
        Ok(Ingest { repository, syncer: Syncer::new(), staging, owner, state: Mutex::default() })
    }
}

impl Ingest<'_> {
    /// The repository the session brings blobs to.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        self.repository
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

    /// Begins a new blob in staging, to be named by its digest under `algorithm`.
    ///
    /// # Errors
    /// When no file can be made.
    pub fn writer(&self, algorithm: Algorithm) -> Result<BlobWriter> {
        let (file, staged) = self.staging.create_file()?;
        Ok(BlobWriter::new(file, staged, algorithm))
    }

    /// Stages and keeps a blob that is in memory.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::sha256(bytes);
        if !self.has(&digest, bytes.len() as u64)? {
            let mut writer = self.writer(Algorithm::Sha256)?;
            writer.push(bytes)?;
            self.keep(writer.finish()?)?;
        }
        Ok(digest)
    }

    /// Makes a staged blob part of what will be committed, and has it synced meanwhile. If the
    /// repository has it already, the staged copy is dropped.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn keep(&self, staged: Staged) -> Result<()> {
        if self.has(&staged.digest, staged.size)? {
            // A stream may hold one staged blob under several names.
            return if self.state().kept.get(&staged.digest).is_some_and(|kept| kept.file == staged.file) {
                Ok(())
            } else {
                self.discard(&staged)
            };
        }
        let file = self.staging.open(&staged.file)?;
        let path = staged.file.path();
        let doubled = self.state().kept.insert(staged.digest.clone(), staged);
        self.syncer.submit(file, path);
        doubled.map_or(Ok(()), |doubled| self.discard(&doubled))
    }

    /// Drops a staged blob that is not needed.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn discard(&self, staged: &Staged) -> Result<()> {
        self.staging.discard(&staged.file)
    }

    /// Reads a staged blob again.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(&self, staged: &Staged) -> Result<File> {
        self.staging.open(&staged.file)
    }

    /// The content of a blob that is part of this session, whether it is new or was there.
    ///
    /// # Errors
    /// [`Error::MissingBlob`], and when it cannot be opened.
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

    /// Makes everything that was kept durable and puts the entries into index.json: all or nothing.
    ///
    /// # Errors
    /// [`Error::TagConflict`], [`Error::LockTimeout`], and when the file system refuses.
    pub fn commit(self, puts: &[Put]) -> Result<Committed> {
        let counts = self.counts();
        self.sync_reused()?;
        self.syncer.wait()?;
        let outcomes = commit(self.repository, &mut || self.publish(), &mut |document, policy| {
            edit::put_all(document, policy, puts)
        })?;
        Ok(Committed { puts: outcomes, counts })
    }

    /// Blobs that were there may have been written a moment ago by somebody who does not sync.
    fn sync_reused(&self) -> Result<()> {
        let reused: Vec<Digest> = self.state().reused.keys().cloned().collect();
        for digest in reused {
            let Some((file, _)) = self.repository.blobs().open(&digest)? else {
                return Err(Error::MissingBlob { digest });
            };
            self.syncer.submit(file, self.repository.blobs().path(&digest));
        }
        Ok(())
    }

    /// Moves every kept blob to its name, and makes the names durable.
    fn publish(&self) -> Result<()> {
        let state = self.state();
        let mut dirs: BTreeMap<String, Arc<Dir>> = BTreeMap::new();
        for digest in state.kept.keys().chain(state.reused.keys()) {
            let algorithm = digest.algorithm_name();
            if !dirs.contains_key(algorithm) {
                let dir = self.repository.blobs().ensure_dir(algorithm, self.owner)?;
                dirs.insert(algorithm.to_owned(), dir);
            }
        }
        for (digest, staged) in &state.kept {
            self.staging.publish(&staged.file, &dirs[digest.algorithm_name()], digest.encoded())?;
        }
        dirs.values().try_for_each(|dir| dir.sync())
    }

    fn is_in_repository(&self, digest: &Digest, size: u64) -> Result<bool> {
        let stat = self.repository.blobs().stat(digest)?;
        Ok(stat.is_some_and(|stat| stat.kind == Kind::File && stat.size == size))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
