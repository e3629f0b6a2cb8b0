//! One process of ocirepo, and what is done to it on its way: nothing, a kill, or a stop for a while.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ocirepo_tests::cli::{Ocirepo, Output, Running};

use super::history::Span;
use crate::outcome::Outcome;

/// Whoever needs longer hangs. Locks are waited for as long as it takes, so that nobody ends with exit code 6.
const TIME_LIMIT: Duration = Duration::from_secs(100);
const LOCK_TIMEOUT: &str = "90";

/// What is done to a process on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Runs,
    /// SIGKILL, so long after its start.
    Killed(Duration),
    /// SIGSTOP so long after its start, and SIGCONT so long after that.
    Stopped(Duration, Duration),
}

/// A process that is no more.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its words.
    pub(super) line: String,
    pub(super) span: Span,
    /// Its exit code; nothing if we killed it before its end.
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Ended {
    /// The whole of it, for people.
    pub(super) fn tell(&self) -> String {
        let code = self.code.map_or_else(|| "was killed".to_owned(), |code| format!("exit code {code}"));
        let tail = |text: &str| text.chars().take(800).collect::<String>();
        format!("`ocirepo {}`: {code}\n{}{}", self.line, tail(&self.stderr), tail(&self.stdout))
    }

    /// Stdout as JSON.
    pub(super) fn json(&self) -> Outcome<serde_json::Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("no JSON comes from {}", self.tell()))
    }
}

/// Runs a command to its end, or to the one it is given. An error is a process that hangs, or that dies of a signal
/// that nobody sent.
pub(super) fn run(ocirepo: &Ocirepo, args: &[String], fate: Fate) -> Outcome<Ended> {
    let words: Vec<&str> = args.iter().map(String::as_str).chain(["--lock-timeout", LOCK_TIMEOUT]).collect();
    let start = Instant::now();
    let running = ocirepo.spawn_command(ocirepo.command(&words).stdin(Stdio::null()));
    follow(running, args.join(" "), start, fate)
}

/// Runs a command under strace, as its options say, to its end or the one it is given, which is not a stop. What is
/// killed is the command; without strace, which looks after it, it would go on by itself.
pub(super) fn run_traced(
    ocirepo: &Ocirepo,
    strace: &Path,
    options: &[&str],
    args: &[String],
    fate: Fate,
) -> Outcome<Ended> {
    let words: Vec<&str> = args.iter().map(String::as_str).chain(["--lock-timeout", LOCK_TIMEOUT]).collect();
    let start = Instant::now();
    let mut running = ocirepo.spawn_traced(strace, options, &words);
    let mut was_killed = false;
    if let Fate::Killed(after) = fate
        && !ends_within(&mut running, after)
    {
        let list = format!("/proc/{0}/task/{0}/children", running.pid());
        for child in fs::read_to_string(list).unwrap_or_default().split_whitespace() {
            was_killed |= kill(Pid::from_raw(child.parse()?), Signal::SIGKILL).is_ok();
        }
    }
    let fate = if was_killed { Fate::Killed(TIME_LIMIT) } else { Fate::Runs };
    let ended = follow(running, args.join(" "), start, fate)?;
    // What strace makes of a kill differs.
    Ok(Ended { code: ended.code.filter(|_| !was_killed), ..ended })
}

/// Watches over a process that was started, and does to it what `fate` says.
pub(super) fn follow(mut running: Running, line: String, start: Instant, fate: Fate) -> Outcome<Ended> {
    let ended = |output: Output, killed: bool| {
        let span = Span { start, end: Instant::now() };
        let code = output.status.code();
        if code.is_none() && !killed {
            bail!("`ocirepo {line}` died of a signal ({})\n{}", output.status, output.stderr);
        }
        let Output { stdout, stderr, .. } = output;
        Ok(Ended { line: line.clone(), span, code, stdout, stderr })
    };
    match fate {
        Fate::Runs => {}
        Fate::Killed(after) => {
            if !ends_within(&mut running, after) {
                return ended(running.kill(), true);
            }
        }
        Fate::Stopped(after, pause) => {
            if !ends_within(&mut running, after) {
                signal(&running, Signal::SIGSTOP)?;
                thread::sleep(pause);
                signal(&running, Signal::SIGCONT)?;
            }
        }
    }
    if ends_within(&mut running, TIME_LIMIT) {
        return ended(running.wait(), matches!(fate, Fate::Killed(_)));
    }
    let output = running.kill();
    bail!("`ocirepo {line}` did not end within {} s\n{}", TIME_LIMIT.as_secs(), output.stderr)
}

/// Sends a signal to a child that was not waited for yet, so that its process ID is its own.
pub(super) fn signal(running: &Running, signal: Signal) -> Outcome<()> {
    let pid = Pid::from_raw(i32::try_from(running.pid())?);
    kill(pid, signal).with_context(|| format!("{signal} to process {pid}"))
}

/// Whether a process has ended before so much time has passed.
pub(super) fn ends_within(running: &mut Running, time: Duration) -> bool {
    let deadline = Instant::now() + time;
    let mut nap = Duration::from_micros(300);
    loop {
        if !running.is_running() {
            return true;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        thread::sleep(nap.min(left));
        nap = (nap * 2).min(Duration::from_millis(5));
    }
}
