//! containerd's exporter: `ctr images export`, `nerdctl save`, docker with the containerd store, and buildx.
//!
//! Members are sorted, read-only and of time 0. The image name is in full and the ref.name is the tag.

use serde_json::{Value, json};

use super::oci::{OCI_LAYOUT, blob_members, blob_path};
use super::{Item, Tarball, manifest_item};
use crate::artifact::{Artifact, index_of_descriptors};
use crate::descriptor::{self, Blob};
use crate::image::Image;
use crate::json::compact;
use crate::tarball::Member;

/// `ctr images export` and `nerdctl save` of plain images, whose names are given in full; a name may have a
/// digest in place of a tag.
pub fn ctr_export(items: &[Item<'_>]) -> Tarball {
    let entries = items.iter().flat_map(|(image, names)| {
        names
            .iter()
            .map(|name| descriptor::annotated(named(image.descriptor(), name), SOURCE, "library/anything"))
    });
    let manifest = items.iter().map(|(image, names)| docker_item(image, names)).collect();
    export(items.iter().flat_map(|(image, _)| image.blobs()), entries.collect(), Some(manifest))
}

const SOURCE: &str = "containerd.io/distribution.source.docker.io";

/// An export of any blobs under one name, without `manifest.json`: indexes, whole or sparse.
pub fn ctr_export_of<'a>(blobs: impl IntoIterator<Item = &'a Blob>, root: &Blob, name: &str) -> Tarball {
    export(blobs, vec![named(root.descriptor(), name)], None)
}

/// `buildx build --output type=oci`: one entry for each name, or one without; `manifest.json` was there, without
/// names, until the exporter learned to leave it out.
pub fn buildx_oci<'a>(
    blobs: impl IntoIterator<Item = &'a Blob>,
    root: &Blob,
    names: &[&str],
    manifest_of: Option<&Image>,
) -> Tarball {
    let created =
        |entry| descriptor::annotated(entry, "org.opencontainers.image.created", "2024-05-01T12:00:00Z");
    let mut entries: Vec<_> = names.iter().map(|name| created(named(root.descriptor(), name))).collect();
    if entries.is_empty() {
        entries.push(created(root.descriptor()));
    }
    export(blobs, entries, manifest_of.map(|image| vec![docker_item(image, &[])]))
}

/// `buildx build --output type=docker`: one image, an entry for each name, and `manifest.json` with the names.
pub fn buildx_docker(image: &Image, names: &[&str]) -> Tarball {
    let entries = names.iter().map(|name| named(image.descriptor(), name)).collect();
    export(image.blobs(), entries, Some(vec![docker_item(image, names)]))
}

/// An index over the image and what buildx attests about it, in a manifest for the platform unknown/unknown.
pub fn with_attestation(image: &Image, platform: &str) -> (Blob, Artifact) {
    let config = Blob::new(
        descriptor::OCI_CONFIG,
        compact(&json!({
            "architecture": "unknown", "os": "unknown", "config": {}, "rootfs": {"type": "layers", "diff_ids": []},
        })),
    );
    let statement =
        compact(&json!({"_type": "https://in-toto.io/Statement/v0.1", "subject": image.digest()}));
    let statement = Blob::new("application/vnd.in-toto+json", statement);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": descriptor::OCI_MANIFEST,
        "config": config.descriptor(),
        "layers": [statement.descriptor()],
    });
    let manifest = Blob::new(descriptor::OCI_MANIFEST, compact(&manifest));
    let attested = descriptor::on_platform(manifest.descriptor(), "unknown/unknown");
    let attested = descriptor::annotated(attested, "vnd.docker.reference.digest", image.digest());
    let attested = descriptor::annotated(attested, "vnd.docker.reference.type", "attestation-manifest");
    let index = index_of_descriptors([descriptor::on_platform(image.descriptor(), platform), attested]);
    (index, Artifact { manifest, parts: vec![config, statement] })
}

fn export<'a>(
    blobs: impl IntoIterator<Item = &'a Blob>,
    entries: Vec<Value>,
    manifest: Option<Vec<Value>>,
) -> Tarball {
    let index = compact(&json!({"schemaVersion": 2, "manifests": entries}));
    let mut tarball = blob_members(blobs);
    for member in tarball.members.iter_mut().filter(|member| !member.name.ends_with('/')) {
        member.mode = 0o444;
    }
    tarball = tarball.file("index.json", index);
    if let Some(items) = manifest {
        tarball = tarball.file("manifest.json", compact(&items.into()));
    }
    tarball.with(Member::file("oci-layout", OCI_LAYOUT).mode(0o444))
}

fn docker_item(image: &Image, names: &[&str]) -> Value {
    let names: Vec<_> = names.iter().map(|name| familiar(name)).collect();
    manifest_item(blob_path(&image.config), &names, image.layers.iter().map(blob_path).collect())
}

/// What containerd 1 makes of a name: what is behind the repository, a digest with its `@`.
fn named(descriptor: Value, name: &str) -> Value {
    let ref_name = name.find('@').map_or_else(|| descriptor::split_reference(name).1, |at| &name[at..]);
    let entry = descriptor::ref_named(descriptor, ref_name);
    descriptor::annotated(entry, descriptor::IMAGE_NAME, name)
}

/// The short form in which docker shows names of Docker Hub.
fn familiar(name: &str) -> &str {
    name.strip_prefix("docker.io/library/").or_else(|| name.strip_prefix("docker.io/")).unwrap_or(name)
}
