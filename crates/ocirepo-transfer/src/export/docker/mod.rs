//! Docker archives: `manifest.json` and what it names.
//!
//! - `item` is an image as manifest.json lists it, in a hybrid too.
//! - `layers` finds out how large layers are in the form that they are to have.
//! - `legacy` adds what docker before 1.10 reads.

mod item;
mod layers;
mod legacy;

use std::collections::BTreeMap;

use ocirepo_store::{Digest, Progress};

pub(super) use item::{Foreign, Image, Item, images, manifest_json};
pub use layers::LayerForm;
pub(super) use layers::{measured, pour};

use super::gather::Sorted;
use super::image::{Runnable, Sort, representative};
use super::member::{Member, Source};
use crate::archive::limits::MAX_CONFIG;
use crate::error::{Error, Result, escape};
use crate::import::carrier::Carrier;
use crate::import::layers::diff_ids;
use crate::import::oci::Listed;

/// The layers of an image that are not to be distributed, by what they unpack to. An image whose
/// config cannot be read has none: docker only uses it to spare itself an upload.
pub(super) fn foreign_sources(carrier: &Carrier<'_>, image: &Image) -> BTreeMap<Digest, Foreign> {
    let foreign: Vec<_> = image.foreign().collect();
    if foreign.is_empty() {
        return BTreeMap::new();
    }
    let config = carrier.read_blob(&image.config.digest, MAX_CONFIG).ok().flatten().unwrap_or_default();
    let diff_ids = diff_ids(&config).unwrap_or_default();
    foreign.into_iter().filter_map(|(n, layer)| Some((diff_ids.get(n)?.clone(), layer))).collect()
}

/// The images of a docker archive. What is about them has no place in one.
///
/// # Errors
/// When an image has no form in one.
pub(super) fn choose(entries: &mut Vec<Sorted>, warnings: &mut Vec<String>) -> Result<Vec<Image>> {
    let first = entries.first().map(|it| it.image.entry.label(it.image.position));
    entries.retain(|Sorted { image, sort }| {
        let is_artifact = matches!(sort, Sort::Artifact);
        if is_artifact {
            let label = image.entry.label(image.position);
            warnings
                .push(format!("{label} was left out: it is no image, and docker archives hold images only"));
        }
        !is_artifact
    });
    if let (true, Some(image)) = (entries.is_empty(), first) {
        let reason = "it is no image, and docker archives hold images only".to_owned();
        return Err(Error::NoForm { image: escape(&image), format: "docker archive", reason });
    }
    let mut runnable: Vec<(String, &Listed, &Runnable)> = Vec::new();
    for Sorted { image, sort } in entries.iter() {
        let label = image.entry.label(image.position);
        let refuse = |reason: &str| {
            let (image, reason) = (label.clone(), reason.to_owned());
            Error::NoForm { image, format: "docker archive", reason }
        };
        let found = match sort {
            Sort::Image(found) => found,
            Sort::Schema1 => return Err(refuse("it is in docker's schema 1, whose config cannot be had")),
            Sort::Artifact => continue,
        };
        let chosen = representative(found).ok_or_else(|| refuse("nothing of it is there"))?;
        if found.len() > 1 {
            warnings.push(format!(
                "{label} has {} platforms, and a docker archive one of them: {}; --platform takes another",
                found.len(),
                chosen.platform()
            ));
        }
        runnable.push((label, image, chosen));
    }
    let chosen =
        runnable.iter().map(|(label, image, found)| (label.as_str(), image.names.as_slice(), *found));
    Ok(images(chosen, warnings))
}

/// The members of a docker archive.
///
/// # Errors
/// When an image has no form in it, and when a layer is not what its config says.
pub(super) fn members(
    carrier: &Carrier<'_>,
    images: &[Image],
    form: LayerForm,
    is_legacy: bool,
    progress: &dyn Progress,
) -> Result<Vec<Member>> {
    let mut stacks: Vec<Vec<Digest>> = Vec::with_capacity(images.len());
    let mut configs: BTreeMap<&Digest, (u64, Vec<u8>)> = BTreeMap::new();
    for image in images {
        let config = &image.config.digest;
        let bytes = carrier.read_blob(config, MAX_CONFIG)?.ok_or_else(|| image.lacks(carrier, config))?;
        let diff_ids = diff_ids(&bytes).map_err(|reason| image.refuse(escape(&reason)))?;
        if diff_ids.len() != image.layers.len() {
            let (layers, listed) = (image.layers.len(), diff_ids.len());
            return Err(image.refuse(format!("it has {layers} layers, but its config lists {listed}")));
        }
        stacks.push(diff_ids);
        configs.insert(config, (bytes.len() as u64, bytes));
    }
    let layers = layers::prepare(carrier, images, &stacks, form, progress)?;

    let items: Vec<Item> = images
        .iter()
        .map(|image| {
            let names = image.layers.iter().map(|layer| layers.names[&layer.digest].clone()).collect();
            image.item(format!("{}.json", image.config.digest.encoded()), names, BTreeMap::new())
        })
        .collect();
    let mut members = vec![Member::bytes("manifest.json", manifest_json(&items))];
    let v1 = if is_legacy { legacy::layers(images, &configs)? } else { Vec::new() };
    if is_legacy {
        members.extend(legacy::repositories(images, &v1)?);
    }
    members.extend(configs.iter().map(|(digest, (size, _))| Member {
        name: format!("{}.json", digest.encoded()),
        size: *size,
        source: Source::Blob((*digest).clone()),
    }));
    members.extend(legacy::folders(v1, &stacks));
    members.extend(layers.members);
    Ok(members)
}
