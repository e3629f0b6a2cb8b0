//! Giving names, and changing what ref.name holds.

use crate::error::{Error, Result};
use crate::index::commit::{commit, convert, rehearse};
use crate::index::edit::{self, Put, PutOutcome};
use crate::index::{Document, Entry};
use crate::lock::{Reading, Writing};
use crate::name::{self, Name, RefPolicy};
use crate::repository::Repository;

/// What naming an image did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tagged {
    /// The digest that the name stands for now.
    pub digest: String,
    /// What happened to index.json.
    pub outcome: PutOutcome,
}

/// Gives the image that `query` means more names, all or none; a nameless entry gets its first.
/// `replace` takes a ref.name from another image that holds it.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Ambiguous`], [`Error::TagConflict`] and [`Error::LockTimeout`].
pub fn tag(lock: &impl Writing, query: &str, names: &[Name], replace: bool) -> Result<Vec<Tagged>> {
    let repository = lock.repository();
    commit(repository, &mut || Ok(()), &mut |document, policy| {
        name_entry(repository, document, policy, query, names, replace)
    })
}

/// What [`tag`] would do. Nothing is written.
///
/// # Errors
/// Those of [`tag`].
pub fn rehearse_tag(lock: &Reading<'_>, query: &str, names: &[Name], replace: bool) -> Result<Vec<Tagged>> {
    rehearse(lock, &mut |document, policy| name_entry(lock, document, policy, query, names, replace))
}

fn name_entry(
    repository: &Repository,
    document: &mut Document,
    policy: RefPolicy,
    query: &str,
    names: &[Name],
    replace: bool,
) -> Result<Vec<Tagged>> {
    let found = repository.resolve(document, query)?;
    let position = found.positions[0];
    let entry = document.entries()[position].clone();
    let digest = entry.digest().map(ToString::to_string).ok_or_else(|| Error::StrangeEntry {
        position,
        reason: entry.descriptor().err().unwrap_or("it has no digest").to_owned(),
    })?;
    let put = |name: &Name| Put { entry: entry.clone(), name: Some(name.clone()), replace };
    let puts: Vec<Put> = names.iter().map(put).collect();
    let outcomes = edit::put_all(document, policy, &puts)?;
    Ok(outcomes.into_iter().map(|outcome| Tagged { digest: digest.clone(), outcome }).collect())
}

/// What a conversion did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Converted {
    /// The policy before.
    pub from: RefPolicy,
    /// How many entries have another ref.name now.
    pub renamed: usize,
    /// Names that are the same under both policies, because they have no full form.
    pub unchanged: Vec<String>,
}

/// Converts a repository to `policy`. The intention is recorded first, so that a kill half-way is
/// finished by whoever opens the repository next.
///
/// # Errors
/// [`Error::PolicyConflict`], with nothing changed, when ref.names would collide.
pub fn set_policy(lock: &impl Writing, policy: RefPolicy) -> Result<Converted> {
    let repository = lock.repository();
    let from = repository.current_policy()?;
    convert(repository, policy, &mut |document, _| respell(document, from, policy))
}

/// What [`set_policy`] would do. Nothing is written.
///
/// # Errors
/// Those of [`set_policy`].
pub fn rehearse_set_policy(lock: &Reading<'_>, policy: RefPolicy) -> Result<Converted> {
    let from = lock.current_policy()?;
    rehearse(lock, &mut |document, _| respell(document, from, policy))
}

fn respell(document: &mut Document, from: RefPolicy, policy: RefPolicy) -> Result<Converted> {
    let ref_names = |document: &Document| -> Vec<Option<String>> {
        document.entries().iter().map(|entry| entry.ref_name().map(str::to_owned)).collect()
    };
    let before = ref_names(document);
    name::respell(document, policy)?;
    let renamed = ref_names(document).iter().zip(&before).filter(|(new, old)| new != old).count();
    Ok(Converted { from, renamed, unchanged: names_without_full_form(document) })
}

fn names_without_full_form(document: &Document) -> Vec<String> {
    document
        .entries()
        .iter()
        .filter_map(Entry::name)
        .filter(|name| !matches!(name, Name::Full(_)))
        .map(|name| name.to_string())
        .collect()
}

impl Repository {
    /// Finishes a conversion that was killed half-way, if there is one. Where nothing can be
    /// written it waits for the next opener: names are read the same either way.
    ///
    /// # Errors
    /// [`Error::LockTimeout`], and when index.json cannot be trusted.
    pub fn roll_forward(&self) -> Result<()> {
        if !self.config()?.is_some_and(|config| config.converting) {
            return Ok(());
        }
        let finished = self.lock_shared().and_then(|lock| {
            let repository = lock.repository();
            commit(repository, &mut || Ok(()), &mut |_, _| Ok(()))
        });
        match finished {
            Err(error) if error.is_not_writable() || error.is_out_of_space() => Ok(()),
            other => other,
        }
    }
}
