//! Bazel: rules_docker, a Python writer that is gone and whose archives are not, and rules_oci.

use serde_json::json;

use super::oci::{OCI_LAYOUT, blob_path, index_json};
use super::v1::{top, v1_chain};
use super::{Item, Tarball, manifest_item, repositories};
use crate::descriptor;
use crate::headers::Style;
use crate::image::Image;
use crate::json::compact;
use crate::tarball::Member;

/// `join_layers` of rules_docker: configs, v1 folders without members of their own, `repositories`,
/// `manifest.json`; GNU headers. Names may lack a tag in `manifest.json`, which `repositories` then calls
/// latest.
pub fn rules_docker(items: &[Item<'_>]) -> Tarball {
    let mut tarball = Tarball::new();
    let mut manifest = Vec::new();
    let mut tops = Vec::new();
    for &(image, names) in items {
        let config = format!("{}.json", image.config.hex());
        tarball.push_once(Member::file(&config, image.config.bytes.clone()));
        let chain = v1_chain(image);
        for (layer, tar) in chain.iter().zip(&image.tars) {
            tarball.push_once(Member::file(format!("{}/VERSION", layer.id), "1.0"));
            tarball.push_once(Member::file(format!("{}/layer.tar", layer.id), tar.clone()));
            tarball.push_once(Member::file(format!("{}/json", layer.id), compact(&layer.json)));
        }
        let layers = chain.iter().map(|layer| format!("{}/layer.tar", layer.id)).collect();
        manifest.push(manifest_item(config, names, layers));
        tops.extend(top(&chain).map(|id| (names.iter().map(|name| with_tag(name)), id)));
    }
    tarball
        .file("repositories", compact(&repositories(tops)))
        .file("manifest.json", compact(&manifest.into()))
        .style(Style::Gnu)
}

fn with_tag(name: &str) -> String {
    let has_tag = name.rsplit('/').next().is_some_and(|last| last.contains(':'));
    if has_tag { name.to_owned() } else { format!("{name}:latest") }
}

/// `oci_load` of rules_oci in its docker format: a layout's folders without the layout, every layer called
/// `.tar.gz` whatever it is.
pub fn rules_oci_docker(image: &Image, names: &[&str]) -> Tarball {
    let mut tarball = Tarball::new().file(blob_path(&image.config), image.config.bytes.clone());
    let mut layers = Vec::new();
    for layer in &image.layers {
        let name = format!("{}.tar.gz", blob_path(layer));
        tarball.push_once(Member::file(&name, layer.bytes.clone()));
        layers.push(name);
    }
    let item = manifest_item(blob_path(&image.config), names, layers);
    tarball.file("manifest.json", compact(&json!([item])))
}

/// `oci_load` of rules_oci in its OCI format: `oci-layout` first, `index.json` last, one entry for each full name.
pub fn rules_oci(image: &Image, names: &[&str]) -> Tarball {
    let mut tarball = Tarball::new().file("oci-layout", OCI_LAYOUT);
    for blob in image.blobs() {
        tarball.push_once(Member::file(blob_path(blob), blob.bytes.clone()));
    }
    let entries = names.iter().map(|name| descriptor::ref_named(image.descriptor(), name)).collect();
    tarball.file("index.json", compact(&index_json(entries)))
}
