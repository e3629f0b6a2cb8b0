//! Where the bytes of a layer come from: a member of the archive, or a blob of the repository.

use std::io::Read;

use ocirepo_store::Digest;

use crate::archive::Member;
use crate::error::{Error, Result};
use crate::import::carrier::Carrier;
use crate::source::{Bytes, HEAD, Magic};

use super::Compression;

/// The stored bytes of a layer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin<'m> {
    Member(&'m Member),
    /// A blob by its digest and size; reading it to the end proves both.
    Repository(&'m Digest, u64),
}

impl<'m> Origin<'m> {
    /// What to call it in messages.
    pub(crate) fn name(self) -> &'m str {
        match self {
            Self::Member(member) => &member.name,
            Self::Repository(digest, _) => digest.as_str(),
        }
    }

    /// Its size as it is stored, in bytes.
    pub(crate) fn size(self) -> u64 {
        match self {
            Self::Member(member) => member.size,
            Self::Repository(_, size) => size,
        }
    }

    /// The digest of the stored bytes, where it has been proven.
    pub(crate) fn known_digest(self) -> Option<&'m Digest> {
        match self {
            Self::Member(member) => member.known_digest(),
            Self::Repository(digest, _) => Some(digest),
        }
    }

    pub(crate) fn open<'c>(self, carrier: &'c Carrier<'_>) -> Result<Bytes<'c>> {
        match self {
            Self::Member(member) => carrier.content.open(member),
            Self::Repository(digest, size) => {
                Ok(Box::new(carrier.repository().read_blob(digest, Some(size))?))
            }
        }
    }

    /// How it is compressed, by how it begins.
    pub(crate) fn compression(self, carrier: &Carrier<'_>) -> Result<Compression> {
        let mut head = Vec::with_capacity(HEAD);
        let reader = self.open(carrier)?;
        reader
            .take(HEAD as u64)
            .read_to_end(&mut head)
            .map_err(|error| Error::read(carrier.label(), error))?;
        match Magic::of(&head) {
            Magic::Gzip => Ok(Compression::Gzip),
            Magic::Zstd => Ok(Compression::Zstd),
            // An empty layer, or one of zeros, is a legal one.
            Magic::Plain | Magic::Empty => Ok(Compression::None),
            Magic::Xz | Magic::Bzip2 | Magic::Lz4 | Magic::Zip => {
                let reason = "it is a layer in a compression that images do not use";
                Err(Error::member(carrier.label(), self.name(), reason))
            }
        }
    }
}
