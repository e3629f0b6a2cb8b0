//! Compressing layers: on several threads, in bounded memory, and always to the same bytes.
//!
//! The content is cut into blocks of a fixed size. What a block becomes depends on nothing but its
//! bytes, those just before it, and the level, so neither the number of threads nor their speed
//! changes what comes out; nor does the processor (`gzip` and `zstd` say why). The versions of the
//! encoders do. They are pinned by tests: whoever moves them counts up the revision in
//! [`Encoding::recipe`].
//!
//! Memory: up to `jobs + 3` blocks, each with its compressed bytes, where a block is 256 KiB for gzip
//! and 8 MiB for zstd; and for each job an encoder, which takes 0.3 MiB for gzip, 4 MiB for zstd at
//! level 3 and 90 MiB at level 19.
//!
//! Another encoder is another [`Codec`].

mod blocks;
mod encoding;
mod gzip;
mod ordered;
#[cfg(test)]
mod tests;
mod zstd;

use std::io::{self, Read};

use flate2::Crc;

pub use encoding::{Encoding, GzipLevel, InvalidEncoding, ZstdLevel};

use blocks::{Block, Blocks};
use gzip::Gzip;
use zstd::Zstd;

/// Why compressing ended early.
#[derive(Debug)]
pub(crate) enum Stopped<E> {
    /// The content could not be read.
    Reader(io::Error),
    /// What takes the compressed bytes refused.
    Sink(E),
    /// The encoder failed, which means that there is no memory for it.
    Encoder(io::Error),
}

/// Compresses what is in `reader` on up to `jobs` threads, and gives the compressed bytes to `sink`.
/// Both are used on the thread of the caller, and with one job, no other thread is.
///
/// # Errors
/// The first of reader, encoder and sink, which stops the rest.
pub(crate) fn encode<E>(
    reader: &mut (dyn Read + Send),
    encoding: Encoding,
    jobs: usize,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), Stopped<E>> {
    match encoding {
        Encoding::Gzip(level) => encode_with(&Gzip::new(level), reader, jobs, sink),
        Encoding::Zstd(level) => encode_with(&Zstd::new(level), reader, jobs, sink),
    }
}

fn encode_with<C: Codec, E>(
    codec: &C,
    reader: &mut (dyn Read + Send),
    jobs: usize,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), Stopped<E>> {
    let mut give = |bytes: &[u8]| if bytes.is_empty() { Ok(()) } else { sink(bytes).map_err(Stopped::Sink) };
    give(&codec.head())?;
    let mut sum = Crc::new();
    let blocks = Blocks::new(reader, C::BLOCK, C::OVERLAP).map(|block| block.map_err(Stopped::Reader));
    ordered::in_order(
        blocks,
        jobs,
        |block| codec.encode(&block),
        |piece| {
            let piece = piece.map_err(Stopped::Encoder)?;
            sum.combine(&piece.sum);
            give(&piece.bytes)
        },
    )?;
    give(&codec.tail(&sum))
}

/// A format of compressed streams that are made of blocks.
trait Codec: Sync {
    /// The size of a block. To change it is to change the bytes.
    const BLOCK: usize;

    /// How many of the bytes before a block its encoder wants to see.
    const OVERLAP: usize;

    /// What the stream begins with.
    fn head(&self) -> Vec<u8>;

    /// Compresses one block, on any thread.
    fn encode(&self, block: &Block) -> io::Result<Piece>;

    /// What the stream ends with, by the checksum and the length of the whole content.
    fn tail(&self, sum: &Crc) -> Vec<u8>;
}

/// A block, compressed.
struct Piece {
    bytes: Vec<u8>,
    /// The checksum of the block, for formats with one checksum for all.
    sum: Crc,
}
