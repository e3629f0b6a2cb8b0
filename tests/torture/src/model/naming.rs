//! What the model says of names: putting an entry under one, finding entries by one, changing the policy.

use super::names::{Name, Policy};
use super::state::{Entry, Model, Refusal};
use super::text::Members;

/// What putting one entry did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The digest that had the name.
    pub(super) previous: Option<String>,
    /// Whether nothing had to be changed.
    pub(super) unchanged: bool,
    /// How many entries lost their name to it.
    pub(super) displaced: usize,
}

/// An entry that shall be there.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) digest: String,
    pub(super) rest: Members,
    pub(super) name: Option<Name>,
    pub(super) replace: bool,
}

/// How somebody asks for an image.
#[derive(Debug, Clone)]
pub(super) enum Query {
    Position(usize),
    Digest(String),
    Prefix(String),
    Name(Name),
}

impl Model<'_> {
    /// Puts entries one after the other: all of them, or none.
    pub(super) fn put_all(&mut self, wanted: &[Wanted]) -> Result<Vec<Outcome>, Refusal> {
        let policy = self.policy();
        let before = self.entries.clone();
        let outcomes: Result<Vec<_>, _> = wanted.iter().map(|one| self.put(policy, one)).collect();
        if outcomes.is_err() {
            self.entries = before;
        }
        outcomes
    }

    /// Whether one of those that come in together would take its ref.name from another of them.
    pub(super) fn collide(&self, wanted: &[Wanted]) -> bool {
        let mut alone = Self { policy: Some(self.policy()), ..Self::new(self.catalogue) };
        let without_force: Vec<Wanted> =
            wanted.iter().map(|one| Wanted { replace: false, ..one.clone() }).collect();
        alone.policy == Some(Policy::Tag) && alone.put_all(&without_force).is_err()
    }

    fn put(&mut self, policy: Policy, wanted: &Wanted) -> Result<Outcome, Refusal> {
        let Some(name) = &wanted.name else { return Ok(self.put_nameless(wanted)) };
        let ref_name = name.ref_name(policy);
        let is_in_the_way = |entry: &Entry| {
            entry.digest != wanted.digest
                && entry.ref_name.as_deref() == Some(ref_name)
                && entry.name().is_some_and(|held| held != *name)
        };
        let before = self.entries.len();
        if self.entries.iter().any(is_in_the_way) && !wanted.replace {
            return Err(Refusal::Conflict);
        }
        self.entries.retain(|entry| !is_in_the_way(entry));
        let displaced = before - self.entries.len();

        let holders: Vec<usize> = self.positions(|entry| entry.name().as_ref() == Some(name));
        let other = holders.iter().map(|&n| &self.entries[n].digest).find(|digest| **digest != wanted.digest);
        let (previous, unchanged) = match (holders.first(), other.cloned()) {
            (Some(_), None) => (Some(wanted.digest.clone()), displaced == 0),
            (Some(&first), Some(other)) => {
                self.entries[first] = self.entry(policy, wanted, name);
                let mut position = 0..;
                self.entries.retain(|entry| {
                    let n = position.next().unwrap_or_default();
                    let is_leftover =
                        holders.contains(&n) || (entry.name().is_none() && entry.digest == wanted.digest);
                    n == first || !is_leftover
                });
                (Some(other), false)
            }
            (None, _) => {
                let nameless =
                    self.positions(|entry| entry.name().is_none() && entry.digest == wanted.digest);
                let named = self.entry(policy, wanted, name);
                match nameless.first() {
                    Some(&n) => {
                        self.entries[n].rename(named.image_name.as_deref(), named.ref_name.as_deref());
                    }
                    None => self.entries.push(named),
                }
                (None, false)
            }
        };
        Ok(Outcome { previous, unchanged, displaced })
    }

    fn put_nameless(&mut self, wanted: &Wanted) -> Outcome {
        let unchanged = self.entries.iter().any(|entry| entry.digest == wanted.digest);
        if !unchanged {
            self.entries.push(Entry {
                digest: wanted.digest.clone(),
                image_name: None,
                ref_name: None,
                rest: wanted.rest.clone(),
                text: None,
                is_strange: false,
            });
        }
        Outcome { previous: None, unchanged, displaced: 0 }
    }

    /// The entry under its name. A ref.name is written once: another name of the image may have it.
    fn entry(&self, policy: Policy, wanted: &Wanted, name: &Name) -> Entry {
        let ref_name = name.ref_name(policy);
        let is_written = |entry: &Entry| {
            entry.ref_name.as_deref() == Some(ref_name) && entry.name().as_ref() != Some(name)
        };
        let free = !self.entries.iter().any(is_written);
        Entry {
            digest: wanted.digest.clone(),
            image_name: name.image_name().map(str::to_owned),
            ref_name: free.then(|| ref_name.to_owned()),
            rest: wanted.rest.clone(),
            text: None,
            is_strange: false,
        }
    }

    fn positions(&self, fits: impl Fn(&Entry) -> bool) -> Vec<usize> {
        self.entries.iter().enumerate().filter(|(_, entry)| fits(entry)).map(|(n, _)| n).collect()
    }

    /// The entries that a query means, all of one digest.
    pub(super) fn resolve(&self, query: &Query) -> Result<Vec<usize>, Refusal> {
        let found = match query {
            Query::Position(n) => (*n < self.entries.len()).then_some(*n).into_iter().collect(),
            Query::Digest(digest) => self.positions(|entry| entry.digest == *digest),
            Query::Prefix(prefix) => {
                self.positions(|entry| entry.digest.starts_with(prefix) && !entry.is_strange)
            }
            Query::Name(name) => {
                let named = self.positions(|entry| entry.name().as_ref() == Some(name));
                if named.is_empty() {
                    self.positions(|entry| entry.ref_name.as_deref() == Some(name.text()))
                } else {
                    named
                }
            }
        };
        let first = *found.first().ok_or(Refusal::NotFound)?;
        let is_one = found.iter().all(|&n| self.entries[n].digest == self.entries[first].digest);
        if is_one { Ok(found) } else { Err(Refusal::Conflict) }
    }

    /// Gives the image that a query means more names.
    pub(super) fn tag(
        &mut self,
        query: &Query,
        names: &[Name],
        replace: bool,
    ) -> Result<Vec<Outcome>, Refusal> {
        let found = self.entries[self.resolve(query)?[0]].clone();
        if found.is_strange {
            return Err(Refusal::Corrupt);
        }
        let wanted = |name: &Name| Wanted {
            digest: found.digest.clone(),
            rest: found.rest.clone(),
            name: Some(name.clone()),
            replace,
        };
        self.put_all(&names.iter().map(wanted).collect::<Vec<_>>())
    }

    /// Converts every name, unless one ref.name would then stand for two images. Tells how many ref.names are
    /// others now.
    pub(super) fn convert(&mut self, policy: Policy) -> Result<usize, Refusal> {
        let names: Vec<Option<Name>> = self.entries.iter().map(Entry::name).collect();
        let ref_name = |n: usize| names[n].as_ref().map(|name| name.ref_name(policy));
        let all = 0..self.entries.len();
        let collide = |a: usize, b: usize| {
            ref_name(a).is_some()
                && ref_name(a) == ref_name(b)
                && self.entries[a].digest != self.entries[b].digest
        };
        if all.clone().any(|a| all.clone().any(|b| collide(a, b))) {
            return Err(Refusal::Conflict);
        }
        // A tag that stands alone stays as it is, so nothing else can be written in its place.
        let mut written: Vec<&str> = match policy {
            Policy::Full => Vec::new(),
            Policy::Tag => {
                names.iter().flatten().filter(|name| matches!(name, Name::Bare(_))).map(Name::text).collect()
            }
        };
        let mut renamed = 0;
        for (entry, name) in self.entries.iter_mut().zip(&names) {
            let Some(name @ Name::Full(full)) = name else { continue };
            let ref_name = name.ref_name(policy);
            let is_free = policy == Policy::Full || !written.contains(&ref_name);
            written.push(ref_name);
            let before = entry.ref_name.clone();
            entry.rename(Some(full), is_free.then_some(ref_name));
            renamed += usize::from(before != entry.ref_name);
        }
        Ok(renamed)
    }
}
