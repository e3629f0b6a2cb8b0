//! The model: what a repository is, in memory and in plain words. It follows the design, not the store.

use std::collections::BTreeMap;

use super::catalogue::Catalogue;
use super::names::{Name, Policy};
use super::text::{Index, Members, Parts};

/// An entry of index.json.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) digest: String,
    pub(super) image_name: Option<String>,
    pub(super) ref_name: Option<String>,
    /// Every other member, as it is spelled.
    pub(super) rest: Members,
    /// The text on the disk; `None` while nobody but ocirepo has it: it is learnt when it is first seen.
    pub(super) text: Option<String>,
    /// Whether it can be used at all.
    pub(super) is_strange: bool,
}

impl Entry {
    /// An entry as another tool wrote it.
    pub(super) fn written(text: String, is_strange: bool) -> Self {
        let parts = Parts::parse(&text).expect("the scripts write objects");
        let Parts { digest, image_name, ref_name, rest } = parts;
        Self { digest, image_name, ref_name, rest, text: Some(text), is_strange }
    }

    pub(super) fn name(&self) -> Option<Name> {
        Name::read(self.image_name.as_deref(), self.ref_name.as_deref())
    }

    /// How it is called: its name, else its digest.
    pub(super) fn label(&self) -> String {
        self.name().map_or_else(|| self.digest.clone(), |name| name.text().to_owned())
    }

    /// Gives it other names, and forgets its text if that changes anything.
    pub(super) fn rename(&mut self, image_name: Option<&str>, ref_name: Option<&str>) {
        if self.image_name.as_deref() != image_name || self.ref_name.as_deref() != ref_name {
            self.image_name = image_name.map(str::to_owned);
            self.ref_name = ref_name.map(str::to_owned);
            self.text = None;
        }
    }
}

/// A blob on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blob {
    Whole,
    /// So many bytes are left of it.
    Cut(u64),
}

/// The kinds of refusal that a caller can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    NotFound,
    /// A name is taken, or means several images.
    Conflict,
    Corrupt,
}

/// A repository.
#[derive(Debug, Clone)]
pub(super) struct Model<'c> {
    pub(super) catalogue: &'c Catalogue,
    pub(super) entries: Vec<Entry>,
    /// What index.json holds besides its entries.
    pub(super) top: Members,
    /// By digest.
    pub(super) blobs: BTreeMap<String, Blob>,
    /// The policy on record.
    pub(super) policy: Option<Policy>,
    /// Whether ocirepo was the last to change index.json.
    pub(super) is_ours: bool,
}

impl<'c> Model<'c> {
    /// An empty repository whose policy is not on record.
    pub(super) fn new(catalogue: &'c Catalogue) -> Self {
        let media_type = format!("{:?}", ocirepo_tests::descriptor::OCI_INDEX);
        let top = vec![("schemaVersion".to_owned(), "2".to_owned()), ("mediaType".to_owned(), media_type)];
        Self { catalogue, entries: Vec::new(), top, blobs: BTreeMap::new(), policy: None, is_ours: false }
    }

    /// What ref.name holds: what is on record, else `tag` if every name is a bare tag.
    pub(super) fn policy(&self) -> Policy {
        let infer = || {
            let mut names = self.entries.iter().filter_map(|entry| entry.ref_name.as_deref()).peekable();
            let is_tag = names.peek().is_some() && names.all(|name| !name.contains(['/', ':']));
            if is_tag { Policy::Tag } else { Policy::Full }
        };
        self.policy.unwrap_or_else(infer)
    }

    /// A command of ocirepo has succeeded that may write index.json: its policy goes on record, and what it
    /// wrote is its own.
    pub(super) fn settle(&mut self, before: &Self) {
        self.policy = Some(before.policy());
        if !self.is_same_index(before) {
            self.is_ours = true;
        }
    }

    /// Whether nothing in index.json differs.
    pub(super) fn is_same_index(&self, other: &Self) -> bool {
        let same = |(a, b): (&Entry, &Entry)| a.text.is_some() && a.text == b.text;
        self.entries.len() == other.entries.len() && self.entries.iter().zip(&other.entries).all(same)
    }

    pub(super) fn is_whole(&self, digest: &str) -> bool {
        self.blobs.get(digest) == Some(&Blob::Whole)
    }

    /// Blobs come in whole, whatever was there.
    pub(super) fn bring<'d>(&mut self, digests: impl IntoIterator<Item = &'d String>) {
        self.blobs.extend(digests.into_iter().map(|digest| (digest.clone(), Blob::Whole)));
    }

    /// The size that a blob has on the disk.
    pub(super) fn size_on_disk(&self, digest: &str, blob: Blob) -> u64 {
        match blob {
            Blob::Whole => self.catalogue.size(digest),
            Blob::Cut(size) => size,
        }
    }

    /// index.json, every entry of which has been seen.
    pub(super) fn index(&self) -> Index {
        let text = |entry: &Entry| entry.text.clone().expect("every entry was looked at after the last step");
        Index { top: self.top.clone(), entries: self.entries.iter().map(text).collect() }
    }
}
