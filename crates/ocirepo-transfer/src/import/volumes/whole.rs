//! A bundle whose volumes are all there, as one image layout: what waits, and what is in the volume
//! that is being added.
//!
//! Blobs that the repository has are not in it; they are found there.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};

use ocirepo_store::ingest::Ingest;
use ocirepo_store::pending::PendingBundle;
use ocirepo_store::{Digest, OCI_LAYOUT_CONTENT};

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
    blobs: BTreeMap<Digest, &'v TocBlob>,
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
        Self {
            label,
            documents: HashMap::from([
                ("oci-layout", OCI_LAYOUT_CONTENT.to_vec()),
                ("index.json", record.index.clone().into_bytes()),
                (TOC, record.toc.clone().into_bytes()),
            ]),
            blobs: toc.blobs.iter().map(|blob| (blob.digest.clone(), blob)).collect(),
            stock,
            in_hand,
        }
    }

    /// The bundle as it waits.
    pub(super) fn pending(&self) -> Option<&'v PendingBundle> {
        self.stock.pending
    }

    /// Everything that it brings, by digest.
    pub(super) fn blobs(&self) -> impl Iterator<Item = &'v TocBlob> {
        self.blobs.values().copied()
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
    fn open_one<'a>(&'a self, blob: &TocBlob, part: Option<u32>) -> Result<Option<Bytes<'a>>> {
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

    fn open_blob<'a>(&'a self, blob: &'a TocBlob) -> Result<Option<Bytes<'a>>> {
        if blob.parts.is_empty() {
            return self.open_one(blob, None);
        }
        if !self.is_there(blob)? {
            return Ok(None);
        }
        Ok(Some(Box::new(Joined { whole: self, blob, opened: 0, at: 0, part: Box::new(io::empty()) })))
    }
}

/// The parts of a blob as one, each opened when it is come to: there may be more of them than files
/// that may be open.
struct Joined<'w> {
    whole: &'w Whole<'w>,
    blob: &'w TocBlob,
    /// How many parts were opened.
    opened: u32,
    /// How many bytes were read.
    at: u64,
    part: Bytes<'w>,
}

impl Read for Joined<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.part.read(buffer)?;
            self.at += read as u64;
            if read > 0 || buffer.is_empty() || self.opened as usize >= self.blob.parts.len() {
                return Ok(read);
            }
            self.opened += 1;
            let part = self.whole.open_one(self.blob, Some(self.opened)).map_err(io::Error::other)?;
            match part {
                Some(part) => self.part = part,
                // Another process has just completed the bundle: the rest is there.
                None => {
                    let (digest, size) = (&self.blob.digest, self.blob.size);
                    let complete = self.whole.stock.repository.read_blob(digest, Some(size));
                    let mut complete = complete.map_err(io::Error::other)?;
                    io::copy(&mut (&mut complete).take(self.at), &mut io::sink())?;
                    self.opened = u32::MAX;
                    self.part = Box::new(complete);
                }
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Part;
    use ocirepo_store::{InitOptions, Repository, Settings};

    /// A part for each byte: more than there may be files open, or readers in one another on a stack.
    #[test]
    fn many_parts_are_read_as_one_blob_also_when_they_go_on_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let (repository, _) =
            Repository::init(dir.path(), InitOptions::default(), Settings::default()).unwrap();
        let content: Vec<u8> = (0..5000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let digest = Digest::sha256(&content);
        let size = content.len() as u64;
        let parts = vec![Part { volume: 1, size: 1 }; content.len()];
        let blob = TocBlob { digest: digest.clone(), size, volume: None, parts };
        let toc = Toc::new(Vec::new(), Vec::new(), vec![blob], Vec::new(), 2);
        let lock = repository.lock_shared().unwrap();
        let pending = lock.open_pending(&toc.id, b"toc", &[(digest.clone(), size)]).unwrap();
        let waiting = pending.path().join("parts");
        std::fs::create_dir(&waiting).unwrap();
        for (number, byte) in (1..).zip(&content) {
            std::fs::write(waiting.join(format!("sha256-{}.{number}", digest.encoded())), [*byte]).unwrap();
        }
        let record = Record { toc: String::new(), index: String::new() };
        let stock = Stock { repository: &repository, pending: Some(&pending) };
        let whole = Whole::new("bundle", &record, &toc, stock, None);
        let member = whole.find(&paths::blob_name(&digest)).unwrap().unwrap();
        let mut read = Vec::new();
        whole.open(&member).unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, content);

        let mut reader = whole.open(&member).unwrap();
        let mut head = vec![0; 100];
        reader.read_exact(&mut head).unwrap();
        let ingest = lock.ingest().unwrap();
        assert!(whole.bring_into(&ingest, &digest, size).unwrap());
        ingest.commit(&[]).unwrap();
        ocirepo_store::pending::remove_pending(&lock, &toc.id).unwrap();
        reader.read_to_end(&mut head).unwrap();
        assert_eq!(head, content);
    }
}
