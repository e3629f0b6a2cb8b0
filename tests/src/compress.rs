//! Compression of layers and of whole archives, at fixed settings.

use std::io::Write as _;

use flate2::{Compression as Level, GzBuilder};

/// How bytes are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// One gzip member, time 0, no file name.
    Gzip,
    /// One zstd frame, level 3, with a checksum.
    Zstd,
}

impl Compression {
    /// Packs `bytes`.
    pub fn pack(self, bytes: &[u8]) -> Vec<u8> {
        const IN_MEMORY: &str = "writing to memory does not fail";
        match self {
            Self::None => bytes.to_vec(),
            Self::Gzip => {
                let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Level::new(6));
                encoder.write_all(bytes).expect(IN_MEMORY);
                encoder.finish().expect(IN_MEMORY)
            }
            Self::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), 3).expect("level 3 exists");
                encoder.include_checksum(true).expect("zstd has checksums");
                encoder.write_all(bytes).expect(IN_MEMORY);
                encoder.finish().expect(IN_MEMORY)
            }
        }
    }

    /// What is added to a file name: nothing, `.gz` or `.zst`.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }
}
