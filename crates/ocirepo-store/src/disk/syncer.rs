//! fsync beside the work: files are handed over as soon as they are complete, and large ones while they
//! grow; one call at the end waits for all of them. Most of the waiting then overlaps with hashing.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use crate::error::{Error, Result};
use crate::sabotage::Sabotage;

/// fsync waits for the disk, not for a processor; a few at once let the disk merge them.
const THREADS: usize = 4;

/// How many files may wait; each is an open file.
const QUEUE: usize = 64;

/// So often, in bytes, the disk is told to begin with a file that grows. It has little to do at the end then,
/// when there is nothing else to do but to wait for it.
const GROWN: u64 = 16 << 20;

type Job = (File, PathBuf);

/// A small pool of threads that sync files.
#[derive(Debug)]
pub(crate) struct Syncer {
    pool: Mutex<Option<Pool>>,
}

#[derive(Debug)]
struct Pool {
    sender: mpsc::SyncSender<Job>,
    workers: Vec<JoinHandle<Result<()>>>,
}

impl Syncer {
    /// A pool that starts its threads with the first file.
    pub(crate) const fn new() -> Self {
        Self { pool: Mutex::new(None) }
    }

    /// Has `file` synced soon.
    pub(crate) fn submit(&self, file: File, path: PathBuf) {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = pool.get_or_insert_with(Pool::start);
        if let Err(mpsc::SendError((file, path))) = pool.sender.send((file, path)) {
            // Every worker has stopped at an error; wait() is about to report it.
            tracing::debug!(path = %path.display(), "not synced: the syncing threads have stopped");
            drop(file);
        }
    }

    /// Has what there is of a file synced, now and then while it grows: it had `before` bytes, and has `now`.
    /// At its end it has to be synced in any case, so where there can be no more open files, all is left to that.
    pub(crate) fn grows(&self, file: &File, path: impl FnOnce() -> PathBuf, before: u64, now: u64) {
        if before / GROWN < now / GROWN
            && let Ok(file) = file.try_clone()
        {
            self.submit(file, path());
        }
    }

    /// Waits until everything that was submitted is on the disk.
    ///
    /// # Errors
    /// The first fsync that failed. What was submitted must then be taken as lost.
    pub(crate) fn wait(&self) -> Result<()> {
        let Some(pool) = self.pool.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return Ok(());
        };
        drop(pool.sender);
        let results: Vec<_> = pool.workers.into_iter().map(JoinHandle::join).collect();
        for result in results {
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(())
    }
}

impl Pool {
    fn start() -> Self {
        let (sender, receiver) = mpsc::sync_channel::<Job>(QUEUE);
        let receiver = std::sync::Arc::new(Mutex::new(receiver));
        let workers = (0..THREADS)
            .map(|_| {
                let receiver = std::sync::Arc::clone(&receiver);
                std::thread::spawn(move || {
                    loop {
                        let job = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                        let Ok((file, path)) = job else { return Ok(()) };
                        if !Sabotage::NoBlobFsync.is_on() {
                            file.sync_all().map_err(|error| Error::io("sync", path, error))?;
                        }
                    }
                })
            })
            .collect();
        Self { sender, workers }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::fd::OwnedFd;

    use super::*;

    /// A pipe cannot be synced.
    #[test]
    fn a_file_that_could_not_be_synced_while_it_grew_is_told_of_at_the_end() {
        let (_reader, writer) = io::pipe().unwrap();
        let file = File::from(OwnedFd::from(writer));
        let syncer = Syncer::new();
        let grows = |before, now| syncer.grows(&file, || PathBuf::from("growing"), before, now);
        grows(0, GROWN - 1);
        grows(GROWN, 2 * GROWN - 1);
        assert!(syncer.wait().is_ok());
        grows(GROWN - 1, GROWN);
        grows(GROWN, GROWN + 1);
        assert!(matches!(syncer.wait(), Err(Error::Io { path, .. }) if path.ends_with("growing")));
    }
}
