//! What an archive has: members as they lie in it, and what was made of them.

use std::collections::BTreeSet;
use std::io;

use ocirepo_store::Digest;
use ocirepo_store::graph::{Documents, Loaded, Wanted};
use ocirepo_store::verify::State;

use crate::archive::{Member, paths};
use crate::error::{Error, Result};
use crate::import::carrier::{BlobNames, Carrier};

/// An archive as a place where blobs are.
pub(super) struct Held<'a> {
    pub(super) carrier: &'a Carrier<'a>,
}

impl Held<'_> {
    fn open(&self, wanted: &Wanted<'_>) -> Result<Loaded> {
        let carrier = self.carrier;
        if let Some(member) = carrier.blob(wanted.digest)? {
            return Ok(wanted.prove(member.size, carrier.content.open(&member)?));
        }
        Ok(match carrier.ingest.kept_size(wanted.digest) {
            Some(size) => wanted.prove(size, carrier.ingest.open_kept(wanted.digest)?),
            None => wanted.absent(),
        })
    }

    /// Every blob that lies where an image layout has its blobs.
    pub(super) fn listed(&self) -> BTreeSet<Digest> {
        if self.carrier.blobs != BlobNames::Layout {
            return BTreeSet::new();
        }
        let names = self.carrier.content.below(&format!("{}blobs", self.carrier.prefix));
        names.iter().filter_map(|name| paths::blob_digest(name)).collect()
    }

    /// The member that is a blob, if there is one. What was only made has none.
    pub(super) fn member(&self, digest: &Digest) -> Result<Option<Member>> {
        self.carrier.blob(digest)
    }

    /// Looks at a blob, hashing it if asked to.
    pub(super) fn examine(&self, digest: &Digest, hash: bool) -> State {
        let examined = self.member(digest).and_then(|member| match member {
            Some(member) => {
                let hashes_to = if hash { self.hash(digest, &member)? } else { None };
                Ok(State { size: Some(member.size), hashes_to, error: None })
            }
            // It was proven when it was made, or its layer was read.
            None => Ok(State { size: self.carrier.ingest.kept_size(digest), ..State::default() }),
        });
        examined.unwrap_or_else(|error| State { error: Some(self.short(&error)), ..State::default() })
    }

    fn hash(&self, digest: &Digest, member: &Member) -> Result<Option<Digest>> {
        let Some(algorithm) = digest.algorithm() else { return Ok(None) };
        match member.known_digest().filter(|known| known.algorithm() == Some(algorithm)) {
            Some(known) => Ok(Some(known.clone())),
            None => self.carrier.hash(member, algorithm).map(Some),
        }
    }

    /// An error in words that do not say again which archive it is about.
    pub(super) fn short(&self, error: &Error) -> String {
        let text = error.with_cause();
        let archive = self.carrier.label();
        let rest = text.strip_prefix(&format!("{archive}: "));
        rest.map(str::to_owned).unwrap_or(text)
    }
}

impl Documents for Held<'_> {
    fn load(&self, wanted: &Wanted<'_>) -> Loaded {
        self.open(wanted).unwrap_or_else(|error| Loaded::Broken(self.short(&error)))
    }

    fn blob_size(&self, digest: &Digest) -> ocirepo_store::Result<Option<u64>> {
        match self.member(digest) {
            Ok(Some(member)) => Ok(Some(member.size)),
            Ok(None) => Ok(self.carrier.ingest.kept_size(digest)),
            Err(Error::Store(error)) => Err(error),
            Err(error) => Err(ocirepo_store::Error::Io {
                action: "read",
                path: self.carrier.label().into(),
                source: io::Error::other(self.short(&error)),
            }),
        }
    }
}
