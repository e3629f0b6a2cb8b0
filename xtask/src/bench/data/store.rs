//! Synthetic repositories: many small images with valid digests, sharing layers as real ones do.
//!
//! An image has a manifest, a config, two layers of its own and one layer from each of three pools (a tenth, a
//! hundredth and a thousandth as many layers as images). Garbage is images of the same kind without an entry. Some
//! layers of the garbage begin with `{`, and so could be manifests for whoever does not read them to the end, a few
//! of these are 2 MiB large. Nothing is fsynced.

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

use super::files;

/// How large.
#[derive(Clone, Debug, Args)]
pub(in crate::bench) struct Shape {
    /// Number of images
    #[arg(long, default_value_t = 10_000)]
    pub(in crate::bench) images: usize,
    /// Share of the blobs that no image needs
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(0..=95))]
    pub(in crate::bench) garbage_percent: u8,
}

/// What was generated.
#[derive(Debug)]
pub(in crate::bench) struct Summary {
    images: usize,
    live: usize,
    garbage: Vec<String>,
    took: Duration,
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { images, live, garbage, took } = self;
        let (garbage, seconds) = (garbage.len(), took.as_secs_f64());
        write!(formatter, "{images} images, {live} live and {garbage} garbage blobs in {seconds:.1} s")
    }
}

/// A generated repository, from which copies are made.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Store {
    /// The layout; not to be changed.
    pub(in crate::bench) layout: PathBuf,
    garbage: HashSet<String>,
    /// How many blobs images need.
    pub(in crate::bench) live: usize,
}

impl Store {
    pub(super) fn open(place: &Path) -> Result<Self> {
        let layout = place.join("layout");
        let list = place.join("garbage.txt");
        let list = fs::read_to_string(&list).with_context(|| list.display().to_string())?;
        let garbage: HashSet<_> = list.lines().map(str::to_owned).collect();
        let live = files::blobs(&layout)? - garbage.len();
        Ok(Self { layout, garbage, live })
    }

    /// How many blobs there are.
    pub(in crate::bench) fn blobs(&self) -> usize {
        self.live + self.garbage.len()
    }

    /// A copy whose garbage may be deleted: it takes space of its own, so that deleting frees some; what is needed is
    /// linked.
    pub(in crate::bench) fn copy(&self, to: &Path) -> Result<()> {
        files::copy_layout(&self.layout, to, |name| self.garbage.contains(name))
    }
}

/// Writes a repository with the list of its garbage.
pub(super) fn keep(shape: &Shape, place: &Path) -> Result<()> {
    let summary = generate(shape, &place.join("layout"))?;
    Ok(fs::write(place.join("garbage.txt"), summary.garbage.join("\n"))?)
}

/// Writes the repository.
pub(in crate::bench) fn generate(shape: &Shape, directory: &Path) -> Result<Summary> {
    let start = Instant::now();
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::create_dir(directory).with_context(|| directory.display().to_string())?;
    let mut layout = Layout::create(directory);
    let mut writer = Writer { blobs: directory.join("blobs/sha256"), written: HashSet::new() };
    let pools = [1000, 100, 10].map(|part| (shape.images / part).max(1));
    for number in 0..shape.images {
        let image = image(number, pools, None);
        writer.image(&image)?;
        layout.entry(descriptor::full_named(image.descriptor(), &reference(number)));
    }
    layout.write_index();
    let live = writer.written.clone();
    let percent = usize::from(shape.garbage_percent);
    let total = live.len() * 100 / (100 - percent);
    // Garbage shares its pool layers with the living, as removed images do.
    for number in shape.images.. {
        if writer.written.len() >= total {
            break;
        }
        writer.image(&image(number, pools, brace(number - shape.images)))?;
    }
    let mut garbage: Vec<_> = writer.written.difference(&live).cloned().collect();
    garbage.sort();
    Ok(Summary { images: shape.images, live: live.len(), garbage, took: start.elapsed() })
}

/// The name of an image of a store.
pub(in crate::bench) fn reference(number: usize) -> String {
    format!("registry.example/team-{:02}/app-{number:05}:1.{}", number % 40, number % 10)
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

/// For every tenth image of the garbage, how large its layer is that begins with `{`.
fn brace(number: usize) -> Option<usize> {
    match number {
        large if large % 500 == 0 => Some(2 << 20),
        small if small % 10 == 0 => Some(2 << 10),
        _ => None,
    }
}

fn image(number: usize, pools: [usize; 3], brace: Option<usize>) -> Image {
    let mut spec = ImageSpec::new();
    for (pool, size) in pools.into_iter().enumerate() {
        spec = spec.raw_layer(layer(&format!("pool {pool} layer {}", number % size)), Compression::None);
    }
    spec = spec.raw_layer(layer(&format!("program of {number}")), Compression::None);
    let settings = match brace {
        None => layer(&format!("settings of {number}")),
        Some(size) => format!("{{\"settings\":{number},\"text\":\"{}\"}}", "x".repeat(size)).into_bytes(),
    };
    spec.raw_layer(settings, Compression::None).build()
}

fn layer(text: &str) -> Vec<u8> {
    Tarball::new().file("content", text).to_bytes()
}

#[cfg(test)]
mod tests {
    use ocirepo_tests::checker::check;

    use super::*;

    #[test]
    fn a_store_is_sound_and_its_garbage_is_what_it_says() {
        let scratch = tempfile::tempdir().unwrap();
        let place = scratch.path();
        keep(&Shape { images: 50, garbage_percent: 20 }, place).unwrap();
        let store = Store::open(place).unwrap();
        let report = check(&store.layout);
        report.assert_sound();
        let found: HashSet<_> =
            report.garbage.iter().map(|digest| digest.strip_prefix("sha256:").unwrap().to_owned()).collect();
        assert_eq!(found, store.garbage);
        // The last image of the garbage is written whole.
        let fifth = store.blobs() / 5;
        assert!((fifth..fifth + 4).contains(&store.garbage.len()), "{store:?}");
    }
}
