//! A repository that has one of every kind of file, what is known of it, and sources that are whole.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use ocirepo_tests::archive::docker_save;
use ocirepo_tests::artifact::{artifact, index_of};
use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::descriptor::{Blob, full_named};
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::layout::Layout;
use ocirepo_tests::snapshot::copy_tree;
use ocirepo_tests::tarball::Tarball;

use super::trial::path_text;
use crate::context::Context;

/// A blob that is to be damaged.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// What it is.
    pub(super) kind: &'static str,
    pub(super) digest: String,
    /// Whether it is opened on the way from the entries.
    pub(super) is_document: bool,
    pub(super) is_root: bool,
}

/// An entry of index.json.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    /// Its reference, or the digest of a nameless one.
    pub(super) label: String,
    pub(super) digest: String,
    /// Its blobs, all of which an export of it needs.
    pub(super) blobs: BTreeSet<String>,
    /// The blobs of what it is about.
    pub(super) subject: BTreeSet<String>,
}

/// A repository and what belongs to it.
#[derive(Debug)]
pub(super) struct Specimen {
    /// Runs in the whole repository.
    pub(super) ocirepo: Ocirepo,
    pub(super) targets: Vec<Target>,
    pub(super) listed: Vec<Listed>,
    /// A blob that nothing needs.
    pub(super) orphan: String,
    /// A layout with one image that the repository does not have.
    pub(super) news: PathBuf,
    /// What that image is called.
    pub(super) news_name: &'static str,
}

impl Specimen {
    /// Images, an index, a referrer, an artifact, an orphan; ocirepo has written index.json more than once, and has
    /// facts about layers.
    pub(super) fn new(context: &Context) -> Result<Self> {
        let ocirepo = context.ocirepo();
        let [plain, other, amd, arm, new] =
            ["plain", "other", "amd", "arm", "new"].map(|seed| ImageSpec::seeded(seed).build());
        let packed = ImageSpec::new().layer(Tarball::new().file("packed", "to be compressed")).build();
        let both = index_of(&[(&amd, "linux/amd64"), (&arm, "linux/arm64")]);
        let signature = artifact("application/vnd.test.signature", b"signed", Some(&plain.manifest));
        let chart = artifact("application/vnd.test.chart", b"a chart", None);

        let mut source = Layout::create(ocirepo.scratch("source"));
        source.full_image(&plain, "docker.io/test/plain:1").full_image(&other, "docker.io/test/other:1");
        source.blobs_of(amd.blobs()).blobs_of(arm.blobs()).blobs_of([&both]).blobs_of(chart.blobs());
        source.entry(full_named(both.descriptor(), "docker.io/test/both:1"));
        source.entry(full_named(chart.manifest.descriptor(), "docker.io/test/chart:1"));
        source.artifact(&signature).write_index();
        let mut news = Layout::create(ocirepo.scratch("news"));
        news.full_image(&new, "docker.io/test/new:1").write_index();
        let saved = ocirepo.scratch("saved.tar");
        fs::write(&saved, docker_save(&[(&packed, &["docker.io/test/packed:1"])]).to_bytes())?;

        done(&ocirepo, &["init"])?;
        done(&ocirepo, &["add", path_text(source.path())])?;
        done(&ocirepo, &["add", "--layers", "gzip", path_text(&saved)])?;
        let repository = Layout::open(ocirepo.dir());
        let orphan = repository.blob(b"an orphan");
        // Whole, and to stay so: sources for what is to be healed.
        copy_tree(ocirepo.dir(), &ocirepo.scratch("good"));

        let mut specimen = Self {
            ocirepo,
            targets: Vec::new(),
            listed: Vec::new(),
            orphan,
            news: news.path().to_owned(),
            news_name: "docker.io/test/new:1",
        };
        specimen.list("docker.io/test/plain:1", &plain.manifest, blobs(&plain));
        specimen.list("docker.io/test/other:1", &other.manifest, blobs(&other));
        specimen.list("docker.io/test/both:1", &both, [blobs(&amd), blobs(&arm)].concat());
        specimen.list("docker.io/test/chart:1", &chart.manifest, chart.parts.clone());
        let signed = specimen.list(&signature.manifest.digest, &signature.manifest, signature.parts.clone());
        signed.subject = digests(&blobs(&plain));
        specimen.list_packed(&repository)?;
        let document = |kind, blob: &Blob, is_root| Target {
            kind,
            digest: blob.digest.clone(),
            is_document: true,
            is_root,
        };
        let part = |kind, blob: &Blob| Target {
            kind,
            digest: blob.digest.clone(),
            is_document: false,
            is_root: false,
        };
        specimen.targets = vec![
            document("the manifest of an image", &plain.manifest, true),
            part("a layer", &plain.layers[1]),
            document("a manifest below an index", &amd.manifest, false),
            part("a config", &plain.config),
            document("an index", &both, true),
            document("the manifest of a referrer", &signature.manifest, true),
            part("a layer of several images", &plain.layers[0]),
            part("the blob of a referrer", &signature.parts[1]),
            document("the manifest of an artifact", &chart.manifest, true),
            part("the blob of an artifact", &chart.parts[1]),
            part("the empty config of several artifacts", &chart.parts[0]),
            part("a layer below an index", &arm.layers[1]),
        ];
        specimen.check()?;
        Ok(specimen)
    }

    fn list(&mut self, label: &str, manifest: &Blob, mut parts: Vec<Blob>) -> &mut Listed {
        parts.push(manifest.clone());
        let (label, digest) = (label.to_owned(), manifest.digest.clone());
        self.listed.push(Listed { label, digest, blobs: digests(&parts), subject: BTreeSet::new() });
        self.listed.last_mut().expect("it was just put there")
    }

    /// The image whose layer ocirepo has compressed, as it lies there.
    fn list_packed(&mut self, repository: &Layout) -> Result<()> {
        let name = "docker.io/test/packed:1";
        let inspected = done(&self.ocirepo, &["inspect", name, "--format", "json"])?;
        let digest = inspected["digest"].as_str().context("an image has a digest")?.to_owned();
        let manifest: serde_json::Value = serde_json::from_slice(&repository.read_blob(&digest))?;
        let text = |value: &serde_json::Value| value["digest"].as_str().map(str::to_owned);
        let layers = manifest["layers"].as_array().into_iter().flatten().filter_map(text);
        let blobs = layers.chain(text(&manifest["config"])).chain([digest.clone()]).collect();
        self.listed.push(Listed { label: name.to_owned(), digest, blobs, subject: BTreeSet::new() });
        Ok(())
    }

    /// The repository is as it is thought to be, or nothing that is found in it means anything.
    fn check(&self) -> Result<()> {
        let there = Layout::open(self.ocirepo.dir()).blobs();
        let mut known: BTreeSet<String> = self.listed.iter().flat_map(|entry| entry.blobs.clone()).collect();
        known.insert(self.orphan.clone());
        if there != known {
            bail!("the repository to be damaged has other blobs than it should have");
        }
        for file in ["last-index", "index.prev", "config.json", "cache/layers"] {
            if !self.ocirepo.dir().join(".ocirepo").join(file).is_file() {
                bail!("the repository to be damaged has no .ocirepo/{file}");
            }
        }
        Ok(())
    }

    /// A repository with the same blobs, nothing of which is damaged.
    pub(super) fn good(&self) -> PathBuf {
        self.ocirepo.scratch("good")
    }
}

/// Runs a command that has nothing to fail at.
pub(super) fn done(ocirepo: &Ocirepo, args: &[&str]) -> Result<serde_json::Value> {
    let output = ocirepo.run(args);
    if !output.status.success() {
        bail!("`ocirepo {}` of a whole repository: {}\n{}", args.join(" "), output.status, output.stderr);
    }
    Ok(serde_json::from_str(&output.stdout).unwrap_or_default())
}

fn blobs(image: &Image) -> Vec<Blob> {
    image.blobs().cloned().collect()
}

fn digests(blobs: &[Blob]) -> BTreeSet<String> {
    blobs.iter().map(|blob| blob.digest.clone()).collect()
}
