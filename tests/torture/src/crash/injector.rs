//! Counts the calls of a command on its own files, and does something to it at one of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::fault::{Fault, Kind};
use crate::outcome::Outcome;
use crate::scenario::Scenario;
use crate::trace::{Call, Name, Process, Verdict, Watcher};

/// Waits for a call.
pub(super) struct Injector {
    /// Only files below here are the command's own.
    home: PathBuf,
    fault: Fault,
    /// Counted from 1, among the calls that the fault is for.
    at: usize,
    seen: usize,
    /// What was done at which call.
    done: Option<(Kind, String)>,
}

impl Injector {
    pub(super) fn new(scenario: &Scenario, fault: Fault, at: usize) -> Outcome<Self> {
        Ok(Self { home: scenario.home().canonicalize()?, fault, at, seen: 0, done: None })
    }

    /// What was done to the command; nothing if it ended before.
    pub(super) fn what(&self) -> Option<&str> {
        self.done.as_ref().map(|(_, what)| what.as_str())
    }

    /// Whether a command that failed can be expected to have cleaned up behind itself: not if that may be what failed.
    pub(super) fn is_clean_up_expected(&self) -> bool {
        matches!(self.done, Some((Kind::Grow | Kind::Change, _)))
    }
}

impl Watcher for Injector {
    fn enter(&mut self, call: &Call, process: &Process) -> Verdict {
        let Some(kind) = look(call, process, &self.home).filter(|kind| self.fault.is_for(*kind)) else {
            return Verdict::Go;
        };
        self.seen += 1;
        if self.seen < self.at || (self.seen > self.at && !self.fault.lasts()) {
            return Verdict::Go;
        }
        let what = || (kind, describe(self.fault, call, process, &self.home));
        self.done.get_or_insert_with(what);
        self.fault.verdict()
    }
}

/// Counts, for each fault, the calls that it is for.
pub(super) struct Census {
    home: PathBuf,
    pub(super) counts: BTreeMap<Fault, usize>,
}

impl Census {
    pub(super) fn new(scenario: &Scenario) -> Outcome<Self> {
        Ok(Self { home: scenario.home().canonicalize()?, counts: BTreeMap::new() })
    }
}

impl Watcher for Census {
    fn enter(&mut self, call: &Call, process: &Process) -> Verdict {
        if let Some(kind) = look(call, process, &self.home) {
            for fault in Fault::ALL.into_iter().filter(|fault| fault.is_for(kind)) {
                *self.counts.entry(fault).or_default() += 1;
            }
        }
        Verdict::Go
    }
}

/// The kind of a call, if one of the files that it is about is below `home`.
fn look(call: &Call, process: &Process, home: &Path) -> Option<Kind> {
    let kind = Kind::of(call, process)?;
    let paths = call.paths(process).ok()?;
    paths.iter().any(|path| path.starts_with(home)).then_some(kind)
}

fn describe(fault: Fault, call: &Call, process: &Process, home: &Path) -> String {
    let paths = call.paths(process).unwrap_or_default();
    let short = |path: &PathBuf| path.strip_prefix(home).unwrap_or(path).display().to_string();
    let paths = paths.iter().map(short).collect::<Vec<_>>().join(", ");
    let name = match call.name {
        Name::Other(number) => format!("call {number}"),
        name => format!("{name:?}").to_lowercase(),
    };
    format!("{fault} at {name}({paths})")
}
