//! Adding to a pending bundle, and taking it away.
//!
//! The names below `.ocirepo/pending/` change only under `index.lock`, held for a moment, so nobody
//! sees half a bundle or half of its removal. Content is staged and synced before.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{BLOBS, PARTS, PENDING, PendingBundle, Place, Record, name_of};
use crate::digest::{Algorithm, Digest};
use crate::disk::{self, Dir, Kind, Owner};
use crate::error::{Error, Result};
use crate::ingest::{BlobWriter, Ingest, Staged, Staging, TMP, remove_dead};
use crate::lock::{Shared, Writing};
use crate::repository::Repository;

/// Where a bundle is made before it gets its place: staging that belongs to nobody, so that the
/// next writer removes what a kill leaves of it.
const NEW: &str = "session-pending";
/// Where it goes when it is removed, for the same reason.
const OLD: &str = "session-removed";

/// A pending bundle that more can be added to, from several threads at once.
///
/// What is kept is part of the bundle from [`Pending::publish`] on; when this is dropped before, or
/// the process is killed, it is gone and the bundle is what it was.
#[derive(Debug)]
pub struct Pending<'l> {
    bundle: PendingBundle,
    repository: &'l Repository,
    staging: Staging<'l>,
    kept: Mutex<BTreeMap<Place, Staged>>,
}

impl Deref for Pending<'_> {
    type Target = PendingBundle;
    fn deref(&self) -> &PendingBundle {
        &self.bundle
    }
}

impl Shared<'_> {
    /// Opens the pending bundle `id`, making it if need be. `needs` is every blob that it brings or
    /// requires: as long as the bundle waits, gc keeps those that are there. Not to be called where
    /// `index.lock` is held, as in a plan of a commit; nor are the other functions of [`Pending`].
    ///
    /// # Errors
    /// [`Error::Damaged`] when what is there under that id cannot be read or needs other blobs,
    /// [`Error::LockTimeout`], and when the file system refuses.
    pub fn open_pending(&self, id: &Digest, toc: &[u8], needs: &[(Digest, u64)]) -> Result<Pending<'_>> {
        open(self, id, toc, needs)
    }
}

impl<'l> Ingest<'l> {
    /// [`Shared::open_pending`] under the lock of this session, which brings blobs for it.
    ///
    /// # Errors
    /// Those of [`Shared::open_pending`]; a rehearsal has nothing to write to.
    pub fn open_pending(&self, id: &Digest, toc: &[u8], needs: &[(Digest, u64)]) -> Result<Pending<'l>> {
        if self.is_rehearsal() {
            return Err(Error::NotStaged { digest: id.clone() });
        }
        open(self.locked(), id, toc, needs)
    }
}

fn open<'l>(
    repository: &'l Repository,
    id: &Digest,
    toc: &[u8],
    needs: &[(Digest, u64)],
) -> Result<Pending<'l>> {
    let record = Record { toc: toc.to_owned(), needs: needs.iter().cloned().collect() };
    let bundle = ensure(repository, id, &record)?;
    Ok(Pending { bundle, repository, staging: Staging::new(repository, None), kept: Mutex::default() })
}

fn ensure(repository: &Repository, id: &Digest, record: &Record) -> Result<PendingBundle> {
    let name = name_of(id)?;
    // Where index.json cannot be trusted, nothing is written, not even beside it.
    repository.read_index()?;
    let (own, owner) = repository.ensure_own_dir()?;
    let _lock = repository.lock_index()?;
    let parent = own.ensure_own_dir(PENDING, owner)?;
    if let Some(bundle) = PendingBundle::read(&parent, id.clone())? {
        let reason = match &bundle.record {
            Ok(found) if found.needs == record.needs => {
                // Whoever made it may have been killed before its name was durable.
                parent.sync()?;
                own.sync()?;
                return Ok(bundle);
            }
            Ok(_) => "what it needs is not what the bundle of that id needs".to_owned(),
            Err(reason) => reason.clone(),
        };
        return Err(Error::Damaged { path: bundle.path, reason });
    }
    let tmp = own.ensure_own_dir(TMP, owner)?;
    remove_dead(&tmp)?;
    let new = tmp.ensure_own_dir(NEW, owner)?;
    let made = record.write(&new, owner).and_then(|()| tmp.rename(NEW, &parent, name));
    if made.is_err() {
        disk::remove_tree(new.path())?;
    }
    made?;
    parent.sync()?;
    own.sync()?;
    PendingBundle::read(&parent, id.clone())?
        .ok_or_else(|| Error::Damaged { path: parent.path().join(name), reason: "it is gone".to_owned() })
}

impl Pending<'_> {
    /// Begins a blob or a part in staging, hashed under `algorithm`.
    ///
    /// # Errors
    /// When no file can be made.
    pub fn writer(&self, algorithm: Algorithm) -> Result<BlobWriter> {
        self.staging.writer(algorithm)
    }

    /// Takes over what was staged in `ingest` and is not kept there, to be kept here.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn adopt(&self, ingest: &Ingest<'_>, staged: Staged) -> Result<Staged> {
        ingest.give(staged, self.staging.ensure()?)
    }

    /// Has a complete blob wait under its digest, once it is published. The caller has proven it, as
    /// [`BlobWriter::finish_as`] does.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn keep(&self, staged: Staged) -> Result<()> {
        self.take(Place::Blob(staged.digest().clone()), staged)
    }

    /// Has a part of the blob `digest` wait, once it is published. Parts are numbered from 1. The
    /// caller has proven the part by a digest of its own.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn keep_part(&self, digest: &Digest, number: u32, staged: Staged) -> Result<()> {
        self.take(Place::Part(digest.clone(), number), staged)
    }

    /// [`PendingBundle::has_blob`], counting what was kept and is not published yet.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn has_blob(&self, digest: &Digest, size: u64) -> Result<bool> {
        let is_kept = self.kept().get(&Place::Blob(digest.clone())).is_some_and(|it| it.size() == size);
        Ok(is_kept || self.bundle.has_blob(digest, size)?)
    }

    /// [`PendingBundle::has_part`], counting what was kept and is not published yet.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn has_part(&self, digest: &Digest, number: u32, size: u64) -> Result<bool> {
        let place = Place::Part(digest.clone(), number);
        let is_kept = self.kept().get(&place).is_some_and(|it| it.size() == size);
        Ok(is_kept || self.bundle.has_part(digest, number, size)?)
    }

    /// Makes everything that was kept a durable part of the bundle, and what waited already too.
    ///
    /// # Errors
    /// When the bundle was given up meanwhile, and when the file system refuses.
    pub fn publish(&self) -> Result<()> {
        self.staging.syncer().wait()?;
        let mut kept = self.kept();
        let Some(staging) = self.staging.made().filter(|_| !kept.is_empty()) else {
            return self.bundle.dir.as_ref().map_or(Ok(()), settle);
        };
        let (own, owner) = self.repository.ensure_own_dir()?;
        let _lock = self.repository.lock_index()?;
        let parent = own.ensure_own_dir(PENDING, owner)?;
        let Some(bundle) = parent.open_own_dir(name_of(&self.id)?)? else {
            self.check_completed(&kept)?;
            kept.clear();
            return Ok(());
        };
        let mut dirs: BTreeMap<Vec<String>, Dir> = BTreeMap::new();
        for (place, staged) in &*kept {
            let below: Vec<String> = place.dirs().into_iter().map(str::to_owned).collect();
            if !dirs.contains_key(&below) {
                let dir = ensure_below(&bundle, &below, owner)?;
                dirs.insert(below.clone(), dir);
            }
            if let Some(file) = staged.file() {
                staging.publish(file, &dirs[&below], &place.name())?;
            }
        }
        self.repository.stop().note_change();
        settle(&bundle)?;
        kept.clear();
        Ok(())
    }

    /// Removes the bundle, once what waited here is committed. One that another process has removed
    /// is no error.
    ///
    /// # Errors
    /// [`Error::LockTimeout`], and when the file system refuses.
    pub fn remove(self) -> Result<()> {
        remove(self.repository, &self.id).map(drop)
    }

    fn take(&self, place: Place, staged: Staged) -> Result<()> {
        let staging = self.staging.ensure()?;
        if let Some(file) = staged.file()
            && let Some(open) = staging.open(file)?
        {
            self.staging.syncer().submit(open, file.path());
        }
        let replaced = self.kept().insert(place, staged);
        match replaced.as_ref().and_then(Staged::file) {
            Some(file) => staging.discard(file),
            None => Ok(()),
        }
    }

    /// The bundle is gone. That is fine if another process has completed it: then everything that was
    /// to wait is in the repository.
    fn check_completed(&self, kept: &BTreeMap<Place, Staged>) -> Result<()> {
        for (place, staged) in kept {
            let digest = place.digest();
            let needed = self.bundle.needs().ok().and_then(|needs| needs.get(digest).copied());
            if self.repository.blob_size(digest)? != Some(needed.unwrap_or(staged.size())) {
                let reason = "it was given up while volumes were added".to_owned();
                return Err(Error::Damaged { path: self.path.clone(), reason });
            }
        }
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<Place, Staged>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The directory `names` below `dir`, one in the other, each made durably if it is not there.
fn ensure_below(dir: &Dir, names: &[String], owner: Owner) -> Result<Dir> {
    let [name, rest @ ..] = names else {
        return Err(Error::NotAFile { path: dir.path().to_owned() });
    };
    let below = match dir.open_own_dir(name)? {
        Some(below) => below,
        None => {
            let below = dir.ensure_own_dir(name, owner)?;
            dir.sync()?;
            below
        }
    };
    if rest.is_empty() { Ok(below) } else { ensure_below(&below, rest, owner) }
}

/// Makes all names in a bundle durable. Whoever gave it some of them may have been killed before.
fn settle(bundle: &Dir) -> Result<()> {
    if let Some(blobs) = bundle.open_own_dir(BLOBS)? {
        for found in blobs.list()?.iter().filter(|found| found.kind == Kind::Directory) {
            blobs.open_own_dir(&found.name)?.map_or(Ok(()), |algorithm| algorithm.sync())?;
        }
        blobs.sync()?;
    }
    bundle.open_own_dir(PARTS)?.map_or(Ok(()), |parts| parts.sync())?;
    bundle.sync()
}

/// Gives up a pending bundle with all that waits in it, also one that cannot be read. `false` when
/// there is none of that id.
///
/// # Errors
/// [`Error::LockTimeout`], and when the file system refuses.
pub fn remove_pending(lock: &impl Writing, id: &Digest) -> Result<bool> {
    remove(lock.repository(), id)
}

fn remove(repository: &Repository, id: &Digest) -> Result<bool> {
    let name = name_of(id)?;
    repository.read_index()?;
    let (own, owner) = repository.ensure_own_dir()?;
    let _lock = repository.lock_index()?;
    let Some(parent) = own.open_own_dir(PENDING)? else { return Ok(false) };
    if parent.stat(name)?.is_none() {
        return Ok(false);
    }
    let tmp = own.ensure_own_dir(TMP, owner)?;
    remove_dead(&tmp)?;
    repository.stop().note_change();
    parent.rename(name, &tmp, OLD)?;
    parent.sync()?;
    disk::remove_tree(&tmp.path().join(OLD))?;
    Ok(true)
}
