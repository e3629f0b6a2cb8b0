//! The layers of OCI images: seen to be what their configs say, or stored in another way.
//!
//! A layer that is stored in another way changes the manifest that names it, and every index above
//! that. Everything else in those documents keeps its text. The config does not change, because it
//! knows layers by what they unpack to. `rewriting` makes the documents; what is here finds the
//! layers, and stores each of them once however many images have it.

mod rewriting;

use std::collections::{BTreeMap, HashMap, HashSet};

use ocirepo_store::graph::{Class, Descriptor, Link, Node, Platform, Replacement, is_image_config};
use ocirepo_store::{Digest, Unit};

use rewriting::{Made, Rewriting, warnings};

use super::Listed;
use super::graph::{Graph, Held};
use crate::archive::Member;
use crate::archive::limits::MAX_CONFIG;
use crate::error::{Result, escape};
use crate::import::carrier::Carrier;
use crate::import::layers::{
    Compression, Layer, Layering, Origin, Packed, bad_layer, diff_ids, media_type_in, only_hash,
};
use crate::import::naming;
use crate::import::options::Layers;
use crate::import::task::Task;

/// A layer, as an image uses it.
#[derive(Debug, Clone)]
struct Used {
    descriptor: Descriptor,
    diff_id: Digest,
    /// The image, for messages.
    image: String,
}

/// A layer by its digest and by what it should unpack to. Its media type is no part of that: images
/// may call one blob by several.
type Key = (Digest, Digest);

/// The images that entries lead to.
#[derive(Debug, Default)]
struct Images {
    /// Every layer that may be stored in another way.
    layers: BTreeMap<Key, Used>,
    /// The diffIDs of every image, or why its layers cannot be known by them.
    stacks: HashMap<Digest, Result<Vec<Digest>, String>>,
}

/// How a layer is stored from now on.
#[derive(Debug)]
enum Stored {
    /// As it came, which is as it should be.
    AsItIs,
    Anew(Layer),
    /// As it came, for want of something.
    Left(String),
}

/// Unpacks every layer of the images to see that it is what the config says.
///
/// # Errors
/// [`crate::Error::BadLayer`], and when a config lists another number of layers than its manifest.
pub(crate) fn verify(graph: &mut Graph<'_, '_>, listed: &[Listed], layering: &Layering<'_>) -> Result<()> {
    let images = images(graph, listed, true)?;
    let carrier = graph.carrier;
    let uses: Vec<&Used> = images.layers.values().collect();
    let total = uses.iter().map(|used| used.descriptor.size).fold(0, u64::saturating_add);
    let _task = Task::begin(carrier.progress, carrier.label(), Unit::Bytes, Some(total));
    carrier.on_each(
        &uses,
        |used| used.descriptor.size,
        |used| {
            let Some(found) = diff_id(carrier, used, layering)? else { return Ok(()) };
            if found == used.diff_id { Ok(()) } else { Err(bad(carrier, used, &found)) }
        },
    )?;
    Ok(())
}

/// Stores the layers of the images as the user wants them. What changes for it is made in the
/// graph, and `listed` leads to that.
///
/// # Errors
/// When a layer cannot be unpacked, or is not what the config says.
pub(crate) fn relayer(
    graph: &mut Graph<'_, '_>,
    listed: &mut [Listed],
    layering: &Layering<'_>,
) -> Result<()> {
    if layering.policy == Layers::Keep {
        return Ok(());
    }
    let Images { layers, stacks } = images(graph, listed, false)?;
    let uses: Vec<(Key, Used)> = layers.into_iter().collect();
    let carrier = graph.carrier;
    let total = uses.iter().map(|(_, used)| used.descriptor.size).fold(0, u64::saturating_add);
    let task = Task::begin(carrier.progress, carrier.label(), Unit::Bytes, Some(total));
    let stored = carrier.on_each(
        &uses,
        |(_, used)| used.descriptor.size,
        |(_, used)| store(carrier, used, layering),
    )?;
    drop(task);
    let stored: HashMap<Key, Stored> = uses.into_iter().map(|(key, _)| key).zip(stored).collect();
    let wanted = match layering.policy {
        Layers::Encode(encoding) => Some(Compression::of(encoding)),
        Layers::Keep | Layers::Reuse => None,
    };
    let mut rewriting = Rewriting::new(graph, stored, stacks, wanted);
    for image in listed {
        let Made { content, left } = rewriting.document(&image.descriptor, 0)?;
        image.warnings.extend(warnings(&left, &image.descriptor.digest));
        let Some((digest, size)) = content else { continue };
        let media_type = image.descriptor.media_type.clone();
        let content = Replacement { media_type, digest, size };
        let fail = |reason: String| carrier.bad_image(content.digest.as_str(), escape(&reason));
        image.warnings.push(format!(
            "its digest changed from {} to {}, because its layers are stored in another way",
            image.descriptor.digest, content.digest
        ));
        image.entry = image.entry.with_content(&content).map_err(fail)?;
        image.descriptor = image.entry.descriptor().cloned().map_err(|reason| fail(reason.to_owned()))?;
    }
    Ok(())
}

/// The stored bytes of a layer: those of the archive, or else of the repository. `None` when neither
/// has them: whoever brings the image in says what that means.
fn packed<'u>(
    carrier: &Carrier<'_>,
    used: &'u Used,
    member: Option<&'u Member>,
) -> Result<Option<Packed<'u>>> {
    let Descriptor { digest, size, .. } = &used.descriptor;
    let origin = match member {
        Some(member) => Origin::Member(member),
        None if carrier.repository().blob_size(digest)? == Some(*size) => Origin::Repository(digest, *size),
        None => return Ok(None),
    };
    let compression = origin.compression(carrier)?;
    Ok(Some(Packed { origin, compression, stored: Some(digest) }))
}

/// Stores a layer as the user wants it.
fn store(carrier: &Carrier<'_>, used: &Used, layering: &Layering<'_>) -> Result<Stored> {
    let Used { descriptor, diff_id, .. } = used;
    let Some(algorithm) = diff_id.algorithm() else {
        return Ok(Stored::Left(format!("its diffID {diff_id} cannot be verified")));
    };
    let member = carrier.blob(&descriptor.digest)?;
    let Some(packed) = packed(carrier, used, member.as_ref())? else {
        return Ok(Stored::Left("neither the archive nor the repository has it".to_owned()));
    };
    let layer = match layering.policy {
        Layers::Keep => return Ok(Stored::AsItIs),
        Layers::Encode(encoding) if Compression::of(encoding) == packed.compression => {
            carrier.progress.advance(descriptor.size);
            return Ok(Stored::AsItIs);
        }
        Layers::Encode(encoding) => layering.encode(carrier, &packed, algorithm, Some(diff_id), encoding)?,
        Layers::Reuse => {
            let held = carrier.repository().blob_size(&descriptor.digest)?;
            // A compressed layer that is there already keeps the digest of its image.
            if held == Some(descriptor.size) && packed.compression != Compression::None {
                carrier.progress.advance(descriptor.size);
                return Ok(Stored::AsItIs);
            }
            let Some(layer) = layering.known.compressed(carrier, diff_id) else {
                carrier.progress.advance(descriptor.size);
                return Ok(Stored::AsItIs);
            };
            let found = packed.unpack(carrier, algorithm, &mut only_hash)?;
            if found != *diff_id {
                return Err(bad(carrier, used, &found));
            }
            if !carrier.ingest.has(&layer.digest, layer.size)? {
                return Ok(Stored::AsItIs);
            }
            layer
        }
    };
    if layer.diff_id != *diff_id {
        return Err(bad(carrier, used, &layer.diff_id));
    }
    Ok(Stored::Anew(layer))
}

/// What a layer unpacks to; `None` when it is not there.
fn diff_id(carrier: &Carrier<'_>, used: &Used, layering: &Layering<'_>) -> Result<Option<Digest>> {
    let Used { descriptor, diff_id, .. } = used;
    let Some(algorithm) = diff_id.algorithm() else { return Ok(None) };
    if let Some(known) = layering.known.diff_id_of(&descriptor.digest, algorithm) {
        carrier.progress.advance(descriptor.size);
        return Ok(Some(known));
    }
    let member = carrier.blob(&descriptor.digest)?;
    let Some(packed) = packed(carrier, used, member.as_ref())? else { return Ok(None) };
    let found = packed.unpack(carrier, algorithm, &mut only_hash)?;
    layering.known.note_blob(&descriptor.digest, descriptor.size, &found);
    Ok(Some(found))
}

fn bad(carrier: &Carrier<'_>, used: &Used, found: &Digest) -> crate::Error {
    bad_layer(carrier, &used.image, used.descriptor.digest.as_str(), &used.diff_id, found)
}

/// All images that the entries lead to. With `strictly`, a config that does not fit its manifest is
/// an error; without, such an image is left as it is.
fn images(graph: &mut Graph<'_, '_>, listed: &[Listed], strictly: bool) -> Result<Images> {
    let mut images = Images::default();
    let mut seen = HashSet::new();
    for image in listed {
        let label = naming::label(&image.names, &image.descriptor.digest);
        let mut open = vec![image.descriptor.clone()];
        while let Some(descriptor) = open.pop() {
            let class = Class::of(&descriptor.media_type);
            let is_attestation = descriptor.platform.as_ref().is_some_and(Platform::is_unknown);
            if !matches!(class, Class::Index | Class::Image)
                || is_attestation
                || !seen.insert(descriptor.digest.clone())
            {
                continue;
            }
            let Held::Node(node) = graph.load(&descriptor, class, None, &label)? else { continue };
            open.extend(node.linked(Link::Manifest).cloned());
            if class == Class::Image {
                images.take(graph.carrier, &descriptor.digest, &node, &label, strictly)?;
            }
        }
    }
    Ok(images)
}

/// Whether a layer is nowhere that has to be somewhere.
fn is_incomplete(carrier: &Carrier<'_>, layers: &[&Descriptor]) -> Result<bool> {
    for layer in layers {
        if !layer.may_be_absent()
            && carrier.blob(&layer.digest)?.is_none()
            && carrier.repository().blob_size(&layer.digest)? != Some(layer.size)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Images {
    fn take(
        &mut self,
        carrier: &Carrier<'_>,
        digest: &Digest,
        node: &Node,
        label: &str,
        strictly: bool,
    ) -> Result<()> {
        let Some(config) = node.linked(Link::Config).find(|config| is_image_config(&config.media_type))
        else {
            return Ok(());
        };
        let layers: Vec<&Descriptor> = node.linked(Link::Layer).collect();
        // What is not whole is left out later, and must not leave layers behind that were made for it.
        if !strictly && is_incomplete(carrier, &layers)? {
            return Ok(());
        }
        let Some(diff_ids) = diff_ids_of(carrier, config, label)? else {
            let reason = "neither the archive nor the repository has its config".to_owned();
            self.stacks.insert(digest.clone(), Err(reason));
            return Ok(());
        };
        if diff_ids.len() != layers.len() {
            let reason = format!("it has {} layers, but its config lists {}", layers.len(), diff_ids.len());
            if strictly {
                return Err(carrier.bad_image(label, reason));
            }
            self.stacks.insert(digest.clone(), Err(reason));
            return Ok(());
        }
        for (layer, diff_id) in layers.into_iter().zip(&diff_ids) {
            if media_type_in(&layer.media_type, Compression::None).is_some() {
                self.layers.entry((layer.digest.clone(), diff_id.clone())).or_insert_with(|| Used {
                    descriptor: layer.clone(),
                    diff_id: diff_id.clone(),
                    image: label.to_owned(),
                });
            }
        }
        self.stacks.insert(digest.clone(), Ok(diff_ids));
        Ok(())
    }
}

/// The diffIDs of an image; `None` when its config is not there.
fn diff_ids_of(carrier: &Carrier<'_>, config: &Descriptor, image: &str) -> Result<Option<Vec<Digest>>> {
    let Some(bytes) = carrier.read_blob(&config.digest, MAX_CONFIG)? else { return Ok(None) };
    if config.digest.algorithm().is_some() && !config.digest.proves(&bytes) {
        let reason = format!("the content of its config is not that of {}", config.digest);
        return Err(carrier.bad_image(image, reason));
    }
    diff_ids(&bytes).map(Some).map_err(|reason| carrier.bad_image(image, escape(&reason)))
}
