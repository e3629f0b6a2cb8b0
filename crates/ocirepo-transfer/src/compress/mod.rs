//! Compressing layers: on several threads, in bounded memory, and always to the same bytes.
//!
//! The content is cut into blocks of a fixed size. What a block becomes depends on nothing but its
//! bytes and the level, so neither the number of threads nor their speed changes what comes out; nor
//! does the processor (`gzip` and `zstd` say why). The versions of the encoders do. They are pinned
//! by tests: whoever moves them counts up the revision in [`Encoding::recipe`].
//!
//! Layers are compressed side by side, so that no thread is without work at the end of one, or where
//! one is read more slowly than it is compressed.
//!
//! Memory, whatever the number of layers: up to `jobs + 3` blocks, each with its compressed bytes, where
//! a block is 1 MiB for gzip and 8 MiB for zstd; and for each job an encoder, which takes 0.5 MiB for gzip,
//! 4 MiB for zstd at level 3 and 90 MiB at level 19.
//!
//! Another encoder is another [`Codec`].

mod blocks;
mod encoding;
mod gzip;
mod noise;
mod ordered;
#[cfg(test)]
mod tests;
mod zstd;

use std::io::{self, Read};

pub use encoding::{Encoding, GzipLevel, InvalidEncoding, ZstdLevel};

use blocks::{Blocks, Buffers};
use gzip::Gzip;
use ordered::Limits;
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

/// Compresses streams, several at once if it is called from several threads; its limits and its
/// buffers are those of all of them.
#[derive(Debug)]
pub(crate) struct Encoder {
    limits: Limits,
    blocks: Buffers,
    pieces: Buffers,
}

impl Encoder {
    /// One that compresses on up to `jobs` threads.
    pub(crate) fn new(jobs: usize) -> Self {
        Self { limits: Limits::new(jobs), blocks: Buffers::default(), pieces: Buffers::default() }
    }

    /// Compresses what is in `reader`, and gives the compressed bytes to `sink`. Both are used on the
    /// thread of the caller, and with one job, no other thread is.
    ///
    /// # Errors
    /// The first of reader, encoder and sink, which stops the rest.
    pub(crate) fn encode<E>(
        &self,
        reader: &mut (dyn Read + Send),
        encoding: Encoding,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), Stopped<E>> {
        match encoding {
            Encoding::Gzip(level) => self.encode_with(&Gzip(level), reader, sink),
            Encoding::Zstd(level) => self.encode_with(&Zstd(level), reader, sink),
        }
    }

    fn encode_with<C: Codec, E>(
        &self,
        codec: &C,
        reader: &mut (dyn Read + Send),
        sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), Stopped<E>> {
        let Self { limits, blocks, pieces } = self;
        ordered::in_order(
            Blocks::new(reader, C::BLOCK, blocks).map(|block| block.map_err(Stopped::Reader)),
            limits,
            |block| {
                let mut piece = pieces.take();
                codec.encode(&block, &mut piece)?;
                blocks.give(block);
                Ok::<_, io::Error>(piece)
            },
            |piece| {
                let piece = piece.map_err(Stopped::Encoder)?;
                sink(&piece).map_err(Stopped::Sink)?;
                pieces.give(piece);
                Ok(())
            },
        )
    }
}

/// A format of compressed streams that may follow each other.
trait Codec: Sync {
    /// The size of a block. To change it is to change the bytes.
    const BLOCK: usize;

    /// Makes a whole stream of one block, in place of what is in `out`, on any thread.
    fn encode(&self, content: &[u8], out: &mut Vec<u8>) -> io::Result<()>;
}
