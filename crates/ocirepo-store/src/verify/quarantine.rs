//! Moving bad blobs aside: out of `blobs/`, where nothing can take them for good, and into
//! `.ocirepo/quarantine/`, where somebody may still look at them.
//!
//! # What it promises
//! - Only what does not hash to its name is moved, and that is seen again just before, under the lock
//!   that keeps everybody else away: a blob that was healed meanwhile stays. What only cannot be read
//!   stays too.
//! - A blob that a tool without our locks puts in place at that very moment is put back.
//! - Nothing is deleted, and nothing that was moved aside before is replaced.
//! - The new name is durable before the old one is gone.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::hash::hash_blob;
use crate::digest::Digest;
use crate::disk::{Dir, Identity};
use crate::error::Result;
use crate::lock::Exclusive;
use crate::progress::{Progress, Unit};
use crate::repository::Repository;

/// The directory below `.ocirepo/` for bad blobs.
pub(crate) const QUARANTINE: &str = "quarantine";

/// A blob that was moved aside.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quarantined {
    /// The name that it had, and that it does not hash to.
    pub digest: Digest,
    /// Where it is now.
    pub path: PathBuf,
}

/// Moves those of `suspects` aside that do not hash to their names.
///
/// # Errors
/// When the file system refuses; what was moved until then stays where it is now.
pub fn quarantine(
    lock: &Exclusive<'_>,
    suspects: impl IntoIterator<Item = Digest>,
    progress: &dyn Progress,
) -> Result<Vec<Quarantined>> {
    let repository: &Repository = lock;
    let mut moved = Vec::new();
    let mut algorithms: BTreeSet<&'static str> = BTreeSet::new();
    progress.begin("verifying again", Unit::Bytes, None);
    for digest in suspects.into_iter().collect::<BTreeSet<_>>() {
        let Some(algorithm) = digest.algorithm() else { continue };
        // What cannot be read may be sound.
        let Ok(Some((found, _, file))) = hash_blob(repository, &digest, progress) else { continue };
        if found == digest {
            continue;
        }
        if let Some(path) = move_aside(repository, &digest, file)? {
            algorithms.insert(algorithm.name());
            moved.push(Quarantined { digest, path });
        }
    }
    progress.end();
    for algorithm in algorithms {
        if let Some(dir) = repository.blobs().dir(algorithm)? {
            dir.sync()?;
        }
    }
    Ok(moved)
}

/// Whether a copy of the blob was moved aside.
pub(crate) fn is_quarantined(repository: &Repository, digest: &Digest) -> Result<bool> {
    let Some(own) = repository.own_dir()? else { return Ok(false) };
    let Some(quarantine) = own.open_own_dir(QUARANTINE)? else { return Ok(false) };
    let Some(dir) = quarantine.open_own_dir(digest.algorithm_name())? else { return Ok(false) };
    Ok(dir.stat(digest.encoded())?.is_some())
}

/// Moves the blob aside if it is still that file; says where it is then.
fn move_aside(repository: &Repository, digest: &Digest, file: Identity) -> Result<Option<PathBuf>> {
    let Some(dir) = repository.blobs().dir(digest.algorithm_name())? else { return Ok(None) };
    let target = open_quarantine(repository, digest.algorithm_name())?;
    let name = free_name(&target, digest.encoded())?;
    if !is_file(&dir, digest.encoded(), file)? {
        return Ok(None);
    }
    repository.stop().note_change();
    dir.rename(digest.encoded(), &target, &name)?;
    if !is_file(&target, &name, file)? {
        target.rename(&name, &dir, digest.encoded())?;
        return Ok(None);
    }
    target.sync()?;
    Ok(Some(target.path().join(name)))
}

fn is_file(dir: &Dir, name: &str, file: Identity) -> Result<bool> {
    Ok(dir.stat(name)?.is_some_and(|stat| stat.identity == file))
}

fn open_quarantine(repository: &Repository, algorithm: &str) -> Result<Dir> {
    let (own, owner) = repository.ensure_own_dir()?;
    let quarantine = own.ensure_own_dir(QUARANTINE, owner)?;
    let dir = quarantine.ensure_own_dir(algorithm, owner)?;
    quarantine.sync()?;
    own.sync()?;
    Ok(dir)
}

/// A name that nothing has: that of the blob, or with a number behind it.
fn free_name(dir: &Dir, encoded: &str) -> Result<String> {
    let mut name = encoded.to_owned();
    let mut number = 0_u32;
    while dir.stat(&name)?.is_some() {
        number += 1;
        name = format!("{encoded}.{number}");
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use crate::{InitOptions, Settings};

    /// A repository with these files in `blobs/sha256`, and a good blob.
    fn repository(dir: &std::path::Path, blobs: &[(&Digest, &[u8])]) -> Repository {
        let (repository, _) = Repository::init(dir, InitOptions::default(), Settings::default()).unwrap();
        std::fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
        for (digest, content) in blobs {
            std::fs::write(repository.blobs().path(digest), content).unwrap();
        }
        repository
    }

    fn moved(repository: &Repository, suspects: &[&Digest]) -> Vec<Quarantined> {
        let lock = repository.lock_exclusive().unwrap();
        quarantine(&lock, suspects.iter().map(|&digest| digest.clone()), &Silent).unwrap()
    }

    #[test]
    fn a_blob_that_was_healed_meanwhile_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (bad, healed) = (Digest::sha256(b"bad"), Digest::sha256(b"healed"));
        let repository = repository(dir.path(), &[(&bad, b"b-d"), (&healed, b"healed")]);
        let moved = moved(&repository, &[&bad, &healed, &Digest::sha256(b"gone")]);
        let path = dir.path().join(".ocirepo/quarantine/sha256").join(bad.encoded());
        assert_eq!(moved, [Quarantined { digest: bad.clone(), path: path.clone() }]);
        assert_eq!(std::fs::read(path).unwrap(), b"b-d");
        assert!(!repository.blobs().path(&bad).exists());
        assert_eq!(std::fs::read(repository.blobs().path(&healed)).unwrap(), b"healed");
    }

    #[test]
    fn what_was_moved_aside_before_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let bad = Digest::sha256(b"bad");
        let repository = repository(dir.path(), &[(&bad, b"one")]);
        let first = moved(&repository, &[&bad]);
        std::fs::write(repository.blobs().path(&bad), b"two").unwrap();
        let second = moved(&repository, &[&bad]);
        assert!(second[0].path.to_string_lossy().ends_with(".1"), "{second:?}");
        let read = |moved: &[Quarantined]| std::fs::read(&moved[0].path).unwrap();
        assert_eq!((read(&first), read(&second)), (b"one".to_vec(), b"two".to_vec()));
    }

    #[test]
    fn a_file_that_is_another_one_by_now_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let bad = Digest::sha256(b"bad");
        let repository = repository(dir.path(), &[(&bad, b"b-d")]);
        let file = hash_blob(&repository, &bad, &Silent).unwrap().unwrap().2;
        std::fs::write(dir.path().join("good"), b"bad").unwrap();
        let blobs = repository.blobs().dir("sha256").unwrap().unwrap();
        repository.root().rename("good", &blobs, bad.encoded()).unwrap();
        assert_eq!(move_aside(&repository, &bad, file).unwrap(), None);
        assert_eq!(std::fs::read(repository.blobs().path(&bad)).unwrap(), b"bad");
    }
}
