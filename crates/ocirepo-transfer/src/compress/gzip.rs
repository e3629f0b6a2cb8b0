//! gzip as one member of blocks that are compressed apart.
//!
//! Each block is raw deflate that starts with the 32 KiB before it as its dictionary, so hardly a
//! match is lost, and ends on a byte, so that blocks can be laid one behind the other. The header
//! has no name and no time, and 255, "unknown", as the system.
//!
//! zlib-rs has variants of its functions for processors, but all of them (measuring a match, sliding
//! the hash table, the checksum) compute the same values, and its hash is one and the same
//! everywhere; so the bytes do not depend on the processor. They do depend on the history of an
//! encoder: one that is reset keeps remains of its last block, which change what it finds. So each
//! block has an encoder of its own.

use std::io;

use flate2::{Compress, Compression, Crc, FlushCompress};

use super::blocks::Block;
use super::{Codec, GzipLevel, Piece};

/// Counts up whenever the bytes change that come out for the same content and level.
pub(super) const REVISION: u32 = 1;

/// Room that a call of the encoder may need for its last words.
const SLACK: usize = 1 << 10;

#[derive(Debug, Clone, Copy)]
pub(super) struct Gzip {
    level: GzipLevel,
}

impl Gzip {
    pub(super) const fn new(level: GzipLevel) -> Self {
        Self { level }
    }
}

impl Codec for Gzip {
    /// From 64 KiB to 1 MiB, blocks come out as small as a single stream (within 0.2 %).
    const BLOCK: usize = 256 << 10;

    /// The window of deflate.
    const OVERLAP: usize = 32 << 10;

    fn head(&self) -> Vec<u8> {
        // What the format wants to know of the level: slowest, fastest, or something else.
        let effort = match self.level.get() {
            9 => 2,
            1 => 4,
            _ => 0,
        };
        vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, effort, 255]
    }

    fn encode(&self, block: &Block) -> io::Result<Piece> {
        let content = block.content();
        let mut encoder = Compress::new(Compression::new(self.level.get().into()), false);
        if !block.before().is_empty() {
            encoder.set_dictionary(block.before())?;
        }
        let flush = if block.is_last() { FlushCompress::Finish } else { FlushCompress::Sync };
        // The fastest level spends up to nine bits on a byte.
        let mut bytes = Vec::with_capacity(content.len() + content.len() / 8 + SLACK);
        loop {
            let consumed = usize::try_from(encoder.total_in()).expect("it is a position in a slice");
            encoder.compress_vec(&content[consumed..], &mut bytes, flush)?;
            if bytes.len() < bytes.capacity() {
                break;
            }
            bytes.reserve(SLACK);
        }
        let mut sum = Crc::new();
        sum.update(content);
        Ok(Piece { bytes, sum })
    }

    fn tail(&self, sum: &Crc) -> Vec<u8> {
        [sum.sum().to_le_bytes(), sum.amount().to_le_bytes()].concat()
    }
}
