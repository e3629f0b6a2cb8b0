//! The staging directory of a session, made when the first blob needs it.
//!
//! Until then the session has touched nothing on the disk. When it makes its directory, it removes
//! what dead sessions left; a session that commits without ever needing one does so then. A
//! rehearsal has its directory elsewhere: it leaves the repository as it was.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::debris::{TMP, remove_dead};
use super::writer::{BlobWriter, Writers};
use crate::digest::Algorithm;
use crate::disk::{StagingDir, Syncer};
use crate::error::Result;
use crate::lock::holders;
use crate::repository::Repository;

#[derive(Debug)]
pub(crate) struct Staging<'l> {
    repository: &'l Repository,
    /// Where a rehearsal makes its directory.
    apart: Option<PathBuf>,
    /// Whether the session holds `index.lock`: taking it a second time would wait for ourselves.
    holds_index_lock: AtomicBool,
    /// Declared before the directory: the threads that sync end before it goes.
    writers: Arc<Writers>,
    made: OnceLock<StagingDir>,
    making: Mutex<()>,
}

impl<'l> Staging<'l> {
    pub(crate) fn new(repository: &'l Repository, apart: Option<PathBuf>) -> Self {
        let is_kept = apart.is_none();
        Self {
            repository,
            apart,
            holds_index_lock: AtomicBool::new(false),
            writers: Writers::new(repository.jobs(), is_kept),
            made: OnceLock::new(),
            making: Mutex::new(()),
        }
    }

    pub(crate) const fn is_rehearsal(&self) -> bool {
        self.apart.is_some()
    }

    /// From now on the session holds `index.lock`, to its end.
    pub(crate) fn index_lock_is_held(&self) {
        self.holds_index_lock.store(true, Ordering::Relaxed);
    }

    /// The directory, if any blob has needed it.
    pub(crate) fn made(&self) -> Option<&StagingDir> {
        self.made.get()
    }

    /// The directory, made now if need be.
    pub(crate) fn ensure(&self) -> Result<&StagingDir> {
        if let Some(dir) = self.made.get() {
            return Ok(dir);
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(dir) = self.made.get() {
            return Ok(dir);
        }
        let made = self.make()?;
        Ok(self.made.get_or_init(|| made))
    }

    /// Begins a blob in a file of the directory.
    pub(crate) fn writer(&self, algorithm: Algorithm) -> Result<BlobWriter> {
        Ok(BlobWriter::new(self.ensure()?.create_file()?, algorithm, &self.writers))
    }

    /// Syncs what comes in.
    pub(crate) fn syncer(&self) -> &Syncer {
        self.writers.syncer()
    }

    /// Those who write blobs that come in.
    pub(super) const fn writers(&self) -> &Arc<Writers> {
        &self.writers
    }

    fn make(&self) -> Result<StagingDir> {
        if let Some(apart) = &self.apart {
            return StagingDir::create_apart(apart, self.repository.stop());
        }
        let (own, owner) = self.repository.own_dir_for_writing()?;
        let _lock = if self.holds_index_lock.load(Ordering::Relaxed) {
            None
        } else {
            Some(self.repository.lock_index()?)
        };
        let tmp = own.ensure_own_dir(TMP, owner)?;
        remove_dead(&tmp)?;
        let description = holders::describe_self(self.repository.waiting());
        StagingDir::create(&tmp, &description, owner, self.repository.stop())
    }

    /// Removes what dead sessions left, unless that was done when the directory was made. The
    /// caller holds `index.lock`.
    pub(crate) fn clean_up_after_others(&self) -> Result<()> {
        if self.made.get().is_some() {
            return Ok(());
        }
        let Some(own) = self.repository.own_dir()? else { return Ok(()) };
        own.open_own_dir(TMP)?.map_or(Ok(()), |tmp| remove_dead(&tmp).map(drop))
    }
}
