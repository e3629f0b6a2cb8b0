//! A bundle whose volumes are all there, as one image layout: what waits, and what is in the volume
//! that is being added.
//!
//! Blobs that the repository has are not in it; they are found there.

use std::collections::HashMap;
use std::io::{self, Read};

use ocirepo_store::Digest;
use ocirepo_store::ingest::Ingest;

use super::stock::{Record, Stock};
use crate::archive::{Content, Member, paths};
use crate::bundle::{TOC, Toc, TocBlob, part_name};
use crate::error::{Error, Result};
use crate::source::Bytes;

/// A volume as a further place where blobs and parts are found: in a rehearsal, where nothing waits.
#[derive(Clone, Copy)]
pub(super) struct InHand<'v> {
    pub(super) content: &'v dyn Content,
    pub(super) prefix: &'v str,
}

/// The bundle.
pub(super) struct Whole<'v> {
    label: &'v str,
    documents: HashMap<&'static str, Vec<u8>>,
    blobs: HashMap<Digest, &'v TocBlob>,
    stock: Stock<'v>,
    in_hand: Option<InHand<'v>>,
}

impl<'v> Whole<'v> {
    pub(super) fn new(
        label: &'v str,
        record: &Record,
        toc: &'v Toc,
        stock: Stock<'v>,
        in_hand: Option<InHand<'v>>,
    ) -> Self {
        let layout = b"{\"imageLayoutVersion\":\"1.0.0\"}".to_vec();
        Self {
            label,
            documents: HashMap::from([
                ("oci-layout", layout),
                ("index.json", record.index.clone().into_bytes()),
                (TOC, record.toc.clone().into_bytes()),
            ]),
            blobs: toc.blobs.iter().map(|blob| (blob.digest.clone(), blob)).collect(),
            stock,
            in_hand,
        }
    }

    fn blob(&self, name: &str) -> Option<&'v TocBlob> {
        let digest = paths::blob_digest(name)?;
        self.blobs.get(&digest).copied().filter(|blob| name == paths::blob_name(&blob.digest))
    }

    fn is_there(&self, blob: &TocBlob) -> Result<bool> {
        if blob.parts.is_empty() {
            return Ok(self.stock.waits(&blob.digest, blob.size)? || self.find_in_hand(blob, None)?.is_some());
        }
        for (number, part) in (1..).zip(&blob.parts) {
            let waits = self.stock.part_waits(&blob.digest, number, part.size)?;
            if !waits && self.find_in_hand(blob, Some(number))?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn find_in_hand(&self, blob: &TocBlob, part: Option<u32>) -> Result<Option<Member>> {
        let Some(InHand { content, prefix }) = self.in_hand else { return Ok(None) };
        let name = part.map_or_else(|| paths::blob_name(&blob.digest), |n| part_name(&blob.digest, n));
        content.find(&format!("{prefix}{name}"))
    }

    /// Opens a blob or a part of one; `None` when it has gone.
    fn open_one(&self, blob: &TocBlob, part: Option<u32>) -> Result<Option<Bytes<'_>>> {
        let waiting = match (self.stock.pending, part) {
            (None, _) => None,
            (Some(pending), None) => pending.open_blob(&blob.digest)?,
            (Some(pending), Some(number)) => pending.open_part(&blob.digest, number)?,
        };
        if let Some(file) = waiting {
            return Ok(Some(Box::new(file)));
        }
        match (self.find_in_hand(blob, part)?, self.in_hand) {
            (Some(member), Some(InHand { content, .. })) => content.open(&member).map(Some),
            _ => Ok(None),
        }
    }

    fn open_blob(&self, blob: &TocBlob) -> Result<Option<Bytes<'_>>> {
        if blob.parts.is_empty() {
            return self.open_one(blob, None);
        }
        let mut joined: Bytes<'_> = Box::new(io::empty());
        for (number, _) in (1..).zip(&blob.parts) {
            match self.open_one(blob, Some(number))? {
                Some(part) => joined = Box::new(joined.chain(part)),
                None => return Ok(None),
            }
        }
        Ok(Some(joined))
    }
}

impl Content for Whole<'_> {
    fn label(&self) -> &str {
        self.label
    }

    fn find(&self, name: &str) -> Result<Option<Member>> {
        if let Some(document) = self.documents.get(name) {
            return Ok(Some(Member::named(name, document.len() as u64)));
        }
        match self.blob(name) {
            Some(blob) if self.is_there(blob)? => Ok(Some(Member::named(name, blob.size))),
            _ => Ok(None),
        }
    }

    fn open<'a>(&'a self, member: &Member) -> Result<Box<dyn Read + Send + 'a>> {
        if let Some(document) = self.documents.get(member.name.as_str()) {
            return Ok(Box::new(document.as_slice()));
        }
        let Some(blob) = self.blob(&member.name) else {
            return Err(Error::member(self.label, &member.name, "it is not in the bundle"));
        };
        match self.open_blob(blob)? {
            Some(bytes) => Ok(bytes),
            // Another process has just completed the bundle.
            None => Ok(Box::new(self.stock.repository.read_blob(&blob.digest, Some(blob.size))?)),
        }
    }

    fn bring_into(&self, ingest: &Ingest<'_>, digest: &Digest, size: u64) -> Result<bool> {
        let (Some(blob), Some(pending)) = (self.blobs.get(digest), self.stock.pending) else {
            return Ok(false);
        };
        // A rehearsal may find some of it in hand only.
        if blob.size != size || ingest.is_rehearsal() {
            return Ok(false);
        }
        if blob.parts.is_empty() {
            pending.bring_into(ingest, digest, size)?;
        } else {
            let sizes: Vec<u64> = blob.parts.iter().map(|part| part.size).collect();
            pending.join_into(ingest, digest, size, &sizes)?;
        }
        Ok(true)
    }

    fn folders(&self) -> Vec<String> {
        vec!["blobs".to_owned()]
    }

    fn has_below(&self, folder: &str) -> bool {
        folder == "blobs"
    }

    fn is_empty(&self) -> bool {
        false
    }

    fn warnings(&self) -> &[String] {
        &[]
    }
}
