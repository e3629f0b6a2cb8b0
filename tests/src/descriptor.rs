//! Media types, blobs and the descriptors that point at them.

use serde_json::{Value, json};

use crate::digest;

/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image config.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// OCI layer, uncompressed; `+gzip` and `+zstd` follow for the others.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// The `{}` that stands where an artifact needs no config.
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The artifact manifest of a release candidate of OCI 1.1, which some registries still hold.
pub const OCI_ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";
/// Docker image manifest, version 2 schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker image config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker layer, uncompressed; `.gzip` follows for the usual form.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// Docker manifest schema 1, signed.
pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// The annotation that names an entry of `index.json`.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation in which containerd and docker keep the full reference.
pub const IMAGE_NAME: &str = "io.containerd.image.name";

/// Bytes, their digest and their media type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// The content.
    pub bytes: Vec<u8>,
    /// sha256 of the content.
    pub digest: String,
    /// What the content is said to be.
    pub media_type: String,
}

impl Blob {
    /// A blob of that type.
    pub fn new(media_type: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self { digest: digest::sha256(&bytes), bytes, media_type: media_type.into() }
    }

    /// `{"mediaType", "digest", "size"}`.
    pub fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len()})
    }

    /// The part of the digest after the colon.
    pub fn hex(&self) -> &str {
        digest::encoded(&self.digest)
    }
}

/// The descriptor with one more annotation.
pub fn annotated(mut descriptor: Value, key: &str, value: &str) -> Value {
    descriptor["annotations"][key] = value.into();
    descriptor
}

/// The descriptor named as skopeo, umoci and oras do: ref.name alone.
pub fn ref_named(descriptor: Value, ref_name: &str) -> Value {
    annotated(descriptor, REF_NAME, ref_name)
}

/// The descriptor named as docker and containerd do: the full reference and the tag alone.
pub fn tag_named(descriptor: Value, reference: &str) -> Value {
    annotated(ref_named(descriptor, tag_of(reference)), IMAGE_NAME, reference)
}

/// The descriptor with the full reference in both annotations.
pub fn full_named(descriptor: Value, reference: &str) -> Value {
    annotated(ref_named(descriptor, reference), IMAGE_NAME, reference)
}

/// The descriptor with a platform, written `os/arch` or `os/arch/variant`.
pub fn on_platform(mut descriptor: Value, platform: &str) -> Value {
    descriptor["platform"] = self::platform(platform);
    descriptor
}

/// `linux/arm/v7` as the object that indexes hold.
pub fn platform(text: &str) -> Value {
    let parts: Vec<_> = text.split('/').collect();
    match parts.as_slice() {
        [os, architecture] => json!({"architecture": architecture, "os": os}),
        [os, architecture, variant] => json!({"architecture": architecture, "os": os, "variant": variant}),
        _ => panic!("{text:?} is not a platform"),
    }
}

/// Repository and tag of a reference that has a tag: `a:5000/b:1` gives `("a:5000/b", "1")`.
pub fn split_reference(reference: &str) -> (&str, &str) {
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => panic!("{reference:?} has no tag"),
    }
}

fn tag_of(reference: &str) -> &str {
    split_reference(reference).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_platforms() {
        let blob = Blob::new(OCI_MANIFEST, "{}");
        let entry = on_platform(tag_named(blob.descriptor(), "r.example:5000/a/b:1.2"), "linux/arm/v7");
        assert_eq!(entry["annotations"][REF_NAME], "1.2");
        assert_eq!(entry["annotations"][IMAGE_NAME], "r.example:5000/a/b:1.2");
        assert_eq!(entry["platform"]["variant"], "v7");
        assert_eq!(entry["size"], 2);
    }
}
