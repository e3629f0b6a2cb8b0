//! The three ways in which a file of a fuzzer becomes an archive.

use std::borrow::Cow;
use std::io::{self, Read};

use super::choices::Choices;
use super::tarball;

/// An archive follows whose checksums are to be mended. No archive begins with this byte.
pub(crate) const MEND: u8 = 0xfd;
/// Choices follow, out of which an archive is built. No archive begins with this byte.
pub(crate) const BUILD: u8 = 0xfe;

/// The archive that `bytes` mean: themselves, unless the first of them says otherwise.
pub(crate) fn archive(bytes: &[u8], build: impl FnOnce(&mut Choices<'_>) -> Vec<u8>) -> Cow<'_, [u8]> {
    match bytes.split_first() {
        Some((&MEND, rest)) => {
            let mut tar = rest.to_vec();
            tarball::mend(&mut tar);
            Cow::Owned(tar)
        }
        Some((&BUILD, rest)) => Cow::Owned(build(&mut Choices::new(rest))),
        _ => Cow::Borrowed(bytes),
    }
}

/// A stream that gives its bytes in pieces, as a pipe does.
pub(crate) struct Pieces<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) longest: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.longest.min(buffer.len()).min(self.bytes.len());
        buffer[..length].copy_from_slice(&self.bytes[..length]);
        self.bytes = &self.bytes[length..];
        Ok(length)
    }
}
