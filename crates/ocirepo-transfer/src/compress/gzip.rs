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

use std::io;

use libdeflater::{CompressionLvl, Compressor};

use super::{Codec, GzipLevel};

/// Counts up whenever the bytes change that come out for the same content and level.
pub(super) const REVISION: u32 = 2;

#[derive(Debug, Clone, Copy)]
pub(super) struct Gzip(pub(super) GzipLevel);

impl Codec for Gzip {
    /// Within 0.1 % of what blocks of 4 MiB come to.
    const BLOCK: usize = 1 << 20;

    fn encode(&self, content: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let level = CompressionLvl::new(self.0.get().into()).expect("libdeflate has the levels 0 to 12");
        let mut compressor = Compressor::new(level);
        out.resize(compressor.gzip_compress_bound(content.len()), 0);
        let length = compressor.gzip_compress(content, out).map_err(io::Error::other)?;
        out.truncate(length);
        Ok(())
    }
}
