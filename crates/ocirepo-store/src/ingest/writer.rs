//! Writing one blob into staging, hashing it on the way.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use super::Staged;
use crate::digest::{Algorithm, Digest, Hasher};
use crate::disk::StagedFile;
use crate::error::{Error, Result};

/// A blob that is being written. Dropping it leaves a file in staging, which goes with the session.
///
/// In a rehearsal there is no file: the blob is hashed and counted.
#[derive(Debug)]
pub struct BlobWriter {
    file: Option<(File, StagedFile)>,
    hasher: Hasher,
    size: u64,
}

impl BlobWriter {
    pub(crate) fn new(file: Option<(File, StagedFile)>, algorithm: Algorithm) -> Self {
        Self { file, hasher: Hasher::new(algorithm), size: 0 }
    }

    /// Writes more of the blob.
    ///
    /// # Errors
    /// [`Error::Io`] that names the staged file, for example when the disk is full.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(|error| Error::io("write", self.path(), error))
    }

    /// How many bytes were written.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Ends the blob, whatever its digest turns out to be.
    ///
    /// # Errors
    /// None today; writing through a buffer would bring some.
    pub fn finish(self) -> Result<Staged> {
        let file = self.file.map(|(_, staged)| staged);
        Ok(Staged { digest: self.hasher.finish(), size: self.size, file })
    }

    /// Ends the blob, which must be the `size` bytes of `digest`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] and [`Error::DigestMismatch`].
    pub fn finish_as(self, digest: &Digest, size: u64) -> Result<Staged> {
        if self.size != size {
            return Err(Error::SizeMismatch { digest: digest.clone(), expected: size, found: self.size });
        }
        let staged = self.finish()?;
        if staged.digest == *digest {
            Ok(staged)
        } else {
            Err(Error::DigestMismatch { expected: digest.clone(), found: staged.digest })
        }
    }

    fn path(&self) -> PathBuf {
        self.file.as_ref().map_or_else(PathBuf::new, |(_, staged)| staged.path())
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.file {
            Some((file, _)) => file.write(bytes)?,
            None => bytes.len(),
        };
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), |(file, _)| file.flush())
    }
}
