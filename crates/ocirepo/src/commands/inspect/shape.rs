//! What `inspect` tells, as JSON has it.

use std::collections::{BTreeMap, HashSet};

use anyhow::Result;
use ocirepo_store::graph::{Class, Descriptor, Documents, Loaded, Platform};
use ocirepo_store::image::{Image, Manifest};
use ocirepo_store::index::Entry;
use serde::Serialize;
use serde_json::Value;

use super::config::Runtime;
use super::load;
use crate::commands::attached::{About, Attached};
use crate::commands::look::View;
use crate::commands::summary::Summary;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Output {
    #[serde(flatten)]
    pub(super) summary: Summary,
    pub(super) references: Vec<String>,
    layers: Vec<Part>,
    pub(super) manifests: Vec<Member>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) referrers: Vec<Attached>,
}

/// A blob of an image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part {
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    pub(super) present: bool,
}

/// A manifest of an image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Member {
    media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    pub(super) present: bool,
    pub(super) platform: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) artifact_type: Option<String>,
    pub(super) config: Option<Part>,
    pub(super) layers: Vec<Part>,
    pub(super) annotations: Value,
    pub(super) runtime: Option<Runtime>,
    pub(super) referrers: Vec<Attached>,
}

/// Puts together what is known of an entry, of whose manifests those count that are in `image`.
pub(super) fn output(view: &View<'_>, position: usize, image: Image) -> Result<Output> {
    let documents = view.documents;
    let entry = &view.document.entries()[position];
    let part = |descriptor: &Descriptor| Part {
        media_type: descriptor.media_type.clone(),
        digest: descriptor.digest.to_string(),
        size: descriptor.size,
        present: documents.blob_size(&descriptor.digest).ok().flatten() == Some(descriptor.size),
    };
    let about = About::of(view)?;
    let descriptor = entry.descriptor().ok();
    let mut seen: HashSet<_> = descriptor.map(|descriptor| descriptor.digest.clone()).into_iter().collect();
    let referrers = descriptor.map(|it| about.attached(&it.digest, &mut seen)).unwrap_or_default();
    let is_child = |manifest: &Manifest| entry.digest() != Some(&manifest.descriptor.digest);
    let mut member = |manifest: &Manifest| Member {
        media_type: manifest.descriptor.media_type.clone(),
        digest: manifest.descriptor.digest.to_string(),
        size: manifest.descriptor.size,
        present: manifest.is_present,
        platform: manifest.platform.as_ref().map(Platform::to_string),
        artifact_type: manifest.artifact_type.clone(),
        config: manifest.config.as_ref().map(part),
        layers: manifest.layers.iter().map(part).collect(),
        annotations: annotations(documents, &manifest.descriptor),
        runtime: Runtime::of(documents, manifest),
        referrers: match is_child(manifest) {
            true => about.attached(&manifest.descriptor.digest, &mut seen),
            false => Vec::new(),
        },
    };
    let same_digest = |other: &&Entry| other.digest_text() == entry.digest_text();
    let names = view.document.entries().iter().filter(same_digest).filter_map(Entry::name);
    Ok(Output {
        summary: Summary::of(entry, &image),
        references: names.map(|name| name.to_string()).collect(),
        layers: image.layers().into_iter().map(part).collect(),
        manifests: image.manifests.iter().map(&mut member).collect(),
        annotations: entry.annotations().into_iter().collect(),
        referrers,
    })
}

/// The annotations inside a manifest.
fn annotations(documents: &dyn Documents, descriptor: &Descriptor) -> Value {
    let Loaded::Content(bytes) = load(documents, descriptor, Class::of(&descriptor.media_type)) else {
        return Value::Null;
    };
    let manifest: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    manifest.get("annotations").cloned().unwrap_or_default()
}
