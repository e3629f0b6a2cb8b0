//! What people take for an image archive and what is none, or none that an importer can take.

use serde_json::json;

use super::Tarball;
use crate::descriptor::{Blob, split_reference};
use crate::image::Image;
use crate::json::compact;

/// `imgpkg copy --to-tar`: a `manifest.json` of its own kind first, then layers as `sha256-<hex>.tar.gz`.
pub fn imgpkg(image: &Image, name: &str) -> Tarball {
    let layer = |blob: &Blob| {
        json!({
            "MediaType": blob.media_type, "Digest": blob.digest, "DiffID": blob.digest,
            "IsDistributable": true,
        })
    };
    let described = json!([{"Image": {
        "Refs": [format!("{}@{}", split_reference(name).0, image.digest())],
        "Config": {"Digest": image.config.digest, "Raw": String::from_utf8_lossy(&image.config.bytes)},
        "Manifest": {
            "MediaType": image.manifest.media_type,
            "Digest": image.digest(),
            "Raw": String::from_utf8_lossy(&image.manifest.bytes),
        },
        "Layers": image.layers.iter().map(layer).collect::<Vec<_>>(),
    }}]);
    let tarball = Tarball::new().file("manifest.json", compact(&described));
    image.layers.iter().fold(tarball, |tarball, blob| {
        tarball.file(format!("{}.tar.gz", blob.digest.replace(':', "-")), blob.bytes.clone())
    })
}

/// The storage of a registry: `docker/registry/v2` with blobs by the first two digits, and links to them.
pub fn registry_storage(image: &Image, name: &str) -> Tarball {
    let (repository, tag) = split_reference(name);
    let at = |rest: String| format!("docker/registry/v2/{rest}");
    let mut tarball = Tarball::new();
    for blob in image.blobs() {
        let (start, hex) = (&blob.hex()[..2], blob.hex());
        tarball = tarball.file(at(format!("blobs/sha256/{start}/{hex}/data")), blob.bytes.clone());
    }
    for part in image.layers.iter().chain([&image.config]) {
        let link = format!("repositories/{repository}/_layers/sha256/{}/link", part.hex());
        tarball = tarball.file(at(link), part.digest.clone());
    }
    tarball
        .file(at(format!("repositories/{repository}/_manifests/tags/{tag}/current/link")), image.digest())
        .file(
            at(format!(
                "repositories/{repository}/_manifests/revisions/sha256/{}/link",
                image.manifest.hex()
            )),
            image.digest(),
        )
}

/// `docker export` and `podman export`: the files of a container.
pub fn docker_export() -> Tarball {
    Tarball::new()
        .file(".dockerenv", "")
        .dir("bin/")
        .file("bin/sh", "\x7fELF")
        .dir("dev/")
        .dir("etc/")
        .file("etc/os-release", "ID=testkit\n")
        .file("etc/hosts", "")
        .dir("proc/")
        .dir("usr/")
        .dir("usr/bin/")
        .file("usr/bin/env", "\x7fELF")
}

/// A zip file of one stored member.
pub fn zip(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    let length = u32::try_from(bytes.len()).expect("the member is small").to_le_bytes();
    let name_length = u16::try_from(name.len()).expect("the name is short").to_le_bytes();
    // From the version needed to the length of the extra field, alike in both places.
    let shared = [
        &[20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0][..],
        &crc.sum().to_le_bytes(),
        &length,
        &length,
        &name_length,
        &[0, 0],
    ]
    .concat();
    let local = [b"PK\x03\x04", shared.as_slice(), name.as_bytes(), bytes].concat();
    let entry = [b"PK\x01\x02", &[20, 0][..], &shared, &[0; 14], name.as_bytes()].concat();
    let offset = u32::try_from(local.len()).expect("the file is small").to_le_bytes();
    let size = u32::try_from(entry.len()).expect("the file is small").to_le_bytes();
    let end = [b"PK\x05\x06", &[0, 0, 0, 0, 1, 0, 1, 0][..], &size, &offset, &[0, 0]].concat();
    [local, entry, end].concat()
}

/// An lz4 frame with the bytes as they are, in blocks of 64 KiB.
pub fn lz4(bytes: &[u8]) -> Vec<u8> {
    const STORED: u32 = 1 << 31;
    let mut frame = vec![0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
    for block in bytes.chunks(64 << 10) {
        let length = u32::try_from(block.len()).expect("a block is small");
        frame.extend_from_slice(&(STORED | length).to_le_bytes());
        frame.extend_from_slice(block);
    }
    frame.extend_from_slice(&[0; 4]);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools;

    #[test]
    fn the_usual_tools_read_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let bytes = vec![b'x'; 100_000];
        std::fs::write(path("a.zip"), zip("content", &bytes)).unwrap();
        std::fs::write(path("a.lz4"), lz4(&bytes)).unwrap();
        if let Some(unzip) = tools::tool("unzip") {
            assert_eq!(tools::run(&unzip, &["-p", &path("a.zip"), "content"]).as_bytes(), bytes);
        }
        if let Some(lz4) = tools::tool("lz4") {
            assert_eq!(tools::run(&lz4, &["-dc", &path("a.lz4")]).as_bytes(), bytes);
        }
    }
}
