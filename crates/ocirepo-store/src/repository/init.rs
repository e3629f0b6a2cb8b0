//! Making a directory a repository.

use std::path::Path;

use super::layout::{self, OCI_LAYOUT, OCI_LAYOUT_CONTENT, State};
use super::{Config, History, INDEX, Repository, Settings};
use crate::blob::BLOBS;
use crate::disk;
use crate::error::{Error, Result};
use crate::index::Document;
use crate::index::place::NEXT;
use crate::name::RefPolicy;

/// How to make a repository.
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
            State::Layout => return Ok((repository, Initialised::AlreadyThere)),
            State::Headless { missing } if !options.adopt => return refuse_headless(missing),
            State::Headless { .. } | State::Nothing { .. } => {}
        }
        let outcome = repository.complete(options)?;
        Ok((repository, outcome))
    }

    /// Writes what is missing, index.json last: until that is there, it is no repository.
    fn complete(&self, options: InitOptions) -> Result<Initialised> {
        let (own, owner) = self.ensure_own_dir()?;
        let _lock = self.lock_index()?;
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
            disk::write_synced(&own, NEXT, OCI_LAYOUT_CONTENT, owner)?;
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
            if Config::read(&own)?.is_none() {
                Config::write(&own, options.policy.unwrap_or_default(), owner)?;
            }
            let bytes = document.to_bytes();
            History::announce(&own, &bytes, b"", b"", owner)?;
            disk::write_synced(&own, NEXT, &bytes, owner)?;
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
