//! Archives that are a tar of an OCI image layout and nothing else.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Item, Tarball};
use crate::descriptor::{self, Blob};
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

pub(super) const OCI_LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

pub(super) fn index_json(entries: Vec<Value>) -> Value {
    json!({"schemaVersion": 2, "mediaType": descriptor::OCI_INDEX, "manifests": entries})
}

pub(super) fn entries(descriptor: Value, names: &[&str], naming: Naming) -> Vec<Value> {
    if names.is_empty() {
        return vec![descriptor];
    }
    names.iter().map(|name| naming(descriptor.clone(), name)).collect()
}

/// The directories and the blobs, each once, by digest.
pub(super) fn blob_members<'a>(blobs: impl IntoIterator<Item = &'a Blob>) -> Tarball {
    let files: BTreeMap<_, _> = blobs.into_iter().map(|blob| (blob.hex(), &blob.bytes)).collect();
    let file = |(hex, bytes): (&str, &Vec<u8>)| Member::file(format!("blobs/sha256/{hex}"), bytes.clone());
    let directories = [Member::dir("blobs/"), Member::dir("blobs/sha256/")];
    directories.into_iter().chain(files.into_iter().map(file)).collect()
}

/// Where a layout keeps a blob.
pub(super) fn blob_path(blob: &Blob) -> String {
    format!("blobs/sha256/{}", blob.hex())
}
