//! An archive without members, and a session that writes nothing: with them, the parts of the
//! importer that cut an image down or unpack a layer work on what the repository has.

use std::io::Read;
use std::path::Path;

use ocirepo_store::Progress;
use ocirepo_store::ingest::Ingest;
use ocirepo_store::lock::Reading;

use crate::archive::{Content, Member};
use crate::error::{Error, Result};
use crate::import::carrier::{BlobNames, Carrier};

pub(super) struct Bench<'r> {
    empty: Empty,
    ingest: Ingest<'r>,
}

impl<'r> Bench<'r> {
    pub(super) fn new(lock: &'r Reading<'_>) -> Self {
        let empty = Empty { label: lock.path().display().to_string() };
        // Nothing is spooled, so there is no place for it.
        Self { empty, ingest: lock.rehearse(Path::new("")) }
    }

    pub(super) fn carrier<'c>(&'c self, progress: &'c dyn Progress) -> Carrier<'c> {
        Carrier::new(&self.empty, (String::new(), BlobNames::Layout), &self.ingest, progress)
    }
}

/// An archive without members.
struct Empty {
    /// What to call the repository in messages.
    label: String,
}

impl Content for Empty {
    fn label(&self) -> &str {
        &self.label
    }

    fn find(&self, _: &str) -> Result<Option<Member>> {
        Ok(None)
    }

    fn open<'a>(&'a self, member: &Member) -> Result<Box<dyn Read + Send + 'a>> {
        Err(Error::member(&self.label, &member.name, "it is not there"))
    }

    fn folders(&self) -> Vec<String> {
        Vec::new()
    }

    fn has_below(&self, _: &str) -> bool {
        false
    }

    fn is_empty(&self) -> bool {
        true
    }

    fn warnings(&self) -> &[String] {
        &[]
    }
}
