//! Taking entries out of index.json: named, matched by a pattern, or nameless.
//!
//! Blobs are not touched; that is for gc. Nameless referrers (signatures, attestations) of what
//! goes away go with it, and only those.

mod referrers;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use referrers::orphans as orphan_referrers;

use crate::error::{Error, Result};
use crate::index::commit::commit;
use crate::index::{Document, edit};
use crate::lock::Writing;
use crate::name::Pattern;
use crate::repository::Repository;

/// What to take out. Fill it with `..Selection::default()`, which selects nothing: any release may add
/// fields.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Names, digests or positions, each of which must be there.
    pub queries: Vec<String>,
    /// Patterns over names, each of which must match something.
    pub globs: Vec<Pattern>,
    /// All nameless entries.
    pub untagged: bool,
    /// Leave nameless referrers of what goes.
    pub keep_referrers: bool,
}

/// Why an entry goes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It was selected.
    Selected,
    /// It is a nameless referrer of something that goes.
    ReferrerOf(String),
}

/// An entry that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removal {
    /// Its name; `None` for a nameless one.
    pub reference: Option<String>,
    /// Its digest as it is spelled, if it has one.
    pub digest: Option<String>,
    /// How to call it in a message.
    pub label: String,
    /// Why it goes.
    pub reason: Reason,
}

/// What a removal will do, or did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RemovalPlan {
    /// The entries that go, in index order.
    pub removals: Vec<Removal>,
    /// Documents that could not be read, so that all referrers stay.
    pub unreadable: Vec<String>,
    positions: BTreeSet<usize>,
}

/// Decides what goes, without changing anything.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Ambiguous`] and [`Error::NoMatch`], when a query or a pattern does not select.
pub fn plan(repository: &Repository, document: &Document, selection: &Selection) -> Result<RemovalPlan> {
    let mut selected: BTreeMap<usize, Reason> = BTreeMap::new();
    for query in &selection.queries {
        selected.extend(select(repository, document, query)?.into_iter().map(|n| (n, Reason::Selected)));
    }
    for pattern in &selection.globs {
        let matched = repository.resolve_glob(document, pattern)?;
        selected.extend(matched.into_iter().map(|n| (n, Reason::Selected)));
    }
    if selection.untagged {
        let nameless = document.entries().iter().enumerate().filter(|(_, entry)| !entry.is_named());
        selected.extend(nameless.map(|(n, _)| (n, Reason::Selected)));
    }
    let mut unreadable = Vec::new();
    if !selection.keep_referrers {
        let roots: Vec<usize> = selected.keys().copied().collect();
        let cascade = referrers::left_behind(repository, document, &roots)?;
        selected.extend(cascade.taken.into_iter().map(|(n, subject)| (n, Reason::ReferrerOf(subject))));
        unreadable = cascade.unreadable;
    }
    let mut plan = RemovalPlan { unreadable, ..RemovalPlan::default() };
    for (position, reason) in selected {
        let entry = &document.entries()[position];
        plan.positions.insert(position);
        plan.removals.push(Removal {
            reference: entry.name().map(|name| name.to_string()),
            digest: entry.digest_text().map(str::to_owned),
            label: entry.label(position),
            reason,
        });
    }
    Ok(plan)
}

/// Takes entries out. Planned and done under one lock, so that the plan cannot be out of date.
///
/// # Errors
/// Those of [`plan`], [`Error::LockTimeout`], and when index.json cannot be replaced.
pub fn remove(lock: &impl Writing, selection: &Selection) -> Result<RemovalPlan> {
    let repository = lock.repository();
    commit(repository, &mut || Ok(()), &mut |document, policy| {
        let plan = plan(repository, document, selection)?;
        edit::remove_at(document, policy, &plan.positions);
        Ok(plan)
    })
}

/// The entries that one query selects. All of them must be the same name, or the same entry: a
/// digest that goes by several names does not say which to remove.
fn select(repository: &Repository, document: &Document, query: &str) -> Result<Vec<usize>> {
    let found = repository.resolve(document, query)?;
    let name = |position: &usize| document.entries()[*position].name();
    if found.positions.iter().any(|position| name(position) != name(&found.positions[0])) {
        let candidates =
            found.positions.iter().map(|&n| format!("@{n} {}", document.entries()[n].label(n))).collect();
        return Err(Error::Ambiguous { query: query.to_owned(), candidates });
    }
    Ok(found.positions)
}
