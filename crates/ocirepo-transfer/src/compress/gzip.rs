//! gzip as members of 1 MiB, one behind the other, as RFC 1952 (2.2) has it.
//!
//! Every member is whole in itself: header without name and time, with 255, "unknown", as the
//! system, then deflate, checksum and length. eStargz layers and bgzip files are made like that, and
//! what runs containers reads them; a program that stops behind the first member has lost the rest
//! of those too.
//!
//! libdeflate is one and a half to three times as fast as zlib at the same size, compresses whole
//! buffers only, and always ends its stream, hence the members. Its variants for processors compute
//! checksums and move tables, nothing that would change what it finds.
//!
//! At level 1, which is for speed, noise is stored as it is, in members of its own: to find that nothing can
//! be saved takes libdeflate half as long again as to save something elsewhere.

use std::io;

use libdeflater::{CompressionLvl, Compressor};

use super::noise::{PIECE, is_noise};
use super::{Codec, GzipLevel};

/// Counts up whenever the bytes change that come out for the same content and level.
pub(super) const REVISION: u32 = 3;

#[derive(Debug, Clone, Copy)]
pub(super) struct Gzip(pub(super) GzipLevel);

impl Codec for Gzip {
    /// Within 0.1 % of what blocks of 4 MiB come to.
    const BLOCK: usize = 1 << 20;

    fn encode(&self, content: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        out.clear();
        let level = i32::from(self.0.get());
        // Even of nothing there is a member.
        if self.0 > FASTEST || content.is_empty() {
            return append(level, content, out);
        }
        let pieces: Vec<(bool, &[u8])> =
            content.chunks(PIECE).map(|piece| (is_noise(piece), piece)).collect();
        let mut rest = content;
        for run in pieces.chunk_by(|one, next| one.0 == next.0) {
            let (member, behind) = rest.split_at(run.iter().map(|(_, piece)| piece.len()).sum());
            append(if run[0].0 { STORED } else { level }, member, out)?;
            rest = behind;
        }
        Ok(())
    }
}

const FASTEST: GzipLevel = GzipLevel::new(1).expect("there is a level 1");

/// libdeflate's level for no compression.
const STORED: i32 = 0;

/// Appends a member.
fn append(level: i32, content: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let level = CompressionLvl::new(level).expect("libdeflate has the levels 0 to 12");
    let mut compressor = Compressor::new(level);
    let start = out.len();
    out.resize(start + compressor.gzip_compress_bound(content.len()), 0);
    let length = compressor.gzip_compress(content, &mut out[start..]).map_err(io::Error::other)?;
    out.truncate(start + length);
    Ok(())
}
