//! Verification: is everything there, at its right size, and what its digest says?
//!
//! Every finding is collected, none stops the work, and each names the images that it breaks.
//! What is legal though unusual (orphans, sparse images, strangers) is a note, not an error.

mod finding;
mod hash;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use finding::{Finding, Kind, Severity};

use crate::blob::{self, Listing};
use crate::digest::Digest;
use crate::error::Result;
use crate::gc::mark::mark;
use crate::gc::waiting::Waiting;
use crate::graph::{Ancestry, BlobId, Fault, Graph, Link, Walk};
use crate::index::{Document, Entry};
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

    let mut findings =
        Findings { repository, graph: &graph, state: &state, ancestry: graph.ancestry(), found: Vec::new() };
    findings.faults();
    findings.blobs();
    if everything {
        let waiting = Waiting::find([repository])?;
        findings.orphans(&listing, &waiting);
        findings.found.extend(waiting.broken.into_iter().map(Finding::broken_pending));
        findings.names(&document);
        findings.found.extend(listing.strangers.iter().map(Finding::stranger));
        findings.dead_staging()?;
    }
    let mut found = findings.found;
    found.sort_by(|a, b| {
        (a.severity(), a.kind, &a.digest, &a.path).cmp(&(b.severity(), b.kind, &b.digest, &b.path))
    });
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

struct Findings<'a> {
    repository: &'a Repository,
    graph: &'a Graph,
    state: &'a BTreeMap<Digest, hash::State>,
    ancestry: Ancestry<'a>,
    found: Vec<Finding>,
}

impl Findings<'_> {
    fn add(&mut self, kind: Kind, blob: BlobId, message: String) {
        let digest = &self.graph.blob(blob).digest;
        self.found.push(Finding {
            kind,
            digest: Some(digest.to_string()),
            path: Some(self.repository.blobs().path(digest)),
            images: self.ancestry.labels_of(blob),
            message,
        });
    }

    /// What the walk stumbled over.
    fn faults(&mut self) {
        let graph = self.graph;
        for fault in &graph.faults {
            match fault {
                Fault::BrokenEntry { root, reason } => {
                    let label = graph.roots[*root].label.clone();
                    self.found.push(Finding::broken_entry(label, reason.clone()));
                }
                // A wrong size or digest is found again, and named better, below.
                Fault::Broken { blob, reason } if self.is_sound(*blob) => {
                    self.add(Kind::BrokenManifest, *blob, reason.clone());
                }
                Fault::Broken { blob, reason } if self.is_absent(*blob) => {
                    self.add(Kind::Unreadable, *blob, reason.clone());
                }
                Fault::Broken { .. } => {}
                Fault::Missing { blob } if self.ancestry.is_root(*blob) => {
                    self.add(Kind::MissingRoot, *blob, "the manifest of the image is not there".to_owned());
                }
                Fault::Missing { blob }
                    if graph.blob(*blob).parents.iter().all(|(_, link)| *link == Link::Subject) =>
                {
                    self.add(Kind::MissingSubject, *blob, "what a referrer is about is not there".to_owned());
                }
                Fault::Missing { blob } if self.is_guess(*blob) => {}
                Fault::Missing { blob } => {
                    self.add(
                        Kind::Sparse,
                        *blob,
                        "an index names this manifest, but it is not there".to_owned(),
                    );
                }
            }
        }
    }

    /// Whether a document has the size and the digest it should have.
    fn is_sound(&self, blob: BlobId) -> bool {
        let blob = self.graph.blob(blob);
        let Some(state) = self.state.get(&blob.digest) else { return false };
        let size_fits = state.size.is_some() && (blob.size.is_none() || blob.size == state.size);
        size_fits
            && state.error.is_none()
            && state.hashes_to.as_ref().is_none_or(|found| *found == blob.digest)
    }

    /// Whether no regular file stands in the place of a blob.
    fn is_absent(&self, blob: BlobId) -> bool {
        self.state.get(&self.graph.blob(blob).digest).is_none_or(|state| state.size.is_none())
    }

    /// Whether a blob is only named by what looks like a descriptor in a document of unknown type.
    fn is_guess(&self, blob: BlobId) -> bool {
        self.is_only(blob, Link::Guess)
    }

    /// Whether a blob is named by links of one kind alone.
    fn is_only(&self, blob: BlobId, kind: Link) -> bool {
        !self.ancestry.is_root(blob) && self.graph.blob(blob).parents.iter().all(|(_, link)| *link == kind)
    }

    /// Every blob that the images need.
    fn blobs(&mut self) {
        for (id, blob) in self.graph.blobs() {
            let Some(state) = self.state.get(&blob.digest) else { continue };
            if let Some(error) = &state.error {
                self.add(Kind::Unreadable, id, error.clone());
                continue;
            }
            let Some(size) = state.size else {
                if blob.may_be_absent {
                    self.add(Kind::Absent, id, "it is not there, which its descriptor allows".to_owned());
                } else if !blob.is_document && self.is_only(id, Link::Manifest) {
                    self.add(Kind::Sparse, id, "an index names it, but it is not there".to_owned());
                } else if !blob.is_document && !self.is_guess(id) {
                    self.add(Kind::Missing, id, "it is not there".to_owned());
                }
                continue;
            };
            let declared = [blob.size, blob.other_size].into_iter().flatten();
            if let Some(expected) = declared.into_iter().find(|&expected| expected != size) {
                self.add(Kind::WrongSize, id, format!("it should be {expected} bytes, but there are {size}"));
            } else if let Some(found) = state.hashes_to.as_ref().filter(|found| **found != blob.digest) {
                self.add(Kind::Corrupt, id, format!("its content hashes to {found}"));
            } else if blob.digest.algorithm().is_none() {
                self.add(Kind::Unverifiable, id, "its digest algorithm is not known here".to_owned());
            }
        }
    }

    /// Blobs that no image needs. What a pending bundle waits with is no orphan, but has to be sound.
    fn orphans(&mut self, listing: &Listing, waiting: &Waiting) {
        let is_certain = self.graph.faults.iter().all(|fault| matches!(fault, Fault::Missing { .. }))
            && waiting.broken.is_empty();
        let orphan = if is_certain {
            "no image needs it; gc will sweep it"
        } else {
            "no image that can be read needs it; gc leaves it until the damage is mended"
        };
        for digest in &listing.blobs {
            if self.graph.find(digest).is_some() {
                continue;
            }
            let Some(state) = self.state.get(digest) else { continue };
            let path = self.repository.blobs().path(digest);
            let corrupt = state.hashes_to.as_ref().filter(|found| *found != digest);
            self.found.push(match (&state.error, corrupt) {
                (Some(error), _) => Finding::of_blob(Kind::Unreadable, digest, path, error.clone()),
                (None, Some(found)) => {
                    Finding::of_blob(Kind::Corrupt, digest, path, format!("its content hashes to {found}"))
                }
                (None, None) if waiting.needed.contains(digest) => continue,
                (None, None) => Finding::of_blob(Kind::Orphan, digest, path, orphan.to_owned()),
            });
        }
    }

    /// Names that stand for more than one digest.
    fn names(&mut self, document: &Document) {
        let mut digests: HashMap<String, BTreeSet<&str>> = HashMap::new();
        for (name, entry) in document.entries().iter().filter_map(|entry| Some((entry.name()?, entry))) {
            digests.entry(name.to_string()).or_default().extend(Entry::digest_text(entry));
        }
        for (name, digests) in digests.into_iter().filter(|(_, digests)| digests.len() > 1) {
            self.found.push(Finding::ambiguous_name(name, digests.len()));
        }
    }

    fn dead_staging(&mut self) -> Result<()> {
        let Some(own) = self.repository.own_dir()? else { return Ok(()) };
        let Some(tmp) = own.open_own_dir(ingest::TMP)? else { return Ok(()) };
        // Nothing is removed here, so a directory that cannot be judged is none of our business.
        let dead = ingest::find_dead(&tmp).unwrap_or_default();
        self.found.extend(dead.into_iter().map(|debris| Finding::dead_staging(debris.path, debris.bytes)));
        Ok(())
    }
}
