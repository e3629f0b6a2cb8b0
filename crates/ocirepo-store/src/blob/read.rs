//! Reading blobs, with proof.

use std::fs::File;
use std::io::{self, Read};

use crate::digest::{Algorithm, Digest, Hasher};
use crate::disk::BUFFER;
use crate::hashing::PipelinedHasher;

/// A reader that proves size and digest of what went through it: reading past the end fails
/// unless both were right. A caller that stops earlier has no proof.
#[derive(Debug)]
pub struct VerifiedReader<R> {
    inner: R,
    digest: Digest,
    left: u64,
    hasher: Option<PipelinedHasher>,
}

impl<R: Read> VerifiedReader<R> {
    /// Reads `inner`, which should be the `size` bytes of `digest`. For a digest of an unknown
    /// algorithm only the size is proven.
    pub fn new(inner: R, digest: Digest, size: u64) -> Self {
        let hasher = digest.algorithm().map(PipelinedHasher::new);
        Self { inner, digest, left: size, hasher }
    }

    /// Hashes in a thread of its own if there is much to hash, for a caller that has more to do with
    /// the bytes than to read them.
    #[must_use]
    pub fn hashing_beside(mut self) -> Self {
        if let Some(hasher) = &mut self.hasher {
            hasher.split_for(self.left);
        }
        self
    }
}

impl<R: Read> Read for VerifiedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.inner.read(buffer)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..read]);
        }
        let refuse = |text: String| Err(io::Error::new(io::ErrorKind::InvalidData, text));
        match self.left.checked_sub(read as u64) {
            None => return refuse(format!("{} is longer than its descriptor says", self.digest)),
            Some(left) => self.left = left,
        }
        if read == 0 {
            if self.left > 0 {
                return refuse(format!("{} ends {} bytes early", self.digest, self.left));
            }
            if let Some(found) = self.hasher.take().map(PipelinedHasher::finish)
                && found != self.digest
            {
                return refuse(format!("content hashes to {found}, not to {}", self.digest));
            }
        }
        Ok(read)
    }
}

/// The digest and the size of everything that `file` holds from its current position.
///
/// `tick` is called with the number of bytes of each piece.
///
/// # Errors
/// Those of reading.
pub fn hash_file(file: &mut File, algorithm: Algorithm, tick: &dyn Fn(u64)) -> io::Result<(Digest, u64)> {
    let mut hasher = Hasher::new(algorithm);
    let size = feed(&mut hasher, file, tick)?;
    Ok((hasher.finish(), size))
}

/// Hashes everything that `file` holds from its current position, and gives its size; what was hashed
/// before is hashed together with it.
pub(crate) fn feed(hasher: &mut Hasher, file: &mut File, tick: &dyn Fn(u64)) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER];
    let mut size = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(size),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                size += read as u64;
                tick(read as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8], digest: &Digest, size: u64) -> io::Result<usize> {
        VerifiedReader::new(content, digest.clone(), size).read_to_end(&mut Vec::new())
    }

    #[test]
    fn the_end_is_reached_only_by_the_right_content() {
        let digest = Digest::sha256(b"content");
        assert_eq!(read(b"content", &digest, 7).unwrap(), 7);
        for (content, size) in [(&b"content"[..], 6), (b"content", 8), (b"Content", 7), (b"", 7)] {
            assert!(read(content, &digest, size).is_err(), "{content:?} as {size} bytes");
        }
    }
}
