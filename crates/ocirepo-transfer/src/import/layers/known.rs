//! Layers that the repository has, by the digest of their uncompressed content.
//!
//! A config says which diffID each layer has, but a config may lie. What is known here was proven:
//! somebody unpacked the blob and hashed what came out. Claims only say which blobs are worth that
//! work.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use ocirepo_store::graph::{Class, Descriptor, Link, Loaded, Node, Wanted};
use ocirepo_store::layers::{Fact, LayerFacts, Recipe};
use ocirepo_store::{Algorithm, Digest, Repository};

use super::unpack::{Sink, only_hash, unpack};
use super::{Layer, Origin};
use crate::archive::limits::MAX_CONFIG;
use crate::error::Result;
use crate::import::carrier::Carrier;

/// What is known of the layers of a repository.
///
/// A fact that is on record is about content, and says nothing of the bytes that lie in the store
/// today. As everywhere in the store, a blob that is there is trusted once it has its right size; it
/// is not read again, not even where the archive's own good bytes are at hand. A blob that was
/// damaged without changing its size is therefore used as a layer like any other: `verify`, which
/// hashes every blob anew, is what finds it.
pub(crate) struct Known<'r> {
    repository: &'r Repository,
    facts: OnceLock<LayerFacts>,
    /// For every diffID that a config of the repository claims, the blobs that may unpack to it.
    claims: OnceLock<HashMap<Digest, Vec<(Digest, u64)>>>,
    proven: Mutex<Vec<Fact>>,
}

impl<'r> Known<'r> {
    pub(crate) fn new(repository: &'r Repository) -> Self {
        Self { repository, facts: OnceLock::new(), claims: OnceLock::new(), proven: Mutex::default() }
    }

    /// What was proven before. The facts are there to save work, so to have none is no error.
    fn facts(&self) -> &LayerFacts {
        self.facts.get_or_init(|| self.repository.layer_facts().unwrap_or_default())
    }

    /// What was proven since.
    pub(crate) fn proven(&self) -> Vec<Fact> {
        self.noted().clone()
    }

    fn noted(&self) -> MutexGuard<'_, Vec<Fact>> {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a layer that was unpacked.
    pub(crate) fn note(&self, layer: &Layer, recipe: Option<Recipe>) {
        if layer.digest != layer.diff_id {
            let (diff_id, blob) = (layer.diff_id.clone(), layer.digest.clone());
            self.noted().push(Fact::new(diff_id, blob, layer.size, recipe));
        }
    }

    /// Takes note of a blob that was unpacked, and what it unpacks to.
    pub(crate) fn note_blob(&self, blob: &Digest, size: u64, diff_id: &Digest) {
        if blob != diff_id {
            self.noted().push(Fact::new(diff_id.clone(), blob.clone(), size, None));
        }
    }

    /// The proven diffID of a blob in one algorithm: configs are free to use any.
    pub(crate) fn diff_id_of(&self, blob: &Digest, algorithm: Algorithm) -> Option<Digest> {
        self.facts().diff_id_of(blob).filter(|proven| proven.algorithm() == Some(algorithm)).cloned()
    }

    /// The blob that `recipe` makes of a layer, if the repository has it.
    pub(crate) fn made_by(&self, diff_id: &Digest, recipe: &Recipe) -> Option<(Digest, u64)> {
        let made = self.facts().blobs_of(diff_id).find(|fact| fact.made_by.as_ref() == Some(recipe))?;
        self.is_there(&made.blob, made.size).then(|| (made.blob.clone(), made.size))
    }

    fn is_there(&self, blob: &Digest, size: u64) -> bool {
        self.repository.blob_size(blob).is_ok_and(|held| held == Some(size))
    }

    /// The smallest compressed blob of the repository that is proven to unpack to `diff_id`. What has
    /// not been proven yet is unpacked now.
    pub(crate) fn compressed(&self, carrier: &Carrier<'_>, diff_id: &Digest) -> Option<Layer> {
        self.first(carrier, diff_id, self.candidates(diff_id))
    }

    /// [`Known::compressed`], or else the layer itself as a blob.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn any(&self, carrier: &Carrier<'_>, diff_id: &Digest) -> Result<Option<Layer>> {
        let mut candidates = self.candidates(diff_id);
        // A blob that is named by the diffID is the layer, once its content is seen to be so.
        if let Some(size) = self.repository.blob_size(diff_id)? {
            candidates.push((size, diff_id.clone(), false));
        }
        Ok(self.first(carrier, diff_id, candidates))
    }

    /// Blobs that are or may be a layer: size, digest, and whether that is proven.
    fn candidates(&self, diff_id: &Digest) -> Vec<(u64, Digest, bool)> {
        let mut candidates: Vec<(u64, Digest, bool)> = Vec::new();
        for fact in self.facts().blobs_of(diff_id) {
            candidates.push((fact.size, fact.blob.clone(), true));
        }
        for (blob, size) in self.claims().get(diff_id).into_iter().flatten() {
            candidates.push((*size, blob.clone(), false));
        }
        candidates.sort_unstable_by(|a, b| (a.0, &a.1, !a.2).cmp(&(b.0, &b.1, !b.2)));
        candidates.dedup_by(|later, first| later.1 == first.1);
        candidates
    }

    fn first(
        &self,
        carrier: &Carrier<'_>,
        diff_id: &Digest,
        candidates: Vec<(u64, Digest, bool)>,
    ) -> Option<Layer> {
        for (size, blob, is_proven) in candidates {
            if !self.is_there(&blob, size) {
                continue;
            }
            let origin = Origin::Repository(&blob, size);
            let Ok(compression) = origin.compression(carrier) else { continue };
            let layer = Layer { digest: blob.clone(), size, compression, diff_id: diff_id.clone() };
            if is_proven || self.prove(carrier, origin, &layer) {
                return Some(layer);
            }
        }
        None
    }

    /// Unpacks a blob to see whether it is the layer that it is claimed to be.
    fn prove(&self, carrier: &Carrier<'_>, origin: Origin<'_>, layer: &Layer) -> bool {
        let algorithm = layer.diff_id.algorithm().unwrap_or(Algorithm::Sha256);
        let unpacked = unpack(carrier, origin, layer.compression, algorithm, Sink::Nothing, &mut only_hash);
        let is_so = unpacked.is_ok_and(|unpacked| unpacked.diff_id == layer.diff_id);
        if is_so {
            self.note(layer, None);
        } else {
            tracing::debug!(blob = %layer.digest, diff_id = %layer.diff_id, "a config claims what is not so");
        }
        is_so
    }

    fn claims(&self) -> &HashMap<Digest, Vec<(Digest, u64)>> {
        self.claims.get_or_init(|| {
            let mut claims = HashMap::new();
            // What cannot be read makes no claims.
            let Ok(index) = self.repository.index() else { return claims };
            let mut open: Vec<Descriptor> =
                index.entries().iter().filter_map(|entry| entry.descriptor().ok().cloned()).collect();
            let mut seen = std::collections::HashSet::new();
            while let Some(descriptor) = open.pop() {
                let class = Class::of(&descriptor.media_type);
                if !matches!(class, Class::Index | Class::Image) || !seen.insert(descriptor.digest.clone()) {
                    continue;
                }
                let Ok(node) = self.repository.document(&descriptor) else { continue };
                open.extend(node.linked(Link::Manifest).cloned());
                self.claims_of(&node, &mut claims);
            }
            claims
        })
    }

    fn claims_of(&self, node: &Node, claims: &mut HashMap<Digest, Vec<(Digest, u64)>>) {
        let Some(config) = node.linked(Link::Config).next().filter(|config| config.size <= MAX_CONFIG) else {
            return;
        };
        let wanted =
            Wanted { digest: &config.digest, class: Class::Image, size: Some(config.size), embedded: None };
        let Loaded::Content(bytes) = self.repository.load(&wanted) else { return };
        let Ok(diff_ids) = super::diff_ids(&bytes) else { return };
        for (diff_id, layer) in diff_ids.into_iter().zip(node.linked(Link::Layer)) {
            if layer.digest != diff_id {
                let blobs: &mut Vec<(Digest, u64)> = claims.entry(diff_id).or_default();
                if !blobs.iter().any(|(digest, _)| *digest == layer.digest) {
                    blobs.push((layer.digest.clone(), layer.size));
                }
            }
        }
    }
}
