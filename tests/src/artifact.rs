//! Manifests that are not images: indexes, artifacts, referrers and docker schema 1.

use serde_json::{Value, json};

use crate::descriptor::{self, Blob};
use crate::image::Image;
use crate::json::compact;

/// An OCI index over images, each with its platform (`os/arch`).
pub fn index_of(children: &[(&Image, &str)]) -> Blob {
    let child = |(image, platform): &(&Image, &str)| descriptor::on_platform(image.descriptor(), platform);
    index_of_descriptors(children.iter().map(child))
}

/// An OCI index over any descriptors: other indexes, attestations, things of unknown type.
pub fn index_of_descriptors(children: impl IntoIterator<Item = Value>) -> Blob {
    manifest_list(descriptor::OCI_INDEX, children)
}

/// An index of a given media type, such as [`descriptor::DOCKER_LIST`].
pub fn manifest_list(media_type: &str, children: impl IntoIterator<Item = Value>) -> Blob {
    let manifests: Vec<_> = children.into_iter().collect();
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests});
    Blob::new(media_type, compact(&index))
}

/// A manifest that is not an image, with everything it points at.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// The manifest.
    pub manifest: Blob,
    /// The blobs it lists.
    pub parts: Vec<Blob>,
}

impl Artifact {
    /// The parts and then the manifest.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        self.parts.iter().chain(std::iter::once(&self.manifest))
    }
}

/// An artifact in an image manifest, as OCI 1.1 has it; a referrer if it has a subject.
pub fn artifact(artifact_type: &str, content: &[u8], subject: Option<&Blob>) -> Artifact {
    let config = Blob::new(descriptor::OCI_EMPTY, "{}");
    let content = Blob::new(artifact_type, content);
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": descriptor::OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": config.descriptor(),
        "layers": [content.descriptor()],
    });
    if let Some(subject) = subject {
        manifest["subject"] = subject.descriptor();
    }
    let manifest = Blob::new(descriptor::OCI_MANIFEST, compact(&manifest));
    Artifact { manifest, parts: vec![config, content] }
}

/// A referrer in the artifact manifest of the OCI 1.1 release candidates (`blobs`, no config).
pub fn old_artifact(artifact_type: &str, content: &[u8], subject: &Blob) -> Artifact {
    let content = Blob::new(artifact_type, content);
    let manifest = json!({
        "mediaType": descriptor::OCI_ARTIFACT,
        "artifactType": artifact_type,
        "blobs": [content.descriptor()],
        "subject": subject.descriptor(),
    });
    let manifest = Blob::new(descriptor::OCI_ARTIFACT, compact(&manifest));
    Artifact { manifest, parts: vec![content] }
}

/// The same layers under a docker schema 1 manifest: newest layer first, each with a v1 history entry. It is not
/// signed, which no reader of a layout checks.
pub fn schema1(name: &str, tag: &str, image: &Image) -> Artifact {
    let layer = |blob: &Blob| json!({"blobSum": blob.digest});
    let history = |blob: &Blob| json!({"v1Compatibility": format!("{{\"id\":\"{}\"}}", blob.hex())});
    let manifest = json!({
        "schemaVersion": 1,
        "name": name,
        "tag": tag,
        "architecture": image.platform["architecture"],
        "fsLayers": image.layers.iter().rev().map(layer).collect::<Vec<_>>(),
        "history": image.layers.iter().rev().map(history).collect::<Vec<_>>(),
    });
    let manifest = Blob::new(descriptor::DOCKER_SCHEMA1, compact(&manifest));
    Artifact { manifest, parts: image.layers.clone() }
}
