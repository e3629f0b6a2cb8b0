//! A program under ptrace: every system call of all its threads is seen before it happens and after, and can be
//! made to fail, or to be the last thing the program did.
//!
//! ptrace is bound to threads, so each run has a thread of its own that starts the program, and all calls to ptrace
//! come from there; any number of runs can go on beside each other. The program is started by a shell that waits
//! until it is traced; what counts begins with the program itself.

mod call;
mod process;
mod registers;
mod run;
#[cfg(test)]
mod tests;

use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;

pub(crate) use call::{Call, Name};
pub(crate) use process::Process;

use crate::outcome::Outcome;

/// How long a program may take that nobody disturbs.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(60);

/// What becomes of a call that is about to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It happens.
    Go,
    /// The program is killed, and the call does not happen.
    Kill,
    /// The call does not happen, and the program is told that it failed so.
    Fail(Errno),
}

/// Somebody who looks at every call.
pub(crate) trait Watcher: Send {
    /// A thread is about to make this call.
    fn enter(&mut self, call: &Call, process: &Process) -> Verdict;

    /// The call has returned that, an error as a negative number.
    fn exit(&mut self, _call: &Call, _result: i64, _process: &Process) {}
}

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Exit(i32),
    Signal(Signal),
}

/// How the program ended, and what it said.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) end: End,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The exit code, if the program ended by itself.
    pub(crate) fn code(&self) -> Option<i32> {
        match self.end {
            End::Exit(code) => Some(code),
            End::Signal(_) => None,
        }
    }

    /// Whether it was killed, by a verdict most likely.
    pub(crate) fn is_killed(&self) -> bool {
        self.end == End::Signal(Signal::SIGKILL)
    }
}

/// Runs the command to its end under the eyes of `watcher`. Program, arguments, directory and the variables that
/// were set are taken from it; the environment is otherwise empty, and so is stdin.
///
/// # Errors
/// When it cannot be started or traced, and when it does not end in time; then it is killed.
pub(crate) fn run(command: &Command, watcher: &mut dyn Watcher) -> Outcome<Ended> {
    run_within(command, watcher, TIME_LIMIT)
}

/// [`run()`] with another time limit.
pub(crate) fn run_within(command: &Command, watcher: &mut dyn Watcher, limit: Duration) -> Outcome<Ended> {
    run::run(command, watcher, limit)
}

/// Whether programs can be traced here, and if not, why not.
pub(crate) fn available() -> Result<(), String> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    ANSWER.get_or_init(probe).clone()
}

/// Traces a small program and has one of its calls fail.
fn probe() -> Result<(), String> {
    struct NoDirectory(bool);
    impl Watcher for NoDirectory {
        fn enter(&mut self, call: &Call, _: &Process) -> Verdict {
            let is_it = call.name == Name::Chdir;
            self.0 |= is_it;
            if is_it { Verdict::Fail(Errno::ENOTDIR) } else { Verdict::Go }
        }
    }
    if !registers::ARE_KNOWN {
        return Err(format!("programs cannot be traced on {}", std::env::consts::ARCH));
    }
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "cd / 2>/dev/null || exit 3; exit 4"]);
    let mut watcher = NoDirectory(false);
    let ended =
        run(&command, &mut watcher).map_err(|error| format!("programs cannot be traced here: {error:#}"))?;
    if watcher.0 && ended.code() == Some(3) {
        Ok(())
    } else {
        Err(format!("what programs do is not seen here: {ended:?}"))
    }
}
