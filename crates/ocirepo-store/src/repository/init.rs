//! Making a directory a repository.

use std::io;
use std::path::Path;

use super::layout::{self, OCI_LAYOUT, OCI_LAYOUT_CONTENT, State};
use super::{Config, History, INDEX, OCIREPO, Repository, Settings};
use crate::blob::BLOBS;
use crate::disk::{self, Dir, Owner};
use crate::error::{Error, Result};
use crate::index::Document;
use crate::index::place::NEXT;
use crate::name::RefPolicy;

/// How to make a repository. Fill it with `..InitOptions::default()`: any release may add fields.
#[derive(Debug, Clone, Copy, Default)]
pub struct InitOptions {
    /// The ref policy; `full` when not given.
    pub policy: Option<RefPolicy>,
    /// Whether blobs that lie around without index.json or oci-layout are taken over.
    pub adopt: bool,
}

/// What making a repository came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initialised {
    /// It is new.
    Created,
    /// It was one already; nothing was written.
    AlreadyThere,
    /// Blobs were taken over; so many of them are images, listed without names.
    Adopted {
        /// The number of entries in the new index.json.
        images: usize,
    },
}

impl Repository {
    /// Makes the directory `path` a repository, making the directory itself if need be. In a
    /// directory that is one, nothing is written.
    ///
    /// # Errors
    /// [`Error::Headless`] when there are blobs and `options.adopt` is not set, and when
    /// oci-layout is damaged.
    pub fn init(path: &Path, options: InitOptions, settings: Settings) -> Result<(Self, Initialised)> {
        disk::create_dirs(path)?;
        let repository = Self::open_dir(path, settings)?;
        let refuse_headless = |missing| Err(Error::Headless { path: path.to_owned(), missing });
        match layout::state(&repository.root)? {
            State::Layout => {
                // Whoever made it may have been killed before it was durable.
                repository.root.sync()?;
                return Ok((repository, Initialised::AlreadyThere));
            }
            State::Headless { missing } if !options.adopt => return refuse_headless(missing),
            State::Headless { .. } | State::Nothing { .. } => {}
        }
        let outcome = repository.complete(options)?;
        Ok((repository, outcome))
    }

    /// What [`Repository::init`] would do. Nothing is written.
    ///
    /// # Errors
    /// Those of [`Repository::init`], as far as they can be told.
    pub fn rehearse_init(path: &Path, options: InitOptions, settings: Settings) -> Result<Initialised> {
        if !path.exists() {
            return Ok(Initialised::Created);
        }
        let repository = Self::open_dir(path, settings)?;
        match layout::state(&repository.root)? {
            State::Layout => Ok(Initialised::AlreadyThere),
            State::Headless { missing } if !options.adopt => {
                Err(Error::Headless { path: path.to_owned(), missing })
            }
            State::Headless { missing: INDEX } => {
                Ok(Initialised::Adopted { images: super::adopt::find_images(&repository)?.entries().len() })
            }
            State::Headless { .. } => Ok(Initialised::Adopted { images: 0 }),
            State::Nothing { .. } => Ok(Initialised::Created),
        }
    }

    /// Whether a repository can begin at `path`: there is nothing, or an empty directory, or one in which
    /// [`Repository::init`] was killed before there was anything in it.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn can_begin(path: &Path) -> Result<bool> {
        let root = match Dir::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            opened => opened.map_err(|error| Error::io("open", path, error))?,
        };
        let names: Vec<String> = root.list()?.into_iter().map(|found| found.name).collect();
        let is_begun = names.iter().any(|name| name == OCIREPO)
            && names.iter().all(|name| [OCIREPO, BLOBS, OCI_LAYOUT].contains(&name.as_str()))
            && matches!(layout::state(&root)?, State::Nothing { .. });
        Ok(names.is_empty() || is_begun)
    }

    /// Writes what is missing, index.json last: until that is there, it is no repository.
    fn complete(&self, options: InitOptions) -> Result<Initialised> {
        let (own, owner) = self.ensure_own_dir()?;
        let _lock = self.lock_index()?;
        self.write_missing(&own, owner, options).inspect_err(|_| disk::clean_up(&own, NEXT))
    }

    fn write_missing(&self, own: &Dir, owner: Owner, options: InitOptions) -> Result<Initialised> {
        let state = layout::state(&self.root)?;
        if state == State::Layout {
            return Ok(Initialised::AlreadyThere);
        }
        if self.root.stat(INDEX)?.is_some() {
            // Only oci-layout is gone. An index.json that cannot be trusted stays untouched too.
            self.read_index()?;
        }
        self.blobs().ensure_dir("sha256", owner)?;
        if self.root.stat(OCI_LAYOUT)?.is_none() {
            disk::write_synced(own, NEXT, OCI_LAYOUT_CONTENT, owner)?;
            own.rename(NEXT, &self.root, OCI_LAYOUT)?;
        }
        let mut images = 0;
        if self.root.stat(INDEX)?.is_none() {
            let document = if matches!(state, State::Headless { .. }) {
                super::adopt::find_images(self)?
            } else {
                Document::empty()
            };
            images = document.entries().len();
            // Another policy than the one that is asked for is what a killed `init` has left.
            let recorded = Config::read(own)?.map(|config| config.policy);
            if recorded.is_none() || options.policy.is_some_and(|policy| Some(policy) != recorded) {
                Config::write(own, options.policy.unwrap_or_default(), owner)?;
            }
            let bytes = document.to_bytes();
            History::begin(own, &bytes, owner)?;
            disk::write_synced(own, NEXT, &bytes, owner)?;
            own.rename(NEXT, &self.root, INDEX)?;
        }
        own.sync()?;
        self.root.sync()?;
        tracing::debug!("{} is a repository, with its {BLOBS} directory", self.path().display());
        Ok(if matches!(state, State::Headless { .. }) {
            Initialised::Adopted { images }
        } else {
            Initialised::Created
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_init_leaves_room_for_another_and_other_files_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new");
        let can_begin = || Repository::can_begin(&path).unwrap();
        assert!(can_begin());
        std::fs::create_dir_all(path.join("blobs/sha256")).unwrap();
        assert!(!can_begin(), "another tool's");
        std::fs::create_dir(path.join(".ocirepo")).unwrap();
        std::fs::write(path.join("oci-layout"), OCI_LAYOUT_CONTENT).unwrap();
        assert!(can_begin());
        std::fs::write(path.join("notes"), "").unwrap();
        assert!(!can_begin(), "somebody's file");
        Dir::open(&path).unwrap().unlink("notes").unwrap();
        std::fs::write(path.join("blobs/sha256/blob"), "").unwrap();
        assert!(!can_begin(), "blobs");
    }

    #[test]
    fn the_policy_of_a_killed_init_does_not_stand_against_what_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let init = |policy| {
            let options = InitOptions { policy, adopt: false };
            let (repository, _) = Repository::init(dir.path(), options, Settings::default()).unwrap();
            repository.policy(&Document::empty()).unwrap()
        };
        let kill = || Dir::open(dir.path()).unwrap().unlink(INDEX).unwrap();
        assert_eq!(init(Some(RefPolicy::Tag)), RefPolicy::Tag);
        kill();
        assert_eq!(init(None), RefPolicy::Tag);
        kill();
        assert_eq!(init(Some(RefPolicy::Full)), RefPolicy::Full);
    }
}
