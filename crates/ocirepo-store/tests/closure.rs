//! What a choice of entries leads to: what is about it comes along, whichever way it says so, and
//! nothing else does.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test ends at what fails, and damages what it likes"
)]

use std::collections::BTreeSet;
use std::path::Path;

use ocirepo_store::graph::{Closure, Fault, closure};
use ocirepo_store::index::edit::Put;
use ocirepo_store::index::{Document, Entry};
use ocirepo_store::ingest::Ingest;
use ocirepo_store::name::Name;
use ocirepo_store::{Digest, InitOptions, Repository, Settings};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A repository whose index.json the test writes itself, entry by entry.
struct Fixture {
    dir: tempfile::TempDir,
    entries: Vec<String>,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Repository::init(dir.path(), InitOptions::default(), Settings::default()).unwrap();
        Self { dir, entries: Vec::new() }
    }

    fn blob(&self, content: &str) -> Digest {
        let digest = Digest::sha256(content.as_bytes());
        let path = self.dir.path().join("blobs/sha256").join(digest.encoded());
        std::fs::write(path, content).unwrap();
        digest
    }

    /// An image with a config of its own, about `subject` if that is given.
    fn image(&self, what: &str, subject: Option<&Digest>) -> (Digest, usize) {
        let config = format!("config of {what}");
        let config = (self.blob(&config), config.len());
        let subject = subject.map_or_else(String::new, |subject| {
            let size = std::fs::metadata(self.path(subject)).map_or(2, |it| it.len());
            format!(r#","subject":{{"mediaType":"{MANIFEST}","digest":"{subject}","size":{size}}}"#)
        });
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"a/b","digest":"{}","size":{}}},"layers":[]{subject}}}"#,
            config.0, config.1
        );
        (self.blob(&text), text.len())
    }

    fn index(&self, children: &[&(Digest, usize)]) -> (Digest, usize) {
        let children: Vec<String> = children
            .iter()
            .map(|(digest, size)| {
                format!(r#"{{"mediaType":"{MANIFEST}","digest":"{digest}","size":{size}}}"#)
            })
            .collect();
        let text =
            format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#, children.join(","));
        (self.blob(&text), text.len())
    }

    /// Lists a document, under a ref.name or another annotation if one is given; its position.
    fn list(&mut self, media_type: &str, document: &(Digest, usize), annotation: &[(&str, &str)]) -> usize {
        let annotations: Vec<String> =
            annotation.iter().map(|(key, value)| format!(r#""{key}":"{value}""#)).collect();
        self.entries.push(format!(
            r#"{{"mediaType":"{media_type}","digest":"{}","size":{},"annotations":{{{}}}}}"#,
            document.0,
            document.1,
            annotations.join(",")
        ));
        self.entries.len() - 1
    }

    fn name(&mut self, document: &(Digest, usize), name: &str) -> usize {
        self.list(MANIFEST, document, &[("org.opencontainers.image.ref.name", name)])
    }

    fn path(&self, digest: &Digest) -> std::path::PathBuf {
        self.dir.path().join("blobs/sha256").join(digest.encoded())
    }

    fn document(&self) -> Document {
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, self.entries.join(","));
        std::fs::write(self.dir.path().join("index.json"), &text).unwrap();
        Document::parse(text.as_bytes()).unwrap()
    }

    fn closure(&self, chosen: &[usize], referrers: bool) -> Closure {
        let document = self.document();
        let roots: Vec<Entry> = chosen.iter().map(|&n| document.entries()[n].clone()).collect();
        let find = |jobs| {
            let settings = Settings { jobs, ..Settings::default() };
            let repository = Repository::open(self.dir.path(), settings).unwrap();
            closure(&repository, &document, &roots, referrers).unwrap()
        };
        let (one, many) = (find(1), find(8));
        let order = |found: &Closure| -> Vec<Digest> {
            found.graph.blobs().map(|(_, blob)| blob.digest.clone()).collect()
        };
        assert_eq!(order(&one), order(&many), "it depends on the threads");
        assert_eq!(one.companions, many.companions);
        one
    }
}

fn reaches(closure: &Closure, document: &(Digest, usize)) -> bool {
    closure.graph.find(&document.0).is_some()
}

#[test]
fn what_is_about_a_choice_comes_along_to_a_fixpoint_whichever_way_it_says_so() {
    let mut it = Fixture::new();
    let image = it.image("app", None);
    let other = it.image("other", None);
    let signature = it.image("signature", Some(&image.0));
    let countersigned = it.image("signature of the signature", Some(&signature.0));
    let attestation = it.image("attestation", None);
    let cosign = it.image("cosign", None);
    let fallback = it.index(&[&signature]);
    let unlisted = it.image("unlisted", Some(&countersigned.0));
    let of_other = it.image("signature of the other", Some(&other.0));
    let unlisted_of_other = it.image("unlisted of the other", Some(&of_other.0));

    let chosen = it.name(&image, "reg.example/app:1");
    it.name(&other, "reg.example/other:1");
    let mut expected = vec![
        it.name(&countersigned, "reg.example/notes:7"),
        it.list(MANIFEST, &signature, &[]),
        it.list(MANIFEST, &attestation, &[("vnd.docker.reference.digest", image.0.as_str())]),
    ];
    it.list(MANIFEST, &of_other, &[]);
    let tag = format!("sha256-{}", image.0.encoded());
    expected.push(it.name(&cosign, &format!("reg.example/app:{tag}.sig")));
    expected.push(it.list(
        INDEX,
        &fallback,
        &[("io.containerd.image.name", &format!("reg.example/app:{tag}"))],
    ));
    it.name(&of_other, &format!("sha256-{}.att", other.0.encoded()));

    let found = it.closure(&[chosen], true);
    assert_eq!(found.companions, expected);
    for document in [&image, &signature, &countersigned, &attestation, &cosign, &fallback, &unlisted] {
        assert!(reaches(&found, document));
    }
    for document in [&other, &of_other, &unlisted_of_other] {
        assert!(!reaches(&found, document));
    }
    assert!(found.graph.faults.is_empty(), "{:?}", found.graph.faults);
    let labels: Vec<&str> = found.graph.roots.iter().map(|root| root.label.as_str()).collect();
    assert!(labels.contains(&"reg.example/notes:7") && labels.contains(&signature.0.as_str()), "{labels:?}");
    let positions: BTreeSet<_> = found.graph.roots.iter().filter_map(|root| root.position).collect();
    assert_eq!(positions.len(), 1 + expected.len());

    let alone = it.closure(&[chosen], false);
    assert_eq!((alone.companions.len(), alone.graph.blobs().len()), (0, 2));
}

#[test]
fn another_name_of_what_was_chosen_is_no_companion() {
    let mut it = Fixture::new();
    let base = it.image("base", None);
    let image = it.image("image about its base", Some(&base.0));
    let chosen = it.name(&image, "reg.example/app:1");
    it.name(&image, "reg.example/app:2");
    it.list(MANIFEST, &image, &[]);
    it.name(&image, &format!("mirror.example/app:sha256-{}", image.0.encoded()));
    it.list(MANIFEST, &image, &[("vnd.docker.reference.digest", image.0.as_str())]);
    let found = it.closure(&[chosen], true);
    assert_eq!(found.companions, Vec::<usize>::new());
    assert!(reaches(&found, &base), "what it is about is part of it");
}

#[test]
fn a_listed_document_that_was_reached_already_is_still_a_companion() {
    let mut it = Fixture::new();
    let image = it.image("app", None);
    let signature = it.image("signature", Some(&image.0));
    let index = it.index(&[&image, &signature]);
    let chosen = it.list(INDEX, &index, &[]);
    let listed = it.list(MANIFEST, &signature, &[]);
    assert_eq!(it.closure(&[chosen], true).companions, [listed]);
}

#[test]
fn roots_need_not_be_entries() {
    let mut it = Fixture::new();
    let (amd, arm) = (it.image("amd64", None), it.image("arm64", None));
    let (of_amd, of_arm) = (it.image("of amd64", Some(&amd.0)), it.image("of arm64", Some(&arm.0)));
    let index = it.index(&[&amd, &arm]);
    it.list(INDEX, &index, &[("org.opencontainers.image.ref.name", "reg.example/app:1")]);
    let expected = it.list(MANIFEST, &of_amd, &[]);
    it.list(MANIFEST, &of_arm, &[]);
    let document = it.document();
    let repository = Repository::open(it.dir.path(), Settings::default()).unwrap();
    let child = Entry::for_descriptor(MANIFEST, &amd.0, amd.1 as u64, None);
    let found = closure(&repository, &document, &[child], true).unwrap();
    assert_eq!(found.companions, [expected]);
    assert_eq!(found.graph.roots[0].position, None);
    assert!(!reaches(&found, &arm) && !reaches(&found, &of_arm));
}

#[test]
fn many_documents_give_the_same_on_one_thread_and_on_eight() {
    let mut it = Fixture::new();
    let image = it.image("app", None);
    let chosen = it.name(&image, "reg.example/app:1");
    let mut expected = Vec::new();
    for n in 0..150 {
        let about = it.image(&format!("listed {n}"), Some(&image.0));
        it.image(&format!("unlisted {n}"), Some(&about.0));
        expected.push(it.list(MANIFEST, &about, &[]));
    }
    let found = it.closure(&[chosen], true);
    assert_eq!(found.companions, expected);
    assert_eq!(found.graph.blobs().len(), 2 + 4 * 150);
}

#[test]
fn what_is_broken_is_a_fault_of_the_graph_and_what_cannot_be_read_is_about_nothing() {
    let mut it = Fixture::new();
    let image = it.image("app", None);
    let signature = it.image("signature", Some(&image.0));
    let gone = it.image("gone", Some(&image.0));
    let chosen = it.name(&image, "reg.example/app:1");
    let listed = it.list(MANIFEST, &(signature.0.clone(), signature.1 + 1), &[]);
    it.list(MANIFEST, &gone, &[]);
    it.entries.push("42".to_owned());
    std::fs::remove_file(it.path(&gone.0)).unwrap();
    let found = it.closure(&[chosen], true);
    assert_eq!(found.companions, [listed]);
    assert!(matches!(&found.graph.faults[..], [Fault::Broken { .. }]), "{:?}", found.graph.faults);
}

#[test]
fn it_is_what_an_ingest_wrote_that_is_found() {
    fn put(ingest: &Ingest<'_>, text: &str, name: Option<&str>) -> (Digest, Put) {
        let digest = ingest.put_bytes(text.as_bytes()).unwrap();
        let entry = Entry::for_descriptor(MANIFEST, &digest, text.len() as u64, None);
        (digest, Put { entry, name: name.map(|name| Name::parse(name).unwrap()), replace: false })
    }
    fn run(path: &Path) {
        let (repository, _) = Repository::init(path, InitOptions::default(), Settings::default()).unwrap();
        let lock = repository.lock_shared().unwrap();
        let ingest = lock.ingest().unwrap();
        let (image, first) = put(&ingest, r#"{"schemaVersion":2,"layers":[]}"#, Some("alpine:3.11"));
        let text = format!(r#"{{"layers":[],"subject":{{"digest":"{image}","size":31}}}}"#);
        let (_, second) = put(&ingest, &text, None);
        ingest.commit(&[first, second]).unwrap();
        let document = repository.index().unwrap();
        let found = closure(&repository, &document, &document.entries()[..1], true).unwrap();
        assert_eq!(found.companions, [1]);
        assert!(found.graph.faults.is_empty());
    }
    run(tempfile::tempdir().unwrap().path());
}
