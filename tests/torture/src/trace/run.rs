//! One program, from its first call to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::registers::Registers;
use super::{Call, End, Ended, Process, Verdict, Watcher};
use crate::outcome::Outcome;

/// Stops, and when it goes on becomes the program.
const START: &str = r#"kill -STOP $$; exec "$@""#;

/// Runs the command; see [`super::run()`].
pub(super) fn run(command: &Command, watcher: &mut dyn Watcher, limit: Duration) -> Outcome<Ended> {
    // What a program says goes into files, so that nobody has to drain it.
    let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let (begun, running) = mpsc::channel();
    // A thread of its own, since ptrace and wait go by threads; and what it traces ends with it.
    let (end, is_late) = thread::scope(|scope| {
        let tracing = scope.spawn(|| {
            let pid = start(command, &stdout, &stderr)?;
            let begun = begun;
            begun.send(pid)?;
            Tracer::new(pid, watcher).trace()
        });
        let is_late = end_in_time(&running, limit);
        (tracing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), is_late)
    });
    let (stdout, stderr) = (text(stdout)?, text(stderr)?);
    if is_late {
        bail!("it did not end within {} s\n{stdout}{stderr}", limit.as_secs_f32());
    }
    let end =
        end.with_context(|| format!("{} cannot be traced: {stderr}", command.get_program().display()))?;
    Ok(Ended { end, stdout, stderr })
}

/// Starts the shell that becomes the program, traced from there on.
fn start(command: &Command, stdout: &File, stderr: &File) -> Outcome<Pid> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", START, "sh"]).arg(command.get_program()).args(command.get_args());
    shell.env_clear().envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    if let Some(dir) = command.get_current_dir() {
        shell.current_dir(dir);
    }
    shell.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let mut shell = shell.spawn().context("/bin/sh cannot be started")?;
    let pid = Pid::from_raw(shell.id().try_into()?);
    let status = waitpid(pid, Some(WaitPidFlag::WUNTRACED)).context("wait")?;
    if !matches!(status, WaitStatus::Stopped(..)) {
        bail!("/bin/sh does not wait: {status:?}");
    }
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    if let Err(errno) = ptrace::seize(pid, options) {
        shell.kill()?;
        shell.wait()?;
        bail!("ptrace is not permitted: {errno}");
    }
    kill(pid, Signal::SIGCONT).context("SIGCONT")?;
    Ok(pid)
}

/// Waits until the other side of the channel goes. If that takes too long, kills the process that it named and
/// returns true.
fn end_in_time(running: &mpsc::Receiver<Pid>, limit: Duration) -> bool {
    let Ok(pid) = running.recv() else { return false };
    if running.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
        // It may just have ended.
        let _ = kill(pid, Signal::SIGKILL);
        return true;
    }
    false
}

fn text(mut file: File) -> Outcome<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A call that a thread is in.
struct Pending {
    call: Call,
    registers: Registers,
    failing: Option<Errno>,
}

/// The program while it runs.
struct Tracer<'a> {
    program: Pid,
    watcher: &'a mut dyn Watcher,
    /// Whether the shell has become the program.
    has_begun: bool,
    is_killed: bool,
    /// The program and what it started.
    processes: BTreeSet<Pid>,
    /// Threads that are in a call; `None` if its beginning was not seen.
    threads: BTreeMap<Pid, Option<Pending>>,
    end: Option<End>,
}

impl<'a> Tracer<'a> {
    fn new(program: Pid, watcher: &'a mut dyn Watcher) -> Self {
        let (processes, threads) = (BTreeSet::from([program]), BTreeMap::new());
        Self { program, watcher, has_begun: false, is_killed: false, processes, threads, end: None }
    }

    /// Goes on until the program and all that it started have ended.
    fn trace(mut self) -> Outcome<End> {
        // Only what this thread started or traces, as other runs have theirs.
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            match waitpid(None, Some(flags)) {
                Ok(status) => self.follow(status).or_else(unless_gone)?,
                Err(Errno::EINTR) => {}
                Err(Errno::ECHILD) => break,
                Err(errno) => return Err(errno).context("wait"),
            }
        }
        if !self.has_begun {
            bail!("it cannot be started");
        }
        self.end.context("nobody saw its end")
    }

    fn follow(&mut self, status: WaitStatus) -> nix::Result<()> {
        match status {
            WaitStatus::Exited(thread, code) => self.gone(thread, End::Exit(code)),
            WaitStatus::Signaled(thread, signal, _) => self.gone(thread, End::Signal(signal)),
            // What is still reported was on its way when it was killed.
            _ if self.is_killed => {}
            WaitStatus::PtraceSyscall(thread) => self.call(thread)?,
            WaitStatus::PtraceEvent(thread, _, event) => self.event(thread, event)?,
            WaitStatus::Stopped(thread, signal) => self.go_on(thread, Some(signal))?,
            WaitStatus::Continued(_) | WaitStatus::StillAlive => {}
        }
        Ok(())
    }

    fn gone(&mut self, thread: Pid, end: End) {
        self.threads.remove(&thread);
        self.processes.remove(&thread);
        if thread == self.program {
            self.end = Some(end);
            self.kill();
        }
    }

    /// The call at hand and all that come after it do not happen.
    fn kill(&mut self) {
        self.is_killed = true;
        for process in &self.processes {
            // It may have ended meanwhile.
            let _ = kill(*process, Signal::SIGKILL);
        }
    }

    fn event(&mut self, thread: Pid, event: i32) -> nix::Result<()> {
        match event {
            libc::PTRACE_EVENT_EXEC => {
                self.has_begun = true;
                // The exit of this call comes next.
                self.threads.entry(thread).or_insert(None);
            }
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK => {
                let process = ptrace::getevent(thread)?;
                self.processes.extend(i32::try_from(process).map(Pid::from_raw));
            }
            _ => {}
        }
        self.go_on(thread, None)
    }

    fn go_on(&self, thread: Pid, signal: Option<Signal>) -> nix::Result<()> {
        if self.has_begun { ptrace::syscall(thread, signal) } else { ptrace::cont(thread, signal) }
    }

    fn call(&mut self, thread: Pid) -> nix::Result<()> {
        match self.threads.remove(&thread) {
            None => self.enter(thread)?,
            Some(None) => {}
            Some(Some(pending)) => self.exit(thread, &pending)?,
        }
        if self.is_killed { Ok(()) } else { self.go_on(thread, None) }
    }

    fn enter(&mut self, thread: Pid) -> nix::Result<()> {
        let registers = Registers::of(thread)?;
        let call = Call::new(thread, &registers);
        let failing = match self.watcher.enter(&call, &Process::new(thread)) {
            Verdict::Go => None,
            Verdict::Fail(errno) => {
                registers.skip(thread)?;
                Some(errno)
            }
            Verdict::Kill => {
                self.kill();
                return Ok(());
            }
        };
        self.threads.insert(thread, Some(Pending { call, registers, failing }));
        Ok(())
    }

    fn exit(&mut self, thread: Pid, pending: &Pending) -> nix::Result<()> {
        let result = match pending.failing {
            None => Registers::of(thread)?.result(),
            Some(errno) => {
                pending.registers.fail(thread, errno)?;
                -i64::from(errno as i32)
            }
        };
        self.watcher.exit(&pending.call, result, &Process::new(thread));
        Ok(())
    }
}

/// A thread may be killed at any time, by another thread too; its end is reported next.
fn unless_gone(errno: Errno) -> Outcome<()> {
    if errno == Errno::ESRCH { Ok(()) } else { Err(errno).context("ptrace") }
}
