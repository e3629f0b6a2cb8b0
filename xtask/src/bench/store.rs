//! Synthetic repositories: many small images with valid digests, sharing layers as real ones do.
//!
//! An image has a manifest, a config, two layers of its own and one layer from each of three pools (a tenth, a
//! hundredth and a thousandth as many layers as images). Garbage is images of the same kind without an entry.
//! Nothing is fsynced.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use ocirepo_tests::compress::Compression;
use ocirepo_tests::descriptor::{self, Blob};
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::layout::Layout;
use ocirepo_tests::tarball::Tarball;

/// How large.
#[derive(Clone, Debug, Args)]
pub(super) struct Shape {
    /// Number of images
    #[arg(long, default_value_t = 10_000)]
    pub(super) images: usize,
    /// Share of the blobs that no image needs
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(0..=95))]
    pub(super) garbage_percent: u8,
}

/// What was generated.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) images: usize,
    pub(super) live: usize,
    pub(super) garbage: usize,
    took: Duration,
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { images, live, garbage, took } = self;
        let seconds = took.as_secs_f64();
        write!(formatter, "{images} images, {live} live and {garbage} garbage blobs in {seconds:.1} s")
    }
}

/// Writes the repository.
pub(super) fn generate(shape: &Shape, directory: &Path) -> Result<Summary> {
    let start = Instant::now();
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::create_dir(directory).with_context(|| directory.display().to_string())?;
    let mut layout = Layout::create(directory);
    let mut writer = Writer { blobs: directory.join("blobs/sha256"), written: HashSet::new() };
    let pools = [1000, 100, 10].map(|part| (shape.images / part).max(1));
    for number in 0..shape.images {
        let image = image(number, pools);
        writer.image(&image)?;
        let reference = format!("registry.example/team-{:02}/app-{number:05}:1.{}", number % 40, number % 10);
        layout.entry(descriptor::full_named(image.descriptor(), &reference));
    }
    layout.write_index();
    let live = writer.written.len();
    let percent = usize::from(shape.garbage_percent);
    let total = live * 100 / (100 - percent);
    // Garbage shares its pool layers with the living, as removed images do.
    for number in shape.images.. {
        if writer.written.len() >= total {
            break;
        }
        writer.image(&image(number, pools))?;
    }
    let garbage = writer.written.len() - live;
    Ok(Summary { images: shape.images, live, garbage, took: start.elapsed() })
}

struct Writer {
    blobs: PathBuf,
    written: HashSet<String>,
}

impl Writer {
    fn image(&mut self, image: &Image) -> Result<()> {
        for blob in image.blobs() {
            self.blob(blob)?;
        }
        Ok(())
    }

    fn blob(&mut self, blob: &Blob) -> Result<()> {
        if self.written.insert(blob.hex().to_owned()) {
            fs::write(self.blobs.join(blob.hex()), &blob.bytes)?;
        }
        Ok(())
    }
}

fn image(number: usize, pools: [usize; 3]) -> Image {
    let mut spec = ImageSpec::new();
    for (pool, size) in pools.into_iter().enumerate() {
        spec = spec.raw_layer(layer(&format!("pool {pool} layer {}", number % size)), Compression::None);
    }
    for own in ["program", "settings"] {
        spec = spec.raw_layer(layer(&format!("{own} of {number}")), Compression::None);
    }
    spec.build()
}

fn layer(text: &str) -> Vec<u8> {
    Tarball::new().file("content", text).to_bytes()
}
