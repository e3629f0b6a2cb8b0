//! damage: every way of damaging every kind of file of a repository, and what must hold then.
//!
//! What is damaged is found, by digest and by the images concerned; nothing is swept that somebody may need;
//! nobody takes a bad index for an empty one; what is whole goes on working; what is brought again is healed.
//! The real program is tried, and judged by its exit codes, by what it prints and by what lies on the disk.

mod blobs;
mod documents;
mod harm;
mod own;
mod pending;
mod repair;
mod specimen;
mod trial;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, anyhow};
use ocirepo_tests::chance::Chance;

use self::harm::Harm;
use self::pending::Waiting;
use self::specimen::{Specimen, Target};
use crate::context::Context;
use crate::outcome::{Outcome, Tally};

/// One thing that is damaged in one way, and the promise that is tried.
#[derive(Debug, Clone)]
enum Case {
    Blob(Target, Harm),
    Repair(Target, Harm),
    Document(&'static str, Harm),
    Own(&'static str, Harm),
    Pending(&'static str, String, Harm),
}

/// What is damaged.
struct Subjects {
    specimen: Specimen,
    waiting: Waiting,
    can_repair: bool,
}

pub(crate) fn run(context: &Context) -> Outcome {
    let specimen = Specimen::new(context).context("making a repository to be damaged")?;
    let waiting = Waiting::new(context).context("making a repository in which a bundle waits")?;
    let can_repair = repair::is_there(&specimen.ocirepo);
    let subjects = Subjects { specimen, waiting, can_repair };
    let mut chance = context.chance("damage");
    let mut tally = Tally::default();
    let mut is_first = true;
    while is_first || !context.is_over() {
        let mut cases = subjects.cases(&mut chance);
        if is_first {
            cases.sort_by_key(|case| !case.tells_most());
        }
        let tried = try_all(context, &subjects, &cases, &mut tally)?;
        tally.count("whole matrices", u64::from(tried == cases.len()));
        is_first = false;
    }
    Ok(tally)
}

/// Tries cases side by side until the time is over; tells how many. The first loss ends it.
fn try_all(context: &Context, subjects: &Subjects, cases: &[Case], tally: &mut Tally) -> Result<usize> {
    let next = AtomicUsize::new(0);
    let tried: Mutex<(Tally, Option<anyhow::Error>)> = Mutex::default();
    let work = || {
        loop {
            let lost = tried.lock().is_ok_and(|tried| tried.1.is_some());
            let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
            if lost || context.is_over() {
                return;
            }
            let outcome = case.attempt(subjects);
            if let Ok(mut tried) = tried.lock() {
                match outcome {
                    Ok(()) => tried.0.count(case.counts_as(), 1),
                    Err(loss) => drop(tried.1.get_or_insert(loss)),
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).min(4);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let (counts, loss) = tried.into_inner().unwrap_or_default();
    tally.add(&counts);
    loss.map_or_else(|| Ok(next.into_inner().min(cases.len())), Err)
}

impl Subjects {
    /// Every kind of file, damaged in every way, in an order that chance decides.
    fn cases(&self, chance: &mut Chance) -> Vec<Case> {
        let mut cases = Vec::new();
        let targets = &self.specimen.targets;
        for (n, target) in targets.iter().enumerate() {
            let step = 1 + usize::try_from(chance.below(targets.len() as u64 - 1)).unwrap_or(0);
            let other = &targets[(n + step) % targets.len()].digest;
            for harm in Harm::all(chance.below(u64::MAX), &blobs::path(other)) {
                if self.can_repair {
                    cases.push(Case::Repair(target.clone(), harm.clone()));
                }
                cases.push(Case::Blob(target.clone(), harm));
            }
        }
        for (file, other) in documents::DOCUMENTS {
            cases.extend(Harm::all(chance.below(u64::MAX), other).map(|harm| Case::Document(file, harm)));
            cases.extend([(); 6].map(|()| Case::Document(file, Harm::Flip(chance.below(u64::MAX)))));
        }
        for (file, other) in own::FILES {
            cases.extend(Harm::all(chance.below(u64::MAX), other).map(|harm| Case::Own(file, harm)));
        }
        let files = &self.waiting.files;
        for (n, (kind, file)) in files.iter().enumerate() {
            let other = &files[(n + 1) % files.len()].1;
            let harms = Harm::all(chance.below(u64::MAX), other);
            cases.extend(harms.map(|harm| Case::Pending(kind, file.clone(), harm)));
        }
        for n in (1..cases.len()).rev() {
            cases.swap(n, usize::try_from(chance.below(n as u64 + 1)).unwrap_or(n));
        }
        cases
    }
}

impl Case {
    /// Whether it is to be tried before all others.
    fn tells_most(&self) -> bool {
        match self {
            Self::Document(file, harm) => *file == "index.json" && matches!(harm, Harm::Half | Harm::Empty),
            Self::Blob(target, harm) => {
                matches!(harm, Harm::Half)
                    && (target.kind == "a layer" || target.kind == "the manifest of an image")
            }
            _ => false,
        }
    }

    /// What it is counted as.
    fn counts_as(&self) -> &'static str {
        match self {
            Self::Blob(..) => "damaged blobs",
            Self::Repair(..) => "repaired blobs",
            Self::Document(..) => "damaged documents",
            Self::Own(..) => "damaged files of our own",
            Self::Pending(..) => "damaged files of a bundle that waits",
        }
    }

    fn attempt(&self, subjects: &Subjects) -> Result<()> {
        let attempt = || match self {
            Self::Blob(target, harm) => blobs::attempt(&subjects.specimen, target, harm),
            Self::Repair(target, harm) => repair::attempt(&subjects.specimen, target, harm),
            Self::Document(file, harm) => documents::attempt(&subjects.specimen, file, harm),
            Self::Own(file, harm) => own::attempt(&subjects.specimen, file, harm),
            Self::Pending(kind, file, harm) => pending::attempt(&subjects.waiting, kind, file, harm),
        };
        // The testkit panics where a command hangs.
        let outcome = catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            Err(anyhow!("{}", text.unwrap_or_else(|| "the testkit could not go on".to_owned())))
        });
        outcome.with_context(|| format!("{self}"))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(target, harm) | Self::Repair(target, harm) => {
                write!(f, "{} ({}): {harm}", target.kind, target.digest)
            }
            Self::Document(file, harm) | Self::Own(file, harm) => write!(f, "{file}: {harm}"),
            Self::Pending(kind, _, harm) => write!(f, "the {kind} of a bundle that waits: {harm}"),
        }
    }
}
