//! Verification: is everything there, at its right size, and what its digest says?
//!
//! Every finding is collected, none stops the work, and each names the images that it breaks.
//! What is legal though unusual (orphans, sparse images, strangers) is a note, not an error.

mod as_if;
mod finding;
mod hash;
mod judge;
mod lost;
mod quarantine;

use std::collections::{BTreeMap, BTreeSet};

use as_if::AsIf;
pub use finding::{Finding, Kind, Severity};
use hash::Seen;
pub use hash::State;
pub use judge::judge;
pub use lost::Lost;
pub(crate) use quarantine::{QUARANTINE, is_quarantined};
pub use quarantine::{Quarantined, quarantine};

use crate::blob;
use crate::digest::Digest;
use crate::error::Result;
use crate::gc::mark::Marking;
use crate::gc::waiting::Waiting;
use crate::graph::{Fault, Graph, Walk};
use crate::index::Document;
use crate::ingest::{self, Ingest};
use crate::progress::Progress;
use crate::repository::Repository;

/// What to verify. Fill it with `..Options::default()`, which is everything: any release may add fields.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only presence and size; blobs are not read. Manifests are, always.
    pub quick: bool,
    /// Only these images, by name, digest or position. Everything when empty.
    pub queries: Vec<String>,
}

/// What verification found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
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
    Verification::new(repository, options.clone()).look(progress)
}

/// A verification that can be asked again, after something was changed: it knows which blobs it has
/// read, and reads only those again whose files are others by now.
///
/// The caller holds a lock on the repository while it looks.
#[derive(Debug)]
pub struct Verification<'r> {
    repository: &'r Repository,
    options: Options,
    seen: Seen,
    /// What is damaged of what waits for volumes: nothing that a verification changes, so it is read once.
    waiting: Option<Vec<Finding>>,
    lost: Vec<Lost>,
    /// What counts as moved aside.
    aside: BTreeSet<Digest>,
}

impl<'r> Verification<'r> {
    /// A verification that has seen nothing yet.
    #[must_use]
    pub fn new(repository: &'r Repository, options: Options) -> Self {
        let (seen, lost, aside) = (Seen::default(), Vec::new(), BTreeSet::new());
        Self { repository, options, seen, waiting: None, lost, aside }
    }

    /// Looks at everything as it is now.
    ///
    /// # Errors
    /// When index.json cannot be trusted or read at all; when a query selects nothing.
    pub fn look(&mut self, progress: &dyn Progress) -> Result<Report> {
        self.look_at(None, progress)
    }

    /// [`Verification::look`] with what `session` has put in place, even if that is a rehearsal.
    ///
    /// # Errors
    /// As for [`Verification::look`].
    pub fn look_through(&mut self, session: &Ingest<'_>, progress: &dyn Progress) -> Result<Report> {
        self.look_at(Some(session), progress)
    }

    /// From now on these blobs count as moved aside: what [`quarantine`] would do can be seen before.
    pub fn assume_aside(&mut self, digests: impl IntoIterator<Item = Digest>) {
        self.aside.extend(digests);
    }

    fn look_at(&mut self, session: Option<&Ingest<'_>>, progress: &dyn Progress) -> Result<Report> {
        let repository = self.repository;
        let document = repository.index()?;
        let everything = self.options.queries.is_empty();
        let as_if = AsIf::new(repository.blobs(), session, &self.aside);
        let (graph, strangers) = if everything {
            let listing = as_if.list(blob::list(repository.blobs(), repository.root())?);
            (self.mark(&as_if, &document, listing.blobs, progress)?, listing.strangers)
        } else {
            (self.walk_selected(&as_if, &document)?, Vec::new())
        };

        let mut blobs: BTreeSet<Digest> = graph.unreached().into_iter().cloned().collect();
        blobs.extend(graph.blobs().map(|(_, blob)| blob.digest.clone()));
        let assumed = as_if.states().filter(|(digest, _)| blobs.remove(digest)).collect::<Vec<_>>();
        self.seen.look_at(repository, blobs, !self.options.quick, progress);
        self.seen.state.extend(assumed);
        let state = &self.seen.state;

        let place = |digest: &Digest| repository.blobs().path(digest);
        let mut found = judge(&graph, everything.then_some(&document), state, &place);
        let is_aside = tell_what_was_moved_aside(repository, &self.aside, &mut found)?;
        let mut waiting = Waiting::default();
        if everything {
            waiting = Waiting::find([repository])?;
            found.extend(orphans(repository, &graph, state, &waiting, is_aside));
            found.extend(waiting.broken.drain(..).map(Finding::broken_pending));
            if !self.options.quick {
                if self.waiting.is_none() {
                    self.waiting = Some(damage_of_what_waits(repository)?);
                }
                // Others may have completed a bundle meanwhile, or given it up.
                let is_there = |it: &&Finding| it.path.as_ref().is_some_and(|path| path.exists());
                found.extend(self.waiting.iter().flatten().filter(is_there).cloned());
            }
            found.extend(strangers.iter().map(Finding::stranger));
            found.extend(dead_staging(repository)?);
        }
        sort(&mut found);
        self.lost = lost::lost(&found, &graph, state, &waiting.needed);
        let present = state.values().filter_map(|state| state.size);
        Ok(Report { blobs: present.clone().count() as u64, bytes: present.sum(), findings: found })
    }

    /// Everything that is kept. A blob that cannot be read is a finding here, and no reason to stop.
    fn mark(
        &self,
        documents: &AsIf<'_>,
        document: &Document,
        listed: Vec<Digest>,
        progress: &dyn Progress,
    ) -> Result<Graph> {
        let unreadable = |error| if self.options.quick { Err(error) } else { Ok(()) };
        let marking = Marking { documents, progress, unreadable: &unreadable };
        marking.mark(self.repository, document, &[], listed)
    }

    /// Everything that the images lead to that were asked for.
    fn walk_selected(&self, documents: &AsIf<'_>, document: &Document) -> Result<Graph> {
        let repository = self.repository;
        let mut walk = Walk::new(documents, repository.jobs());
        for query in &self.options.queries {
            for position in repository.resolve(document, query)?.positions {
                let entry = &document.entries()[position];
                walk.add_root(entry, Some(position), entry.label(position));
            }
        }
        Ok(walk.finish())
    }

    /// The blobs that were needed at the last look and were not as they should be, by digest.
    #[must_use]
    pub fn lost(&self) -> &[Lost] {
        &self.lost
    }

    /// The blobs that hashed to their names when they were last read.
    pub fn sound(&self) -> impl Iterator<Item = &Digest> {
        let state = self.seen.state.iter();
        state.filter(|(digest, state)| state.hashes_to.as_ref() == Some(digest)).map(|(digest, _)| digest)
    }

    /// The blobs, needed or not, that hashed to something else when they were last read.
    pub fn bad(&self) -> impl Iterator<Item = &Digest> {
        let is_bad =
            |digest: &Digest, state: &State| state.hashes_to.as_ref().is_some_and(|found| found != digest);
        self.seen.state.iter().filter(move |(digest, state)| is_bad(digest, state)).map(|(digest, _)| digest)
    }
}

/// Puts findings into the order of reports: the worst first.
pub fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| {
        (a.severity(), a.kind, &a.digest, &a.path).cmp(&(b.severity(), b.kind, &b.digest, &b.path))
    });
}

/// A manifest below an index that was moved aside is no legal absence: it was there, and damaged.
/// Whether there is one. What only counts as moved aside is told of in any case.
fn tell_what_was_moved_aside(
    repository: &Repository,
    assumed: &BTreeSet<Digest>,
    findings: &mut [Finding],
) -> Result<bool> {
    let mut is_aside = false;
    for finding in findings {
        let digest = finding.digest.as_ref().and_then(|digest| digest.parse::<Digest>().ok());
        let Some(digest) = digest else { continue };
        let is_sparse = finding.kind == Kind::Sparse;
        finding.message = if assumed.contains(&digest) {
            "it is damaged, and would be moved aside".to_owned()
        } else if is_sparse && is_quarantined(repository, &digest)? {
            "it was damaged, and was moved aside".to_owned()
        } else {
            continue;
        };
        if is_sparse {
            finding.kind = Kind::Missing;
            is_aside = true;
        }
    }
    Ok(is_aside)
}

/// Blobs that no image needs. What a pending bundle waits with is no orphan, but has to be sound.
fn orphans(
    repository: &Repository,
    graph: &Graph,
    state: &BTreeMap<Digest, State>,
    waiting: &Waiting,
    is_aside: bool,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let idle = graph.unreached();
    // What cannot be read may be about something that is kept.
    let is_unreadable = |digest: &Digest| state.get(digest).is_some_and(|state| state.error.is_some());
    let is_certain = !is_aside
        && graph.faults.iter().all(|fault| matches!(fault, Fault::Missing { .. }))
        && waiting.broken.is_empty()
        && !idle.iter().copied().any(is_unreadable);
    let orphan = if is_certain {
        "no image needs it; gc will sweep it"
    } else {
        "no image that can be read needs it; gc leaves it until the damage is mended"
    };
    for digest in idle {
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

/// What waits for the other volumes of its bundle, and was damaged since it came.
fn damage_of_what_waits(repository: &Repository) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for bundle in repository.pendings()? {
        let damaged = bundle.find_damage()?.into_iter();
        found.extend(
            damaged
                .map(|(digest, path, reason)| Finding::damaged_waiting(bundle.id(), &digest, path, &reason)),
        );
    }
    Ok(found)
}

fn dead_staging(repository: &Repository) -> Result<Vec<Finding>> {
    let Some(own) = repository.own_dir()? else { return Ok(Vec::new()) };
    let Some(tmp) = own.open_own_dir(ingest::TMP)? else { return Ok(Vec::new()) };
    // Nothing is removed here, so a directory that cannot be judged is none of our business.
    let dead = ingest::find_dead(&tmp).unwrap_or_default();
    Ok(dead.into_iter().map(|debris| Finding::dead_staging(debris.path, debris.bytes)).collect())
}
