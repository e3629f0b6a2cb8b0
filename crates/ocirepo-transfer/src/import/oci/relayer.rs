//! The layers of OCI images: seen to be what their configs say, or stored in another way.
//!
//! A layer that is stored in another way changes the manifest that names it, and every index above
//! that. Everything else in those documents keeps its text. The config does not change, because it
//! knows layers by what they unpack to.

use std::collections::{BTreeMap, HashMap};

use ocirepo_store::graph::{Class, Descriptor, Link, Platform, Replacement, with_layers};
use ocirepo_store::index::{Document, Entry};
use ocirepo_store::{Digest, Unit};

use super::Listed;
use super::graph::{Graph, Held};
use crate::archive::Member;
use crate::archive::limits::MAX_CONFIG;
use crate::error::{Result, escape};
use crate::import::carrier::Carrier;
use crate::import::layers::{
    Compression, Layering, Origin, Packed, bad_layer, diff_ids, media_type_in, only_hash,
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

/// Layers by their digest and by what they should unpack to.
type Uses = BTreeMap<(Digest, Digest), Used>;

/// Unpacks every layer of the images to see that it is what the config says.
///
/// # Errors
/// [`crate::Error::BadLayer`], and when a config lists another number of layers than its manifest.
pub(crate) fn verify(graph: &mut Graph<'_, '_>, listed: &[Listed], layering: &Layering<'_>) -> Result<()> {
    let uses = uses(graph, listed, true)?;
    let carrier = graph.carrier;
    let uses: Vec<&Used> = uses.values().collect();
    let total = uses.iter().map(|used| used.descriptor.size).fold(0, u64::saturating_add);
    let _task = Task::begin(carrier.progress, carrier.label(), Unit::Bytes, Some(total));
    carrier.on_each(&uses, |used| {
        let Some(found) = diff_id(carrier, used, layering)? else { return Ok(()) };
        if found == used.diff_id { Ok(()) } else { Err(bad(carrier, used, &found)) }
    })?;
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
    let uses: Vec<((Digest, Digest), Used)> = uses(graph, listed, false)?.into_iter().collect();
    let carrier = graph.carrier;
    let total = uses.iter().map(|(_, used)| used.descriptor.size).fold(0, u64::saturating_add);
    let task = Task::begin(carrier.progress, carrier.label(), Unit::Bytes, Some(total));
    let stored = layering.each(carrier, &uses, |(_, used)| store(carrier, used, layering))?;
    drop(task);
    let replaced: HashMap<(Digest, Digest), Replacement> = uses
        .into_iter()
        .zip(stored)
        .filter_map(|((key, _), stored)| stored.map(|stored| (key, stored)))
        .collect();
    if replaced.is_empty() {
        return Ok(());
    }
    let mut rewriting = Rewriting { graph, replaced, done: HashMap::new() };
    for image in listed {
        if let Some(content) = rewriting.document(&image.descriptor, 0)? {
            let fail = |reason: String| carrier.bad_image(content.digest.as_str(), escape(&reason));
            image.warnings.push(format!(
                "its digest changed from {} to {}, because its layers are stored in another way",
                image.descriptor.digest, content.digest
            ));
            image.entry = image.entry.with_content(&content).map_err(fail)?;
            image.descriptor = image.entry.descriptor().cloned().map_err(|reason| fail(reason.to_owned()))?;
        }
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

/// How a layer is stored from now on, if not as it came.
fn store(carrier: &Carrier<'_>, used: &Used, layering: &Layering<'_>) -> Result<Option<Replacement>> {
    let Used { descriptor, diff_id, .. } = used;
    let Some(algorithm) = diff_id.algorithm() else { return Ok(None) };
    let member = carrier.blob(&descriptor.digest)?;
    let Some(packed) = packed(carrier, used, member.as_ref())? else { return Ok(None) };
    let layer = match layering.policy {
        Layers::Keep => return Ok(None),
        Layers::Encode(encoding) if Compression::of(encoding) == packed.compression => return Ok(None),
        Layers::Encode(encoding) => layering.encode(carrier, &packed, algorithm, Some(diff_id), encoding)?,
        Layers::Reuse => {
            let held = carrier.repository().blob_size(&descriptor.digest)?;
            // A compressed layer that is there already keeps the digest of its image.
            if held == Some(descriptor.size) && packed.compression != Compression::None {
                return Ok(None);
            }
            let Some(layer) = layering.known.compressed(carrier, diff_id) else { return Ok(None) };
            let found = packed.unpack(carrier, algorithm, &mut only_hash)?;
            if found != *diff_id {
                return Err(bad(carrier, used, &found));
            }
            if !carrier.ingest.has(&layer.digest, layer.size)? {
                return Ok(None);
            }
            layer
        }
    };
    if layer.diff_id != *diff_id {
        return Err(bad(carrier, used, &layer.diff_id));
    }
    Ok(layer.replacing(&descriptor.media_type))
}

/// What a layer unpacks to; `None` when it is not there.
fn diff_id(carrier: &Carrier<'_>, used: &Used, layering: &Layering<'_>) -> Result<Option<Digest>> {
    let Used { descriptor, diff_id, .. } = used;
    let Some(algorithm) = diff_id.algorithm() else { return Ok(None) };
    if let Some(known) = layering.known.diff_id_of(&descriptor.digest) {
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

/// The layers of all images that the entries lead to. With `strictly`, a config that does not fit
/// its manifest is an error; without, such an image is left as it is.
fn uses(graph: &mut Graph<'_, '_>, listed: &[Listed], strictly: bool) -> Result<Uses> {
    let mut uses = Uses::new();
    let mut seen = std::collections::HashSet::new();
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
            if class != Class::Image {
                continue;
            }
            let layers: Vec<&Descriptor> = node.linked(Link::Layer).collect();
            let Some(diff_ids) = diff_ids_of(graph.carrier, &node, &label)? else { continue };
            if diff_ids.len() != layers.len() {
                if strictly {
                    let reason =
                        format!("it has {} layers, but its config lists {}", layers.len(), diff_ids.len());
                    return Err(graph.carrier.bad_image(&label, reason));
                }
                continue;
            }
            for (layer, diff_id) in layers.into_iter().zip(diff_ids) {
                if media_type_in(&layer.media_type, Compression::None).is_some() {
                    let key = (layer.digest.clone(), diff_id.clone());
                    let image = label.clone();
                    uses.entry(key).or_insert_with(|| Used { descriptor: layer.clone(), diff_id, image });
                }
            }
        }
    }
    Ok(uses)
}

/// The diffIDs of an image; `None` for what is no image of layers.
fn diff_ids_of(
    carrier: &Carrier<'_>,
    node: &ocirepo_store::graph::Node,
    image: &str,
) -> Result<Option<Vec<Digest>>> {
    let Some(config) = node.linked(Link::Config).next() else { return Ok(None) };
    let is_config = matches!(
        config.media_type.as_str(),
        "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json"
    );
    let bytes = if is_config { carrier.read_blob(&config.digest, MAX_CONFIG)? } else { None };
    let Some(bytes) = bytes else { return Ok(None) };
    if config.digest.algorithm().is_some() && !config.digest.proves(&bytes) {
        let reason = format!("the content of its config is not that of {}", config.digest);
        return Err(carrier.bad_image(image, reason));
    }
    diff_ids(&bytes).map(Some).map_err(|reason| carrier.bad_image(image, escape(&reason)))
}

struct Rewriting<'g, 'a, 'c> {
    graph: &'g mut Graph<'a, 'c>,
    replaced: HashMap<(Digest, Digest), Replacement>,
    done: HashMap<Digest, Option<Replacement>>,
}

/// So deep may indexes be nested.
const MAX_DEPTH: usize = 16;

impl Rewriting<'_, '_, '_> {
    /// What a descriptor describes from now on, if that is not what it describes now.
    fn document(&mut self, descriptor: &Descriptor, depth: usize) -> Result<Option<Replacement>> {
        if let Some(done) = self.done.get(&descriptor.digest) {
            return Ok(done.clone());
        }
        let class = Class::of(&descriptor.media_type);
        let made = match class {
            Class::Index if depth < MAX_DEPTH => self.index(descriptor, depth)?,
            Class::Image => self.image(descriptor)?,
            _ => None,
        };
        let replacement = match made {
            Some(bytes) => {
                let size = bytes.len() as u64;
                let digest = self.graph.make(class, bytes)?;
                Some(Replacement { media_type: descriptor.media_type.clone(), digest, size })
            }
            None => None,
        };
        self.done.insert(descriptor.digest.clone(), replacement.clone());
        Ok(replacement)
    }

    fn index(&mut self, descriptor: &Descriptor, depth: usize) -> Result<Option<Vec<u8>>> {
        let image = descriptor.digest.to_string();
        let Held::Node(_) = self.graph.load(descriptor, Class::Index, None, &image)? else { return Ok(None) };
        let bytes = self.graph.bytes(descriptor, Class::Index, &image)?;
        let carrier = self.graph.carrier;
        let fail = |reason: String| carrier.bad_image(&image, escape(&reason));
        let mut index = Document::parse(&bytes).map_err(fail)?;
        let mut renamed: Vec<(Digest, Digest)> = Vec::new();
        let mut children: Vec<Entry> = Vec::with_capacity(index.entries().len());
        for child in index.entries() {
            let content = match child.descriptor() {
                Ok(described) => self.document(&described.clone(), depth + 1)?,
                Err(_) => None,
            };
            children.push(match content {
                Some(content) => {
                    renamed.extend(child.digest().map(|old| (old.clone(), content.digest.clone())));
                    child.with_content(&content).map_err(fail)?
                }
                None => child.clone(),
            });
        }
        if renamed.is_empty() {
            return Ok(None);
        }
        *index.entries_mut() = children.into_iter().map(|child| follow(child, &renamed)).collect();
        Ok(Some(index.to_bytes()))
    }

    fn image(&mut self, descriptor: &Descriptor) -> Result<Option<Vec<u8>>> {
        let image = descriptor.digest.to_string();
        let Held::Node(node) = self.graph.load(descriptor, Class::Image, None, &image)? else {
            return Ok(None);
        };
        let carrier = self.graph.carrier;
        let Some(diff_ids) = diff_ids_of(carrier, &node, &image)? else { return Ok(None) };
        let layers = node.linked(Link::Layer);
        let replacements: Vec<Option<Replacement>> = layers
            .zip(diff_ids)
            .map(|(layer, diff_id)| self.replaced.get(&(layer.digest.clone(), diff_id)).cloned())
            .collect();
        if replacements.iter().all(Option::is_none) {
            return Ok(None);
        }
        let bytes = self.graph.bytes(descriptor, Class::Image, &image)?;
        let fail = |reason: String| carrier.bad_image(&image, escape(&reason));
        with_layers(&bytes, &replacements).map(Some).map_err(fail)
    }
}

/// An attestation that is about an image with a new digest follows it.
fn follow(child: Entry, renamed: &[(Digest, Digest)]) -> Entry {
    let about = super::cut::reference(&child);
    let new = about.and_then(|about| renamed.iter().find(|(old, _)| old.as_str() == about));
    match new {
        Some((_, new)) => {
            child.with_annotations(&[(super::cut::REFERENCE, Some(new.as_str()))]).unwrap_or(child)
        }
        None => child,
    }
}
