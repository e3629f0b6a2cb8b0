//! model: random scripts against the store in this process, and against a model of what a repository is.
//!
//! After each step everything that can be seen must be what the model says: entries, names and their order,
//! blobs, refusals, what verify finds, the inventory. A script that shows a difference is cut down to the
//! shortest one that still does, and told in words. What a script leaves is judged by the testkit's checker,
//! which shares no code with the store, and now and then by other people's tools.

mod catalogue;
mod compare;
mod foreign;
mod names;
mod naming;
mod reach;
mod removal;
mod run;
mod script;
mod state;
mod text;
mod verdict;
mod witness;

use anyhow::{Context as _, bail};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use self::catalogue::Catalogue;
use self::script::{Script, Step, scripts};
use self::witness::Witnesses;
use crate::context::Context;
use crate::outcome::{Outcome, Tally};

/// So many scripts are run between two looks at the clock.
const AT_ONCE: u32 = 20;
/// After so many of those, other tools are asked too.
const ROUNDS: u64 = 10;
/// So long may it take to find a shorter script, in milliseconds.
const SHRINKING: u32 = 30_000;

pub(crate) fn run(context: &Context) -> Outcome {
    let catalogue = Catalogue::new();
    let witnesses = Witnesses::find();
    let mut tally = Tally::default();
    let mut chance = context.chance("model");
    let mut round = 0;
    while round == 0 || !context.is_over() {
        let seed: [u8; 32] = std::array::from_fn(|_| u8::try_from(chance.below(256)).unwrap_or(0));
        let mut runner = runner(seed);
        let steps = std::cell::Cell::new(0);
        let outcome = runner.run(&scripts(), |script| {
            steps.set(steps.get() + script.steps.len() as u64);
            attempt(&catalogue, &script, None).map_err(|loss| TestCaseError::fail(format!("{loss:#}")))
        });
        match outcome {
            Ok(()) => {}
            Err(TestError::Fail(reason, script)) => return Err(tell(&catalogue, &script, reason.message())),
            Err(TestError::Abort(reason)) => bail!("the scripts could not be run: {reason}"),
        }
        tally.count("sequences", AT_ONCE.into());
        tally.count("steps", steps.get());
        if round % ROUNDS == 0 {
            let script =
                scripts().new_tree(&mut runner).map_err(|reason| anyhow::anyhow!("{reason}"))?.current();
            let asked = std::cell::Cell::new(0);
            let outcome = attempt(&catalogue, &script, Some((&witnesses, &asked)));
            outcome.map_err(|loss| tell(&catalogue, &script, &format!("{loss:#}")))?;
            tally.count("readings by other tools", asked.get());
        }
        round += 1;
    }
    Ok(tally)
}

fn runner(seed: [u8; 32]) -> TestRunner {
    let config = Config {
        cases: AT_ONCE,
        failure_persistence: None,
        max_shrink_time: SHRINKING,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

/// Runs one script in a directory of its own, and has other tools read what it leaves, if they are given.
fn attempt(
    catalogue: &Catalogue,
    script: &Script,
    witnesses: Option<(&Witnesses, &std::cell::Cell<u64>)>,
) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir().context("a directory to try in")?;
    run::run(catalogue, scratch.path(), script, &mut Vec::new())?;
    if let Some((witnesses, asked)) = witnesses {
        asked.set(witnesses.read(scratch.path())?);
    }
    Ok(())
}

/// The shortest script that was found, step by step, and how it ends.
fn tell(catalogue: &Catalogue, script: &Script, reason: &str) -> anyhow::Error {
    let mut told = Vec::new();
    let again = tempfile::tempdir().map(|scratch| {
        let attempt = std::panic::AssertUnwindSafe(|| run::run(catalogue, scratch.path(), script, &mut told));
        std::panic::catch_unwind(attempt)
    });
    let how = match again {
        Ok(Ok(Err(loss))) => format!("{loss:#}"),
        Ok(Ok(Ok(()))) => format!("{reason}\n(a second run of the same script went well)"),
        Ok(Err(_)) | Err(_) => format!("{reason}\n(in a step of {:?})", script.steps.last().map(name_of)),
    };
    let lines: Vec<String> = (1..).zip(&told).map(|(n, line)| format!("  {n}. {line}")).collect();
    anyhow::anyhow!("a repository is not what the model says after this script:\n{}\n{how}", lines.join("\n"))
}

fn name_of(step: &Step) -> String {
    format!("{step:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_does_what_the_model_says() {
        let catalogue = Catalogue::new();
        assert_eq!(catalogue.things.len(), script::THINGS);
        let outcome = runner([7; 32]).run(&scripts(), |script| {
            attempt(&catalogue, &script, None).map_err(|loss| TestCaseError::fail(format!("{loss:#}")))
        });
        if let Err(TestError::Fail(reason, script)) = outcome {
            panic!("{:#}", tell(&catalogue, &script, reason.message()));
        }
    }

    #[test]
    fn a_difference_is_told_step_by_step() {
        let catalogue = Catalogue::new();
        let steps = vec![Step::Add { puts: vec![(0, Some(0))], replace: false }, Step::Reopen];
        let script = Script { start: script::Start::Init(names::Policy::Full), steps };
        let told = tell(&catalogue, &script, "because").to_string();
        for line in
            ["1. init --ref-policy full", "2. add image a as alpine:1", "3. reopen the repository", "because"]
        {
            assert!(told.contains(line), "{told}");
        }
    }
}
