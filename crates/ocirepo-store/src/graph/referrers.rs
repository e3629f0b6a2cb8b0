//! What is about what: signatures, SBOMs and attestations, by the document that they are about.

use std::collections::HashMap;

use super::closure::{REFERENCE_DIGEST, subject_tags, tag_of};
use super::node::Link;
use super::walk::{BlobId, Graph};
use crate::digest::Digest;
use crate::index::{Document, Entry};

/// A document that is about another one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Referrer {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes, where one is declared.
    pub size: Option<u64>,
    /// The first entry of index.json that lists it; `None` for one that is kept because of what it is
    /// about alone.
    pub position: Option<usize>,
}

/// Everything that is about something else, whichever way it says so: by `subject`, by the annotation
/// that buildkit gives attestations, or by a tag made of the digest.
#[derive(Debug, Default)]
pub struct Referrers {
    by_digest: HashMap<Digest, Vec<Referrer>>,
    by_tag: HashMap<String, Vec<Referrer>>,
}

impl Referrers {
    /// Finds them in the graph of all entries of `document`.
    #[must_use]
    pub fn of(graph: &Graph, document: &Document) -> Self {
        let mut positions: HashMap<BlobId, usize> = HashMap::new();
        for root in graph.roots.iter().rev() {
            if let (Some(blob), Some(position)) = (root.blob, root.position) {
                positions.insert(blob, position);
            }
        }
        let referrer = |id: BlobId| {
            let blob = graph.blob(id);
            Referrer { digest: blob.digest.clone(), size: blob.size, position: positions.get(&id).copied() }
        };
        let mut found = Self::default();
        for (id, _) in graph.blobs() {
            for (other, link) in graph.parents(id) {
                let (subject, about) = match link {
                    Link::Subject => (id, other),
                    Link::Referrer => (other, id),
                    _ => continue,
                };
                let subject = graph.blob(subject).digest.clone();
                found.by_digest.entry(subject).or_default().push(referrer(about));
            }
        }
        for (position, entry) in document.entries().iter().enumerate() {
            found.add_entry(position, entry);
        }
        let lists = found.by_digest.values_mut().chain(found.by_tag.values_mut());
        for list in lists {
            list.sort_by_cached_key(|one| (one.position.unwrap_or(usize::MAX), one.digest.clone()));
            list.dedup_by(|a, b| a.digest == b.digest);
        }
        found
    }

    /// What an entry says of itself beside its document.
    fn add_entry(&mut self, position: usize, entry: &Entry) {
        let Ok(descriptor) = entry.descriptor() else { return };
        let digest = &descriptor.digest;
        let referrer =
            || Referrer { digest: digest.clone(), size: Some(descriptor.size), position: Some(position) };
        // Mirrors tag images with their own digest.
        let own = tag_of(digest);
        for tag in subject_tags(entry).filter(|tag| *tag != own) {
            self.by_tag.entry(tag).or_default().push(referrer());
        }
        let annotations = entry.annotations().into_iter().filter(|(name, _)| name == REFERENCE_DIGEST);
        let subjects = annotations.filter_map(|(_, value)| value.parse::<Digest>().ok());
        for subject in subjects.filter(|subject| subject != digest) {
            self.by_digest.entry(subject).or_default().push(referrer());
        }
    }

    /// What is about the document with that digest: what index.json lists first, in its order. Each once.
    #[must_use]
    pub fn about(&self, digest: &Digest) -> Vec<&Referrer> {
        let tagged = self.by_tag.get(&tag_of(digest)).into_iter().flatten();
        let mut about: Vec<&Referrer> = self.by_digest.get(digest).into_iter().flatten().collect();
        for referrer in tagged {
            if about.iter().all(|other| other.digest != referrer.digest) {
                about.push(referrer);
            }
        }
        about
    }
}
