//! Bundles that come in volumes: each goes in by itself, in any order, and the last completes the
//! bundle.
//!
//! # What it promises
//! - A volume is proven as a whole before any of it is kept. One that is damaged is named, changes
//!   nothing, and is replaced by a good copy of the same volume.
//! - What waits is proven again when the bundle is completed. What is damaged goes, and the volumes
//!   that hold it are named: good copies of them are taken.
//! - The base is looked for before anything is kept, and again before the bundle is completed.
//! - Volumes may come twice, and from several processes at once.
//! - A complete bundle goes the way of every archive: what comes out is what the bundle in one piece
//!   would have given. What waits is removed after the commit.

mod damage;
mod label;
mod proof;
mod stock;
mod waiting;
mod whole;

use std::collections::BTreeSet;
use std::ops::Deref;

use ocirepo_store::Progress;
use ocirepo_store::ingest::{Ingest, Staged};
use ocirepo_store::pending::Pending;

pub(crate) use label::blame;
pub use waiting::{PendingVolumes, WaitingBundle, complete_waiting, find_waiting, waiting_bundles};

use self::proof::{Item, Volume};
use self::stock::{Record, Stock};
use self::whole::{InHand, Whole};
use super::base;
use super::carrier::{BlobNames, Carrier};
use super::options::{ImportOptions, Layers, Untagged};
use super::plan::{Plan, plan};
use super::recognise::{Recognised, recognise};
use crate::archive::limits::MAX_INDEX;
use crate::archive::{Content, read_whole};
use crate::bundle::Toc;
use crate::error::{Error, Result};

/// What the images of a complete bundle come in.
const FORMAT: &str = "OCI archive";

/// What became of a volume.
pub(crate) enum Taken<'l> {
    /// Others are still needed.
    Waits(PendingVolumes, Vec<String>),
    /// It was the last: everything is in the session, and what waits goes once that is committed.
    Completes(Plan, Option<Box<Pending<'l>>>, PendingVolumes),
}

/// Whether an archive is one of several volumes.
pub(crate) fn is_volume(recognised: &Recognised) -> bool {
    recognised.toc.as_ref().is_some_and(|toc| toc.volumes > 1)
}

/// Takes a volume.
///
/// # Errors
/// [`Error::BadVolume`], and see [`Error`]. What came before stays.
pub(crate) fn take<'l>(
    ingest: &Ingest<'l>,
    content: &dyn Content,
    recognised: Recognised,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Taken<'l>> {
    let Recognised { prefix, toc: Some(toc), .. } = recognised else {
        return Err(Error::NotAnArchive {
            archive: content.label().to_owned(),
            reason: "it has no table of contents".to_owned(),
        });
    };
    check_options(content.label(), options)?;
    let carrier = Carrier::new(content, (prefix, BlobNames::Layout), ingest, progress);
    let volume = Volume::read(&carrier, &toc).map_err(|error| blame(content, error))?;
    let record = record(&carrier, &toc)?;
    let waiting = ingest.repository().pending(&toc.id)?;
    if let Some(Ok(found)) = waiting.as_ref().map(|waiting| waiting.toc())
        && found != record.to_bytes()
    {
        return Err(volume.bad("its index.json is not that of the volumes that came before"));
    }
    base::check(&carrier, &toc, options.verify_base)?;
    let before = Stock { repository: ingest.repository(), pending: waiting.as_ref() };
    let was_there = waiting.is_none() && before.needed(&toc)?.is_empty();
    let staged = volume.prove(&|item| is_wanted(&before, item)).map_err(|error| blame(content, error))?;

    let state = |needed: BTreeSet<u32>| PendingVolumes {
        bundle: toc.id.clone(),
        volume: Some(volume.label.volume),
        volumes: toc.volumes,
        needed: needed.into_iter().collect(),
    };
    let options = ImportOptions { verify_base: false, ..options.clone() };
    if ingest.is_rehearsal() {
        let mut needed = before.needed(&toc)?;
        needed.remove(&volume.label.volume);
        if !needed.is_empty() {
            return Ok(Taken::Waits(state(needed), content.warnings().to_vec()));
        }
        let in_hand = Some(InHand { content, prefix: &carrier.prefix });
        let whole = Whole::new(content.label(), &record, &toc, before, in_hand);
        let mut plan = complete(ingest, &whole, &options, progress)?;
        plan.warnings.extend_from_slice(content.warnings());
        return Ok(Taken::Completes(plan, None, state(needed)));
    }
    let pending = if was_there {
        None
    } else {
        let pending = ingest.open_pending(&toc.id, &record.to_bytes(), &stock::needs(&toc))?;
        keep(ingest, &pending, &volume.items, staged)?;
        Some(Box::new(pending))
    };
    let stock = Stock { repository: ingest.repository(), pending: pending.as_deref().map(Deref::deref) };
    let needed = stock.needed(&toc)?;
    if !needed.is_empty() {
        return Ok(Taken::Waits(state(needed), content.warnings().to_vec()));
    }
    let state = state(needed);
    let whole = Whole::new(content.label(), &record, &toc, stock, None);
    let mut plan = complete(ingest, &whole, &options, progress)?;
    plan.warnings.extend_from_slice(content.warnings());
    Ok(Taken::Completes(plan, pending, state))
}

/// Proves a volume: by its sizes alone, or all of it. Gives its number.
///
/// # Errors
/// [`Error::BadVolume`], and when it cannot be read.
pub(crate) fn check(carrier: &Carrier<'_>, toc: &Toc, hash: bool) -> Result<u32> {
    let prove = || {
        let volume = Volume::read(carrier, toc)?;
        match hash {
            true => volume.prove(&|_| Ok(false)).map(drop)?,
            false => volume.measure()?,
        }
        Ok(volume.label.volume)
    };
    prove().map_err(|error| blame(carrier.content, error))
}

/// The number of the volume that an archive says it is, if it can be told.
pub(crate) fn number(carrier: &Carrier<'_>) -> Option<u32> {
    label::Label::read(carrier.content, &carrier.prefix).ok().flatten().map(|label| label.volume)
}

/// Brings a bundle into the session that is all there.
fn complete(
    ingest: &Ingest<'_>,
    whole: &Whole<'_>,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Plan> {
    // The base is checked again on the way.
    let plan = recognise(whole).and_then(|found| plan(ingest, whole, found, FORMAT, options, progress));
    plan.map_err(|error| damage::clear(ingest, whole, error))
}

/// Has what was staged of a volume wait.
fn keep(
    ingest: &Ingest<'_>,
    pending: &Pending<'_>,
    items: &[Item],
    staged: Vec<Option<Staged>>,
) -> Result<()> {
    for (item, staged) in items.iter().zip(staged) {
        let Some(staged) = staged else { continue };
        let staged = pending.adopt(ingest, staged)?;
        match item.part {
            None => pending.keep(staged)?,
            Some(number) => pending.keep_part(&item.blob, number, staged)?,
        }
    }
    Ok(pending.publish()?)
}

/// Whether something of a volume is neither in the repository nor waiting.
fn is_wanted(stock: &Stock<'_>, item: &Item) -> Result<bool> {
    if stock.is_in_repository(&item.blob, item.of)? {
        return Ok(false);
    }
    let waits = match item.part {
        None => stock.waits(&item.blob, item.size)?,
        Some(number) => stock.part_waits(&item.blob, number, item.size)?,
    };
    Ok(!waits)
}

fn record(carrier: &Carrier<'_>, toc: &Toc) -> Result<Record> {
    let member = carrier.find("index.json")?;
    let bytes = member.map_or(Ok(Vec::new()), |member| read_whole(carrier.content, &member, MAX_INDEX))?;
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes).map_err(|_| Error::member(carrier.label(), "index.json", "it is not UTF-8"))
    };
    Ok(Record { toc: text(toc.to_bytes())?, index: text(bytes)? })
}

/// What one volume holds can neither be chosen from nor changed.
fn check_options(archive: &str, options: &ImportOptions) -> Result<()> {
    let refused = [
        (options.reference.is_some(), "--ref"),
        (!options.select.is_empty(), "--select"),
        (options.untagged == Untagged::Skip, "--untagged skip"),
        (!options.platforms.is_empty(), "--platform"),
        (options.require_complete, "--require-complete"),
        (options.merge_platforms, "--merge-platforms"),
        (options.layers != Layers::Keep, "--layers"),
    ];
    match refused.into_iter().find(|(is_given, _)| *is_given) {
        Some((_, option)) => Err(Error::VolumeAsItIs { archive: archive.to_owned(), option }),
        None => Ok(()),
    }
}
