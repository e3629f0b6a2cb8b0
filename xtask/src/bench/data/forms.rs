//! One image as layouts and archives, out of layers that lie on disk.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context as _, Result};
use ocirepo_tests::descriptor::{self, Blob};
use ocirepo_tests::json::compact;
use ocirepo_tests::layout::Layout;
use serde_json::json;
use tar::{Builder, Header};

use super::layer::{Layer, Stored};

/// How the layers of a layout are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Raw,
    Gzip,
}

impl Packing {
    pub(super) fn of(self, layer: &Layer) -> &Stored {
        match self {
            Self::Raw => &layer.raw,
            Self::Gzip => &layer.gzip,
        }
    }

    fn media_type(self) -> String {
        match self {
            Self::Raw => descriptor::OCI_LAYER.into(),
            Self::Gzip => format!("{}+gzip", descriptor::OCI_LAYER),
        }
    }
}

/// Writes a layout of the one image; the layers are hard links into `pool`.
pub(super) fn layout(
    to: &Path,
    layers: &[Layer],
    packing: Packing,
    pool: &Path,
    reference: &str,
) -> Result<()> {
    let config = config(layers);
    let descriptors = layers.iter().map(|layer| {
        let Stored { hex, size } = packing.of(layer);
        json!({"mediaType": packing.media_type(), "digest": format!("sha256:{hex}"), "size": size})
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": descriptor::OCI_MANIFEST,
        "config": config.descriptor(),
        "layers": descriptors.collect::<Vec<_>>(),
    });
    let manifest = Blob::new(descriptor::OCI_MANIFEST, compact(&manifest));
    let mut layout = Layout::create(to);
    for layer in layers {
        let hex = &packing.of(layer).hex;
        fs::hard_link(pool.join(hex), to.join("blobs/sha256").join(hex))?;
    }
    layout.blobs_of([&config, &manifest]);
    layout.entry(descriptor::tag_named(manifest.descriptor(), reference)).write_index();
    Ok(())
}

/// Writes a docker archive as skopeo and podman do: layers by diffID, the config, `manifest.json`.
pub(super) fn docker_archive(to: &Path, layers: &[Layer], pool: &Path, reference: &str) -> Result<()> {
    let config = config(layers);
    let mut tar = create(to)?;
    for layer in layers {
        append_file(&mut tar, &format!("{}.tar", layer.raw.hex), &pool.join(&layer.raw.hex))?;
    }
    let config_name = format!("{}.json", config.hex());
    append(&mut tar, &config_name, &config.bytes)?;
    let names: Vec<_> = layers.iter().map(|layer| format!("{}.tar", layer.raw.hex)).collect();
    let manifest = json!([{"Config": config_name, "RepoTags": [reference], "Layers": names}]);
    append(&mut tar, "manifest.json", &compact(&manifest))?;
    Ok(tar.into_inner()?.flush()?)
}

/// Writes a tar of a layout: blobs by digest, `index.json`, `oci-layout`.
pub(super) fn oci_archive(to: &Path, layout: &Path) -> Result<()> {
    let mut tar = create(to)?;
    let mut blobs: Vec<_> = fs::read_dir(layout.join("blobs/sha256"))?.collect::<Result<_, _>>()?;
    blobs.sort_by_key(fs::DirEntry::file_name);
    for blob in blobs {
        let name = format!("blobs/sha256/{}", blob.file_name().to_string_lossy());
        append_file(&mut tar, &name, &blob.path())?;
    }
    for name in ["index.json", "oci-layout"] {
        append_file(&mut tar, name, &layout.join(name))?;
    }
    Ok(tar.into_inner()?.flush()?)
}

fn config(layers: &[Layer]) -> Blob {
    const CREATED: &str = "2020-01-01T00:00:00Z";
    let mut config = descriptor::platform("linux/amd64");
    config["created"] = CREATED.into();
    config["config"] = json!({});
    let diff_ids: Vec<_> = layers.iter().map(|layer| format!("sha256:{}", layer.raw.hex)).collect();
    config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
    let step = |number| json!({"created": CREATED, "created_by": format!("layer {number}")});
    config["history"] = (1..=layers.len()).map(step).collect();
    Blob::new(descriptor::OCI_CONFIG, compact(&config))
}

type Archive = Builder<BufWriter<File>>;

fn create(path: &Path) -> Result<Archive> {
    let file = File::create(path).with_context(|| path.display().to_string())?;
    Ok(Builder::new(BufWriter::with_capacity(1 << 20, file)))
}

fn append_file(tar: &mut Archive, name: &str, path: &Path) -> Result<()> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut header = header(file.metadata()?.len());
    Ok(tar.append_data(&mut header, name, file)?)
}

fn append(tar: &mut Archive, name: &str, bytes: &[u8]) -> Result<()> {
    Ok(tar.append_data(&mut header(bytes.len() as u64), name, bytes)?)
}

fn header(size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_mode(0o644);
    header.set_size(size);
    header
}
