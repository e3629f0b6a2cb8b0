//! docker from 25 on: an OCI layout of uncompressed layers, docker's `manifest.json` and `repositories` beside
//! it, and for each layer a v1 config blob to which nothing points. With the faults of some versions.

use serde_json::{Map, Value, json};

use super::oci::{OCI_LAYOUT, blob_members, blob_path, entries, index_json};
use super::{Item, Tarball, manifest_item, repositories};
use crate::descriptor::{self, Blob};
use crate::digest;
use crate::image::Image;
use crate::json::compact;

/// `docker save` from 25 on.
pub fn docker25_save(items: &[Item<'_>]) -> Tarball {
    Save::of(items, |_| true, Image::unpacked).to_tarball()
}

/// `docker save` of 25.0.0: the layers of the OCI manifest are in another order than those of the image.
pub fn docker25_0_save(items: &[Item<'_>]) -> Tarball {
    Save::of(items, |_| true, Image::misordered).to_tarball()
}

/// `docker save` of several images from 25 on, where those without a tag are left out of index.json.
pub fn docker25_save_untagged(items: &[Item<'_>]) -> Tarball {
    Save::of(items, |names| !names.is_empty(), Image::unpacked).to_tarball()
}

/// `docker save NAME@DIGEST` of 25.0.0 to 25.0.2: index.json lists `null`, and nothing has a name.
pub fn docker25_save_by_digest(image: &Image) -> Tarball {
    let mut index = index_json(Vec::new());
    index["manifests"] = Value::Null;
    let saved = Save::of(&[(image, &[])], |_| true, Image::unpacked).to_tarball();
    saved.without("repositories").replace("index.json", compact(&index))
}

/// What a save consists of.
struct Save<'a> {
    blobs: Vec<Blob>,
    index: Vec<Value>,
    manifest: Vec<Value>,
    tops: Vec<(&'a [&'a str], String)>,
}

impl<'a> Save<'a> {
    /// `is_listed` tells by its names whether an image gets into index.json, `stored` how its manifest is written.
    fn of(items: &[Item<'a>], is_listed: fn(&[&str]) -> bool, stored: fn(&Image) -> Image) -> Self {
        let mut save = Self { blobs: Vec::new(), index: Vec::new(), manifest: Vec::new(), tops: Vec::new() };
        for &(image, names) in items {
            let (plain, written) = (image.unpacked(), stored(image));
            let layers = plain.layers.iter().map(blob_path).collect();
            let mut item = manifest_item(blob_path(&plain.config), names, layers);
            let source = |blob: &Blob| (blob.digest.clone(), blob.descriptor());
            item["LayerSources"] = plain.layers.iter().map(source).collect::<Map<_, _>>().into();
            save.manifest.push(item);
            if is_listed(names) {
                save.index.extend(entries(written.descriptor(), names, descriptor::tag_named));
            }
            save.tops.extend(plain.diff_ids.last().map(|id| (names, digest::encoded(id).to_owned())));
            let orphan =
                |id: &String| Blob::new("", compact(&json!({"layer_id": id, "os": image.platform["os"]})));
            save.blobs.extend(plain.diff_ids.iter().map(orphan));
            save.blobs.extend(written.blobs().cloned());
        }
        save
    }

    fn to_tarball(&self) -> Tarball {
        blob_members(&self.blobs)
            .file("index.json", compact(&index_json(self.index.clone())))
            .file("manifest.json", compact(&self.manifest.clone().into()))
            .file("oci-layout", OCI_LAYOUT)
            .file("repositories", compact(&repositories(self.tops.iter().cloned())))
    }
}
