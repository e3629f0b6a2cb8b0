//! Runs the contenders of a job in turn, round after round, and keeps what each run cost.
//!
//! The order changes from round to round, so that neither a slow moment of the machine nor what a neighbour leaves
//! behind falls on one contender alone. A contender that fails takes no further part, and its row says why.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::bar::Bar;
use super::context::Context;
use super::cost::{Cost, median};
use super::data::files;
use super::gauge;
use super::job::{Contender, Job, Manner, Place, Role};

/// One run that came to its end with the right result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) cost: Cost,
    /// Bytes of the result.
    pub(super) size: Option<u64>,
}

/// All runs of a contender.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) key: &'static str,
    pub(super) label: String,
    pub(super) role: Role,
    pub(super) units: Option<usize>,
    /// By round.
    pub(super) runs: Vec<Option<Run>>,
    pub(super) failure: Option<String>,
}

impl Measured {
    pub(super) fn is_ours(&self) -> bool {
        self.role == Role::Ours
    }

    /// Seconds by round.
    pub(super) fn walls(&self) -> Vec<Option<f64>> {
        self.runs.iter().map(|run| run.map(|run| run.cost.wall)).collect()
    }

    /// Seconds for each unit, by round.
    pub(super) fn per_unit(&self) -> Vec<Option<f64>> {
        let units = self.units.map_or(1.0, |units| units as f64);
        self.walls().into_iter().map(|wall| wall.map(|wall| wall / units)).collect()
    }

    /// The median of some part of the costs.
    pub(super) fn median(&self, part: impl Fn(&Cost) -> f64) -> Option<f64> {
        median(self.runs.iter().flatten().map(|run| part(&run.cost)))
    }

    /// The most memory of all runs.
    pub(super) fn peak_mib(&self) -> Option<f64> {
        let most = self.runs.iter().flatten().map(|run| run.cost.peak_kib).max()?;
        Some(most as f64 / 1024.0)
    }

    /// Bytes of the result of the last run.
    pub(super) fn size(&self) -> Option<u64> {
        self.runs.iter().flatten().last()?.size
    }
}

/// What came of a job.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) title: String,
    pub(super) manner: Manner,
    pub(super) measured: Vec<Measured>,
    pub(super) bars: Vec<Bar>,
}

impl Outcome {
    /// The first contender that is ocirepo: the one that is compared.
    pub(super) fn ours(&self) -> Option<&Measured> {
        self.measured.iter().find(|measured| measured.is_ours())
    }

    /// What ocirepo failed at.
    pub(super) fn failure_of_ours(&self) -> Option<String> {
        let failed = |measured: &Measured| measured.failure.clone().filter(|_| measured.is_ours());
        let failure = self.measured.iter().find_map(failed)?;
        Some(format!("{}: {failure}", self.title))
    }
}

/// Runs all of a job.
pub(super) fn run(job: Job, context: &Context) -> Result<Outcome> {
    eprintln!("{} …", job.title);
    run_in(&context.fresh_scratch("job")?, job, context.rounds, &gauge::measure)
}

/// Runs a command, for the directory it works in, and says what it cost; a sync counts or not.
type Gauge<'a> = &'a dyn Fn(&Command, &Path, bool) -> Result<Cost>;

fn run_in(scratch: &Path, job: Job, rounds: usize, gauge: Gauge<'_>) -> Result<Outcome> {
    job.warm()?;
    let Job { title, manner, contenders, bars, rounds: times, .. } = job;
    let rounds = rounds * times;
    let mut measured: Vec<_> = contenders.iter().map(nothing_yet).collect();
    let place = |round: usize, number: usize| Place { dir: scratch.join(format!("{round}-{number}")) };
    if manner == Manner::WritesAhead {
        for round in 0..rounds {
            for (number, contender) in contenders.iter().enumerate() {
                note(prepare(contender, &place(round, number)), &mut measured[number]);
            }
        }
    }
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            let number = (turn + round) % contenders.len();
            let (contender, place) = (&contenders[number], place(round, number));
            let mut run = None;
            if measured[number].failure.is_none() {
                run = note(one(contender, &place, manner, gauge), &mut measured[number]);
            }
            measured[number].runs.push(run);
            if manner != Manner::WritesAhead {
                files::remove(&place.dir)?;
            }
        }
    }
    files::remove(scratch)?;
    Ok(Outcome { title, manner, measured, bars })
}

fn nothing_yet(contender: &Contender) -> Measured {
    let Contender { key, label, role, units, .. } = contender;
    let (key, role, units) = (*key, *role, *units);
    Measured { key, label: label.clone(), role, units, runs: Vec::new(), failure: None }
}

/// Keeps the first failure.
fn note<T>(result: Result<T>, measured: &mut Measured) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            eprintln!("{}: {error:#}", measured.label);
            let text = format!("{error:#}");
            measured.failure.get_or_insert(text.lines().last().unwrap_or_default().to_owned());
            None
        }
    }
}

fn one(contender: &Contender, place: &Place, manner: Manner, gauge: Gauge<'_>) -> Result<Run> {
    if manner != Manner::WritesAhead {
        prepare(contender, place)?;
    }
    let mut command = (contender.command)(place)?;
    command.env("TMPDIR", place.tmp()).env("HOME", &place.dir);
    let writes = manner != Manner::Reads;
    let cost = gauge(&command, &place.dir, writes)?;
    if let Some(check) = &contender.check {
        check(place).context("the result is wrong")?;
    }
    let size = if manner == Manner::Writes && place.out().exists() {
        Some(files::size(&place.out())?)
    } else {
        None
    };
    Ok(Run { cost, size })
}

fn prepare(contender: &Contender, place: &Place) -> Result<()> {
    fs::create_dir_all(place.tmp())?;
    if let Some(prepare) = &contender.prepare {
        prepare(place).context("cannot prepare")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use anyhow::bail;

    use super::*;

    fn contender(key: &'static str) -> Contender {
        Contender::new(Role::Peer, key, key, move |_| Ok(Command::new(key)))
    }

    /// Runs a job of `a`, `b` and `c` for three rounds; the gauge makes a file and fails for a program called `bad`.
    fn run_three(job: Job) -> (Outcome, Vec<String>) {
        let scratch = tempfile::tempdir().unwrap();
        let ran = RefCell::new(Vec::new());
        let gauge = |command: &Command, place: &Path, _: bool| {
            let program = command.get_program().to_string_lossy().into_owned();
            ran.borrow_mut().push(program.clone());
            if program == "bad" {
                bail!("first line\nlast line");
            }
            fs::write(place.join("out"), "five!")?;
            Ok(Cost { wall: 1.0, sync: 0.0, cpu: 0.0, peak_kib: 1, disk: 0 })
        };
        let outcome = run_in(&scratch.path().join("job"), job, 3, &gauge).unwrap();
        (outcome, ran.into_inner())
    }

    #[test]
    fn everybody_begins_a_round_once() {
        let job = Job::new("job", Manner::Writes);
        let job = job.with(contender("a")).with(contender("b")).with(contender("c"));
        let (outcome, ran) = run_three(job);
        assert_eq!(ran.concat(), "abcbcacab");
        assert!(outcome.measured.iter().all(|measured| measured.runs.iter().flatten().count() == 3));
        assert_eq!(outcome.measured[0].size(), Some(5));
    }

    #[test]
    fn a_result_that_is_wrong_does_not_count_and_who_failed_is_not_run_again() {
        let wrong = contender("a").gives_bytes(6);
        let (outcome, ran) = run_three(Job::new("job", Manner::Writes).with(wrong).with(contender("bad")));
        assert_eq!(ran, ["a", "bad"]);
        let failures: Vec<_> =
            outcome.measured.iter().map(|measured| measured.failure.clone().unwrap()).collect();
        assert!(failures[0].contains("5 bytes, expected at least 6"), "{failures:?}");
        assert_eq!(failures[1], "last line");
        assert!(outcome.measured.iter().all(|measured| measured.runs.iter().flatten().count() == 0));
    }

    #[test]
    fn runs_are_prepared_before_the_first_where_that_is_asked_for() {
        let log = std::rc::Rc::new(RefCell::new(0));
        let prepared = |manner| {
            let (seen, count) = (std::rc::Rc::clone(&log), std::rc::Rc::clone(&log));
            *log.borrow_mut() = 0;
            let contender = contender("a").prepared(move |_| {
                *count.borrow_mut() += 1;
                Ok(())
            });
            let job = Job::new("job", manner).with(contender.checked(move |_| match *seen.borrow() {
                3 => Ok(()),
                other => bail!("{other} prepared"),
            }));
            run_three(job).0.measured[0].failure.clone()
        };
        assert_eq!(prepared(Manner::WritesAhead), None);
        assert!(prepared(Manner::Writes).is_some_and(|failure| failure.contains("1 prepared")));
    }
}
