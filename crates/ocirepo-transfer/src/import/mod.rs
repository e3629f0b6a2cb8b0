//! Import: a source becomes blobs and entries of a repository, all of it or nothing.
//!
//! 1. `open` opens the source: a directory, a tar file to be read where it lies, or a stream that
//!    is spooled into the ingest's staging.
//! 2. `recognise` says what it is; `oci`, `docker` and `v1` read which images it holds.
//! 3. `merge` joins what one archive lists twice, `choose` and `platform` leave what is not wanted.
//! 4. The images that are left are brought in, their layers stored as `layers` is told to.
//! 5. `naming` decides what the entries are called, and one commit puts them.
//!
//! A volume of a bundle that was split goes another way first: `volumes` has it wait for the others.

mod base;
pub(crate) mod carrier;
mod choose;
pub(crate) mod companions;
mod docker;
mod existing;
mod join;
pub(crate) mod layers;
pub(crate) mod listing;
pub(crate) mod made;
mod merge;
pub(crate) mod naming;
pub(crate) mod oci;
pub(crate) mod open;
mod options;
mod plan;
pub(crate) mod platform;
mod platforms;
pub(crate) mod recognise;
mod synthesis;
pub(crate) mod task;
mod v1;
pub(crate) mod volumes;

use std::collections::HashMap;
use std::io::Read;

use ocirepo_store::index::Document;
use ocirepo_store::index::edit::Put;
use ocirepo_store::ingest::{Counts, Ingest};
use ocirepo_store::{Digest, Progress};

use crate::error::Result;
use crate::source::Source;
use open::Opened;
pub use options::{ImportOptions, InvalidLayers, InvalidPlatform, Layers, PlatformPattern, Select, Untagged};
use plan::Plan;
use task::Task;
use volumes::Taken;
pub use volumes::{PendingVolumes, WaitingBundle, complete_waiting, find_waiting, waiting_bundles};

/// What an import did.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Imported {
    /// The entries that were put, one for each name, in the order of the source.
    pub images: Vec<ImportedImage>,
    /// The blobs that came with them.
    pub counts: Counts,
    /// What is odd about the source as a whole.
    pub warnings: Vec<String>,
    /// What is still needed, if the source was a volume of a bundle. As long as that is something,
    /// there are no images.
    pub pending: Option<PendingVolumes>,
}

/// One entry that was put into index.json.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ImportedImage {
    /// Its name; `None` for a nameless one.
    pub reference: Option<String>,
    /// Its digest.
    pub digest: Digest,
    /// Where its image stands in the source, from 0: what [`Select`] calls `@N`.
    pub position: usize,
    /// The digest that had the name before.
    pub previous: Option<String>,
    /// Whether index.json already said all of it.
    pub unchanged: bool,
    /// The images that lost their ref.name to it, as `reference@digest`.
    pub displaced: Vec<String>,
    /// What is odd about it.
    pub warnings: Vec<String>,
    /// The format it came in, such as `docker archive`.
    pub format: &'static str,
}

/// Brings the images of `source` into the repository. In a rehearsal
/// ([`ocirepo_store::lock::Reading::rehearse`]) everything is read and proven, and nothing written.
///
/// # Errors
/// See [`crate::Error`]; the repository is then as it was.
pub fn import(
    ingest: Ingest<'_>,
    source: &Source,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Imported> {
    let opened = open::source(&ingest, source, options, progress)?;
    let _task = Task::syncing(progress, &source.to_string());
    finish(ingest, opened, options)
}

/// Brings the images of a tar stream into the repository, reading it once. `label` is what to call
/// it in messages.
///
/// # Errors
/// See [`crate::Error`]; the repository is then as it was.
pub fn import_stream(
    ingest: Ingest<'_>,
    stream: &mut (dyn Read + Send),
    label: &str,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Imported> {
    let opened = open::stream(&ingest, stream, label, options, progress)?;
    let _task = Task::syncing(progress, label);
    finish(ingest, opened, options)
}

fn finish(ingest: Ingest<'_>, opened: Opened<'_>, options: &ImportOptions) -> Result<Imported> {
    match opened {
        Opened::Whole(plan) => commit(ingest, plan, options, Names::Move),
        Opened::Volume(taken) => finish_volume(ingest, taken, options, Names::Move),
    }
}

/// What becomes of a name that stands for something else.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// It moves to what comes in.
    Move,
    /// It stays, and nothing comes in: nobody asked for this now.
    Stay,
}

impl Names {
    /// Refuses names that stand for something else in `index`, if they are to stay.
    fn check<'n>(
        self,
        index: &Document,
        mut named: impl Iterator<Item = (String, &'n str)>,
    ) -> Result<(), ocirepo_store::Error> {
        if self == Self::Move {
            return Ok(());
        }
        let mut holders: HashMap<String, Vec<&str>> = HashMap::new();
        for entry in index.entries() {
            let Some(name) = entry.name() else { continue };
            holders.entry(name.to_string()).or_default().push(entry.digest_text().unwrap_or("?"));
        }
        named.try_for_each(|(name, digest)| {
            let mut held = holders.get(&name).into_iter().flatten();
            match held.find(|held| **held != digest) {
                Some(&held) => {
                    let (held, digest) = (held.to_owned(), digest.to_owned());
                    Err(ocirepo_store::Error::NameHeld { name, held, digest })
                }
                None => Ok(()),
            }
        })
    }
}

/// What an entry is called, and its digest; nothing for a nameless one.
fn named(put: &Put) -> Option<(String, &str)> {
    Some((put.name.as_ref()?.to_string(), put.entry.digest_text()?))
}

fn finish_volume(
    ingest: Ingest<'_>,
    taken: Taken<'_>,
    options: &ImportOptions,
    names: Names,
) -> Result<Imported> {
    match taken {
        Taken::Waits(pending, warnings) => {
            Ok(Imported { images: Vec::new(), counts: Counts::default(), warnings, pending: Some(pending) })
        }
        Taken::Completes(plan, pending, state) => {
            let mut imported = commit(ingest, plan, options, names)?;
            if let Some(Err(error)) = pending.map(|pending| pending.remove()) {
                // The images are in; adding any volume again will do.
                imported.warnings.push(format!("what waited of the bundle is still there: {error}"));
            }
            Ok(Imported { pending: Some(state), ..imported })
        }
    }
}

fn commit(ingest: Ingest<'_>, plan: Plan, options: &ImportOptions, names: Names) -> Result<Imported> {
    ingest.remember(plan.facts);
    let mut puts = Vec::new();
    let committed = ingest.commit_with(&mut |ingest, index, _| {
        puts = match options.merge_platforms {
            true => existing::join(ingest, index, &plan.entries)?,
            false => plan.entries.iter().map(|planned| planned.put.clone()).collect(),
        };
        names.check(index, puts.iter().filter_map(named))?;
        Ok(puts.clone())
    })?;
    let images = plan
        .entries
        .into_iter()
        .zip(puts)
        .zip(committed.puts)
        .map(|((planned, put), outcome)| ImportedImage {
            reference: put.name.map(|name| name.to_string()),
            digest: put.entry.digest().cloned().unwrap_or(planned.digest),
            position: planned.position,
            previous: outcome.previous,
            unchanged: outcome.unchanged,
            displaced: outcome.displaced,
            warnings: planned.warnings,
            format: planned.format,
        })
        .collect();
    Ok(Imported { images, counts: committed.counts, warnings: plan.warnings, pending: None })
}

#[cfg(test)]
mod tests {
    use super::naming::Planned;
    use super::*;
    use ocirepo_store::index::Entry;
    use ocirepo_store::name::Name;
    use ocirepo_store::{Error as StoreError, InitOptions, Repository, Settings};

    /// The name may have been given while the bundle was brought in, so the commit itself must see it.
    #[test]
    fn a_name_that_is_to_stay_is_looked_for_at_the_commit_too() {
        let dir = tempfile::tempdir().unwrap();
        let (repository, _) =
            Repository::init(dir.path(), InitOptions::default(), Settings::default()).unwrap();
        let lock = repository.lock_shared().unwrap();
        let put = |content: &[u8], names: Names| {
            let ingest = lock.ingest().unwrap();
            let digest = ingest.put_bytes(content).unwrap();
            let media_type = "application/vnd.oci.image.manifest.v1+json";
            let entry = Entry::for_descriptor(media_type, &digest, content.len() as u64, None);
            let put = Put { entry, name: Some(Name::parse("test/app:1").unwrap()), replace: false };
            let (children, warnings) = (Vec::new(), Vec::new());
            let planned = Planned { put, digest, position: 0, children, warnings, format: "test" };
            let plan = Plan { entries: vec![planned], warnings: Vec::new(), facts: Vec::new() };
            commit(ingest, plan, &ImportOptions::default(), names)
        };
        put(b"{}", Names::Stay).unwrap();
        let before = repository.index().unwrap().to_bytes();
        let refused = put(b"{ }", Names::Stay).unwrap_err();
        assert!(matches!(&refused, crate::Error::Store(StoreError::NameHeld { .. })), "{refused}");
        assert_eq!(repository.index().unwrap().to_bytes(), before);
        assert_eq!(repository.blob_size(&Digest::sha256(b"{ }")).unwrap(), None);
        assert!(put(b"{}", Names::Stay).unwrap().images[0].unchanged);
        assert!(put(b"{ }", Names::Move).unwrap().images[0].previous.is_some());
    }
}
