//! Which states are looked at, and in which order: from all histories in turn, the most telling ones of each first,
//! and none twice.

use std::collections::{HashSet, VecDeque};

use ocirepo_tests::chance::Chance;

use super::disk::Tree;
use super::history::History;
use super::states::{Class, Moment, State};

/// After so many rounds of random choices that brought nothing new there is nothing left to try.
const FRUITLESS: usize = 3;

/// What is tried where there are many histories and little time for each.
const FEW: &[Class] = &[Class::Nothing, Class::Names, Class::Contents, Class::Random];

/// A state to be looked at.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) state: State,
    pub(crate) tree: Tree,
    /// The power fails when the command has told of its success.
    pub(crate) is_end: bool,
}

/// The states of one history, one after the other.
#[derive(Debug)]
pub(crate) struct Search {
    /// The moments at which the power may fail, the end first.
    moments: Vec<usize>,
    end: usize,
    classes: &'static [Class],
    class: usize,
    moment: usize,
    waiting: VecDeque<State>,
    /// Choices that were made, and what has come of them.
    keys: HashSet<(Vec<u8>, bool)>,
    trees: HashSet<(u64, bool)>,
    chance: Chance,
    fruitless: usize,
    has_found: bool,
    found: usize,
}

impl Search {
    /// For power failures from a step on.
    pub(crate) fn new(history: &History, from: usize, chance: Chance) -> Self {
        let end = history.ops().len();
        Self {
            moments: std::iter::once(end).chain(from..end).collect(),
            end,
            classes: &Class::ALL,
            class: 0,
            moment: 0,
            waiting: VecDeque::new(),
            keys: HashSet::new(),
            trees: HashSet::new(),
            chance,
            fruitless: 0,
            has_found: false,
            found: 0,
        }
    }

    /// A few, for power failures at the very end alone.
    pub(crate) fn at_end(history: &History, chance: Chance) -> Self {
        let moments = vec![history.ops().len()];
        Self { moments, classes: FEW, fruitless: FRUITLESS - 1, ..Self::new(history, 0, chance) }
    }

    /// How many states there were so far.
    pub(crate) const fn found(&self) -> usize {
        self.found
    }

    /// The next state; `None` when there are no more.
    pub(crate) fn next(&mut self, history: &History) -> Option<Found> {
        loop {
            while let Some(state) = self.waiting.pop_front() {
                let is_end = state.at() == self.end;
                if !self.keys.insert((state.key(), is_end)) {
                    continue;
                }
                let tree = state.disk(history).tree();
                let fingerprint = tree.fingerprint();
                // At the end more is asked of a state than before.
                if !self.trees.contains(&(fingerprint, true)) && self.trees.insert((fingerprint, is_end)) {
                    self.has_found = true;
                    self.found += 1;
                    return Some(Found { state, tree, is_end });
                }
            }
            if self.fruitless == FRUITLESS {
                return None;
            }
            let class = self.classes[self.class];
            let moment = Moment::new(history, self.moments[self.moment]);
            self.waiting.extend(moment.states(class, &mut self.chance));
            self.go_on();
        }
    }

    /// To the next moment, or to the next class. The last one goes on as long as it brings anything.
    fn go_on(&mut self) {
        self.moment += 1;
        if self.moment < self.moments.len() {
            return;
        }
        self.moment = 0;
        if self.class + 1 < self.classes.len() {
            self.class += 1;
            return;
        }
        let is_fruitful = std::mem::take(&mut self.has_found) && self.classes.len() == Class::ALL.len();
        self.fruitless = if is_fruitful { 0 } else { self.fruitless + 1 };
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::Disk;
    use super::super::ops::{Place, ROOT};
    use super::*;

    #[test]
    fn no_state_comes_twice_and_the_end_comes_first() {
        let mut history = History::new(Disk::empty());
        for name in ["x", "y", "z"] {
            let file = history.make_file(Place::new(ROOT, name));
            history.write(file, 0, b"some bytes");
        }
        let mut search = Search::new(&history, 0, Chance::new(1));
        let found: Vec<Found> = std::iter::from_fn(|| search.next(&history)).collect();
        assert!(found[0].is_end);
        for is_end in [true, false] {
            let trees =
                found.iter().filter(|found| found.is_end == is_end).map(|found| found.tree.fingerprint());
            let all: Vec<u64> = trees.collect();
            assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        }
        let mut search = Search::at_end(&history, Chance::new(1));
        let few = std::iter::from_fn(|| search.next(&history)).count();
        assert!((3..=7).contains(&few) && found.len() > 50, "{few} {}", found.len());
    }
}
