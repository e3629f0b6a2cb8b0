//! Who names what, and what would go with whom.
//!
//! Two questions are asked of every blob: how many images name it, and how many entries keep it in a
//! garbage collection. They differ: a signature keeps what it is about and is kept by it, but
//! takes no share in its size. What an entry alone keeps is what its removal frees.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::digest::Digest;
use crate::graph::{Fault, Graph, Link};
use crate::index::{Document, Entry};
use crate::usage::Share;

/// A blob, by its place in the graph.
type Blob = usize;

/// The graph, turned so that it can be asked downwards.
#[derive(Debug)]
pub(super) struct Shares {
    /// What each blob names, and what is about it.
    below: Vec<Vec<(Blob, Link)>>,
    sizes: Vec<u64>,
    /// The blob of each entry, by position.
    roots: Vec<Option<Blob>>,
    /// How many images name a blob.
    named_by: Vec<u32>,
    /// How many groups of entries keep a blob. What is about a document and that document keep each
    /// other and everything below them, so such entries are a group, and hold on to all until the last of
    /// them has gone.
    kept_by: Vec<u32>,
    /// The group of each blob: one blob that stands for it.
    group: Vec<Blob>,
    /// How many entries each group has.
    entries: BTreeMap<Blob, usize>,
    /// The entries of each group that never go along with others.
    steady: HashMap<Blob, BTreeSet<usize>>,
    /// How many entries list a document, directly or in an index.
    listed_by: Vec<u32>,
    /// The nameless entries that are about a document.
    about: HashMap<Blob, Vec<usize>>,
    /// Entries with an index that cannot be read: what it lists is not known.
    unread: Vec<usize>,
    /// Whether a collection would be refused.
    is_refused: bool,
}

/// Which links are followed.
fn named(link: Link) -> bool {
    !matches!(link, Link::Subject | Link::Referrer)
}

fn listed(link: Link) -> bool {
    matches!(link, Link::Manifest | Link::Guess)
}

fn kept(_: Link) -> bool {
    true
}

/// Which blobs this round has seen. Made once for many rounds.
#[derive(Debug)]
pub(super) struct Marks {
    seen: Vec<u32>,
    round: u32,
    open: Vec<Blob>,
}

impl Shares {
    /// `sizes` are those of the blobs of the graph on the disk; what bundles need is never freed, and
    /// nothing where a collection would be refused.
    pub(super) fn new(
        document: &Document,
        graph: &Graph,
        sizes: Vec<u64>,
        needed: &HashSet<Digest>,
        is_refused: bool,
    ) -> Self {
        let mut shares = Self {
            below: below(graph),
            roots: graph.roots.iter().map(|root| root.blob.map(|id| id.number())).collect(),
            named_by: vec![0; sizes.len()],
            kept_by: vec![0; sizes.len()],
            group: groups(graph),
            entries: BTreeMap::new(),
            steady: HashMap::new(),
            listed_by: vec![0; sizes.len()],
            sizes,
            about: HashMap::new(),
            unread: Vec::new(),
            is_refused,
        };
        shares.find_referrers(document);
        shares.count(&unreadable(graph));
        for (id, _) in graph.blobs().filter(|(_, blob)| needed.contains(&blob.digest)) {
            shares.kept_by[id.number()] += 1;
        }
        shares
    }

    /// The nameless entries whose document has a subject: those that go along.
    fn find_referrers(&mut self, document: &Document) {
        let nameless = |entry: &Entry| !entry.is_named();
        for (position, entry) in document.entries().iter().enumerate() {
            let Some(root) = self.roots[position] else { continue };
            let subject = self.below[root].iter().find(|(_, link)| *link == Link::Subject);
            match subject.filter(|_| nameless(entry)) {
                Some(&(subject, _)) => self.about.entry(subject).or_default().push(position),
                None => drop(self.steady.entry(self.group[root]).or_default().insert(position)),
            }
        }
    }

    /// Counts for every blob who needs it. The names of one image are followed together.
    fn count(&mut self, unreadable: &HashSet<Blob>) {
        let mut images: BTreeMap<Blob, Vec<usize>> = BTreeMap::new();
        for (position, root) in self.roots.iter().enumerate() {
            root.iter().for_each(|&root| images.entry(root).or_default().push(position));
        }
        for (&root, positions) in &images {
            *self.entries.entry(self.group[root]).or_default() += positions.len();
        }
        let mut marks = self.marks();
        let (mut named_by, mut kept_by) =
            (std::mem::take(&mut self.named_by), std::mem::take(&mut self.kept_by));
        let mut listed_by = std::mem::take(&mut self.listed_by);
        for &group in self.entries.keys() {
            self.reach(group, kept, &mut marks, |blob| kept_by[blob] += 1);
        }
        for (&root, positions) in &images {
            let names = u32::try_from(positions.len()).unwrap_or(u32::MAX);
            self.reach(root, named, &mut marks, |blob| named_by[blob] += 1);
            let mut is_unread = false;
            self.reach(root, listed, &mut marks, |blob| {
                listed_by[blob] += names;
                is_unread |= unreadable.contains(&blob);
            });
            if is_unread {
                self.unread.extend(positions);
            }
        }
        (self.named_by, self.kept_by, self.listed_by) = (named_by, kept_by, listed_by);
    }

    pub(super) fn marks(&self) -> Marks {
        Marks { seen: vec![0; self.sizes.len()], round: 0, open: Vec::new() }
    }

    /// Visits each blob once that is reached from `root` over links of one kind.
    fn reach(&self, root: Blob, follows: fn(Link) -> bool, marks: &mut Marks, mut visit: impl FnMut(Blob)) {
        marks.round += 1;
        marks.open.push(root);
        while let Some(blob) = marks.open.pop() {
            if std::mem::replace(&mut marks.seen[blob], marks.round) != marks.round {
                visit(blob);
                let below = self.below[blob].iter().filter(|(_, link)| follows(*link));
                marks.open.extend(below.map(|(blob, _)| blob));
            }
        }
    }

    /// What every entry takes, in order.
    pub(super) fn all(&self) -> Vec<Share> {
        let mut marks = self.marks();
        (0..self.roots.len()).map(|position| self.of(&[position], &mut marks)).collect()
    }

    /// What all images would take if they shared nothing.
    pub(super) fn sum(&self) -> u64 {
        self.sizes
            .iter()
            .zip(&self.named_by)
            .map(|(size, count)| size.saturating_mul(u64::from(*count)))
            .sum()
    }

    /// What some entries take together.
    pub(super) fn of(&self, positions: &[usize], marks: &mut Marks) -> Share {
        let mut share = Share { frees: self.frees(positions, marks), ..Share::default() };
        let roots: BTreeSet<Blob> = positions.iter().filter_map(|&position| self.roots[position]).collect();
        let mut count: HashMap<Blob, u32> = HashMap::new();
        for &root in &roots {
            self.reach(root, named, marks, |blob| *count.entry(blob).or_default() += 1);
        }
        for (blob, count) in count {
            share.total += self.sizes[blob];
            if self.named_by[blob] == count {
                share.unique += self.sizes[blob];
            }
        }
        share
    }

    fn frees(&self, positions: &[usize], marks: &mut Marks) -> Option<u64> {
        if self.is_refused {
            return None;
        }
        // All that goes along hangs on those that were chosen, and so on what holds them.
        let is_held = |position: &usize| {
            let steady = self.roots[*position].and_then(|root| self.steady.get(&self.group[root]));
            steady.is_some_and(|steady| steady.iter().any(|other| !positions.contains(other)))
        };
        if positions.len() == 1 && positions.iter().all(is_held) {
            return Some(0);
        }
        let mut gone: BTreeMap<Blob, usize> = BTreeMap::new();
        for root in self.removed_with(positions, marks).into_iter().filter_map(|it| self.roots[it]) {
            *gone.entry(self.group[root]).or_default() += 1;
        }
        let mut count: HashMap<Blob, u32> = HashMap::new();
        for (group, _) in gone.into_iter().filter(|(group, entries)| self.entries[group] == *entries) {
            self.reach(group, kept, marks, |blob| *count.entry(blob).or_default() += 1);
        }
        let freed = count.iter().filter(|(blob, count)| self.kept_by[**blob] == **count);
        Some(freed.map(|(&blob, _)| self.sizes[blob]).sum())
    }

    /// The entries that go when some do: nameless ones about what no entry that stays lists go along,
    /// to a fixpoint, as `remove` has it. While an index that stays cannot be read, none do.
    fn removed_with(&self, positions: &[usize], marks: &mut Marks) -> BTreeSet<usize> {
        let chosen: BTreeSet<usize> = positions.iter().copied().collect();
        if self.about.is_empty() {
            return chosen;
        }
        let mut gone = chosen.clone();
        let mut open: Vec<usize> = chosen.iter().copied().collect();
        let mut count: HashMap<Blob, u32> = HashMap::new();
        while let Some(position) = open.pop() {
            let Some(root) = self.roots[position] else { continue };
            self.reach(root, listed, marks, |blob| {
                let count = count.entry(blob).or_default();
                *count += 1;
                if *count == self.listed_by[blob] {
                    let referrers = self.about.get(&blob).into_iter().flatten();
                    open.extend(referrers.filter(|&&referrer| gone.insert(referrer)));
                }
            });
        }
        if self.unread.iter().all(|position| gone.contains(position)) { gone } else { chosen }
    }
}

/// The blob that stands for the group of each: documents are grouped with what they are about.
fn groups(graph: &Graph) -> Vec<Blob> {
    fn top(groups: &mut [Blob], mut blob: Blob) -> Blob {
        while groups[blob] != blob {
            groups[blob] = groups[groups[blob]];
            blob = groups[blob];
        }
        blob
    }
    let mut groups: Vec<Blob> = (0..graph.blobs().len()).collect();
    for (id, _) in graph.blobs() {
        for (referrer, _) in graph.parents(id).filter(|(_, link)| *link == Link::Subject) {
            let (one, other) = (top(&mut groups, id.number()), top(&mut groups, referrer.number()));
            groups[one] = other;
        }
    }
    (0..groups.len()).map(|blob| top(&mut groups, blob)).collect()
}

/// The links of a graph from above to below. What is about a document hangs below it as well: that
/// alone keeps it, listed or not.
fn below(graph: &Graph) -> Vec<Vec<(Blob, Link)>> {
    let mut below = vec![Vec::new(); graph.blobs().len()];
    for (id, _) in graph.blobs() {
        for (parent, link) in graph.parents(id) {
            below[parent.number()].push((id.number(), link));
            if link == Link::Subject {
                below[id.number()].push((parent.number(), Link::Referrer));
            }
        }
    }
    below
}

/// Documents that may list others and cannot be read.
fn unreadable(graph: &Graph) -> HashSet<Blob> {
    let faults = graph.faults.iter().filter_map(|fault| match fault {
        Fault::Broken { blob, .. } | Fault::Missing { blob } => Some(*blob),
        Fault::BrokenEntry { .. } => None,
    });
    faults.filter(|&blob| graph.blob(blob).may_list()).map(|blob| blob.number()).collect()
}
