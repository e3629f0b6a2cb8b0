//! What of a bundle is there, in the repository or waiting, and which volumes hold the rest.

use std::collections::BTreeSet;

use ocirepo_store::pending::PendingBundle;
use ocirepo_store::{Digest, Repository};
use serde::{Deserialize, Serialize};

use crate::bundle::{Toc, TocBlob};
use crate::error::Result;

/// What is there.
#[derive(Clone, Copy)]
pub(super) struct Stock<'s> {
    pub(super) repository: &'s Repository,
    /// The bundle, if any of it waits.
    pub(super) pending: Option<&'s PendingBundle>,
}

impl Stock<'_> {
    /// Whether the repository has a blob at its right size.
    pub(super) fn is_in_repository(&self, digest: &Digest, size: u64) -> Result<bool> {
        Ok(self.repository.blob_size(digest)? == Some(size))
    }

    /// Whether a blob waits.
    pub(super) fn waits(&self, digest: &Digest, size: u64) -> Result<bool> {
        Ok(self.pending.map_or(Ok(false), |pending| pending.has_blob(digest, size))?)
    }

    /// Whether a part of a blob waits.
    pub(super) fn part_waits(&self, digest: &Digest, number: u32, size: u64) -> Result<bool> {
        Ok(self.pending.map_or(Ok(false), |pending| pending.has_part(digest, number, size))?)
    }

    /// The volumes that hold something that is not there.
    pub(super) fn needed(&self, toc: &Toc) -> Result<BTreeSet<u32>> {
        let mut needed = BTreeSet::new();
        for TocBlob { digest, size, volume, parts } in &toc.blobs {
            if self.is_in_repository(digest, *size)? {
                continue;
            }
            if let Some(volume) = volume
                && !self.waits(digest, *size)?
            {
                needed.insert(*volume);
            }
            for (number, part) in (1..).zip(parts) {
                if !self.part_waits(digest, number, part.size)? {
                    needed.insert(part.volume);
                }
            }
        }
        Ok(needed)
    }
}

/// Every blob that a bundle brings or requires.
pub(super) fn needs(toc: &Toc) -> Vec<(Digest, u64)> {
    let brought = toc.blobs.iter().map(|blob| (blob.digest.clone(), blob.size));
    let required = toc.required.iter().map(|blob| (blob.digest.clone(), blob.size));
    brought.chain(required).collect()
}

/// What is kept of the volumes themselves while their blobs wait: the documents that all of them share.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// The table of contents.
    pub(super) toc: String,
    /// Its index.json.
    pub(super) index: String,
}

impl Record {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("strings can be written as JSON");
        bytes.push(b'\n');
        bytes
    }
}
