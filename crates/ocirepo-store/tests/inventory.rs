//! The inventory lists what is reached and of use, and what is damaged stops nothing.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test ends at what fails, and damages what it likes"
)]

use std::path::{Path, PathBuf};

use ocirepo_store::{Digest, InitOptions, Repository, Settings};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn blob(path: &Path, content: &str) -> Digest {
    let digest = Digest::sha256(content.as_bytes());
    std::fs::write(file(path, &digest), content).unwrap();
    digest
}

fn file(path: &Path, digest: &Digest) -> PathBuf {
    path.join("blobs/sha256").join(digest.encoded())
}

fn descriptor(digest: &Digest, size: usize) -> String {
    format!(r#"{{"mediaType":"{MANIFEST}","digest":"{digest}","size":{size}}}"#)
}

/// An image with a config and two layers; its manifest, the size of that, and all its blobs.
fn image(path: &Path, what: &str, subject: Option<&(Digest, usize)>) -> ((Digest, usize), Vec<Digest>) {
    let data: Vec<(Digest, usize)> = ["config", "layer one", "layer two"]
        .map(|part| format!("{part} of {what}"))
        .map(|content| (blob(path, &content), content.len()))
        .into();
    let d = |n: usize| {
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{}","size":{}}}"#,
            data[n].0, data[n].1
        )
    };
    let subject = subject.map_or_else(String::new, |it| format!(r#","subject":{}"#, descriptor(&it.0, it.1)));
    let text = format!(r#"{{"schemaVersion":2,"config":{},"layers":[{},{}]{subject}}}"#, d(0), d(1), d(2));
    let manifest = blob(path, &text);
    let mut all = vec![manifest.clone()];
    all.extend(data.into_iter().map(|(digest, _)| digest));
    ((manifest, text.len()), all)
}

fn repository(path: &Path) -> Repository {
    Repository::init(path, InitOptions::default(), Settings::default()).unwrap().0
}

fn list(path: &Path, entries: &[String]) {
    let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
    std::fs::write(path.join("index.json"), text).unwrap();
}

fn digests(repository: &Repository) -> Vec<Digest> {
    repository.inventory().unwrap().into_iter().map(|(digest, _)| digest).collect()
}

fn sorted(mut digests: Vec<Digest>) -> Vec<Digest> {
    digests.sort_unstable();
    digests
}

#[test]
fn everything_that_is_reached_is_listed_with_its_size_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    assert_eq!(repository.inventory().unwrap(), []);
    let (listed, mut expected) = image(dir.path(), "listed", None);
    expected.extend(image(dir.path(), "unlisted signature", Some(&listed)).1);
    image(dir.path(), "orphan", None);
    list(dir.path(), &[descriptor(&listed.0, listed.1)]);
    assert_eq!(digests(&repository), sorted(expected));
    for (digest, size) in repository.inventory().unwrap() {
        assert_eq!(std::fs::metadata(file(dir.path(), &digest)).unwrap().len(), size);
    }
}

#[test]
fn what_is_missing_truncated_or_no_file_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let (listed, all) = image(dir.path(), "listed", None);
    list(dir.path(), &[descriptor(&listed.0, listed.1)]);
    std::fs::remove_file(file(dir.path(), &all[1])).unwrap();
    std::fs::write(file(dir.path(), &all[2]), "cut").unwrap();
    std::fs::remove_file(file(dir.path(), &all[3])).unwrap();
    std::os::unix::fs::symlink("/dev/null", file(dir.path(), &all[3])).unwrap();
    assert_eq!(digests(&repository), [listed.0]);
}

#[test]
fn a_broken_root_is_left_out_and_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let (sound, expected) = image(dir.path(), "sound", None);
    let (altered, _) = image(dir.path(), "altered", None);
    let (gone, _) = image(dir.path(), "gone", None);
    let (resized, _) = image(dir.path(), "resized", None);
    let text = std::fs::read_to_string(file(dir.path(), &altered.0)).unwrap();
    std::fs::write(file(dir.path(), &altered.0), text.replace("schemaVersion", "schemaversion")).unwrap();
    std::fs::remove_file(file(dir.path(), &gone.0)).unwrap();
    let entries = [
        "42".to_owned(),
        descriptor(&altered.0, altered.1),
        descriptor(&gone.0, gone.1),
        descriptor(&resized.0, resized.1 + 1),
        r#"{"digest":"sha256:short","size":1}"#.to_owned(),
        descriptor(&sound.0, sound.1),
    ];
    list(dir.path(), &entries);
    assert_eq!(digests(&repository), sorted(expected));
}

#[test]
fn it_can_be_had_from_read_only_media_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    std::fs::create_dir_all(dir.path().join("blobs/sha256")).unwrap();
    let (listed, expected) = image(dir.path(), "listed", None);
    list(dir.path(), &[descriptor(&listed.0, listed.1)]);
    let repository = Repository::open(dir.path(), Settings::default()).unwrap();
    assert_eq!(digests(&repository), sorted(expected));
    assert!(!dir.path().join(".ocirepo").exists());
}
