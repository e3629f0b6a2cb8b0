//! The large image, and the five that share a base.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::corpus::{Content, Corpus};
use super::forms::{self, Packing};
use super::layer::{self, Layer};

/// MB as disks count them.
const MB: u64 = 1_000_000;
/// Sizes of the layers of the large image: 1,848 MB together.
const BIG: [u64; 8] = [350, 310, 280, 250, 215, 183, 155, 105];
/// Random bytes, for what is compressed before it gets into an image: archives, pictures, models. With so many of
/// them, gzip gets all of it to about half.
const NOISE_PERCENT: u64 = 18;
/// The base of the five images, and what each has above it.
const BASE: u64 = 128;
const APPS: [&[u64]; 5] = [&[60, 30, 25, 6], &[187, 40], &[45, 35, 12, 9, 8], &[90, 55, 20], &[150, 70, 50]];

/// The sizes of the layers of an image in bytes, bottom first, and of the random bytes in each.
#[derive(Debug)]
pub(super) struct Plan {
    layers: Vec<(u64, u64)>,
}

impl Plan {
    pub(super) fn big(quick: bool) -> Self {
        Self::of(BIG, quick)
    }

    pub(super) fn apps(quick: bool) -> Vec<Self> {
        APPS.iter().map(|own| Self::of([BASE].into_iter().chain(own.iter().copied()), quick)).collect()
    }

    fn of(megabytes: impl IntoIterator<Item = u64>, quick: bool) -> Self {
        let layer = |megabytes: u64| {
            let size = if quick { megabytes * MB / 4 } else { megabytes * MB };
            (size, size * NOISE_PERCENT / 100)
        };
        Self { layers: megabytes.into_iter().map(layer).collect() }
    }
}

/// Takes the content of these layers from the corpus.
fn contents(layers: &[(u64, u64)], corpus: &mut Corpus, first_seed: u64) -> Vec<Content> {
    let content = |((size, noise), seed): (&(u64, u64), u64)| Content {
        files: corpus.take(size - noise),
        noise: *noise,
        seed,
    };
    layers.iter().zip(first_seed..).map(content).collect()
}

/// What the image of 8 layers is called.
pub(in crate::bench) const BIG_NAME: &str = "registry.example/bench/big:1";

pub(super) fn big(plan: &Plan, place: &Path) -> Result<()> {
    let (raw, gzip) = (place.join("raw"), place.join("gzip"));
    fs::create_dir(&raw)?;
    fs::create_dir(&gzip)?;
    let layers = layer::write_all(&contents(&plan.layers, &mut Corpus::new()?, 1), &raw, &gzip)?;
    forms::layout(&place.join("layout-raw"), &layers, Packing::Raw, &raw, BIG_NAME)?;
    forms::layout(&place.join("layout-gzip"), &layers, Packing::Gzip, &gzip, BIG_NAME)?;
    forms::docker_archive(&place.join("docker.tar"), &layers, &raw, BIG_NAME)?;
    forms::oci_archive(&place.join("oci-gzip.tar"), &place.join("layout-gzip"))?;
    fs::remove_dir_all(raw)?;
    Ok(fs::remove_dir_all(gzip)?)
}

pub(super) fn apps(plans: &[Plan], place: &Path) -> Result<()> {
    let (raw, gzip) = (place.join("raw"), place.join("gzip"));
    fs::create_dir(&raw)?;
    fs::create_dir(&gzip)?;
    let mut corpus = Corpus::new()?;
    let mut base: Option<Layer> = None;
    for (number, plan) in (1..).zip(plans) {
        let above = &plan.layers[1..];
        let own = if base.is_none() { &plan.layers } else { above };
        let mut layers: Vec<_> = base.iter().cloned().collect();
        let first_seed = 100 * number;
        layers.extend(layer::write_all(&contents(own, &mut corpus, first_seed), &raw, &gzip)?);
        base = layers.first().cloned();
        let reference = format!("registry.example/bench/app{number}:1");
        let layout = place.join("layout");
        forms::layout(&layout, &layers, Packing::Gzip, &gzip, &reference)?;
        forms::oci_archive(&place.join(format!("oci-{number}.tar")), &layout)?;
        fs::remove_dir_all(layout)?;
        forms::docker_archive(&place.join(format!("docker-{number}.tar")), &layers, &raw, &reference)?;
    }
    fs::remove_dir_all(raw)?;
    Ok(fs::remove_dir_all(gzip)?)
}

/// The base once, all other layers, and a manifest and a config for each image.
pub(super) fn blobs_of_apps(plans: &[Plan]) -> usize {
    let own: usize = plans.iter().map(|plan| plan.layers.len() - 1).sum();
    1 + own + 2 * plans.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_large_image_has_the_size_that_is_claimed() {
        let total: u64 = Plan::big(false).layers.iter().map(|(size, _)| size).sum();
        assert_eq!(total, 1848 * MB);
        let quick: u64 = Plan::big(true).layers.iter().map(|(size, _)| size).sum();
        assert_eq!(quick, total / 4);
    }
}
