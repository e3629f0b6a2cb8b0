//! From what was seen of every blob to what is to be said of it, and which images it breaks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use super::finding::{Finding, Kind};
use super::hash::State;
use crate::digest::Digest;
use crate::graph::{Ancestry, BlobId, Fault, Graph, Link};
use crate::index::{Document, Entry};

/// Where a blob is or would be.
type Place<'a> = &'a dyn Fn(&Digest) -> PathBuf;

/// What is to be said of everything that was reached, `state` being what was seen of each blob.
/// Nothing is said of blobs that have no state, and of names only if `index` is given.
#[must_use]
pub fn judge(
    graph: &Graph,
    index: Option<&Document>,
    state: &BTreeMap<Digest, State>,
    place: Place<'_>,
) -> Vec<Finding> {
    let mut judge = Judge { graph, state, place, ancestry: graph.ancestry(), found: Vec::new() };
    judge.faults();
    judge.blobs();
    if let Some(index) = index {
        judge.names(index);
    }
    judge.found
}

struct Judge<'a> {
    graph: &'a Graph,
    state: &'a BTreeMap<Digest, State>,
    place: Place<'a>,
    ancestry: Ancestry<'a>,
    found: Vec<Finding>,
}

impl Judge<'_> {
    fn add(&mut self, kind: Kind, blob: BlobId, message: String) {
        let digest = &self.graph.blob(blob).digest;
        self.found.push(Finding {
            kind,
            digest: Some(digest.to_string()),
            path: Some((self.place)(digest)),
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
                Fault::Missing { blob } if graph.parents(*blob).all(|(_, link)| link == Link::Subject) => {
                    self.add(Kind::MissingSubject, *blob, "what a referrer is about is not there".to_owned());
                }
                // A part of an image as well, which is worse, and is said below.
                Fault::Missing { blob } if self.is_guess(*blob) || self.is_part(*blob) => {}
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

    /// Whether something names a blob as its config or layer.
    fn is_part(&self, blob: BlobId) -> bool {
        let is_part = |(_, link): (BlobId, Link)| matches!(link, Link::Config | Link::Layer);
        !self.ancestry.is_root(blob) && self.graph.parents(blob).any(is_part)
    }

    /// Whether a blob is named by links of one kind alone.
    fn is_only(&self, blob: BlobId, kind: Link) -> bool {
        !self.ancestry.is_root(blob) && self.graph.parents(blob).all(|(_, link)| link == kind)
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
                } else if self.is_part(id) || (!blob.is_document && !self.is_guess(id)) {
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
}
