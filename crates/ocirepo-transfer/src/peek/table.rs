//! The table of contents of a bundle, held against what is there.

use std::collections::{BTreeMap, BTreeSet};

use ocirepo_store::Digest;
use ocirepo_store::index::Document;
use ocirepo_store::verify::{Kind, State};

use crate::bundle::{TOC, Toc, TocBlob, TocImage};

/// A table of contents, and what index.json lists beside it.
pub(super) struct Bundle {
    pub(super) toc: Toc,
    /// The entries of index.json, without the artifacts of the table.
    listed: Vec<TocImage>,
}

/// Something to be said of a bundle: what kind it is, the blob it is about, and the words.
pub(super) type Remark = (Kind, Option<Digest>, String);

impl Bundle {
    /// `layout` lists the artifacts of the table at its end.
    pub(super) fn new(toc: Toc, layout: Option<&Document>) -> Self {
        let entries = layout.map_or(&[][..], Document::entries);
        let own = &entries[..entries.len().saturating_sub(toc.artifacts.len())];
        Self { listed: own.iter().filter_map(TocImage::of).collect(), toc }
    }

    /// What the table says and the archive does not. `volume` is which volume this is; nothing is said
    /// of blobs if that is not known. A blob of which something is said already is in `said`.
    pub(super) fn check(
        &self,
        volume: Option<u32>,
        state: &BTreeMap<Digest, State>,
        said: &BTreeSet<String>,
    ) -> Vec<Remark> {
        let mut remarks = Vec::new();
        if self.listed != self.toc.images {
            let text = format!("{TOC} lists other images than index.json does");
            remarks.push((Kind::Damaged, None, text));
        }
        for blob in self.toc.blobs.iter().filter(|blob| self.is_here(blob, volume)) {
            let found = state.get(&blob.digest).and_then(|state| state.size);
            let (kind, text) = match found {
                Some(size) if size == blob.size => continue,
                Some(size) => {
                    (Kind::WrongSize, format!("{TOC} gives it {} bytes, but there are {size}", blob.size))
                }
                None => (Kind::Missing, format!("{TOC} lists it, but it is not there")),
            };
            if !said.contains(blob.digest.as_str()) {
                remarks.push((kind, Some(blob.digest.clone()), text));
            }
        }
        remarks
    }

    /// Whether a blob should be in the archive whole.
    fn is_here(&self, blob: &TocBlob, volume: Option<u32>) -> bool {
        self.toc.volumes == 1 || (blob.volume.is_some() && blob.volume == volume)
    }

    /// The blobs that are in other volumes, or in parts.
    pub(super) fn elsewhere(&self, volume: Option<u32>) -> BTreeSet<&str> {
        let absent = self.toc.blobs.iter().filter(|blob| !self.is_here(blob, volume));
        absent.map(|blob| blob.digest.as_str()).collect()
    }
}
