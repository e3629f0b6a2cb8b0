//! `ocirepo-bundle.json`: the table of contents of a bundle.
//!
//! It is the first member of every image layout that is exported, and the same in every volume of a
//! bundle that was split. It says what is in the bundle, what the receiver must have, and which
//! volume holds what; `docs/bundle-format.md` is its specification.

use std::collections::BTreeSet;

use ocirepo_store::Digest;
use ocirepo_store::index::{Entry, check_json};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The name of the member.
pub(crate) const TOC: &str = "ocirepo-bundle.json";

/// The member that says which volume it is in.
pub(crate) const VOLUME: &str = "ocirepo-volume.json";

/// The last member of a volume: checksums of all before it.
pub(crate) const SUMS: &str = "ocirepo-volume.sums";

/// The member that is part `number` of a blob, counted from 1.
pub(crate) fn part_name(blob: &Digest, number: u32) -> String {
    format!("ocirepo-parts/{}/{}.{number:03}", blob.algorithm_name(), blob.encoded())
}

/// The version of the format.
const VERSION: u32 = 1;

/// The most volumes of a bundle and parts of a blob: what export numbers with five digits.
const MOST: usize = 100_000;

/// What a bundle holds, and what it needs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Toc {
    /// What the bundle goes by: the digest of the table itself, written without `id`.
    pub id: Digest,
    /// The images, as index.json lists them.
    pub images: Vec<TocImage>,
    /// Entries that index.json leaves out, so that runtimes see images only: signatures and the like.
    pub artifacts: Vec<Entry>,
    /// Every blob of the bundle, by digest.
    pub blobs: Vec<TocBlob>,
    /// Every blob that the images need and the bundle leaves out, by digest.
    pub required: Vec<Required>,
    /// How many volumes there are; 1 for a bundle in one piece.
    pub volumes: u32,
}

/// An image of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TocImage {
    /// Its name, if it has one.
    pub reference: Option<String>,
    /// The digest of its manifest or index.
    pub digest: Digest,
}

impl TocImage {
    /// The image of an entry; nothing for one without a usable digest.
    pub(crate) fn of(entry: &Entry) -> Option<Self> {
        let reference = entry.name().map(ToString::to_string);
        Some(Self { reference, digest: entry.digest()?.clone() })
    }
}

/// A blob of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TocBlob {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// The volume that holds it whole, from 1; `None` in a bundle of one piece, and for one in parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<u32>,
    /// Its parts in their order, if it is larger than a volume.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

impl TocBlob {
    /// A blob of a bundle of one piece.
    pub(crate) fn whole(digest: &Digest, size: u64) -> Self {
        Self { digest: digest.clone(), size, volume: None, parts: Vec::new() }
    }
}

/// A part of a blob that is larger than a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Part {
    /// The volume that holds it, from 1.
    pub volume: u32,
    /// Its size in bytes.
    pub size: u64,
}

/// A blob that the receiver must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Required {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// The images that need it, by reference, or else by digest.
    pub images: Vec<String>,
}

/// The table as it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    bundle_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<Digest>,
    volumes: u32,
    images: Vec<TocImage>,
    artifacts: Vec<Box<RawValue>>,
    required: Vec<Required>,
    blobs: Vec<TocBlob>,
}

impl Toc {
    /// Makes a table, and finds its `id`.
    #[must_use]
    pub(crate) fn new(
        images: Vec<TocImage>,
        artifacts: Vec<Entry>,
        blobs: Vec<TocBlob>,
        required: Vec<Required>,
        volumes: u32,
    ) -> Self {
        let mut toc = Self { id: Digest::sha256(b""), images, artifacts, blobs, required, volumes };
        toc.id = Digest::sha256(&toc.written(None));
        toc
    }

    /// The bytes of the member: compact JSON with its keys in one order, a newline at the end.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.written(Some(self.id.clone()))
    }

    fn written(&self, id: Option<Digest>) -> Vec<u8> {
        let raw = |entry: &Entry| {
            RawValue::from_string(entry.json().to_owned()).expect("an entry is a JSON value already")
        };
        let written = Written {
            bundle_version: VERSION,
            id,
            volumes: self.volumes,
            images: self.images.clone(),
            artifacts: self.artifacts.iter().map(raw).collect(),
            required: self.required.clone(),
            blobs: self.blobs.clone(),
        };
        let mut bytes = serde_json::to_vec(&written).expect("strings and numbers can be written as JSON");
        bytes.push(b'\n');
        bytes
    }

    /// Reads a table.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        check_json(bytes)?;
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            bundle_version: u32,
        }
        let version: Version = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if version.bundle_version != VERSION {
            let version = version.bundle_version;
            return Err(format!("it has version {version}; this program knows version {VERSION}"));
        }
        let written: Written = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let artifacts = written.artifacts.iter().map(|raw| Entry::parse(raw.get()));
        let artifacts = artifacts.collect::<Result<Vec<Entry>, String>>()?;
        for artifact in &artifacts {
            artifact.descriptor().map_err(|reason| format!("an artifact cannot be used: {reason}"))?;
        }
        let Written { id, volumes, images, blobs, required, .. } = written;
        let toc = Self::new(images, artifacts, blobs, required, volumes);
        if id.as_ref().is_some_and(|id| *id != toc.id) {
            return Err("its id is not that of its content".to_owned());
        }
        toc.check()?;
        Ok(toc)
    }

    fn check(&self) -> Result<(), String> {
        if self.volumes == 0 {
            return Err("it has no volumes".to_owned());
        }
        if self.volumes as usize > MOST {
            return Err(format!("it has {} volumes; there can be {MOST}", self.volumes));
        }
        let mut seen: BTreeSet<&Digest> = BTreeSet::new();
        let digests = self.blobs.iter().map(|blob| &blob.digest);
        for digest in digests.chain(self.required.iter().map(|blob| &blob.digest)) {
            if !seen.insert(digest) {
                return Err(format!("it lists {digest} twice"));
            }
        }
        for blob in &self.blobs {
            if blob.parts.len() > MOST {
                let parts = blob.parts.len();
                return Err(format!("{} is in {parts} parts; there can be {MOST}", blob.digest));
            }
            if blob.parts.iter().any(|part| part.size == 0) {
                return Err(format!("a part of {} is empty", blob.digest));
            }
            let numbers = blob.volume.into_iter().chain(blob.parts.iter().map(|part| part.volume));
            if let Some(number) = numbers.clone().find(|number| *number == 0 || *number > self.volumes) {
                return Err(format!("{} is in volume {number} of {}", blob.digest, self.volumes));
            }
            if self.volumes > 1 && blob.volume.is_some() != blob.parts.is_empty() {
                return Err(format!("it does not say in which volume {} is", blob.digest));
            }
            let parts = blob.parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.size));
            if !blob.parts.is_empty() && parts != Some(blob.size) {
                return Err(format!("the parts of {} are not as large as it is", blob.digest));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_with_empty_parts_or_more_parts_and_volumes_than_export_writes_is_refused() {
        let parse = |volumes: u32, sizes: &[u64]| {
            let parts = sizes.iter().map(|&size| Part { volume: 1, size }).collect();
            let digest = Digest::sha256(b"blob");
            let blob = TocBlob { digest, size: sizes.iter().sum(), volume: None, parts };
            Toc::parse(&Toc::new(Vec::new(), Vec::new(), vec![blob], Vec::new(), volumes).to_bytes())
        };
        let refused = |volumes: u32, sizes: &[u64]| parse(volumes, sizes).unwrap_err();
        assert!(parse(100_000, &vec![1; 100_000]).is_ok());
        assert!(refused(2, &[1, 0, 1]).contains("is empty"));
        assert!(refused(2, &vec![1; 100_001]).contains("100001 parts"));
        assert!(refused(100_001, &[1]).contains("100001 volumes"));
    }
}
