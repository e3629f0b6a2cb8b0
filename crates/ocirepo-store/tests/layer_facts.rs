//! What the cache of layer facts promises: it can be torn, strange or gone, and nothing that is not
//! true comes out of it; nobody loses what another records at the same time.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test ends at what fails, and plays those who delete the cache"
)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use ocirepo_store::layers::{Fact, LayerFacts};
use ocirepo_store::{Digest, Error, InitOptions, Initialised, Repository, Settings, Silent, gc, verify};

fn repository(path: &Path) -> Repository {
    Repository::init(path, InitOptions::default(), Settings::default()).unwrap().0
}

fn fact(n: usize) -> Fact {
    let recipe = n.is_multiple_of(2).then(|| "gzip-6.1".parse().unwrap());
    let digest = |text: String| Digest::sha256(text.as_bytes());
    Fact::new(digest(format!("content {n}")), digest(format!("blob {n}")), 1000 + n as u64, recipe)
}

fn remember(repository: &Repository, facts: &[Fact]) {
    repository.lock_shared().unwrap().remember_layers(facts).unwrap();
}

fn recall(repository: &Repository) -> Vec<Fact> {
    sorted(repository.layer_facts().unwrap().iter().cloned().collect())
}

fn sorted(mut facts: Vec<Fact>) -> Vec<Fact> {
    facts.sort();
    facts
}

fn file(dir: &Path) -> PathBuf {
    dir.join(".ocirepo/cache/layers")
}

fn append_raw(dir: &Path, bytes: &[u8]) {
    fs::OpenOptions::new().append(true).open(file(dir)).unwrap().write_all(bytes).unwrap();
}

#[test]
fn facts_are_recalled_and_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    assert!(repository.layer_facts().unwrap().is_empty());
    remember(&repository, &[]);
    assert!(!dir.path().join(".ocirepo/cache").exists());

    remember(&repository, &[fact(1), fact(2), fact(1)]);
    let text = fs::read_to_string(file(dir.path())).unwrap();
    let line = |fact: &Fact| format!("{} {} {}", fact.size, fact.blob, fact.diff_id);
    assert_eq!(text, format!("{} ;\n{} gzip-6.1 ;\n", line(&fact(1)), line(&fact(2))));
    remember(&repository, &[fact(2), fact(3)]);
    remember(&repository, &[fact(1), fact(2), fact(3)]);
    assert_eq!(fs::read_to_string(file(dir.path())).unwrap(), format!("{text}{} ;\n", line(&fact(3))));

    let facts: LayerFacts = repository.layer_facts().unwrap();
    assert_eq!(facts.blobs_of(&fact(2).diff_id).collect::<Vec<_>>(), [&fact(2)]);
    assert_eq!(facts.diff_id_of(&fact(3).blob), Some(&fact(3).diff_id));
    assert_eq!((facts.len(), facts.is_empty()), (3, false));
}

#[test]
fn a_torn_line_is_no_fact_and_spoils_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let whole = format!("{}\n", fact(2));
    for length in 1..whole.len() {
        let _ = fs::remove_dir_all(dir.path().join(".ocirepo/cache"));
        remember(&repository, &[fact(1)]);
        append_raw(dir.path(), &whole.as_bytes()[..length]);
        // With its end mark it is whole: all that is cut off is the newline.
        let torn = if length == whole.len() - 1 { vec![fact(1), fact(2)] } else { vec![fact(1)] };
        assert_eq!(recall(&repository), sorted(torn), "{length}");
        remember(&repository, &[fact(3), fact(2)]);
        assert_eq!(recall(&repository), sorted(vec![fact(1), fact(2), fact(3)]), "{length}");
    }
}

#[test]
fn junk_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    remember(&repository, &[fact(1)]);
    append_raw(dir.path(), b"\n\n# a comment\n\xff\xfe\n1 2 3 ;\n");
    append_raw(dir.path(), &[b'x'; 100_000]);
    append_raw(dir.path(), b"\n");
    // A hole that a crash left in the place of one line and the beginning of the next.
    append_raw(dir.path(), &[0; 4096]);
    append_raw(dir.path(), format!("{}\n{}\n{}\r\n", &fact(2).to_string()[2..], fact(3), fact(4)).as_bytes());
    assert_eq!(recall(&repository), sorted(vec![fact(1), fact(3)]));
    append_raw(dir.path(), &[0; 10]);
    remember(&repository, &[fact(4)]);
    assert_eq!(recall(&repository), sorted(vec![fact(1), fact(3), fact(4)]));
}

#[test]
fn the_cache_may_be_deleted_at_any_time() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    for n in 0..3 {
        remember(&repository, &[fact(n)]);
        assert_eq!(recall(&repository), [fact(n)]);
        if n == 1 {
            fs::remove_file(file(dir.path())).unwrap();
        } else {
            fs::remove_dir_all(dir.path().join(".ocirepo/cache")).unwrap();
        }
        assert!(recall(&repository).is_empty());
    }
}

#[test]
fn a_cache_that_grew_huge_is_started_anew() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    remember(&repository, &[fact(1)]);
    fs::OpenOptions::new().append(true).open(file(dir.path())).unwrap().set_len((64 << 20) + 1).unwrap();
    assert!(recall(&repository).is_empty());
    remember(&repository, &[fact(2)]);
    assert_eq!(recall(&repository), [fact(2)]);
    assert_eq!(fs::read_to_string(file(dir.path())).unwrap(), format!("{}\n", fact(2)));
}

#[test]
fn nothing_is_read_or_written_through_a_link() {
    for link in [".ocirepo/cache", ".ocirepo/cache/layers"] {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let repository = repository(dir.path());
        let link = dir.path().join(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        let target = elsewhere.path().join("layers");
        fs::write(&target, format!("{}\n", fact(1))).unwrap();
        let is_dir = link.ends_with("cache");
        symlink(if is_dir { elsewhere.path() } else { &target }, &link).unwrap();
        let refused = |error: Error| matches!(error, Error::Damaged { .. } | Error::NotAFile { .. });
        assert!(refused(repository.layer_facts().unwrap_err()));
        let lock = repository.lock_shared().unwrap();
        assert!(refused(lock.remember_layers(&[fact(2)]).unwrap_err()));
        assert_eq!(fs::read_to_string(&target).unwrap(), format!("{}\n", fact(1)));
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
    }
}

#[test]
fn something_else_in_its_place_does_not_hang_anybody() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    fs::create_dir_all(file(dir.path())).unwrap();
    let lock = repository.lock_shared().unwrap();
    assert!(matches!(lock.remember_layers(&[fact(1)]), Err(Error::NotAFile { .. })));
    fs::remove_dir(file(dir.path())).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, file(dir.path()), rustix::fs::Mode::from_raw_mode(0o644)).unwrap();
    assert!(matches!(lock.remember_layers(&[fact(1)]), Err(Error::NotAFile { .. })));
    assert!(matches!(repository.layer_facts(), Err(Error::NotAFile { .. })));
}

#[test]
fn those_who_record_at_the_same_time_lose_nothing() {
    const EACH: usize = 50;
    let dir = tempfile::tempdir().unwrap();
    let first = repository(dir.path());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let path = dir.path();
            scope.spawn(move || {
                // A view of its own each, as processes have; locks keep the handles apart.
                let repository = Repository::open(path, Settings::default()).unwrap();
                for n in 0..EACH {
                    // Half of it is what a neighbour records too.
                    let n = thread / 2 * EACH + n;
                    remember(&repository, &[fact(n), fact(10_000 + thread * EACH + n)]);
                }
            });
        }
    });
    let mut expected: Vec<Fact> = (0..2 * EACH).map(fact).collect();
    expected.extend(
        (0..4)
            .flat_map(|thread| (0..EACH).map(move |n| fact(10_000 + thread * EACH + thread / 2 * EACH + n))),
    );
    expected.sort();
    expected.dedup();
    assert_eq!(recall(&first), expected);
    let lines = fs::read_to_string(file(dir.path())).unwrap().lines().count();
    assert_eq!(lines, expected.len(), "each is written once");
}

#[test]
fn a_cache_that_cannot_be_written_fails_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    remember(&repository, &[fact(1)]);
    let set = |mode: u32| {
        for path in [file(dir.path()), dir.path().join(".ocirepo/cache")] {
            fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        }
    };
    set(0o555);
    remember(&repository, &[fact(2)]);
    // Root writes all the same.
    let told = recall(&repository);
    assert!(told == [fact(1)] || told == sorted(vec![fact(1), fact(2)]));
    set(0o755);
}

#[test]
fn the_cache_is_no_concern_of_gc_verify_and_init() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    remember(&repository, &[fact(1)]);
    fs::write(dir.path().join(".ocirepo/cache/other"), "of a later version").unwrap();
    let options = verify::Options::default();
    let report = verify::verify(&repository, &options, &Silent).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    let (plan, swept) = gc::collect(&repository, &gc::Options::default(), &Silent).unwrap();
    assert!(plan.strangers.is_empty() && plan.refusals.is_empty());
    assert_eq!(swept.debris, gc::Amount::default());
    let (_, outcome) = Repository::init(dir.path(), InitOptions::default(), Settings::default()).unwrap();
    assert_eq!(outcome, Initialised::AlreadyThere);
    assert_eq!(recall(&repository), [fact(1)]);
    assert!(dir.path().join(".ocirepo/cache/other").exists());
}
