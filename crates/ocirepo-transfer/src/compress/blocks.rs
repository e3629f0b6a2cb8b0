//! A stream in blocks of a fixed size, each of which knows what came before it and whether it is
//! the last one.

use std::io::{self, Read};

/// A piece of a stream.
#[derive(Debug)]
pub(super) struct Block {
    bytes: Vec<u8>,
    /// Where the block begins in `bytes`, behind what came before it.
    start: usize,
    is_last: bool,
}

impl Block {
    /// The bytes of the block.
    pub(super) fn content(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The end of what came before the block.
    pub(super) fn before(&self) -> &[u8] {
        &self.bytes[..self.start]
    }

    /// Whether the stream ends with it.
    pub(super) const fn is_last(&self) -> bool {
        self.is_last
    }
}

/// Cuts what a reader gives into blocks of `size` bytes, the last of which may be shorter. There is
/// always one; it is empty if the stream is. Nothing comes after an error.
pub(super) struct Blocks<'r> {
    reader: &'r mut (dyn Read + Send),
    size: usize,
    overlap: usize,
    /// What the next block begins with: what came before it, and one byte that was read to see
    /// whether there is a next block.
    ahead: Option<Vec<u8>>,
}

impl<'r> Blocks<'r> {
    /// Blocks that come with the last `overlap` bytes before them.
    pub(super) fn new(reader: &'r mut (dyn Read + Send), size: usize, overlap: usize) -> Self {
        Self { reader, size, overlap, ahead: Some(Vec::new()) }
    }

    fn block(&mut self, ahead: &[u8]) -> io::Result<Block> {
        let start = ahead.len().saturating_sub(1);
        let end = start + self.size;
        let mut bytes = vec![0; end + 1];
        bytes[..ahead.len()].copy_from_slice(ahead);
        let filled = fill(self.reader, &mut bytes, ahead.len())?;
        let is_last = filled <= end;
        if !is_last {
            self.ahead = Some(bytes[end.saturating_sub(self.overlap)..].to_vec());
        }
        bytes.truncate(filled.min(end));
        Ok(Block { bytes, start, is_last })
    }
}

impl Iterator for Blocks<'_> {
    type Item = io::Result<Block>;

    fn next(&mut self) -> Option<Self::Item> {
        self.ahead.take().map(|ahead| self.block(&ahead))
    }
}

/// Reads until the buffer is full or the input ends; how much of the buffer is in use then.
fn fill(reader: &mut dyn Read, buffer: &mut [u8], mut filled: usize) -> io::Result<usize> {
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

    fn blocks(bytes: &[u8], overlap: usize) -> Vec<(String, String, bool)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Blocks::new(&mut io::BufReader::with_capacity(2, bytes), 3, overlap)
            .map(|block| block.unwrap())
            .map(|block| (text(block.before()), text(block.content()), block.is_last()))
            .collect()
    }

    #[test]
    fn only_the_last_block_says_so() {
        let block = |before: &str, content: &str, is_last| (before.to_owned(), content.to_owned(), is_last);
        assert_eq!(blocks(b"", 2), [block("", "", true)]);
        assert_eq!(blocks(b"ab", 2), [block("", "ab", true)]);
        assert_eq!(blocks(b"abc", 2), [block("", "abc", true)]);
        assert_eq!(blocks(b"abcd", 2), [block("", "abc", false), block("bc", "d", true)]);
        assert_eq!(blocks(b"abcdef", 0), [block("", "abc", false), block("", "def", true)]);
        assert_eq!(
            blocks(b"abcdefg", 5),
            [block("", "abc", false), block("abc", "def", false), block("bcdef", "g", true)]
        );
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
        let mut blocks = Blocks::new(&mut reader, 3, 0);
        assert_eq!(blocks.next().unwrap().unwrap().content(), b"abc");
        assert_eq!(blocks.next().unwrap().unwrap_err().raw_os_error(), Some(5));
        assert!(blocks.next().is_none());
    }
}
