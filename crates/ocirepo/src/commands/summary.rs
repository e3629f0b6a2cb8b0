//! What `ls` and `inspect` tell alike of an entry, as JSON has it; and what tables show of it.

use ocirepo_store::graph::Platform;
use ocirepo_store::image::{Image, Manifest};
use ocirepo_store::index::Entry;
use serde::Serialize;

use crate::render::{self, Cell, Look};

/// An entry in short.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    pub(super) reference: Option<String>,
    ref_name: Option<String>,
    pub(super) digest: Option<String>,
    pub(super) media_type: Option<String>,
    size: Option<u64>,
    pub(super) total_size: u64,
    pub(super) platforms: Vec<String>,
    pub(super) complete: bool,
    absent: usize,
    /// How many manifests of a sparse image are there, of how many.
    #[serde(skip)]
    pub(super) sparse: Option<(usize, usize)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
}

impl Summary {
    pub(super) fn of(entry: &Entry, image: &Image) -> Self {
        let descriptor = entry.descriptor().ok();
        Self {
            reference: reference(entry),
            ref_name: entry.ref_name().map(str::to_owned),
            digest: entry.digest_text().map(str::to_owned),
            media_type: descriptor.map(|descriptor| descriptor.media_type.clone()),
            size: descriptor.map(|descriptor| descriptor.size),
            total_size: image.total_size,
            platforms: image.platforms().iter().map(Platform::to_string).collect(),
            complete: image.is_complete,
            absent: image.absent,
            sparse: image.sparse(),
            problem: image.problem.clone(),
        }
    }
}

/// A part of an index, as an entry of its own.
pub(super) fn entry_of(manifest: &Manifest) -> Entry {
    let it = &manifest.descriptor;
    Entry::for_descriptor(&it.media_type, &it.digest, it.size, manifest.platform.as_ref())
}

/// The name of an entry.
pub(super) fn reference(entry: &Entry) -> Option<String> {
    entry.name().map(|name| name.to_string())
}

/// A digest in a table.
pub(super) fn digest_cell(digest: Option<&str>, is_whole: bool) -> Cell {
    let text = digest.map(|digest| if is_whole { digest.to_owned() } else { render::short(digest) });
    Cell::new(text.unwrap_or_else(|| "-".to_owned()), Look::Dim)
}

/// Sorts by reference, nameless images last.
pub(super) fn sort_by_reference<T>(rows: &mut [T], reference: impl Fn(&T) -> Option<String>) {
    rows.sort_by_cached_key(|row| {
        let reference = reference(row);
        (reference.is_none(), reference)
    });
}
