//! What the model says is needed: everything that the entries lead to, and what is about that.

use std::collections::{BTreeMap, BTreeSet};

use super::catalogue::Links;
use super::state::Model;

/// How a blob is met on the way from the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// An entry of index.json.
    Root,
    /// From `manifests`.
    Child,
    /// From `subject`.
    Subject,
    /// Not listed, but about something that is needed.
    Referrer,
    /// A config, a layer or another part: never opened.
    Part,
}

/// Every blob that is needed, there or not, with every role it is met in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reach(pub(super) BTreeMap<String, BTreeSet<Role>>);

impl Reach {
    pub(super) fn has(&self, digest: &str) -> bool {
        self.0.contains_key(digest)
    }

    /// Whether a blob has to be opened.
    pub(super) fn is_document(&self, digest: &str) -> bool {
        self.0.get(digest).is_some_and(|roles| roles.iter().any(|role| *role != Role::Part))
    }
}

impl Model<'_> {
    /// What a document names; nothing if it cannot be read.
    pub(super) fn links(&self, digest: &str) -> Option<&Links> {
        self.catalogue.links.get(digest).filter(|_| self.is_whole(digest))
    }

    /// Everything that these entries need.
    pub(super) fn reach<'e>(&self, roots: impl IntoIterator<Item = &'e String>) -> Reach {
        let unlisted = self.unlisted(&self.walk(self.usable(), &[]));
        self.walk(roots, &unlisted)
    }

    /// Everything of which `verify` says that an entry needs it. That is told by digest alone: where a manifest is
    /// somebody's layer too, what it names counts for them as well.
    pub(super) fn concerns(&self, entry: &String, needed: &Reach) -> Reach {
        let mut all = self.reach([entry]);
        loop {
            let is_opened = |digest: &&String| needed.is_document(digest) && !all.is_document(digest);
            let Some(part) = all.0.keys().find(is_opened).cloned() else { return all };
            for (digest, roles) in self.reach([&part]).0 {
                all.0.entry(digest).or_default().extend(roles);
            }
        }
    }

    /// Everything that all entries need.
    pub(super) fn needed(&self) -> Reach {
        self.reach(self.usable())
    }

    /// The digests of the entries that can be used.
    pub(super) fn usable(&self) -> impl Iterator<Item = &String> {
        self.entries.iter().filter(|entry| !entry.is_strange).map(|entry| &entry.digest)
    }

    /// Documents on the disk that are about something and that nothing in `listed` needs.
    pub(super) fn unlisted(&self, listed: &Reach) -> Vec<(String, String)> {
        let about = |digest: &String| Some((digest.clone(), self.links(digest)?.subject.clone()?));
        self.blobs.keys().filter(|digest| !listed.has(digest)).filter_map(about).collect()
    }

    /// Follows everything, and each of `unlisted`, a document with what it is about, once that is met.
    pub(super) fn walk<'e>(
        &self,
        roots: impl IntoIterator<Item = &'e String>,
        unlisted: &[(String, String)],
    ) -> Reach {
        let mut reach = Reach::default();
        let mut open: Vec<(String, Role)> =
            roots.into_iter().map(|root| (root.clone(), Role::Root)).collect();
        while let Some((digest, role)) = open.pop() {
            let about = unlisted.iter().filter(|(_, subject)| *subject == digest);
            open.extend(
                about.filter(|(one, _)| !reach.has(one)).map(|(one, _)| (one.clone(), Role::Referrer)),
            );
            if !reach.0.entry(digest.clone()).or_default().insert(role) || role == Role::Part {
                continue;
            }
            let Some(links) = self.links(&digest) else { continue };
            open.extend(links.children.iter().map(|child| (child.clone(), Role::Child)));
            open.extend(links.subject.iter().map(|subject| (subject.clone(), Role::Subject)));
            open.extend(links.parts.iter().map(|part| (part.clone(), Role::Part)));
        }
        reach
    }

    /// What is reached from a document by `manifests` alone. `None` if an index on the way cannot be read.
    pub(super) fn reached_by_manifests(&self, digest: &str) -> (BTreeSet<String>, bool) {
        let mut reached = BTreeSet::new();
        let mut all_read = true;
        let mut open = vec![digest.to_owned()];
        while let Some(digest) = open.pop() {
            if !reached.insert(digest.clone()) {
                continue;
            }
            match self.links(&digest) {
                Some(links) => open.extend(links.children.iter().cloned()),
                None => all_read &= !self.catalogue.links.get(&digest).is_some_and(|links| links.is_index),
            }
        }
        (reached, all_read)
    }

    /// Whether an image can be used: all of it is there, referrers and subjects aside.
    pub(super) fn is_complete(&self, digest: &str) -> bool {
        let Some(links) = self.links(digest) else { return false };
        links.children.iter().all(|child| self.is_complete(child))
            && links.parts.iter().all(|part| self.is_whole(part))
    }
}
