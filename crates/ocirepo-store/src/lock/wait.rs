//! Taking one lock: try, wait with short naps, give up at the deadline and say who holds it.

use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use fs4::{FileExt, TryLockError};

use super::holders;
use crate::disk::{Dir, Owner};
use crate::error::{Error, Result};
use crate::sabotage::Sabotage;

/// How long to wait for locks, and how this process introduces itself to others that wait. Fill it with
/// `..Waiting::default()`: any release may add fields.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Give up after this long; 60 s at first.
    pub timeout: Duration,
    /// What this process does, such as `add`; shown to those it keeps waiting.
    pub verb: String,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(60), verb: "ocirepo-store".to_owned() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Shared,
    Exclusive,
}

impl Mode {
    /// What it is to be, unless that is broken on purpose: a shared lock where nobody locks
    /// exclusively is none.
    pub(super) fn unless(self, sabotage: Sabotage) -> Self {
        if sabotage.is_on() { Self::Shared } else { self }
    }
}

/// The first nap; each is twice the last, up to [`SHORT_NAP`] while the wait may still be short,
/// which is what waiting for `index.lock` is, and up to [`LONG_NAP`] after that.
const FIRST_NAP: Duration = Duration::from_micros(100);
const SHORT_NAP: Duration = Duration::from_millis(1);
const LONG_NAP: Duration = Duration::from_millis(20);

/// After this long, whoever waits is told what for.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn acquire(dir: &Dir, name: &str, owner: Owner, mode: Mode, waiting: &Waiting) -> Result<File> {
    let file = dir
        .open_lock(name, Some(owner))?
        .ok_or_else(|| Error::io("open", dir.path().join(name), io::Error::from(io::ErrorKind::NotFound)))?;
    wait_for(dir, name, &file, mode, waiting)?;
    if mode == Mode::Exclusive {
        holders::sign(&file, waiting);
    }
    Ok(file)
}

/// A shared lock on a file that may not exist. A file that may not be opened, and a file system
/// without locks, count as no file.
pub(super) fn acquire_if_there(dir: &Dir, name: &str, waiting: &Waiting) -> Result<Option<File>> {
    let file = match dir.open_lock(name, None) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(None),
        Err(error) if error.is_not_writable() => return Ok(None),
        Err(error) => return Err(error),
    };
    match wait_for(dir, name, &file, Mode::Shared, waiting) {
        Ok(()) => Ok(Some(file)),
        Err(Error::LockUnsupported { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn wait_for(dir: &Dir, name: &str, file: &File, mode: Mode, waiting: &Waiting) -> Result<()> {
    let path = dir.path().join(name);
    let start = Instant::now();
    let mut nap = FIRST_NAP;
    let mut told = false;
    loop {
        let outcome = match mode {
            Mode::Shared => FileExt::try_lock_shared(file),
            Mode::Exclusive => FileExt::try_lock(file),
        };
        match outcome {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(TryLockError::Error(source)) => {
                let unsupported = rustix::io::Errno::from_io_error(&source).is_some_and(|errno| {
                    matches!(errno, rustix::io::Errno::NOTSUP | rustix::io::Errno::NOLCK)
                });
                return Err(if unsupported || source.kind() == io::ErrorKind::Unsupported {
                    Error::LockUnsupported { path, source }
                } else {
                    Error::io("lock", path, source)
                });
            }
        }
        let waited = start.elapsed();
        if waited >= waiting.timeout {
            return Err(Error::LockTimeout { holders: holders::of(file, dir), path, waited });
        }
        if waited >= PATIENCE && !told {
            told = true;
            let holders = holders::of(file, dir).join(", ");
            tracing::warn!("waiting for {}, held by {holders}", path.display());
        }
        std::thread::sleep(nap.min(waiting.timeout.saturating_sub(waited)));
        nap = (nap * 2).min(if waited < PATIENCE { SHORT_NAP } else { LONG_NAP });
    }
}
