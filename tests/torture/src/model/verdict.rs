//! What the model says `verify` finds.

use std::collections::{BTreeMap, BTreeSet};

use super::reach::{Reach, Role};
use super::state::{Blob, Model};

/// What is found: its kind, its digest, and the images concerned.
pub(super) type Finding = (String, Option<String>, BTreeSet<String>);

impl Model<'_> {
    pub(super) fn findings(&self) -> BTreeSet<Finding> {
        let needed = self.needed();
        let entries = self.entries.iter().filter(|entry| !entry.is_strange);
        let roots: Vec<(String, Reach)> =
            entries.map(|entry| (entry.label(), self.concerns(&entry.digest, &needed))).collect();
        let concerned = |digest: &str| {
            roots.iter().filter(|(_, reach)| reach.has(digest)).map(|(label, _)| label.clone()).collect()
        };
        let mut found = BTreeSet::new();
        let digests: BTreeSet<&String> = needed.0.keys().chain(self.blobs.keys()).collect();
        for digest in digests {
            let no_roles = BTreeSet::new();
            let roles = needed.0.get(digest).unwrap_or(&no_roles);
            if let Some(kind) = kind(roles, self.blobs.get(digest).copied()) {
                found.insert((kind.to_owned(), Some(digest.clone()), concerned(digest)));
            }
        }
        for entry in self.entries.iter().filter(|entry| entry.is_strange) {
            found.insert(("broken-entry".to_owned(), None, BTreeSet::from([entry.label()])));
        }
        let mut digests: BTreeMap<String, BTreeSet<&String>> = BTreeMap::new();
        for entry in &self.entries {
            if let Some(name) = entry.name() {
                digests.entry(name.text().to_owned()).or_default().insert(&entry.digest);
            }
        }
        for (name, _) in digests.into_iter().filter(|(_, digests)| digests.len() > 1) {
            found.insert(("ambiguous-name".to_owned(), None, BTreeSet::from([name])));
        }
        found
    }
}

/// What is to be said of a blob that is needed in these roles.
fn kind(roles: &BTreeSet<Role>, blob: Option<Blob>) -> Option<&'static str> {
    Some(match blob {
        Some(Blob::Whole) if roles.is_empty() => "orphan",
        Some(Blob::Whole) => return None,
        Some(Blob::Cut(_)) if roles.is_empty() => "corrupt",
        Some(Blob::Cut(_)) => "wrong-size",
        None if roles.contains(&Role::Root) => "missing-root",
        None if roles.contains(&Role::Part) => "missing",
        None if roles.contains(&Role::Child) => "sparse",
        None => "missing-subject",
    })
}
