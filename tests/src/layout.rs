//! OCI image layouts written straight to disk, and ways to damage them.
//!
//! A [`Layout`] is only a path and the entries still to be written; it can also be opened over a repository that
//! ocirepo made, to break it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::artifact::Artifact;
use crate::descriptor::{self, Blob};
use crate::digest;
use crate::image::Image;
use crate::json::compact;

/// An image layout directory.
#[derive(Debug)]
pub struct Layout {
    dir: PathBuf,
    entries: Vec<Value>,
}

impl Layout {
    /// Makes the directory, `oci-layout` and an `index.json` of no entries.
    pub fn create(dir: impl Into<PathBuf>) -> Self {
        let layout = Self { dir: dir.into(), entries: Vec::new() };
        fs::create_dir_all(layout.dir.join("blobs/sha256")).expect("the directory can be made");
        layout.write("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
        layout.write_index();
        layout
    }

    /// An existing layout; its entries come first when the index is written again.
    pub fn open(dir: impl Into<PathBuf>) -> Self {
        let mut layout = Self { dir: dir.into(), entries: Vec::new() };
        let index = layout.read_index();
        layout.entries = index["manifests"].as_array().expect("index.json has manifests").clone();
        layout
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Stores bytes and returns their digest.
    pub fn blob(&self, bytes: &[u8]) -> String {
        let digest = digest::sha256(bytes);
        let (algorithm, hex) = digest::split(&digest);
        self.blob_as(algorithm, hex, bytes);
        digest
    }

    /// Stores bytes under any name, right or wrong.
    pub fn blob_as(&self, algorithm: &str, encoded: &str, bytes: &[u8]) {
        let directory = self.dir.join("blobs").join(algorithm);
        fs::create_dir_all(&directory).expect("the directory can be made");
        fs::write(directory.join(encoded), bytes).expect("the blob can be written");
    }

    /// Stores blobs.
    pub fn blobs_of<'a>(&self, blobs: impl IntoIterator<Item = &'a Blob>) -> &Self {
        for blob in blobs {
            self.blob(&blob.bytes);
        }
        self
    }

    /// Stores an image and gives it an entry named as skopeo names it, in ref.name alone.
    pub fn image(&mut self, image: &Image, ref_name: &str) -> &mut Self {
        self.blobs_of(image.blobs());
        self.entry(descriptor::ref_named(image.descriptor(), ref_name))
    }

    /// Stores an image and gives it an entry with the full reference in both annotations.
    pub fn full_image(&mut self, image: &Image, reference: &str) -> &mut Self {
        self.blobs_of(image.blobs());
        self.entry(descriptor::full_named(image.descriptor(), reference))
    }

    /// Stores an artifact and gives it an entry without a name.
    pub fn artifact(&mut self, artifact: &Artifact) -> &mut Self {
        self.blobs_of(artifact.blobs());
        self.entry(artifact.manifest.descriptor())
    }

    /// Adds an entry to the index that [`Layout::write_index`] will write.
    pub fn entry(&mut self, entry: Value) -> &mut Self {
        self.entries.push(entry);
        self
    }

    /// Writes `index.json` with the entries so far.
    pub fn write_index(&self) -> &Self {
        let index = json!({"schemaVersion": 2, "mediaType": descriptor::OCI_INDEX, "manifests": self.entries.clone()});
        self.write("index.json", &compact(&index));
        self
    }

    /// Writes a file of the layout, such as a broken `index.json`.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.dir.join(name), bytes).expect("the file can be written");
    }

    /// `index.json` as it stands on disk.
    pub fn read_index(&self) -> Value {
        let bytes = fs::read(self.dir.join("index.json")).expect("index.json can be read");
        serde_json::from_slice(&bytes).expect("index.json is JSON")
    }

    /// The digests of all blob files, whatever their content.
    pub fn blobs(&self) -> BTreeSet<String> {
        let mut digests = BTreeSet::new();
        for algorithm in file_names(&self.dir.join("blobs")) {
            for encoded in file_names(&self.dir.join("blobs").join(&algorithm)) {
                digests.insert(format!("{algorithm}:{encoded}"));
            }
        }
        digests
    }

    /// Where a blob is.
    pub fn blob_path(&self, digest: &str) -> PathBuf {
        let (algorithm, encoded) = digest::split(digest);
        self.dir.join("blobs").join(algorithm).join(encoded)
    }

    /// The content of a blob.
    pub fn read_blob(&self, digest: &str) -> Vec<u8> {
        fs::read(self.blob_path(digest)).unwrap_or_else(|error| panic!("cannot read {digest}: {error}"))
    }

    /// Flips one bit in the middle of a blob and leaves its size.
    pub fn corrupt(&self, digest: &str) {
        let mut bytes = self.read_blob(digest);
        let middle = bytes.len() / 2;
        *bytes.get_mut(middle).expect("an empty blob cannot be corrupted at the same size") ^= 1;
        self.overwrite(digest, &bytes);
    }

    /// Leaves the first `len` bytes of a blob.
    pub fn truncate(&self, digest: &str, len: usize) {
        let bytes = self.read_blob(digest);
        assert!(len < bytes.len(), "{digest} has only {} bytes", bytes.len());
        self.overwrite(digest, &bytes[..len]);
    }

    /// Removes a blob.
    pub fn delete(&self, digest: &str) {
        fs::remove_file(self.blob_path(digest))
            .unwrap_or_else(|error| panic!("cannot delete {digest}: {error}"));
    }

    /// A new file in place of the old one, which may be read-only or have other hard links.
    fn overwrite(&self, digest: &str, bytes: &[u8]) {
        self.delete(digest);
        fs::write(self.blob_path(digest), bytes).expect("the blob can be written");
    }
}

fn file_names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let name = |entry: Result<fs::DirEntry, _>| entry.expect("the directory can be read").file_name();
    entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect()
}
