//! Layers on disk, written uncompressed and as gzip in one pass.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write};
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use ocirepo_tests::noise::noise;
use sha2::{Digest as _, Sha256};
use tar::{Builder, Header};

use super::corpus::{Content, Piece};

/// A blob on disk.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) hex: String,
    pub(super) size: u64,
}

/// The same layer in two encodings.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) raw: Stored,
    pub(super) gzip: Stored,
}

/// Writes the layers into `raw` and `gzip`, each under its digest, several at once. They come back in order.
pub(super) fn write_all(contents: &[Content], raw: &Path, gzip: &Path) -> Result<Vec<Layer>> {
    let queue = Mutex::new(contents.iter().enumerate());
    let work = || -> Result<Vec<(usize, Layer)>> {
        let mut done = Vec::new();
        loop {
            let next = queue.lock().expect("no worker panics").next();
            let Some((number, content)) = next else { return Ok(done) };
            done.push((number, write(content, raw, gzip)?));
        }
    };
    let workers = thread::available_parallelism().map_or(1, |cores| cores.get());
    let mut layers = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let mut layers = Vec::new();
        for worker in workers {
            layers.extend(worker.join().expect("no worker panics")?);
        }
        anyhow::Ok(layers)
    })?;
    layers.sort_by_key(|(number, _)| *number);
    Ok(layers.into_iter().map(|(_, layer)| layer).collect())
}

fn write(content: &Content, raw: &Path, gzip: &Path) -> Result<Layer> {
    let name = format!("layer-{}.part", content.seed);
    let (raw_part, gzip_part) = (raw.join(&name), gzip.join(&name));
    let gzip_out = GzBuilder::new().mtime(0).write(Hashing::create(&gzip_part)?, Compression::new(6));
    let tee = Tee { one: Hashing::create(&raw_part)?, two: gzip_out };
    // The tar writer makes small writes, each of which would be a call into the compressor.
    let mut tar = Builder::new(BufWriter::with_capacity(1 << 18, tee));
    for piece in &content.files {
        append(&mut tar, piece).with_context(|| piece.path.display().to_string())?;
    }
    let noise = noise(content.seed, usize::try_from(content.noise)?);
    tar.append_data(&mut header(content.noise), "random", noise.as_slice())?;
    let tee = tar.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    let layer = Layer { raw: tee.one.finish()?, gzip: tee.two.finish()?.finish()? };
    fs::rename(raw_part, raw.join(&layer.raw.hex))?;
    fs::rename(gzip_part, gzip.join(&layer.gzip.hex))?;
    Ok(layer)
}

fn append<W: Write>(tar: &mut Builder<W>, piece: &Piece) -> Result<()> {
    let name = piece.path.strip_prefix("/").unwrap_or(&piece.path);
    // A file that has shrunk meanwhile would leave a gap that no reader understands.
    let content = File::open(&piece.path)?.chain(io::repeat(0)).take(piece.length);
    tar.append_data(&mut header(piece.length), name, content)?;
    Ok(())
}

fn header(size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(size);
    header
}

/// A file that knows its digest.
struct Hashing {
    file: File,
    hash: Sha256,
    size: u64,
}

impl Hashing {
    fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        Ok(Self { file, hash: Sha256::new(), size: 0 })
    }

    fn finish(self) -> Result<Stored> {
        let hex = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Stored { hex, size: self.size })
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

struct Tee<A, B> {
    one: A,
    two: B,
}

impl<A: Write, B: Write> Write for Tee<A, B> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.one.write_all(bytes)?;
        self.two.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.one.flush()?;
        self.two.flush()
    }
}

#[cfg(test)]
mod tests {
    use ocirepo_tests::compress::Compression;
    use ocirepo_tests::digest;

    use super::*;

    #[test]
    fn both_encodings_hold_the_same_tar_under_their_digests() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("file");
        fs::write(&file, "some text".repeat(1000)).unwrap();
        let content =
            |seed| Content { files: vec![Piece { path: file.clone(), length: 5000 }], noise: 1000, seed };
        let contents: Vec<_> = (0..5).map(content).collect();
        let (raws, gzips) = (scratch.path().join("raw"), scratch.path().join("gzip"));
        fs::create_dir(&raws).unwrap();
        fs::create_dir(&gzips).unwrap();
        let layers = write_all(&contents, &raws, &gzips).unwrap();
        for (layer, content) in layers.iter().zip(&contents) {
            let raw = fs::read(raws.join(&layer.raw.hex)).unwrap();
            let gzip = fs::read(gzips.join(&layer.gzip.hex)).unwrap();
            assert_eq!(digest::encoded(&digest::sha256(&raw)), layer.raw.hex);
            assert_eq!(digest::encoded(&digest::sha256(&gzip)), layer.gzip.hex);
            assert_eq!((raw.len() as u64, gzip.len() as u64), (layer.raw.size, layer.gzip.size));
            assert_eq!(Compression::Gzip.unpack(&gzip), raw);
            let noise = noise(content.seed, 1000);
            assert!(raw.windows(1000).any(|part| part == noise), "layers come back in another order");
        }
    }
}
