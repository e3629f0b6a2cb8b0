//! The entries of a document while they are edited, with what tells where to look.
//!
//! An entry that is taken out leaves a gap, so that positions stay what they are until
//! [`Slots::into_entries`]. Every question is answered from an index; none walks over all entries,
//! so that many edits of a large document take time for each edit, not for each entry as well. What
//! no edit can ask for is not in the index, so that a few edits take no more than one look at each.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::Put;
use crate::index::entry::Entry;
use crate::name::{Name, RefPolicy, Word};

/// A digest as it is spelled, if there is one.
type DigestText = Option<String>;

pub(super) struct Slots<'p> {
    entries: Vec<Option<Entry>>,
    asked: Asked<'p>,
    names: HashMap<Name, BTreeSet<usize>>,
    /// By digest as well: what another image holds is asked for, among many that this one does.
    ref_names: HashMap<String, BTreeMap<DigestText, BTreeSet<usize>>>,
    digests: HashMap<DigestText, BTreeSet<usize>>,
    nameless: HashMap<DigestText, BTreeSet<usize>>,
    /// How often an entry was looked at.
    #[cfg(test)]
    pub(super) looks: std::cell::Cell<usize>,
}

/// What `puts` may ask for.
struct Asked<'p> {
    names: HashSet<&'p Name>,
    /// What the annotations of an entry must contain for it to have one of these names; `None` where
    /// they are too many to look for.
    words: Option<Vec<Word>>,
    ref_names: HashSet<String>,
    digests: HashSet<Option<&'p str>>,
}

/// To make a name of two annotations takes as long as to look for so many words in them.
const FEW: usize = 4;

impl<'p> Asked<'p> {
    fn by(puts: &'p [Put], policy: RefPolicy) -> Self {
        let names: HashSet<&Name> = puts.iter().filter_map(|put| put.name.as_ref()).collect();
        Self {
            words: (names.len() <= FEW).then(|| names.iter().map(|name| Word::of(name)).collect()),
            ref_names: names.iter().filter_map(|name| name.ref_name(policy)).collect(),
            digests: puts.iter().map(|put| put.entry.digest_text()).collect(),
            names,
        }
    }

    /// Whether an entry can have one of the names. Cheap, and mostly right.
    fn may_be_called_so(&self, entry: &Entry) -> bool {
        self.words.as_ref().is_none_or(|words| words.iter().any(|word| word.is_in(entry)))
    }
}

impl<'p> Slots<'p> {
    /// The entries of a document that `puts` are to go into, and nothing else.
    pub(super) fn new(entries: Vec<Entry>, policy: RefPolicy, puts: &'p [Put]) -> Self {
        let mut slots = Self {
            entries: Vec::new(),
            asked: Asked::by(puts, policy),
            names: HashMap::new(),
            ref_names: HashMap::new(),
            digests: HashMap::new(),
            nameless: HashMap::new(),
            #[cfg(test)]
            looks: std::cell::Cell::new(0),
        };
        for (position, entry) in entries.iter().enumerate() {
            slots.note(position, entry);
        }
        slots.entries = entries.into_iter().map(Some).collect();
        slots
    }

    #[expect(clippy::filter_map_identity, reason = "it is done in place, as `flatten` is not")]
    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries.into_iter().filter_map(|entry| entry).collect()
    }

    /// The entry at a position that one of the questions below gave; `None` for a gap.
    pub(super) fn get(&self, position: usize) -> Option<&Entry> {
        #[cfg(test)]
        self.looks.set(self.looks.get() + 1);
        self.entries.get(position)?.as_ref()
    }

    /// Where the entry at `position` stands when the gaps are closed. The one thing that takes
    /// longer the more entries there are: for messages.
    pub(super) fn place_of(&self, position: usize) -> usize {
        self.entries.iter().take(position).flatten().count()
    }

    /// The place of an entry that would be appended.
    pub(super) fn end(&self) -> usize {
        self.place_of(self.entries.len())
    }

    pub(super) fn push(&mut self, entry: Entry) {
        let position = self.entries.len();
        self.note(position, &entry);
        self.entries.push(Some(entry));
    }

    pub(super) fn set(&mut self, position: usize, entry: Entry) {
        self.take(position);
        self.note(position, &entry);
        self.entries[position] = Some(entry);
    }

    pub(super) fn take(&mut self, position: usize) {
        let Some(entry) = self.entries.get_mut(position).and_then(Option::take) else { return };
        let digest = digest_of(&entry);
        match entry.name() {
            Some(name) => forget(&mut self.names, name, position),
            None => forget(&mut self.nameless, &digest, position),
        }
        if let Some(ref_name) = entry.ref_name()
            && let Some(holders) = self.ref_names.get_mut(ref_name)
            && let Some(positions) = holders.get_mut(&digest)
        {
            positions.remove(&position);
            if positions.is_empty() {
                holders.remove(&digest);
            }
        }
        forget(&mut self.digests, &digest, position);
    }

    /// Who has this name, in order.
    pub(super) fn with_name(&self, name: &Name) -> impl Iterator<Item = usize> {
        self.names.get(name).into_iter().flatten().copied()
    }

    /// Who has this ref.name, in no order that means anything.
    pub(super) fn with_ref_name(&self, ref_name: &str) -> impl Iterator<Item = usize> {
        self.ref_names.get(ref_name).into_iter().flat_map(BTreeMap::values).flatten().copied()
    }

    /// Who of another digest has this ref.name, in order.
    pub(super) fn others_with_ref_name(&self, ref_name: &str, digest: Option<&str>) -> BTreeSet<usize> {
        let holders = self.ref_names.get(ref_name).into_iter().flatten();
        let others = holders.filter(|(other, _)| other.as_deref() != digest);
        others.flat_map(|(_, positions)| positions).copied().collect()
    }

    pub(super) fn has_digest(&self, digest: Option<&str>) -> bool {
        self.digests.contains_key(&digest.map(str::to_owned))
    }

    /// The nameless entries of this digest, in order.
    pub(super) fn nameless(&self, digest: Option<&str>) -> impl Iterator<Item = usize> {
        self.nameless.get(&digest.map(str::to_owned)).into_iter().flatten().copied()
    }

    fn note(&mut self, position: usize, entry: &Entry) {
        let asked = &self.asked;
        let is_digest_asked = asked.digests.contains(&entry.digest_text());
        if is_digest_asked {
            self.digests.entry(digest_of(entry)).or_default().insert(position);
        }
        if let Some(ref_name) = entry.ref_name().filter(|ref_name| asked.ref_names.contains(*ref_name)) {
            let holders = self.ref_names.entry(ref_name.to_owned()).or_default();
            holders.entry(digest_of(entry)).or_default().insert(position);
        }
        if !is_digest_asked && !asked.may_be_called_so(entry) {
            return;
        }
        match entry.name() {
            Some(name) if asked.names.contains(name) => {
                self.names.entry(name.clone()).or_default().insert(position);
            }
            None if is_digest_asked => {
                self.nameless.entry(digest_of(entry)).or_default().insert(position);
            }
            _ => {}
        }
    }
}

fn digest_of(entry: &Entry) -> DigestText {
    entry.digest_text().map(str::to_owned)
}

fn forget<K: std::hash::Hash + Eq>(index: &mut HashMap<K, BTreeSet<usize>>, key: &K, position: usize) {
    if let Some(positions) = index.get_mut(key) {
        positions.remove(&position);
        if positions.is_empty() {
            index.remove(key);
        }
    }
}
