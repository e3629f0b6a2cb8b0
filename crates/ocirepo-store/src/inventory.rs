//! What a repository has: the list that somebody else subtracts from what they send.
//!
//! A blob on this list is left out of a bundle, so only what is certain to be of use counts: it is
//! reached, it is a regular file, and it is as large as it should be. What is damaged is not on the
//! list, and will be sent again.

use std::collections::HashSet;

use crate::blob;
use crate::digest::Digest;
use crate::disk::Kind;
use crate::error::Result;
use crate::gc::mark::mark_all;
use crate::graph::{Blob, BlobId, Fault, Graph};
use crate::parallel::in_parallel;
use crate::repository::Repository;

impl Repository {
    /// Every blob that the entries, and what is about them, listed or not, lead to, with its size
    /// in bytes, by digest.
    ///
    /// Left out is what is missing, is no regular file or has another size than its descriptor
    /// says, and every document that cannot be used, such as one whose content is not what its
    /// digest says. None of that is an error. Blobs that are no documents are not read: their
    /// content is for [`crate::verify`]. A caller that holds [`Repository::lock_reading`] knows that
    /// they stay meanwhile.
    ///
    /// # Errors
    /// When index.json cannot be trusted, or `blobs/` cannot be listed.
    pub fn inventory(&self) -> Result<Vec<(Digest, u64)>> {
        let document = self.index()?;
        let listed = blob::list(self.blobs(), self.root())?.blobs;
        let graph = mark_all(self, &document, &[], listed, &|error| {
            tracing::debug!("not in the inventory: {error}");
            Ok(())
        })?;
        let mut inventory = self.usable_blobs(&graph);
        inventory.sort_unstable();
        Ok(inventory)
    }

    /// The blobs of a graph that are there, each with its size in bytes, in no order: neither a
    /// document that cannot be used, nor what has another size than its descriptor says.
    #[must_use]
    pub fn usable_blobs(&self, graph: &Graph) -> Vec<(Digest, u64)> {
        let broken: HashSet<BlobId> = graph
            .faults
            .iter()
            .filter_map(|fault| match fault {
                Fault::Broken { blob, .. } => Some(*blob),
                Fault::BrokenEntry { .. } | Fault::Missing { .. } => None,
            })
            .collect();
        let reached: Vec<&Blob> =
            graph.blobs().filter(|(id, _)| !broken.contains(id)).map(|(_, blob)| blob).collect();
        let sizes = in_parallel(&reached, self.jobs(), |blob| self.usable_size(blob));
        let found = reached.into_iter().zip(sizes);
        found.filter_map(|(blob, size)| Some((blob.digest.clone(), size?))).collect()
    }

    /// The size of a blob that is there and as large as it should be. Of two sizes that are declared
    /// one is wrong, and which one, only the content could tell.
    fn usable_size(&self, blob: &Blob) -> Option<u64> {
        let stat = self.blobs().stat(&blob.digest).ok().flatten()?;
        let fits = blob.size.is_none_or(|size| size == stat.size) || blob.other_size == Some(stat.size);
        (stat.kind == Kind::File && fits).then_some(stat.size)
    }
}
