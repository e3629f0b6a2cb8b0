//! jib, which builds images from Java and repeats a member for every place that a layer has in the image.

use serde_json::json;

use super::oci::{OCI_LAYOUT, blob_path, index_json};
use super::{Tarball, manifest_item};
use crate::descriptor;
use crate::image::Image;
use crate::json::compact;

/// jib's docker tar: layers by compressed digest, `config.json`, `manifest.json`.
pub fn jib_docker(image: &Image, names: &[&str]) -> Tarball {
    let mut tarball = Tarball::new();
    let mut layers = Vec::new();
    for layer in &image.layers {
        let name = format!("{}.tar.gz", layer.hex());
        tarball = tarball.file(&name, layer.bytes.clone());
        layers.push(name);
    }
    let item = manifest_item("config.json".into(), names, layers);
    tarball.file("config.json", image.config.bytes.clone()).file("manifest.json", compact(&json!([item])))
}

/// jib's OCI tar: blobs as they come, `oci-layout`, `index.json`; no directories.
pub fn jib_oci(image: &Image, name: &str) -> Tarball {
    let parts = image.layers.iter().chain([&image.config, &image.manifest]);
    let tarball =
        parts.fold(Tarball::new(), |tarball, blob| tarball.file(blob_path(blob), blob.bytes.clone()));
    let entry = descriptor::ref_named(image.descriptor(), name);
    tarball.file("oci-layout", OCI_LAYOUT).file("index.json", compact(&index_json(vec![entry])))
}
