//! Where the bytes of a tar come from: a file that can be read anywhere, or a stream.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;

/// The bytes of a tar. Offsets never go back behind what was read.
pub(crate) trait Input {
    /// Reads at `offset` until `buffer` is full or the input ends.
    fn read_from(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl Input for &File {
    fn read_from(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

/// A stream as the input of a walk: what lies between two reads is read and dropped.
pub(crate) struct Stream<R> {
    reader: R,
    position: u64,
}

impl<R: Read> Stream<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, position: 0 }
    }
}

impl<R: Read> Input for Stream<R> {
    fn read_from(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let gap = offset.checked_sub(self.position).ok_or(io::ErrorKind::InvalidInput)?;
        let skipped = io::copy(&mut (&mut self.reader).take(gap), &mut io::sink())?;
        self.position += skipped;
        let mut filled = 0;
        while skipped == gap && filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.position += filled as u64;
        Ok(filled)
    }
}
