//! Locks between processes: three permanent files in `.ocirepo/`, never renamed, never deleted.
//!
//! | file         | who takes it                                          | how                             |
//! |--------------|-------------------------------------------------------|---------------------------------|
//! | `gate`       | everybody, for a moment before `lock`                 | shared; a sweep: exclusive      |
//! | `lock`       | whoever writes index.json or relies on blobs staying  | shared; a sweep: exclusive      |
//! | `index.lock` | whoever reads, edits and replaces index.json          | exclusive, for milliseconds     |
//!
//! # Order
//! `gate`, then `lock`, then `index.lock`; nobody waits for an earlier one while holding a later
//! one. A sweep keeps the gate while it waits for `lock`, so new sessions queue behind it and the
//! sweep waits only for those that are already running: it never starves, and neither do they.
//!
//! # What is locked
//! `flock(2)` through a handle of our own: it dies with the process, so a killed program leaves
//! nothing to clean up, and two handles in one process exclude each other as well. A lock that was
//! granted is a value; dropping it releases it.
//!
//! # Limitations
//! Other tools do not take these locks. What they can still do, and what we do about it, is in the
//! pages of the index and of garbage collection. Network file systems need working `flock`.

pub(crate) mod holders;
mod wait;

use std::fs::File;
use std::ops::Deref;

use crate::disk::{Dir, Owner};
use crate::error::Result;
use crate::repository::Repository;
use crate::sabotage::Sabotage;
use crate::stop::Hold;
pub use wait::Waiting;
use wait::{Mode, acquire};

const GATE: &str = "gate";
const LOCK: &str = "lock";
const INDEX_LOCK: &str = "index.lock";

/// A repository in which no blob is swept while this value lives, so index.json may be written and
/// blobs may be relied upon. Many processes can have this at once.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct Shared<'r> {
    repository: &'r Repository,
    _lock: File,
}

/// A repository that nobody else writes to while this value lives: the right to sweep.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct Exclusive<'r> {
    repository: &'r Repository,
    _lock: File,
}

/// A repository whose blobs stay for a reader, as far as that can be had: on read-only media, and
/// in a repository that ocirepo never wrote to, there is no lock and reading goes on without.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct Reading<'r> {
    repository: &'r Repository,
    _lock: Option<File>,
}

/// The right to replace index.json. A program that is told to end waits for it: see [`crate::Stop`].
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub(crate) struct IndexLock {
    _lock: File,
    _hold: Hold,
}

impl Deref for Shared<'_> {
    type Target = Repository;
    fn deref(&self) -> &Repository {
        self.repository
    }
}

impl Deref for Exclusive<'_> {
    type Target = Repository;
    fn deref(&self) -> &Repository {
        self.repository
    }
}

impl Deref for Reading<'_> {
    type Target = Repository;
    fn deref(&self) -> &Repository {
        self.repository
    }
}

/// A lock under which index.json may be edited.
pub trait Writing: sealed::Sealed {
    /// The locked repository.
    fn repository(&self) -> &Repository;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Shared<'_> {}
    impl Sealed for super::Exclusive<'_> {}
}

impl Writing for Shared<'_> {
    fn repository(&self) -> &Repository {
        self.repository
    }
}

impl Writing for Exclusive<'_> {
    fn repository(&self) -> &Repository {
        self.repository
    }
}

pub(crate) fn shared<'r>(repository: &'r Repository, dir: &Dir, owner: Owner) -> Result<Shared<'r>> {
    let waiting = repository.waiting();
    let gate = acquire(dir, GATE, owner, Mode::Shared, waiting)?;
    let lock = acquire(dir, LOCK, owner, Mode::Shared, waiting)?;
    drop(gate);
    Ok(Shared { repository, _lock: lock })
}

pub(crate) fn exclusive<'r>(repository: &'r Repository, dir: &Dir, owner: Owner) -> Result<Exclusive<'r>> {
    let waiting = repository.waiting();
    let gate = acquire(dir, GATE, owner, Mode::Exclusive.unless(Sabotage::NoGate), waiting)?;
    let lock = acquire(dir, LOCK, owner, Mode::Exclusive.unless(Sabotage::SharedSweep), waiting)?;
    drop(gate);
    Ok(Exclusive { repository, _lock: lock })
}

pub(crate) fn index(repository: &Repository, dir: &Dir, owner: Owner) -> Result<IndexLock> {
    acquire(dir, INDEX_LOCK, owner, Mode::Exclusive.unless(Sabotage::NoIndexLock), repository.waiting())
        .map(|lock| IndexLock { _lock: lock, _hold: repository.stop().hold() })
}

/// `dir` is `.ocirepo/`, if there is one.
pub(crate) fn reading<'r>(repository: &'r Repository, dir: Option<&Dir>) -> Result<Reading<'r>> {
    let waiting = repository.waiting();
    let gate = dir.map(|dir| wait::acquire_if_there(dir, GATE, waiting)).transpose()?.flatten();
    let lock = dir.map(|dir| wait::acquire_if_there(dir, LOCK, waiting)).transpose()?.flatten();
    drop(gate);
    Ok(Reading { repository, _lock: lock })
}
