//! A repository: a directory that is an OCI image layout.
//!
//! [`Repository`] is the unlocked view, good for plain reading: index.json is replaced whole, so a
//! reader sees the old or the new. Whatever writes, or relies on blobs staying, asks for a lock and
//! works on the type it gets: [`Shared`], [`Exclusive`] or [`Reading`].

mod adopt;
mod config;
mod history;
mod init;
mod layout;
mod scratch;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

pub(crate) use config::Config;
pub(crate) use history::History;
pub use init::{InitOptions, Initialised};
pub(crate) use layout::INDEX;
pub use layout::OCI_LAYOUT_CONTENT;
pub use scratch::Scratch;

use crate::blob::{Blobs, VerifiedReader};
use crate::digest::Digest;
use crate::disk::{Dir, Owner};
use crate::error::{Error, Result};
use crate::graph::{Class, Documents, Loaded, Wanted};
use crate::hashing::WORTH_A_THREAD;
use crate::index::commit::Snapshot;
use crate::index::{Document, MAX_INDEX_SIZE};
use crate::lock::{self, Exclusive, IndexLock, Reading, Shared, Waiting};
use crate::name::{self, Found, Pattern, RefPolicy};
use crate::parallel::beside;
use crate::sabotage::Sabotage;
use crate::stop::Stop;

/// The directory for our own files.
const OCIREPO: &str = ".ocirepo";

/// How to work with a repository. Fill it with `..Settings::default()`: any release may add fields.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long to wait for locks, 60 s at first, and who is waiting.
    pub waiting: Waiting,
    /// How many threads to use for hashing and reading: at first as many as there are cores. 0 counts as 1.
    pub jobs: usize,
    /// Where a program that is told to end does so.
    pub stop: Stop,
}

impl Default for Settings {
    fn default() -> Self {
        let jobs = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self { waiting: Waiting::default(), jobs, stop: Stop::default() }
    }
}

/// An open repository.
#[derive(Debug)]
pub struct Repository {
    root: Arc<Dir>,
    blobs: Blobs,
    settings: Settings,
}

impl Repository {
    /// Opens the repository at `path`, made by whatever tool, without writing anything.
    ///
    /// # Errors
    /// [`Error::NotARepository`]; [`Error::Headless`] for blobs without index.json or oci-layout;
    /// [`Error::Damaged`] or [`Error::UnsupportedVersion`] for an oci-layout that cannot be trusted.
    pub fn open(path: &Path, settings: Settings) -> Result<Self> {
        let repository = Self::open_dir(path, settings)?;
        match layout::state(&repository.root)? {
            layout::State::Layout => Ok(repository),
            layout::State::Headless { missing } => Err(Error::Headless { path: path.to_owned(), missing }),
            layout::State::Nothing { missing: INDEX } => {
                Err(Error::NotARepository { path: path.to_owned(), reason: "there is no index.json" })
            }
            layout::State::Nothing { .. } => {
                Err(Error::NotARepository { path: path.to_owned(), reason: "there is no oci-layout" })
            }
        }
    }

    /// Opens the directory, whatever is in it.
    fn open_dir(path: &Path, settings: Settings) -> Result<Self> {
        let root = match Dir::open(path) {
            Ok(dir) => Arc::new(dir),
            Err(error) => {
                let reason = match error.kind() {
                    std::io::ErrorKind::NotFound => "there is no such directory",
                    std::io::ErrorKind::NotADirectory => "it is not a directory",
                    _ => return Err(Error::io("open", path, error)),
                };
                return Err(Error::NotARepository { path: path.to_owned(), reason });
            }
        };
        Ok(Self { blobs: Blobs::new(Arc::clone(&root)), root, settings })
    }

    /// The directory of the repository.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// How many threads this repository is worked on with.
    #[must_use]
    pub fn jobs(&self) -> usize {
        self.settings.jobs.max(1)
    }

    /// index.json as it is now.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it cannot be trusted as a whole.
    pub fn index(&self) -> Result<Document> {
        Ok(self.read_index()?.document)
    }

    /// Reads index.json and remembers what was read. Tools that write the file in place leave a
    /// moment in which half of it is there: what cannot be parsed is an error only once it has
    /// stopped changing, or goes on for longer than a lock is waited for.
    pub(crate) fn read_index(&self) -> Result<Snapshot> {
        self.read_index_beside(|| ()).map(|(snapshot, ())| snapshot)
    }

    /// [`Repository::read_index`], and `look` at what lies beside it while it is parsed: what is found is
    /// of a later moment than index.json.
    pub(crate) fn read_index_beside<R: Send>(&self, look: impl Fn() -> R + Sync) -> Result<(Snapshot, R)> {
        let mut seen: Option<Vec<u8>> = None;
        let start = Instant::now();
        loop {
            let (bytes, stat) = self
                .root
                .read(INDEX, MAX_INDEX_SIZE)?
                .ok_or_else(|| Error::Headless { path: self.path().to_owned(), missing: INDEX })?;
            let (reason, bytes) = match String::from_utf8(bytes).map(Arc::new) {
                Ok(text) => match self.beside_parsing(&text, &look) {
                    (found, Ok(document)) => {
                        return Ok((Snapshot { document, text, identity: stat.identity }, found));
                    }
                    (_, Err(reason)) => (reason, text.as_bytes().to_vec()),
                },
                Err(error) => ("it is not UTF-8".to_owned(), error.into_bytes()),
            };
            if Sabotage::BadIndexIsEmpty.is_on() {
                let text = Arc::new(String::from_utf8_lossy(&bytes).into_owned());
                let document = Document::empty();
                return Ok((Snapshot { document, text, identity: stat.identity }, look()));
            }
            if seen.as_ref() == Some(&bytes) {
                return Err(Error::Damaged { path: self.path().join(INDEX), reason });
            }
            if seen.is_some() && start.elapsed() >= self.waiting().timeout {
                return Err(Error::Contended { path: self.path().join(INDEX) });
            }
            seen = Some(bytes);
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    fn beside_parsing<R: Send>(
        &self,
        text: &Arc<String>,
        look: impl FnOnce() -> R + Send,
    ) -> (R, Result<Document, String>) {
        // Beside an index of that size there is much to see as well.
        let is_worth_it = self.jobs() > 1 && text.len() as u64 >= WORTH_A_THREAD;
        beside(is_worth_it, look, || Document::read(text, self.jobs()))
    }

    /// The ref policy: the recorded one, else what the names in `document` suggest.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn policy(&self, document: &Document) -> Result<RefPolicy> {
        Ok(self.config()?.map_or_else(|| RefPolicy::infer(document), |config| config.policy))
    }

    /// The ref policy as [`Repository::policy`] has it for index.json as it is now, which is read only
    /// if it has to be.
    ///
    /// # Errors
    /// Those of both.
    pub fn current_policy(&self) -> Result<RefPolicy> {
        match self.config()? {
            Some(config) => Ok(config.policy),
            None => Ok(RefPolicy::infer(&self.index()?)),
        }
    }

    pub(crate) fn config(&self) -> Result<Option<Config>> {
        match self.own_dir()?.map(|dir| Config::read(&dir)) {
            Some(Err(error)) if error.is_not_writable() => Ok(None),
            Some(read) => read,
            None => Ok(None),
        }
    }

    /// Finds the entries of `document` that `query` means; see [`name::resolve`].
    ///
    /// # Errors
    /// [`Error::NotFound`] and [`Error::Ambiguous`].
    pub fn resolve(&self, document: &Document, query: &str) -> Result<Found> {
        name::resolve(document, query, self.path())
    }

    /// Finds the entries of `document` whose names a pattern matches; see [`name::resolve_glob`].
    ///
    /// # Errors
    /// [`Error::NoMatch`].
    pub fn resolve_glob(&self, document: &Document, pattern: &Pattern) -> Result<Vec<usize>> {
        name::resolve_glob(document, pattern, self.path())
    }

    /// Opens a blob for reading; the reader proves size and digest when it is read to the end.
    ///
    /// # Errors
    /// [`Error::MissingBlob`], and [`Error::SizeMismatch`] when a size is given and is not that of
    /// the file.
    pub fn read_blob(&self, digest: &Digest, size: Option<u64>) -> Result<VerifiedReader<File>> {
        let (file, stat) =
            self.blobs.open(digest)?.ok_or_else(|| Error::MissingBlob { digest: digest.clone() })?;
        match size.filter(|&size| size != stat.size) {
            Some(expected) => Err(Error::SizeMismatch { digest: digest.clone(), expected, found: stat.size }),
            None => Ok(VerifiedReader::new(file, digest.clone(), stat.size)),
        }
    }

    /// The size of a blob in bytes; `None` when it is not there or is not a regular file.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn blob_size(&self, digest: &Digest) -> Result<Option<u64>> {
        Documents::blob_size(&self.blobs, digest)
    }

    /// Brings a document into memory, proven.
    #[must_use]
    pub fn load(&self, wanted: &Wanted<'_>) -> Loaded {
        Documents::load(&self.blobs, wanted)
    }

    /// The parsed document behind a descriptor, or what came instead.
    ///
    /// # Errors
    /// [`Error::MissingBlob`] and [`Error::BrokenManifest`].
    pub fn document(&self, descriptor: &crate::graph::Descriptor) -> Result<crate::graph::Node> {
        let digest = &descriptor.digest;
        let class = Class::of(&descriptor.media_type);
        let broken = |reason| Error::BrokenManifest { digest: digest.clone(), reason };
        let embedded = descriptor.data.as_deref();
        match self.load(&Wanted { digest, class, size: Some(descriptor.size), embedded }) {
            Loaded::Content(bytes) => crate::graph::Node::parse(&bytes, class).map_err(broken),
            Loaded::Data => crate::graph::Node::parse(b"", Class::Data).map_err(broken),
            Loaded::Missing => Err(Error::MissingBlob { digest: digest.clone() }),
            Loaded::Broken(reason) => Err(broken(reason)),
        }
    }

    /// Takes the lock under which blobs stay and index.json may be edited. Makes `.ocirepo/` on
    /// the first write to a repository.
    ///
    /// # Errors
    /// [`Error::LockTimeout`], and when nothing may be written here.
    pub fn lock_shared(&self) -> Result<Shared<'_>> {
        let (dir, owner) = self.own_dir_for_writing()?;
        lock::shared(self, &dir, owner)
    }

    /// Takes the lock under which blobs may be swept, waiting for everybody else to finish.
    ///
    /// # Errors
    /// [`Error::LockTimeout`], and when nothing may be written here.
    pub fn lock_exclusive(&self) -> Result<Exclusive<'_>> {
        let (dir, owner) = self.own_dir_for_writing()?;
        lock::exclusive(self, &dir, owner)
    }

    /// Keeps blobs from being swept while reading, where that is possible, and writes nothing.
    ///
    /// # Errors
    /// [`Error::LockTimeout`].
    pub fn lock_reading(&self) -> Result<Reading<'_>> {
        lock::reading(self, self.own_dir()?.as_ref())
    }

    /// Sees that something may be written here. Locks are no proof of that: whoever may only read can
    /// have them too.
    ///
    /// # Errors
    /// When nothing may be written, as on read-only media.
    pub fn check_writable(&self) -> Result<()> {
        match self.own_dir()? {
            Some(own) => own.check_writable(),
            None => self.root.check_writable(),
        }
    }

    /// `.ocirepo/`, made on the first write, unless index.json is such that nothing may be written.
    pub(crate) fn own_dir_for_writing(&self) -> Result<(Dir, Owner)> {
        if self.own_dir()?.is_none() {
            self.read_index()?;
        }
        self.ensure_own_dir()
    }

    pub(crate) fn lock_index(&self) -> Result<IndexLock> {
        let (dir, owner) = self.ensure_own_dir()?;
        lock::index(self, &dir, owner)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn stop(&self) -> &Stop {
        &self.settings.stop
    }

    pub(crate) fn waiting(&self) -> &Waiting {
        &self.settings.waiting
    }

    pub(crate) fn root(&self) -> &Dir {
        &self.root
    }

    pub(crate) fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// `.ocirepo/`, if there is one.
    pub(crate) fn own_dir(&self) -> Result<Option<Dir>> {
        match self.root.open_own_dir(OCIREPO) {
            // What may not be looked into holds nothing for us; those who write will hear of it.
            Err(error) if error.is_not_writable() => Ok(None),
            found => found,
        }
    }

    /// `.ocirepo/`, made durably if it is not there: what is on record in it is made durable later, and
    /// would be lost with it.
    pub(crate) fn ensure_own_dir(&self) -> Result<(Dir, Owner)> {
        let owner = self.root.owner()?;
        if let Some(dir) = self.root.open_own_dir(OCIREPO)? {
            return Ok((dir, owner));
        }
        let dir = self.root.ensure_own_dir(OCIREPO, owner)?;
        self.root.sync()?;
        Ok((dir, owner))
    }
}

impl Documents for Repository {
    fn load(&self, wanted: &Wanted<'_>) -> Loaded {
        self.blobs.load(wanted)
    }

    fn blob_size(&self, digest: &Digest) -> Result<Option<u64>> {
        self.blobs.blob_size(digest)
    }
}
