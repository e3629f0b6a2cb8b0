//! Images out of choices: mostly sound, each with its layers, config and manifest.

use std::io::Write as _;

use ocirepo_store::Digest;
use serde_json::{Value, json};

use super::choices::Choices;
use super::json::spoil;
use super::tarball;

const OCI: &str = "application/vnd.oci.image.";
const DOCKER: &str = "application/vnd.docker.distribution.manifest.";
const TAGS: &[&str] =
    &["a:1", "docker.io/library/a:1", "b/c:2", "localhost:5000/a:1", "a", "b:i-was-a-digest"];

pub(crate) struct Layer {
    /// As it is stored.
    pub(crate) stored: Vec<u8>,
    diff_id: Digest,
    media_type: &'static str,
}

pub(crate) struct Image {
    pub(crate) layers: Vec<Layer>,
    pub(crate) config: Vec<u8>,
    pub(crate) manifest: Vec<u8>,
    pub(crate) tags: Vec<&'static str>,
    is_docker: bool,
}

impl Image {
    pub(crate) fn build(choices: &mut Choices<'_>) -> Self {
        let layers: Vec<Layer> = (0..choices.below(4)).map(|_| Layer::build(choices)).collect();
        let diff_ids: Vec<String> = layers.iter().map(|layer| layer.diff_id.to_string()).collect();
        let config = json!({
            "architecture": choices.pick(&["amd64", "arm64"]), "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = spoil(config, choices);
        let is_docker = choices.one_in(4);
        let config_type = if is_docker {
            DOCKER.replace("distribution.manifest.", "container.image.v1+json")
        } else {
            format!("{OCI}config.v1+json")
        };
        let listed: Vec<Value> =
            layers.iter().map(|layer| descriptor(layer.media_type, &layer.stored)).collect();
        let mut image = Self { layers, config, manifest: Vec::new(), tags: Vec::new(), is_docker };
        let manifest = json!({
            "schemaVersion": 2, "mediaType": image.media_type(),
            "config": descriptor(&config_type, &image.config), "layers": listed,
        });
        image.manifest = spoil(manifest, choices);
        image.tags = (0..choices.below(3)).map(|_| choices.pick(TAGS)).collect();
        image
    }

    pub(crate) fn media_type(&self) -> String {
        if self.is_docker { format!("{DOCKER}v2+json") } else { format!("{OCI}manifest.v1+json") }
    }

    /// Its entry in index.json.
    pub(crate) fn entry(&self, choices: &mut Choices<'_>) -> Value {
        let mut entry = descriptor(&self.media_type(), &self.manifest);
        let name = self.tags.first().copied().unwrap_or("3.11");
        for key in ["org.opencontainers.image.ref.name", "io.containerd.image.name"] {
            if choices.one_in(2) {
                entry["annotations"][key] = json!(name);
            }
        }
        if choices.one_in(4) {
            entry["platform"] = json!({"architecture": "arm64", "os": "linux"});
        }
        entry
    }

    /// A manifest that is about this image.
    pub(crate) fn referrer(&self) -> Vec<u8> {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": format!("{OCI}manifest.v1+json"), "artifactType": "a/b",
            "config": descriptor("application/vnd.oci.empty.v1+json", b"{}"), "layers": [],
            "subject": descriptor(&self.media_type(), &self.manifest),
        });
        manifest.to_string().into_bytes()
    }
}

impl Layer {
    fn build(choices: &mut Choices<'_>) -> Self {
        let mut plain = Vec::new();
        match choices.below(6) {
            0 => tarball::push_end(&mut plain),
            1 => {}
            2 => plain.extend_from_slice(choices.bytes()),
            n => {
                tarball::push_member(&mut plain, b'0', b"file", b"", &[n as u8; 3]);
                tarball::push_end(&mut plain);
            }
        }
        let diff_id = Digest::sha256(&plain);
        let (stored, media_type) = match choices.below(6) {
            1 => (gzip(&plain), "application/vnd.oci.image.layer.v1.tar+gzip"),
            2 => (zstd(&plain), "application/vnd.oci.image.layer.v1.tar+zstd"),
            3 => (gzip(&plain), "application/vnd.docker.image.rootfs.diff.tar.gzip"),
            // Said to be plain, and yet it is not: `docker save` of some versions.
            4 => (gzip(&plain), "application/vnd.oci.image.layer.v1.tar"),
            _ => (plain, "application/vnd.oci.image.layer.v1.tar"),
        };
        Self { stored, diff_id, media_type }
    }
}

pub(crate) fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::sha256(content).to_string(), "size": content.len()})
}

/// An index of everything in `manifests`.
pub(crate) fn index(manifests: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": format!("{OCI}index.v1+json"), "manifests": manifests})
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes everything")
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("memory takes everything")
}

pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes everything")
}

pub(crate) fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes everything")
}
