//! One xz stream, in bounded memory.

use std::io::{self, BufRead, Read};

use liblzma::bufread::XzDecoder;
use liblzma::stream::{Error as XzError, Stream, TELL_UNSUPPORTED_CHECK};

use super::members::Member;

/// The largest dictionary in bytes: four times what `xz -9` asks for.
const DICTIONARY: u64 = 256 << 20;

/// What the decoder needs besides the dictionary, generously.
const OVERHEAD: u64 = 1 << 20;

/// Decodes one xz stream, all its blocks and its index, and compares all its checksums.
pub(crate) struct Xz<R>(XzDecoder<R>);

impl<R: BufRead> Member for Xz<R> {
    type Input = R;

    fn begin(input: R) -> io::Result<Self> {
        // A checksum that cannot be compared is as good as none, and the stream promises one.
        let stream = Stream::new_stream_decoder(DICTIONARY + OVERHEAD, TELL_UNSUPPORTED_CHECK)?;
        Ok(Self(XzDecoder::new_stream(input, stream)))
    }

    fn into_input(self) -> R {
        self.0.into_inner()
    }
}

impl<R: BufRead> Read for Xz<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(explain)
    }
}

/// The decoder's short words in full sentences; what the input itself reports stays as it is.
fn explain(error: io::Error) -> io::Error {
    let Some(reason) = error.get_ref().and_then(|inner| inner.downcast_ref::<XzError>()) else {
        return error;
    };
    match reason {
        XzError::MemLimit => super::too_much_memory(
            &format!("it needs an xz dictionary above the limit of {} MiB", DICTIONARY >> 20),
            "xz -d -c FILE",
        ),
        XzError::Format => {
            io::Error::new(io::ErrorKind::InvalidData, "what should be an xz stream is something else")
        }
        XzError::Data => io::Error::new(io::ErrorKind::InvalidData, "its xz data is damaged"),
        XzError::Options | XzError::UnsupportedCheck => io::Error::new(
            io::ErrorKind::Unsupported,
            "its xz stream uses a filter or checksum that is unknown",
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::xz;
    use super::*;

    /// Where the one block of a stream begins, behind the header of the stream.
    const BLOCK: usize = 12;

    /// A stream that asks for a dictionary of another size. The size is one byte, `2^n` or
    /// `2^n + 2^(n-1)`, in a block header with a checksum.
    fn with_dictionary(code: u8) -> Vec<u8> {
        let mut bytes = xz(b"content");
        let length = (usize::from(bytes[BLOCK]) + 1) * 4;
        let (header, filter) = (BLOCK..BLOCK + length - 4, [0x21, 1]);
        let at = header.clone().find(|&at| bytes[at..].starts_with(&filter)).unwrap() + filter.len();
        bytes[at] = code;
        let mut crc = flate2::Crc::new();
        crc.update(&bytes[header.clone()]);
        bytes[header.end..header.end + 4].copy_from_slice(&crc.sum().to_le_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Xz::begin(bytes)?.read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn a_dictionary_above_the_limit_is_refused() {
        assert_eq!(read(&with_dictionary(32)).unwrap(), b"content");
        for code in [33, 40] {
            let error = read(&with_dictionary(code)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::Unsupported);
            assert_eq!(
                error.to_string(),
                "it needs an xz dictionary above the limit of 256 MiB; \
                 decompress it first: xz -d -c FILE | ocirepo add -"
            );
        }
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let whole = xz(&b"some content of no importance, and some content".repeat(20));
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            assert!(read(&bytes).is_err(), "byte {at}");
        }
    }

    #[test]
    fn an_unknown_checksum_is_refused() {
        let mut bytes = xz(b"content");
        bytes[7] = 2;
        let mut crc = flate2::Crc::new();
        crc.update(&bytes[6..8]);
        bytes[8..12].copy_from_slice(&crc.sum().to_le_bytes());
        assert_eq!(read(&bytes).unwrap_err().kind(), io::ErrorKind::Unsupported);
    }
}
