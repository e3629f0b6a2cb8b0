//! What the jobs work on, in one size: archives, repositories, and names that were not used before.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use ocirepo_tests::compress::Compression;
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::layout::Layout;
use ocirepo_tests::tarball::Tarball;
use ocirepo_tests::{archive, descriptor, noise};

use super::count::{Count, Counter};

/// How much there is to work on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Of each layer of the one image.
    pub(super) layer_bytes: usize,
    /// How many images the repository of many has.
    pub(super) images: u64,
}

/// A directory that the jobs run in.
#[derive(Debug)]
pub(super) struct Stage<'c> {
    counter: &'c Counter,
    directory: PathBuf,
    /// Of all layers of the one image together.
    pub(super) raw_bytes: u64,
    pub(super) gzip_bytes: u64,
    pub(super) images: u64,
    used: Cell<u32>,
}

const LAYERS: u64 = 2;
const NAME: &str = "registry.example/team/app:1.0";

impl<'c> Stage<'c> {
    pub(super) fn new(counter: &'c Counter, directory: PathBuf, size: Size) -> Result<Self> {
        fs::create_dir(&directory)?;
        let (raw, gzip) = (image(size, Compression::None), image(size, Compression::Gzip));
        let write = |name: &str, tarball: &Tarball| fs::write(directory.join(name), tarball.to_bytes());
        write("docker.tar", &archive::podman_save(&[(&raw, &[NAME])]))?;
        write("oci.tar", &archive::oci_archive(&[(&gzip, &[NAME])], descriptor::full_named))?;
        let one = ImageSpec::seeded("one").build();
        write("one.tar", &archive::podman_save(&[(&one, &[NAME])]))?;
        Layout::create(directory.join("layout")).full_image(&gzip, NAME).write_index();
        many(size.images, &mut Layout::create(directory.join("many")));
        let bytes = |image: &Image| image.layers.iter().map(|layer| layer.bytes.len() as u64).sum();
        let (raw_bytes, gzip_bytes) = (bytes(&raw), bytes(&gzip));
        let stage =
            Self { counter, directory, raw_bytes, gzip_bytes, images: size.images, used: Cell::default() };
        let lines = [
            "init docker",
            "-C docker add docker.tar",
            "init oci",
            "-C oci add oci.tar",
            "init many",
            // The first edit costs a look at index.json more than all others.
            "-C many tag @0 registry.example/team/first:1",
        ];
        for line in lines {
            stage.counter.run(&stage.directory, line)?;
        }
        Ok(stage)
    }

    /// Counts a command line, which is given a file through a pipe.
    pub(super) fn count(&self, line: &str, input: Option<&str>) -> Result<Count> {
        self.counter.count(&self.directory, line, input)
    }

    /// A number that was not given out before.
    pub(super) fn number(&self) -> u32 {
        self.used.set(self.used.get() + 1);
        self.used.get()
    }

    /// The name of a new and empty repository.
    pub(super) fn repository(&self) -> Result<String> {
        let name = format!("new-{}", self.number());
        self.counter.run(&self.directory, &format!("init {name}"))?;
        Ok(name)
    }
}

fn image(size: Size, compression: Compression) -> Image {
    let layer = |spec: ImageSpec, seed| {
        let tar = Tarball::new().file("text", text(seed, size.layer_bytes)).to_bytes();
        spec.raw_layer(tar, compression)
    };
    (0..LAYERS).fold(ImageSpec::new(), layer).build()
}

/// Text of invented words, some of which are more frequent than others: packers find as much to do as in real layers.
fn text(seed: u64, len: usize) -> Vec<u8> {
    let letters = noise::noise(0, 4096);
    let mut text = Vec::with_capacity(len + 16);
    for pair in noise::noise(seed, len).chunks_exact(2) {
        let word = usize::from(pair[0]) * usize::from(pair[1]) / 16;
        text.extend(letters[word..][..3 + word % 8].iter().map(|letter| b'a' + letter % 26));
        text.push(b' ');
        if text.len() >= len {
            break;
        }
    }
    text.truncate(len);
    text
}

/// Small images that share a base, and a quarter as many without an entry.
fn many(images: u64, layout: &mut Layout) {
    for number in 0..images + images / 4 {
        let image = ImageSpec::seeded(&number.to_string()).build();
        if number < images {
            layout.full_image(&image, &format!("registry.example/team/app-{number:05}:1.0"));
        } else {
            layout.blobs_of(image.blobs());
        }
    }
    layout.write_index();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_packs_as_layers_do() {
        let text = text(1, 100_000);
        let packed = Compression::Gzip.pack(&text).len();
        assert_eq!(text.len(), 100_000);
        assert!((25_000..50_000).contains(&packed), "{packed} bytes");
    }
}
