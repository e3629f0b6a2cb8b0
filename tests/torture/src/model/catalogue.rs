//! What the scripts bring into repositories: a handful of small images, indexes and referrers that share
//! blobs and point at each other in every way that decides what is kept.
//!
//! Everything is the same on every run, so a script says "image a" and nothing more.

use std::collections::BTreeMap;

use ocirepo_tests::artifact::{artifact, index_of, index_of_descriptors, old_artifact};
use ocirepo_tests::descriptor::{self, Blob};
use ocirepo_tests::image::{Flavor, Image, ImageSpec};
use serde_json::{Value, json};

/// The size and digest of a blob are those of its content; here is what a document among them names.
#[derive(Debug, Clone, Default)]
pub(super) struct Links {
    /// From `manifests`.
    pub(super) children: Vec<String>,
    /// From `config`, `layers` and `blobs`.
    pub(super) parts: Vec<String>,
    /// From `subject`.
    pub(super) subject: Option<String>,
    /// Whether it is an index, which alone is opened to find what is reached by `manifests`.
    pub(super) is_index: bool,
}

/// Something that can be added as one entry.
#[derive(Debug)]
pub(super) struct Thing {
    pub(super) label: &'static str,
    pub(super) manifest: Blob,
    /// The blobs that come with it; a sparse image comes without some.
    pub(super) brings: Vec<String>,
}

/// All there is.
#[derive(Debug)]
pub(super) struct Catalogue {
    pub(super) things: Vec<Thing>,
    /// The content of every blob, by digest.
    pub(super) blobs: BTreeMap<String, Vec<u8>>,
    /// What the documents among them name.
    pub(super) links: BTreeMap<String, Links>,
    /// What to call a blob in a script.
    labels: BTreeMap<String, String>,
}

/// Blobs that nothing names.
pub(super) const GARBAGE: [&str; 3] = ["garbage", "{\"no\":\"manifest\"}", ""];

impl Catalogue {
    pub(super) fn new() -> Self {
        let mut all = Self {
            things: Vec::new(),
            blobs: BTreeMap::new(),
            links: BTreeMap::new(),
            labels: BTreeMap::new(),
        };
        let [a, b, c] = ["a", "b", "c"].map(|seed| ImageSpec::seeded(seed).build());
        let d = ImageSpec::seeded("d").flavor(Flavor::Docker).build();
        for (label, image) in [("image a", &a), ("image b", &b), ("image c", &c), ("image d", &d)] {
            all.image(label, image);
        }
        let both = index_of(&[(&a, "linux/amd64"), (&b, "linux/arm64")]);
        all.thing("index of a and b", &both, &[&blobs(&a), &blobs(&b)]);
        let nested = index_of_descriptors([both.descriptor(), c.descriptor()]);
        all.thing(
            "index of that index and c",
            &nested,
            &[&blobs(&a), &blobs(&b), &blobs(&c), std::slice::from_ref(&both)],
        );
        let sparse = index_of(&[(&c, "linux/amd64"), (&d, "linux/arm64")]);
        all.thing("sparse index of c, without d", &sparse, &[&blobs(&c)]);

        let sign = |content: &str, subject: &Blob| {
            artifact("application/vnd.test.signature", content.as_bytes(), Some(subject))
        };
        let of_a = sign("of a", &a.manifest);
        let of_both = sign("of both", &both);
        let of_that = sign("of the signature", &of_a.manifest);
        let of_b = old_artifact("application/vnd.test.sbom", b"of b", &b.manifest);
        let of_d = sign("of d", &d.manifest);
        for (label, artifact) in [
            ("signature of a", &of_a),
            ("signature of the index of a and b", &of_both),
            ("signature of the signature of a", &of_that),
            ("old sbom of b", &of_b),
            ("signature of d", &of_d),
        ] {
            all.thing(label, &artifact.manifest, &[&artifact.parts]);
        }
        // Each is about what the other has for a child.
        let c_of_d = about(&c.manifest, &d);
        all.thing("index of d that is about c", &c_of_d, &[&blobs(&d)]);
        let d_of_c = about(&d.manifest, &c);
        all.thing("index of c that is about d", &d_of_c, &[&blobs(&c)]);
        // A manifest that is somebody's layer as well.
        let config = Blob::new(descriptor::OCI_EMPTY, "{}");
        let copy = Blob::new(descriptor::OCI_LAYER, a.manifest.bytes.clone());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": descriptor::OCI_MANIFEST,
            "artifactType": "application/vnd.test.copy",
            "config": config.descriptor(),
            "layers": [copy.descriptor()],
        });
        let manifest = Blob::new(descriptor::OCI_MANIFEST, manifest.to_string());
        all.thing("artifact that has the manifest of a for a layer", &manifest, &[&[config, copy]]);
        for text in GARBAGE {
            let blob = Blob::new("text/plain", text);
            all.labels.insert(blob.digest.clone(), format!("the garbage {text:?}"));
            all.blobs.insert(blob.digest, blob.bytes);
        }
        all
    }

    fn image(&mut self, label: &'static str, image: &Image) {
        self.thing(label, &image.manifest, &[&blobs(image)]);
    }

    fn thing(&mut self, label: &'static str, manifest: &Blob, parts: &[&[Blob]]) {
        let mut brings = Vec::new();
        for blob in parts.iter().copied().flatten().chain([manifest]) {
            if !brings.contains(&blob.digest) {
                brings.push(blob.digest.clone());
            }
            self.blobs.insert(blob.digest.clone(), blob.bytes.clone());
            let name = || format!("{} of {label}", kind(&blob.media_type));
            self.labels.entry(blob.digest.clone()).or_insert_with(name);
        }
        self.labels.insert(manifest.digest.clone(), label.to_owned());
        self.links.insert(manifest.digest.clone(), Links::of(&manifest.bytes));
        self.things.push(Thing { label, manifest: manifest.clone(), brings });
    }

    /// What to call a blob.
    pub(super) fn label<'a>(&'a self, digest: &'a str) -> &'a str {
        self.labels.get(digest).map_or(digest, String::as_str)
    }

    pub(super) fn size(&self, digest: &str) -> u64 {
        self.blobs.get(digest).map_or(0, |bytes| bytes.len() as u64)
    }

    /// The digest of a blob that nothing names.
    pub(super) fn garbage(number: usize) -> String {
        Blob::new("", GARBAGE[number % GARBAGE.len()]).digest
    }
}

impl Links {
    fn of(document: &[u8]) -> Self {
        let value: Value = serde_json::from_slice(document).unwrap_or_default();
        let digest = |item: &Value| item["digest"].as_str().map(str::to_owned);
        let list = |name: &str| value[name].as_array().into_iter().flatten().filter_map(digest);
        Self {
            children: list("manifests").collect(),
            parts: digest(&value["config"]).into_iter().chain(list("layers")).chain(list("blobs")).collect(),
            subject: digest(&value["subject"]),
            is_index: value["manifests"].is_array(),
        }
    }
}

fn blobs(image: &Image) -> Vec<Blob> {
    image.blobs().cloned().collect()
}

/// An index with one child that is about another image.
fn about(subject: &Blob, child: &Image) -> Blob {
    let index = json!({
        "schemaVersion": 2,
        "mediaType": descriptor::OCI_INDEX,
        "manifests": [child.descriptor()],
        "subject": subject.descriptor(),
    });
    Blob::new(descriptor::OCI_INDEX, index.to_string())
}

fn kind(media_type: &str) -> &'static str {
    match media_type {
        descriptor::OCI_CONFIG | descriptor::DOCKER_CONFIG | descriptor::OCI_EMPTY => "the config",
        descriptor::OCI_INDEX | descriptor::OCI_MANIFEST | descriptor::DOCKER_MANIFEST => "a manifest",
        _ => "a layer",
    }
}
