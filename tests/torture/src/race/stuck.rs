//! Holders of locks that are stopped or die. While one is stopped, others end with exit code 6 within their time and
//! name it; when it goes on it ends well, and nothing is lost. When it dies, the lock is free at once.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::Signal;
use ocirepo_tests::chance::Chance;
use ocirepo_tests::cli::{Ocirepo, Running};

use super::field::Field;
use super::history::Span;
use super::judge::{Others, judge};
use super::names;
use super::process::{ends_within, signal};
use super::slow::SlowAdd;
use crate::outcome::Outcome;

/// How long others are told to wait, and how long they may take for that where all is slow.
const TIMEOUT: &str = "1";
const AT_MOST: Duration = Duration::from_secs(15);

/// A lock that is free is had at once, or almost, where all is slow.
const AT_ONCE: Duration = Duration::from_secs(10);

/// So often may a holder be too quick to be caught.
const TRIES: usize = 200;

/// Plays all of it once. The error is what was lost, or who was not told what they wait for.
pub(super) fn play(field: &Field<'_>, chance: &mut Chance, number: u64) -> Outcome<()> {
    let stuck = Stuck { field, ocirepo: &field.ocirepo, number };
    stuck.of_lock().context("an add that holds `lock`")?;
    let dies = chance.below(2) == 0;
    stuck.of_index_lock(dies).context("a tag that holds `index.lock`")?;
    stuck.of_sweep(!dies).context("a gc that holds `lock`")?;
    field.tally().count("rounds", 1);
    let lost = judge(&field.ocirepo, &field.names(), Others::None)?;
    ensure!(lost.is_empty(), "stuck round:\n- {}", lost.join("\n- "));
    Ok(())
}

struct Stuck<'f> {
    field: &'f Field<'f>,
    ocirepo: &'f Ocirepo,
    number: u64,
}

impl Stuck<'_> {
    /// An add in the middle of its archive is stopped and goes on; another one dies.
    fn of_lock(&self) -> Outcome<()> {
        let add = SlowAdd::start(self.ocirepo, self.number);
        self.until_kept_out(&add.running)?;
        signal(&add.running, Signal::SIGSTOP)?;
        self.expect_timeout(&["gc"], &add.running, "add")?;
        // It does not stand in the way of those who share the lock, nor of those who only look.
        self.tag(1)?;
        self.expect_well(&["ls"])?;
        signal(&add.running, Signal::SIGCONT)?;
        let (name, digest) = (add.name.clone(), add.digest.clone());
        let span = add.finish()?.span;
        self.field.names().wrote(&name, Some(digest), span, "an add that was stopped");
        self.field.tally().count("stops", 1);

        let add = SlowAdd::start(self.ocirepo, self.number + 1);
        self.until_kept_out(&add.running)?;
        let gc = self.ocirepo.spawn(&["gc", "--lock-timeout", "90"]);
        add.running.kill();
        self.field.tally().count("kills", 1);
        self.expect_at_once(gc, "gc")
    }

    /// A tag that is just replacing index.json.
    fn of_index_lock(&self, dies: bool) -> Outcome<()> {
        let name = names::fresh(10, self.number);
        let start = Instant::now();
        let holder = self.caught("index.lock", &["tag", &names::kept(0), &name])?;
        self.expect_timeout(&["rm", &names::kept(1)], &holder, "tag")?;
        self.expect_well(&["ls"])?;
        self.release(holder, dies, "tag")?;
        let span = Span { start, end: Instant::now() };
        let value = self.field.legal(&names::kept(0));
        let mut known = self.field.names();
        known.may_have_written(&name, value.clone(), span, "a tag that was stopped, and perhaps killed");
        if !dies && let Some(value) = value.into_iter().next() {
            known.wrote(&name, value, span, "a tag that was stopped");
        }
        drop(known);
        self.tag(2)
    }

    /// A gc that is at work.
    fn of_sweep(&self, dies: bool) -> Outcome<()> {
        let holder = self.caught("lock", &["gc"])?;
        let new = names::fresh(11, self.number);
        self.expect_timeout(&["tag", &names::kept(0), &new], &holder, "gc")?;
        self.expect_well(&["ls"])?;
        self.release(holder, dies, "gc")?;
        self.tag(3)
    }

    /// Lets a stopped holder go on, which ends well, or kills it. Others have the lock at once.
    fn release(&self, mut holder: Running, dies: bool, verb: &str) -> Outcome<()> {
        let words = ["rm", "docker.io/not/there:1", "--lock-timeout", "90"];
        let mut waiting = self.ocirepo.spawn(&words);
        ensure!(!ends_within(&mut waiting, Duration::from_millis(50)), "nobody waits for a stopped {verb}");
        if dies {
            self.field.tally().count("kills", 1);
            holder.kill();
        } else {
            self.field.tally().count("stops", 1);
            signal(&holder, Signal::SIGCONT)?;
            ensure!(ends_within(&mut holder, AT_MOST), "a {verb} that was stopped and went on does not end");
            let output = holder.wait();
            ensure!(
                output.status.success(),
                "a {verb} that was stopped: {}\n{}",
                output.status,
                output.stderr
            );
        }
        ensure!(
            ends_within(&mut waiting, AT_ONCE),
            "a lock is not free though its holder is gone: {words:?} waits"
        );
        let output = waiting.wait();
        ensure!(output.status.code() == Some(3), "{words:?}: {}\n{}", output.status, output.stderr);
        Ok(())
    }

    /// Starts a command again and again, until it was stopped while it held a lock alone.
    fn caught(&self, lock: &str, args: &[&str]) -> Outcome<Running> {
        let path = self.ocirepo.dir().join(".ocirepo").join(lock);
        for _ in 0..TRIES {
            let mut holder = self.ocirepo.spawn(&[args, &["--lock-timeout", "90"]].concat());
            self.field.tally().count("processes", 1);
            while holder.is_running() {
                if is_locked(&path)? {
                    signal(&holder, Signal::SIGSTOP)?;
                    // The signal takes a moment, in which it may have released the lock.
                    thread::sleep(Duration::from_millis(5));
                    if is_locked(&path)? && holder.is_running() {
                        return Ok(holder);
                    }
                    signal(&holder, Signal::SIGCONT)?;
                    break;
                }
                thread::sleep(Duration::from_micros(200));
            }
            let output = holder.wait();
            ensure!(output.status.success(), "{args:?}: {}\n{}", output.status, output.stderr);
        }
        bail!("{args:?} never held {lock} long enough to be stopped")
    }

    /// Asks until gc is kept out by that process.
    fn until_kept_out(&self, holder: &Running) -> Outcome<()> {
        let pid = format!("pid {}", holder.pid());
        let start = Instant::now();
        while start.elapsed() < AT_MOST {
            let output = self.ocirepo.run(&["gc", "--lock-timeout", "0"]);
            if output.status.code() == Some(6) && output.stderr.contains(&pid) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(5));
        }
        bail!("gc is not kept out by an add with {pid}")
    }

    fn expect_timeout(&self, args: &[&str], holder: &Running, verb: &str) -> Outcome<()> {
        let start = Instant::now();
        let output = self.ocirepo.run(&[args, &["--lock-timeout", TIMEOUT]].concat());
        let (waited, pid) = (start.elapsed(), format!("pid {}", holder.pid()));
        let said = &output.stderr;
        ensure!(
            output.status.code() == Some(6),
            "{args:?} beside a stopped {verb}: {}\n{said}",
            output.status
        );
        ensure!(
            said.contains(&pid) && said.contains(verb),
            "{args:?} does not name {pid} and {verb}:\n{said}"
        );
        ensure!(waited < AT_MOST, "{args:?} took {waited:?} though it was told to wait {TIMEOUT} s");
        Ok(())
    }

    fn expect_at_once(&self, mut running: Running, what: &str) -> Outcome<()> {
        ensure!(ends_within(&mut running, AT_ONCE), "{what} waits for a process that is dead");
        let output = running.wait();
        ensure!(output.status.success(), "{what}: {}\n{}", output.status, output.stderr);
        Ok(())
    }

    fn expect_well(&self, args: &[&str]) -> Outcome<()> {
        let output = self.ocirepo.run(args);
        ensure!(
            output.status.success(),
            "{args:?} beside a stopped process: {}\n{}",
            output.status,
            output.stderr
        );
        Ok(())
    }

    /// A tag that has to be there in the end.
    fn tag(&self, which: u64) -> Outcome<()> {
        let name = names::fresh(12, 10 * self.number + which);
        let start = Instant::now();
        self.expect_well(&["tag", &names::kept(0), &name])?;
        let value = self.field.legal(&names::kept(0)).into_iter().next().flatten();
        self.field.names().wrote(&name, value, Span { start, end: Instant::now() }, "a tag");
        Ok(())
    }
}

/// Whether somebody holds a lock alone.
fn is_locked(path: &Path) -> Outcome<bool> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}
