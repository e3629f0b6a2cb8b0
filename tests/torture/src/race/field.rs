//! The place of one round: a repository, a second one to export to, and what everybody knows of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::descriptor::full_named;
use ocirepo_tests::layout::Layout;

use super::history::{History, Span, Value};
use super::names;
use super::pool::Pool;
use super::process::{Ended, Fate, run, run_traced};
use crate::outcome::{Outcome, Tally};

/// The place of one round.
#[derive(Debug)]
pub(super) struct Field<'p> {
    pub(super) pool: &'p Pool,
    /// Where the round happens.
    pub(super) ocirepo: Ocirepo,
    /// Where exports go to.
    pub(super) second: Ocirepo,
    names: Mutex<History>,
    second_names: Mutex<History>,
    tally: Mutex<Tally>,
    running: Mutex<BTreeMap<u64, Instant>>,
    started: AtomicU64,
    kills: AtomicU64,
    is_over: AtomicBool,
    end: Instant,
}

impl<'p> Field<'p> {
    /// A new repository with `kept` names of one image, which all stay, and an empty second one.
    pub(super) fn new(
        base: &Ocirepo,
        name: &str,
        pool: &'p Pool,
        kept: usize,
        time: Duration,
    ) -> Outcome<Self> {
        let ocirepo = base.in_dir(base.scratch(name));
        let second = base.in_dir(base.scratch(&format!("{name}-second")));
        let mut layout = Layout::create(ocirepo.dir());
        let image = &pool.samples[0].image;
        layout.blobs_of(image.blobs());
        (0..kept).for_each(|number| {
            layout.entry(full_named(image.descriptor(), &names::kept(number)));
        });
        layout.write_index();
        fs::create_dir(second.dir()).context("a directory for the second repository")?;
        let init = second.run(&["init"]);
        ensure!(init.status.success(), "init: {}", init.stderr);
        let mut names = History::default();
        let now = Instant::now();
        for number in 0..kept {
            let there = Some(image.digest().to_owned());
            names.wrote(&names::kept(number), there, Span { start: now, end: now }, "it was there first");
        }
        Ok(Self {
            pool,
            ocirepo,
            second,
            names: Mutex::new(names),
            second_names: Mutex::default(),
            tally: Mutex::default(),
            running: Mutex::default(),
            started: AtomicU64::new(0),
            kills: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            end: Instant::now() + time,
        })
    }

    /// What is known of the names in the repository.
    pub(super) fn names(&self) -> MutexGuard<'_, History> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of the names in the second repository.
    pub(super) fn second_names(&self) -> MutexGuard<'_, History> {
        self.second_names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was tried so far.
    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether everybody is to stop.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed) || Instant::now() >= self.end
    }

    /// Has everybody stop.
    pub(super) fn stop(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Runs a command, in the repository or the second one, and counts it.
    pub(super) fn run(&self, args: &[String], in_second: bool, fate: Fate) -> Outcome<Ended> {
        self.counted(fate, || run(if in_second { &self.second } else { &self.ocirepo }, args, fate))
    }

    /// Runs a command whose renames are slowed down, and counts it.
    pub(super) fn run_slowly(
        &self,
        strace: &Path,
        delay: Duration,
        args: &[String],
        fate: Fate,
    ) -> Outcome<Ended> {
        let inject = format!("inject=renameat2,renameat,rename:delay_enter={}", delay.as_micros());
        let options = ["-e", "trace=renameat2,renameat,rename", "-e", &inject];
        self.counted(fate, || run_traced(&self.ocirepo, strace, &options, args, fate))
    }

    fn counted(&self, fate: Fate, run: impl FnOnce() -> Outcome<Ended>) -> Outcome<Ended> {
        let id = self.started.fetch_add(1, Ordering::Relaxed);
        self.running().insert(id, Instant::now());
        let ended = run();
        let mut tally = self.tally();
        tally.count("processes", 1);
        match fate {
            Fate::Killed(_) if matches!(&ended, Ok(Ended { code: None, .. })) => {
                self.kills.fetch_add(1, Ordering::SeqCst);
                tally.count("kills", 1);
            }
            Fate::Stopped(..) => tally.count("stops", 1),
            _ => {}
        }
        // Last: whoever finds that it runs no more finds its kill as well.
        self.running().remove(&id);
        ended
    }

    /// How many processes were killed so far.
    pub(super) fn kills(&self) -> u64 {
        self.kills.load(Ordering::SeqCst)
    }

    /// Whether a command of ours runs that was started before `moment`.
    pub(super) fn runs_since_before(&self, moment: Instant) -> bool {
        self.running().values().any(|start| *start <= moment)
    }

    /// What a name may stand for now.
    pub(super) fn legal(&self, name: &str) -> BTreeSet<Value> {
        self.names().legal(name)
    }

    /// Removes the directories of the round.
    pub(super) fn clear(self) {
        for dir in [self.ocirepo.dir(), self.second.dir()] {
            // What cannot be removed now goes with the whole scratch directory.
            let _ = fs::remove_dir_all(dir);
        }
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<u64, Instant>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
