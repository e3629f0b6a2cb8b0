//! Which trials there are, and in which order they come.

use anyhow::{Context as _, ensure};
use ocirepo_tests::chance::Chance;

use super::fault::Fault;
use super::injector::Census;
use crate::context::Context;
use crate::outcome::Outcome;
use crate::scenario::{self, Scenario};
use crate::trace;

/// Something to do to a command, once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trial<'s> {
    pub(super) scenario: &'s Scenario,
    pub(super) fault: Fault,
    /// The call, counted from 1 among those that the fault is for.
    pub(super) at: usize,
    /// Unique in this run.
    pub(super) number: usize,
}

/// All of them, in an order in which each scenario and each fault comes early, and the calls in any order.
pub(super) struct Trials<'s> {
    all: Vec<(&'s Scenario, Fault, usize)>,
    taken: usize,
}

impl<'s> Trials<'s> {
    /// Runs each scenario once, to count its calls.
    pub(super) fn new(context: &Context, scenarios: &'s [Scenario]) -> Outcome<Self> {
        let mut chance = context.chance("the order of crashes");
        let mut groups = Vec::new();
        for scenario in scenarios {
            let counts = census(scenario)?;
            for fault in Fault::ALL {
                let calls = counts.counts.get(&fault).copied().unwrap_or_default();
                groups.push((scenario, fault, shuffled(calls, &mut chance)));
            }
        }
        // Each round takes one from each group, two of kills.
        let mut all = Vec::new();
        while groups.iter().any(|(_, _, calls)| !calls.is_empty()) {
            for wanted in Fault::TURNS {
                for (scenario, fault, calls) in groups.iter_mut().filter(|(_, fault, _)| *fault == wanted) {
                    all.extend(calls.pop().map(|at| (*scenario, *fault, at)));
                }
            }
        }
        ensure!(!all.is_empty(), "no command changes anything");
        Ok(Self { all, taken: 0 })
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The next; after the last it begins anew, since threads do not come to their calls in the same order each time.
    pub(super) fn take(&mut self) -> Trial<'s> {
        let (scenario, fault, at) = self.all[self.taken % self.all.len()];
        self.taken += 1;
        Trial { scenario, fault, at, number: self.taken }
    }
}

fn census(scenario: &Scenario) -> Outcome<Census> {
    let copy = scenario.copy("counted");
    let mut census = Census::new(scenario)?;
    let ended = trace::run(&scenario.command(&copy), &mut census).context("counting calls")?;
    ensure!(ended.code() == Some(0), "{}: counting calls: {ended:?}", scenario.name());
    scenario::remove(&copy)?;
    Ok(census)
}

/// The numbers from 1 in any order.
fn shuffled(count: usize, chance: &mut Chance) -> Vec<usize> {
    let mut numbers: Vec<usize> = (1..=count).collect();
    for at in (1..count).rev() {
        let other = chance.below(at as u64 + 1);
        numbers.swap(at, usize::try_from(other).unwrap_or(at));
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_comes_once_in_an_order_that_the_seed_decides() {
        let order = |seed| shuffled(50, &mut Chance::new(seed));
        let mut sorted = order(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (1..=50).collect::<Vec<_>>());
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }
}
