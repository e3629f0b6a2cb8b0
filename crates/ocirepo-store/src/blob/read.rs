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

    /// Gives what comes next to `sink`: `most` bytes or some large piece of them, and nothing at the end.
    /// Cheaper than to read, as what is hashed on another thread need not be copied for it.
    ///
    /// # Errors
    /// Those of reading, and what `sink` says.
    pub fn pass<E: From<io::Error>>(
        &mut self,
        most: u64,
        sink: impl FnOnce(&[u8]) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut buffer = match &mut self.hasher {
            Some(hasher) => hasher.buffer(most),
            None => vec![0; usize::try_from(most).map_or(BUFFER, |most| most.min(BUFFER))],
        };
        let read = self.inner.read(&mut buffer)?;
        self.count(read)?;
        sink(&buffer[..read])?;
        if let Some(hasher) = &mut self.hasher {
            hasher.accept(buffer, read);
        }
        Ok(read)
    }

    /// Takes note of so many bytes, or at the end of whether everything was right.
    fn count(&mut self, read: usize) -> io::Result<()> {
        let refuse = |text: String| Err(io::Error::new(io::ErrorKind::InvalidData, text));
        match self.left.checked_sub(read as u64) {
            None => return refuse(format!("{} is longer than its descriptor says", self.digest)),
            Some(left) => self.left = left,
        }
        if read > 0 {
            return Ok(());
        }
        if self.left > 0 {
            return refuse(format!("{} ends {} bytes early", self.digest, self.left));
        }
        match self.hasher.take().map(PipelinedHasher::finish) {
            Some(found) if found != self.digest => {
                refuse(format!("content hashes to {found}, not to {}", self.digest))
            }
            _ => Ok(()),
        }
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
        self.count(read)?;
        Ok(read)
    }
}

/// The digest and the size of everything that `file` holds from its current position.
///
/// `tick` is called with the number of bytes of each piece.
///
/// # Errors
/// Those of reading.
pub(crate) fn hash_file(
    file: &mut File,
    algorithm: Algorithm,
    tick: &dyn Fn(u64),
) -> io::Result<(Digest, u64)> {
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

    fn pass(content: &[u8], digest: &Digest, size: u64) -> io::Result<Vec<u8>> {
        let mut reader = VerifiedReader::new(content, digest.clone(), size).hashing_beside();
        let mut out = Vec::new();
        let mut keep = |bytes: &[u8]| io::Write::write_all(&mut out, bytes);
        while reader.pass(1000, &mut keep)? > 0 {}
        Ok(out)
    }

    #[test]
    fn the_end_is_reached_only_by_the_right_content() {
        let digest = Digest::sha256(b"content");
        assert_eq!(read(b"content", &digest, 7).unwrap(), 7);
        assert_eq!(pass(b"content", &digest, 7).unwrap(), b"content");
        for (content, size) in [(&b"content"[..], 6), (b"content", 8), (b"Content", 7), (b"", 7)] {
            assert!(read(content, &digest, size).is_err(), "{content:?} as {size} bytes");
            assert!(pass(content, &digest, size).is_err(), "{content:?} as {size} bytes");
        }
        let mut large = vec![7; 3 << 20];
        let digest = Digest::sha256(&large);
        assert_eq!(pass(&large, &digest, 3 << 20).unwrap(), large);
        large[2 << 20] ^= 1;
        assert!(pass(&large, &digest, 3 << 20).is_err());
    }
}
