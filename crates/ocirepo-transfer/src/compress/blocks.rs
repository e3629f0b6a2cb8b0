//! A stream in blocks of a fixed size, and buffers that are used again.

use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

/// Buffers that were used and can be again: memory that is fresh from the system costs more than to
/// fill it.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// A buffer with whatever is in it, or an empty one.
    pub(super) fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Gives one back.
    pub(super) fn give(&self, buffer: Vec<u8>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

/// Cuts what a reader gives into blocks of `size` bytes, the last of which may be shorter. There is
/// always one; it is empty if the stream is. Nothing comes after an error.
pub(super) struct Blocks<'r> {
    reader: &'r mut (dyn Read + Send),
    size: usize,
    buffers: &'r Buffers,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Between,
    End,
}

impl<'r> Blocks<'r> {
    /// Blocks in these buffers.
    pub(super) fn new(reader: &'r mut (dyn Read + Send), size: usize, buffers: &'r Buffers) -> Self {
        Self { reader, size, buffers, state: State::Start }
    }
}

impl Iterator for Blocks<'_> {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::End {
            return None;
        }
        let is_first = self.state == State::Start;
        self.state = State::End;
        let mut block = self.buffers.take();
        block.resize(self.size, 0);
        let filled = match fill(self.reader, &mut block) {
            Ok(filled) => filled,
            Err(error) => return Some(Err(error)),
        };
        if filled == self.size {
            self.state = State::Between;
        }
        block.truncate(filled);
        (filled > 0 || is_first).then_some(Ok(block))
    }
}

/// Reads until the buffer is full or the input ends; how much of the buffer is in use then.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(bytes: &[u8]) -> Vec<String> {
        let buffers = Buffers::default();
        buffers.give(b"used before".to_vec());
        Blocks::new(&mut io::BufReader::with_capacity(2, bytes), 3, &buffers)
            .map(|block| {
                let block = block.unwrap();
                let text = String::from_utf8(block.clone()).unwrap();
                buffers.give(block);
                text
            })
            .collect()
    }

    #[test]
    fn every_byte_is_in_a_block_and_there_is_always_one() {
        assert_eq!(blocks(b""), [""]);
        assert_eq!(blocks(b"ab"), ["ab"]);
        assert_eq!(blocks(b"abc"), ["abc"]);
        assert_eq!(blocks(b"abcd"), ["abc", "d"]);
        assert_eq!(blocks(b"abcdef"), ["abc", "def"]);
    }

    #[test]
    fn nothing_comes_after_an_error() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::from_raw_os_error(5))
            }
        }
        let mut reader = (&b"abcd"[..]).chain(Broken);
        let buffers = Buffers::default();
        let mut blocks = Blocks::new(&mut reader, 3, &buffers);
        assert_eq!(blocks.next().unwrap().unwrap(), b"abc");
        assert_eq!(blocks.next().unwrap().unwrap_err().raw_os_error(), Some(5));
        assert!(blocks.next().is_none());
    }
}
