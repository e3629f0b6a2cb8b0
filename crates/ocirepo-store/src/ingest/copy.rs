//! Bringing a blob from another repository into the session, sharing what the file system can share.

use std::fs::File;
use std::io::{self, Read};

use super::{BlobWriter, Ingest, Staged};
use crate::blob::hash_file;
use crate::digest::{Algorithm, Digest};
use crate::disk::{self, BUFFER, Dir, StagedFile, Stat};
use crate::error::{Error, Result};
use crate::progress::{Item, Progress, Silent};
use crate::repository::Repository;

/// What a copy of a blob has in common with the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Copying {
    /// Nothing that shows: a file of its own, which shares its blocks where the file system can.
    #[default]
    Copy,
    /// The file itself, by a hard link; a copy where the file system refuses.
    Link,
}

/// The blob of another repository: `size` bytes of `digest`, as far as the file system tells.
struct Original<'s> {
    digest: &'s Digest,
    algorithm: Algorithm,
    file: File,
    stat: Stat,
    dir: &'s Dir,
    progress: &'s dyn Progress,
}

impl Ingest<'_> {
    /// Makes a blob of another repository part of what will be committed, proven on the way: its
    /// size, then its digest. One that is here already is left as it is. A rehearsal reads it and
    /// counts it.
    ///
    /// The caller sees to it that the blob stays: see [`Repository::lock_reading`].
    ///
    /// # Errors
    /// [`Error::MissingBlob`]; [`Error::SizeMismatch`] and [`Error::DigestMismatch`] when it is not
    /// what it should be; [`Error::Unverifiable`] for a digest of an unknown algorithm; and when the
    /// file system refuses.
    pub fn copy(
        &self,
        source: &Repository,
        digest: &Digest,
        size: u64,
        copying: Copying,
        progress: &dyn Progress,
    ) -> Result<()> {
        if self.has(digest, size)? {
            progress.advance(size);
            return Ok(());
        }
        let _item = Item::begin(progress, digest.as_str());
        let missing = || Error::MissingBlob { digest: digest.clone() };
        let algorithm = digest.algorithm().ok_or_else(|| Error::Unverifiable { digest: digest.clone() })?;
        let dir = source.blobs().dir(algorithm.name())?.ok_or_else(missing)?;
        let (file, stat) = dir.open_file(digest.encoded())?.ok_or_else(missing)?;
        if stat.size != size {
            return Err(Error::SizeMismatch { digest: digest.clone(), expected: size, found: stat.size });
        }
        let original = Original { digest, algorithm, file, stat, dir: &dir, progress };
        let linked = if copying == Copying::Link { self.linked(&original)? } else { None };
        let staged = match linked {
            Some(staged) => staged,
            None => self.copied(original)?,
        };
        self.keep(staged)
    }

    /// Makes the blob that waits in `dir` part of what will be committed, by a link where that can be
    /// had. It is proven once more: it may have waited for long. `false` when it is not there at its
    /// right size.
    pub(crate) fn take_over(&self, dir: &Dir, digest: &Digest, size: u64) -> Result<bool> {
        let Some(algorithm) = digest.algorithm() else { return Ok(false) };
        let Some((file, stat)) = dir.open_file(digest.encoded())? else { return Ok(false) };
        if stat.size != size {
            return Ok(false);
        }
        if self.is_rehearsal() {
            self.keep(Staged { digest: digest.clone(), size, file: None })?;
            return Ok(true);
        }
        let original = Original { digest, algorithm, file, stat, dir, progress: &Silent };
        let staged = match self.linked(&original)? {
            Some(staged) => staged,
            None => self.copied(original)?,
        };
        self.keep(staged)?;
        Ok(true)
    }

    /// The blob under a second name in staging, proven; `None` when that is not to be had.
    fn linked(&self, original: &Original<'_>) -> Result<Option<Staged>> {
        if self.is_rehearsal() {
            return Ok(None);
        }
        let staging = self.staging.ensure()?;
        let Some(file) = staging.link(original.dir, original.digest.encoded())? else { return Ok(None) };
        // What stands under the name may be another file by now.
        let is_it = |(_, stat): &(File, Stat)| stat.identity == original.stat.identity;
        let linked = staging.open_with_stat(&file)?.filter(is_it);
        match linked.map(|(mut linked, _)| prove(original, &mut linked, &file)) {
            Some(Ok(())) => Ok(Some(original.staged(file))),
            Some(Err(error)) => {
                staging.discard(&file)?;
                Err(error)
            }
            None => staging.discard(&file).map(|()| None),
        }
    }

    /// A proven copy in staging.
    fn copied(&self, original: Original<'_>) -> Result<Staged> {
        if self.is_rehearsal() {
            return self.written(self.hasher(original.algorithm), original);
        }
        let staging = self.staging.ensure()?;
        let (file, staged) = staging.create_file()?;
        let made = if disk::share_blocks(&original.file, &file) {
            let mut shared = staging.open(&staged)?.ok_or_else(|| Error::NotAFile { path: staged.path() })?;
            prove(&original, &mut shared, &staged).map(|()| original.staged(staged.clone()))
        } else {
            let writer = BlobWriter::new((file, staged.clone()), original.algorithm, self.staging.writers());
            self.written(writer, original)
        };
        if made.is_err() {
            // It may be large, and on a full disk it is in the way.
            staging.discard(&staged)?;
        }
        made
    }

    fn written(&self, mut writer: BlobWriter, mut original: Original<'_>) -> Result<Staged> {
        let mut buffer = vec![0; BUFFER];
        loop {
            match original.file.read(&mut buffer) {
                Ok(0) => return writer.finish_as(original.digest, original.stat.size),
                Ok(read) => {
                    writer.push(&buffer[..read])?;
                    original.progress.advance(read as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(original.unreadable(error)),
            }
        }
    }
}

impl Original<'_> {
    fn staged(&self, file: StagedFile) -> Staged {
        Staged { digest: self.digest.clone(), size: self.stat.size, file: Some(file) }
    }

    fn unreadable(&self, error: io::Error) -> Error {
        Error::io("read", self.dir.path().join(self.digest.encoded()), error)
    }
}

/// Proves that `file`, which shares what the original is made of, is what its digest says.
fn prove(original: &Original<'_>, file: &mut File, staged: &StagedFile) -> Result<()> {
    let (found, size) = hash_file(file, original.algorithm, &|bytes| original.progress.advance(bytes))
        .map_err(|error| Error::io("read", staged.path(), error))?;
    let (digest, expected) = (original.digest.clone(), original.stat.size);
    if size != expected {
        return Err(Error::SizeMismatch { digest, expected, found: size });
    }
    if found != digest { Err(Error::DigestMismatch { expected: digest, found }) } else { Ok(()) }
}
