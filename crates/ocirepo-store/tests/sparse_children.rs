//! An index whose child manifests are there, and the layers of some of them are not: what docker
//! and ctr write. It is sparse, which is legal, as long as one child is complete.

use std::path::Path;

use ocirepo_store::index::Entry;
use ocirepo_store::index::edit::Put;
use ocirepo_store::name::Name;
use ocirepo_store::verify::{self, Kind, Report};
use ocirepo_store::{Digest, InitOptions, Repository, Settings, Silent, gc};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// A descriptor, and the content it describes.
#[derive(Clone)]
struct Made {
    descriptor: String,
    digest: Digest,
    content: Vec<u8>,
}

fn made(media_type: &str, content: &str, platform: &str) -> Made {
    let digest = Digest::sha256(content.as_bytes());
    let (os, architecture) = platform.split_once('/').expect("a platform");
    let descriptor = format!(
        r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{},"platform":{{"os":"{os}","architecture":"{architecture}"}}}}"#,
        content.len()
    );
    Made { descriptor, digest, content: content.as_bytes().to_vec() }
}

/// One image: its manifest, its config and its layer.
struct Child {
    manifest: Made,
    config: Made,
    layer: Made,
}

fn child(name: &str, platform: &str) -> Child {
    let config = made(CONFIG, &format!("{{\"config\":\"{name}\"}}"), platform);
    let layer = made(LAYER, &format!("layer of {name}"), platform);
    let text =
        format!(r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#, config.descriptor, layer.descriptor);
    Child { manifest: made(MANIFEST, &text, platform), config, layer }
}

impl Child {
    fn parts(&self) -> Vec<&Made> {
        vec![&self.manifest, &self.config, &self.layer]
    }
}

fn index(children: &[&Made]) -> Made {
    let list: Vec<&str> = children.iter().map(|child| child.descriptor.as_str()).collect();
    made(INDEX, &format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, list.join(",")), "any/any")
}

/// Verifies a repository of these blobs with an entry for each of `roots`; nothing of it may keep
/// gc from sweeping.
fn report(blobs: &[&Made], roots: &[(&Made, &str)]) -> Report {
    let dir = tempfile::tempdir().expect("a directory");
    let (repository, _) =
        Repository::init(dir.path(), InitOptions::default(), Settings::default()).expect("it is empty");
    fill(dir.path(), &repository, blobs, roots);
    let report = verify::verify(&repository, &verify::Options::default(), &Silent).expect("it can be read");
    let (plan, _) = gc::collect(&repository, &gc::Options::default(), &Silent).expect("it can be swept");
    assert!(plan.refusals.is_empty(), "{:?}", plan.refusals);
    report
}

fn fill(path: &Path, repository: &Repository, blobs: &[&Made], roots: &[(&Made, &str)]) {
    let lock = repository.lock_shared().expect("nobody holds it");
    let ingest = lock.ingest().expect("it is ours");
    for blob in blobs {
        ingest.put_bytes(&blob.content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let put = |(root, media_type): &(&Made, &str)| Put {
        entry: Entry::for_descriptor(media_type, &root.digest, root.content.len() as u64, None),
        name: Some(Name::parse(&format!("image:{}", &root.digest.encoded()[..12])).expect("a name")),
        replace: false,
    };
    ingest.commit(&roots.iter().map(put).collect::<Vec<Put>>()).expect("it is free");
}

fn kinds(report: &Report) -> Vec<(Kind, String)> {
    let mut kinds: Vec<(Kind, String)> =
        report.findings.iter().map(|found| (found.kind, found.digest.clone().expect("a blob"))).collect();
    kinds.sort();
    kinds
}

fn sorted(kind: Kind, blobs: &[&Made]) -> Vec<(Kind, String)> {
    let mut list: Vec<(Kind, String)> = blobs.iter().map(|blob| (kind, blob.digest.to_string())).collect();
    list.sort();
    list
}

#[test]
fn what_only_a_child_lacks_beside_a_complete_one_is_a_note() {
    let (here, gone) = (child("here", "linux/amd64"), child("gone", "linux/arm64"));
    let root = index(&[&here.manifest, &gone.manifest]);
    let mut blobs = here.parts();
    blobs.extend([&root, &gone.manifest]);
    let found = report(&blobs, &[(&root, INDEX)]);
    assert!(!found.has_errors(), "{:?}", found.findings);
    assert_eq!(kinds(&found), sorted(Kind::Sparse, &[&gone.config, &gone.layer]));

    // Below an index in the index as well, which has no complete child of its own.
    let inner = index(&[&gone.manifest]);
    let outer = index(&[&here.manifest, &inner]);
    blobs.extend([&outer, &inner]);
    let found = report(&blobs, &[(&outer, INDEX)]);
    let sparse = found.findings.iter().filter(|found| found.kind == Kind::Sparse).count();
    assert_eq!((found.has_errors(), sparse), (false, 2), "{:?}", found.findings);
    // Not where that one is an image by itself.
    let found = report(&blobs, &[(&outer, INDEX), (&inner, INDEX)]);
    assert!(found.has_errors(), "{:?}", found.findings);
}

#[test]
fn what_a_plain_image_lacks_is_an_error_even_if_an_index_names_it_too() {
    let (here, gone) = (child("here", "linux/amd64"), child("gone", "linux/arm64"));
    let root = index(&[&here.manifest, &gone.manifest]);
    let mut blobs = here.parts();
    blobs.extend([&root, &gone.manifest]);
    let found = report(&blobs, &[(&root, INDEX), (&gone.manifest, MANIFEST)]);
    assert_eq!(kinds(&found), sorted(Kind::Missing, &[&gone.config, &gone.layer]));
}

#[test]
fn an_index_without_a_complete_child_has_lost_something() {
    let (one, two) = (child("one", "linux/amd64"), child("two", "linux/arm64"));
    let note = child("note", "unknown/unknown");
    let root = index(&[&one.manifest, &two.manifest, &note.manifest]);
    let mut blobs = vec![&root, &one.manifest, &one.config, &two.manifest, &two.config, &two.layer];
    blobs.extend(note.parts());
    assert_eq!(kinds(&report(&blobs, &[(&root, INDEX)])), sorted(Kind::Sparse, &[&one.layer]));
    blobs.retain(|blob| blob.digest != two.layer.digest);
    let found = report(&blobs, &[(&root, INDEX)]);
    assert_eq!(kinds(&found), sorted(Kind::Missing, &[&one.layer, &two.layer]), "attestations do not count");
}

#[test]
fn a_layer_that_another_image_needs_too_is_an_error() {
    let (here, gone) = (child("here", "linux/amd64"), child("gone", "linux/arm64"));
    let other = made(
        MANIFEST,
        &format!(
            r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#,
            here.config.descriptor, gone.layer.descriptor
        ),
        "linux/amd64",
    );
    let root = index(&[&here.manifest, &gone.manifest]);
    let mut blobs = here.parts();
    blobs.extend([&root, &gone.manifest, &gone.config, &other]);
    let found = report(&blobs, &[(&root, INDEX), (&other, MANIFEST)]);
    assert_eq!(kinds(&found), sorted(Kind::Missing, &[&gone.layer]));
}
