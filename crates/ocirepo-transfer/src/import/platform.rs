//! `--platform`: images, and parts of images, for other platforms are left behind.

use std::collections::HashMap;

use ocirepo_store::Digest;
use ocirepo_store::graph::Platform;

use super::docker;
use super::naming;
use super::oci::{Cut, Graph, Listed, attested, cut};
use super::options::PlatformPattern;
use super::v1;
use crate::error::{Error, Result, escape};

/// Leaves of the images what was asked for. What was left out altogether is said in `warnings`.
/// What is only about another image is not judged here: `companions` knows it by its position.
///
/// # Errors
/// When an index does not have what was asked for, or no image of the source does.
pub(crate) fn keep(
    graph: &mut Graph<'_, '_>,
    wanted: &[PlatformPattern],
    companions: &HashMap<usize, Digest>,
    listed: &mut Vec<Listed>,
    images: &mut Vec<docker::Image>,
    v1: &mut Vec<v1::Image>,
    warnings: &mut Vec<String>,
) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let is_image =
        |image: &Listed| !companions.contains_key(&image.position) && attested(&image.entry).is_none();
    let mut unfit: Vec<(String, Vec<String>)> = Vec::new();
    let mut left = Vec::with_capacity(listed.len());
    for mut image in std::mem::take(listed) {
        if !is_image(&image) {
            left.push(image);
            continue;
        }
        let label = naming::label(&image.names, &image.descriptor.digest);
        match cut(graph, &image.entry, wanted)? {
            Cut::Whole => left.push(image),
            Cut::Part { entry, without_attestations } => {
                let fail = |reason: &str| graph.carrier.bad_image(&label, escape(reason));
                let descriptor = entry.descriptor().cloned().map_err(fail)?;
                let attestations = match without_attestations {
                    true => ", and its attestations were left out",
                    false => "",
                };
                image.warnings.push(format!(
                    "only {} was taken, so its digest changed from {} to {}{attestations}",
                    spell(wanted),
                    image.descriptor.digest,
                    descriptor.digest
                ));
                (image.entry, image.descriptor) = (*entry, descriptor);
                left.push(image);
            }
            Cut::Lacking { there, is_index: false } => unfit.push((label, there)),
            Cut::Lacking { there, .. } => return Err(lacking(graph, label, wanted, there)),
        }
    }
    *listed = left;
    let mut fits = |platform: Option<&Platform>, label: &str| {
        let fits = platform.is_none_or(|platform| wanted.iter().any(|wanted| wanted.fits(platform)));
        if !fits {
            unfit.push((
                label.to_owned(),
                platform.map(|platform| escape(&platform.to_string())).into_iter().collect(),
            ));
        }
        fits
    };
    images.retain(|image| fits(image.config.platform.as_ref(), &image.label));
    v1.retain(|image| fits(image.platform.as_ref(), &image.label));

    if !listed.iter().any(is_image) && images.is_empty() && v1.is_empty() && !unfit.is_empty() {
        let (label, there) = unfit.swap_remove(0);
        return Err(lacking(graph, label, wanted, there));
    }
    for (label, there) in unfit {
        warnings.push(format!("{label} was left out: it is for {}", there.join(", ")));
    }
    Ok(())
}

fn lacking(graph: &Graph<'_, '_>, image: String, wanted: &[PlatformPattern], there: Vec<String>) -> Error {
    let archive = graph.carrier.label().to_owned();
    Error::NoPlatform { archive, image, wanted: spell(wanted), there }
}

fn spell(wanted: &[PlatformPattern]) -> String {
    wanted.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
