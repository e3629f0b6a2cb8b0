//! What comes along when a part of an image is taken, or an image changes: nothing that was left out
//! returns through what is about it, and what is about the image that was taken stays with it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

mod support;

use ocirepo_store::Digest;
use ocirepo_transfer::{Error, ImportOptions, Imported, Select};
use serde_json::{Value, json};
use support::*;

const REFERENCE: &str = "vnd.docker.reference.digest";

fn image(content: &str, architecture: &str) -> Image {
    let layer = layer(content);
    let config = json!({"architecture": architecture, "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [Digest::sha256(&layer).to_string()]}});
    let config = config.to_string().into_bytes();
    let manifest = manifest(&config, &[&layer]);
    Image { layer, config, manifest }
}

fn both() -> [Image; 2] {
    [image("a", "amd64"), image("b", "arm64")]
}

fn on(mut child: Value, os: &str, architecture: &str) -> Value {
    child["platform"] = json!({"os": os, "architecture": architecture});
    child
}

fn index(children: &[Value]) -> Vec<u8> {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": children}).to_string().into_bytes()
}

/// A manifest about another document. Its config and layer are `{}`.
fn referrer(media_type: &str, subject: &[u8]) -> Vec<u8> {
    let empty = descriptor("application/vnd.oci.empty.v1+json", b"{}");
    json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "x/y", "config": empty,
        "layers": [empty], "subject": descriptor(media_type, subject)})
    .to_string()
    .into_bytes()
}

fn attestation(content: &str, about: &Image) -> (Image, Value) {
    let attestation = image(content, "unknown");
    let entry = named(attestation.entry(), REFERENCE, about.digest().as_str());
    (attestation, on(entry, "unknown", "unknown"))
}

fn tar(images: &[&Image], blobs: &[&[u8]], entries: &[Value]) -> Vec<u8> {
    let tar = images.iter().fold(Tar::new(), |tar, image| tar.blobs(&image.blobs()));
    tar.blobs(blobs).blob("{}").layout(entries).bytes()
}

fn amd64() -> ImportOptions {
    ImportOptions { platforms: vec!["linux/amd64".parse().unwrap()], ..ImportOptions::default() }
}

fn app(index: &[u8]) -> Value {
    named(descriptor(INDEX, index), REF_NAME, "a:1")
}

fn has_any(repo: &Repo, image: &Image) -> bool {
    image.blobs().iter().any(|blob| repo.has(blob))
}

fn digests(imported: &Imported) -> Vec<Digest> {
    imported.images.iter().map(|image| image.digest.clone()).collect()
}

#[test]
fn a_referrer_in_the_index_goes_with_the_image_that_is_left_out() {
    let (repo, [amd, arm]) = (Repo::new(), both());
    let about_arm = referrer(MANIFEST, &arm.manifest);
    let about_that = referrer(MANIFEST, &about_arm);
    // One that refers to a referrer, listed before it, goes with it.
    let children = [
        descriptor(MANIFEST, &about_that),
        on(amd.entry(), "linux", "amd64"),
        on(arm.entry(), "linux", "arm64"),
        on(descriptor(MANIFEST, &about_arm), "unknown", "unknown"),
    ];
    let index = index(&children);
    let bytes = tar(&[&amd, &arm], &[&about_arm, &about_that, &index], &[app(&index)]);
    let imported = repo.add_with(&bytes, &amd64()).unwrap();
    assert_eq!(digests(&imported), [amd.digest()]);
    assert!(!has_any(&repo, &arm) && !repo.has(&index) && !repo.has(&about_arm) && !repo.has(&about_that));
    assert!(!warnings(&imported)[0].contains("attestations"), "{:?}", warnings(&imported));
}

#[test]
fn a_referrer_in_an_index_above_follows_what_an_index_below_lost() {
    let (repo, [amd, arm], other) = (Repo::new(), both(), image("c", "amd64"));
    let about_arm = referrer(MANIFEST, &arm.manifest);
    let about_other = referrer(MANIFEST, &other.manifest);
    let inner = index(&[amd.entry(), arm.entry()]);
    let outer = index(&[
        descriptor(MANIFEST, &about_arm),
        descriptor(MANIFEST, &about_other),
        descriptor(INDEX, &inner),
        other.entry(),
    ]);
    let bytes = tar(&[&amd, &arm, &other], &[&about_arm, &about_other, &inner, &outer], &[app(&outer)]);
    repo.add_with(&bytes, &amd64()).unwrap();
    assert!(!has_any(&repo, &arm) && !repo.has(&inner) && !repo.has(&about_arm));
    assert!(repo.has(&amd.manifest) && repo.has(&other.manifest) && repo.has(&about_other));
}

#[test]
fn the_fallback_tags_of_what_was_left_out_are_left_out() {
    let (repo, [amd, arm]) = (Repo::new(), both());
    let whole = index(&[amd.entry(), arm.entry()]);
    let about =
        [referrer(INDEX, &whole), referrer(MANIFEST, &arm.manifest), referrer(MANIFEST, &amd.manifest)];
    let lists = about.each_ref().map(|about| index(&[descriptor(MANIFEST, about)]));
    let subjects = [Digest::sha256(&whole), arm.digest(), amd.digest()];
    let mut entries = vec![app(&whole)];
    for (list, subject) in lists.iter().zip(&subjects) {
        let tag = format!("sha256-{}", subject.encoded());
        entries.push(named(descriptor(INDEX, list), REF_NAME, &tag));
    }
    // A signature as cosign stores it: it has no subject, only its tag.
    let signature = image("signature", "");
    let tag = format!("sha256-{}.sig", subjects[0].encoded());
    entries.push(named(signature.entry(), REF_NAME, &tag));
    let blobs: Vec<&[u8]> = about.iter().chain(&lists).chain([&whole]).map(Vec::as_slice).collect();
    let bytes = tar(&[&amd, &arm, &signature], &blobs, &entries);
    let imported = repo.add_with(&bytes, &amd64()).unwrap();
    assert_eq!(digests(&imported), [amd.digest(), Digest::sha256(&lists[2])]);
    assert!(!has_any(&repo, &arm) && !repo.has(&whole) && !has_any(&repo, &signature));
    assert!(repo.has(&about[2]) && !repo.has(&about[0]) && !repo.has(&about[1]));
    let warnings = warnings(&imported);
    let left_out = warnings.iter().filter(|warning| warning.contains("was left out: it is about"));
    assert_eq!(left_out.count(), 3, "{warnings:?}");

    // Without a cut all of it comes in.
    let imported = Repo::new().add(&bytes).unwrap();
    assert_eq!(imported.images.len(), 5);
}

#[test]
fn fallback_tags_of_images_with_other_layers_are_left_out() {
    let (repo, [amd, arm]) = (Repo::new(), both());
    let about = referrer(MANIFEST, &amd.manifest);
    let list = index(&[descriptor(MANIFEST, &about)]);
    let tag = format!("sha256-{}", amd.digest().encoded());
    let own = format!("sha256-{}", arm.digest().encoded());
    let entries = [
        named(amd.entry(), REF_NAME, "a:1"),
        named(descriptor(INDEX, &list), REF_NAME, &tag),
        // An image that is tagged with its own digest is about nothing else.
        named(arm.entry(), REF_NAME, &own),
    ];
    let bytes = tar(&[&amd, &arm], &[&about, &list], &entries);
    let options = ImportOptions { layers: "gzip".parse().unwrap(), ..ImportOptions::default() };
    let imported = repo.add_with(&bytes, &options).unwrap();
    assert_eq!(references(&imported), ["docker.io/library/a:1", own.as_str()]);
    assert!(!repo.has(&amd.manifest) && !repo.has(&amd.layer) && !repo.has(&about));
    assert!(warnings(&imported).iter().any(|warning| warning.contains(&tag)));
}

#[test]
fn attestations_beside_their_images_go_with_them() {
    let [amd, arm] = both();
    let (about_amd, amd_entry) = attestation("about amd64", &amd);
    let (about_arm, arm_entry) = attestation("about arm64", &arm);
    let entries = [
        named(amd.entry(), REF_NAME, "a:1"),
        amd_entry,
        named(arm.entry(), REF_NAME, "b:1"),
        arm_entry.clone(),
    ];
    let bytes = tar(&[&amd, &about_amd, &arm, &about_arm], &[], &entries);

    let repo = Repo::new();
    let imported = repo.add_with(&bytes, &amd64()).unwrap();
    assert_eq!(digests(&imported), [amd.digest(), about_amd.digest()]);
    assert!(!has_any(&repo, &arm) && !repo.has(&about_arm.manifest));
    let told = warnings(&imported);
    assert!(!told.iter().any(|warning| warning.contains("unknown/unknown")), "{told:?}");
    assert!(told.iter().any(|warning| warning.contains(about_arm.digest().as_str())), "{told:?}");

    let select = vec![Select::new("b:1")];
    let imported = Repo::new().add_with(&bytes, &ImportOptions { select, ..ImportOptions::default() });
    assert_eq!(digests(&imported.unwrap()), [arm.digest(), about_arm.digest()]);

    // What is only about another image does not make up for it.
    let only_arm = tar(&[&arm, &about_arm], &[], &[arm.entry(), arm_entry]);
    let error = Repo::new().add_with(&only_arm, &amd64()).unwrap_err();
    assert!(matches!(&error, Error::NoPlatform { there, .. } if *there == ["linux/arm64"]), "{error}");
}

#[test]
fn the_attestations_of_the_one_image_that_is_left_are_mentioned() {
    let (repo, [amd, arm]) = (Repo::new(), both());
    let (about_amd, amd_entry) = attestation("about amd64", &amd);
    let whole = index(&[amd.entry(), arm.entry(), amd_entry]);
    let bytes = tar(&[&amd, &arm, &about_amd], &[&whole], &[app(&whole)]);
    let imported = repo.add_with(&bytes, &amd64()).unwrap();
    assert_eq!(digests(&imported), [amd.digest()]);
    assert!(warnings(&imported)[0].ends_with(", and its attestations were left out"));
    assert!(!repo.has(&about_amd.manifest));
}

#[test]
fn indexes_that_list_one_another_many_times_are_cut_once() {
    let (repo, [amd, arm]) = (Repo::new(), both());
    for images in [&[amd.entry(), arm.entry()][..], &[amd.entry()]] {
        let mut blobs = vec![index(images)];
        for _ in 0..6 {
            let child = descriptor(INDEX, blobs.last().unwrap());
            blobs.push(index(&vec![child; 200]));
        }
        let top = blobs.last().unwrap().clone();
        let blobs: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
        repo.add_with(&tar(&[&amd, &arm], &blobs, &[app(&top)]), &amd64()).unwrap();
        assert!(repo.has(&amd.manifest) && !repo.has(&arm.manifest));
    }
}

#[test]
fn only_the_config_of_an_image_says_a_platform() {
    let (repo, amd) = (Repo::new(), image("a", "amd64"));
    let artifact = |media_type: &str, config: &[u8]| {
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(media_type, config),
            "layers": [descriptor("x/y", b"{}")]})
        .to_string()
        .into_bytes()
    };
    let large = vec![b' '; (16 << 20) + 1];
    let other = json!({"os": "linux", "architecture": "arm64"}).to_string();
    let artifacts =
        [artifact("x/model", &large), artifact("x/model", other.as_bytes()), artifact(CONFIG, b"no JSON")];
    let mut entries = vec![named(amd.entry(), REF_NAME, "a:1")];
    entries.extend(artifacts.iter().map(|artifact| descriptor(MANIFEST, artifact)));
    let blobs: Vec<&[u8]> = [&large[..], other.as_bytes(), b"no JSON"]
        .into_iter()
        .chain(artifacts.iter().map(Vec::as_slice))
        .collect();
    let imported = repo.add_with(&tar(&[&amd], &blobs, &entries), &amd64()).unwrap();
    assert_eq!(imported.images.len(), 4, "{:?}", warnings(&imported));

    // Naming asks for the platform of what shares a name, whatever its config is.
    let large = artifact(CONFIG, &large);
    let entries = [descriptor(MANIFEST, &large)];
    let repo = Repo::new();
    let bytes = tar(&[], &[&vec![b' '; (16 << 20) + 1], &large], &entries);
    assert_eq!(repo.add_with(&bytes, &amd64()).unwrap().images.len(), 1);
}

#[test]
fn items_of_manifest_json_that_share_a_nameless_entry_all_name_it() {
    let (image, other) = (image("a", "amd64"), image("b", "arm64"));
    let path = |content: &[u8]| blob_path(&Digest::sha256(content));
    let item = |image: &Image, tag: &str| json!({"Config": path(&image.config), "RepoTags": [tag], "Layers": [path(&image.layer)]});
    let expected = ["docker.io/library/a:1", "docker.io/library/b:1"];
    let check = |entries: &[Value], items: &[Value], blobs: &[&[u8]]| {
        let tar = Tar::new().blobs(&image.blobs()).blobs(&other.blobs()).blobs(blobs);
        let bytes = tar.layout(entries).json("manifest.json", &json!(items)).bytes();
        let imported = Repo::new().add(&bytes).unwrap();
        assert_eq!(references(&imported), expected);
        assert!(warnings(&imported).is_empty(), "{:?}", warnings(&imported));
    };
    let twice = [item(&image, "a:1"), item(&image, "b:1")];
    check(&[image.entry()], &twice, &[]);
    let named = expected.map(|name| named(image.entry(), IMAGE_NAME, name));
    check(&named, &twice, &[]);
    let whole = index(&[image.entry(), other.entry()]);
    check(&[descriptor(INDEX, &whole)], &[item(&image, "a:1"), item(&other, "b:1")], &[&whole]);
}
