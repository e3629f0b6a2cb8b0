//! Tools that write index.json without our locks lose nothing by what we do.

use std::path::Path;
use std::time::Duration;

use ocirepo_store::index::edit::Put;
use ocirepo_store::index::{Document, Entry};
use ocirepo_store::name::Name;
use ocirepo_store::{Digest, InitOptions, Repository, Settings};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn repository(path: &Path) -> Repository {
    Repository::init(path, InitOptions::default(), Settings::default()).expect("the directory is empty").0
}

fn put(name: &str) -> Put {
    let entry = Entry::for_descriptor(MANIFEST, &Digest::sha256(name.as_bytes()), 1, None);
    Put { entry, name: Some(Name::parse(name).expect("a valid name")), replace: false }
}

fn count(document: &Document, prefix: &str) -> usize {
    let named = document.entries().iter().filter_map(Entry::name).map(|name| name.to_string());
    named.filter(|name| name.contains(prefix)).count()
}

/// Adds an entry as umoci does: read, change, write a temporary, rename. No lock.
#[expect(clippy::disallowed_methods, reason = "this is what other tools do")]
fn add_as_others_do(path: &Path, name: &str) {
    let index = path.join("index.json");
    let mut document =
        Document::parse(&std::fs::read(&index).expect("index.json is there")).expect("it is whole");
    let entry = put(name).entry.with_names(None, Some(name)).expect("a plain entry");
    document.entries_mut().push(entry);
    let temporary = path.join(format!("{}.tmp", name.replace(['/', ':'], "-")));
    std::fs::write(&temporary, document.to_bytes()).expect("the temporary can be written");
    std::fs::rename(&temporary, &index).expect("it can be renamed");
}

#[test]
fn a_change_between_our_read_and_our_write_is_kept() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let repository = repository(dir.path());
    for n in 0..20 {
        let lock = repository.lock_shared().expect("nobody sweeps");
        let ingest = lock.ingest().expect("staging");
        add_as_others_do(dir.path(), &format!("foreign.example/f{n}:1"));
        ingest.commit(&[put(&format!("ours.example/o{n}:1"))]).expect("a commit");
    }
    let document = repository.index().expect("index.json is whole");
    assert_eq!((count(&document, "foreign.example"), count(&document, "ours.example")), (20, 20));
}

#[test]
fn threads_of_one_process_exclude_each_other_too() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let repository = repository(dir.path());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let repository = &repository;
            scope.spawn(move || {
                for n in 0..25 {
                    let lock = repository.lock_shared().expect("nobody sweeps");
                    lock.ingest()
                        .expect("staging")
                        .commit(&[put(&format!("x.example/t{thread}:{n}"))])
                        .expect("a commit");
                }
            });
        }
    });
    assert_eq!(repository.index().expect("index.json is whole").entries().len(), 200);
}

#[test]
fn a_lock_that_is_not_free_in_time_names_its_holder() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let first = repository(dir.path());
    let mut settings = Settings::default();
    settings.waiting.timeout = Duration::from_millis(50);
    let second = Repository::open(dir.path(), settings).expect("a repository");
    let held = first.lock_shared().expect("nobody sweeps");
    let error = second.lock_exclusive().expect_err("the other one holds it").to_string();
    assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");
    drop(held);
    drop(second.lock_exclusive().expect("now it is free"));
}
