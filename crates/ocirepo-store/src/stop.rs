//! Ending a program that is told to, between two steps that belong together.
//!
//! A program that catches signals keeps a clone of the [`Stop`] in its [`crate::Settings`]. When it is
//! told to end, [`Stop::now`] waits for the change that is under way, if any, and lets no other begin:
//! the thread that wants to make one waits until the process is gone. Then [`Stopped::clean_up`]
//! removes what sessions have staged, which their own threads cannot do any more.
//!
//! Nothing depends on it: a kill leaves the old state or the new one as well, and staging that the
//! next writer removes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::disk;

/// Where a program can be stopped. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    held: usize,
    is_stopped: bool,
    has_changed: bool,
    temporary: Vec<PathBuf>,
}

/// While it lives, [`Stop::now`] waits.
#[derive(Debug)]
#[must_use = "it holds while it lives"]
pub struct Hold(Stop);

/// Nothing begins any more.
#[derive(Debug)]
#[must_use = "what was staged is still there"]
pub struct Stopped(Stop);

/// What is removed when the program is stopped, until this is dropped.
#[derive(Debug)]
pub(crate) struct Temporary(Stop, PathBuf);

impl Stop {
    /// Puts off the end until what begins now is done. Once stopped, it does not return.
    pub fn hold(&self) -> Hold {
        let mut state = self.state();
        while state.is_stopped {
            state = self.wait(state);
        }
        state.held += 1;
        Hold(self.clone())
    }

    /// Whether [`Stop::now`] would have to wait.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.state().held > 0
    }

    /// Remembers that something was changed for good.
    pub fn note_change(&self) {
        self.state().has_changed = true;
    }

    /// Waits until nothing is half done, and keeps everything else from beginning.
    pub fn now(&self) -> Stopped {
        let mut state = self.state();
        while state.held > 0 {
            state = self.wait(state);
        }
        state.is_stopped = true;
        Stopped(self.clone())
    }

    pub(crate) fn removes(&self, path: &Path) -> Temporary {
        self.state().temporary.push(path.to_owned());
        Temporary(self.clone(), path.to_owned())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.state().held -= 1;
        self.0.0.changed.notify_all();
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        self.0.state().temporary.retain(|path| *path != self.1);
    }
}

impl Stopped {
    /// Whether something was changed for good before.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.0.state().has_changed
    }

    /// Removes what was staged, and says whether all of it is gone. Other threads may still be at work
    /// in there, and fail for want of it.
    #[must_use]
    pub fn clean_up(self) -> bool {
        let paths = std::mem::take(&mut self.0.state().temporary);
        // A thread that writes may make a file while the others are removed.
        let remove = |path: &PathBuf| (0..100).any(|_| disk::remove_tree(path).is_ok());
        paths.iter().filter(|path| !remove(path)).count() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn what_is_under_way_is_waited_for_and_nothing_else_begins() {
        let stop = Stop::default();
        let hold = stop.hold();
        let (tell, told) = mpsc::channel();
        let ending = stop.clone();
        let ended = thread::spawn(move || {
            let stopped = ending.now();
            tell.send("stopped").unwrap();
            stopped.has_changed()
        });
        assert!(stop.is_held());
        told.recv_timeout(Duration::from_millis(50)).unwrap_err();
        stop.note_change();
        drop(hold);
        assert!(ended.join().unwrap());
        told.recv().unwrap();
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let _hold = stop.hold();
            tell.send("begun").unwrap();
        });
        told.recv_timeout(Duration::from_millis(50)).unwrap_err();
    }

    #[test]
    fn what_is_staged_goes_and_what_was_given_up_before_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let stop = Stop::default();
        let [staged, other] = ["staged", "other"].map(|name| dir.path().join(name));
        for path in [&staged, &other] {
            std::fs::create_dir(path).unwrap();
            std::fs::write(path.join("file"), "content").unwrap();
        }
        let _staged = stop.removes(&staged);
        drop(stop.removes(&other));
        assert!(stop.now().clean_up());
        assert!(!staged.exists() && other.exists());
    }
}
