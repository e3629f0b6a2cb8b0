//! The members of an image layout: documents first, then the blobs by digest.

use std::collections::{BTreeMap, BTreeSet};

use ocirepo_store::index::{Document, Entry};
use ocirepo_store::{Digest, OCI_LAYOUT_CONTENT};

use super::member::{Member, Source};
use crate::archive::paths;
use crate::bundle::{TOC, Toc};

/// The members before the blobs. `manifest` is the content of manifest.json, for a hybrid.
pub(super) fn documents(toc: &Toc, entries: &[Entry], manifest: Option<Vec<u8>>) -> Vec<Member> {
    let mut index = Document::empty();
    index.entries_mut().extend_from_slice(entries);
    let mut members = vec![
        Member::bytes(TOC, toc.to_bytes()),
        Member::bytes("oci-layout", OCI_LAYOUT_CONTENT.to_vec()),
        Member::bytes("index.json", index.to_bytes()),
    ];
    members.extend(manifest.map(|manifest| Member::bytes("manifest.json", manifest)));
    members
}

/// The folders that blobs lie in.
pub(super) fn folders<'b>(blobs: impl Iterator<Item = &'b Digest>) -> Vec<Member> {
    let algorithms: BTreeSet<&str> = blobs.map(Digest::algorithm_name).collect();
    let mut members = vec![Member::folder("blobs/")];
    members.extend(algorithms.iter().map(|algorithm| Member::folder(format!("blobs/{algorithm}/"))));
    members
}

/// The blobs and their folders. What is in `made` is nowhere in the repository.
pub(super) fn blobs<'b>(
    blobs: impl Iterator<Item = (&'b Digest, &'b u64)> + Clone,
    made: &BTreeMap<Digest, Vec<u8>>,
) -> Vec<Member> {
    let mut members = folders(blobs.clone().map(|(digest, _)| digest));
    members.extend(blobs.map(|(digest, &size)| Member {
        name: paths::blob_name(digest),
        size,
        source: match made.get(digest) {
            Some(bytes) => Source::Bytes(bytes.as_slice().into()),
            None => Source::Blob(digest.clone()),
        },
    }));
    members
}
