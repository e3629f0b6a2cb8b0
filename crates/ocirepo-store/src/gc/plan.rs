//! Deciding what goes and what stays, without touching anything.

use std::cell::LazyCell;
use std::collections::HashSet;
use std::path::PathBuf;

use super::mark::Marking;
use super::sharing::open_others;
use super::waiting::Waiting;
use super::{Amount, Garbage, Options, Refusal, Trouble};
use crate::blob::{self, Listing, Stranger};
use crate::digest::Digest;
use crate::disk::Stat;
use crate::error::{Error, Result};
use crate::graph::{Ancestry, BlobId, Fault, Graph, Link};
use crate::index::commit::Snapshot;
use crate::index::{Document, edit};
use crate::ingest::{self, Debris};
use crate::parallel::{let_go, try_in_parallel_counted};
use crate::progress::{Progress, Unit};
use crate::remove;
use crate::repository::{History, INDEX, Repository};
use crate::verify::is_quarantined;

/// What a garbage collection will do. [`Plan::run`] does exactly this.
#[derive(Debug)]
pub struct Plan {
    /// The blobs that stay.
    pub kept: Amount,
    /// The blobs that go, by digest. Empty when the sweep is refused.
    pub garbage: Vec<Garbage>,
    /// Blobs that nothing needs, spared because they are young.
    pub spared: Amount,
    /// Nameless referrers that are dropped from index.json first, by digest.
    pub pruned: Vec<String>,
    /// What is needed and not there.
    pub missing: Vec<Trouble>,
    /// What is there and cannot be used.
    pub broken: Vec<Trouble>,
    /// What lies in `blobs/` and is no blob.
    pub strangers: Vec<Stranger>,
    /// Staging that dead sessions left: how many pieces, and their bytes.
    pub debris: Amount,
    /// Why nothing may be swept, if so.
    pub refusals: Vec<Refusal>,
    pub(super) snapshot: Snapshot,
    pub(super) prune: HashSet<String>,
}

impl Plan {
    /// Whether nothing may be swept.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        !self.refusals.is_empty()
    }

    /// What goes, in all.
    #[must_use]
    pub fn garbage_amount(&self) -> Amount {
        Amount { blobs: self.garbage.len() as u64, bytes: self.garbage.iter().map(|blob| blob.size).sum() }
    }
}

/// So often a plan is made again because index.json has changed meanwhile.
const MAX_LOOKS: usize = 8;

/// Makes a plan. To be run it must be made under the exclusive lock; for a dry run any will do.
///
/// Without that lock others may add while the plan is made. One in which index.json and what lies
/// beside it are of two moments would call their images garbage, or their index a stranger's, so
/// it is made again.
///
/// # Errors
/// When index.json or the directories cannot be read at all. What is wrong with single blobs is in
/// the plan.
pub fn plan(repository: &Repository, options: &Options, progress: &dyn Progress) -> Result<Plan> {
    let mut plan = look(repository, options, progress)?;
    for _ in 1..MAX_LOOKS {
        if repository.root().holds(INDEX, plan.snapshot.text.as_bytes())?.is_some() {
            break;
        }
        plan = look(repository, options, progress)?;
    }
    Ok(plan)
}

fn look(repository: &Repository, options: &Options, progress: &dyn Progress) -> Result<Plan> {
    let sharing = open_others(repository, options)?;
    let others = read_others(&sharing)?;
    // After every index: what one of them names was there before it.
    let list = || blob::list(repository.blobs(), repository.root());
    let (mut snapshot, listing) = repository.read_index_beside(list)?;
    let Listing { blobs, strangers, linked } = listing?;
    let waiting = Waiting::find(sharing.iter().chain([repository]))?;
    let mut prune = HashSet::new();
    let mut pruned = Vec::new();
    let mut unknown = None;
    if options.prune_referrers {
        let orphans = match remove::orphan_referrers(repository, &snapshot.document) {
            // The plan will say so too, with the images.
            Err(error @ (Error::BrokenManifest { .. } | Error::StrangeEntry { .. })) => {
                unknown = Some(error);
                Vec::new()
            }
            orphans => orphans?,
        };
        for position in orphans {
            let entry = &snapshot.document.entries()[position];
            pruned.push(entry.digest_text().unwrap_or_default().to_owned());
            prune.insert(entry.json().to_owned());
        }
        edit::remove(&mut snapshot.document, &prune);
    }
    let marking = Marking { documents: repository.blobs(), progress, unreadable: &Err };
    let graph = marking.mark(repository, &snapshot.document, &others, blobs)?;
    let (missing, broken) = troubles(repository, &graph)?;
    if let Some(error) = unknown.filter(|_| broken.is_empty()) {
        // It could be read the second time. What it kept the first time nobody knows.
        return Err(error);
    }
    let mut plan = Plan {
        kept: Amount::default(),
        garbage: Vec::new(),
        spared: Amount::default(),
        pruned,
        missing,
        broken,
        debris: debris(repository)?,
        refusals: Vec::new(),
        prune,
        snapshot,
        strangers,
    };
    sort_out(repository, &graph, &waiting.needed, options, progress, &mut plan)?;
    let_go(graph);
    plan.refusals = refusals(repository, options, &plan, &others, linked)?;
    if !waiting.broken.is_empty() {
        let ids = waiting.broken.iter().filter_map(|trouble| trouble.digest.clone()).collect();
        plan.refusals.push(Refusal::BrokenPending(ids));
        plan.broken.extend(waiting.broken);
    }
    if plan.is_refused() {
        for blob in std::mem::take(&mut plan.garbage) {
            plan.kept.add(blob.size);
        }
    }
    Ok(plan)
}

fn read_others(others: &[Repository]) -> Result<Vec<(String, Document)>> {
    others.iter().map(|other| Ok((other.path().display().to_string(), other.index()?))).collect()
}

/// Puts every blob on one side or the other. What is reached is as large as it was declared to be;
/// what is not is measured.
fn sort_out(
    repository: &Repository,
    graph: &Graph,
    needed: &HashSet<Digest>,
    options: &Options,
    progress: &dyn Progress,
    plan: &mut Plan,
) -> Result<()> {
    for (_, blob) in graph.blobs().filter(|(_, blob)| blob.is_listed) {
        let size = match blob.size.filter(|_| blob.other_size.is_none()) {
            None => repository.blobs().stat(&blob.digest)?.map(|stat| stat.size),
            declared => declared,
        };
        size.into_iter().for_each(|size| plan.kept.add(size));
    }
    let unreached = graph.unreached();
    progress.begin("measuring garbage", Unit::Items, Some(unreached.len() as u64));
    let measure = |digest: &&Digest| -> Result<Option<Measured>> {
        let stat = repository.blobs().stat(digest)?;
        Ok(stat.map(|stat| Measured { size: stat.size, is_young: is_young(&stat, options) }))
    };
    let measured = try_in_parallel_counted(&unreached, repository.jobs(), progress, measure);
    progress.end();
    for (digest, found) in unreached.into_iter().zip(measured?) {
        let Some(Measured { size, is_young }) = found else { continue };
        if needed.contains(digest) {
            plan.kept.add(size);
        } else if is_young {
            plan.spared.add(size);
        } else {
            plan.garbage.push(Garbage { digest: digest.clone(), size });
        }
    }
    plan.garbage.sort_unstable_by(|a, b| a.digest.cmp(&b.digest));
    Ok(())
}

/// What garbage is judged by.
struct Measured {
    size: u64,
    is_young: bool,
}

fn is_young(stat: &Stat, options: &Options) -> bool {
    !options.grace.is_zero() && stat.age() < options.grace
}

/// What is missing and what is broken, each with the images that need it.
pub(crate) fn troubles(repository: &Repository, graph: &Graph) -> Result<(Vec<Trouble>, Vec<Trouble>)> {
    // Mostly nothing is missing, and nobody asks.
    let ancestry = LazyCell::new(|| graph.ancestry());
    let trouble = |blob, reason: String| Trouble {
        digest: Some(graph.blob(blob).digest.to_string()),
        is_root: ancestry.is_root(blob),
        reason,
        images: ancestry.labels_of(blob),
    };
    let mut missing = Vec::new();
    let mut broken = Vec::new();
    for fault in &graph.faults {
        match fault {
            Fault::BrokenEntry { root, reason } => broken.push(Trouble {
                digest: None,
                is_root: true,
                reason: reason.clone(),
                images: vec![graph.roots[*root].label.clone()],
            }),
            Fault::Broken { blob, reason } => broken.push(trouble(*blob, reason.clone())),
            Fault::Missing { blob } if is_optional(graph, &ancestry, *blob) => {}
            // Whoever moved it aside is about to bring a good copy, and it will need what it names.
            Fault::Missing { blob } if is_quarantined(repository, &graph.blob(*blob).digest)? => {
                broken.push(trouble(*blob, "it is damaged, and was moved aside".to_owned()));
            }
            Fault::Missing { blob } => {
                let what = if ancestry.is_root(*blob) { "the manifest of a root" } else { "a manifest" };
                missing.push(trouble(*blob, format!("{what} is not there")));
            }
        }
    }
    for (id, blob) in graph.blobs() {
        let is_accounted_for = blob.is_document || blob.may_be_absent || blob.is_listed;
        if is_accounted_for || is_optional(graph, &ancestry, id) {
            continue;
        }
        // What is not listed may still lie under an algorithm that is not known.
        if blob.digest.algorithm().is_some() || repository.blob_size(&blob.digest)?.is_none() {
            missing
                .push(Trouble { is_root: false, ..trouble(id, "a config or layer is not there".to_owned()) });
        }
    }
    Ok((missing, broken))
}

/// Whether nobody needs a blob for sure: referrers may outlive what they are about, and what
/// merely looks like a descriptor in a document of unknown type may be none.
fn is_optional(graph: &Graph, ancestry: &Ancestry<'_>, blob: BlobId) -> bool {
    !ancestry.is_root(blob)
        && graph.parents(blob).all(|(_, link)| matches!(link, Link::Subject | Link::Guess))
}

fn refusals(
    repository: &Repository,
    options: &Options,
    plan: &Plan,
    others: &[(String, Document)],
    linked: Vec<PathBuf>,
) -> Result<Vec<Refusal>> {
    let mut refusals = Vec::new();
    if !plan.broken.is_empty() {
        refusals.push(Refusal::Broken);
    }
    if !options.ignore_missing_roots && plan.missing.iter().any(|trouble| trouble.is_root) {
        refusals.push(Refusal::MissingRoots);
    }
    let no_roots = plan.snapshot.document.entries().is_empty() && plan.pruned.is_empty() && others.is_empty();
    if no_roots && !options.allow_empty && !plan.garbage.is_empty() {
        let history = History::read(repository.own_dir()?.as_ref());
        if !history.knows(plan.snapshot.text.as_bytes()) {
            refusals.push(Refusal::EmptyIndex);
        }
    }
    if !linked.is_empty() && others.is_empty() && !plan.garbage.is_empty() {
        refusals.push(Refusal::SharedBlobs(linked));
    }
    Ok(refusals)
}

/// What dead sessions left, as far as can be told without a lock.
fn debris(repository: &Repository) -> Result<Amount> {
    let Some(own) = repository.own_dir()? else { return Ok(Amount::default()) };
    let Some(tmp) = own.open_own_dir(ingest::TMP)? else { return Ok(Amount::default()) };
    let mut amount = Amount::default();
    // Nothing is removed here, so a directory that cannot be judged is none of our business.
    for Debris { bytes, .. } in ingest::find_dead(&tmp).unwrap_or_default() {
        amount.add(bytes);
    }
    Ok(amount)
}
