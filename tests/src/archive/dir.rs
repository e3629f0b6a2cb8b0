//! skopeo's and podman's `dir:`: a registry manifest with its blobs beside it, named by bare hex.
//!
//! It is a folder; as a tar it is that folder packed. Nothing in it has a name.

use super::Tarball;
use crate::descriptor::Blob;
use crate::image::Image;
use crate::tarball::Member;

const VERSION: &str = "Directory Transport Version: 1.1\n";

/// The directory of one image: `manifest.json` is its manifest, byte for byte.
pub fn dir_of_image(image: &Image) -> Tarball {
    folder(&image.manifest, image.layers.iter().chain([&image.config]))
}

/// `skopeo copy --all` of an index: `manifest.json` is the index, `<hex>.manifest.json` are its children.
pub fn dir_of_index(index: &Blob, children: &[&Image]) -> Tarball {
    let parts = children.iter().flat_map(|image| image.layers.iter().chain([&image.config]));
    let mut tarball = folder(index, parts);
    for child in children {
        tarball =
            tarball.file(format!("{}.manifest.json", child.manifest.hex()), child.manifest.bytes.clone());
    }
    tarball
}

fn folder<'a>(manifest: &Blob, parts: impl Iterator<Item = &'a Blob>) -> Tarball {
    let mut tarball = Tarball::new().file("version", VERSION);
    for part in parts {
        tarball.push_once(Member::file(part.hex(), part.bytes.clone()));
    }
    tarball.file("manifest.json", manifest.bytes.clone())
}
