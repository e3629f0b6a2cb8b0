//! Small archives in memory, and a repository to import them into.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ocirepo_store::{Digest, InitOptions, Repository, Settings, Silent, verify};
use ocirepo_transfer::{Error, ImportOptions, Imported, Source, import, import_stream};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
pub(crate) const IMAGE_NAME: &str = "io.containerd.image.name";

/// A tar that is being built.
pub(crate) struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    pub(crate) fn file(mut self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.as_ref().len() as u64);
        header.set_mode(0o644);
        if name.len() < 100 {
            set_name(&mut header, name);
            self.0.append(&header, content.as_ref()).unwrap();
        } else {
            self.0.append_data(&mut header, name, content.as_ref()).unwrap();
        }
        self
    }

    pub(crate) fn link(mut self, kind: tar::EntryType, name: &str, target: &str) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_link_name_literal(target).unwrap();
        set_name(&mut header, name);
        self.0.append(&header, &[][..]).unwrap();
        self
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        self.link(tar::EntryType::Symlink, name, target)
    }

    pub(crate) fn hardlink(self, name: &str, target: &str) -> Self {
        self.link(tar::EntryType::Link, name, target)
    }

    pub(crate) fn blob(self, content: impl AsRef<[u8]>) -> Self {
        let name = blob_path(&Digest::sha256(content.as_ref()));
        self.file(&name, content)
    }

    pub(crate) fn blobs(self, blobs: &[&[u8]]) -> Self {
        blobs.iter().fold(self, |tar, blob| tar.blob(blob))
    }

    pub(crate) fn json(self, name: &str, value: &Value) -> Self {
        self.file(name, value.to_string())
    }

    /// `oci-layout` and an `index.json` with these entries.
    pub(crate) fn layout(self, entries: &[Value]) -> Self {
        self.json("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))
            .json("index.json", &json!({"schemaVersion": 2, "manifests": entries}))
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// Past the checks of the tar crate, so that hostile names can be written.
fn set_name(header: &mut tar::Header, name: &str) {
    let field = &mut header.as_old_mut().name;
    field[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
}

pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm_name(), digest.encoded())
}

/// A layer with one file in it.
pub(crate) fn layer(content: &str) -> Vec<u8> {
    Tar::new().file("file", content).bytes()
}

pub(crate) fn config(layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<String> = layers.iter().map(|layer| Digest::sha256(layer).to_string()).collect();
    json!({"architecture": "arm64", "variant": "v8", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}})
    .to_string()
    .into_bytes()
}

pub(crate) fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::sha256(content).to_string(), "size": content.len()})
}

pub(crate) fn named(mut descriptor: Value, key: &str, name: &str) -> Value {
    descriptor["annotations"][key] = json!(name);
    descriptor
}

/// The manifest of an image in the form that docker and this crate give it.
pub(crate) fn manifest(config: &[u8], layers: &[&[u8]]) -> Vec<u8> {
    let part = |media_type: &str, content: &[u8]| {
        format!(
            r#"{{"mediaType":"{media_type}","digest":"{}","size":{}}}"#,
            Digest::sha256(content),
            content.len()
        )
    };
    let layers: Vec<String> = layers.iter().map(|layer| part(LAYER, layer)).collect();
    let config = part(CONFIG, config);
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{config},"layers":[{}]}}"#,
        layers.join(",")
    )
    .into_bytes()
}

/// An image of one layer.
pub(crate) struct Image {
    pub(crate) layer: Vec<u8>,
    pub(crate) config: Vec<u8>,
    pub(crate) manifest: Vec<u8>,
}

impl Image {
    pub(crate) fn new(content: &str) -> Self {
        let layer = layer(content);
        let config = config(&[&layer]);
        let manifest = manifest(&config, &[&layer]);
        Self { layer, config, manifest }
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::sha256(&self.manifest)
    }

    pub(crate) fn blobs(&self) -> [&[u8]; 3] {
        [&self.layer, &self.config, &self.manifest]
    }

    pub(crate) fn entry(&self) -> Value {
        descriptor(MANIFEST, &self.manifest)
    }

    /// This image as the only one of a docker archive.
    pub(crate) fn docker(&self, tags: &[&str]) -> Vec<u8> {
        Tar::new()
            .file("config.json", &self.config)
            .file("abc/layer.tar", &self.layer)
            .json(
                "manifest.json",
                &json!([{"Config": "config.json", "RepoTags": tags, "Layers": ["abc/layer.tar"]}]),
            )
            .bytes()
    }

    /// This image as the only one of an image layout.
    pub(crate) fn oci(&self, ref_name: &str) -> Vec<u8> {
        Tar::new().blobs(&self.blobs()).layout(&[named(self.entry(), REF_NAME, ref_name)]).bytes()
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// Unpacks a tar without links into a directory.
pub(crate) fn unpack(bytes: &[u8], into: &Path) {
    tar::Archive::new(bytes).unpack(into).unwrap();
}

/// A repository in a temporary directory.
pub(crate) struct Repo {
    pub(crate) dir: TempDir,
    pub(crate) repository: Repository,
}

impl Repo {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("repo");
        let (repository, _) = Repository::init(&path, InitOptions::default(), Settings::default()).unwrap();
        Self { dir, repository }
    }

    pub(crate) fn add_source(&self, source: &Source, options: &ImportOptions) -> Result<Imported, Error> {
        let lock = self.repository.lock_shared().unwrap();
        import(lock.ingest()?, source, options, &Silent)
    }

    pub(crate) fn add_path(&self, path: &Path) -> Result<Imported, Error> {
        self.add_source(&Source::Path(path.to_owned()), &ImportOptions::default())
    }

    /// Imports an archive from a file.
    pub(crate) fn add_with(&self, bytes: &[u8], options: &ImportOptions) -> Result<Imported, Error> {
        let path = self.dir.path().join("source.tar");
        fs::write(&path, bytes).unwrap();
        self.add_source(&Source::Path(path), options)
    }

    pub(crate) fn add(&self, bytes: &[u8]) -> Result<Imported, Error> {
        self.add_with(bytes, &ImportOptions::default())
    }

    /// Imports an archive from a stream.
    pub(crate) fn add_stream(&self, bytes: &[u8]) -> Result<Imported, Error> {
        let lock = self.repository.lock_shared().unwrap();
        import_stream(lock.ingest()?, &mut &bytes[..], "stream", &ImportOptions::default(), &Silent)
    }

    pub(crate) fn index(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("index.json")).unwrap()).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("repo").join(name)
    }

    pub(crate) fn has(&self, content: &[u8]) -> bool {
        fs::read(self.path(&blob_path(&Digest::sha256(content)))).is_ok_and(|found| found == content)
    }

    /// Nothing in the repository is damaged, missing or not needed.
    pub(crate) fn assert_sound(&self) {
        let report = verify::verify(&self.repository, &verify::Options::default(), &Silent).unwrap();
        let trouble = report.findings.iter().find(|finding| finding.kind != verify::Kind::Sparse);
        assert!(trouble.is_none(), "{trouble:?}");
    }

    /// Everything that others see of the repository, staging included.
    pub(crate) fn snapshot(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut open = vec![self.path("blobs"), self.path(".ocirepo/tmp")];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(&dir).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path.clone());
                }
                files.insert(path.display().to_string(), fs::read(&path).unwrap_or_default());
            }
        }
        files.insert("index.json".to_owned(), fs::read(self.path("index.json")).unwrap());
        files
    }
}

/// `reference digest` of every image, and all warnings.
pub(crate) fn summary(imported: &Imported) -> (Vec<String>, Vec<String>) {
    let images = imported.images.iter();
    let lines = images.map(|image| format!("{} {}", image.reference.as_deref().unwrap_or("-"), image.digest));
    let warnings = imported.images.iter().flat_map(|image| &image.warnings);
    (lines.collect(), warnings.chain(&imported.warnings).cloned().collect())
}

pub(crate) fn references(imported: &Imported) -> Vec<&str> {
    imported.images.iter().map(|image| image.reference.as_deref().unwrap_or("-")).collect()
}

pub(crate) fn warnings(imported: &Imported) -> Vec<String> {
    summary(imported).1
}
