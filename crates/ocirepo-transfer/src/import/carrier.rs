//! Carrying blobs from an archive into the ingest: each is proven on the way, and none is copied
//! that the repository has.

use std::sync::atomic::{AtomicBool, Ordering};

use ocirepo_store::graph::{Class, Descriptor, Loaded, MAX_MANIFEST_SIZE, Wanted};
use ocirepo_store::ingest::Ingest;
use ocirepo_store::parallel::on_threads;
use ocirepo_store::{Digest, Hasher, Progress, Repository};

use crate::archive::{Content, Member, paths, pour, read_whole};
use crate::error::{Error, Result, escape};

/// An archive on one side, an ingest on the other.
pub(crate) struct Carrier<'a> {
    pub(crate) content: &'a dyn Content,
    /// The folder that the images lie in, with its slash; empty for the top.
    pub(crate) prefix: String,
    pub(crate) ingest: &'a Ingest<'a>,
    pub(crate) progress: &'a dyn Progress,
}

/// A document, as far as it could be had.
pub(crate) enum Document {
    Content(Vec<u8>),
    /// Too large to be one; it is a blob like any other.
    Data,
    Absent,
}

impl Carrier<'_> {
    pub(crate) fn label(&self) -> &str {
        self.content.label()
    }

    pub(crate) fn repository(&self) -> &Repository {
        self.ingest.repository()
    }

    /// The member that a document in the archive names.
    pub(crate) fn find(&self, name: &str) -> Result<Option<Member>> {
        self.content.find(&format!("{}{name}", self.prefix))
    }

    pub(crate) fn blob(&self, digest: &Digest) -> Result<Option<Member>> {
        self.find(&paths::blob_name(digest))
    }

    pub(crate) fn read(&self, member: &Member, limit: u64) -> Result<Vec<u8>> {
        read_whole(self.content, member, limit)
    }

    /// Does something to every item on as many threads as the repository is worked on with, until
    /// one fails.
    pub(crate) fn on_each<T: Sync, R: Send>(
        &self,
        items: &[T],
        work: impl Fn(&T) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        let failed = AtomicBool::new(false);
        let results = on_threads(items, self.repository().jobs(), |item| {
            if failed.load(Ordering::Relaxed) {
                return None;
            }
            let result = work(item);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            Some(result)
        });
        // Items are only passed over once there is an error among the results.
        results.into_iter().flatten().collect()
    }

    /// Stages and keeps a blob that is in memory; the caller has proven it.
    pub(crate) fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        let Some(algorithm) = digest.algorithm() else { return Ok(()) };
        if !self.ingest.has(digest, bytes.len() as u64)? {
            let mut writer = self.ingest.writer(algorithm)?;
            writer.push(bytes)?;
            self.ingest.keep(writer.finish_as(digest, bytes.len() as u64)?)?;
        }
        Ok(())
    }

    /// Keeps a member that was read into `bytes` and is proven.
    pub(crate) fn keep(&self, digest: &Digest, member: &Member, bytes: &[u8]) -> Result<()> {
        match member.staged().filter(|staged| staged.digest() == digest) {
            Some(staged) => Ok(self.ingest.keep(staged.clone())?),
            None => self.put(digest, bytes),
        }
    }

    /// Brings in the blob `digest`, which `member` must be.
    pub(crate) fn bring(&self, digest: &Digest, size: u64, member: &Member) -> Result<()> {
        self.check_size(member, size)?;
        if self.ingest.has(digest, size)? {
            self.progress.advance(size);
            return Ok(());
        }
        if let Some(staged) = member.staged().filter(|staged| staged.digest() == digest) {
            return Ok(self.ingest.keep(staged.clone())?);
        }
        let Some(algorithm) = digest.algorithm() else {
            return Err(Error::member(self.label(), &member.name, "its digest cannot be verified"));
        };
        let mut writer = self.ingest.writer(algorithm)?;
        pour(self.content, member, &mut |chunk| {
            writer.push(chunk)?;
            self.progress.advance(chunk.len() as u64);
            Ok(())
        })?;
        let staged = writer.finish()?;
        self.check_digest(member, digest, staged.digest())?;
        Ok(self.ingest.keep(staged)?)
    }

    /// The digest of a member, without staging it.
    pub(crate) fn hash(&self, member: &Member, mut hasher: Hasher) -> Result<Digest> {
        pour(self.content, member, &mut |chunk| {
            hasher.update(chunk);
            self.progress.advance(chunk.len() as u64);
            Ok(())
        })?;
        Ok(hasher.finish())
    }

    /// Brings a document into the session and into memory. `size` is what its descriptor declares.
    pub(crate) fn document(
        &self,
        descriptor: &Descriptor,
        class: Class,
        size: Option<u64>,
        image: &str,
    ) -> Result<Document> {
        let digest = &descriptor.digest;
        let Some(member) = self.blob(digest)? else {
            return self.document_at_hand(descriptor, class, size, image);
        };
        if digest.algorithm().is_none() {
            return match self.document_at_hand(descriptor, class, size, image)? {
                Document::Absent => Err(self.unknown_algorithm(image, digest)),
                document => Ok(document),
            };
        }
        if let Some(size) = size {
            self.check_size(&member, size)?;
        }
        if class == Class::Unknown && member.size > MAX_MANIFEST_SIZE {
            return Ok(Document::Data);
        }
        let bytes = self.read(&member, MAX_MANIFEST_SIZE)?;
        if member.known_digest() != Some(digest) && !digest.proves(&bytes) {
            let algorithm = digest.algorithm().unwrap_or(ocirepo_store::Algorithm::Sha256);
            self.check_digest(&member, digest, &Digest::of(algorithm, &bytes))?;
        }
        self.keep(digest, &member, &bytes)?;
        Ok(Document::Content(bytes))
    }

    /// A document that is not in the archive: the repository may have it, or its descriptor.
    fn document_at_hand(
        &self,
        descriptor: &Descriptor,
        class: Class,
        size: Option<u64>,
        image: &str,
    ) -> Result<Document> {
        let digest = &descriptor.digest;
        let held = self.repository().blob_size(digest)?.filter(|held| size.is_none_or(|size| *held == size));
        if let Some(held) = held.filter(|_| descriptor.data.is_none()) {
            let wanted = Wanted { digest, class, size, embedded: None };
            return match self.repository().load(&wanted) {
                Loaded::Content(bytes) if self.ingest.has(digest, held)? => Ok(Document::Content(bytes)),
                Loaded::Data if self.ingest.has(digest, held)? => Ok(Document::Data),
                Loaded::Broken(reason) => {
                    Err(self.bad_image(image, format!("{digest} in the repository is broken: {reason}")))
                }
                _ => Ok(Document::Absent),
            };
        }
        let Some(data) = &descriptor.data else { return Ok(Document::Absent) };
        self.put(digest, data)?;
        Ok(Document::Content(data.clone()))
    }

    fn check_size(&self, member: &Member, expected: u64) -> Result<()> {
        if member.size == expected {
            return Ok(());
        }
        let (archive, name) = (self.label().to_owned(), escape(&member.name));
        Err(Error::BadSize { archive, member: name, expected, found: member.size })
    }

    fn check_digest(&self, member: &Member, expected: &Digest, found: &Digest) -> Result<()> {
        if expected == found {
            return Ok(());
        }
        Err(Error::BadBlob {
            archive: self.label().to_owned(),
            member: escape(&member.name),
            expected: expected.clone(),
            found: found.clone(),
        })
    }

    pub(crate) fn bad_image(&self, image: &str, reason: impl Into<String>) -> Error {
        Error::BadImage { archive: self.label().to_owned(), image: image.to_owned(), reason: reason.into() }
    }

    pub(crate) fn missing(&self, image: &str, digest: &Digest) -> Error {
        Error::MissingBlob {
            archive: self.label().to_owned(),
            image: image.to_owned(),
            digest: digest.clone(),
        }
    }

    pub(crate) fn unknown_algorithm(&self, image: &str, digest: &Digest) -> Error {
        Error::UnknownAlgorithm {
            archive: self.label().to_owned(),
            image: image.to_owned(),
            digest: digest.clone(),
        }
    }
}
