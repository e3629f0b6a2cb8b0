//! The states that a power failure may leave of a history cut off at some step.
//!
//! What was synced is there. What was not, the content of files and names in directories, may be there or not, each
//! step on its own; of the content of a file, some may be.

use std::fmt;

use ocirepo_tests::chance::Chance;

use super::disk::Disk;
use super::history::History;
use super::ops::{Kind, NodeId, Op};

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Fate {
    /// It was not synced, and is not there.
    Dropped,
    /// It was not synced, and is there all the same.
    Kept,
    /// It was synced.
    Durable,
    /// The first half of what was written is there.
    Half,
    /// The file has the size, and zeros in place of what was written.
    Blank,
}

/// Ways to choose, the most telling ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Everything is dropped.
    Nothing,
    /// All names are there, and no content: files are empty, or have the content that was synced last.
    Names,
    /// All content is there, and no names.
    Contents,
    /// One step is dropped.
    AllButOne,
    /// One step is there.
    One,
    /// Names are there up to some step and not after it, with all content and with none.
    Ordered,
    /// Everything is there, but one file was cut in the middle, or has its size and no content.
    Torn,
    /// Any choice.
    Random,
}

impl Class {
    pub(crate) const ALL: [Self; 8] = [
        Self::Nothing,
        Self::Names,
        Self::Contents,
        Self::AllButOne,
        Self::One,
        Self::Ordered,
        Self::Torn,
        Self::Random,
    ];
}

/// So many random choices are made at one moment each time.
const RANDOM: usize = 4;

/// One of the states: what became of each step until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    fates: Vec<Fate>,
    class: Class,
}

/// A moment at which the power may fail: after so many steps.
#[derive(Debug)]
pub(crate) struct Moment<'h> {
    history: &'h History,
    /// For each step until then: [`Fate::Durable`], or [`Fate::Dropped`] for what may be.
    dropped: Vec<Fate>,
    /// The steps that may be dropped.
    names: Vec<usize>,
    contents: Vec<usize>,
}

impl<'h> Moment<'h> {
    pub(crate) fn new(history: &'h History, at: usize) -> Self {
        let ops = &history.ops()[..at];
        let mut dropped = vec![Fate::Dropped; at];
        for op in ops {
            if let Op::Sync { node, before } = op {
                let is_synced = |it: &usize| ops[*it].is_made_durable_by(*node);
                (0..*before).filter(is_synced).for_each(|step| dropped[step] = Fate::Durable);
            }
        }
        let open = |kind| -> Vec<usize> {
            (0..at).filter(|&step| ops[step].kind() == kind && dropped[step] == Fate::Dropped).collect()
        };
        let (names, contents) = (open(Kind::Name), open(Kind::Content));
        Self { history, dropped, names, contents }
    }

    /// Some of the states that may be left; the same one may come more than once.
    pub(crate) fn states(&self, class: Class, chance: &mut Chance) -> Vec<State> {
        let all: Vec<usize> = self.names.iter().chain(&self.contents).copied().collect();
        match class {
            Class::Nothing => vec![self.with(class, &[])],
            Class::Names => vec![self.with(class, &self.names)],
            Class::Contents => vec![self.with(class, &self.contents)],
            Class::One => all.iter().map(|step| self.with(class, &[*step])).collect(),
            Class::AllButOne => {
                let without = |step: usize| all.iter().copied().filter(|it| *it != step).collect::<Vec<_>>();
                all.iter().map(|step| self.with(class, &without(*step))).collect()
            }
            Class::Ordered => self.ordered(),
            Class::Torn => self.torn(&all),
            Class::Random if all.len() < 2 => Vec::new(),
            Class::Random => (0..RANDOM).map(|round| self.random(&all, round % 2 == 0, chance)).collect(),
        }
    }

    fn with(&self, class: Class, kept: &[usize]) -> State {
        let mut fates = self.dropped.clone();
        kept.iter().for_each(|step| fates[*step] = Fate::Kept);
        State { fates, class }
    }

    /// Where names keep their order, one that is durable has made those before it durable.
    fn fewest_names(&self) -> usize {
        let ops = self.history.ops();
        let durable = |step: &usize| ops[*step].kind() == Kind::Name && self.dropped[*step] == Fate::Durable;
        let last = (0..self.dropped.len()).rev().find(durable);
        last.map_or(0, |last| self.names.iter().filter(|step| **step < last).count())
    }

    fn ordered(&self) -> Vec<State> {
        let mut states = Vec::new();
        for count in self.fewest_names()..=self.names.len() {
            let names = &self.names[..count];
            states.push(self.with(Class::Ordered, names));
            states.push(self.with(Class::Ordered, &[names, &self.contents].concat()));
        }
        states
    }

    fn torn(&self, all: &[usize]) -> Vec<State> {
        let everything = self.with(Class::Torn, all);
        let mut states = Vec::new();
        for &step in &self.contents {
            let Op::Write { file, .. } = &self.history.ops()[step] else { continue };
            let mut half = everything.clone();
            self.of(*file).filter(|it| *it > step).for_each(|it| half.fates[it] = Fate::Dropped);
            half.fates[step] = Fate::Half;
            let mut blank = everything.clone();
            self.of(*file).for_each(|it| blank.fates[it] = Fate::Blank);
            states.extend([half, blank]);
        }
        states
    }

    /// The steps to the content of one file that may be dropped.
    fn of(&self, file: NodeId) -> impl Iterator<Item = usize> {
        let is_of = move |step: &usize| self.history.ops()[*step].is_made_durable_by(file);
        self.contents.iter().copied().filter(is_of)
    }

    fn random(&self, all: &[usize], ordered: bool, chance: &mut Chance) -> State {
        let mut state = self.with(Class::Random, &[]);
        let likely = 1 + chance.below(3);
        for &step in all {
            if chance.below(4) < likely {
                state.fates[step] = Fate::Kept;
            }
        }
        for &step in &self.contents {
            match chance.below(8) {
                0 => state.fates[step] = Fate::Half,
                1 => state.fates[step] = Fate::Blank,
                _ => {}
            }
        }
        if ordered {
            let fewest = self.fewest_names();
            let count = fewest + chance.below((self.names.len() - fewest) as u64 + 1) as usize;
            for (position, &step) in self.names.iter().enumerate() {
                state.fates[step] = if position < count { Fate::Kept } else { Fate::Dropped };
            }
        }
        state
    }
}

impl State {
    /// After how many steps the power fails.
    pub(crate) fn at(&self) -> usize {
        self.fates.len()
    }

    /// Equal for states that come to the same because the steps that they do not share are dropped.
    pub(crate) fn key(&self) -> Vec<u8> {
        let end = self.fates.iter().rposition(|fate| *fate != Fate::Dropped).map_or(0, |last| last + 1);
        self.fates[..end].iter().map(|fate| *fate as u8).collect()
    }

    /// What the disk holds.
    pub(crate) fn disk(&self, history: &History) -> Disk {
        let mut disk = history.start().clone();
        for (fate, op) in self.fates.iter().zip(history.ops()) {
            match (fate, op) {
                (Fate::Dropped, _) => {}
                (Fate::Durable, op) => disk.apply(op),
                (Fate::Half, Op::Write { file, offset, bytes }) => {
                    let bytes = bytes[..bytes.len() / 2].into();
                    disk.apply(&Op::Write { file: *file, offset: *offset, bytes });
                }
                (Fate::Blank, Op::Write { file, offset, bytes }) => {
                    let bytes = vec![0; bytes.len()].into();
                    disk.apply(&Op::Write { file: *file, offset: *offset, bytes });
                }
                (_, op) if disk.allows(op) => disk.apply(op),
                _ => {}
            }
        }
        disk
    }

    /// Whether every name is there that is older than one that is there.
    fn keeps_order(&self, history: &History) -> bool {
        let names = self.fates.iter().zip(history.ops()).filter(|(_, op)| op.kind() == Kind::Name);
        names.skip_while(|(fate, _)| **fate != Fate::Dropped).all(|(fate, _)| *fate == Fate::Dropped)
    }

    /// When the power fails, and what is not there, in words.
    pub(crate) fn describe(&self, history: &History) -> Description {
        let open = |fate: &Fate| *fate != Fate::Durable;
        let steps = self.fates.iter().enumerate().filter(|(step, fate)| open(fate) && *step < self.at());
        let mut lines = Vec::new();
        for (step, fate) in steps {
            let what = match fate {
                _ if history.ops()[step].kind() == Kind::Sync => continue,
                Fate::Dropped => "not there",
                Fate::Kept | Fate::Durable => "there",
                Fate::Half => "half there",
                Fate::Blank => "zeros there",
            };
            let step_text = history.describe(step);
            if is_telling(&step_text) {
                lines.push(format!("step {step}, {step_text}: {what}"));
            }
        }
        let after = self.at().checked_sub(1).map(|last| history.describe(last));
        Description { at: self.at(), after, class: self.class, in_order: self.keeps_order(history), lines }
    }
}

/// Whether a step is about more than locks and staging.
fn is_telling(step: &str) -> bool {
    step.contains(" -> ")
        || !(step.contains(".ocirepo/tmp/") || step.ends_with("lock") || step.ends_with("gate"))
}

/// A state in words.
#[derive(Debug)]
pub(crate) struct Description {
    at: usize,
    after: Option<String>,
    class: Class,
    in_order: bool,
    lines: Vec<String>,
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = self.after.as_deref().unwrap_or("nothing");
        let which = match self.class {
            Class::Nothing => "nothing that was not synced is there",
            Class::Names => "names that were not synced are there, content is not",
            Class::Contents => "content that was not synced is there, names are not",
            Class::AllButOne => "one step that was not synced is not there",
            Class::One => "one step that was not synced is there",
            Class::Ordered => "names that were not synced are there up to one step",
            Class::Torn => "one file that was not synced is torn",
            Class::Random => "some of what was not synced is there",
        };
        let order = if self.in_order { "names keep their order" } else { "names do not keep their order" };
        write!(f, "the power fails after step {} ({after}); {which} ({order})", self.at)?;
        let left_out = self.lines.len().saturating_sub(MOST_LINES);
        if left_out > 0 {
            write!(f, "\n    {left_out} steps that were not synced, and:")?;
        }
        self.lines[left_out..].iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}

/// The last steps tell the most.
const MOST_LINES: usize = 20;
