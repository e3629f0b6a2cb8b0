//! A docker archive with one layer of any size, made while it is written: nothing of it is ever in memory or,
//! unless it is asked for, on disk.
//!
//! The digests that an importer must arrive at are computed here, by going through the layer once.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write};
use std::path::Path;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::descriptor::{self, Blob};
use crate::digest;
use crate::headers::{Head, SizeField, Style, padding};
use crate::json::compact;
use crate::noise::noise;

/// What the one file in the layer is full of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filling {
    /// Zeros, which a sparse file holds without blocks.
    Zeros,
    /// A million random bytes again and again, each time with another number: cheap to make, impossible to store
    /// without writing it, and easy for a compressor that looks back far enough.
    Noise,
}

const BLOCK: usize = 1 << 20;

/// The archive: the layer, the config, `manifest.json`.
#[derive(Clone, Debug)]
pub struct LargeArchive {
    bytes: u64,
    filling: Filling,
    sizes: SizeField,
    layer: String,
    config: Blob,
    manifest: Blob,
}

impl LargeArchive {
    /// An archive whose layer holds a file of that many bytes.
    pub fn new(bytes: u64, filling: Filling, sizes: SizeField) -> Self {
        let mut hash = HashWriter(Sha256::new());
        write_layer(&mut hash, bytes, filling, sizes).expect("a hash takes all");
        let layer = format!("sha256:{}", digest::to_hex(&hash.0.finalize()));
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer]},
        });
        let config = Blob::new(descriptor::OCI_CONFIG, compact(&config));
        let size = layer_size(bytes, sizes);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": descriptor::OCI_MANIFEST,
            "config": config.descriptor(),
            "layers": [{"mediaType": descriptor::OCI_LAYER, "digest": layer, "size": size}],
        });
        let manifest = Blob::new(descriptor::OCI_MANIFEST, compact(&manifest));
        Self { bytes, filling, sizes, layer, config, manifest }
    }

    /// The name of the image.
    pub const NAME: &'static str = "docker.io/test/large:1";

    /// The digest of the manifest that an importer must make.
    pub fn digest(&self) -> &str {
        &self.manifest.digest
    }

    /// The digest of the layer, which is not compressed.
    pub fn layer(&self) -> &str {
        &self.layer
    }

    /// The size of the layer.
    pub fn layer_size(&self) -> u64 {
        layer_size(self.bytes, self.sizes)
    }

    /// Writes the archive from front to back.
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.layer_head())?;
        write_layer(out, self.bytes, self.filling, self.sizes)?;
        out.write_all(&self.tail())
    }

    /// Writes the archive with holes in place of zeros.
    pub fn write_sparse(&self, path: &Path) -> io::Result<()> {
        assert_eq!(self.filling, Filling::Zeros, "only zeros can be holes");
        let mut file = File::create(path)?;
        file.write_all(&self.layer_head())?;
        let inner = inner_head(self.bytes, self.sizes);
        file.write_all(&inner)?;
        let rest = self.layer_size() - inner.len() as u64;
        file.seek(SeekFrom::Current(i64::try_from(rest).expect("no disk is larger")))?;
        file.write_all(&self.tail())
    }

    fn member(&self) -> String {
        format!("{}.tar", digest::encoded(&self.layer))
    }

    fn layer_head(&self) -> Vec<u8> {
        Head::file(&self.member(), self.layer_size()).to_bytes(Style::Ustar, self.sizes)
    }

    /// Everything behind the layer, which fills whole blocks.
    fn tail(&self) -> Vec<u8> {
        let config = format!("{}.json", self.config.hex());
        let manifest = json!([{"Config": config, "RepoTags": [Self::NAME], "Layers": [self.member()]}]);
        crate::tarball::Tarball::new()
            .file(&config, self.config.bytes.clone())
            .file("manifest.json", compact(&manifest))
            .to_bytes()
    }
}

/// The layer is a tar of one file.
fn write_layer(out: &mut dyn Write, bytes: u64, filling: Filling, sizes: SizeField) -> io::Result<()> {
    out.write_all(&inner_head(bytes, sizes))?;
    let mut block = match filling {
        Filling::Zeros => vec![0; BLOCK],
        Filling::Noise => noise(1, BLOCK),
    };
    let mut left = bytes;
    while left > 0 {
        if filling == Filling::Noise {
            block[..8].copy_from_slice(&left.to_le_bytes());
        }
        let length = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        out.write_all(&block[..length])?;
        left -= length as u64;
    }
    let end = padding(bytes) + 1024;
    out.write_all(&vec![0; usize::try_from(end).expect("it is small")])
}

fn inner_head(bytes: u64, sizes: SizeField) -> Vec<u8> {
    Head::file("large", bytes).to_bytes(Style::Ustar, sizes)
}

fn layer_size(bytes: u64, sizes: SizeField) -> u64 {
    inner_head(bytes, sizes).len() as u64 + bytes + padding(bytes) + 1024
}

struct HashWriter(Sha256);

impl Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_sparse_file_is_the_stream() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("large.tar");
        for sizes in [SizeField::Octal, SizeField::Pax, SizeField::Base256] {
            let large = LargeArchive::new(3_000_000, Filling::Zeros, sizes);
            let mut stream = Vec::new();
            large.write_to(&mut stream).unwrap();
            large.write_sparse(&path).unwrap();
            assert!(fs::read(&path).unwrap() == stream, "{sizes:?}");
            assert_eq!(stream.len() % 512, 0);
        }
    }

    #[test]
    fn another_reader_finds_the_layer_whole() {
        let large = LargeArchive::new(2_500_001, Filling::Noise, SizeField::Pax);
        let mut stream = Vec::new();
        large.write_to(&mut stream).unwrap();
        let mut archive = tar::Archive::new(stream.as_slice());
        let mut sizes = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            if sizes.is_empty() {
                assert_eq!(digest::sha256(&bytes), large.layer());
            }
            sizes.push(bytes.len() as u64);
        }
        assert_eq!((sizes.len(), sizes[0]), (3, large.layer_size()));
    }
}
