//! Staging directories: `.ocirepo/tmp/<session>/`, each held by a lock on its `owner` file.
//!
//! The lock dies with its process, so a directory whose `owner` can be locked belongs to a dead
//! session. Directories are made and dead ones removed only under `index.lock`. The `owner` file is
//! locked before it is moved into its directory: those who look without `index.lock` see either no
//! owner, which tells them nothing, or a locked one.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use fs4::{FileExt, TryLockError};
use tempfile::TempDir;

use super::{Dir, Owner, Stat};
use crate::error::{Error, Result};
use crate::stop::{Stop, Temporary};

/// The file in a staging directory that says whose it is, and is locked while its session lives.
pub(crate) const OWNER_FILE: &str = "owner";

/// The same file beside the directory, while it is being locked. One at a time, under `index.lock`.
pub(crate) const NEW_OWNER_FILE: &str = "owner.new";

/// A private directory on the repository's file system, removed when dropped.
#[derive(Debug)]
pub(crate) struct StagingDir {
    dir: Dir,
    // Field order is drop order: the directory goes while the lock is still held.
    _temporary: TempDir,
    _stopping: Temporary,
    _owner_lock: Option<File>,
    owner: Owner,
    counter: AtomicU64,
}

impl StagingDir {
    /// Makes a staging directory below `parent`; the caller holds `index.lock`. A failure leaves nothing.
    pub(crate) fn create(parent: &Dir, description: &str, owner: Owner, stop: &Stop) -> Result<Self> {
        Self::make(parent, description, owner, stop).inspect_err(|_| super::clean_up(parent, NEW_OWNER_FILE))
    }

    fn make(parent: &Dir, description: &str, owner: Owner, stop: &Stop) -> Result<Self> {
        let fail = |action| move |error: io::Error| Error::io(action, parent.path(), error);
        let mut owner_lock = parent.create(NEW_OWNER_FILE, owner)?;
        let owner_path = || parent.path().join(NEW_OWNER_FILE);
        FileExt::try_lock(&owner_lock)
            .map_err(|error| Error::io("lock", owner_path(), io::Error::from(error)))?;
        owner_lock
            .write_all(description.as_bytes())
            .map_err(|error| Error::io("write", owner_path(), error))?;
        let temporary = tempfile::Builder::new()
            .prefix("session-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir_in(parent.path())
            .map_err(fail("create a staging directory in"))?;
        let stopping = stop.removes(temporary.path());
        // By its name in `parent`: what is on the path may have become a link meanwhile.
        let name = temporary.path().file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
        let opened = parent.open_own_dir(name)?.ok_or_else(|| io::ErrorKind::NotFound.into());
        let dir = opened.map_err(fail("open a staging directory in"))?;
        owner.give(dir.as_fd()).map_err(fail("set the owner of a staging directory in"))?;
        parent.rename(NEW_OWNER_FILE, &dir, OWNER_FILE)?;
        Ok(Self {
            dir,
            _temporary: temporary,
            _stopping: stopping,
            _owner_lock: Some(owner_lock),
            owner,
            counter: AtomicU64::new(0),
        })
    }

    /// Makes a directory below `parent`, which is no repository, for nobody but this process.
    pub(crate) fn create_apart(parent: &Path, stop: &Stop) -> Result<Self> {
        let fail = |error: io::Error| Error::io("create a temporary directory in", parent, error);
        let temporary = private_dir(parent).map_err(fail)?;
        let stopping = stop.removes(temporary.path());
        let dir = Dir::open(temporary.path()).map_err(fail)?;
        let owner = dir.owner()?;
        Ok(Self {
            dir,
            _temporary: temporary,
            _stopping: stopping,
            _owner_lock: None,
            owner,
            counter: AtomicU64::new(0),
        })
    }

    /// Creates a new file in here.
    pub(crate) fn create_file(&self) -> Result<(File, StagedFile)> {
        let staged = self.next_name();
        let file = self.dir.create(&staged.name, self.owner)?;
        Ok((file, staged))
    }

    fn next_name(&self) -> StagedFile {
        let name = format!("{:06}", self.counter.fetch_add(1, Ordering::Relaxed));
        StagedFile { name, path: self.dir.path().to_owned() }
    }

    /// Gives the file `name` of `dir` a second name in here; `None` where that is not to be had.
    pub(crate) fn link(&self, dir: &Dir, name: &str) -> Result<Option<StagedFile>> {
        let staged = self.next_name();
        Ok(dir.link(name, &self.dir, &staged.name)?.then_some(staged))
    }

    /// Moves a file of another staging directory in here.
    pub(crate) fn adopt(&self, other: &Self, staged: &StagedFile) -> Result<StagedFile> {
        let own = self.next_name();
        other.dir.rename(&staged.name, &self.dir, &own.name)?;
        Ok(own)
    }

    /// Opens a staged file for reading; `None` when it was published or discarded.
    pub(crate) fn open(&self, staged: &StagedFile) -> Result<Option<File>> {
        Ok(self.open_with_stat(staged)?.map(|(file, _)| file))
    }

    /// [`StagingDir::open`] with what `stat` says.
    pub(crate) fn open_with_stat(&self, staged: &StagedFile) -> Result<Option<(File, Stat)>> {
        self.dir.open_file(&staged.name)
    }

    /// Moves a staged file to `name` in `target`.
    pub(crate) fn publish(&self, staged: &StagedFile, target: &Dir, name: &str) -> Result<()> {
        self.dir.rename(&staged.name, target, name)
    }

    /// Removes a staged file that is not needed.
    pub(crate) fn discard(&self, staged: &StagedFile) -> Result<()> {
        self.dir.unlink(&staged.name).map(drop)
    }
}

/// A new directory below `parent`, such as that for the temporary files of all users: whatever the
/// umask, nobody else may look into it.
pub(crate) fn private_dir(parent: &Path) -> io::Result<TempDir> {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    tempfile::Builder::new().prefix("ocirepo-").permissions(mode).tempdir_in(parent)
}

/// A file in a staging directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StagedFile {
    name: String,
    path: PathBuf,
}

impl StagedFile {
    /// Where it is, for messages.
    pub(crate) fn path(&self) -> PathBuf {
        self.path.join(&self.name)
    }
}

/// Whether the session that made the staging directory `name` of `parent` is dead; `None` when that
/// cannot be told, because nobody owns it: it is just being made, or its maker was killed.
pub(crate) fn is_dead(parent: &Dir, name: &str) -> Result<Option<bool>> {
    let Some(dir) = parent.open_own_dir(name)? else { return Ok(Some(false)) };
    let Some(owner) = dir.open_lock(OWNER_FILE, None)? else { return Ok(None) };
    // Shared, so that those who look at the same time do not take each other for the owner.
    match FileExt::try_lock_shared(&owner) {
        Ok(()) => Ok(Some(true)),
        Err(TryLockError::WouldBlock) => Ok(Some(false)),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", dir.path().join(OWNER_FILE), error)),
    }
}

/// Removes `path`, a file or a directory with all below it, without following links. What is
/// already gone is fine.
#[expect(clippy::disallowed_methods, reason = "this is the module that may")]
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    let removed = match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => std::fs::remove_file(path),
        removed => removed,
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, error)),
        _ => Ok(()),
    }
}

/// Makes the directory `path` and those above it that are missing, durably. The last one that is
/// there may have been made by somebody who was killed before its name was durable.
pub(crate) fn create_dirs(path: &Path) -> Result<()> {
    let is_missing = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.exists();
    let missing = path.ancestors().take_while(is_missing).count();
    let mut dirs: Vec<&Path> = path.ancestors().take(missing + 1).collect();
    while let Some(dir) = dirs.pop() {
        std::fs::create_dir_all(dir).map_err(|error| Error::io("create", dir, error))?;
        sync_name(dir)?;
    }
    Ok(())
}

/// Makes the name of a directory durable.
fn sync_name(path: &Path) -> Result<()> {
    // `.` and `/` have no name that could be theirs to lose.
    if path.file_name().is_none() {
        return Ok(());
    }
    let parent = super::output::parent(path);
    match Dir::open(parent) {
        // Names can be made in a directory that may not be read; then it cannot be synced either.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        opened => opened.map_err(|error| Error::io("open", parent, error))?.sync(),
    }
}
