//! Bundles that come in volumes: what came waits, whoever brought it and whatever happened between.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test ends at what fails, and damages what it likes"
)]

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ocirepo_store::gc::{self, Refusal};
use ocirepo_store::index::Entry;
use ocirepo_store::index::edit::Put;
use ocirepo_store::ingest::Counts;
use ocirepo_store::name::Name;
use ocirepo_store::pending::{Pending, remove_pending};
use ocirepo_store::verify::{self, Kind};
use ocirepo_store::{Algorithm, Digest, Error, InitOptions, Repository, Settings, Silent};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const TOC: &[u8] = b"{\"the\":\"table\"}\n";

fn repository(path: &Path) -> Repository {
    Repository::init(path, InitOptions::default(), Settings::default()).unwrap().0
}

/// A bundle of one image: a base layer that the receiver must have, a layer in two parts, a config
/// and a manifest.
struct Bundle {
    id: Digest,
    base: Vec<u8>,
    parts: [Vec<u8>; 2],
    config: Vec<u8>,
    manifest: Vec<u8>,
}

impl Bundle {
    fn new() -> Self {
        let (base, config) = (b"base layer".to_vec(), b"{}".to_vec());
        let parts = [vec![b'a'; 300_000], vec![b'b'; 1000]];
        let layer = "application/vnd.oci.image.layer.v1.tar";
        let descriptor = |media_type: &str, content: &[u8]| {
            let (digest, size) = (Digest::sha256(content), content.len());
            format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
        };
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{},"layers":[{},{}]}}"#,
            descriptor("application/vnd.oci.image.config.v1+json", &config),
            descriptor(layer, &base),
            descriptor(layer, &parts.concat())
        );
        Self { id: Digest::sha256(TOC), base, parts, config, manifest: manifest.into_bytes() }
    }

    fn needs(&self) -> Vec<(Digest, u64)> {
        [&self.base, &self.parts.concat(), &self.config, &self.manifest].map(|it| named(it)).into()
    }

    fn open<'l>(&self, lock: &'l ocirepo_store::lock::Shared<'_>) -> Pending<'l> {
        lock.open_pending(&self.id, TOC, &self.needs()).unwrap()
    }

    /// Adds one of the three volumes.
    fn volume(&self, pending: &Pending<'_>, number: usize) {
        let whole = Digest::sha256(&self.parts.concat());
        match number {
            0 => {
                keep(pending, &self.config);
                keep(pending, &self.manifest);
            }
            _ => {
                let staged = stage(pending, &self.parts[number - 1]);
                pending.keep_part(&whole, u32::try_from(number).unwrap(), staged).unwrap();
            }
        }
        pending.publish().unwrap();
    }

    fn is_complete(&self, pending: &Pending<'_>) -> bool {
        let whole = Digest::sha256(&self.parts.concat());
        let has = |content: &[u8]| pending.has_blob(&Digest::sha256(content), content.len() as u64).unwrap();
        let has_part = |n: u32| {
            let size = self.parts[n as usize - 1].len() as u64;
            pending.has_part(&whole, n, size).unwrap()
        };
        has(&self.config) && has(&self.manifest) && has_part(1) && has_part(2)
    }

    /// Everything into the repository, as the last volume does it.
    fn complete(&self, repository: &Repository) -> Counts {
        let lock = repository.lock_shared().unwrap();
        let pending = self.open(&lock);
        let ingest = lock.ingest().unwrap();
        assert!(ingest.has(&Digest::sha256(&self.base), self.base.len() as u64).unwrap());
        for content in [&self.config, &self.manifest] {
            pending.bring_into(&ingest, &Digest::sha256(content), content.len() as u64).unwrap();
        }
        let (digest, size) = named(&self.parts.concat());
        let sizes = self.parts.each_ref().map(|part| part.len() as u64);
        pending.join_into(&ingest, &digest, size, &sizes).unwrap();
        let (digest, size) = named(&self.manifest);
        let entry = Entry::for_descriptor(MANIFEST, &digest, size, None);
        let name = Some(Name::parse("reg.example/app:1").unwrap());
        let counts = ingest.commit(&[Put { entry, name, replace: false }]).unwrap().counts;
        pending.remove().unwrap();
        counts
    }
}

fn named(content: &[u8]) -> (Digest, u64) {
    (Digest::sha256(content), content.len() as u64)
}

fn stage(pending: &Pending<'_>, content: &[u8]) -> ocirepo_store::ingest::Staged {
    let mut writer = pending.writer(Algorithm::Sha256).unwrap();
    writer.push(content).unwrap();
    let (digest, size) = named(content);
    writer.finish_as(&digest, size).unwrap()
}

fn keep(pending: &Pending<'_>, content: &[u8]) {
    pending.keep(stage(pending, content)).unwrap();
}

fn write_blob(repository: &Repository, content: &[u8]) -> PathBuf {
    let path = repository.path().join("blobs/sha256").join(Digest::sha256(content).encoded());
    std::fs::write(&path, content).unwrap();
    path
}

fn collect(repository: &Repository) -> gc::Plan {
    gc::collect(repository, &gc::Options::default(), &Silent).unwrap().0
}

/// Every file below a directory with its size.
fn files(path: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut open = vec![path.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten() {
            let entry = entry.unwrap();
            if entry.metadata().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(path).unwrap().to_str().unwrap().to_owned();
                found.insert(name, entry.metadata().unwrap().len());
            }
        }
    }
    found
}

fn own(repository: &Repository, name: &str) -> PathBuf {
    repository.path().join(".ocirepo").join(name)
}

#[test]
fn volumes_come_in_any_order_with_a_collection_after_each() {
    for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
        let dir = tempfile::tempdir().unwrap();
        let repository = repository(dir.path());
        let bundle = Bundle::new();
        write_blob(&repository, &bundle.base);
        write_blob(&repository, b"garbage");
        for (count, number) in order.into_iter().enumerate() {
            let lock = repository.lock_shared().unwrap();
            let pending = bundle.open(&lock);
            bundle.volume(&pending, number);
            assert_eq!(bundle.is_complete(&pending), count == 2);
            drop(pending);
            drop(lock);
            let plan = collect(&repository);
            assert_eq!(plan.refusals, []);
            assert_eq!((plan.missing.len(), plan.kept.blobs), (0, 1), "the base is kept, nothing is missed");
        }
        let found = &repository.pendings().unwrap()[0];
        assert_eq!((found.id(), found.toc().unwrap()), (&bundle.id, TOC));
        let waiting = bundle.config.len() + bundle.manifest.len() + bundle.parts.concat().len();
        assert_eq!(found.bytes().unwrap(), waiting as u64);
        let why = gc::why(&repository, Digest::sha256(&bundle.base).as_str()).unwrap();
        assert!(!why.is_garbage() && why.images[0].contains(bundle.id.as_str()), "{why:?}");

        assert_eq!(bundle.complete(&repository).new, 3);
        assert!(repository.pendings().unwrap().is_empty());
        let plan = collect(&repository);
        assert_eq!((plan.refusals.len(), plan.kept.blobs, plan.garbage.len()), (0, 4, 0));
        assert_eq!(files(&own(&repository, "pending")), BTreeMap::new());
        assert_eq!(files(&own(&repository, "tmp")), BTreeMap::new());
        for (digest, size) in bundle.needs() {
            assert_eq!(repository.blob_size(&digest).unwrap(), Some(size));
        }
    }
}

#[test]
fn a_waiting_blob_stays_until_the_commit_because_it_is_linked_and_not_moved() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let bundle = Bundle::new();
    let lock = repository.lock_shared().unwrap();
    let pending = bundle.open(&lock);
    bundle.volume(&pending, 0);
    let ingest = lock.ingest().unwrap();
    let (digest, size) = named(&bundle.config);
    pending.bring_into(&ingest, &digest, size).unwrap();
    drop(ingest);
    assert!(pending.has_blob(&digest, size).unwrap(), "a session that fails takes nothing away");
    let ingest = lock.ingest().unwrap();
    pending.bring_into(&ingest, &digest, size).unwrap();
    ingest.commit(&[]).unwrap();
    assert!(pending.has_blob(&digest, size).unwrap());
    let path = dir.path().join("blobs/sha256").join(digest.encoded());
    assert_eq!(std::fs::metadata(path).unwrap().nlink(), 2);
}

#[test]
fn what_was_not_published_is_not_there_for_anybody_else() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let bundle = Bundle::new();
    let lock = repository.lock_shared().unwrap();
    let pending = bundle.open(&lock);
    let (digest, size) = named(&bundle.config);
    keep(&pending, &bundle.config);
    keep(&pending, &bundle.config);
    assert!(pending.has_blob(&digest, size).unwrap());
    let seen = repository.pending(&bundle.id).unwrap().unwrap();
    assert!(!seen.has_blob(&digest, size).unwrap());
    drop(pending);
    assert_eq!(files(&own(&repository, "tmp")), BTreeMap::new());
    let pending = bundle.open(&lock);
    assert!(!pending.has_blob(&digest, size).unwrap());
    keep(&pending, &bundle.config);
    pending.publish().unwrap();
    pending.publish().unwrap();
    assert!(seen.has_blob(&digest, size).unwrap() && !seen.has_blob(&digest, size + 1).unwrap());
}

#[test]
fn a_damaged_blob_is_not_there_and_is_replaced_by_a_good_one() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let bundle = Bundle::new();
    let lock = repository.lock_shared().unwrap();
    let pending = bundle.open(&lock);
    bundle.volume(&pending, 0);
    let (digest, size) = named(&bundle.manifest);
    let path = pending.path().join("blobs/sha256").join(digest.encoded());
    std::fs::write(&path, "cut").unwrap();
    assert!(!pending.has_blob(&digest, size).unwrap());
    let refused = pending.bring_into(&lock.ingest().unwrap(), &digest, size).unwrap_err();
    assert!(matches!(refused, Error::MissingBlob { .. }), "{refused}");
    bundle.volume(&pending, 0);
    assert!(pending.has_blob(&digest, size).unwrap());
}

#[test]
fn what_was_damaged_while_it_waited_is_taken_away_and_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let bundle = Bundle::new();
    write_blob(&repository, &bundle.base);
    let lock = repository.lock_shared().unwrap();
    let pending = bundle.open(&lock);
    (0..3).for_each(|number| bundle.volume(&pending, number));
    let ((manifest, size), (layer, _)) = (named(&bundle.manifest), named(&bundle.parts.concat()));
    let blob = pending.path().join("blobs/sha256").join(manifest.encoded());
    let part = pending.path().join(format!("parts/sha256-{}.2", layer.encoded()));
    std::fs::write(&blob, vec![b'x'; bundle.manifest.len()]).unwrap();
    std::fs::write(part, [b'x'; 1000]).unwrap();
    let ingest = lock.ingest().unwrap();
    let refused = pending.bring_into(&ingest, &manifest, size).unwrap_err();
    assert!(matches!(refused, Error::DigestMismatch { .. }), "{refused}");
    assert_eq!(ingest.counts(), Counts::default());

    let rehearsing = repository.lock_reading().unwrap();
    let rehearsal = rehearsing.rehearse(&std::env::temp_dir());
    assert!(!pending.discard_damaged(&rehearsal, &manifest, 0).unwrap() && blob.exists());
    assert!(pending.discard_damaged(&ingest, &manifest, 0).unwrap() && !blob.exists());
    assert!(pending.discard_damaged(&ingest, &layer, 2).unwrap());
    assert!(!pending.has_part(&layer, 1, 300_000).unwrap() && !pending.has_part(&layer, 2, 1000).unwrap());
    assert!(!pending.discard_damaged(&ingest, &manifest, 0).unwrap(), "it is gone already");
    assert!(!pending.discard_damaged(&ingest, &Digest::sha256(&bundle.config), 0).unwrap());
    drop(ingest);

    (0..3).for_each(|number| bundle.volume(&pending, number));
    assert!(
        bundle.is_complete(&pending) && !pending.discard_damaged(&lock.ingest().unwrap(), &layer, 2).unwrap()
    );
    drop(pending);
    assert_eq!(bundle.complete(&repository).new, 3);
}

#[test]
fn a_blob_may_have_more_parts_than_files_may_be_open() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let lock = repository.lock_shared().unwrap();
    let content = vec![b'p'; 3000];
    let (digest, size) = named(&content);
    let pending = lock.open_pending(&Digest::sha256(TOC), TOC, &[(digest.clone(), size)]).unwrap();
    let parts = pending.path().join("parts");
    std::fs::create_dir(&parts).unwrap();
    for number in 1..=content.len() {
        std::fs::write(parts.join(format!("sha256-{}.{number}", digest.encoded())), "p").unwrap();
    }
    let ingest = lock.ingest().unwrap();
    pending.join_into(&ingest, &digest, size, &vec![1; content.len()]).unwrap();
    assert_eq!(ingest.kept_size(&digest), Some(size));
}

#[test]
fn parts_that_are_not_the_blob_together_are_refused_and_so_is_a_missing_part() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let bundle = Bundle::new();
    let lock = repository.lock_shared().unwrap();
    let pending = bundle.open(&lock);
    let (digest, size) = named(&bundle.parts.concat());
    let sizes = bundle.parts.each_ref().map(|part| part.len() as u64);
    let join = |ingest: &ocirepo_store::ingest::Ingest<'_>| {
        pending.join_into(ingest, &digest, size, &sizes).unwrap_err()
    };
    bundle.volume(&pending, 1);
    let ingest = lock.ingest().unwrap();
    assert!(matches!(join(&ingest), Error::MissingBlob { .. }));
    pending.keep_part(&digest, 2, stage(&pending, &[b'x'; 1000])).unwrap();
    pending.publish().unwrap();
    assert!(matches!(join(&ingest), Error::DigestMismatch { .. }));
    assert_eq!(ingest.counts(), Counts::default());
}

#[test]
fn several_processes_add_volumes_of_one_bundle_at_once() {
    for _ in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        write_blob(&repository(dir.path()), &Bundle::new().base);
        std::thread::scope(|scope| {
            // Each volume twice, and whoever sees that it is complete completes it.
            for number in [0, 1, 2, 2, 1, 0] {
                let path = dir.path();
                scope.spawn(move || {
                    let repository = Repository::open(path, Settings::default()).unwrap();
                    let bundle = Bundle::new();
                    let lock = repository.lock_shared().unwrap();
                    let pending = bundle.open(&lock);
                    bundle.volume(&pending, number);
                    if bundle.is_complete(&pending) {
                        bundle.complete(&repository);
                    }
                });
            }
        });
        let repository = Repository::open(dir.path(), Settings::default()).unwrap();
        assert_eq!(repository.index().unwrap().entries().len(), 1);
        for (digest, size) in Bundle::new().needs() {
            assert_eq!(repository.blob_size(&digest).unwrap(), Some(size));
        }
    }
}

#[test]
fn adding_to_a_bundle_that_was_given_up_meanwhile_is_an_error_unless_it_was_completed() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let bundle = Bundle::new();
    let lock = repository.lock_shared().unwrap();
    let pending = bundle.open(&lock);
    keep(&pending, &bundle.config);
    assert!(remove_pending(&lock, &bundle.id).unwrap());
    assert!(!remove_pending(&lock, &bundle.id).unwrap());
    let refused = pending.publish().unwrap_err();
    assert!(refused.to_string().contains("given up"), "{refused}");
    write_blob(&repository, &bundle.config);
    pending.publish().unwrap();
    let ingest = lock.ingest().unwrap();
    let (digest, size) = named(&bundle.config);
    pending.bring_into(&ingest, &digest, size).unwrap();
    pending.remove().unwrap();
}

#[test]
fn a_kill_while_a_bundle_is_made_or_removed_leaves_all_of_it_or_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let bundle = Bundle::new();
    for leftover in ["session-pending", "session-removed"] {
        let path = own(&repository, "tmp").join(leftover);
        std::fs::create_dir_all(path.join("blobs/sha256")).unwrap();
        std::fs::write(path.join("toc"), "half").unwrap();
        std::fs::write(path.join("blobs/sha256/x"), "half").unwrap();
    }
    assert!(repository.pendings().unwrap().is_empty());
    let lock = repository.lock_shared().unwrap();
    drop(bundle.open(&lock));
    assert_eq!(files(&own(&repository, "tmp")), BTreeMap::new());
    let found = files(&own(&repository, "pending"));
    let names: Vec<&str> = found.keys().map(|name| name.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["needs", "toc"]);
    let needs = repository.pending(&bundle.id).unwrap().unwrap();
    assert_eq!(needs.needs().unwrap(), &bundle.needs().into_iter().collect::<BTreeMap<_, _>>());
}

#[test]
fn nothing_is_swept_while_a_pending_bundle_cannot_be_read_and_giving_it_up_cures_that() {
    type Damage = fn(&Path);
    let damages: [Damage; 5] = [
        |path| std::fs::remove_file(path.join("needs")).unwrap(),
        |path| std::fs::write(path.join("needs"), "").unwrap(),
        |path| std::fs::write(path.join("needs"), "sha256:12 x\n").unwrap(),
        |path| std::fs::remove_file(path.join("toc")).unwrap(),
        |path| {
            std::fs::remove_dir_all(path).unwrap();
            std::os::unix::fs::symlink("/nowhere", path).unwrap();
        },
    ];
    for damage in damages {
        let dir = tempfile::tempdir().unwrap();
        let repository = repository(dir.path());
        let bundle = Bundle::new();
        let path = write_blob(&repository, b"garbage");
        let lock = repository.lock_shared().unwrap();
        bundle.volume(&bundle.open(&lock), 0);
        damage(&own(&repository, "pending").join(bundle.id.encoded()));
        assert!(matches!(lock.open_pending(&bundle.id, TOC, &bundle.needs()), Err(Error::Damaged { .. })));
        drop(lock);
        let plan = collect(&repository);
        assert_eq!(plan.refusals, [Refusal::BrokenPending(vec![bundle.id.to_string()])]);
        assert!(plan.broken[0].reason.contains(bundle.id.encoded()), "{:?}", plan.broken);
        assert!(path.exists());

        assert!(remove_pending(&repository.lock_exclusive().unwrap(), &bundle.id).unwrap());
        assert_eq!((collect(&repository).refusals.len(), path.exists()), (0, false));
        drop(bundle.open(&repository.lock_shared().unwrap()));
    }
}

#[test]
fn what_a_bundle_needs_and_is_missing_for_an_image_too_is_still_reported() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let bundle = Bundle::new();
    write_blob(&repository, &bundle.manifest);
    let (digest, size) = named(&bundle.manifest);
    let lock = repository.lock_shared().unwrap();
    let entry = Entry::for_descriptor(MANIFEST, &digest, size, None);
    lock.ingest().unwrap().commit(&[Put { entry, name: None, replace: false }]).unwrap();
    drop(bundle.open(&lock));
    drop(lock);
    assert_eq!(collect(&repository).missing.len(), 3);
}

#[test]
fn verify_takes_what_a_bundle_needs_for_no_orphan_and_finds_a_damaged_base_and_a_broken_bundle() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let bundle = Bundle::new();
    let path = write_blob(&repository, &bundle.base);
    let kinds = || -> Vec<Kind> {
        let report = verify::verify(&repository, &verify::Options::default(), &Silent).unwrap();
        report.findings.into_iter().map(|finding| finding.kind).collect()
    };
    assert_eq!(kinds(), [Kind::Orphan]);
    drop(bundle.open(&repository.lock_shared().unwrap()));
    assert_eq!(kinds(), []);
    std::fs::write(path, "damaged!!!").unwrap();
    assert_eq!(kinds(), [Kind::Corrupt]);
    std::fs::write(own(&repository, "pending").join(bundle.id.encoded()).join("needs"), "").unwrap();
    assert_eq!(kinds(), [Kind::Corrupt, Kind::BrokenPending]);
}

#[test]
fn a_bundle_that_needs_other_blobs_is_not_the_one_that_waits() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let bundle = Bundle::new();
    let lock = repository.lock_shared().unwrap();
    drop(bundle.open(&lock));
    let refused = lock.open_pending(&bundle.id, TOC, &bundle.needs()[1..]).unwrap_err();
    assert!(matches!(refused, Error::Damaged { .. }), "{refused}");
    for id in [Digest::of(Algorithm::Sha512, b"x"), "md4:abc".parse().unwrap()] {
        assert!(matches!(lock.open_pending(&id, TOC, &bundle.needs()), Err(Error::Unverifiable { .. })));
    }
    let stranger = own(&repository, "pending").join("lost+found");
    std::fs::create_dir(&stranger).unwrap();
    assert_eq!(repository.pendings().unwrap().len(), 1);
}

#[test]
fn a_repository_that_ocirepo_never_wrote_to_has_none_and_gets_none_by_looking() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    std::fs::write(dir.path().join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
    let repository = Repository::open(dir.path(), Settings::default()).unwrap();
    assert!(repository.pendings().unwrap().is_empty());
    assert!(repository.pending(&Bundle::new().id).unwrap().is_none());
    assert!(!dir.path().join(".ocirepo").exists());
}
