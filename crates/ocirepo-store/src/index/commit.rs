//! Replacing index.json: read, edit, prepare, swap, under `index.lock`.
//!
//! # Order
//! 1. the new index is written beside the old one and fsynced, and its digest goes on record
//!    ([`History`]) before it gets its name there;
//! 2. the intention to convert, if any, goes on record: a full disk is found by now, and nothing has
//!    happened;
//! 3. the caller publishes its blobs, also those that its edit brought, and makes them durable;
//! 4. index.json must still be what was read, else it all starts again from what is there now;
//! 5. the two files are swapped in one step;
//! 6. the directories are fsynced.
//!
//! A kill at any point leaves the old index or the new one, never less. An edit that changes nothing
//! makes durable what is there: it may be what a killed writer has put there.
//!
//! Step 5, and what becomes of what another tool wrote between 4 and 5, is [`super::place`].
//!
//! [`History`]: crate::repository::History

use std::sync::Arc;

use super::document::Document;
use super::place::{self, BASE, NEXT, keep_base, put_in_place, settle};
use crate::digest::Digest;
use crate::disk::{self, Dir, Identity, Owner};
use crate::error::{Error, Result};
use crate::hashing::WORTH_A_THREAD;
use crate::name::{self, RefPolicy};
use crate::parallel::beside;
use crate::repository::{Config, History, INDEX, Repository};
use crate::sabotage::Sabotage;

/// So often may index.json change under our hands before we give up.
pub(super) const ATTEMPTS: usize = 100;

/// index.json as it was read.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) document: Document,
    pub(crate) text: Arc<String>,
    pub(crate) identity: Identity,
}

impl Snapshot {
    /// Whether index.json is still the file, with the content, that was read.
    pub(crate) fn is_current(&self, repository: &Repository) -> Result<bool> {
        let now = repository.root().holds(INDEX, self.text.as_bytes())?;
        Ok(now.is_some_and(|stat| stat.identity == self.identity))
    }
}

/// An edit of index.json. It may be applied more than once, each time to a fresh document.
pub(crate) type Edit<'e, T> = dyn FnMut(&mut Document, RefPolicy) -> Result<T> + 'e;

/// Applies `edit` to index.json. `prepare` runs each time after the edit has been accepted and
/// before it can be seen: that is where blobs are published.
pub(crate) fn commit<T>(
    repository: &Repository,
    prepare: &mut dyn FnMut() -> Result<()>,
    edit: &mut Edit<'_, T>,
) -> Result<T> {
    Commit { repository, convert_to: None, prepare: Some(prepare) }.run(edit)
}

/// Applies an edit that converts index.json to another ref policy, and records that policy.
pub(crate) fn convert<T>(repository: &Repository, policy: RefPolicy, edit: &mut Edit<'_, T>) -> Result<T> {
    Commit { repository, convert_to: Some(policy), prepare: None }.run(edit)
}

/// What [`commit`] would make of `edit` on index.json as it is now. Nothing is written.
pub(crate) fn rehearse<T>(repository: &Repository, edit: &mut Edit<'_, T>) -> Result<T> {
    let mut document = repository.index()?;
    let config = repository.config()?;
    let policy = config.map_or_else(|| RefPolicy::infer(&document), |config| config.policy);
    if config.is_some_and(|config| config.converting) {
        name::convert(&mut document, policy);
    }
    edit(&mut document, policy)
}

/// An index that is to be put in place.
struct Next<'n> {
    document: &'n Document,
    /// Whether it takes a while to hash.
    is_large: bool,
    /// The digest of the text that was edited.
    made_from: Digest,
}

struct Commit<'c> {
    repository: &'c Repository,
    convert_to: Option<RefPolicy>,
    /// What else is to be done before the new index can be seen.
    prepare: Option<&'c mut dyn FnMut() -> Result<()>>,
}

impl Commit<'_> {
    fn run<T>(mut self, edit: &mut Edit<'_, T>) -> Result<T> {
        let repository = self.repository;
        let _lock = repository.lock_index()?;
        let (own, owner) = repository.ensure_own_dir()?;
        place::recover(repository, &own)?;
        for _ in 0..ATTEMPTS {
            let mut base = repository.read_index()?;
            let config = Config::read(&own)?;
            let recorded = config.map_or_else(|| RefPolicy::infer(&base.document), |config| config.policy);
            let policy = self.convert_to.unwrap_or(recorded);
            let converting = self.convert_to.is_some() || config.is_some_and(|config| config.converting);
            // Only an index that somebody else wrote differs from what we would write unedited.
            let is_ours = base.document.is_written_as(&base.text);
            let unedited = (!is_ours).then(|| base.document.to_text());
            let mut document = std::mem::replace(&mut base.document, Document::empty());
            if config.is_some_and(|config| config.converting) {
                name::convert(&mut document, policy);
            }
            let is_large = base.text.len() as u64 >= WORTH_A_THREAD;
            let made_from = || Digest::sha256(base.text.as_bytes());
            let (made_from, value) = beside(is_large, made_from, || edit(&mut document, policy));
            let value = value?;
            let changed = !document.is_written_as(unedited.as_deref().unwrap_or(&base.text));
            drop(unedited);

            let next = changed.then_some(Next { document: &document, is_large, made_from });
            let marked = self.convert_to.filter(|_| changed).map(|to| (recorded, to));
            let ready = self.make_ready(&own, owner, &base, next, marked);
            ready.inspect_err(|_| [NEXT, BASE].iter().for_each(|name| disk::clean_up(&own, name)))?;
            if changed {
                if !base.is_current(repository)? {
                    continue;
                }
                let placed = put_in_place(repository, &own, base.text.as_bytes(), document);
                placed.inspect_err(|_| clean_up(repository, &own))?;
                repository.stop().note_change();
            } else {
                settle(repository)?;
            }
            if Sabotage::IndexBeforeBlobs.is_on() {
                self.prepare()?;
            }
            if converting || config.is_none() {
                record(&own, policy, owner)?;
            }
            return Ok(value);
        }
        Err(contended(repository))
    }

    /// Everything that must be on the disk before the new index can be seen. What may fail for want
    /// of space comes first.
    fn make_ready(
        &mut self,
        own: &Dir,
        owner: Owner,
        base: &Snapshot,
        next: Option<Next<'_>>,
        marked: Option<(RefPolicy, RefPolicy)>,
    ) -> Result<()> {
        if let Some(next) = next {
            let Next { document, is_large, made_from } = next;
            let temporary = disk::temporary_name(NEXT);
            let write = || {
                disk::write_synced_with(own, &temporary, owner, |file| document.write_to(file))?;
                keep_base(own, base.text.as_bytes())
            };
            let (digest, written) = beside(is_large, || document.digest(), write);
            // On record before it has its name: an index that is found there and is not on record came out
            // of a swap.
            written
                .and_then(|()| History::announce(own, digest, made_from.clone(), &made_from, owner))
                .and_then(|()| own.rename(&temporary, own, NEXT))
                .inspect_err(|_| disk::clean_up(own, &temporary))?;
        }
        if let Some((from, to)) = marked {
            Config::write_converting(own, from, to, owner)?;
        }
        if Sabotage::IndexBeforeBlobs.is_on() { Ok(()) } else { self.prepare() }
    }

    fn prepare(&mut self) -> Result<()> {
        self.prepare.as_mut().map_or(Ok(()), |prepare| prepare())
    }
}

/// Leaves nothing of a change that failed, as far as that can be done. The failure itself is what the
/// caller hears of.
fn clean_up(repository: &Repository, own: &Dir) {
    if let Err(error) = place::recover(repository, own) {
        tracing::debug!("left behind: {error}");
    }
}

/// Records that all of index.json follows `policy`. For want of space this may wait: until it is
/// done, names are read the same, and every opener tries again.
fn record(own: &Dir, policy: RefPolicy, owner: Owner) -> Result<()> {
    match Config::write(own, policy, owner) {
        Err(error) if error.is_out_of_space() => {
            tracing::warn!("the ref policy could not be recorded yet: {error}");
            Ok(())
        }
        done => done,
    }
}

pub(super) fn contended(repository: &Repository) -> Error {
    Error::Contended { path: repository.path().join(INDEX) }
}
