//! Blobs: files named by their digest under `blobs/<algorithm>/<encoded>`.
//!
//! A blob is always a regular file of its own; a link or
//! anything else in its place is not a blob. `blobs` and `blobs/<algorithm>` themselves may be
//! links: some people keep them elsewhere.

mod list;
mod read;

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

pub use list::Stranger;
pub(crate) use list::{Listing, list};
pub(crate) use read::feed;
pub use read::{VerifiedReader, hash_file};

use crate::digest::Digest;
use crate::disk::{Dir, Owner, Stat};
use crate::error::Result;

/// The directory below a repository that holds its blobs.
pub(crate) const BLOBS: &str = "blobs";

/// The blobs of one repository.
#[derive(Debug)]
pub(crate) struct Blobs {
    root: Arc<Dir>,
    opened: Mutex<HashMap<String, Arc<Dir>>>,
}

impl Blobs {
    pub(crate) fn new(root: Arc<Dir>) -> Self {
        Self { root, opened: Mutex::new(HashMap::new()) }
    }

    /// The directory `blobs`, if there is one.
    pub(crate) fn top(&self) -> Result<Option<Dir>> {
        self.root.open_dir(BLOBS)
    }

    /// The directory of one algorithm, if there is one.
    pub(crate) fn dir(&self, algorithm: &str) -> Result<Option<Arc<Dir>>> {
        if let Some(dir) = self.opened().get(algorithm) {
            return Ok(Some(Arc::clone(dir)));
        }
        let Some(top) = self.top()? else { return Ok(None) };
        Ok(top.open_dir(algorithm)?.map(|dir| self.remember(algorithm, dir)))
    }

    /// The directory of one algorithm, made if it is not there. Its name is durable then, whoever
    /// made it; that of `blobs` is if it was made here, and else once the repository is synced.
    pub(crate) fn ensure_dir(&self, algorithm: &str, owner: Owner) -> Result<Arc<Dir>> {
        if let (Some(top), Some(dir)) = (self.top()?, self.dir(algorithm)?) {
            top.sync()?;
            return Ok(dir);
        }
        let top = self.root.ensure_dir(BLOBS, owner)?;
        let dir = top.ensure_dir(algorithm, owner)?;
        top.sync()?;
        self.root.sync()?;
        Ok(self.remember(algorithm, dir))
    }

    /// Opens a blob for reading; `None` when it is not there.
    pub(crate) fn open(&self, digest: &Digest) -> Result<Option<(File, Stat)>> {
        match self.dir(digest.algorithm_name())? {
            Some(dir) => dir.open_file(digest.encoded()),
            None => Ok(None),
        }
    }

    /// What stands in the place of a blob; `None` when nothing does.
    pub(crate) fn stat(&self, digest: &Digest) -> Result<Option<Stat>> {
        match self.dir(digest.algorithm_name())? {
            Some(dir) => dir.stat(digest.encoded()),
            None => Ok(None),
        }
    }

    /// Where a blob is or would be.
    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.root.path().join(BLOBS).join(digest.algorithm_name()).join(digest.encoded())
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Dir>>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, algorithm: &str, dir: Dir) -> Arc<Dir> {
        Arc::clone(self.opened().entry(algorithm.to_owned()).or_insert_with(|| Arc::new(dir)))
    }
}
