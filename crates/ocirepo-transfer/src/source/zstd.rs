//! zstd frames, one after the other, among them frames that are there to be skipped.

use std::io::{self, BufRead, BufReader, Read};

use zstd::stream::read::Decoder;
use zstd::zstd_safe;

use crate::archive::limits::BUFFER;

/// The largest zstd window in bytes, as a power of two: what `zstd -d` takes without being told.
const WINDOW_LOG: u32 = 27;

/// The number of zstd's error for a frame that needs a larger window; its numbers are stable.
const WINDOW_TOO_LARGE: usize = 16;

/// A decoder of zstd frames until the input ends.
pub(crate) fn zstd_decoder<R: BufRead>(reader: R) -> io::Result<Decoder<'static, R>> {
    let mut decoder = Decoder::with_buffer(reader)?;
    decoder.window_log_max(WINDOW_LOG)?;
    Ok(decoder)
}

/// The frames around an archive. As for `zstd -d`, nothing but frames may follow a frame, not even
/// zeros.
pub(crate) struct Zstd<R: BufRead>(Decoder<'static, R>);

impl<R: Read> Zstd<BufReader<R>> {
    pub(crate) fn new(reader: R) -> io::Result<Self> {
        zstd_decoder(BufReader::with_capacity(BUFFER, reader)).map(Self)
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(explain)
    }
}

/// The one error that the user can do something about, in full.
fn explain(error: io::Error) -> io::Error {
    // The decoder hands errors on as the library's words for them.
    let too_large = zstd_safe::get_error_name(0_usize.wrapping_sub(WINDOW_TOO_LARGE));
    if error.raw_os_error().is_some() || error.to_string() != too_large {
        return error;
    }
    super::too_much_memory(
        &format!("it needs a zstd window above the limit of {} MiB", (1 << WINDOW_LOG) >> 20),
        "zstd -d --long=31 -c FILE",
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::testing::zstd;
    use super::*;

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Zstd::new(bytes)?.read_to_end(&mut out).map(|_| out)
    }

    fn with_window(log: u32) -> Vec<u8> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(log).unwrap();
        encoder.write_all(b"content").unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn frames_follow_each_other_and_some_are_skipped() {
        let skipped =
            |length: u8| [b"\x50\x2a\x4d\x18", &[length, 0, 0, 0][..], &vec![7; length.into()]].concat();
        let bytes = [skipped(0), zstd(b"one"), skipped(9), zstd(b""), zstd(b"two"), skipped(3)].concat();
        assert_eq!(read(&bytes).unwrap(), b"onetwo");
        assert_eq!(read(&skipped(5)).unwrap(), b"");
    }

    #[test]
    fn anything_else_behind_a_frame_is_an_error() {
        for rest in
            [&b"garbage"[..], b"g", b"\0", &[0; 512], b"\x28", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18"]
        {
            assert!(read(&[&zstd(b"one"), rest].concat()).is_err(), "{rest:?}");
        }
    }

    #[test]
    fn a_window_above_the_limit_is_refused() {
        assert_eq!(read(&with_window(27)).unwrap(), b"content");
        for log in [28, 31] {
            let error = read(&with_window(log)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::Unsupported);
            assert_eq!(
                error.to_string(),
                "it needs a zstd window above the limit of 128 MiB; \
                 decompress it first: zstd -d --long=31 -c FILE | ocirepo add -"
            );
        }
    }
}
