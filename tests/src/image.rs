//! Images in memory: built from a list of layers, complete with config and manifest.
//!
//! ```
//! use ocirepo_tests::{image::ImageSpec, tarball::Tarball};
//!
//! let base = Tarball::new().dir("etc/").file("etc/os-release", "ID=test\n");
//! let app = Tarball::new().file("app", "hello\n");
//! let image = ImageSpec::new().layer(base).gzip_layer(app).build();
//! assert_eq!(image.layers.len(), 2);
//! assert!(image.layers[1].media_type.ends_with("+gzip"));
//! ```

use serde_json::{Map, Value, json};

use crate::compress::Compression;
use crate::descriptor::{self, Blob};
use crate::json::compact;
use crate::tarball::Tarball;
use crate::{digest, noise};

/// The family of media types that an image uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flavor {
    /// `application/vnd.oci.…`
    #[default]
    Oci,
    /// `application/vnd.docker.…`; zstd layers get the OCI type, as docker has none.
    Docker,
}

impl Flavor {
    fn manifest(self) -> &'static str {
        match self {
            Self::Oci => descriptor::OCI_MANIFEST,
            Self::Docker => descriptor::DOCKER_MANIFEST,
        }
    }

    fn config(self) -> &'static str {
        match self {
            Self::Oci => descriptor::OCI_CONFIG,
            Self::Docker => descriptor::DOCKER_CONFIG,
        }
    }

    fn layer(self, compression: Compression) -> String {
        match (self, compression) {
            (Self::Oci, Compression::None) => descriptor::OCI_LAYER.into(),
            (Self::Oci, Compression::Gzip) => format!("{}+gzip", descriptor::OCI_LAYER),
            (_, Compression::Zstd) => format!("{}+zstd", descriptor::OCI_LAYER),
            (Self::Docker, Compression::None) => descriptor::DOCKER_LAYER.into(),
            (Self::Docker, Compression::Gzip) => format!("{}.gzip", descriptor::DOCKER_LAYER),
        }
    }
}

/// What to build.
#[derive(Clone, Debug)]
pub struct ImageSpec {
    flavor: Flavor,
    platform: Value,
    layers: Vec<(Vec<u8>, Compression)>,
    run: Map<String, Value>,
    annotations: Map<String, Value>,
    subject: Option<Value>,
}

impl Default for ImageSpec {
    fn default() -> Self {
        Self {
            flavor: Flavor::Oci,
            platform: descriptor::platform("linux/amd64"),
            layers: Vec::new(),
            run: Map::new(),
            annotations: Map::new(),
            subject: None,
        }
    }
}

impl ImageSpec {
    /// An image of no layers for linux/amd64.
    pub fn new() -> Self {
        Self::default()
    }

    /// A small image whose base layer all images of this kind share and whose second layer holds `seed`:
    /// images of different seeds differ in everything but the base.
    pub fn seeded(seed: &str) -> Self {
        let base = Tarball::new().dir("etc/").file("etc/os-release", "ID=testkit\n");
        Self::new().layer(base).layer(Tarball::new().file("seed", seed))
    }

    /// Other media types.
    pub fn flavor(self, flavor: Flavor) -> Self {
        Self { flavor, ..self }
    }

    /// The platform as `os/arch` or `os/arch/variant`.
    pub fn platform(self, platform: &str) -> Self {
        Self { platform: descriptor::platform(platform), ..self }
    }

    /// Adds an uncompressed layer.
    pub fn layer(self, files: Tarball) -> Self {
        self.raw_layer(files.to_bytes(), Compression::None)
    }

    /// Adds a gzip layer.
    pub fn gzip_layer(self, files: Tarball) -> Self {
        self.raw_layer(files.to_bytes(), Compression::Gzip)
    }

    /// Adds a zstd layer.
    pub fn zstd_layer(self, files: Tarball) -> Self {
        self.raw_layer(files.to_bytes(), Compression::Zstd)
    }

    /// Adds a layer of `len` bytes (and a few blocks) that do not compress.
    pub fn noise_layer(self, seed: u64, len: usize) -> Self {
        self.layer(Tarball::new().file("noise", noise::noise(seed, len)))
    }

    /// Adds a layer of exactly these uncompressed bytes, a tar file or not.
    pub fn raw_layer(mut self, tar: Vec<u8>, compression: Compression) -> Self {
        self.layers.push((tar, compression));
        self
    }

    /// Sets a field of the config's `config` object, such as `Entrypoint` or `Labels`.
    pub fn run(mut self, key: &str, value: Value) -> Self {
        self.run.insert(key.into(), value);
        self
    }

    /// Sets an annotation of the manifest.
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// Makes the image a referrer of that manifest.
    pub fn subject(mut self, manifest: &Blob) -> Self {
        self.subject = Some(manifest.descriptor());
        self
    }

    /// The spec of an image: its layers, raw, and its platform.
    pub fn of(image: &Image) -> Self {
        let layers = image.tars.iter().map(|tar| (tar.clone(), Compression::None)).collect();
        Self { layers, platform: image.platform.clone(), ..Self::default() }
    }

    /// The same layers, all of them packed like this.
    pub fn packed(mut self, compression: Compression) -> Self {
        for (_, packing) in &mut self.layers {
            *packing = compression;
        }
        self
    }

    /// Builds the image.
    pub fn build(&self) -> Image {
        let pack = |(tar, compression): &(Vec<u8>, Compression)| {
            Blob::new(self.flavor.layer(*compression), compression.pack(tar))
        };
        let layers: Vec<_> = self.layers.iter().map(pack).collect();
        let tars: Vec<_> = self.layers.iter().map(|(tar, _)| tar.clone()).collect();
        let diff_ids: Vec<_> = tars.iter().map(|tar| digest::sha256(tar)).collect();
        let config = Blob::new(self.flavor.config(), self.config_json(&diff_ids));
        let mut manifest = image_manifest(self.flavor, &config, &layers);
        if let Some(subject) = &self.subject {
            manifest["subject"] = subject.clone();
        }
        if !self.annotations.is_empty() {
            manifest["annotations"] = self.annotations.clone().into();
        }
        let manifest = Blob::new(self.flavor.manifest(), compact(&manifest));
        Image { manifest, config, layers, tars, diff_ids, platform: self.platform.clone() }
    }

    fn config_json(&self, diff_ids: &[String]) -> Vec<u8> {
        const CREATED: &str = "2020-01-01T00:00:00Z";
        let step = |number| json!({"created": CREATED, "created_by": format!("testkit layer {number}")});
        let mut config = self.platform.clone();
        config["created"] = CREATED.into();
        config["config"] = self.run.clone().into();
        config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        config["history"] = (1..=diff_ids.len()).map(step).collect();
        compact(&config)
    }
}

pub(crate) fn image_manifest(flavor: Flavor, config: &Blob, layers: &[Blob]) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": flavor.manifest(),
        "config": config.descriptor(),
        "layers": layers.iter().map(Blob::descriptor).collect::<Vec<_>>(),
    })
}

/// A built image.
#[derive(Clone, Debug)]
pub struct Image {
    /// The manifest, byte for byte as tools must keep it.
    pub manifest: Blob,
    /// The config.
    pub config: Blob,
    /// The layers as the manifest lists them, packed if so asked.
    pub layers: Vec<Blob>,
    /// The same layers uncompressed.
    pub tars: Vec<Vec<u8>>,
    /// sha256 of each uncompressed layer.
    pub diff_ids: Vec<String>,
    /// `{"architecture", "os"}` and perhaps `"variant"`.
    pub platform: Value,
}

impl Image {
    /// The descriptor of the manifest.
    pub fn descriptor(&self) -> Value {
        self.manifest.descriptor()
    }

    /// The digest of the manifest.
    pub fn digest(&self) -> &str {
        &self.manifest.digest
    }

    /// The image that a tool must arrive at when all it is given is this config and the uncompressed layers, as
    /// in a docker archive: OCI media types, raw layers, no annotations. docker 26 and later store the same bytes.
    pub fn unpacked(&self) -> Self {
        let layer = |tar: &Vec<u8>| Blob::new(descriptor::OCI_LAYER, tar.clone());
        self.rebuilt(Flavor::Oci, self.tars.iter().map(layer))
    }

    /// The image that a tool must arrive at when it is given this config and the layers as they are stored, but not
    /// the manifest, as in an archive of crane: OCI media types, no annotations.
    pub fn repacked(&self) -> Self {
        let media_type = |layer: &Blob| Flavor::Oci.layer(Compression::of(&layer.bytes));
        let layer = |layer: &Blob| Blob::new(media_type(layer), layer.bytes.clone());
        self.rebuilt(Flavor::Oci, self.layers.iter().map(layer))
    }

    /// The unpacked image with the layers in reverse, as docker 25.0.0 put them into its manifests in any order.
    pub fn misordered(&self) -> Self {
        let plain = self.unpacked();
        plain.rebuilt(Flavor::Oci, plain.layers.iter().rev().cloned())
    }

    /// The unpacked image in docker's types, which call the layers gzip, as skopeo does when it copies a docker
    /// archive into a `dir:`.
    pub fn mislabelled(&self) -> Self {
        let layer = |tar: &Vec<u8>| Blob::new(Flavor::Docker.layer(Compression::Gzip), tar.clone());
        self.rebuilt(Flavor::Docker, self.tars.iter().map(layer))
    }

    fn rebuilt(&self, flavor: Flavor, layers: impl Iterator<Item = Blob>) -> Self {
        let layers: Vec<_> = layers.collect();
        let config = Blob::new(flavor.config(), self.config.bytes.clone());
        let manifest = image_manifest(flavor, &config, &layers);
        let manifest = Blob::new(flavor.manifest(), compact(&manifest));
        Self { manifest, config, layers, ..self.clone() }
    }

    /// Config, layers and manifest, in the order in which a careful writer stores them.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        std::iter::once(&self.config).chain(&self.layers).chain(std::iter::once(&self.manifest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_compact_and_in_the_order_docker_writes() {
        let image = ImageSpec::seeded("a").build();
        let text = String::from_utf8(image.manifest.bytes.clone()).unwrap();
        let start = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{}","size":{}}},"layers":[{{"mediaType""#,
            descriptor::OCI_MANIFEST,
            descriptor::OCI_CONFIG,
            image.config.digest,
            image.config.bytes.len()
        );
        assert!(text.starts_with(&start), "{text}");
    }

    #[test]
    fn seeds_share_the_base_and_nothing_else() {
        let (a, b) = (ImageSpec::seeded("a").build(), ImageSpec::seeded("b").build());
        assert_eq!(a.layers[0], b.layers[0]);
        assert_ne!(a.layers[1].digest, b.layers[1].digest);
        assert_ne!(a.config.digest, b.config.digest);
        assert_eq!(a.digest(), ImageSpec::seeded("a").build().digest());
    }

    #[test]
    fn compression_changes_the_layer_and_not_the_diff_id() {
        let files = Tarball::new().file("f", vec![b'x'; 5000]);
        let plain = ImageSpec::new().layer(files.clone()).build();
        let gzip = ImageSpec::new().gzip_layer(files.clone()).build();
        let zstd = ImageSpec::new().zstd_layer(files).build();
        assert_eq!(plain.diff_ids, gzip.diff_ids);
        assert_eq!(plain.config, zstd.config);
        assert!(gzip.layers[0].bytes.starts_with(&[0x1f, 0x8b]));
        assert!(zstd.layers[0].bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
    }
}
