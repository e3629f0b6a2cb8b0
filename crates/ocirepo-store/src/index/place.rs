//! Putting a new index.json in place of the one it was made from, beside tools that take no locks.
//!
//! The two are swapped in one step, which shows what was really replaced. If that is not what was
//! read, another tool wrote in between; what it changed is merged into ours and swapped in, until a
//! swap is clean. Where the kernel cannot swap, it is a rename, and a change of that moment is lost.
//!
//! # If we are killed
//! `index.base` holds what was read before `index.next` is swapped in, and both stay until what came
//! out of the swap is known to be in index.json. So whoever writes next can tell what another tool
//! changed, and finishes the merge ([`recover`]). A merge can be repeated without harm.
//!
//! Everything here happens under `index.lock`.

use super::commit::{ATTEMPTS, Snapshot, contended};
use super::document::{Document, MAX_INDEX_SIZE};
use super::merge::merge;
use crate::digest::Digest;
use crate::disk::{self, Dir};
use crate::error::{Error, Result};
use crate::repository::{History, INDEX, Repository};

/// The new index, and after the swap the old one.
pub(crate) const NEXT: &str = "index.next";
/// What the new index was made from, while it is put in place.
pub(super) const BASE: &str = "index.base";
/// What index.json is to become when another tool's change was merged in.
const MERGED: &str = "index.merged";
/// The index before the last change.
const PREVIOUS: &str = "index.prev";

/// Swaps the new index, which lies in [`NEXT`], in for `base`, which lies in [`BASE`], until nobody has come
/// between. What a failure leaves, [`recover`] takes up.
///
/// # Errors
/// [`Error::Unsettled`] for what fails once the new index is in place.
pub(super) fn put_in_place(
    repository: &Repository,
    own: &Dir,
    base: &[u8],
    document: Document,
) -> Result<()> {
    let root = repository.root();
    if !own.swap(NEXT, root, INDEX)? {
        disk::replace(own, PREVIOUS, base, root.owner()?)?;
        own.rename(NEXT, root, INDEX)?;
        root.sync().map_err(unsettled)?;
        return finish(own);
    }
    root.sync().map_err(unsettled)?;
    match read_settled(own, NEXT, base)? {
        None => finish(own),
        Some(theirs) => {
            let bytes = document.to_bytes();
            take_up(repository, own, base, theirs, (document, bytes))
        }
    }
}

/// Merges what another tool wrote, and lies in [`NEXT`], into index.json, which is `ours`. Both
/// were made from `base`.
fn take_up(
    repository: &Repository,
    own: &Dir,
    base: &[u8],
    mut theirs: Document,
    (mut document, mut bytes): (Document, Vec<u8>),
) -> Result<()> {
    let root = repository.root();
    let owner = root.owner()?;
    let damaged = |reason| Error::Damaged { path: repository.path().join(INDEX), reason };
    let mut base = base.to_vec();
    for _ in 0..ATTEMPTS {
        document = merge(&Document::parse(&base).map_err(damaged)?, theirs, &document);
        let expected = std::mem::replace(&mut bytes, document.to_bytes());
        if bytes == expected {
            return finish(own);
        }
        let [next, current, made_from] = [&bytes, &expected, &base].map(|bytes| Digest::sha256(bytes));
        History::announce(own, next, current, &made_from, owner)?;
        disk::write_synced(own, MERGED, &bytes, owner)?;
        if !own.swap(MERGED, root, INDEX)? {
            own.rename(MERGED, root, INDEX)?;
            root.sync().map_err(unsettled)?;
            return finish(own);
        }
        root.sync().map_err(unsettled)?;
        let Some(next) = read_settled(own, MERGED, &expected)? else {
            own.unlink(MERGED)?;
            return finish(own);
        };
        theirs = next;
        // In this order: what came out now was made from index.base too, or from what was made of it.
        own.rename(MERGED, own, NEXT)?;
        keep_base(own, &expected)?;
        base = expected;
    }
    Err(contended(repository))
}

/// Keeps what the new index is made from, before it is put in place. Only a kill needs it, so it need
/// not be durable.
pub(super) fn keep_base(own: &Dir, base: &[u8]) -> Result<()> {
    disk::write(own, BASE, base, own.owner()?)
}

/// What came out of the swap is in index.json, so it is only the index before the change.
fn finish(own: &Dir) -> Result<()> {
    let tidy = || {
        if own.stat(NEXT)?.is_some() {
            own.rename(NEXT, own, PREVIOUS)?;
        }
        own.unlink(BASE)?;
        own.sync()
    };
    tidy().map_err(unsettled)
}

/// What failed once the new index was in place.
fn unsettled(error: Error) -> Error {
    Error::Unsettled { source: Box::new(error) }
}

/// Makes index.json durable as it is. Whoever wrote it may not have synced it: other tools do not,
/// and one of ours may have been killed before it could. Free when it is durable already.
pub(crate) fn settle(repository: &Repository) -> Result<()> {
    repository.root().sync_file(INDEX)?;
    repository.root().sync()
}

/// What came out of a swap into `name`, unless it is what was expected. A tool that was writing the
/// file in place goes on writing it where it is now; its work is taken once it can be parsed.
fn read_settled(own: &Dir, name: &str, expected: &[u8]) -> Result<Option<Document>> {
    let path = own.path().join(name);
    let mut reason = "it is gone".to_owned();
    for _ in 0..40 {
        if own.holds(name, expected)?.is_some() {
            return Ok(None);
        }
        if let Some((bytes, _)) = own.read(name, MAX_INDEX_SIZE)? {
            match Document::parse(&bytes) {
                Ok(document) => return Ok(Some(document)),
                Err(error) => reason = error,
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    Err(Error::Damaged { path, reason: format!("another tool left it half-written: {reason}") })
}

/// Finishes what a killed writer began. What it left is either an index that was never put in place,
/// which is of no use, or one that came out of a swap: if another tool made that one, its change
/// goes into index.json now.
///
/// # Errors
/// When index.json cannot be read, and when the file system refuses.
pub(crate) fn recover(repository: &Repository, own: &Dir) -> Result<()> {
    take_leftover(repository, own)?;
    if own.stat(MERGED)?.is_some() {
        // It may have been swapped in, and then holds what came out.
        own.rename(MERGED, own, NEXT)?;
        take_leftover(repository, own)?;
    }
    own.unlink(BASE).map(drop)
}

fn take_leftover(repository: &Repository, own: &Dir) -> Result<()> {
    let Some((bytes, _)) = own.read(NEXT, MAX_INDEX_SIZE)? else { return Ok(()) };
    let history = History::read(Some(own));
    let theirs = match Document::parse(&bytes) {
        Ok(theirs) if !history.knows(&bytes) => theirs,
        _ => return own.unlink(NEXT).map(drop),
    };
    let base = own.read(BASE, MAX_INDEX_SIZE)?.map(|(bytes, _)| bytes);
    match base.filter(|base| history.is_base(base) && *base != bytes) {
        Some(base) => {
            let Snapshot { document, text, .. } = repository.read_index()?;
            take_up(repository, own, &base, theirs, (document, text.as_bytes().to_vec()))
        }
        None => own.rename(NEXT, own, PREVIOUS),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{InitOptions, Settings};

    fn document(entries: &str) -> (Document, Vec<u8>) {
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{entries}]}}"#);
        (Document::parse(text.as_bytes()).unwrap(), text.into_bytes())
    }

    fn announce(own: &Dir, next: &[u8], current: &[u8], base: &[u8]) {
        let [next, current, base] = [next, current, base].map(Digest::sha256);
        History::announce(own, next, current, &base, own.owner().unwrap()).unwrap();
    }

    fn repository(dir: &Path) -> Repository {
        Repository::init(dir, InitOptions::default(), Settings::default()).unwrap().0
    }

    #[test]
    fn a_change_that_comes_out_of_the_swap_is_merged_in() {
        let dir = tempfile::tempdir().unwrap();
        let repository = repository(dir.path());
        let (own, owner) = repository.ensure_own_dir().unwrap();
        // Another tool has made "1" into "1,2" since we read it; we make it "1,3".
        std::fs::write(dir.path().join(INDEX), document("1,2").1).unwrap();
        disk::write_synced(&own, NEXT, &document("1,3").1, owner).unwrap();
        keep_base(&own, &document("1").1).unwrap();
        put_in_place(&repository, &own, &document("1").1, document("1,3").0).unwrap();
        assert_eq!(std::fs::read(dir.path().join(INDEX)).unwrap(), document("1,3,2").1);
        assert!([NEXT, BASE, MERGED].iter().all(|name| own.stat(name).unwrap().is_none()));
    }

    /// As it is when we are killed after a swap: "1" was read, "1,2" came out, "1,3" is in place.
    fn killed(dir: &Path) -> (Repository, Dir) {
        let repository = repository(dir);
        let (own, owner) = repository.ensure_own_dir().unwrap();
        announce(&own, &document("1,3").1, &document("1").1, &document("1").1);
        std::fs::write(dir.join(INDEX), document("1,3").1).unwrap();
        disk::write_synced(&own, NEXT, &document("1,2").1, owner).unwrap();
        keep_base(&own, &document("1").1).unwrap();
        (repository, own)
    }

    #[test]
    fn a_merge_that_a_kill_cut_short_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        let (repository, own) = killed(dir.path());
        recover(&repository, &own).unwrap();
        assert_eq!(std::fs::read(dir.path().join(INDEX)).unwrap(), document("1,3,2").1);
        assert!([NEXT, BASE, MERGED].iter().all(|name| own.stat(name).unwrap().is_none()));
    }

    #[test]
    fn a_merge_that_was_in_place_already_is_not_made_twice() {
        let dir = tempfile::tempdir().unwrap();
        let (repository, own) = killed(dir.path());
        let (merged, ours) = (document("1,3,2").1, document("1,3").1);
        let owner = repository.root().owner().unwrap();
        announce(&own, &merged, &ours, &document("1").1);
        disk::write_synced(&own, MERGED, &ours, owner).unwrap();
        std::fs::write(dir.path().join(INDEX), &merged).unwrap();
        recover(&repository, &own).unwrap();
        assert_eq!(std::fs::read(dir.path().join(INDEX)).unwrap(), merged);
    }

    #[test]
    fn a_base_that_never_reached_the_disk_is_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        let repository = repository(dir.path());
        let (own, owner) = repository.ensure_own_dir().unwrap();
        disk::write_synced(&own, NEXT, &document("1").1, owner).unwrap();
        keep_base(&own, b"").unwrap();
        recover(&repository, &own).unwrap();
        assert_eq!(own.read(PREVIOUS, 1024).unwrap().unwrap().0, document("1").1);
        assert!(own.stat(BASE).unwrap().is_none());
    }

    #[test]
    fn what_a_killed_writer_left_is_kept_unless_it_is_ours() {
        let dir = tempfile::tempdir().unwrap();
        let repository = repository(dir.path());
        let (own, owner) = repository.ensure_own_dir().unwrap();
        disk::write_synced(&own, NEXT, &document("1").1, owner).unwrap();
        recover(&repository, &own).unwrap();
        assert_eq!(own.read(PREVIOUS, 1024).unwrap().unwrap().0, document("1").1);
        announce(&own, &document("2").1, b"", b"");
        disk::write_synced(&own, NEXT, &document("2").1, owner).unwrap();
        recover(&repository, &own).unwrap();
        assert!(own.stat(NEXT).unwrap().is_none());
        assert_eq!(own.read(PREVIOUS, 1024).unwrap().unwrap().0, document("1").1);
    }
}
