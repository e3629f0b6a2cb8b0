//! Archives with index.json and manifest.json: what each says, joined.

mod support;

use ocirepo_store::Digest;
use serde_json::{Value, json};
use support::*;

fn item(image: &Image, tags: Value) -> Value {
    let path = |content: &[u8]| blob_path(&Digest::sha256(content));
    json!({"Config": path(&image.config), "RepoTags": tags, "Layers": [path(&image.layer)]})
}

fn hybrid(images: &[&Image], entries: &[Value], items: &[Value]) -> Vec<u8> {
    let tar = images.iter().fold(Tar::new(), |tar, image| tar.blobs(&image.blobs()));
    tar.layout(entries).json("manifest.json", &json!(items)).bytes()
}

#[test]
fn an_image_that_both_list_is_one_image() {
    let (repo, image) = (Repo::new(), Image::new("a"));
    let entry = named(named(image.entry(), IMAGE_NAME, "docker.io/library/a:1"), REF_NAME, "1");
    for tags in [json!(["a:1"]), json!(null), json!([])] {
        let imported =
            repo.add(&hybrid(&[&image], std::slice::from_ref(&entry), &[item(&image, tags)])).unwrap();
        assert_eq!(references(&imported), ["docker.io/library/a:1"]);
        assert!(warnings(&imported).is_empty());
    }
}

#[test]
fn legacy_and_hybrid_saves_of_one_image_have_one_digest() {
    let (repo, image) = (Repo::new(), Image::new("a"));
    let legacy = repo.add(&image.docker(&["a:1"])).unwrap();
    let entry = named(image.entry(), IMAGE_NAME, "docker.io/library/a:1");
    let hybrid = repo.add(&hybrid(&[&image], &[entry], &[item(&image, json!(["a:1"]))])).unwrap();
    assert_eq!(legacy.images[0].digest, hybrid.images[0].digest);
    assert!(hybrid.images[0].unchanged);
}

#[test]
fn an_index_json_without_entries_leaves_it_to_manifest_json() {
    let image = Image::new("a");
    for index in [r#"{"schemaVersion":2,"manifests":null}"#, r#"{"schemaVersion":2,"manifests":[]}"#] {
        let bytes = Tar::new()
            .blobs(&image.blobs())
            .file("index.json", index)
            .file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#)
            .json("manifest.json", &json!([item(&image, json!(null))]))
            .bytes();
        for add in [Repo::add, Repo::add_stream] {
            let imported = add(&Repo::new(), &bytes).unwrap();
            assert_eq!(summary(&imported).0, [format!("- {}", image.digest())]);
        }
    }
}

#[test]
fn an_image_that_only_manifest_json_lists_comes_in_too() {
    let (repo, a, b) = (Repo::new(), Image::new("a"), Image::new("b"));
    let entry = named(a.entry(), IMAGE_NAME, "docker.io/library/a:1");
    let items = [item(&b, json!(null)), item(&a, json!(["a:1"]))];
    let imported = repo.add(&hybrid(&[&a, &b], &[entry], &items)).unwrap();
    assert_eq!(references(&imported), ["docker.io/library/a:1", "-"]);
    assert_eq!(imported.images[1].digest, b.digest());
}

#[test]
fn nameless_entries_take_their_names_from_manifest_json() {
    let (repo, image) = (Repo::new(), Image::new("a"));
    let items = [item(&image, json!(["a:1", "b:1"]))];
    let imported = repo.add(&hybrid(&[&image], &[image.entry()], &items)).unwrap();
    assert_eq!(references(&imported), ["docker.io/library/a:1", "docker.io/library/b:1"]);
}

#[test]
fn where_the_names_differ_index_json_counts() {
    let (repo, image) = (Repo::new(), Image::new("a"));
    let entry = named(image.entry(), REF_NAME, "quay.io/x/y:1");
    let imported = repo.add(&hybrid(&[&image], &[entry], &[item(&image, json!(["a:1"]))])).unwrap();
    assert_eq!(references(&imported), ["quay.io/x/y:1"]);
    assert!(warnings(&imported)[0].contains("library/a:1"));
}

#[test]
fn layers_in_the_wrong_order_are_put_right() {
    let repo = Repo::new();
    let (one, two) = (layer("one"), layer("two"));
    let config = config(&[&one, &two]);
    let (wrong, right) = (manifest(&config, &[&two, &one]), manifest(&config, &[&one, &two]));
    let path = |content: &[u8]| blob_path(&Digest::sha256(content));
    let bytes = Tar::new()
        .blobs(&[&one, &two, &config, &wrong])
        .layout(&[named(descriptor(MANIFEST, &wrong), IMAGE_NAME, "docker.io/library/a:1")])
        .json(
            "manifest.json",
            &json!([{"Config": path(&config), "RepoTags": ["a:1"], "Layers": [path(&one), path(&two)]}]),
        )
        .bytes();
    let imported = repo.add(&bytes).unwrap();
    assert_eq!(summary(&imported).0, [format!("docker.io/library/a:1 {}", Digest::sha256(&right))]);
    assert!(warnings(&imported)[0].contains("wrong order"));
}
