//! A repository for a moment: empty, for nobody but this process, and gone when it is dropped.
//!
//! Some questions can only be answered by an ingest, such as what an archive would become. This is
//! one to rehearse that in.

use std::io;
use std::ops::Deref;
use std::path::Path;

use tempfile::TempDir;

use super::{InitOptions, Repository, Settings};
use crate::disk;
use crate::error::{Error, Result};
use crate::stop::Temporary;

/// A repository that is removed when it is dropped.
#[derive(Debug)]
#[must_use = "the repository is removed when this is dropped"]
pub struct Scratch {
    repository: Repository,
    directory: TempDir,
    _stopping: Temporary,
}

impl Scratch {
    /// Makes an empty repository in a directory of its own below `parent`, such as the system's for
    /// temporary files.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn create(parent: &Path, settings: Settings) -> Result<Self> {
        let fail = |error: io::Error| Error::io("create a temporary directory in", parent, error);
        let directory = disk::private_dir(parent).map_err(fail)?;
        let stopping = settings.stop.removes(directory.path());
        let (repository, _) =
            Repository::init(&directory.path().join("empty"), InitOptions::default(), settings)?;
        Ok(Self { repository, directory, _stopping: stopping })
    }

    /// A directory for temporary files, which goes with the repository.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

impl Deref for Scratch {
    type Target = Repository;
    fn deref(&self) -> &Repository {
        &self.repository
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_it() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(parent.path(), Settings::default()).unwrap();
        assert!(scratch.index().unwrap().entries().is_empty());
        assert!(scratch.directory().starts_with(parent.path()));
        drop(scratch);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
