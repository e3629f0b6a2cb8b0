//! What is about an image, as `ls --tree` and `inspect` show it: signatures, SBOMs, attestations.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use anyhow::Result;
use ocirepo_store::Digest;
use ocirepo_store::graph::{Class, Documents, Referrer, Referrers, class_by_shape, own_media_type};
use ocirepo_store::image::{Image, Manifest};
use ocirepo_store::index::Entry;
use serde::Serialize;

use super::look::View;

/// A document that is about another one.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Attached {
    reference: Option<String>,
    pub(super) digest: String,
    media_type: String,
    pub(super) artifact_type: Option<String>,
    size: u64,
    pub(super) total_size: u64,
    pub(super) complete: bool,
    /// Whether index.json lists it.
    pub(super) listed: bool,
    pub(super) referrers: Vec<Attached>,
    #[serde(skip)]
    pub(super) position: Option<usize>,
}

/// Signatures of signatures are shown so deep.
const MAX_DEPTH: usize = 4;

/// What is about what in a repository or an archive.
pub(super) struct About<'v> {
    view: &'v View<'v>,
    referrers: Referrers,
    /// What was described before: a chain of signatures is met with once for each of its links.
    known: RefCell<HashMap<Digest, Attached>>,
}

impl<'v> About<'v> {
    pub(super) fn of(view: &'v View<'v>) -> Result<Self> {
        Ok(Self { view, referrers: view.referrers()?, known: RefCell::default() })
    }

    /// What is about a document, and about that in turn. What is in `seen` is shown already.
    pub(super) fn attached(&self, subject: &Digest, seen: &mut HashSet<Digest>) -> Vec<Attached> {
        self.below(subject, seen, MAX_DEPTH)
    }

    fn below(&self, subject: &Digest, seen: &mut HashSet<Digest>, depth: usize) -> Vec<Attached> {
        let about = self.referrers.about(subject).into_iter().filter(|referrer| referrer.digest != *subject);
        let about: Vec<&Referrer> = about.filter(|referrer| seen.insert(referrer.digest.clone())).collect();
        let shown = about.into_iter().map(|referrer| {
            let mut known = self.known.borrow_mut();
            let described =
                known.entry(referrer.digest.clone()).or_insert_with(|| describe(self.view, referrer));
            let mut attached = described.clone();
            drop(known);
            if depth > 0 {
                attached.referrers = self.below(&referrer.digest, seen, depth - 1);
            }
            attached
        });
        shown.collect()
    }
}

fn describe(view: &View<'_>, referrer: &Referrer) -> Attached {
    let listed = referrer.position.map(|position| view.document.entries()[position].clone());
    let entry = listed.unwrap_or_else(|| unlisted(view.documents, referrer));
    let image = Image::of(view.documents, &entry);
    let descriptor = entry.descriptor().ok();
    Attached {
        reference: entry.name().map(|name| name.to_string()),
        digest: referrer.digest.to_string(),
        media_type: descriptor.map(|descriptor| descriptor.media_type.clone()).unwrap_or_default(),
        artifact_type: image.manifests.first().and_then(kind).map(str::to_owned),
        size: descriptor.map_or(0, |descriptor| descriptor.size),
        total_size: image.total_size,
        complete: image.is_complete,
        listed: referrer.position.is_some(),
        referrers: Vec::new(),
        position: referrer.position,
    }
}

/// An entry as index.json would list it.
fn unlisted(documents: &dyn Documents, referrer: &Referrer) -> Entry {
    let content = documents.content(&referrer.digest, referrer.size, None);
    let media_type = content.and_then(|bytes| {
        own_media_type(&bytes).or_else(|| match class_by_shape(&bytes)? {
            Class::Index => Some("application/vnd.oci.image.index.v1+json".to_owned()),
            Class::Image => Some("application/vnd.oci.image.manifest.v1+json".to_owned()),
            _ => None,
        })
    });
    let size = referrer.size.unwrap_or_default();
    Entry::for_descriptor(&media_type.unwrap_or_default(), &referrer.digest, size, None)
}

/// What a manifest holds, if that is no image that runs: its artifactType, or the type of its config or of its first
/// layer that is not one of an image.
pub(super) fn kind(manifest: &Manifest) -> Option<&str> {
    let parts = manifest.config.iter().chain(manifest.layers.first());
    let types = parts.map(|part| part.media_type.as_str());
    let mut odd = types.filter(|media_type| Class::of(media_type) != Class::Data && !media_type.is_empty());
    manifest.artifact_type.as_deref().or_else(|| odd.next())
}
