//! Compressed bytes for the tests of this module.

use std::io::Write as _;

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    write_in_blocks(&mut encoder, bytes);
    encoder.finish().unwrap()
}

/// In blocks of 100 kB, the smallest there are.
pub(crate) fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
    write_in_blocks(&mut encoder, bytes);
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    write_in_blocks(&mut encoder, bytes);
    encoder.finish().unwrap()
}

/// Flushing ends a block.
fn write_in_blocks(encoder: &mut impl std::io::Write, bytes: &[u8]) {
    for block in bytes.chunks(100_000) {
        encoder.write_all(block).unwrap();
        encoder.flush().unwrap();
    }
}
