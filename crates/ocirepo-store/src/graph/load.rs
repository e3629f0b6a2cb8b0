//! Bringing a document into memory: proven to be what its descriptor says, or not at all.

use std::io::Read;

use super::media_type::Class;
use super::node::MAX_MANIFEST_SIZE;
use crate::blob::Blobs;
use crate::digest::Digest;
use crate::disk::Kind;
use crate::error::Result;

/// What came of loading a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded {
    /// The proven content.
    Content(Vec<u8>),
    /// It is not a document, only data: too large or not JSON, under a type that is not known.
    Data,
    /// It is not there.
    Missing,
    /// It is there but cannot be used, and why.
    Broken(String),
}

/// What is known of a document before it is opened.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Its digest.
    pub digest: &'a Digest,
    /// Its class.
    pub class: Class,
    /// Its size in bytes, where one is declared.
    pub size: Option<u64>,
    /// Its content, where a descriptor embeds it.
    pub embedded: Option<&'a [u8]>,
}

/// Where documents and blobs are: a repository, or an archive that is only looked into.
pub trait Documents: Sync {
    /// Brings a document into memory, proven.
    fn load(&self, wanted: &Wanted<'_>) -> Loaded;

    /// The size of a blob in bytes; `None` when it is not there.
    ///
    /// # Errors
    /// When that cannot be told.
    fn blob_size(&self, digest: &Digest) -> Result<Option<u64>>;

    /// The content of a document of any type, proven; `None` when it is not there, cannot be read or is
    /// larger than documents are.
    fn content(&self, digest: &Digest, size: Option<u64>, embedded: Option<&[u8]>) -> Option<Vec<u8>> {
        match self.load(&Wanted { digest, class: Class::Unknown, size, embedded }) {
            Loaded::Content(bytes) => Some(bytes),
            _ => None,
        }
    }
}

impl Documents for Blobs {
    /// I/O errors count as broken, since what cannot be read cannot be known.
    fn load(&self, wanted: &Wanted<'_>) -> Loaded {
        match self.open(wanted.digest) {
            Ok(Some((file, stat))) => wanted.prove(stat.size, file),
            Ok(None) => wanted.absent(),
            Err(error) => Loaded::Broken(error.with_cause()),
        }
    }

    fn blob_size(&self, digest: &Digest) -> Result<Option<u64>> {
        let stat = self.stat(digest)?;
        Ok(stat.filter(|stat| stat.kind == Kind::File).map(|stat| stat.size))
    }
}

impl Wanted<'_> {
    /// What comes of a document that is not there: its descriptor may embed it.
    #[must_use]
    pub fn absent(&self) -> Loaded {
        self.embedded.map_or(Loaded::Missing, |data| Loaded::Content(data.to_vec()))
    }

    /// Reads a document of `size` bytes: size first, then digest.
    #[must_use]
    pub fn prove(&self, size: u64, reader: impl Read) -> Loaded {
        if let Some(expected) = self.size.filter(|&expected| expected != size) {
            return Loaded::Broken(format!("it should be {expected} bytes, but there are {size}"));
        }
        if size > MAX_MANIFEST_SIZE {
            return match self.class {
                Class::Unknown => Loaded::Data,
                _ => Loaded::Broken(format!("it is larger than {} MiB", MAX_MANIFEST_SIZE >> 20)),
            };
        }
        // No byte more, so that nobody has to ask for the end: the digest proves that this is all.
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        if let Err(error) = reader.take(size).read_to_end(&mut bytes) {
            return Loaded::Broken(format!("it cannot be read: {error}"));
        }
        if self.class == Class::Unknown && !looks_like_json(&bytes) {
            return Loaded::Data;
        }
        if let Some(algorithm) = self.digest.algorithm() {
            let found = Digest::of(algorithm, &bytes);
            if found != *self.digest {
                return Loaded::Broken(format!("its content hashes to {found}"));
            }
        }
        Loaded::Content(bytes)
    }
}

/// Whether content may be a JSON object or list, by its first character.
pub(crate) fn looks_like_json(bytes: &[u8]) -> bool {
    matches!(bytes.iter().find(|byte| !byte.is_ascii_whitespace()), Some(b'{' | b'['))
}
