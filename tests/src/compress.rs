//! Compression of layers and of whole archives, at fixed settings.

use std::io::{self, Write};

use bzip2::write::BzEncoder;
use flate2::{Compression as Level, GzBuilder};
use liblzma::write::XzEncoder;

const IN_MEMORY: &str = "writing to memory does not fail";

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

    /// How these bytes are packed, told by how they begin.
    pub fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// Takes the packing off.
    pub fn unpack(self, bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        let unpacked = match self {
            Self::None => io::Read::read_to_end(&mut &*bytes, &mut plain),
            Self::Gzip => io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(bytes), &mut plain),
            Self::Zstd => zstd::Decoder::new(bytes)
                .and_then(|mut decoder| io::Read::read_to_end(&mut decoder, &mut plain)),
        };
        unpacked.expect("it can be unpacked");
        plain
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

/// How a whole archive is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// One gzip member.
    Gzip,
    /// Several gzip members one after the other, as parallel packers and `cat` make them, and zeros at the end, as
    /// tapes do.
    GzipMembers,
    /// One zstd frame.
    Zstd,
    /// Several zstd frames, the first of them one to be skipped, as `pzstd` and `cat` make them.
    ZstdFrames,
    /// One zstd frame that looks back up to 128 MiB: `zstd --long=27`, as k3s and rke2 pack theirs.
    ZstdLong,
    /// One xz stream.
    Xz,
    /// bzip2 in blocks of 900 kB.
    Bzip2,
}

impl Packing {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Gzip, Self::GzipMembers, Self::Zstd, Self::ZstdFrames, Self::ZstdLong, Self::Xz, Self::Bzip2];

    /// Packs `bytes`.
    pub fn pack(self, bytes: &[u8]) -> Vec<u8> {
        let (one, two) = bytes.split_at(bytes.len() / 2);
        match self {
            Self::Gzip => Compression::Gzip.pack(bytes),
            Self::GzipMembers => {
                [Compression::Gzip.pack(one), Compression::Gzip.pack(two), vec![0; 512]].concat()
            }
            Self::Zstd => Compression::Zstd.pack(bytes),
            Self::ZstdFrames => {
                let skipped = b"\x50\x2a\x4d\x18\x04\0\0\0skip".to_vec();
                [skipped, Compression::Zstd.pack(one), Compression::Zstd.pack(two)].concat()
            }
            Self::ZstdLong => {
                let mut encoder = zstd_long(Vec::new()).expect(IN_MEMORY);
                encoder.write_all(bytes).expect(IN_MEMORY);
                encoder.finish().expect(IN_MEMORY)
            }
            Self::Xz => {
                let mut encoder = XzEncoder::new(Vec::new(), 6);
                encoder.write_all(bytes).expect(IN_MEMORY);
                encoder.finish().expect(IN_MEMORY)
            }
            Self::Bzip2 => {
                let mut encoder = BzEncoder::new(Vec::new(), bzip2::Compression::best());
                encoder.write_all(bytes).expect(IN_MEMORY);
                encoder.finish().expect(IN_MEMORY)
            }
        }
    }
}

/// An encoder like `zstd -1 --long=27`: the frame asks its reader for a window of 128 MiB, however little is in it.
pub fn zstd_long<W: Write>(to: W) -> io::Result<zstd::Encoder<'static, W>> {
    let mut encoder = zstd::Encoder::new(to, 1)?;
    encoder.long_distance_matching(true)?;
    encoder.window_log(27)?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_told_by_its_bytes_and_can_be_unpacked() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let packed = compression.pack(b"content");
            assert_eq!(Compression::of(&packed), compression);
            assert_eq!(compression.unpack(&packed), b"content");
        }
    }

    #[test]
    fn every_packing_has_its_magic() {
        let bytes = vec![b'x'; 5000];
        for packing in Packing::ALL {
            let magic: &[u8] = match packing {
                Packing::Gzip | Packing::GzipMembers => b"\x1f\x8b",
                Packing::Zstd | Packing::ZstdLong => b"\x28\xb5\x2f\xfd",
                Packing::ZstdFrames => b"\x50\x2a\x4d\x18",
                Packing::Xz => b"\xfd7zXZ\0",
                Packing::Bzip2 => b"BZh9",
            };
            assert!(packing.pack(&bytes).starts_with(magic), "{packing:?}");
        }
    }

    /// The window descriptor is the sixth byte of a frame of unknown size: exponent in the upper five bits,
    /// from 10.
    #[test]
    fn the_long_window_is_in_the_frame() {
        let packed = Packing::ZstdLong.pack(b"short");
        assert_eq!(packed[5] >> 3, 27 - 10, "{:x?}", &packed[..8]);
    }
}
