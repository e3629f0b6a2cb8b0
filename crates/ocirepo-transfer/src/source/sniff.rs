//! What bytes are, told by how they begin and never by the name of a file.

/// How many bytes are needed to tell: one tar header.
pub(crate) const HEAD: usize = 512;

/// What a source looks like from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Magic {
    Empty,
    Gzip,
    Zstd,
    Xz,
    Bzip2,
    Lz4,
    Zip,
    /// A tar or something unknown: its first header will tell.
    Plain,
}

impl Magic {
    pub(crate) fn of(head: &[u8]) -> Self {
        const MAGICS: [(&[u8], Magic); 7] = [
            (b"\x1f\x8b", Magic::Gzip),
            (b"\x28\xb5\x2f\xfd", Magic::Zstd),
            (b"\xfd7zXZ\0", Magic::Xz),
            (b"BZh", Magic::Bzip2),
            (b"\x04\x22\x4d\x18", Magic::Lz4),
            (b"\x02\x21\x4c\x18", Magic::Lz4),
            (b"PK\x03\x04", Magic::Zip),
        ];
        if head.is_empty() {
            return Self::Empty;
        }
        // A zstd stream may begin with frames that are there to be skipped.
        if head.len() >= 4 && head[0] & 0xf0 == 0x50 && head[1..4] == [0x2a, 0x4d, 0x18] {
            return Self::Zstd;
        }
        MAGICS.into_iter().find(|(magic, _)| head.starts_with(magic)).map_or(Self::Plain, |(_, magic)| magic)
    }

    /// Whether it is compressed in a way that is taken off while reading.
    pub(crate) const fn is_compressed(self) -> bool {
        matches!(self, Self::Gzip | Self::Zstd | Self::Xz | Self::Bzip2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compression_is_told_by_content() {
        for (head, magic) in [
            (&b"\x1f\x8b\x08\0"[..], Magic::Gzip),
            (b"\x28\xb5\x2f\xfd\0", Magic::Zstd),
            (b"\x5e\x2a\x4d\x18\x04\0\0\0", Magic::Zstd),
            (b"\xfd7zXZ\0\0", Magic::Xz),
            (b"BZh91AY", Magic::Bzip2),
            (b"\x04\x22\x4d\x18", Magic::Lz4),
            (b"PK\x03\x04", Magic::Zip),
            (b"blobs/sha256/", Magic::Plain),
            (b"B", Magic::Plain),
            (b"", Magic::Empty),
        ] {
            assert_eq!(Magic::of(head), magic, "{head:?}");
        }
    }
}
