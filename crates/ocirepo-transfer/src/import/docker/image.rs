//! The images that a `manifest.json` lists, each with its config.

use std::collections::HashMap;
use std::rc::Rc;

use oci_spec::image::{Descriptor, MediaType};
use ocirepo_store::Digest;
use ocirepo_store::graph::{Platform, is_nondistributable};
use ocirepo_store::name::Name;

use super::manifest_json::Item;
use crate::archive::Member;
use crate::archive::limits::MAX_CONFIG;
use crate::error::{Error, Result, escape};
use crate::import::carrier::Carrier;
use crate::import::layers::{Compression, Layer, Origin, diff_ids};
use crate::import::{naming, synthesis};

/// The config of an image: what is needed of it.
#[derive(Debug)]
pub(crate) struct Config {
    pub(super) member: Member,
    /// Its digest, whatever its member is called.
    pub(crate) digest: Digest,
    pub(crate) diff_ids: Vec<Digest>,
    pub(crate) platform: Option<Platform>,
}

/// An image of a docker archive, its config read.
#[derive(Debug)]
pub(crate) struct Image {
    item: Item,
    pub(crate) config: Rc<Config>,
    /// Its names, normalised.
    pub(crate) names: Vec<Name>,
    pub(super) warnings: Vec<String>,
    /// Where it stands among the images of the source, from 0.
    pub(crate) position: usize,
    /// How to call it in messages.
    pub(crate) label: String,
}

/// Reads the configs that items name. Several items may name the same one.
pub(crate) fn read(carrier: &Carrier<'_>, items: Vec<Item>) -> Result<Vec<Image>> {
    let mut configs: HashMap<String, Rc<Config>> = HashMap::new();
    let mut images = Vec::with_capacity(items.len());
    for (position, item) in items.into_iter().enumerate() {
        let tags = item.repo_tags.as_deref().unwrap_or_default();
        let label = tags.first().map_or_else(|| format!("number {}", position + 1), |tag| escape(tag));
        let name = item
            .config
            .as_deref()
            .filter(|name| !name.is_empty())
            .ok_or_else(|| carrier.bad_image(&label, "manifest.json names no config for it"))?;
        let member = carrier.find(name)?.ok_or_else(|| {
            carrier.bad_image(&label, format!("its config {} is not in the archive", escape(name)))
        })?;
        let config = match configs.get(&member.name) {
            Some(config) => Rc::clone(config),
            None => {
                let own_name = member.name.clone();
                let config = Rc::new(Config::read(carrier, member, &label)?);
                configs.insert(own_name, Rc::clone(&config));
                config
            }
        };
        let (names, warnings) = naming::of_repo_tags(tags);
        images.push(Image { config, names, warnings, label, item, position });
    }
    Ok(images)
}

impl Config {
    fn read(carrier: &Carrier<'_>, member: Member, image: &str) -> Result<Self> {
        let bytes = carrier.read(&member, MAX_CONFIG)?;
        let diff_ids = diff_ids(&bytes)
            .map_err(|reason| Error::member(carrier.label(), &member.name, escape(&reason)))?;
        if let Some(digest) = diff_ids.iter().find(|digest| digest.algorithm().is_none()) {
            return Err(carrier.unknown_algorithm(image, digest));
        }
        Ok(Self { member, digest: Digest::sha256(&bytes), diff_ids, platform: Platform::of_config(&bytes) })
    }
}

impl Image {
    /// Makes this image stand in for entries whose manifest has the layers in the wrong order. It has
    /// the names of both then; a bare tag says nothing beside a reference with that tag.
    pub(crate) fn replace(&mut self, names: Vec<Name>) {
        let own = std::mem::take(&mut self.names);
        let is_said = |name: &Name| match name {
            Name::Tag(tag) => {
                own.iter().any(|own| matches!(own, Name::Full(full) if full.tag() == Some(tag)))
            }
            _ => own.contains(name),
        };
        self.names = names.into_iter().filter(|name| !is_said(name)).collect();
        self.names.extend(own);
        let warning = "index.json lists it with its layers in the wrong order; manifest.json was followed";
        self.warnings.push(warning.to_owned());
    }

    /// The digest that the manifest of this image will have if its config tells the truth: layers that
    /// are not compressed are known by their diffIDs. `None` when that cannot be said beforehand.
    pub(crate) fn foretold(&self, carrier: &Carrier<'_>) -> Result<Option<Digest>> {
        let mut layers = Vec::new();
        if self.layers().len() != self.config.diff_ids.len() {
            return Ok(None);
        }
        for (name, diff_id) in self.layers().iter().zip(&self.config.diff_ids) {
            let Some(member) = carrier.find(name)? else { return Ok(None) };
            let compression = Origin::Member(&member).compression(carrier)?;
            if compression != Compression::None {
                return Ok(None);
            }
            let layer =
                Layer { digest: diff_id.clone(), size: member.size, compression, diff_id: diff_id.clone() };
            let Ok(descriptor) = synthesis::describe(&layer) else { return Ok(None) };
            layers.push(descriptor);
        }
        let manifest = synthesis::manifest(&self.config.digest, self.config.member.size, layers);
        Ok(manifest.ok().map(|manifest| Digest::sha256(&manifest)))
    }

    pub(super) fn layers(&self) -> &[String] {
        self.item.layers.as_deref().unwrap_or_default()
    }

    /// Whether a layer must not be distributed.
    pub(super) fn must_stay(&self, diff_id: &Digest) -> bool {
        let source = self.item.sources.as_ref().and_then(|sources| sources.get(diff_id.as_str()));
        source.is_some_and(|source| is_nondistributable(&source.media_type))
    }

    /// The descriptor of a layer that the archive may leave out.
    pub(super) fn foreign(&self, diff_id: &Digest) -> Option<Descriptor> {
        let source = self.item.sources.as_ref()?.get(diff_id.as_str())?;
        let urls = source.urls.clone().unwrap_or_default();
        if urls.is_empty() && !is_nondistributable(&source.media_type) {
            return None;
        }
        let media_type = if source.media_type.ends_with("gzip") {
            MediaType::ImageLayerNonDistributableGzip
        } else if source.media_type.ends_with("zstd") {
            MediaType::ImageLayerNonDistributableZstd
        } else {
            MediaType::ImageLayerNonDistributable
        };
        let digest: Digest = source.digest.as_deref()?.parse().ok()?;
        synthesis::descriptor(media_type, &digest, source.size?, urls).ok()
    }
}
