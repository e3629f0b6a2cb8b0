//! Replacing index.json: read, edit, prepare, swap, under `index.lock`.
//!
//! # Order
//! 1. the digest of the new index goes on record ([`History`]), and the new index is written beside
//!    the old one and fsynced;
//! 2. the intention to convert, if any, goes on record: a full disk is found by now, and nothing has
//!    happened;
//! 3. the caller publishes its blobs, also those that its edit brought, and makes them durable;
//! 4. index.json must still be what was read, else it all starts again from what is there now;
//! 5. the two files are swapped in one step; what came out becomes `.ocirepo/index.prev`;
//! 6. the directories are fsynced.
//!
//! A kill at any point leaves the old index or the new one, never less.
//!
//! # Writers without our locks
//! Between 4 and 5 another tool may still write. The swap shows it: what comes out is then not what
//! was read. What it changed is merged into ours and swapped in, until the swap is clean. Where the
//! kernel cannot swap, 5 is a rename and this last gap stays open.
//!
//! [`History`]: crate::repository::History

use super::document::{Document, MAX_INDEX_SIZE};
use super::merge::merge;
use crate::disk::{self, Dir, Identity, Owner};
use crate::error::{Error, Result};
use crate::name::{self, RefPolicy};
use crate::repository::{Config, History, INDEX, Repository};

/// The new index, and after the swap the old one.
pub(crate) const NEXT: &str = "index.next";
/// The index before the last change.
const PREVIOUS: &str = "index.prev";

/// So often may index.json change under our hands before we give up.
const ATTEMPTS: usize = 100;

/// index.json as it was read.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) document: Document,
    pub(crate) bytes: Vec<u8>,
    pub(crate) identity: Identity,
}

impl Snapshot {
    /// Whether index.json is still the file, with the content, that was read.
    pub(crate) fn is_current(&self, repository: &Repository) -> Result<bool> {
        let now = repository.root().read(INDEX, MAX_INDEX_SIZE)?;
        Ok(now.is_some_and(|(bytes, stat)| stat.identity == self.identity && bytes == self.bytes))
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
        keep_leftover(&own)?;
        for _ in 0..ATTEMPTS {
            let mut base = repository.read_index()?;
            let config = Config::read(&own)?;
            let recorded = config.map_or_else(|| RefPolicy::infer(&base.document), |config| config.policy);
            let policy = self.convert_to.unwrap_or(recorded);
            let converting = self.convert_to.is_some() || config.is_some_and(|config| config.converting);
            // Only an index that somebody else wrote differs from what we would write unedited.
            let unedited = Some(base.document.to_bytes()).filter(|bytes| *bytes != base.bytes);
            let mut document = std::mem::replace(&mut base.document, Document::empty());
            if config.is_some_and(|config| config.converting) {
                name::convert(&mut document, policy);
            }
            let value = edit(&mut document, policy)?;
            let bytes = document.to_bytes();
            let changed = bytes != *unedited.as_ref().unwrap_or(&base.bytes);
            drop(unedited);

            let marked = self.convert_to.filter(|_| changed).map(|to| (recorded, to));
            let ready = self.make_ready(&own, owner, &base, changed.then_some(&bytes), marked);
            ready.inspect_err(|_| disk::clean_up(&own, NEXT))?;
            if changed {
                if !base.is_current(repository)? {
                    continue;
                }
                put_in_place(repository, &own, base.bytes, document, bytes)?;
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
        next: Option<&Vec<u8>>,
        marked: Option<(RefPolicy, RefPolicy)>,
    ) -> Result<()> {
        if let Some(next) = next {
            // On record first: an index that is found here and is not on record came out of a swap.
            History::announce(own, next, Some(&base.bytes), owner)?;
            disk::write_synced(own, NEXT, next, owner)?;
        }
        if let Some((from, to)) = marked {
            Config::write_converting(own, from, to, owner)?;
        }
        if let Some(prepare) = &mut self.prepare {
            prepare()?;
        }
        Ok(())
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

fn contended(repository: &Repository) -> Error {
    Error::Contended { path: repository.path().join(INDEX) }
}

/// Swaps the new index in for the one that it was made from, until nobody has come between.
fn put_in_place(
    repository: &Repository,
    own: &Dir,
    base: Vec<u8>,
    mut document: Document,
    mut bytes: Vec<u8>,
) -> Result<()> {
    let mut expected = base;
    for _ in 0..ATTEMPTS {
        let Some(theirs) = swap(repository, own, &expected)? else { return Ok(()) };
        let damaged = |reason| Error::Damaged { path: repository.path().join(INDEX), reason };
        let base = Document::parse(&expected).map_err(damaged)?;
        document = merge(&base, theirs, &document);
        expected = std::mem::replace(&mut bytes, document.to_bytes());
        let owner = repository.root().owner()?;
        History::announce(own, &bytes, Some(&expected), owner)?;
        disk::replace(own, NEXT, &bytes, owner)?;
    }
    Err(contended(repository))
}

/// Puts the new index in place. Gives what came out instead of `expected`, if something else did.
fn swap(repository: &Repository, own: &Dir, expected: &[u8]) -> Result<Option<Document>> {
    let root = repository.root();
    if !own.swap(NEXT, root, INDEX)? {
        disk::replace(own, PREVIOUS, expected, root.owner()?)?;
        own.rename(NEXT, root, INDEX)?;
        root.sync()?;
        return Ok(None);
    }
    root.sync()?;
    let came_out = read_settled(own, expected)?;
    if came_out.is_none() {
        own.rename(NEXT, own, PREVIOUS)?;
        own.sync()?;
    }
    Ok(came_out)
}

/// What came out of a swap, unless it is what was expected. A tool that was writing the file in
/// place goes on writing it where it is now; its work is taken once it can be parsed.
fn read_settled(own: &Dir, expected: &[u8]) -> Result<Option<Document>> {
    let path = own.path().join(NEXT);
    let mut reason = "it is gone".to_owned();
    for _ in 0..40 {
        if let Some((bytes, _)) = own.read(NEXT, MAX_INDEX_SIZE)? {
            if bytes == expected {
                return Ok(None);
            }
            match Document::parse(&bytes) {
                Ok(document) => return Ok(Some(document)),
                Err(error) => reason = error,
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    Err(Error::Damaged { path, reason: format!("another tool left it half-written: {reason}") })
}

/// What a killed writer left is either an index that was never put in place, which is ours and of
/// no use, or one that came out of a swap, which is kept as the previous one.
pub(crate) fn keep_leftover(own: &Dir) -> Result<()> {
    let Some((bytes, _)) = own.read(NEXT, MAX_INDEX_SIZE)? else { return Ok(()) };
    if History::read(Some(own)).knows(&bytes) || Document::parse(&bytes).is_err() {
        own.unlink(NEXT).map(drop)
    } else {
        own.rename(NEXT, own, PREVIOUS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InitOptions, Settings};

    fn document(entries: &str) -> (Document, Vec<u8>) {
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{entries}]}}"#);
        (Document::parse(text.as_bytes()).unwrap(), text.into_bytes())
    }

    #[test]
    fn a_change_that_comes_out_of_the_swap_is_merged_in() {
        let dir = tempfile::tempdir().unwrap();
        let (repository, _) =
            Repository::init(dir.path(), InitOptions::default(), Settings::default()).unwrap();
        let (own, owner) = repository.ensure_own_dir().unwrap();
        // Another tool has made "1" into "1,2" since we read it; we make it "1,3".
        repository.root().create(INDEX, owner).unwrap();
        std::fs::write(dir.path().join(INDEX), document("1,2").1).unwrap();
        disk::write_synced(&own, NEXT, &document("1,3").1, owner).unwrap();
        let (ours, bytes) = document("1,3");
        put_in_place(&repository, &own, document("1").1, ours, bytes).unwrap();
        assert_eq!(std::fs::read(dir.path().join(INDEX)).unwrap(), document("1,3,2").1);
        assert!(own.stat(NEXT).unwrap().is_none());
    }

    #[test]
    fn what_a_killed_writer_left_is_kept_unless_it_is_ours() {
        let dir = tempfile::tempdir().unwrap();
        let (repository, _) =
            Repository::init(dir.path(), InitOptions::default(), Settings::default()).unwrap();
        let (own, owner) = repository.ensure_own_dir().unwrap();
        disk::write_synced(&own, NEXT, &document("1").1, owner).unwrap();
        keep_leftover(&own).unwrap();
        assert_eq!(own.read(PREVIOUS, 1024).unwrap().unwrap().0, document("1").1);
        History::announce(&own, &document("2").1, None, owner).unwrap();
        disk::write_synced(&own, NEXT, &document("2").1, owner).unwrap();
        keep_leftover(&own).unwrap();
        assert!(own.stat(NEXT).unwrap().is_none());
        assert_eq!(own.read(PREVIOUS, 1024).unwrap().unwrap().0, document("1").1);
    }
}
