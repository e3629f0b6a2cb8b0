//! Carrying out a plan.

use std::collections::BTreeSet;

use super::sharing::open_others;
use super::{Amount, Garbage, Options, Plan, plan};
use crate::error::{Error, Result};
use crate::index::commit::commit;
use crate::index::edit;
use crate::index::place;
use crate::ingest;
use crate::lock::Exclusive;
use crate::parallel::try_in_parallel_counted;
use crate::progress::{Progress, Unit};
use crate::repository::{INDEX, Repository};

/// What a garbage collection removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Swept {
    /// Blobs.
    pub blobs: Amount,
    /// Staging of dead sessions.
    pub debris: Amount,
}

/// So often is a plan made anew because another tool changed index.json meanwhile.
const ATTEMPTS: usize = 10;

/// Collects garbage: waits for the exclusive lock, plans, and runs the plan unless it is refused,
/// in which case nothing was removed.
///
/// # Errors
/// [`Error::LockTimeout`], [`Error::Contended`], and when the file system refuses.
pub fn collect(repository: &Repository, options: &Options, progress: &dyn Progress) -> Result<(Plan, Swept)> {
    let others = open_others(repository, options)?;
    // Nobody may add to a sharing repository either while its blobs are judged. Everybody takes the
    // locks in the same order.
    let mut together: Vec<&Repository> = others.iter().chain([repository]).collect();
    together.sort_by_cached_key(|repository| std::fs::canonicalize(repository.path()).ok());
    let locks = together.into_iter().map(Repository::lock_exclusive).collect::<Result<Vec<_>>>()?;
    let lock = locks
        .iter()
        .find(|lock| std::ptr::eq::<Repository>(&***lock, repository))
        .expect("the repository is one of those that were locked");

    recover(repository)?;
    let mut pruned = Vec::new();
    for _ in 0..ATTEMPTS {
        let mut plan = plan(repository, options, progress)?;
        if plan.is_refused() {
            return Ok((plan, Swept::default()));
        }
        if !plan.prune.is_empty() {
            commit(repository, &mut || Ok(()), &mut |document, _| {
                edit::remove(document, &plan.prune);
                Ok(())
            })?;
            pruned.append(&mut plan.pruned);
            continue;
        }
        if plan.snapshot.is_current(repository)? {
            plan.pruned = pruned;
            let swept = plan.run(lock, progress)?;
            return Ok((plan, swept));
        }
    }
    Err(Error::Contended { path: repository.path().join(INDEX) })
}

impl Plan {
    /// Removes what the plan says. The plan must have been made under this very lock.
    ///
    /// # Errors
    /// When the file system refuses; what was removed until then was garbage.
    pub fn run(&self, lock: &Exclusive<'_>, progress: &dyn Progress) -> Result<Swept> {
        let repository: &Repository = lock;
        let mut swept = Swept { debris: clean_staging(repository)?, ..Swept::default() };
        if self.is_refused() {
            return Ok(swept);
        }
        if !self.garbage.is_empty() {
            // The index before this one may name what goes now, and must not come back.
            place::settle(repository)?;
            repository.stop().note_change();
        }
        progress.begin("sweeping", Unit::Items, Some(self.garbage.len() as u64));
        let mut algorithms = BTreeSet::new();
        // Names go one at a time, but the file system frees what was behind them side by side; and one
        // that discards what it frees returns only when the disk has.
        let remove = |blob: &Garbage| -> Result<bool> {
            let Some(dir) = repository.blobs().dir(blob.digest.algorithm_name())? else { return Ok(false) };
            dir.unlink(blob.digest.encoded())
        };
        let removed = try_in_parallel_counted(&self.garbage, repository.jobs(), progress, remove)?;
        for (blob, is_removed) in self.garbage.iter().zip(removed) {
            if is_removed {
                swept.blobs.add(blob.size);
                algorithms.insert(blob.digest.algorithm_name());
            }
        }
        for algorithm in algorithms {
            if let Some(dir) = repository.blobs().dir(algorithm)? {
                dir.sync()?;
            }
        }
        progress.end();
        Ok(swept)
    }
}

/// What a killed writer took out of index.json without knowing it is put back before it is judged.
fn recover(repository: &Repository) -> Result<()> {
    let (own, _) = repository.ensure_own_dir()?;
    let _lock = repository.lock_index()?;
    place::recover(repository, &own)
}

/// Removes what dead sessions and killed writers left in `.ocirepo/`.
fn clean_staging(repository: &Repository) -> Result<Amount> {
    let (own, _) = repository.ensure_own_dir()?;
    let _lock = repository.lock_index()?;
    place::recover(repository, &own)?;
    let mut amount = Amount::default();
    for found in own.list()? {
        if found.name.ends_with(".new") {
            own.unlink(&found.name)?;
        }
    }
    if let Some(tmp) = own.open_own_dir(ingest::TMP)? {
        for debris in ingest::remove_dead(&tmp)? {
            amount.add(debris.bytes);
        }
    }
    Ok(amount)
}
