//! Bringing a document into memory: proven to be what its descriptor says, or not at all.

use std::io::Read;

use super::media_type::Class;
use super::node::MAX_MANIFEST_SIZE;
use crate::blob::Blobs;
use crate::digest::Digest;

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

/// Loads a document: size first, then digest. I/O errors count as broken, since what cannot be
/// read cannot be known.
pub(crate) fn load(blobs: &Blobs, wanted: &Wanted<'_>) -> Loaded {
    let (file, stat) = match blobs.open(wanted.digest) {
        Ok(Some(opened)) => opened,
        Ok(None) => {
            return wanted.embedded.map_or(Loaded::Missing, |data| Loaded::Content(data.to_vec()));
        }
        Err(error) => return Loaded::Broken(error.with_cause()),
    };
    if let Some(size) = wanted.size.filter(|&size| size != stat.size) {
        return Loaded::Broken(format!("it should be {size} bytes, but there are {}", stat.size));
    }
    if stat.size > MAX_MANIFEST_SIZE {
        return match wanted.class {
            Class::Unknown => Loaded::Data,
            _ => Loaded::Broken(format!("it is larger than {} MiB", MAX_MANIFEST_SIZE >> 20)),
        };
    }
    let mut bytes = Vec::with_capacity(usize::try_from(stat.size).unwrap_or(0) + 1);
    if let Err(error) = file.take(MAX_MANIFEST_SIZE + 1).read_to_end(&mut bytes) {
        return Loaded::Broken(format!("it cannot be read: {error}"));
    }
    if wanted.class == Class::Unknown && !looks_like_json(&bytes) {
        return Loaded::Data;
    }
    if let Some(algorithm) = wanted.digest.algorithm() {
        let found = Digest::of(algorithm, &bytes);
        if found != *wanted.digest {
            return Loaded::Broken(format!("its content hashes to {found}"));
        }
    }
    Loaded::Content(bytes)
}

/// Whether content may be a JSON object or list, by its first character.
pub(crate) fn looks_like_json(bytes: &[u8]) -> bool {
    matches!(bytes.iter().find(|byte| !byte.is_ascii_whitespace()), Some(b'{' | b'['))
}
