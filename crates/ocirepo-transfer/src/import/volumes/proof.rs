//! Proving a volume: everything that is in it is what its checksums and its digests say, and what is
//! still wanted of it is staged on the way.

use std::collections::BTreeSet;

use ocirepo_store::ingest::Staged;
use ocirepo_store::{Algorithm, Digest, Item as Part, Unit};

use super::label::{Label, Sums};
use crate::archive::{Member, paths, pour};
use crate::bundle::{SUMS, TOC, Toc, VOLUME, part_name};
use crate::error::{Error, Result, escape};
use crate::import::carrier::Carrier;
use crate::import::task::Task;

/// What every volume has.
const DOCUMENTS: [&str; 4] = [TOC, VOLUME, "oci-layout", "index.json"];

/// A blob in a volume, or a part of one.
#[derive(Debug)]
pub(super) struct Item {
    name: String,
    /// The blob.
    pub(super) blob: Digest,
    /// The size of the whole blob.
    pub(super) of: u64,
    /// Which part of it this is, from 1; `None` for all of it.
    pub(super) part: Option<u32>,
    /// Its size in bytes.
    pub(super) size: u64,
    /// What it hashes to.
    proof: Digest,
}

/// A volume that is what it says it is; its blobs are still to be proven.
pub(super) struct Volume<'v> {
    carrier: &'v Carrier<'v>,
    pub(super) label: Label,
    pub(super) items: Vec<Item>,
}

impl<'v> Volume<'v> {
    /// Reads what a volume says of itself, and proves all of it but the blobs.
    ///
    /// # Errors
    /// [`Error::BadVolume`], and when it cannot be read.
    pub(super) fn read(carrier: &'v Carrier<'v>, toc: &Toc) -> Result<Self> {
        let (content, prefix) = (carrier.content, carrier.prefix.as_str());
        let unlabelled =
            || Error::member(content.label(), VOLUME, "it is missing, and this is a volume of a bundle");
        let label = Label::read(content, prefix)?.ok_or_else(unlabelled)?;
        if (&label.bundle, label.volumes) != (&toc.id, toc.volumes) {
            let reason = format!("its {TOC} is that of bundle {}, of {} volumes", toc.id, toc.volumes);
            return Err(label.bad(content.label(), reason));
        }
        if label.volume == 0 || label.volume > toc.volumes {
            return Err(label.bad(content.label(), format!("there are {} volumes", toc.volumes)));
        }
        let missing = || label.damaged(content.label(), &format!("{SUMS} is missing"));
        let sums = Sums::read(content, prefix)?.ok_or_else(missing)?;
        let mut volume = Self { carrier, label, items: Vec::new() };
        volume.items = volume.list(toc, &sums)?;
        volume.check_rest(&sums)?;
        Ok(volume)
    }

    /// What the table of contents has in this volume.
    fn list(&self, toc: &Toc, sums: &Sums) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        for blob in &toc.blobs {
            let whole = (blob.volume == Some(self.label.volume))
                .then(|| (paths::blob_name(&blob.digest), None, blob.size));
            let parts = (1..).zip(&blob.parts).filter(|(_, part)| part.volume == self.label.volume);
            let parts = parts.map(|(k, part)| (part_name(&blob.digest, k), Some(k), part.size));
            for (name, part, size) in whole.into_iter().chain(parts) {
                let sum = sums.of(&name).ok_or_else(|| self.damaged(&format!("{name} is not in {SUMS}")))?;
                let proof = if part.is_some() { sum } else { &blob.digest };
                if blob.digest.algorithm().is_none() {
                    return Err(self.bad(format!("{}: this program cannot verify it", blob.digest)));
                }
                if sum != proof && proof.algorithm() == Some(Algorithm::Sha256) {
                    return Err(self.damaged(&format!("{SUMS} has another checksum for {name}")));
                }
                let (blob, of, proof) = (blob.digest.clone(), blob.size, proof.clone());
                items.push(Item { name, blob, of, part, size, proof });
            }
        }
        Ok(items)
    }

    /// Everything that has a checksum and is no blob.
    fn check_rest(&self, sums: &Sums) -> Result<()> {
        if let Some(name) = DOCUMENTS.iter().find(|name| sums.of(name).is_none()) {
            return Err(self.damaged(&format!("{name} is not in {SUMS}")));
        }
        let items: BTreeSet<&str> = self.items.iter().map(|item| item.name.as_str()).collect();
        for (name, sum) in sums.iter().filter(|(name, _)| !items.contains(name)) {
            let member = self.member(name)?;
            let found = match member.known_digest() {
                Some(known) if known.algorithm() == sum.algorithm() => known.clone(),
                _ => self.carrier.hash(&member, Algorithm::Sha256)?,
            };
            if found != *sum {
                return Err(self.is_damaged(name));
            }
        }
        Ok(())
    }

    /// Reads all blobs and parts. Those that are wanted are staged: in the order of `items`, `None` for
    /// the others.
    ///
    /// # Errors
    /// [`Error::BadVolume`] for the first that is not what it should be.
    pub(super) fn prove(
        &self,
        is_wanted: &(dyn Fn(&Item) -> Result<bool> + Sync),
    ) -> Result<Vec<Option<Staged>>> {
        let total = self.items.iter().map(|item| item.size).fold(0, u64::saturating_add);
        let carrier = self.carrier;
        let _task = Task::begin(carrier.progress, carrier.label(), Unit::Bytes, Some(total));
        carrier.on_each(
            &self.items,
            |item| item.size,
            |item| {
                let staged = self.take(item, is_wanted(item)? && !carrier.ingest.is_rehearsal())?;
                Ok(staged)
            },
        )
    }

    /// Sees that all blobs and parts are there at their right sizes.
    ///
    /// # Errors
    /// [`Error::BadVolume`] for the first that is not.
    pub(super) fn measure(&self) -> Result<()> {
        self.items.iter().try_for_each(|item| self.sized_member(item).map(drop))
    }

    fn sized_member(&self, item: &Item) -> Result<Member> {
        let member = self.member(&item.name)?;
        if member.size != item.size {
            let (name, size, found) = (&item.name, item.size, member.size);
            return Err(self.damaged(&format!("{name} should be {size} bytes, but there are {found}")));
        }
        Ok(member)
    }

    fn take(&self, item: &Item, is_wanted: bool) -> Result<Option<Staged>> {
        let member = self.sized_member(item)?;
        let Some(algorithm) = item.proof.algorithm() else { return Ok(None) };
        let known = member.known_digest().filter(|known| known.algorithm() == Some(algorithm));
        let (found, staged) = match known {
            Some(known) => {
                self.carrier.progress.advance(item.size);
                (known.clone(), member.staged().cloned())
            }
            None if is_wanted => {
                let staged = self.stage(&member, algorithm)?;
                (staged.digest().clone(), Some(staged))
            }
            None => (self.carrier.hash(&member, algorithm)?, None),
        };
        if found != item.proof {
            return Err(self.is_damaged(&item.name));
        }
        Ok(staged.filter(|_| is_wanted))
    }

    fn stage(&self, member: &Member, algorithm: Algorithm) -> Result<Staged> {
        let _part = Part::begin(self.carrier.progress, &member.name);
        let mut writer = self.carrier.ingest.writer(algorithm)?;
        pour(self.carrier.content, member, &mut |chunk| {
            writer.push(chunk)?;
            self.carrier.progress.advance(chunk.len() as u64);
            Ok(())
        })?;
        Ok(writer.finish()?)
    }

    fn member(&self, name: &str) -> Result<Member> {
        let member = self.carrier.find(name)?;
        member.ok_or_else(|| self.damaged(&format!("{} is missing", escape(name))))
    }

    fn is_damaged(&self, name: &str) -> Error {
        self.damaged(&format!("{} is damaged", escape(name)))
    }

    fn damaged(&self, what: &str) -> Error {
        self.label.damaged(self.carrier.label(), what)
    }

    pub(super) fn bad(&self, reason: impl Into<String>) -> Error {
        self.label.bad(self.carrier.label(), reason)
    }
}
