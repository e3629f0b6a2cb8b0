//! What the chosen entries need: every blob, whether it is carried, left to the receiver, or may be
//! absent.

use std::collections::{BTreeMap, BTreeSet};

use ocirepo_store::graph::{Ancestry, BlobId, Class, Descriptor, Fault, Graph as Reached, Link};
use ocirepo_store::{Digest, Repository};

use super::ExportOptions;
use crate::bundle::Required;
use crate::error::{Error, Result, escape};
use crate::import::oci::{Graph, Held};

/// The blobs of a bundle.
#[derive(Debug, Default)]
pub(super) struct Blobs {
    /// What is carried, with its size in bytes.
    pub(super) carried: BTreeMap<Digest, u64>,
    /// What the receiver has to have.
    pub(super) required: Vec<Required>,
    /// The platforms that images list and the repository lacks, by image.
    pub(super) sparse: BTreeMap<String, BTreeSet<String>>,
}

/// Sorts out what was reached.
///
/// # Errors
/// When something is damaged, or is not there that has to be.
pub(super) fn blobs(
    repository: &Repository,
    graph: &mut Graph<'_, '_>,
    reached: &Reached,
    options: &ExportOptions,
) -> Result<Blobs> {
    let ancestry = reached.ancestry();
    let mut sorting = Sorting { repository, graph, reached, ancestry, blobs: Blobs::default() };
    for fault in &reached.faults {
        if let Fault::Broken { blob, reason } = fault {
            return Err(sorting.broken(*blob, reason));
        }
    }
    for (id, blob) in reached.blobs() {
        match repository.blob_size(&blob.digest)? {
            Some(found) => {
                if let Some(size) = blob.size.filter(|size| *size != found) {
                    let reason = format!("{} should be {size} bytes, but there are {found}", blob.digest);
                    return Err(sorting.broken(id, &reason));
                }
                sorting.take(id, found, options);
            }
            None if blob.may_be_absent => {}
            None => sorting.absent(id)?,
        }
    }
    // They were found in the order of the entries, on which nothing may depend.
    sorting.blobs.required.sort_by(|a, b| a.digest.cmp(&b.digest));
    Ok(sorting.blobs)
}

struct Sorting<'s, 'g, 'a, 'c> {
    repository: &'s Repository,
    graph: &'g mut Graph<'a, 'c>,
    reached: &'s Reached,
    ancestry: Ancestry<'s>,
    blobs: Blobs,
}

impl Sorting<'_, '_, '_, '_> {
    fn take(&mut self, id: BlobId, size: u64, options: &ExportOptions) {
        let digest = self.reached.blob(id).digest.clone();
        if options.have.as_ref().is_some_and(|have| have.contains(&digest, size)) {
            let mut images = self.ancestry.labels_of(id);
            images.sort_unstable();
            self.blobs.required.push(Required { digest, size, images });
        } else {
            self.blobs.carried.insert(digest, size);
        }
    }

    fn absent(&mut self, id: BlobId) -> Result<()> {
        let blob = self.reached.blob(id);
        let is_root = self.ancestry.is_root(id);
        // What something is about may be elsewhere, and what looks like a descriptor may be none.
        let is_optional = |link: Link| matches!(link, Link::Subject | Link::Guess);
        if !is_root && self.reached.parents(id).all(|(_, link)| is_optional(link)) {
            return Ok(());
        }
        let needs = |(_, link): (BlobId, Link)| !matches!(link, Link::Subject | Link::Guess | Link::Manifest);
        if is_root || self.reached.parents(id).any(needs) {
            return Err(Error::Lacking {
                repository: self.repository.path().display().to_string(),
                image: self.label(id),
                digest: blob.digest.clone(),
            });
        }
        let parents: Vec<BlobId> = self.reached.parents(id).map(|(parent, _)| parent).collect();
        let missing = blob.digest.clone();
        for image in self.ancestry.labels_of(id) {
            for parent in &parents {
                let platform = self.platform_in(*parent, &missing)?;
                self.blobs.sparse.entry(image.clone()).or_default().insert(platform);
            }
        }
        Ok(())
    }

    /// For which platform an index lists a child.
    fn platform_in(&mut self, index: BlobId, child: &Digest) -> Result<String> {
        let parent = self.reached.blob(index);
        let descriptor = Descriptor::new("", parent.digest.clone(), parent.size.unwrap_or_default());
        let label = parent.digest.to_string();
        let Held::Node(node) = self.graph.load(&descriptor, Class::Index, None, &label)? else {
            return Ok(child.to_string());
        };
        let listed = node.linked(Link::Manifest).find(|listed| listed.digest == *child);
        let platform = listed.and_then(|listed| listed.platform.as_ref());
        Ok(platform.map_or_else(|| child.to_string(), |platform| escape(&platform.to_string())))
    }

    fn broken(&self, id: BlobId, reason: &str) -> Error {
        let digest = self.reached.blob(id).digest.as_str();
        let reason = escape(reason);
        Error::BadStored {
            repository: self.repository.path().display().to_string(),
            image: self.label(id),
            reason: if reason.contains(digest) { reason } else { format!("{digest}: {reason}") },
        }
    }

    fn label(&self, id: BlobId) -> String {
        let labels = self.ancestry.labels_of(id);
        escape(labels.first().map_or_else(|| self.reached.blob(id).digest.as_str(), String::as_str))
    }
}
