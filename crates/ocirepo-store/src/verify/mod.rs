//! Verification: is everything there, at its right size, and what its digest says?
//!
//! Every finding is collected, none stops the work, and each names the images that it breaks.
//! What is legal though unusual (orphans, sparse images, strangers) is a note, not an error.

mod finding;
mod hash;
mod judge;

use std::collections::{BTreeMap, BTreeSet};

pub use finding::{Finding, Kind, Severity};
pub use hash::State;
pub use judge::judge;

use crate::blob::{self, Listing};
use crate::digest::Digest;
use crate::error::Result;
use crate::gc::mark::mark;
use crate::gc::waiting::Waiting;
use crate::graph::{Fault, Graph, Walk};
use crate::index::Document;
use crate::ingest;
use crate::progress::Progress;
use crate::repository::Repository;

/// What to verify.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only presence and size; blobs are not read. Manifests are, always.
    pub quick: bool,
    /// Only these images, by name, digest or position. Everything when empty.
    pub queries: Vec<String>,
}

/// What verification found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// How many blobs were looked at.
    pub blobs: u64,
    /// Their sizes, in bytes.
    pub bytes: u64,
    /// Everything that was found, worst first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether any finding is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity() == Severity::Error)
    }
}

/// Verifies a repository, holding off sweeps meanwhile where that can be had.
///
/// # Errors
/// When index.json cannot be trusted or read at all; when a query selects nothing.
pub fn verify(repository: &Repository, options: &Options, progress: &dyn Progress) -> Result<Report> {
    let _lock = repository.lock_reading()?;
    let document = repository.index()?;
    let everything = options.queries.is_empty();
    let (graph, listing) = if everything {
        let listing = blob::list(repository.blobs(), repository.root())?;
        (mark(repository, &document, &[], &listing)?, listing)
    } else {
        (walk_selected(repository, &document, &options.queries)?, Listing::default())
    };

    let mut blobs: BTreeSet<Digest> = listing.blobs.iter().cloned().collect();
    blobs.extend(graph.blobs().map(|(_, blob)| blob.digest.clone()));
    let state = hash::examine(repository, blobs, !options.quick, progress);

    let place = |digest: &Digest| repository.blobs().path(digest);
    let mut found = judge(&graph, everything.then_some(&document), &state, &place);
    if everything {
        let waiting = Waiting::find([repository])?;
        found.extend(orphans(repository, &graph, &state, &listing, &waiting));
        found.extend(waiting.broken.into_iter().map(Finding::broken_pending));
        found.extend(listing.strangers.iter().map(Finding::stranger));
        found.extend(dead_staging(repository)?);
    }
    sort(&mut found);
    let present = state.values().filter(|state| state.size.is_some());
    Ok(Report {
        blobs: present.clone().count() as u64,
        bytes: present.filter_map(|state| state.size).sum(),
        findings: found,
    })
}

fn walk_selected(repository: &Repository, document: &Document, queries: &[String]) -> Result<Graph> {
    let mut walk = Walk::new(repository.blobs(), repository.jobs());
    for query in queries {
        for position in repository.resolve(document, query)?.positions {
            let entry = &document.entries()[position];
            walk.add_root(entry, Some(position), entry.label(position));
        }
    }
    Ok(walk.finish())
}

/// Puts findings into the order of reports: the worst first.
pub fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| {
        (a.severity(), a.kind, &a.digest, &a.path).cmp(&(b.severity(), b.kind, &b.digest, &b.path))
    });
}

/// Blobs that no image needs. What a pending bundle waits with is no orphan, but has to be sound.
fn orphans(
    repository: &Repository,
    graph: &Graph,
    state: &BTreeMap<Digest, State>,
    listing: &Listing,
    waiting: &Waiting,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let is_certain =
        graph.faults.iter().all(|fault| matches!(fault, Fault::Missing { .. })) && waiting.broken.is_empty();
    let orphan = if is_certain {
        "no image needs it; gc will sweep it"
    } else {
        "no image that can be read needs it; gc leaves it until the damage is mended"
    };
    for digest in &listing.blobs {
        if graph.find(digest).is_some() {
            continue;
        }
        let Some(state) = state.get(digest) else { continue };
        let path = repository.blobs().path(digest);
        let corrupt = state.hashes_to.as_ref().filter(|found| *found != digest);
        found.push(match (&state.error, corrupt) {
            (Some(error), _) => Finding::of_blob(Kind::Unreadable, digest, path, error.clone()),
            (None, Some(found)) => {
                Finding::of_blob(Kind::Corrupt, digest, path, format!("its content hashes to {found}"))
            }
            (None, None) if waiting.needed.contains(digest) => continue,
            (None, None) => Finding::of_blob(Kind::Orphan, digest, path, orphan.to_owned()),
        });
    }
    found
}

fn dead_staging(repository: &Repository) -> Result<Vec<Finding>> {
    let Some(own) = repository.own_dir()? else { return Ok(Vec::new()) };
    let Some(tmp) = own.open_own_dir(ingest::TMP)? else { return Ok(Vec::new()) };
    // Nothing is removed here, so a directory that cannot be judged is none of our business.
    let dead = ingest::find_dead(&tmp).unwrap_or_default();
    Ok(dead.into_iter().map(|debris| Finding::dead_staging(debris.path, debris.bytes)).collect())
}
