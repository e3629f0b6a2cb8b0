//! What the workers bring in: images that share layers with each other, so that there is always something to reuse
//! and always something that has just become garbage; and for each worker a bundle in volumes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use ocirepo_tests::archive;
use ocirepo_tests::chance::Chance;
use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::descriptor::full_named;
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::layout::Layout;

use super::names::bundle_names;
use crate::outcome::Outcome;

/// The ways in which the same image lies ready.
const FORMS: [&str; 4] = ["podman.tar", "oci.tar", "docker.tar", "dir"];

/// An image and where it comes from.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) image: Image,
    sources: Vec<String>,
}

impl Sample {
    pub(super) fn digest(&self) -> String {
        self.image.digest().to_owned()
    }

    /// The directory that holds it as a layout.
    pub(super) fn layout(&self) -> &str {
        self.sources.last().map_or("", String::as_str)
    }

    /// One of the files and directories that hold it.
    pub(super) fn source(&self, chance: &mut Chance) -> String {
        pick(chance, &self.sources).clone()
    }
}

/// A bundle of one worker.
#[derive(Debug)]
pub(super) struct Bundle {
    pub(super) volumes: Vec<String>,
    /// Its images: name and digest.
    pub(super) images: BTreeMap<String, String>,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) samples: Vec<Sample>,
    pub(super) bundles: Vec<Bundle>,
}

impl Pool {
    /// Writes everything into the scratch directory of `ocirepo`. The last image is larger than the others.
    pub(super) fn make(ocirepo: &Ocirepo, images: u64, workers: usize) -> Outcome<Self> {
        let samples = (0..images).map(|number| sample(ocirepo, number, number + 1 == images)).collect();
        let bundles = (0..workers).map(|worker| bundle(ocirepo, worker)).collect::<Outcome<_>>()?;
        Ok(Self { samples, bundles })
    }

    /// Any image.
    pub(super) fn any(&self, chance: &mut Chance) -> &Sample {
        pick(chance, &self.samples)
    }

    /// Every digest that a name may ever have had.
    pub(super) fn digests(&self) -> impl Iterator<Item = String> {
        let of_bundles = self.bundles.iter().flat_map(|bundle| bundle.images.values().cloned());
        self.samples.iter().map(Sample::digest).chain(of_bundles)
    }
}

/// One of several.
pub(super) fn pick<'a, T>(chance: &mut Chance, all: &'a [T]) -> &'a T {
    let number = usize::try_from(chance.below(all.len() as u64)).unwrap_or(0);
    &all[number]
}

/// A test's own path as text.
pub(super) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn sample(ocirepo: &Ocirepo, number: u64, is_large: bool) -> Sample {
    let own = if is_large { 1_500_000 } else { 20_000 };
    // All share a base, and two and two a layer.
    let spec = ImageSpec::seeded(&format!("race {number}")).noise_layer(0, 60_000);
    let image = spec.noise_layer(1000 + number / 2, 40_000).noise_layer(number + 1, own).build();
    let name = format!("docker.io/source/image{number}:1");
    let names = [name.as_str()];
    let item = [(&image, names.as_slice())];
    let write = |form: &str| -> PathBuf {
        let path = ocirepo.scratch(&format!("{number}.{form}"));
        let tarball = match form {
            "podman.tar" => archive::podman_save(&item),
            "oci.tar" => archive::oci_archive(&item, full_named),
            "docker.tar" => archive::docker25_save(&item),
            _ => {
                Layout::create(&path).full_image(&image, &name).write_index();
                return path;
            }
        };
        fs::write(&path, tarball.to_bytes()).expect("the scratch directory is our own");
        path
    };
    let sources = FORMS.iter().map(|form| text(&write(form))).collect();
    Sample { image, sources }
}

/// Two images of layers that nobody else has, so that nobody else's blobs make the bundle complete.
fn bundle(ocirepo: &Ocirepo, worker: usize) -> Outcome<Bundle> {
    let mut images = BTreeMap::new();
    let source = ocirepo.in_dir(ocirepo.scratch(&format!("bundle{worker}")));
    let mut layout = Layout::create(source.dir());
    for (number, name) in bundle_names(worker).into_iter().enumerate() {
        let seed = 10_000 + 10 * worker as u64 + number as u64;
        let image = ImageSpec::seeded(&format!("bundle {seed}")).noise_layer(0, 60_000);
        let image = image.noise_layer(seed, 70_000).build();
        layout.full_image(&image, &name);
        images.insert(name, image.digest().to_owned());
    }
    layout.write_index();
    let out = ocirepo.scratch(&format!("volumes{worker}"));
    fs::create_dir(&out).expect("the scratch directory is our own");
    let file = text(&out.join("b.tar"));
    let output = source.run(&["export", "--type", "oci", "-o", &file, "--volume-size", "100kB"]);
    ensure!(output.status.success(), "no bundle can be made: {}", output.stderr);
    let listed = fs::read_dir(&out).context("the volumes")?;
    let mut volumes: Vec<String> =
        listed.map(|entry| Ok(text(&entry?.path()))).collect::<std::io::Result<_>>()?;
    volumes.sort();
    ensure!(volumes.len() > 1, "a bundle in one volume: {volumes:?}");
    Ok(Bundle { volumes, images })
}
