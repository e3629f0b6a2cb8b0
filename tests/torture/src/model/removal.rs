//! What the model says goes when something goes: entries, their referrers, and blobs.

use std::collections::BTreeSet;

use super::names::{Name, Policy};
use super::naming::Query;
use super::reach::{Reach, Role};
use super::state::{Blob, Model, Refusal};

/// What a collection does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Collected {
    /// Whether nothing may be swept.
    pub(super) is_refused: bool,
    /// Nameless referrers that go.
    pub(super) pruned: Vec<String>,
    /// Blobs that go.
    pub(super) swept: BTreeSet<String>,
}

impl Model<'_> {
    /// Takes entries out, by what they are called or for want of a name, and what was about them. Tells the
    /// positions.
    pub(super) fn remove(
        &mut self,
        queries: &[Query],
        untagged: bool,
        keep_referrers: bool,
    ) -> Result<BTreeSet<usize>, Refusal> {
        let mut gone = BTreeSet::new();
        for query in queries {
            let found = self.resolve(query)?;
            let name = |n: usize| self.entries[n].name();
            // A digest that goes by several names does not say which one is to go.
            if found.iter().any(|&n| name(n) != name(found[0])) {
                return Err(Refusal::Conflict);
            }
            gone.extend(found);
        }
        if untagged {
            gone.extend((0..self.entries.len()).filter(|&n| self.entries[n].name().is_none()));
        }
        if !keep_referrers {
            self.take_referrers(&mut gone);
        }
        self.take_out(&gone);
        Ok(gone)
    }

    /// Adds to `gone` every nameless referrer of what goes and nothing that stays reaches by `manifests`.
    fn take_referrers(&self, gone: &mut BTreeSet<usize>) {
        let subject = |n: usize| -> Option<&String> {
            let entry = self.entries.get(n).filter(|entry| entry.name().is_none() && !entry.is_strange)?;
            self.links(&entry.digest)?.subject.as_ref()
        };
        let all = 0..self.entries.len();
        let selected = gone.clone();
        let by_manifests = |n: usize| {
            let entry = &self.entries[n];
            if entry.is_strange { (BTreeSet::new(), true) } else { self.reached_by_manifests(&entry.digest) }
        };
        loop {
            // Something that stays and cannot be read may reach anything.
            let certain = |n: usize| selected.contains(&n) || subject(n).is_some() || by_manifests(n).1;
            let stays = |digest: &String| {
                all.clone().any(|n| !gone.contains(&n) && by_manifests(n).0.contains(digest))
            };
            let goes = |digest: &String| gone.iter().any(|&n| by_manifests(n).0.contains(digest));
            let next = all.clone().find(|&n| {
                !gone.contains(&n) && subject(n).is_some_and(|subject| goes(subject) && !stays(subject))
            });
            match next.filter(|_| all.clone().all(certain)) {
                Some(n) => gone.insert(n),
                None => return,
            };
        }
    }

    /// Takes entries out. A ref.name that goes with one of them passes on to the first name that should have it.
    fn take_out(&mut self, gone: &BTreeSet<usize>) {
        let policy = self.policy();
        let mut freed: Vec<String> = gone.iter().filter_map(|&n| self.entries[n].ref_name.clone()).collect();
        let mut position = 0..;
        self.entries.retain(|_| position.next().is_none_or(|n| !gone.contains(&n)));
        if policy == Policy::Full {
            return;
        }
        freed.retain(|ref_name| self.entries.iter().all(|entry| entry.ref_name.as_ref() != Some(ref_name)));
        for entry in &mut self.entries {
            let Some(name @ Name::Full(_)) = entry.name().filter(|_| entry.ref_name.is_none()) else {
                continue;
            };
            let ref_name = name.ref_name(policy).to_owned();
            if freed.contains(&ref_name) {
                freed.retain(|one| *one != ref_name);
                let image_name = entry.image_name.clone();
                entry.rename(image_name.as_deref(), Some(&ref_name));
            }
        }
    }

    /// Collects garbage.
    pub(super) fn collect(&mut self, prune: bool, ignore_missing_roots: bool) -> Collected {
        let before = self.clone();
        let pruned = if prune { self.prune() } else { Vec::new() };
        let needed = self.needed();
        let is_garbage = |digest: &&String| !needed.has(digest);
        let swept: BTreeSet<String> = self.blobs.keys().filter(is_garbage).cloned().collect();
        let is_ours = self.is_ours || !pruned.is_empty();
        let is_refused = self.has_broken(&needed)
            || (!ignore_missing_roots && self.has_missing_root(&needed))
            || (self.entries.is_empty() && !is_ours && !swept.is_empty());
        if is_refused {
            *self = before;
            return Collected { is_refused, ..Collected::default() };
        }
        if !pruned.is_empty() {
            self.settle(&before);
        }
        self.blobs.retain(|digest, _| !swept.contains(digest));
        Collected { is_refused, pruned, swept }
    }

    /// Takes out the nameless referrers whose subject nothing else keeps, and tells which.
    fn prune(&mut self) -> Vec<String> {
        let is_candidate = |n: usize| {
            let entry = &self.entries[n];
            let is_referrer = self.links(&entry.digest).is_some_and(|links| links.subject.is_some());
            entry.name().is_none() && !entry.is_strange && is_referrer
        };
        let all = 0..self.entries.len();
        let (mut open, kept): (Vec<usize>, Vec<usize>) = all.partition(|&n| is_candidate(n));
        let mut kept: Vec<&String> = kept
            .into_iter()
            .map(|n| &self.entries[n])
            .filter(|entry| !entry.is_strange)
            .map(|entry| &entry.digest)
            .collect();
        // What is not listed keeps things as well, if it is about something that is kept.
        let mut unlisted = self.unlisted(&self.walk(kept.iter().copied(), &[]));
        unlisted.retain(|(digest, _)| open.iter().all(|&n| self.entries[n].digest != *digest));
        loop {
            let reach = self.walk(kept.iter().copied(), &unlisted);
            let is_kept = |n: &usize| {
                let subject = self.links(&self.entries[*n].digest).and_then(|links| links.subject.as_ref());
                subject.is_some_and(|subject| reach.has(subject))
            };
            let Some(at) = open.iter().position(is_kept) else { break };
            kept.push(&self.entries[open.remove(at)].digest);
        }
        let pruned = open.iter().map(|&n| self.entries[n].digest.clone()).collect();
        let mut position = 0..;
        self.entries.retain(|_| position.next().is_none_or(|n| !open.contains(&n)));
        pruned
    }

    /// Whether something that has to be opened cannot be trusted.
    fn has_broken(&self, needed: &Reach) -> bool {
        let is_cut = |digest: &String| matches!(self.blobs.get(digest), Some(Blob::Cut(_)));
        self.entries.iter().any(|entry| entry.is_strange)
            || needed.0.keys().any(|digest| needed.is_document(digest) && is_cut(digest))
    }

    fn has_missing_root(&self, needed: &Reach) -> bool {
        needed.0.iter().any(|(digest, roles)| roles.contains(&Role::Root) && !self.blobs.contains_key(digest))
    }
}
