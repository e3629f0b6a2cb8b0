//! Which nameless referrers go when something else goes.
//!
//! A referrer goes along if its subject is among what was removed (children of a removed index
//! included) and no remaining entry reaches that subject by `manifests`; then the same holds for
//! referrers of that referrer, to a fixpoint. If a remaining index cannot be read, what it reaches
//! is unknown, and every referrer stays.

use std::collections::HashSet;

use crate::digest::Digest;
use crate::error::Result;
use crate::graph::{Class, Descriptor, Link, Walk};
use crate::index::{Document, Entry};
use crate::parallel::in_parallel;
use crate::repository::Repository;

/// What goes along with a removal.
#[derive(Debug, Default)]
pub(super) struct Cascade {
    /// Positions of the referrers that go, each with its subject.
    pub(super) taken: Vec<(usize, String)>,
    /// Remaining documents that could not be read.
    pub(super) unreadable: Vec<String>,
}

/// A nameless entry that is about another document.
#[derive(Debug)]
struct Referrer<'d> {
    position: usize,
    descriptor: &'d Descriptor,
    subject: Digest,
}

/// The nameless referrers that go along when the entries at `removed` go.
pub(super) fn left_behind(
    repository: &Repository,
    document: &Document,
    removed: &[usize],
) -> Result<Cascade> {
    let removed: HashSet<usize> = removed.iter().copied().collect();
    let mut open = referrers(repository, document, &removed);
    if open.is_empty() {
        return Ok(Cascade::default());
    }
    let candidates: HashSet<usize> = open.iter().map(|referrer| referrer.position).collect();
    let mut gone = Reach::default();
    let mut left = Reach::default();
    for (position, entry) in document.entries().iter().enumerate() {
        if let Ok(descriptor) = entry.descriptor() {
            if removed.contains(&position) {
                gone.extend(repository, descriptor);
            } else if !candidates.contains(&position) {
                left.extend(repository, descriptor);
            }
        }
    }
    let mut cascade = Cascade { unreadable: left.unreadable.clone(), ..Cascade::default() };
    if !left.unreadable.is_empty() {
        return Ok(cascade);
    }
    loop {
        // Referrers that stay are remaining entries too, and may be indexes with children.
        let mut kept = Reach::default();
        for referrer in &open {
            kept.extend(repository, referrer.descriptor);
        }
        let goes = |referrer: &Referrer<'_>| {
            gone.reached.contains(&referrer.subject)
                && !left.reached.contains(&referrer.subject)
                && !kept.reached.contains(&referrer.subject)
        };
        let (taken, rest): (Vec<_>, Vec<_>) = open.into_iter().partition(goes);
        if taken.is_empty() {
            return Ok(cascade);
        }
        for referrer in taken {
            gone.extend(repository, referrer.descriptor);
            cascade.taken.push((referrer.position, referrer.subject.to_string()));
        }
        open = rest;
    }
}

/// Positions of nameless referrers whose subject nothing else keeps alive.
pub(crate) fn orphans(repository: &Repository, document: &Document) -> Result<Vec<usize>> {
    let mut open = referrers(repository, document, &HashSet::new());
    if open.is_empty() {
        return Ok(Vec::new());
    }
    let candidates: HashSet<usize> = open.iter().map(|referrer| referrer.position).collect();
    let mut walk = Walk::new(repository.blobs(), repository.jobs());
    for (position, entry) in document.entries().iter().enumerate() {
        if !candidates.contains(&position) {
            walk.add_root(entry, Some(position), String::new());
        }
    }
    loop {
        walk.run();
        let (kept, rest): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|referrer| walk.graph().find(&referrer.subject).is_some());
        open = rest;
        if kept.is_empty() {
            return Ok(open.into_iter().map(|referrer| referrer.position).collect());
        }
        for referrer in kept {
            walk.add_root(&document.entries()[referrer.position], Some(referrer.position), String::new());
        }
    }
}

/// The nameless entries outside `removed` whose document has a subject.
fn referrers<'d>(
    repository: &Repository,
    document: &'d Document,
    removed: &HashSet<usize>,
) -> Vec<Referrer<'d>> {
    let nameless: Vec<(usize, &Entry)> = document
        .entries()
        .iter()
        .enumerate()
        .filter(|(position, entry)| !removed.contains(position) && entry.name().is_none())
        .collect();
    let found = in_parallel(&nameless, repository.jobs(), |(position, entry)| {
        let descriptor = entry.descriptor().ok()?;
        let subject = repository.document(descriptor).ok()?.subject()?.digest.clone();
        Some(Referrer { position: *position, descriptor, subject })
    });
    found.into_iter().flatten().collect()
}

/// Documents reached by `manifests` alone. Only indexes are opened for it.
#[derive(Debug, Default)]
struct Reach {
    reached: HashSet<Digest>,
    unreadable: Vec<String>,
    opened: HashSet<(Digest, Class)>,
}

impl Reach {
    fn extend(&mut self, repository: &Repository, from: &Descriptor) {
        let mut open = vec![from.clone()];
        while let Some(descriptor) = open.pop() {
            self.reached.insert(descriptor.digest.clone());
            let class = Class::of(&descriptor.media_type);
            let names_children = matches!(class, Class::Index | Class::Unknown);
            if !names_children || !self.opened.insert((descriptor.digest.clone(), class)) {
                continue;
            }
            match repository.document(&descriptor) {
                Ok(node) => open.extend(
                    node.edges
                        .into_iter()
                        .filter(|edge| matches!(edge.link, Link::Manifest | Link::Guess))
                        .map(|edge| edge.descriptor),
                ),
                Err(error) => self.unreadable.push(error.to_string()),
            }
        }
    }
}
