//! What a session promises: nothing is touched before it must be, a rehearsal touches nothing, and
//! entries made from index.json go into the very index.json that they were made from.

#![allow(clippy::unwrap_used, reason = "a test ends at what fails")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::SystemTime;

use ocirepo_store::index::edit::Put;
use ocirepo_store::index::{Document, Entry};
use ocirepo_store::ingest::{Committed, Counts, Ingest};
use ocirepo_store::name::Name;
use ocirepo_store::{Algorithm, Digest, Error, InitOptions, Repository, Settings};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const NAME: &str = "test.example/app:1";

fn repository(path: &Path) -> Repository {
    Repository::init(path, InitOptions::default(), Settings::default()).unwrap().0
}

/// A repository that ocirepo has not written to.
fn foreign_repository(path: &Path) -> Repository {
    std::fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    std::fs::write(path.join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
    Repository::open(path, Settings::default()).unwrap()
}

fn put(name: &str, digest: &Digest, size: u64) -> Put {
    let entry = Entry::for_descriptor(INDEX, digest, size, None);
    Put { entry, name: Some(Name::parse(name).unwrap()), replace: false }
}

fn stage(ingest: &Ingest<'_>, content: &[u8]) -> Digest {
    let mut writer = ingest.writer(Algorithm::Sha256).unwrap();
    writer.push(content).unwrap();
    let staged = writer.finish_as(&Digest::sha256(content), content.len() as u64).unwrap();
    ingest.keep(staged).unwrap();
    Digest::sha256(content)
}

/// Every file and directory with its size and times, to see whether anything was touched.
fn tree(path: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    let mut left = vec![path.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            found.insert(entry.path(), (metadata.len(), metadata.modified().unwrap()));
            if metadata.is_dir() {
                left.push(entry.path());
            }
        }
    }
    found.insert(path.to_owned(), (0, std::fs::metadata(path).unwrap().modified().unwrap()));
    found
}

fn staging_dirs(path: &Path) -> Vec<String> {
    let Ok(tmp) = std::fs::read_dir(path.join(".ocirepo/tmp")) else { return Vec::new() };
    tmp.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// What a killed session leaves.
fn leave_debris(path: &Path) {
    let session = path.join(".ocirepo/tmp/session-dead");
    std::fs::create_dir_all(&session).unwrap();
    std::fs::write(session.join("owner"), "pid 1").unwrap();
    std::fs::write(session.join("000000"), "half a blob").unwrap();
}

/// What stands under a name, one line for each that joined it.
fn lines_under(repository: &Repository, document: &Document, name: &str) -> Vec<String> {
    let Ok(found) = repository.resolve(document, name) else { return Vec::new() };
    let digest = document.entries()[found.positions[0]].digest().unwrap();
    let mut text = String::new();
    repository.read_blob(digest, None).unwrap().read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Joins `line` to what stands under the name, as images are joined into one index.
fn join(ingest: Ingest<'_>, line: &str) -> Committed {
    ingest
        .commit_with(&mut |ingest, document, _| {
            let mut lines = lines_under(ingest.repository(), document, NAME);
            lines.push(line.to_owned());
            let text = lines.join("\n");
            Ok(vec![put(NAME, &ingest.put_bytes(text.as_bytes())?, text.len() as u64)])
        })
        .unwrap()
}

#[test]
fn a_session_that_writes_no_blob_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let lock = repository.lock_shared().unwrap();
    let before = tree(dir.path());
    let ingest = lock.ingest().unwrap();
    assert!(!ingest.has(&Digest::sha256(b"absent"), 6).unwrap());
    drop(ingest);
    assert_eq!(tree(dir.path()), before);
}

#[test]
fn a_session_that_reuses_everything_commits_and_cleans_up_after_the_dead() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let lock = repository.lock_shared().unwrap();
    let ingest = lock.ingest().unwrap();
    let digest = ingest.put_bytes(b"blob").unwrap();
    ingest.commit(&[put(NAME, &digest, 4)]).unwrap();
    assert!(staging_dirs(dir.path()).is_empty());

    leave_debris(dir.path());
    let ingest = lock.ingest().unwrap();
    assert!(ingest.has(&digest, 4).unwrap());
    assert_eq!(staging_dirs(dir.path()), ["session-dead"]);
    let committed = ingest.commit(&[put("test.example/other:1", &digest, 4)]).unwrap();
    let mut expected = Counts::default();
    (expected.reused, expected.reused_bytes) = (1, 4);
    assert_eq!(committed.counts, expected);
    assert!(staging_dirs(dir.path()).is_empty());
    assert_eq!(repository.index().unwrap().entries().len(), 2);
}

#[test]
fn the_first_blob_makes_one_staging_directory_and_removes_the_dead_ones() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    leave_debris(dir.path());
    let lock = repository.lock_shared().unwrap();
    let ingest = lock.ingest().unwrap();
    let start = Barrier::new(8);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (ingest, start) = (&ingest, &start);
            scope.spawn(move || {
                start.wait();
                stage(ingest, format!("blob {}", thread / 2).as_bytes());
            });
        }
    });
    assert_eq!(staging_dirs(dir.path()).len(), 1);
    let committed = ingest.commit(&[]).unwrap();
    assert_eq!((committed.counts.new, committed.counts.reused), (4, 0));
    assert!(staging_dirs(dir.path()).is_empty());
    for n in 0..4 {
        assert_eq!(repository.blob_size(&Digest::sha256(format!("blob {n}").as_bytes())).unwrap(), Some(6));
    }
}

#[test]
fn one_staged_blob_kept_from_many_threads_at_once_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let lock = repository.lock_shared().unwrap();
    let ingest = lock.ingest().unwrap();
    let mut writer = ingest.spool(Algorithm::Sha256).unwrap();
    writer.push(b"blob").unwrap();
    let staged = writer.finish().unwrap();
    let start = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                ingest.keep(staged.clone()).unwrap();
            });
        }
    });
    ingest.commit(&[]).unwrap();
    assert_eq!(repository.blob_size(staged.digest()).unwrap(), Some(4));
}

#[test]
fn a_staged_blob_that_was_not_needed_can_be_read_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let lock = repository.lock_shared().unwrap();
    let ingest = lock.ingest().unwrap();
    let spool = |content: &[u8]| {
        let mut writer = ingest.spool(Algorithm::Sha256).unwrap();
        writer.write_all(content).unwrap();
        writer.finish().unwrap()
    };
    let (first, second) = (spool(b"twin"), spool(b"twin"));
    ingest.keep(first).unwrap();
    ingest.keep(second.clone()).unwrap();
    let mut text = String::new();
    ingest.open(&second).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "twin");
}

#[test]
fn a_rehearsal_comes_to_the_same_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let repository = foreign_repository(dir.path());
    let session = |ingest: Ingest<'_>| {
        let (one, two) = (stage(&ingest, b"one"), ingest.put_bytes(b"two").unwrap());
        assert!(ingest.has(&one, 3).unwrap());
        let puts = [put(NAME, &one, 3), put("test.example/b:1", &two, 3), put(NAME, &two, 3)];
        ingest.commit(&puts).unwrap()
    };
    let before = tree(dir.path());
    let reading = repository.lock_reading().unwrap();
    assert!(reading.rehearse(&std::env::temp_dir()).is_rehearsal());
    let rehearsed = session(reading.rehearse(&std::env::temp_dir()));
    assert_eq!(tree(dir.path()), before);
    drop(reading);

    assert!(!dir.path().join(".ocirepo").exists());
    let lock = repository.lock_shared().unwrap();
    assert_eq!(session(lock.ingest().unwrap()), rehearsed);
    let mut expected = Counts::default();
    (expected.new, expected.new_bytes) = (2, 6);
    assert_eq!(rehearsed.counts, expected);
    drop(lock);

    // The second time everything is there, to the one as to the other.
    let before = tree(dir.path());
    let reading = repository.lock_reading().unwrap();
    let rehearsed = session(reading.rehearse(&std::env::temp_dir()));
    assert_eq!(tree(dir.path()), before);
    assert_eq!(session(repository.lock_shared().unwrap().ingest().unwrap()), rehearsed);
    assert_eq!(rehearsed.counts.reused, 2);
}

#[test]
fn a_rehearsal_finds_the_conflicts() {
    let dir = tempfile::tempdir().unwrap();
    let options = InitOptions { policy: Some("tag".parse().unwrap()), adopt: false };
    let (repository, _) = Repository::init(dir.path(), options, Settings::default()).unwrap();
    let lock = repository.lock_shared().unwrap();
    let ingest = lock.ingest().unwrap();
    let digest = ingest.put_bytes(b"alpine").unwrap();
    ingest.commit(&[put("alpine:3.11", &digest, 6)]).unwrap();
    let reading = repository.lock_reading().unwrap();
    let before = tree(dir.path());
    let ingest = reading.rehearse(&std::env::temp_dir());
    let digest = ingest.put_bytes(b"busybox").unwrap();
    let refused = ingest.commit(&[put("busybox:3.11", &digest, 7)]).unwrap_err();
    assert!(matches!(refused, Error::TagConflict { .. }), "{refused}");
    assert_eq!(tree(dir.path()), before);
}

#[test]
fn a_rehearsal_reads_again_what_was_spooled_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    leave_debris(dir.path());
    let reading = repository.lock_reading().unwrap();
    let ingest = reading.rehearse(&std::env::temp_dir());
    let counted = stage(&ingest, b"counted");
    let refused = ingest.open_kept(&counted).unwrap_err();
    assert!(matches!(refused, Error::NotStaged { .. }), "{refused}");
    assert!(refused.to_string().contains("rehearsal"), "{refused}");

    let mut writer = ingest.spool(Algorithm::Sha256).unwrap();
    writer.push(b"spooled").unwrap();
    let staged = writer.finish().unwrap();
    ingest.keep(staged.clone()).unwrap();
    let mut text = String::new();
    ingest.open(&staged).unwrap().read_to_string(&mut text).unwrap();
    ingest.open_kept(staged.digest()).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "spooledspooled");
    assert_eq!(ingest.commit(&[]).unwrap().counts.new, 2);
    assert_eq!(staging_dirs(dir.path()), ["session-dead"], "what others left is not touched");
    assert_eq!(repository.blob_size(staged.digest()).unwrap(), None);
}

#[test]
fn what_two_processes_join_under_one_name_at_once_is_all_there() {
    const EACH: usize = 20;
    let dir = tempfile::tempdir().unwrap();
    repository(dir.path());
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let path = dir.path();
            scope.spawn(move || {
                // A view of its own each, as processes have; locks keep the handles apart.
                let repository = Repository::open(path, Settings::default()).unwrap();
                for n in 0..EACH {
                    let lock = repository.lock_shared().unwrap();
                    let committed = join(lock.ingest().unwrap(), &format!("thread {thread} line {n}"));
                    assert_eq!(committed.counts.new, 1, "counted after the plan has run");
                }
            });
        }
    });
    let repository = Repository::open(dir.path(), Settings::default()).unwrap();
    let document = repository.index().unwrap();
    assert_eq!(document.entries().len(), 1);
    let mut lines = lines_under(&repository, &document, NAME);
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), 3 * EACH);
}

#[test]
fn a_plan_is_asked_again_when_a_tool_without_locks_comes_between() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let lock = repository.lock_shared().unwrap();
    let mut seen = Vec::new();
    let committed = lock
        .ingest()
        .unwrap()
        .commit_with(&mut |ingest, document, _| {
            seen.push(document.entries().len());
            if seen.len() == 1 {
                let mut theirs = document.clone();
                theirs.entries_mut().push(Entry::for_descriptor(INDEX, &Digest::sha256(b"theirs"), 6, None));
                std::fs::write(dir.path().join("index.json"), theirs.to_bytes()).unwrap();
            }
            // What was brought in before is part of the session, though it has its name by now.
            let first = ingest.put_bytes(b"always")?;
            let mut text = String::new();
            ingest.open_kept(&first)?.read_to_string(&mut text).unwrap();
            assert_eq!(text, "always");
            let text = format!("asked {} times", seen.len());
            Ok(vec![put(NAME, &ingest.put_bytes(text.as_bytes())?, text.len() as u64)])
        })
        .unwrap();
    assert_eq!(seen, [0, 1]);
    assert_eq!(committed.counts.new, 3);
    let document = repository.index().unwrap();
    assert_eq!(document.entries().len(), 2);
    assert_eq!(lines_under(&repository, &document, NAME), ["asked 2 times"]);
    assert!(staging_dirs(dir.path()).is_empty());
}

#[test]
fn a_plan_that_fails_leaves_everything_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let lock = repository.lock_shared().unwrap();
    let index = std::fs::read(dir.path().join("index.json")).unwrap();
    let refused = lock.ingest().unwrap().commit_with(&mut |ingest, _, _| {
        ingest.put_bytes(b"for nothing")?;
        Err(Error::MissingBlob { digest: Digest::sha256(b"x") })
    });
    assert!(matches!(refused, Err(Error::MissingBlob { .. })));
    assert_eq!(std::fs::read(dir.path().join("index.json")).unwrap(), index);
    assert_eq!(repository.blob_size(&Digest::sha256(b"for nothing")).unwrap(), None);
    assert!(staging_dirs(dir.path()).is_empty());
}

#[test]
fn a_rehearsal_asks_the_plan_once_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    join(repository.lock_shared().unwrap().ingest().unwrap(), "first");
    let before = tree(dir.path());
    let reading = repository.lock_reading().unwrap();
    let rehearsed = join(reading.rehearse(&std::env::temp_dir()), "second");
    assert_eq!(tree(dir.path()), before);
    drop(reading);
    assert_eq!(join(repository.lock_shared().unwrap().ingest().unwrap(), "second"), rehearsed);
    assert_eq!(rehearsed.puts[0].previous.as_deref(), Some(Digest::sha256(b"first").as_str()));
}
