//! What tools for closed networks write around an OCI layout: hauler's store and zarf's package.

use serde_json::{Value, json};

use super::oci::{OCI_LAYOUT, blob_members, blob_path, index_json};
use super::{Tarball, manifest_item};
use crate::artifact::Artifact;
use crate::descriptor::{self, Blob};
use crate::image::Image;
use crate::json::compact;
use crate::tarball::Member;

/// One root of a hauler store.
#[derive(Clone, Copy, Debug)]
pub struct HaulerEntry<'a> {
    /// Its manifest or index.
    pub manifest: &'a Blob,
    /// The name as hauler keeps it: registry, repository and tag, Docker Hub as `index.docker.io`.
    pub name: &'a str,
    /// The last part of the `kind`: `image`, `imageIndex`, `sigs`, …
    pub kind: &'a str,
}

/// `hauler store save`: an OCI layout with a generated `manifest.json` that has an item for each image of each
/// platform, all under the name of the entry. `--containerd` removes `oci-layout`.
pub fn hauler_store<'a>(
    blobs: impl IntoIterator<Item = &'a Blob>,
    entries: &[HaulerEntry<'_>],
    images: &[(&Image, &str)],
    for_containerd: bool,
) -> Tarball {
    let index = entries.iter().map(hauler_entry).collect();
    let item = |(image, name): &(&Image, &str)| {
        manifest_item(blob_path(&image.config), &[name], image.layers.iter().map(blob_path).collect())
    };
    let items: Vec<Value> = images.iter().map(item).collect();
    let tarball = blob_members(blobs)
        .file("index.json", compact(&index_json(index)))
        .file("manifest.json", compact(&items.into()));
    if for_containerd { tarball } else { tarball.file("oci-layout", OCI_LAYOUT) }
}

/// The image name has all of the name, the ref.name lacks the registry.
fn hauler_entry(entry: &HaulerEntry<'_>) -> Value {
    let HaulerEntry { manifest, name, kind } = *entry;
    let ref_name = name.split_once('/').map_or(name, |(_, rest)| rest);
    let descriptor = descriptor::ref_named(manifest.descriptor(), ref_name);
    let descriptor = descriptor::annotated(descriptor, descriptor::IMAGE_NAME, name);
    descriptor::annotated(descriptor, "kind", &format!("dev.cosignproject.cosign/{kind}"))
}

/// A helm chart as registries have it.
pub fn helm_chart(name: &str) -> Artifact {
    let config = compact(&json!({"name": name, "version": "1.0.0", "apiVersion": "v2"}));
    let config = Blob::new("application/vnd.cncf.helm.config.v1+json", config);
    let chart = Blob::new("application/vnd.cncf.helm.chart.content.v1.tar+gzip", format!("chart {name}"));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": descriptor::OCI_MANIFEST,
        "config": config.descriptor(),
        "layers": [chart.descriptor()],
    });
    Artifact { manifest: Blob::new(descriptor::OCI_MANIFEST, compact(&manifest)), parts: vec![config, chart] }
}

/// A zarf package: `zarf.yaml` and its parts, with a layout in `images/`. Old packages have the name in
/// `org.opencontainers.image.base.name` alone, new ones in ref.name as well.
pub fn zarf_package(items: &[(&Image, &str)], is_old: bool) -> Tarball {
    let entry = |(image, name): &(&Image, &str)| {
        let entry = descriptor::annotated(image.descriptor(), "org.opencontainers.image.base.name", name);
        if is_old { entry } else { descriptor::ref_named(entry, name) }
    };
    let images = blob_members(items.iter().flat_map(|(image, _)| image.blobs()))
        .file("index.json", compact(&index_json(items.iter().map(entry).collect())))
        .file("oci-layout", OCI_LAYOUT)
        .below("images");
    let before = [
        Member::file("checksums.txt", "0 components/base.tar\n"),
        Member::dir("components/"),
        Member::file("components/base.tar", Tarball::new().file("base/install.sh", "echo\n").to_bytes()),
    ];
    let after = [
        Member::file("sboms.tar", Tarball::new().file("sbom.json", "{}").to_bytes()),
        Member::file("zarf.yaml", "kind: ZarfPackageConfig\nmetadata:\n  name: app\n"),
    ];
    before.into_iter().chain(images.members).chain(after).collect()
}
