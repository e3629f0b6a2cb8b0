//! `add --merge-platforms`: archives of one platform each become one index under one name, in one command, one
//! after the other, and at the same time.

use std::collections::BTreeSet;

use ocirepo_tests::archive;
use ocirepo_tests::artifact::index_of;
use ocirepo_tests::descriptor::{Blob, full_named};
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::intake::Intake;
use serde_json::Value;

const X: &str = "docker.io/library/x:1";

fn image(seed: &str, platform: &str) -> Image {
    ImageSpec::seeded(seed).platform(platform).build()
}

fn amd64() -> Image {
    image("x", "linux/amd64")
}

fn arm64() -> Image {
    image("x", "linux/arm64")
}

/// The index of both, the same whichever came first.
fn both() -> String {
    index_of(&[(&amd64(), "linux/amd64"), (&arm64(), "linux/arm64")]).digest
}

/// A docker archive of it, without a name.
fn source(intake: &Intake, image: &Image) -> String {
    let platform = image.platform["architecture"].as_str().expect("it has one");
    intake.source(
        &format!("{platform}-{}.tar", &image.config.hex()[..8]),
        &archive::docker_save(&[(image, &[])]),
    )
}

#[track_caller]
fn merge(intake: &Intake, images: &[&Image]) -> Value {
    let sources: Vec<_> = images.iter().map(|image| source(intake, image)).collect();
    let mut args: Vec<_> = sources.iter().map(String::as_str).collect();
    args.extend(["--ref", "x:1", "--merge-platforms"]);
    intake.add(&args).json
}

fn platforms(intake: &Intake) -> BTreeSet<String> {
    let listed = intake.ocirepo.run(&["ls", "--format", "json"]).json();
    let texts = listed[0]["platforms"].as_array().expect("it has platforms");
    texts.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

#[test]
fn two_archives_in_one_command() {
    for images in [[amd64(), arm64()], [arm64(), amd64()]] {
        let intake = Intake::new();
        merge(&intake, &[&images[0], &images[1]]);
        intake.assert_listed(&[(X, &both())]);
    }
}

/// An archive that gives one name to two platforms is joined first, and then joins what is there.
#[test]
fn one_archive_of_two_platforms() {
    let intake = Intake::new();
    let items: &[archive::Item<'_>] = &[(&amd64(), &[X]), (&arm64(), &[X])];
    let source = intake.source("both.tar", &archive::docker_save(items));
    for _ in 0..2 {
        intake.add(&[&source, "--merge-platforms"]);
        intake.assert_listed(&[(X, &both())]);
    }
    merge(&intake, &[&image("x", "linux/s390x")]);
    assert_eq!(platforms(&intake), ["linux/amd64", "linux/arm64", "linux/s390x"].map(str::to_owned).into());
}

/// Several sources under one name are several platforms or a mistake.
#[test]
fn two_archives_of_one_name_need_the_flag() {
    let intake = Intake::new();
    let (a, b) = (source(&intake, &amd64()), source(&intake, &arm64()));
    intake.misuses(&[&a, &b, "--ref", "x:1"], &["--merge-platforms"]);
}

#[test]
fn two_archives_one_after_the_other() {
    for images in [[amd64(), arm64()], [arm64(), amd64()]] {
        let intake = Intake::new();
        merge(&intake, &[&images[0]]);
        let first = intake.digest(X);
        let second = merge(&intake, &[&images[1]]);
        assert_eq!(second["images"][0]["previous"], first.as_str(), "{second:#}");
        assert_eq!(second["images"][0]["digest"], both().as_str(), "{second:#}");
        intake.assert_listed(&[(X, &both())]);
    }
}

/// Names that the archives carry themselves do as well as `--ref`.
#[test]
fn archives_that_have_the_name() {
    let intake = Intake::new();
    for (file, image) in [("amd64.tar", amd64()), ("arm64.tar", arm64())] {
        let source = intake.source(file, &archive::podman_save(&[(&image, &[X])]));
        intake.add(&[&source, "--merge-platforms"]);
    }
    intake.assert_listed(&[(X, &both())]);
}

/// Without the flag, a name moves.
#[test]
fn without_the_flag_the_last_one_has_the_name() {
    let intake = Intake::new();
    merge(&intake, &[&amd64()]);
    intake.add(&[&source(&intake, &arm64()), "--ref", "x:1"]);
    intake.assert_listed(&[(X, arm64().digest())]);
}

#[test]
fn the_same_again_changes_nothing() {
    let intake = Intake::new();
    merge(&intake, &[&amd64(), &arm64()]);
    let again = merge(&intake, &[&amd64()]);
    assert_eq!(again["images"][0]["digest"], both().as_str());
    assert_eq!(again["blobs"]["new"], 0, "{again:#}");
    intake.assert_listed(&[(X, &both())]);
}

#[test]
fn another_image_of_a_platform_takes_its_place() {
    let intake = Intake::new();
    merge(&intake, &[&amd64(), &arm64()]);
    let newer = image("newer", "linux/arm64");
    let third = merge(&intake, &[&newer]);
    assert_eq!(third["images"][0]["previous"], both().as_str());
    let expected = index_of(&[(&amd64(), "linux/amd64"), (&newer, "linux/arm64")]);
    intake.assert_listed(&[(X, &expected.digest)]);
    // What has lost its place is garbage, and nothing else is.
    let swept = intake.ocirepo.run(&["gc", "--format", "json"]).json();
    let digests = swept["swept"]["digests"].as_array().expect("gc lists what it swept");
    for lost in [both(), arm64().digest().to_owned()] {
        assert!(digests.contains(&lost.into()), "{swept:#}");
    }
    intake.assert_listed(&[(X, &expected.digest)]);
}

/// Variants are platforms of their own; an index that came from elsewhere gets one more.
#[test]
fn an_index_gets_a_third_platform() {
    let intake = Intake::new();
    let (v6, v7) = (image("x", "linux/arm/v6"), image("x", "linux/arm/v7"));
    let index = index_of(&[(&amd64(), "linux/amd64"), (&v6, "linux/arm/v6")]);
    let images = [amd64(), v6];
    let blobs = images.iter().flat_map(Image::blobs).chain([&index]);
    let tarball = archive::oci_archive_of(blobs, [full_named(index.descriptor(), X)]);
    intake.add(&[&intake.source("index.tar", &tarball)]);
    merge(&intake, &[&v7]);
    assert_eq!(platforms(&intake), ["linux/amd64", "linux/arm/v6", "linux/arm/v7"].map(str::to_owned).into());
    intake.ocirepo.run(&["verify"]).ok();
}

/// Two processes at once, each with a platform: whichever comes second joins the first.
#[test]
fn nothing_is_lost_when_two_merge_at_once() {
    for round in 0..10 {
        let intake = Intake::new();
        let images = [amd64(), arm64()];
        let running = images.each_ref().map(|image| {
            let path = source(&intake, image);
            intake.ocirepo.spawn(&["add", &path, "--ref", "x:1", "--merge-platforms"])
        });
        for process in running {
            process.wait().ok();
        }
        assert_eq!(intake.digest(X), both(), "round {round}");
        intake.assert_listed(&[(X, &both())]);
    }
}

/// The same with eight platforms.
#[test]
fn nothing_is_lost_when_eight_merge_at_once() {
    let intake = Intake::new();
    let platforms_of = ["386", "amd64", "arm", "arm64", "ppc64le", "riscv64", "s390x", "mips64le"];
    let running = platforms_of.map(|architecture| {
        let path = source(&intake, &image("x", &format!("linux/{architecture}")));
        intake.ocirepo.spawn(&["add", &path, "--ref", "x:1", "--merge-platforms"])
    });
    for process in running {
        process.wait().ok();
    }
    assert_eq!(platforms(&intake), platforms_of.map(|architecture| format!("linux/{architecture}")).into());
    intake.ocirepo.run(&["verify"]).ok();
}

/// Archives as docker's containerd store saves them: the index lists both platforms, the archive has one.
#[test]
fn what_is_not_there_takes_no_place() {
    let (old, new) = ([amd64(), arm64()], [image("y", "linux/amd64"), image("y", "linux/arm64")]);
    let index = |images: &[Image; 2]| index_of(&[(&images[0], "linux/amd64"), (&images[1], "linux/arm64")]);
    let (first, second) = (index(&old), index(&new));
    let archive = |image: &Image, index: &Blob| {
        let blobs: Vec<_> = image.blobs().chain([index]).cloned().collect();
        archive::oci_archive_of(&blobs, [full_named(index.descriptor(), X)])
    };
    let intake = Intake::new();
    let sources = [
        intake.source("amd64.tar", &archive(&old[0], &first)),
        intake.source("arm64.tar", &archive(&new[1], &second)),
    ];
    intake.add(&[&sources[0], &sources[1], "--merge-platforms"]);
    let expected = index_of(&[(&old[0], "linux/amd64"), (&new[1], "linux/arm64")]);
    intake.assert_listed(&[(X, &expected.digest)]);
    intake.ocirepo.run(&["gc"]).ok();
    let listed = intake.ocirepo.run(&["ls", "--format", "json"]).json();
    assert_eq!(listed[0]["complete"], true, "{listed:#}");
}

/// An index may leave the platform of an image to its config.
#[test]
fn platforms_are_read_from_configs() {
    let (a, b) = (amd64(), arm64());
    let bare = |image: &Image| {
        let mut descriptor = image.descriptor();
        descriptor.as_object_mut().expect("it is an object").remove("platform");
        descriptor
    };
    let index = Blob::new(
        "application/vnd.oci.image.index.v1+json",
        serde_json::json!({"schemaVersion": 2, "manifests": [bare(&a), bare(&b)]}).to_string(),
    );
    let blobs: Vec<_> = a.blobs().chain(b.blobs()).chain([&index]).cloned().collect();
    let tarball = archive::oci_archive_of(&blobs, [full_named(index.descriptor(), X)]);
    let newer = image("newer", "linux/amd64");
    for bare_first in [true, false] {
        let intake = Intake::new();
        let source = intake.source("bare.tar", &tarball);
        if bare_first {
            intake.add(&[&source]);
            merge(&intake, &[&newer]);
        } else {
            merge(&intake, &[&newer]);
            intake.add(&[&source, "--merge-platforms"]);
        }
        assert_eq!(platforms(&intake).len(), 2, "{bare_first}");
        let kept = if bare_first { newer.digest() } else { a.digest() };
        let manifests = intake.document(X)["manifests"].clone();
        let digests: Vec<_> =
            manifests.as_array().expect("a list").iter().map(|child| &child["digest"]).collect();
        assert_eq!(digests.len(), 2, "{digests:?}");
        assert!(
            digests.iter().any(|digest| *digest == kept)
                && digests.iter().any(|digest| *digest == b.digest())
        );
    }
}

/// What has no platform would be lost, or would lose what is there.
#[test]
fn what_is_no_image_for_a_platform_is_not_joined() {
    let chart = archive::helm_chart("app");
    let blobs: Vec<_> = chart.blobs().cloned().collect();
    let tarball = archive::oci_archive_of(&blobs, [full_named(chart.manifest.descriptor(), X)]);
    let intake = Intake::new();
    merge(&intake, &[&amd64()]);
    let source = intake.source("chart.tar", &tarball);
    intake.refuses(&[&source, "--merge-platforms"], 9, &[X, &chart.manifest.digest]);
    intake.assert_listed(&[(X, amd64().digest())]);

    let intake = Intake::new();
    let charts = intake.source("chart.tar", &tarball);
    intake.add(&[&charts]);
    let image = source_of(&intake);
    intake.refuses(&[&image, "--ref", "x:1", "--merge-platforms"], 9, &[X, &chart.manifest.digest]);
}

fn source_of(intake: &Intake) -> String {
    source(intake, &amd64())
}
