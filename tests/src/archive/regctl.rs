//! `regctl image export`: the only writer that puts the index first.

use serde_json::{Map, json};

use super::oci::{OCI_LAYOUT, blob_path, index_json};
use super::{Tarball, manifest_item};
use crate::descriptor::{self, Blob, split_reference};
use crate::image::Image;
use crate::json::compact;
use crate::tarball::Member;

/// The export of one image: `oci-layout`, `index.json`, `manifest.json`, then the blobs. The image name is what
/// regctl was asked for, which need not be a reference (`ocidir://…`); `LayerSources` go by the compressed
/// digest, which is no diffID.
pub fn regctl_export(image: &Image, common_name: &str) -> Tarball {
    let entry = descriptor::ref_named(image.descriptor(), split_reference(common_name).1);
    let entry = descriptor::annotated(entry, descriptor::IMAGE_NAME, common_name);
    let names: &[&str] = if common_name.contains("://") { &[] } else { &[common_name] };
    let mut item =
        manifest_item(blob_path(&image.config), names, image.layers.iter().map(blob_path).collect());
    let source = |blob: &Blob| (blob.digest.clone(), blob.descriptor());
    item["LayerSources"] = image.layers.iter().map(source).collect::<Map<_, _>>().into();
    let mut tarball = Tarball::new()
        .file("oci-layout", OCI_LAYOUT)
        .file("index.json", compact(&index_json(vec![entry])))
        .file("manifest.json", compact(&json!([item])));
    for blob in [&image.manifest, &image.config].into_iter().chain(&image.layers) {
        tarball.push_once(Member::file(blob_path(blob), blob.bytes.clone()));
    }
    tarball
}
