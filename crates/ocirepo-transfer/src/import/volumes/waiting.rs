//! Bundles that wait: what is there of them, and completing one whose last blob or whose base came
//! another way.

use std::collections::HashMap;

use ocirepo_store::lock::Shared;
use ocirepo_store::pending::PendingBundle;
use ocirepo_store::{Digest, Progress, Repository};

use super::stock::{self, Record, Stock};
use super::whole::Whole;
use super::{Taken, complete};
use crate::bundle::{Toc, TocImage};
use crate::error::{Error, Result, escape};
use crate::import::task::Task;
use crate::import::{ImportOptions, Imported, Names, finish_volume};

/// A volume that was taken, and what is still needed of its bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingVolumes {
    /// The bundle.
    pub bundle: Digest,
    /// The volume that was taken, from 1; `None` when the bundle waited for something else.
    pub volume: Option<u32>,
    /// How many volumes there are.
    pub volumes: u32,
    /// Those that are still needed; none when the bundle is complete.
    pub needed: Vec<u32>,
}

/// A bundle of which some volumes have come.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WaitingBundle {
    /// The bundle.
    pub bundle: Digest,
    /// How many volumes there are.
    pub volumes: u32,
    /// Those that are still needed.
    pub needed: Vec<u32>,
    /// How many bytes of it wait.
    pub bytes: u64,
    /// The images that it will bring.
    pub images: Vec<TocImage>,
    /// What is wrong, when it cannot be read.
    pub problem: Option<String>,
}

/// Every bundle that waits for volumes, by id.
///
/// # Errors
/// When what waits cannot be listed. A bundle that cannot be read is in the list, and says so.
pub fn waiting_bundles(repository: &Repository) -> Result<Vec<WaitingBundle>> {
    repository.pendings()?.iter().map(|pending| describe(repository, pending)).collect()
}

/// So many hex digits of an id at least say which bundle is meant.
const MIN_PREFIX: usize = 7;

/// The bundle that waits and is meant by its id, or by 7 or more hex digits that begin it.
///
/// # Errors
/// [`Error::NoSuchBundle`] and [`Error::AmbiguousBundle`].
pub fn find_waiting(repository: &Repository, wanted: &str) -> Result<Digest> {
    let prefix = wanted.strip_prefix("sha256:").unwrap_or(wanted);
    let ids: Vec<Digest> = repository.pendings()?.iter().map(|pending| pending.id().clone()).collect();
    let fits = |id: &&Digest| prefix.len() >= MIN_PREFIX && id.encoded().starts_with(prefix);
    let found: Vec<&Digest> = ids.iter().filter(fits).collect();
    let spell = |ids: &[&Digest]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    match found.as_slice() {
        [only] => Ok((*only).clone()),
        [] => {
            let bundles = spell(&ids.iter().collect::<Vec<_>>());
            Err(Error::NoSuchBundle { wanted: escape(wanted), bundles })
        }
        _ => Err(Error::AmbiguousBundle { wanted: escape(wanted), bundles: spell(&found) }),
    }
}

fn describe(repository: &Repository, pending: &PendingBundle) -> Result<WaitingBundle> {
    let mut bundle = WaitingBundle {
        bundle: pending.id().clone(),
        volumes: 0,
        needed: Vec::new(),
        bytes: pending.bytes()?,
        images: Vec::new(),
        problem: None,
    };
    match read(pending) {
        Ok((_, toc)) => {
            let needed = Stock { repository, pending: Some(pending) }.needed(&toc)?;
            bundle.needed = needed.into_iter().collect();
            bundle.volumes = toc.volumes;
            bundle.images = toc.images;
        }
        Err(reason) => bundle.problem = Some(reason),
    }
    Ok(bundle)
}

fn read(pending: &PendingBundle) -> Result<(Record, Toc), String> {
    let record = Record::parse(pending.toc()?)?;
    let toc = Toc::parse(record.toc.as_bytes())?;
    Ok((record, toc))
}

/// Completes a bundle that waits if nothing of it is still to come and its base is there: that may
/// have come with another source. `None` when there is something to wait for. No name moves: the
/// bundle may have been forgotten, and only whoever adds a volume of it asks for its names now.
///
/// # Errors
/// [`ocirepo_store::Error::NameHeld`] when a name would move, and see [`Error`]; the bundle then waits
/// on.
pub fn complete_waiting(
    lock: &Shared<'_>,
    bundle: &Digest,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Option<Imported>> {
    let repository: &Repository = lock;
    let Some(waiting) = repository.pending(bundle)? else { return Ok(None) };
    let Ok((record, toc)) = read(&waiting) else { return Ok(None) };
    let stock = Stock { repository, pending: Some(&waiting) };
    if !stock.needed(&toc)?.is_empty() {
        return Ok(None);
    }
    for blob in &toc.required {
        if !stock.is_in_repository(&blob.digest, blob.size)? {
            return Ok(None);
        }
    }
    // Before any work; what counts is asked again at the commit.
    Names::Stay.check(&repository.index()?, listed(&toc))?;
    let ingest = lock.ingest()?;
    let label = format!("bundle {bundle}");
    let pending = ingest.open_pending(bundle, &record.to_bytes(), &stock::needs(&toc))?;
    let whole = Whole::new(&label, &record, &toc, Stock { repository, pending: Some(&pending) }, None);
    let plan = complete(&ingest, &whole, options, progress)?;
    let (bundle, volumes) = (bundle.clone(), toc.volumes);
    let state = PendingVolumes { bundle, volume: None, volumes, needed: Vec::new() };
    let taken = Taken::Completes(plan, Some(Box::new(pending)), state);
    let _task = Task::syncing(progress, &label);
    finish_volume(ingest, taken, options, Names::Stay).map(Some)
}

/// The names that a bundle brings and what they are for. Several images under one name are joined, so
/// their digests say nothing yet.
fn listed(toc: &Toc) -> impl Iterator<Item = (String, &str)> {
    let mut counts: HashMap<&str, u32> = HashMap::new();
    for name in toc.images.iter().filter_map(|image| image.reference.as_deref()) {
        *counts.entry(name).or_default() += 1;
    }
    toc.images.iter().filter_map(move |image| {
        let name = image.reference.as_deref().filter(|name| counts.get(name) == Some(&1))?;
        Some((name.to_owned(), image.digest.as_str()))
    })
}
