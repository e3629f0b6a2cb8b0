//! Carrying blobs from an archive into the ingest: each is proven on the way, and none is copied
//! that the repository has.

use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};

use ocirepo_store::graph::{Class, Descriptor, Loaded, MAX_MANIFEST_SIZE, Wanted};
use ocirepo_store::ingest::Ingest;
use ocirepo_store::parallel::largest_first;
use ocirepo_store::{Algorithm, Digest, Item, Progress, Repository};

use crate::archive::{Content, Member, paths, pour, read_whole};
use crate::compress::Encoder;
use crate::error::{Error, Result, escape};
use crate::source::Bytes;

/// An archive on one side, an ingest on the other.
pub(crate) struct Carrier<'a> {
    pub(crate) content: &'a dyn Content,
    /// The folder that the images lie in, with its slash; empty for the top.
    pub(crate) prefix: String,
    pub(crate) blobs: BlobNames,
    pub(crate) ingest: &'a Ingest<'a>,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) encoder: Encoder,
}

/// How blobs are named in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BlobNames {
    /// As in an image layout: `blobs/sha256/<hex>`.
    Layout,
    /// As in what skopeo calls a `dir:`: `<hex>` alone, and the manifest by its role.
    Dir {
        /// The digest of its manifest.json.
        manifest: Digest,
    },
}

/// A document, as far as it could be had.
pub(crate) enum Document {
    Content(Vec<u8>),
    /// Too large to be one; it is a blob like any other.
    Data,
    Absent,
}

impl<'a> Carrier<'a> {
    /// Carries what lies in a folder of the archive, with blobs that are named like this.
    pub(crate) fn new(
        content: &'a dyn Content,
        (prefix, blobs): (String, BlobNames),
        ingest: &'a Ingest<'a>,
        progress: &'a dyn Progress,
    ) -> Self {
        let encoder = Encoder::new(ingest.repository().jobs());
        Self { content, prefix, blobs, ingest, progress, encoder }
    }
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
        let BlobNames::Dir { manifest } = &self.blobs else {
            return self.find(&paths::blob_name(digest));
        };
        if digest == manifest {
            return self.find("manifest.json");
        }
        let name = match digest.algorithm_name() {
            "sha256" => digest.encoded().to_owned(),
            algorithm => format!("{algorithm}-{}", digest.encoded()),
        };
        // The images below an index lie beside their blobs, marked as manifests.
        match self.find(&name)? {
            Some(member) => Ok(Some(member)),
            None => self.find(&format!("{name}.manifest.json")),
        }
    }

    /// A small blob of the archive or of the repository, as it is there; nothing proves it.
    pub(crate) fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Option<Vec<u8>>> {
        if let Some(member) = self.blob(digest)? {
            return self.read(&member, limit).map(Some);
        }
        let Some((mut reader, size)) = self.open_blob(digest)?.filter(|(_, size)| *size <= limit) else {
            return Ok(None);
        };
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        reader.read_to_end(&mut bytes).map_err(|error| Error::read(self.label(), error))?;
        Ok(Some(bytes))
    }

    /// Reads a blob that the archive has, or else the repository.
    pub(crate) fn open_blob(&self, digest: &Digest) -> Result<Option<(Bytes<'_>, u64)>> {
        if let Some(member) = self.blob(digest)? {
            return Ok(Some((self.content.open(&member)?, member.size)));
        }
        match self.repository().blob_size(digest)? {
            Some(size) => {
                let reader = self.repository().read_blob(digest, Some(size))?;
                Ok(Some((Box::new(reader), size)))
            }
            None => Ok(None),
        }
    }

    pub(crate) fn read(&self, member: &Member, limit: u64) -> Result<Vec<u8>> {
        read_whole(self.content, member, limit)
    }

    /// Does something to every item on as many threads as the repository is worked on with, until
    /// one fails: to the largest first.
    pub(crate) fn on_each<T: Sync, R: Send>(
        &self,
        items: &[T],
        size: impl Fn(&T) -> u64,
        work: impl Fn(&T) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        let failed = AtomicBool::new(false);
        let results = largest_first(items, self.repository().jobs(), size, |item| {
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
        match digest.algorithm() {
            Some(_) => Ok(self.ingest.put_as(digest, bytes)?),
            None => Ok(()),
        }
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
            self.progress.advance(size);
            return Ok(self.ingest.keep(staged.clone())?);
        }
        let _item = Item::begin(self.progress, digest.as_str());
        if self.content.bring_into(self.ingest, digest, size)? {
            self.progress.advance(size);
            return Ok(());
        }
        let Some(algorithm) = digest.algorithm() else {
            return Err(Error::member(self.label(), &member.name, "its digest cannot be verified"));
        };
        let mut writer = self.ingest.writer_of(algorithm, size)?;
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
    pub(crate) fn hash(&self, member: &Member, algorithm: Algorithm) -> Result<Digest> {
        let _item = Item::begin(self.progress, &member.name);
        let mut hasher = self.ingest.hasher(algorithm);
        pour(self.content, member, &mut |chunk| {
            hasher.push(chunk)?;
            self.progress.advance(chunk.len() as u64);
            Ok(())
        })?;
        Ok(hasher.finish()?.digest().clone())
    }

    /// Brings a document into memory, proven, and into the session. `size` is what its descriptor
    /// declares.
    pub(crate) fn document(
        &self,
        descriptor: &Descriptor,
        class: Class,
        size: Option<u64>,
        image: &str,
    ) -> Result<Document> {
        let document = self.load(descriptor, class, size, image)?;
        if let Document::Content(bytes) = &document {
            let digest = &descriptor.digest;
            match self.blob(digest)? {
                Some(member) => self.keep(digest, &member, bytes)?,
                None if self.ingest.has(digest, bytes.len() as u64)? => {}
                None => self.put(digest, bytes)?,
            }
        }
        Ok(document)
    }

    /// Brings a document into memory, proven. Nothing becomes part of the session.
    pub(crate) fn load(
        &self,
        descriptor: &Descriptor,
        class: Class,
        size: Option<u64>,
        image: &str,
    ) -> Result<Document> {
        let digest = &descriptor.digest;
        let Some(member) = self.blob(digest)? else {
            return self.load_at_hand(descriptor, class, size, image);
        };
        let Some(algorithm) = digest.algorithm() else {
            return match self.load_at_hand(descriptor, class, size, image)? {
                Document::Absent => Err(self.unknown_algorithm(image, digest)),
                document => Ok(document),
            };
        };
        if let Some(size) = size {
            self.check_size(&member, size)?;
        }
        if class == Class::Unknown && member.size > MAX_MANIFEST_SIZE {
            return Ok(Document::Data);
        }
        let bytes = self.read(&member, MAX_MANIFEST_SIZE)?;
        if member.known_digest() != Some(digest) && !digest.proves(&bytes) {
            self.check_digest(&member, digest, &Digest::of(algorithm, &bytes))?;
        }
        Ok(Document::Content(bytes))
    }

    /// A document that is not in the archive: the repository may have it, or its descriptor.
    fn load_at_hand(
        &self,
        descriptor: &Descriptor,
        class: Class,
        size: Option<u64>,
        image: &str,
    ) -> Result<Document> {
        let digest = &descriptor.digest;
        if let Some(data) = &descriptor.data {
            return Ok(Document::Content(data.clone()));
        }
        let held = self.repository().blob_size(digest)?;
        if held.is_none_or(|held| size.is_some_and(|size| size != held)) {
            return Ok(Document::Absent);
        }
        match self.repository().load(&Wanted { digest, class, size, embedded: None }) {
            Loaded::Content(bytes) => Ok(Document::Content(bytes)),
            Loaded::Data => Ok(Document::Data),
            Loaded::Broken(reason) => {
                Err(self.bad_image(image, format!("{digest} in the repository is broken: {reason}")))
            }
            Loaded::Missing => Ok(Document::Absent),
        }
    }

    pub(crate) fn check_size(&self, member: &Member, expected: u64) -> Result<()> {
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
