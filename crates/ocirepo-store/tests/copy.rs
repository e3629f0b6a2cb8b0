//! Blobs from another repository: proven, shared where that is wanted, and all or nothing.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test ends at what fails, and says what it skips"
)]

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ocirepo_store::ingest::{Copying, Counts};
use ocirepo_store::{Digest, Error, InitOptions, Repository, Settings, Silent};

fn repository(path: &Path) -> Repository {
    Repository::init(path, InitOptions::default(), Settings::default()).unwrap().0
}

fn file(repository: &Repository, digest: &Digest) -> PathBuf {
    repository.path().join("blobs/sha256").join(digest.encoded())
}

/// A blob larger than what is read at once.
fn blob(repository: &Repository) -> (Digest, u64) {
    let content: Vec<u8> = (0..700_000_u32).map(|n| (n % 251) as u8).collect();
    let digest = Digest::sha256(&content);
    std::fs::write(file(repository, &digest), &content).unwrap();
    (digest, content.len() as u64)
}

fn copy(from: &Repository, to: &Repository, what: &(Digest, u64), copying: Copying) -> Result<Counts, Error> {
    let _reading = from.lock_reading().unwrap();
    let lock = to.lock_shared().unwrap();
    let ingest = lock.ingest().unwrap();
    ingest.copy(from, &what.0, what.1, copying, &Silent)?;
    Ok(ingest.commit(&[])?.counts)
}

fn inode(path: &Path) -> (u64, u64) {
    let metadata = std::fs::metadata(path).unwrap();
    (metadata.dev(), metadata.ino())
}

fn staged(repository: &Repository) -> usize {
    std::fs::read_dir(repository.path().join(".ocirepo/tmp")).map_or(0, Iterator::count)
}

/// A directory on another file system than that of `other`.
fn elsewhere(other: &Path) -> Option<tempfile::TempDir> {
    let dir = tempfile::tempdir_in("/dev/shm").ok()?;
    (inode(dir.path()).0 != inode(other).0).then_some(dir)
}

#[test]
fn a_link_is_the_same_file_and_a_copy_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let from = repository(&dir.path().join("from"));
    let what = blob(&from);
    let mut expected = Counts::default();
    (expected.new, expected.new_bytes) = (1, what.1);
    for (name, copying, is_same) in [("link", Copying::Link, true), ("copy", Copying::Copy, false)] {
        let to = repository(&dir.path().join(name));
        assert_eq!(copy(&from, &to, &what, copying).unwrap(), expected);
        assert_eq!(inode(&file(&from, &what.0)) == inode(&file(&to, &what.0)), is_same);
        assert_eq!(std::fs::read(file(&from, &what.0)).unwrap(), std::fs::read(file(&to, &what.0)).unwrap());
        assert_eq!(staged(&to), 0);
    }
    assert_eq!(std::fs::metadata(file(&from, &what.0)).unwrap().nlink(), 2);
}

#[test]
fn what_is_there_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (repository(&dir.path().join("from")), repository(&dir.path().join("to")));
    let what = blob(&from);
    copy(&from, &to, &what, Copying::Copy).unwrap();
    let before = inode(&file(&to, &what.0));
    let mut expected = Counts::default();
    (expected.reused, expected.reused_bytes) = (1, what.1);
    for copying in [Copying::Copy, Copying::Link] {
        assert_eq!(copy(&from, &to, &what, copying).unwrap(), expected);
    }
    assert_eq!(inode(&file(&to, &what.0)), before);
    std::fs::write(file(&to, &what.0), "cut").unwrap();
    assert_eq!(copy(&from, &to, &what, Copying::Link).unwrap().new, 1, "a truncated blob is healed");
    assert_eq!(inode(&file(&to, &what.0)), inode(&file(&from, &what.0)));
}

#[test]
fn what_is_not_what_it_should_be_is_refused_and_nothing_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (repository(&dir.path().join("from")), repository(&dir.path().join("to")));
    let (digest, size) = blob(&from);
    let mut content = std::fs::read(file(&from, &digest)).unwrap();
    content[300_000] ^= 1;
    std::fs::write(file(&from, &digest), &content).unwrap();
    let absent = Digest::sha256(b"absent");
    let unknown: Digest = "md4:0123456789abcdef".parse().unwrap();
    let lock = to.lock_shared().unwrap();
    let ingest = lock.ingest().unwrap();
    for copying in [Copying::Copy, Copying::Link] {
        let copy = |digest, size| ingest.copy(&from, digest, size, copying, &Silent).unwrap_err();
        assert!(matches!(copy(&digest, size), Error::DigestMismatch { expected, .. } if expected == digest));
        assert!(matches!(copy(&digest, size - 1), Error::SizeMismatch { found, .. } if found == size));
        assert!(matches!(copy(&absent, 6), Error::MissingBlob { .. }));
        assert!(matches!(copy(&unknown, 6), Error::Unverifiable { .. }));
    }
    assert_eq!(ingest.counts(), Counts::default());
    let session = std::fs::read_dir(to.path().join(".ocirepo/tmp")).unwrap().next().unwrap().unwrap();
    assert_eq!(std::fs::read_dir(session.path()).unwrap().count(), 1, "only the owner's file is left");
    ingest.commit(&[]).unwrap();
    assert_eq!(to.blob_size(&digest).unwrap(), None);
}

#[test]
fn on_another_file_system_a_link_becomes_a_copy() {
    let dir = tempfile::tempdir().unwrap();
    let Some(other) = elsewhere(dir.path()) else {
        eprintln!("skipped: /dev/shm is no file system of its own");
        return;
    };
    let (from, to) = (repository(dir.path()), repository(other.path()));
    let what = blob(&from);
    assert_eq!(copy(&from, &to, &what, Copying::Link).unwrap().new, 1);
    assert_eq!(std::fs::read(file(&from, &what.0)).unwrap(), std::fs::read(file(&to, &what.0)).unwrap());
    assert_ne!(inode(&file(&from, &what.0)), inode(&file(&to, &what.0)));
}

#[test]
fn a_rehearsal_reads_it_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (repository(&dir.path().join("from")), repository(&dir.path().join("to")));
    let what = blob(&from);
    let spool = dir.path().join("spool");
    std::fs::create_dir(&spool).unwrap();
    for copying in [Copying::Copy, Copying::Link] {
        let reading = to.lock_reading().unwrap();
        let ingest = reading.rehearse(&spool);
        ingest.copy(&from, &what.0, what.1, copying, &Silent).unwrap();
        assert_eq!(std::fs::read_dir(&spool).unwrap().count(), 0);
        assert_eq!(ingest.commit(&[]).unwrap().counts.new_bytes, what.1);
    }
    assert_eq!(to.blob_size(&what.0).unwrap(), None);
    assert_eq!(staged(&to), 0);
}

#[test]
fn blobs_are_brought_from_many_threads_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (repository(&dir.path().join("from")), repository(&dir.path().join("to")));
    let what = blob(&from);
    let lock = to.lock_shared().unwrap();
    let ingest = lock.ingest().unwrap();
    std::thread::scope(|scope| {
        for copying in [Copying::Copy, Copying::Link, Copying::Copy, Copying::Link] {
            let (ingest, from, what) = (&ingest, &from, &what);
            scope.spawn(move || ingest.copy(from, &what.0, what.1, copying, &Silent).unwrap());
        }
    });
    assert_eq!(ingest.commit(&[]).unwrap().counts.new, 1);
    assert_eq!(to.blob_size(&what.0).unwrap(), Some(what.1));
}
