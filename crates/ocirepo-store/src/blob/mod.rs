//! Blobs: files named by their digest under `blobs/<algorithm>/<encoded>`.
//!
//! A blob is always a regular file of its own; a link or
//! anything else in its place is not a blob. `blobs` and `blobs/<algorithm>` themselves may be
//! links: some people keep them elsewhere.

mod list;
mod read;

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

pub use list::Stranger;
pub(crate) use list::{Listing, list};
pub use read::VerifiedReader;
pub(crate) use read::{feed, hash_file};

use crate::digest::{Algorithm, Digest};
use crate::disk::{Dir, Owner, Stat};
use crate::error::Result;

/// The directory below a repository that holds its blobs.
pub(crate) const BLOBS: &str = "blobs";

/// The blobs of one repository.
#[derive(Debug)]
pub(crate) struct Blobs {
    root: Arc<Dir>,
    /// The directories of [`Algorithm::ALL`], once they were needed. Others are opened each time.
    opened: [OnceLock<Arc<Dir>>; Algorithm::ALL.len()],
}

impl Blobs {
    pub(crate) fn new(root: Arc<Dir>) -> Self {
        Self { root, opened: Default::default() }
    }

    /// The directory `blobs`, if there is one.
    pub(crate) fn top(&self) -> Result<Option<Dir>> {
        self.root.open_dir(BLOBS)
    }

    /// The directory of one algorithm, if there is one.
    pub(crate) fn dir(&self, algorithm: &str) -> Result<Option<Arc<Dir>>> {
        if let Some(dir) = self.opened(algorithm) {
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
        self.look(digest, Dir::open_file)
    }

    /// What stands in the place of a blob; `None` when nothing does.
    pub(crate) fn stat(&self, digest: &Digest) -> Result<Option<Stat>> {
        self.look(digest, Dir::stat)
    }

    /// Looks for a blob. This is done for every blob by every thread: what they share is only read.
    fn look<R>(
        &self,
        digest: &Digest,
        look: impl FnOnce(&Dir, &str) -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        let (algorithm, name) = (digest.algorithm_name(), digest.encoded());
        if let Some(dir) = self.opened(algorithm) {
            return look(dir, name);
        }
        self.dir(algorithm)?.map_or(Ok(None), |dir| look(&dir, name))
    }

    /// Where a blob is or would be.
    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        self.root.path().join(BLOBS).join(digest.algorithm_name()).join(digest.encoded())
    }

    fn opened(&self, algorithm: &str) -> Option<&Arc<Dir>> {
        self.opened[Algorithm::from_name(algorithm)? as usize].get()
    }

    fn remember(&self, algorithm: &str, dir: Dir) -> Arc<Dir> {
        let dir = Arc::new(dir);
        match Algorithm::from_name(algorithm) {
            Some(known) => Arc::clone(self.opened[known as usize].get_or_init(|| dir)),
            None => dir,
        }
    }
}
