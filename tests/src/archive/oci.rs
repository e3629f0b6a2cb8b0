//! Archives that are a tar of an OCI image layout, with or without docker's `manifest.json` beside it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Item, Tarball, manifest_item, repositories};
use crate::descriptor::{self, Blob};
use crate::digest;
use crate::json::compact;
use crate::tarball::Member;

/// How an entry of `index.json` gets its name: one of [`descriptor::ref_named`], [`descriptor::tag_named`] and
/// [`descriptor::full_named`].
pub type Naming = fn(Value, &str) -> Value;

/// An OCI archive of images as skopeo and podman order it: directories, blobs by digest, `index.json`,
/// `oci-layout`. An image has one entry for each of its names, or one without a name.
pub fn oci_archive(items: &[Item<'_>], naming: Naming) -> Tarball {
    let blobs = items.iter().flat_map(|(image, _)| image.blobs());
    let entries = items
        .iter()
        .flat_map(|(image, names)| entries(image.descriptor(), names, naming))
        .collect::<Vec<_>>();
    oci_archive_of(blobs, entries)
}

/// An OCI archive of any blobs and entries: indexes, artifacts, things that are missing or broken.
pub fn oci_archive_of<'a>(
    blobs: impl IntoIterator<Item = &'a Blob>,
    entries: impl IntoIterator<Item = Value>,
) -> Tarball {
    blob_members(blobs)
        .file("index.json", compact(&index_json(entries.into_iter().collect())))
        .file("oci-layout", OCI_LAYOUT)
}

/// `docker save` from 25 on: an OCI layout of the images with uncompressed layers, docker's `manifest.json` and
/// `repositories`, and for each layer a v1 config blob to which nothing points.
pub fn docker25_save(items: &[Item<'_>]) -> Tarball {
    let mut blobs = Vec::new();
    let mut index = Vec::new();
    let mut manifest = Vec::new();
    let mut tops = Vec::new();
    for &(image, names) in items {
        let image = image.unpacked();
        let path = |blob: &Blob| format!("blobs/sha256/{}", blob.hex());
        let mut item = manifest_item(path(&image.config), names, image.layers.iter().map(path).collect());
        let source = |blob: &Blob| (blob.digest.clone(), blob.descriptor());
        item["LayerSources"] = image.layers.iter().map(source).collect::<Map<_, _>>().into();
        manifest.push(item);
        index.extend(entries(image.descriptor(), names, descriptor::tag_named));
        tops.extend(image.diff_ids.last().map(|id| (names, digest::encoded(id).to_owned())));
        let orphan =
            |id: &String| Blob::new("", compact(&json!({"layer_id": id, "os": image.platform["os"]})));
        blobs.extend(image.diff_ids.iter().map(orphan));
        blobs.extend(image.blobs().cloned());
    }
    blob_members(&blobs)
        .file("index.json", compact(&index_json(index)))
        .file("manifest.json", compact(&manifest.into()))
        .file("oci-layout", OCI_LAYOUT)
        .file("repositories", compact(&repositories(tops)))
}

const OCI_LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

fn index_json(entries: Vec<Value>) -> Value {
    json!({"schemaVersion": 2, "mediaType": descriptor::OCI_INDEX, "manifests": entries})
}

fn entries(descriptor: Value, names: &[&str], naming: Naming) -> Vec<Value> {
    if names.is_empty() {
        return vec![descriptor];
    }
    names.iter().map(|name| naming(descriptor.clone(), name)).collect()
}

fn blob_members<'a>(blobs: impl IntoIterator<Item = &'a Blob>) -> Tarball {
    let files: BTreeMap<_, _> = blobs.into_iter().map(|blob| (blob.hex(), &blob.bytes)).collect();
    let file = |(hex, bytes): (&str, &Vec<u8>)| Member::file(format!("blobs/sha256/{hex}"), bytes.clone());
    let directories = [Member::dir("blobs/"), Member::dir("blobs/sha256/")];
    directories.into_iter().chain(files.into_iter().map(file)).collect()
}
