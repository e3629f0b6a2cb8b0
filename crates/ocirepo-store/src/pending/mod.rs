//! Bundles whose volumes have not all arrived: what came so far waits here, and nothing is lost.
//!
//! ```text
//! .ocirepo/pending/<id, in hex>/toc                      what the bundle says it is; opaque here
//! .ocirepo/pending/<id, in hex>/needs                    every blob it brings or requires, one a line
//! .ocirepo/pending/<id, in hex>/blobs/<algorithm>/<hex>  complete blobs that wait
//! .ocirepo/pending/<id, in hex>/parts/<algorithm>-<hex>.<n>   parts, from 1, of blobs larger than a volume
//! ```
//!
//! # What it promises
//! - A bundle is there with its table and its needs, or not at all: the directory is made in staging
//!   and moved to its name when it is complete and durable.
//! - What waits was proven by whoever staged it, and was durable before it got its name there. It is
//!   proven again when the bundle is completed; what is damaged can be taken away, for a good copy.
//! - Volumes may come from several processes at once, and twice. What one of them moved into the
//!   repository meanwhile is there for the other.
//! - gc keeps every blob that a pending bundle needs, and sweeps nothing while one cannot be read.
//!
//! # Order at the end
//! What waits is linked into a session, the session is committed, and only then the bundle is
//! removed here. A kill between leaves the bundle, which the next volume completes again.

mod damage;
mod record;
mod writing;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

pub use writing::{Pending, remove_pending};

use self::record::Record;
use crate::digest::{Algorithm, Digest};
use crate::disk::{Dir, Kind};
use crate::error::{Error, Result};
use crate::ingest::Ingest;
use crate::repository::Repository;

/// The directory below `.ocirepo/` that holds the pending bundles.
const PENDING: &str = "pending";
const BLOBS: &str = "blobs";
const PARTS: &str = "parts";

/// A bundle that waits for more of its volumes, as it can be read.
#[derive(Debug)]
pub struct PendingBundle {
    id: Digest,
    path: PathBuf,
    dir: Option<Dir>,
    record: Result<Record, String>,
}

impl Repository {
    /// Every bundle that waits for volumes, by id. Reads only, without a lock: one that is just being
    /// completed may be among them.
    ///
    /// # Errors
    /// When the directory cannot be read. A bundle that cannot be is in the list, and says so.
    pub fn pendings(&self) -> Result<Vec<PendingBundle>> {
        let Some(parent) = self.pending_dir()? else { return Ok(Vec::new()) };
        let mut bundles = Vec::new();
        for found in parent.list()? {
            // Another name is nothing that we made.
            let Ok(id) = Digest::from_parts(Algorithm::Sha256.name(), &found.name) else { continue };
            bundles.extend(PendingBundle::read(&parent, id)?);
        }
        bundles.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(bundles)
    }

    /// The pending bundle with that id, if there is one.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn pending(&self, id: &Digest) -> Result<Option<PendingBundle>> {
        name_of(id)?;
        self.pending_dir()?.map_or(Ok(None), |parent| PendingBundle::read(&parent, id.clone()))
    }

    fn pending_dir(&self) -> Result<Option<Dir>> {
        self.own_dir()?.map_or(Ok(None), |own| own.open_own_dir(PENDING))
    }
}

impl PendingBundle {
    /// Reads what is under the name of `id`; `None` when nothing is.
    fn read(parent: &Dir, id: Digest) -> Result<Option<Self>> {
        let name = name_of(&id)?;
        let path = parent.path().join(name);
        let (dir, record) = match parent.open_own_dir(name) {
            Ok(None) => return Ok(None),
            Ok(Some(dir)) => match Record::read(&dir) {
                Ok(record) => (Some(dir), Ok(record)),
                // It may have been completed and removed meanwhile.
                Err(_) if parent.stat(name)?.is_none() => return Ok(None),
                Err(reason) => (Some(dir), Err(reason)),
            },
            Err(error) => (None, Err(error.to_string())),
        };
        Ok(Some(Self { id, path, dir, record }))
    }

    /// What the bundle goes by.
    #[must_use]
    pub fn id(&self) -> &Digest {
        &self.id
    }

    /// Where it waits.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Its table of contents, as it was given.
    ///
    /// # Errors
    /// What is wrong, when the bundle cannot be read.
    pub fn toc(&self) -> Result<&[u8], &str> {
        self.record.as_ref().map(|record| record.toc.as_slice()).map_err(String::as_str)
    }

    /// Every blob that it brings or requires, with its size in bytes.
    ///
    /// # Errors
    /// What is wrong, when the bundle cannot be read.
    pub fn needs(&self) -> Result<&BTreeMap<Digest, u64>, &str> {
        self.record.as_ref().map(|record| &record.needs).map_err(String::as_str)
    }

    /// Whether a blob waits here, at its right size.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn has_blob(&self, digest: &Digest, size: u64) -> Result<bool> {
        self.has(&Place::Blob(digest.clone()), size)
    }

    /// Whether a part of a blob waits here, at its right size. Parts are numbered from 1.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn has_part(&self, digest: &Digest, number: u32, size: u64) -> Result<bool> {
        self.has(&Place::Part(digest.clone(), number), size)
    }

    /// Opens a blob that waits; `None` when it is not there.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn open_blob(&self, digest: &Digest) -> Result<Option<File>> {
        self.open(&Place::Blob(digest.clone()))
    }

    /// Opens a part that waits; `None` when it is not there.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn open_part(&self, digest: &Digest, number: u32) -> Result<Option<File>> {
        self.open(&Place::Part(digest.clone(), number))
    }

    /// The bytes of all blobs and parts that wait.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn bytes(&self) -> Result<u64> {
        let Some(dir) = &self.dir else { return Ok(0) };
        Ok(dir.bytes_in(BLOBS)? + dir.bytes_in(PARTS)?)
    }

    /// Makes a waiting blob part of what `ingest` will commit, proven once more: by a link, so that it
    /// stays here until the bundle is removed, or by a copy where the file system has no links. A blob
    /// that the repository has, whoever brought it, is left as it is.
    ///
    /// # Errors
    /// [`Error::MissingBlob`] when it is neither here nor there at its right size,
    /// [`Error::DigestMismatch`] when it was damaged since it came, and when the file system refuses.
    pub fn bring_into(&self, ingest: &Ingest<'_>, digest: &Digest, size: u64) -> Result<()> {
        if ingest.has(digest, size)? {
            return Ok(());
        }
        let taken = match self.dir_of(&Place::Blob(digest.clone()))? {
            Some(dir) => ingest.take_over(&dir, digest, size),
            None => Ok(false),
        };
        match taken {
            Ok(true) => Ok(()),
            // Where it is gone from here, another process has just completed the bundle.
            _ if ingest.has(digest, size)? => Ok(()),
            Ok(false) => Err(Error::MissingBlob { digest: digest.clone() }),
            Err(error) => Err(error),
        }
    }

    /// Makes a blob whose parts wait here part of what `ingest` will commit: joined, and proven as a
    /// whole. `sizes` are those of the parts, in their order.
    ///
    /// # Errors
    /// [`Error::MissingBlob`] when a part is not here at its right size,
    /// [`Error::DigestMismatch`] when together they are another blob, and when the file system
    /// refuses.
    pub fn join_into(&self, ingest: &Ingest<'_>, digest: &Digest, size: u64, sizes: &[u64]) -> Result<()> {
        if ingest.has(digest, size)? {
            return Ok(());
        }
        let algorithm = digest.algorithm().ok_or_else(|| Error::Unverifiable { digest: digest.clone() })?;
        // Where a part is gone, another process has just completed the bundle, or it never came.
        let gone = || match ingest.has(digest, size)? {
            true => Ok(()),
            false => Err(Error::MissingBlob { digest: digest.clone() }),
        };
        for (number, &expected) in (1..).zip(sizes) {
            if !self.has_part(digest, number, expected)? {
                return gone();
            }
        }
        let mut writer = ingest.writer(algorithm)?;
        // One at a time: there may be more parts than files that may be open.
        for (number, _) in (1..).zip(sizes) {
            let Some(mut part) = self.open_part(digest, number)? else { return gone() };
            std::io::copy(&mut part, &mut writer)
                .map_err(|error| Error::io("join the parts of a blob from", &self.path, error))?;
        }
        ingest.keep(writer.finish_as(digest, size)?)
    }

    fn has(&self, place: &Place, size: u64) -> Result<bool> {
        let Some(dir) = self.dir_of(place)? else { return Ok(false) };
        Ok(dir.stat(&place.name())?.is_some_and(|stat| stat.kind == Kind::File && stat.size == size))
    }

    fn open(&self, place: &Place) -> Result<Option<File>> {
        let Some(dir) = self.dir_of(place)? else { return Ok(None) };
        Ok(dir.open_file(&place.name())?.map(|(file, _)| file))
    }

    fn dir_of(&self, place: &Place) -> Result<Option<Dir>> {
        let mut dir = None;
        for name in place.dirs() {
            dir = match dir.as_ref().or(self.dir.as_ref()) {
                Some(dir) => dir.open_own_dir(name)?,
                None => None,
            };
            if dir.is_none() {
                break;
            }
        }
        Ok(dir)
    }
}

/// Where something waits below the directory of its bundle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Blob(Digest),
    Part(Digest, u32),
}

impl Place {
    fn digest(&self) -> &Digest {
        match self {
            Self::Blob(digest) | Self::Part(digest, _) => digest,
        }
    }

    fn dirs(&self) -> Vec<&str> {
        match self {
            Self::Blob(digest) => vec![BLOBS, digest.algorithm_name()],
            Self::Part(..) => vec![PARTS],
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Blob(digest) => digest.encoded().to_owned(),
            Self::Part(digest, number) => {
                format!("{}-{}.{number}", digest.algorithm_name(), digest.encoded())
            }
        }
    }
}

/// The name of the directory of a bundle.
///
/// # Errors
/// [`Error::Unverifiable`] for an id that is no sha256 digest: none of ours.
fn name_of(id: &Digest) -> Result<&str> {
    match id.algorithm() {
        Some(Algorithm::Sha256) => Ok(id.encoded()),
        _ => Err(Error::Unverifiable { digest: id.clone() }),
    }
}
