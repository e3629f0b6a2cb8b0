//! Docker archives: `manifest.json` and what it names.

mod image;
mod manifest_json;

use std::collections::HashMap;

use oci_spec::image::Descriptor;
use ocirepo_store::{Digest, Unit};

pub(crate) use image::{Image, read};
pub(crate) use manifest_json::{Item, ManifestJson, parse};

use super::carrier::Carrier;
use super::layers::{Layer, Layering, bad_layer};
use super::naming::Root;
use super::synthesis::{self, Parts, describe, describe_foreign};
use super::task::Task;
use crate::archive::Member;
use crate::archive::limits::MAX_CONFIG;
use crate::error::{Error, Result, escape};

/// What a docker archive is called in results.
const FORMAT: &str = "docker archive";

/// A layer of an image.
enum Part {
    /// One that the archive has, by number.
    Layer(usize),
    /// One that the repository has.
    Held(Layer),
    /// One that is elsewhere.
    Foreign(Box<Descriptor>),
}

/// Brings images in and makes their manifests.
///
/// # Errors
/// When a layer is missing, damaged, or not what the config says.
pub(crate) fn import(carrier: &Carrier<'_>, images: &[Image], layering: &Layering<'_>) -> Result<Vec<Root>> {
    if images.is_empty() {
        return Ok(Vec::new());
    }
    // A layer that several images name is read once.
    let mut members: Vec<(Member, &Digest)> = Vec::new();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut stacks: Vec<Vec<Part>> = Vec::with_capacity(images.len());
    for image in images {
        let (layers, diff_ids) = (image.layers(), &image.config.diff_ids);
        if layers.len() != diff_ids.len() {
            let reason = format!("it has {} layers, but its config lists {}", layers.len(), diff_ids.len());
            return Err(carrier.bad_image(&image.label, reason));
        }
        let mut stack = Vec::with_capacity(layers.len());
        for (name, diff_id) in layers.iter().zip(diff_ids) {
            stack.push(match carrier.find(name)? {
                Some(member) => Part::Layer(*numbers.entry(member.name.clone()).or_insert_with(|| {
                    members.push((member, diff_id));
                    members.len() - 1
                })),
                None => absent(carrier, image, name, diff_id, layering)?,
            });
        }
        stacks.push(stack);
    }

    let total = members.iter().map(|(member, _)| member.size).fold(0, u64::saturating_add);
    let task = Task::begin(carrier.progress, carrier.label(), Unit::Bytes, Some(total));
    let layers = carrier.on_each(
        &members,
        |(member, _)| member.size,
        |(member, diff_id)| layering.bring(carrier, member, Some(diff_id)),
    )?;
    drop(task);

    let mut roots = Vec::with_capacity(images.len());
    for (image, stack) in images.iter().zip(stacks) {
        let mut descriptors = Vec::with_capacity(stack.len());
        for (part, diff_id) in stack.into_iter().zip(&image.config.diff_ids) {
            let fail = |reason| carrier.bad_image(&image.label, reason);
            descriptors.push(match part {
                Part::Foreign(foreign) => *foreign,
                Part::Held(layer) => describe(&layer).map_err(fail)?,
                Part::Layer(number) => {
                    let (layer, name) = (&layers[number], &members[number].0.name);
                    if layer.diff_id != *diff_id {
                        return Err(bad_layer(carrier, &image.label, name, diff_id, &layer.diff_id));
                    }
                    match image.foreign(diff_id) {
                        Some(foreign) if foreign.digest().to_string() == layer.digest.as_str() => foreign,
                        // Its urls lead to another encoding of it, under another digest.
                        Some(_) if image.must_stay(diff_id) => describe_foreign(layer).map_err(fail)?,
                        _ => describe(layer).map_err(fail)?,
                    }
                }
            });
        }
        roots.push(make_root(carrier, image, descriptors)?);
    }
    Ok(roots)
}

/// Brings in what there is of an image that cannot be made: its config, and the layers that can be
/// read.
///
/// # Errors
/// When one of them cannot be; the others are in.
pub(crate) fn salvage(carrier: &Carrier<'_>, image: &Image, layering: &Layering<'_>) -> Result<()> {
    let config = &image.config;
    let bytes = carrier.read(&config.member, MAX_CONFIG)?;
    carrier.keep(&config.digest, &config.member, &bytes)?;
    let mut result = Ok(());
    for (name, diff_id) in image.layers().iter().zip(&config.diff_ids) {
        let layer = match carrier.find(name) {
            Ok(Some(member)) => layering.bring(carrier, &member, Some(diff_id)).map(drop),
            found => found.map(drop),
        };
        result = result.and(layer);
    }
    result
}

/// A layer that the archive leaves out.
fn absent(
    carrier: &Carrier<'_>,
    image: &Image,
    name: &str,
    diff_id: &Digest,
    layering: &Layering<'_>,
) -> Result<Part> {
    if let Some(foreign) = image.foreign(diff_id) {
        return Ok(Part::Foreign(Box::new(foreign)));
    }
    if let Some(layer) = layering.stand_in(carrier, diff_id)? {
        return Ok(Part::Held(layer));
    }
    Err(Error::MissingLayer {
        archive: carrier.label().to_owned(),
        image: image.label.clone(),
        layer: escape(name),
        diff_id: diff_id.clone(),
    })
}

fn make_root(carrier: &Carrier<'_>, image: &Image, layers: Vec<Descriptor>) -> Result<Root> {
    let config = &image.config;
    let bytes = carrier.read(&config.member, MAX_CONFIG)?;
    carrier.keep(&config.digest, &config.member, &bytes)?;
    let parts = Parts {
        label: &image.label,
        config: &config.digest,
        config_size: config.member.size,
        layers,
        platform: config.platform.as_ref(),
        names: &image.names,
        position: image.position,
        warnings: &image.warnings,
        format: FORMAT,
    };
    synthesis::root(carrier, parts)
}
