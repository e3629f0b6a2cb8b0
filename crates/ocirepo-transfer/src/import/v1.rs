//! Archives of docker before 1.10: layers in folders, each with its own `json`, and `repositories`.
//!
//! The config of an image is made as docker made it when it loaded such an archive, so that the
//! image has the ID that docker gave it. What docker did is in `moby`.

use std::collections::HashMap;

use ocirepo_store::graph::Platform;
use ocirepo_store::name::Name;
use ocirepo_store::{Digest, Unit};

use super::carrier::Carrier;
use super::layers::{Layer, Layering};
use super::naming::{self, Root};
use super::synthesis::{self, Parts, describe};
use super::task::Task;
use crate::archive::Member;
use crate::archive::limits::MAX_CONFIG;
use crate::error::{Result, escape};
use crate::moby::chains::{self, V1Image};
use crate::moby::v1::{self, V1Json};

/// What such an archive is called in results.
const FORMAT: &str = "docker archive from before 1.10";

/// An image of such an archive.
pub(crate) struct Image {
    chain: V1Image,
    /// Its names, normalised.
    pub(crate) names: Vec<Name>,
    pub(crate) platform: Option<Platform>,
    warnings: Vec<String>,
    /// Where it stands among the images of the source, from 0.
    pub(crate) position: usize,
    /// How to call it in messages.
    pub(crate) label: String,
}

/// Reads which images there are.
///
/// # Errors
/// When a document is damaged, or leads to what is not there.
pub(crate) fn read(carrier: &Carrier<'_>) -> Result<Vec<Image>> {
    let chains = chains::read(carrier.content, &carrier.prefix)?;
    let mut images = Vec::with_capacity(chains.len());
    for chain in chains {
        let (names, warnings) = naming::of_repo_tags(&chain.names);
        let top = chain.chain().last().map(|layer| layer.id.clone()).unwrap_or_default();
        let json = carrier.find(&format!("{top}/json"))?;
        let json = json.map(|member| carrier.read(&member, MAX_CONFIG)).transpose()?;
        let platform = json.and_then(|json| Platform::of_config(&json));
        let label = names.first().map_or_else(|| escape(&top), naming::spell);
        images.push(Image { chain, names, platform, warnings, label, position: images.len() });
    }
    Ok(images)
}

/// Brings images in and makes their configs and manifests.
///
/// # Errors
/// When a layer is damaged.
pub(crate) fn import(carrier: &Carrier<'_>, images: &[Image], layering: &Layering<'_>) -> Result<Vec<Root>> {
    let mut members: Vec<Member> = Vec::new();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut stacks: Vec<Vec<(&V1Json, usize)>> = Vec::with_capacity(images.len());
    for image in images {
        let mut stack = Vec::new();
        for layer in image.chain.chain() {
            let member = carrier.content.find(&layer.member)?.ok_or_else(|| {
                let reason = format!("its layer {} is not in the archive", escape(&layer.member));
                carrier.bad_image(&image.label, reason)
            })?;
            let number = *numbers.entry(member.name.clone()).or_insert_with(|| {
                members.push(member);
                members.len() - 1
            });
            stack.push((&layer.json, number));
        }
        stacks.push(stack);
    }
    let total = members.iter().map(|member| member.size).fold(0, u64::saturating_add);
    let task = Task::begin(carrier.progress, carrier.label(), Unit::Bytes, Some(total));
    let layers =
        carrier.on_each(&members, |member| member.size, |member| layering.bring(carrier, member, None))?;
    drop(task);

    let stacked = images.iter().zip(stacks);
    stacked.map(|(image, stack)| make_root(carrier, image, &stack, &layers)).collect()
}

fn make_root(
    carrier: &Carrier<'_>,
    image: &Image,
    stack: &[(&V1Json, usize)],
    layers: &[Layer],
) -> Result<Root> {
    let fail = |reason: String| carrier.bad_image(&image.label, escape(&reason));
    let chain: Vec<(&V1Json, Digest)> =
        stack.iter().map(|&(json, number)| (json, layers[number].diff_id.clone())).collect();
    let config = v1::config(&chain).map_err(fail)?;
    let digest = carrier.ingest.put_bytes(&config)?;
    let described: Result<Vec<_>, String> =
        stack.iter().map(|&(_, number)| describe(&layers[number])).collect();
    let platform = Platform::of_config(&config);
    let parts = Parts {
        label: &image.label,
        config: &digest,
        config_size: config.len() as u64,
        layers: described.map_err(fail)?,
        platform: platform.as_ref(),
        names: &image.names,
        position: image.position,
        warnings: &image.warnings,
        format: FORMAT,
    };
    synthesis::root(carrier, parts)
}
