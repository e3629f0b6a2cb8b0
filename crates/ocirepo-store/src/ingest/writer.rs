//! Writing one blob into staging, hashing it on the way.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Staged;
use crate::digest::{Algorithm, Digest};
use crate::disk::{StagedFile, Syncer};
use crate::error::{Error, Result};
use crate::hashing::PipelinedHasher;

/// So often, in bytes, it is asked whether a core has nothing to do. Before the first time, whoever
/// writes at the same time has begun too; later, it may have ended.
const SETTLED: u64 = 4 << 20;

/// Those who write or hash blobs of a session at the same time.
#[derive(Debug)]
pub(super) struct Writers {
    count: AtomicUsize,
    /// How many there may be before a core is short.
    jobs: usize,
    syncer: Syncer,
    /// Whether what they write is there to stay.
    is_kept: bool,
}

impl Writers {
    /// Of what `is_kept`, the disk begins with large blobs before they are complete.
    pub(super) fn new(jobs: usize, is_kept: bool) -> Arc<Self> {
        Arc::new(Self { count: AtomicUsize::new(0), jobs, syncer: Syncer::new(), is_kept })
    }

    /// Syncs what they write.
    pub(super) const fn syncer(&self) -> &Syncer {
        &self.syncer
    }

    fn leave_a_core(&self) -> bool {
        self.count.load(Ordering::Relaxed) < self.jobs
    }

    fn join(self: &Arc<Self>) -> OneOf {
        self.count.fetch_add(1, Ordering::Relaxed);
        OneOf(Arc::clone(self))
    }
}

/// One of the writers, until it is dropped.
#[derive(Debug)]
struct OneOf(Arc<Writers>);

impl Drop for OneOf {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A blob that is being written. Dropping it leaves a file in staging, which goes with the session.
///
/// In a rehearsal there is no file: the blob is hashed and counted.
#[derive(Debug)]
pub struct BlobWriter {
    file: Option<(File, StagedFile)>,
    hasher: PipelinedHasher,
    size: u64,
    writers: OneOf,
}

impl BlobWriter {
    pub(super) fn new(file: (File, StagedFile), algorithm: Algorithm, writers: &Arc<Writers>) -> Self {
        Self { file: Some(file), ..Self::rehearsal(algorithm, writers) }
    }

    /// One that writes nothing, and hashes.
    pub(super) fn rehearsal(algorithm: Algorithm, writers: &Arc<Writers>) -> Self {
        let hasher = PipelinedHasher::new(algorithm);
        Self { file: None, hasher, size: 0, writers: writers.join() }
    }

    /// Writes more of the blob.
    ///
    /// # Errors
    /// [`Error::Io`] that names the staged file, for example when the disk is full.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(|error| Error::io("write", self.path(), error))
    }

    /// Writes what `read` puts into the start of a buffer, which is `most` bytes or some large piece of
    /// that, and says how much it was. Cheaper than [`Self::push`], which has to copy what is hashed on another thread.
    ///
    /// # Errors
    /// Those of `read`, and [`Error::Io`] as for [`Self::push`].
    pub fn pull<E: From<Error>>(
        &mut self,
        most: u64,
        read: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let mut buffer = self.hasher.buffer(most);
        let length = read(&mut buffer)?;
        if let Some((file, staged)) = &mut self.file {
            let written = file.write_all(&buffer[..length]);
            written.map_err(|error| Error::io("write", staged.path(), error))?;
        }
        self.hasher.accept(buffer, length);
        self.grow(length);
        Ok(length)
    }

    /// Says that no other blob is written while the `bytes` to come of this one are: they are hashed on a
    /// thread of their own if that is worth it. Otherwise that is found out after some MiB.
    pub fn hash_beside(&mut self, bytes: u64) {
        self.hasher.split_for(bytes);
    }

    fn grow(&mut self, length: usize) {
        let before = self.size;
        self.size += length as u64;
        let writers = &self.writers.0;
        if before / SETTLED < self.size / SETTLED && writers.leave_a_core() {
            self.hasher.split();
        }
        if let Some((file, staged)) = self.file.as_ref().filter(|_| writers.is_kept) {
            writers.syncer.grows(file, || staged.path(), before, self.size);
        }
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
        self.grow(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), |(file, _)| file.flush())
    }
}
