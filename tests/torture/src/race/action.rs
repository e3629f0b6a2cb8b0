//! What a worker may do next: drawn from the seed, by how often its role does it.

use ocirepo_tests::chance::Chance;

use super::names;
use super::pool::{Pool, pick};

/// A kind of thing to do, and how often a role does it.
pub(super) type Weights = &'static [(u64, Kind)];

/// A kind of thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    AddOwn,
    AddFresh,
    AddShared,
    AddVolume,
    TagOwn,
    TagFresh,
    TagShared,
    TakeShared,
    RemoveOwn,
    RemoveShared,
    RemoveAllOwn,
    RemoveAllShared,
    Collect,
    RehearseCollect,
    CollectSecond,
    CollectYoung,
    ExportOwn,
    ExportAll,
    Copy,
    List,
    InspectOwn,
    InspectShared,
    Verify,
    Inventory,
    Pending,
    Policy,
}

/// One command, as far as a worker has to know what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Add {
        name: String,
        digest: String,
        source: String,
    },
    AddVolume {
        path: String,
    },
    Tag {
        from: String,
        to: String,
    },
    Remove {
        name: String,
    },
    RemoveAll {
        pattern: String,
        names: Vec<String>,
    },
    /// What changes no name and always ends well, in the repository or in the second one.
    Plain {
        words: Vec<String>,
        in_second: bool,
    },
    /// To a file; without names, everything.
    Export {
        kind: &'static str,
        names: Vec<String>,
    },
    /// Everything, into the second repository.
    Copy,
    List,
    Inspect {
        name: String,
    },
    Policy {
        policy: &'static str,
    },
}

/// Draws what worker `me` does next. `count` is a number that it has not had before.
pub(super) fn draw(weights: Weights, chance: &mut Chance, pool: &Pool, me: usize, count: u64) -> Action {
    let all = weights.iter().map(|(weight, _)| weight).sum();
    let mut left = chance.below(all);
    let kind = weights.iter().find(|(weight, _)| {
        let is_it = left < *weight;
        left = left.saturating_sub(*weight);
        is_it
    });
    let kind = kind.map_or(Kind::List, |(_, kind)| *kind);
    of_kind(kind, chance, pool, me, count)
}

fn of_kind(kind: Kind, chance: &mut Chance, pool: &Pool, me: usize, count: u64) -> Action {
    let add = |chance: &mut Chance, name: String| {
        let sample = pool.any(chance);
        Action::Add { name, digest: sample.digest(), source: sample.source(chance) }
    };
    let tag = |from: String, to: String| Action::Tag { from, to };
    let plain = |words: &[&str]| Action::Plain { words: strings(words), in_second: false };
    match kind {
        Kind::AddOwn => {
            let name = names::own(me, chance);
            add(chance, name)
        }
        Kind::AddFresh => add(chance, names::fresh(me, count)),
        Kind::AddShared => {
            let name = names::shared(chance);
            add(chance, name)
        }
        Kind::AddVolume => Action::AddVolume { path: pick(chance, &pool.bundles[me].volumes).clone() },
        Kind::TagOwn => tag(names::own(me, chance), names::own(me, chance)),
        Kind::TagFresh => tag(names::kept(0), names::fresh(me, count)),
        Kind::TagShared => tag(names::own(me, chance), names::shared(chance)),
        Kind::TakeShared => tag(names::shared(chance), names::own(me, chance)),
        Kind::RemoveOwn => Action::Remove { name: names::own(me, chance) },
        Kind::RemoveShared => Action::Remove { name: names::shared(chance) },
        Kind::RemoveAllOwn => {
            Action::RemoveAll { pattern: names::own_pattern(me), names: names::all_own(me) }
        }
        Kind::RemoveAllShared => {
            Action::RemoveAll { pattern: names::SHARED_PATTERN.to_owned(), names: names::all_shared() }
        }
        Kind::Collect => plain(&["gc"]),
        Kind::RehearseCollect => plain(&["gc", "--dry-run"]),
        Kind::CollectYoung => plain(&["gc", "--grace", "1h"]),
        Kind::CollectSecond => Action::Plain { words: strings(&["gc"]), in_second: true },
        Kind::ExportOwn => Action::Export { kind: export_kind(chance), names: names::all_own(me) },
        Kind::ExportAll => Action::Export { kind: export_kind(chance), names: Vec::new() },
        Kind::Copy => Action::Copy,
        Kind::List => Action::List,
        Kind::InspectOwn => Action::Inspect { name: names::own(me, chance) },
        Kind::InspectShared => Action::Inspect { name: names::shared(chance) },
        Kind::Verify => plain(&["verify", "--quick"][..1 + usize::from(chance.below(2) == 0)]),
        Kind::Inventory => plain(&["inventory"]),
        Kind::Pending => plain(&["ls", "--pending"]),
        Kind::Policy => Action::Policy { policy: pick::<&str>(chance, &["full", "tag"]) },
    }
}

fn export_kind(chance: &mut Chance) -> &'static str {
    pick::<&str>(chance, &["oci", "hybrid", "docker"])
}

impl Action {
    /// The words of the command; `out` is a file that is this worker's own, and `second` the other repository.
    pub(super) fn words(&self, out: &str, second: &str) -> Vec<String> {
        let json = ["--format", "json"];
        match self {
            Self::Add { name, source, .. } => strings(&[&["add", source, "--ref", name], &json[..]].concat()),
            Self::AddVolume { path } => strings(&[&["add", path], &json[..]].concat()),
            Self::Tag { from, to } => strings(&[&["tag", from, to], &json[..]].concat()),
            Self::Remove { name } => strings(&["rm", name]),
            Self::RemoveAll { pattern, .. } => strings(&["rm", "--glob", pattern]),
            Self::Plain { words, .. } => words.clone(),
            Self::Export { kind, names } => {
                let mut words = strings(&["export", "--type", kind, "-o", out]);
                words.extend(names.iter().cloned());
                words
            }
            Self::Copy => strings(&[&["export", "--type", "dir", "-o", second], &json[..]].concat()),
            Self::List => strings(&[&["ls"], &json[..]].concat()),
            Self::Inspect { name } => strings(&[&["inspect", name], &json[..]].concat()),
            Self::Policy { policy } => strings(&["config", "ref-policy", policy]),
        }
    }
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}
