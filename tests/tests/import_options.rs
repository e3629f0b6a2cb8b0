//! Taking a part of an archive: by name, position or digest, by platform, without what has no name; and what a
//! name for two platforms becomes.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use ocirepo_tests::archive::{self, Item};
use ocirepo_tests::artifact::{artifact, index_of, index_of_descriptors};
use ocirepo_tests::compress::Compression;
use ocirepo_tests::descriptor::{self, Blob, full_named, on_platform, ref_named};
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::intake::Intake;
use ocirepo_tests::tarball::Tarball;
use serde_json::Value;

const A: &str = "docker.io/library/a:1";
const B: &str = "docker.io/library/b:2";
const X: &str = "docker.io/library/x:1";

fn image(seed: &str, platform: &str) -> Image {
    ImageSpec::seeded(seed).packed(Compression::Gzip).platform(platform).build()
}

/// A docker archive of an image named [`A`], one named [`B`], and a nameless one.
struct Three {
    a: Image,
    b: Image,
    nameless: Image,
    docker: Tarball,
    oci: Tarball,
}

fn three() -> Three {
    let [a, b, nameless] = ["a", "b", "nameless"].map(|seed| ImageSpec::seeded(seed).build());
    let items: &[Item<'_>] = &[(&a, &[A]), (&b, &[B]), (&nameless, &[])];
    let (docker, oci) = (archive::docker_save(items), archive::oci_archive(items, full_named));
    Three { a, b, nameless, docker, oci }
}

/// What `--select` takes of an archive, and that nothing else comes in.
#[track_caller]
fn selects_of(tarball: &Tarball, queries: &[&str], expected: &[(&str, &str)]) {
    let intake = Intake::new();
    let mut args = vec![intake.source("three.tar", tarball)];
    args.extend(queries.iter().flat_map(|query| ["--select".to_owned(), (*query).to_owned()]));
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    intake.add(&args).is_silent();
    intake.assert_listed(expected);
    let garbage = intake.ocirepo.run(&["gc", "--dry-run", "--format", "json"]).json();
    assert_eq!(garbage["swept"]["blobs"], 0, "{queries:?}: nothing of the others came along");
}

/// The same of both formats: the images have raw layers and OCI types, so both give the same digests.
#[track_caller]
fn selects(queries: &[&str], expected: &[(&str, &str)]) {
    let three = three();
    for tarball in [&three.docker, &three.oci] {
        selects_of(tarball, queries, expected);
    }
}

#[test]
fn by_name() {
    let three = three();
    selects(&[B], &[(B, three.b.digest())]);
    selects(&["b:2"], &[(B, three.b.digest())]);
    selects(&["index.docker.io/library/b:2"], &[(B, three.b.digest())]);
}

#[test]
fn by_position() {
    let three = three();
    selects(&["@0"], &[(A, three.a.digest())]);
    selects(&["@2"], &[("", three.nameless.digest())]);
}

#[test]
fn by_digest_of_the_manifest_or_the_config() {
    let three = three();
    for blob in [&three.b.manifest, &three.b.config] {
        for query in [blob.digest.as_str(), blob.hex(), &blob.hex()[..7], &blob.digest[..20]] {
            selects(&[query], &[(B, three.b.digest())]);
        }
    }
}

/// The manifest of an image with packed layers is made when they have been read, but its config is there
/// before: docker calls it the image ID.
#[test]
fn by_image_id_of_packed_layers() {
    let (a, b) = (image("a", "linux/amd64"), image("b", "linux/amd64"));
    let tarball = archive::crane_pull(&[(&a, &[A]), (&b, &[B])]);
    for query in [b.config.digest.as_str(), b.config.hex(), &b.config.hex()[..12]] {
        selects_of(&tarball, &[query], &[(B, b.repacked().digest())]);
    }
}

#[test]
fn several() {
    let three = three();
    selects(&["@2", "a:1"], &[(A, three.a.digest()), ("", three.nameless.digest())]);
    selects(&["a:1", "@0", &three.a.config.digest], &[(A, three.a.digest())]);
}

#[test]
fn one_under_another_name() {
    let three = three();
    let intake = Intake::new();
    let source = intake.source("three.tar", &three.docker);
    intake.add(&[&source, "--select", "@2", "--ref", "x:1"]);
    intake.assert_listed(&[(X, three.nameless.digest())]);
    intake.refuses(&[&source, "--select", "@1", "--select", "@2", "--ref", "x:2"], 2, &["x:2", B]);
}

/// Whatever does not fit is named, with what there is.
#[test]
fn what_is_not_there() {
    let three = three();
    let intake = Intake::new();
    let source = intake.source("three.tar", &three.docker);
    let there = [A, B, &three.nameless.digest()[..19]];
    for query in ["c:1", "a:2", "a", "@3", "sha256:0123456789abcdef", "library/b", "2"] {
        let texts: Vec<_> = there.iter().copied().chain([query]).collect();
        intake.refuses(&[&source, "--select", query], 3, &texts);
        intake.refuses(&[&source, "--select", "a:1", "--select", query], 3, &texts);
    }
}

/// Signatures and the like are part of an image: nameless referrers, what refers to those, and fallback tags.
#[test]
fn referrers_come_along() {
    let (a, b) = (image("a", "linux/amd64"), image("b", "linux/amd64"));
    let about =
        |text: &str, subject: &Blob| artifact("application/vnd.test.note", text.as_bytes(), Some(subject));
    let (note_a, note_b) = (about("a", &a.manifest), about("b", &b.manifest));
    let note_on_note = about("note", &note_a.manifest);
    let [signature_a, signature_b] = ["a", "b"]
        .map(|text| artifact("application/vnd.dev.cosign.simplesigning.v1+json", text.as_bytes(), None));
    let fallback = |image: &Image| format!("{}.sig", image.digest().replace(':', "-"));
    let artifacts = [&note_a, &note_b, &note_on_note, &signature_a, &signature_b];
    let blobs = a.blobs().chain(b.blobs()).chain(artifacts.into_iter().flat_map(|artifact| artifact.blobs()));
    let entries = [
        note_on_note.manifest.descriptor(),
        full_named(a.descriptor(), A),
        ref_named(signature_a.manifest.descriptor(), &fallback(&a)),
        note_a.manifest.descriptor(),
        full_named(b.descriptor(), B),
        note_b.manifest.descriptor(),
        ref_named(signature_b.manifest.descriptor(), &fallback(&b)),
    ];
    let tarball = archive::oci_archive_of(blobs, entries);
    for (name, args) in [(A, ["--select", "a:1"].as_slice()), (X, &["--select", "a:1", "--ref", "x:1"])] {
        let intake = Intake::new();
        let source = intake.source("signed.tar", &tarball);
        intake.add(&[&[source.as_str()], args].concat());
        intake.assert_listed(&[
            (name, a.digest()),
            (&fallback(&a), &signature_a.manifest.digest),
            ("", &note_a.manifest.digest),
            ("", &note_on_note.manifest.digest),
        ]);
    }
    // A referrer has no name either, but is no image that lacks one.
    let intake = Intake::new();
    intake.add(&[&intake.source("signed.tar", &tarball), "--untagged", "skip"]);
    assert_eq!(intake.listed().len(), 7);
}

#[test]
fn images_without_a_name_can_be_left_out() {
    let three = three();
    for tarball in [&three.docker, &three.oci] {
        let intake = Intake::new();
        intake.add(&[&intake.source("three.tar", tarball), "--untagged", "skip"]);
        intake.assert_listed(&[(A, three.a.digest()), (B, three.b.digest())]);
        assert!(!intake.layout().blobs().contains(&three.nameless.config.digest));
        intake.add(&[&intake.source("three.tar", tarball), "--untagged", "keep"]);
        assert_eq!(intake.listed().len(), 3);
    }
}

/// An image for three platforms, in an order that is not that of the alphabet.
struct Multi {
    arm64: Image,
    amd64: Image,
    arm: Image,
    index: Blob,
}

fn multi() -> Multi {
    let [arm64, amd64, arm] = ["linux/arm64/v8", "linux/amd64", "linux/arm/v7"].map(|of| image("multi", of));
    let index = index_of(&[(&arm64, "linux/arm64/v8"), (&amd64, "linux/amd64"), (&arm, "linux/arm/v7")]);
    Multi { arm64, amd64, arm, index }
}

impl Multi {
    fn archive_of(&self, index: &Blob) -> Tarball {
        let images = [&self.arm64, &self.amd64, &self.arm];
        let blobs = images.into_iter().flat_map(Image::blobs).chain([index]);
        archive::oci_archive_of(blobs, [full_named(index.descriptor(), A)])
    }

    fn archive(&self) -> Tarball {
        self.archive_of(&self.index)
    }
}

#[test]
fn one_platform_of_an_index() {
    let multi = multi();
    for (platform, child) in
        [("linux/arm64", &multi.arm64), ("linux/arm64/v8", &multi.arm64), ("linux/arm/v7", &multi.arm)]
    {
        let intake = Intake::new();
        intake.add(&[&intake.source("multi.tar", &multi.archive()), "--platform", platform]);
        intake.assert_listed(&[(A, child.digest())]);
        let blobs = child.blobs().map(|blob| blob.digest.clone());
        assert_eq!(intake.layout().blobs(), blobs.collect(), "{platform}: nothing of the others came along");
    }
}

/// Children keep their order, and the warning says what became of the digest.
#[test]
fn two_platforms_of_an_index() {
    let multi = multi();
    let expected = index_of(&[(&multi.arm64, "linux/arm64/v8"), (&multi.arm, "linux/arm/v7")]);
    for args in [
        ["--platform", "linux/arm/v7", "--platform", "linux/arm64"].as_slice(),
        &["--platform", "linux/arm/v7,linux/arm64"],
    ] {
        let intake = Intake::new();
        let source = intake.source("multi.tar", &multi.archive());
        let added = intake.add(&[&[source.as_str()], args].concat());
        added.warns(&[&multi.index.digest, &expected.digest]);
        assert!(
            added.json["images"][0]["warnings"].to_string().contains(&expected.digest),
            "{:#}",
            added.json
        );
        intake.assert_listed(&[(A, &expected.digest)]);
        assert!(!intake.layout().blobs().contains(multi.amd64.digest()));
        assert!(!intake.layout().blobs().contains(&multi.index.digest));
    }
}

/// Whatever else an index says stays as it is spelled: unknown members, the order of keys, numbers.
#[test]
fn a_cut_index_keeps_the_rest_of_its_document() {
    let multi = multi();
    let child = |image: &Image, platform: &str| {
        let descriptor = on_platform(image.descriptor(), platform);
        let text = String::from_utf8(ocirepo_tests::json::compact(&descriptor)).unwrap();
        text.replacen('{', r#"{"com.example.weight":1.50,"#, 1)
    };
    let document = |children: &[String]| {
        let children = children.join(",");
        let text = format!(
            r#"{{"annotations":{{"z":"1","a":"\u00e9"}},"manifests":[{children}],"com.example.n":1e2,"schemaVersion":2,"mediaType":"{}"}}"#,
            descriptor::OCI_INDEX
        );
        Blob::new(descriptor::OCI_INDEX, text)
    };
    let [arm64, amd64, arm] = [
        child(&multi.arm64, "linux/arm64/v8"),
        child(&multi.amd64, "linux/amd64"),
        child(&multi.arm, "linux/arm/v7"),
    ];
    let whole = document(&[arm64.clone(), amd64, arm.clone()]);
    let intake = Intake::new();
    let source = intake.source("multi.tar", &multi.archive_of(&whole));
    intake.add(&[&source, "--platform", "linux/arm64,linux/arm"]);
    let bytes = intake.layout().read_blob(&intake.digest(A));
    assert_eq!(String::from_utf8(bytes).unwrap(), String::from_utf8(document(&[arm64, arm]).bytes).unwrap());
}

#[test]
fn all_platforms_of_an_index() {
    let multi = multi();
    let intake = Intake::new();
    let source = intake.source("multi.tar", &multi.archive());
    intake.add(&[&source, "--platform", "linux/amd64,linux/arm64,linux/arm/v7"]).is_silent();
    intake.assert_listed(&[(A, &multi.index.digest)]);
}

#[test]
fn a_platform_that_is_not_there() {
    let multi = multi();
    let intake = Intake::new();
    let source = intake.source("multi.tar", &multi.archive());
    let there = ["linux/amd64", "linux/arm64", "linux/arm/v7"];
    for platform in ["linux/s390x", "linux/arm/v6", "windows/amd64"] {
        let texts: Vec<_> = there.iter().copied().chain([platform]).collect();
        intake.refuses(&[&source, "--platform", platform], 3, &texts);
    }
    intake.misuses(&[&source, "--platform", "linux"], &["linux/amd64"]);
}

/// A plain image is of one platform: the wrong one is an error, unless others of the archive fit.
#[test]
fn plain_images_of_other_platforms() {
    let (amd64, arm64) = (image("a", "linux/amd64"), image("b", "linux/arm64"));
    let intake = Intake::new();
    let one = intake.source("one.tar", &archive::docker_save(&[(&amd64, &[A])]));
    intake.refuses(&[&one, "--platform", "linux/arm64"], 3, &["linux/arm64", "linux/amd64"]);
    let two = intake.source("two.tar", &archive::docker_save(&[(&amd64, &[A]), (&arm64, &[B])]));
    intake.add(&[&two, "--platform", "linux/arm64"]).warns(&[A, "linux/amd64"]);
    intake.assert_listed(&[(B, arm64.unpacked().digest())]);
}

/// An index whose archive has one platform of three.
fn sparse() -> (Multi, Tarball) {
    let multi = multi();
    let blobs: Vec<_> = multi.amd64.blobs().chain([&multi.index]).cloned().collect();
    let tarball = archive::oci_archive_of(&blobs, [full_named(multi.index.descriptor(), A)]);
    (multi, tarball)
}

#[test]
fn a_sparse_index_can_be_refused() {
    let (multi, tarball) = sparse();
    let intake = Intake::new();
    let source = intake.source("sparse.tar", &tarball);
    intake.refuses(&[&source, "--require-complete"], 4, &[A, "linux/arm64/v8", "linux/arm/v7"]);
    intake.add(&[&source]).warns(&["linux/arm64/v8", "linux/arm/v7"]);
    intake.assert_listed(&[(A, &multi.index.digest)]);

    let whole = Intake::new();
    let source = whole.source("multi.tar", &multi.archive());
    whole.add(&[&source, "--require-complete"]).is_silent();
}

/// In an archive of many images, a warning is of no use unless it says which one it is about.
#[test]
fn a_warning_names_its_image() {
    let multi = multi();
    let plain = image("plain", "linux/amd64");
    let blobs: Vec<_> = multi.amd64.blobs().chain(plain.blobs()).chain([&multi.index]).cloned().collect();
    let entries = [full_named(plain.descriptor(), B), full_named(multi.index.descriptor(), A)];
    let intake = Intake::new();
    let source = intake.source("two.tar", &archive::oci_archive_of(&blobs, entries));
    intake.add(&[&source]).warns(&[A, "linux/arm64/v8"]);
}

/// What is asked for is there, so nothing is missing.
#[test]
fn the_platform_that_a_sparse_index_has() {
    let (multi, tarball) = sparse();
    let intake = Intake::new();
    let source = intake.source("sparse.tar", &tarball);
    intake.add(&[&source, "--platform", "linux/amd64", "--require-complete"]);
    intake.assert_listed(&[(A, multi.amd64.digest())]);
}

/// hauler's and others' archives name an image of each platform alike; consumers keep the last.
#[test]
fn one_name_for_two_platforms_becomes_an_index() {
    let [amd64, arm64] = ["linux/amd64", "linux/arm64"].map(|of| ImageSpec::seeded("a").platform(of).build());
    let expected = index_of(&[(&amd64, "linux/amd64"), (&arm64, "linux/arm64")]);
    let names: &[&str] = &[A, B];
    for tarball in [
        archive::docker_save(&[(&amd64, names), (&arm64, names)]),
        archive::docker_save(&[(&arm64, names), (&amd64, names)]),
        archive::oci_archive(&[(&arm64, names), (&amd64, names)], full_named),
    ] {
        let intake = Intake::new();
        let source = intake.source("two.tar", &tarball);
        intake.add(&[&source]);
        intake.assert_listed(&[(A, &expected.digest), (B, &expected.digest)]);
        assert_eq!(intake.layout().read_blob(&expected.digest), expected.bytes);
        let platforms = &intake.ocirepo.run(&["ls", "--format", "json"]).json()[0]["platforms"];
        assert_eq!(*platforms, Value::from(vec!["linux/amd64", "linux/arm64"]));
    }
}

#[test]
fn one_platform_of_one_name_for_two() {
    let [amd64, arm64] = ["linux/amd64", "linux/arm64"].map(|of| ImageSpec::seeded("a").platform(of).build());
    let tarball = archive::docker_save(&[(&amd64, &[A]), (&arm64, &[A])]);
    let intake = Intake::new();
    intake.add(&[&intake.source("two.tar", &tarball), "--platform", "linux/arm64"]);
    intake.assert_listed(&[(A, arm64.digest())]);
}

/// What buildx attests is about one child, and follows it.
#[test]
fn attestations_of_a_platform_that_is_left_out_are_left_out() {
    let multi = multi();
    let (_, about_amd64) = archive::with_attestation(&multi.amd64, "linux/amd64");
    let attestation = on_platform(about_amd64.manifest.descriptor(), "unknown/unknown");
    let attestation = descriptor::annotated(attestation, "vnd.docker.reference.digest", multi.amd64.digest());
    let attestation = descriptor::annotated(attestation, "vnd.docker.reference.type", "attestation-manifest");
    let child = |image: &Image, platform| on_platform(image.descriptor(), platform);
    let children = [
        child(&multi.arm64, "linux/arm64/v8"),
        child(&multi.amd64, "linux/amd64"),
        child(&multi.arm, "linux/arm/v7"),
        attestation,
    ];
    let index = index_of_descriptors(children.clone());
    let blobs: Vec<Blob> = [&multi.arm64, &multi.amd64, &multi.arm]
        .into_iter()
        .flat_map(Image::blobs)
        .chain(about_amd64.blobs())
        .chain([&index])
        .cloned()
        .collect();
    let tarball = archive::oci_archive_of(&blobs, [full_named(index.descriptor(), A)]);
    let [arm64, amd64, arm, attestation] = children;
    for (platforms, expected) in [
        ("linux/arm64,linux/arm", index_of_descriptors([arm64.clone(), arm])),
        ("linux/arm64,linux/amd64", index_of_descriptors([arm64, amd64, attestation])),
    ] {
        let intake = Intake::new();
        intake.add(&[&intake.source("multi.tar", &tarball), "--platform", platforms]);
        intake.assert_listed(&[(A, &expected.digest)]);
    }
}
