//! An image layout in one piece, and, as a hybrid, a docker archive over the same blobs.

use std::collections::BTreeMap;

use ocirepo_store::Digest;
use ocirepo_store::index::Entry;

use super::contents::Blobs;
use super::gather::Sorted;
use super::image::{self, Runnable, Sort};
use super::member::Member;
use super::{ArchiveType, ExportOptions, docker, layout};
use crate::archive::paths;
use crate::bundle::{Toc, TocBlob};
use crate::import::carrier::Carrier;
use crate::import::oci::Listed;

/// The members of an image layout in one piece, and their table. With a manifest.json over the same
/// blobs it is a hybrid.
pub(super) fn members(
    carrier: &Carrier<'_>,
    entries: &[Sorted],
    blobs: &Blobs,
    made: &BTreeMap<Digest, Vec<u8>>,
    options: &ExportOptions,
    warnings: &mut Vec<String>,
) -> (Vec<Member>, Toc) {
    let is_hybrid = options.archive == ArchiveType::Hybrid && options.have.is_none();
    let is_hidden = |sort: &Sort| is_hybrid && matches!(sort, Sort::Artifact);
    let (hidden, listed): (Vec<&Sorted>, Vec<&Sorted>) = entries.iter().partition(|it| is_hidden(&it.sort));
    let toc = Toc::new(
        listed.iter().map(|it| it.listed()).collect(),
        hidden.into_iter().map(|it| it.image.entry.clone()).collect(),
        blobs.carried.iter().map(|(digest, &size)| TocBlob::whole(digest, size)).collect(),
        blobs.required.clone(),
        1,
    );
    let manifest = if is_hybrid { Some(hybrid_manifest(carrier, &listed, blobs, warnings)) } else { None };
    let entries: Vec<Entry> = listed.iter().map(|it| it.image.entry.clone()).collect();
    let mut members = layout::documents(&toc, &entries, manifest);
    members.extend(layout::blobs(blobs.carried.iter(), made));
    (members, toc)
}

/// manifest.json over the blobs of an image layout.
fn hybrid_manifest(
    carrier: &Carrier<'_>,
    entries: &[&Sorted],
    blobs: &Blobs,
    warnings: &mut Vec<String>,
) -> Vec<u8> {
    let mut runnable: Vec<(String, &Listed, &Runnable)> = Vec::new();
    for Sorted { image, sort } in entries {
        let label = image.entry.label(image.position);
        let reason = match sort {
            Sort::Image(found) => match image::representative(found) {
                Some(found) if is_whole(found, blobs) => {
                    runnable.push((label, image, found));
                    continue;
                }
                Some(_) => "it has layers that are elsewhere",
                None => "nothing of it is there",
            },
            Sort::Schema1 => "it is in docker's schema 1",
            Sort::Artifact => continue,
        };
        warnings.push(format!("{label} is not in manifest.json, which docker before 25 reads: {reason}"));
    }
    let images = docker::images(
        runnable.iter().map(|(label, image, found)| (label.as_str(), image.names.as_slice(), *found)),
        warnings,
    );
    for image in &images {
        if image.layers.iter().any(|layer| layer.media_type.ends_with("zstd")) {
            warnings.push(format!(
                "{} has zstd layers, which docker before 23 and podman before 2 cannot load",
                image.label
            ));
        }
    }
    let items: Vec<_> = images
        .iter()
        .map(|image| {
            let path = paths::blob_name;
            let layers = image.layers.iter().map(|layer| path(&layer.digest)).collect();
            image.item(path(&image.config.digest), layers, docker::foreign_sources(carrier, image))
        })
        .collect();
    docker::manifest_json(&items)
}

fn is_whole(image: &Runnable, blobs: &Blobs) -> bool {
    let mut needed = image.layers.iter().map(|layer| &layer.digest).chain([&image.config.digest]);
    needed.all(|digest| blobs.carried.contains_key(digest))
}
