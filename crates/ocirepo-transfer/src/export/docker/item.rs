//! The images that manifest.json lists: one item for each image, never one for each name.

use std::collections::{BTreeMap, HashMap};

use ocirepo_store::Digest;
use ocirepo_store::graph::{Descriptor, is_nondistributable};
use ocirepo_store::name::Name;
use serde::Serialize;

use crate::error::{Error, escape};
use crate::export::image::Runnable;
use crate::import::carrier::Carrier;

/// An image for docker.
#[derive(Debug, Clone)]
pub(in crate::export) struct Image {
    /// How to call it in messages.
    pub(in crate::export) label: String,
    /// The names that docker takes, sorted.
    pub(in crate::export) names: Vec<ImageName>,
    pub(in crate::export) config: Descriptor,
    pub(in crate::export) layers: Vec<Descriptor>,
}

/// A name, in the two parts that docker keeps apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::export) struct ImageName {
    pub(in crate::export) repository: String,
    pub(in crate::export) tag: String,
}

/// An item of manifest.json.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::export) struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    layer_sources: BTreeMap<Digest, Foreign>,
}

/// Where a layer comes from that is not to be distributed.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::export) struct Foreign {
    media_type: String,
    size: u64,
    digest: Digest,
}

/// What goes by several names becomes one image with all of them. `warnings` gets what docker has
/// no form for.
pub(in crate::export) fn images<'e>(
    entries: impl Iterator<Item = (&'e str, &'e [Name], &'e Runnable)>,
    warnings: &mut Vec<String>,
) -> Vec<Image> {
    let mut images: Vec<Image> = Vec::new();
    let mut known: HashMap<(Digest, Vec<Digest>), usize> = HashMap::new();
    for (label, names, runnable) in entries {
        let layers: Vec<Digest> = runnable.layers.iter().map(|layer| layer.digest.clone()).collect();
        let at = *known.entry((runnable.config.digest.clone(), layers)).or_insert_with(|| {
            images.push(Image {
                label: escape(label),
                names: Vec::new(),
                config: runnable.config.clone(),
                layers: runnable.layers.clone(),
            });
            images.len() - 1
        });
        for name in names {
            match ImageName::of(name) {
                Some(name) => images[at].names.push(name),
                None => warnings.push(format!(
                    "{} is no name to docker, so the image has none in manifest.json",
                    escape(&name.to_string())
                )),
            }
        }
    }
    for image in &mut images {
        image.names.sort();
        image.names.dedup();
    }
    images.sort_by(|a, b| (a.names.is_empty(), &a.names).cmp(&(b.names.is_empty(), &b.names)));
    images
}

/// The content of manifest.json.
pub(in crate::export) fn manifest_json(items: &[Item]) -> Vec<u8> {
    serde_json::to_vec(items).expect("strings and numbers can be written as JSON")
}

impl ImageName {
    fn of(name: &Name) -> Option<Self> {
        let Name::Full(reference) = name else { return None };
        if reference.digest().is_some() {
            return None;
        }
        Some(Self { repository: reference.repository(), tag: reference.tag()?.to_owned() })
    }
}

impl Image {
    pub(in crate::export) fn item(
        &self,
        config: String,
        layers: Vec<String>,
        layer_sources: BTreeMap<Digest, Foreign>,
    ) -> Item {
        let names = self.names.iter().map(|name| format!("{}:{}", name.repository, name.tag));
        let repo_tags = if self.names.is_empty() { None } else { Some(names.collect()) };
        Item { config, repo_tags, layers, layer_sources }
    }

    /// Its layers that are not to be distributed.
    pub(in crate::export) fn foreign(&self) -> impl Iterator<Item = (usize, Foreign)> {
        let foreign = |layer: &Descriptor| Foreign {
            media_type: layer.media_type.clone(),
            size: layer.size,
            digest: layer.digest.clone(),
        };
        let layers = self.layers.iter().enumerate();
        layers
            .filter(|(_, layer)| is_nondistributable(&layer.media_type))
            .map(move |(n, it)| (n, foreign(it)))
    }

    pub(super) fn refuse(&self, reason: String) -> Error {
        Error::NoForm { image: self.label.clone(), format: "docker archive", reason }
    }

    pub(super) fn lacks(&self, carrier: &Carrier<'_>, digest: &Digest) -> Error {
        Error::Lacking {
            repository: carrier.label().to_owned(),
            image: self.label.clone(),
            digest: digest.clone(),
        }
    }
}
