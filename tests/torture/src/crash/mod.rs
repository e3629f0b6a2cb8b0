//! Every command that changes something is killed at each of its system calls, and told at each that it failed.
//!
//! Kills at the N-th call that changes a file or directory, for every N; and failures: EIO once, at calls that change
//! and at calls that read, ENOSPC from a call on, as a full disk has it, and EINTR once. What is left is judged by
//! [`crate::scenario`]. All calls of a program count, in the order in which its threads come to them.
//!
//! With little time it is a sample of them all, which the seed decides; with enough time it is all of them.

mod fault;
mod injector;
mod torn;
mod trials;

use std::any::Any;
use std::path::Path;
use std::process::Output;
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, anyhow};

use self::injector::Injector;
use self::trials::{Trial, Trials};
use crate::context::Context;
use crate::outcome::{Outcome, Tally};
use crate::scenario::{self, Found, Left, Scenario};
use crate::trace;

pub(crate) fn run(context: &Context) -> Outcome {
    if let Err(why) = trace::available() {
        println!("skipped: {why}");
        return Ok(Tally::default());
    }
    let scenarios = scenario::all(context)?;
    let torn = torn::run(&scenarios)?;
    let trials = Trials::new(context, &scenarios)?;
    println!("{} scenarios, {} trials", scenarios.len(), trials.len());
    let shared = Shared { trials: Mutex::new(trials), tally: Mutex::new(torn), loss: Mutex::default() };
    let threads = thread::available_parallelism()?.get();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(context, &shared))).collect();
        for worker in workers {
            // The testkit panics where a program hangs, for one.
            if let Err(panic) = worker.join() {
                shared.lose(anyhow!("it panicked: {}", words(&*panic)));
            }
        }
    });
    let Shared { tally, loss, .. } = shared;
    match loss.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(loss) => Err(loss),
        None => Ok(tally.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

/// What the threads have in common.
struct Shared<'s> {
    trials: Mutex<Trials<'s>>,
    tally: Mutex<Tally>,
    /// The first that was found.
    loss: Mutex<Option<anyhow::Error>>,
}

impl Shared<'_> {
    fn lose(&self, loss: anyhow::Error) {
        self.loss.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(loss);
    }

    fn is_lost(&self) -> bool {
        self.loss.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// Takes one trial after the other until the time is up, or something was lost.
fn work(context: &Context, shared: &Shared<'_>) {
    while !context.is_over() && !shared.is_lost() {
        let trial = shared.trials.lock().unwrap_or_else(PoisonError::into_inner).take();
        match try_once(&trial) {
            Ok(tally) => shared.tally.lock().unwrap_or_else(PoisonError::into_inner).add(&tally),
            Err(loss) => shared.lose(loss),
        }
    }
}

fn try_once(trial: &Trial<'_>) -> Outcome {
    let Trial { scenario, fault, at, number } = trial;
    let copy = scenario.copy(&format!("trial{number}"));
    let mut injector = Injector::new(scenario, *fault, *at)?;
    let ended = trace::run(&scenario.command(&copy), &mut injector);
    let judged = ended.and_then(|ended| {
        let left = Left::of(&ended)?;
        let found = judge(scenario, &copy, left, &injector).with_context(|| said(&ended))?;
        Ok((left, found))
    });
    let (left, found) = judged.with_context(|| {
        let what = injector.what().unwrap_or("nothing was done to it");
        format!("{}: `{}`: {what} (call {at} for {fault})", scenario.name(), scenario.line())
    })?;
    scenario::remove(&copy)?;
    let mut tally = Tally::default();
    if injector.what().is_some() {
        tally.count(&format!("calls with {fault}"), 1);
        let how = match (left, found) {
            (Left::Done, _) => "went on",
            (_, Found::Old) => "left the old state",
            (_, Found::New) => "left the new state",
            (_, Found::Between) => "left one of several steps done",
        };
        tally.count(how, 1);
    }
    Ok(tally)
}

fn judge(scenario: &Scenario, copy: &Path, left: Left, injector: &Injector) -> Outcome<Found> {
    if left == Left::Failed && injector.is_clean_up_expected() {
        scenario.is_clean(copy)?;
    }
    scenario.judge(copy, left)
}

/// How a command ended and what it said, for a message.
fn said(ended: &trace::Ended) -> String {
    format!("it ended by {:?}, and said:\n{}{}", ended.end, ended.stdout, ended.stderr)
}

fn words_of(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
