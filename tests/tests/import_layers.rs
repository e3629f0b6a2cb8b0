//! How layers are stored: as they come, compressed, or as a copy that is there already; layers that an archive
//! leaves out; and whether layers are what their config says.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::collections::BTreeSet;
use std::fs;

use ocirepo_tests::archive;
use ocirepo_tests::artifact::index_of;
use ocirepo_tests::compress::Compression;
use ocirepo_tests::descriptor::{self, Blob, full_named};
use ocirepo_tests::digest;
use ocirepo_tests::image::{Flavor, Image, ImageSpec};
use ocirepo_tests::intake::Intake;
use ocirepo_tests::noise::noise;
use ocirepo_tests::producers;
use ocirepo_tests::tarball::Tarball;
use serde_json::{Value, json};

const A: &str = "docker.io/library/a:1";
const B: &str = "docker.io/library/b:1";

/// Four raw layers, two of them large enough for some blocks of gzip.
fn raw() -> ImageSpec {
    let text: String = (0..130_000).map(|n| format!("line {n}\n")).collect();
    ImageSpec::seeded("a").layer(Tarball::new().file("text", text)).noise_layer(1, 3_000_000)
}

/// The layers of a manifest as they are stored must unpack to the diffIDs of its config; returns their media types.
#[track_caller]
fn layers_hold(intake: &Intake, manifest: &Value) -> Vec<String> {
    let layout = intake.layout();
    let text = |value: &Value| value.as_str().expect("it is text").to_owned();
    let config: Value =
        serde_json::from_slice(&layout.read_blob(&text(&manifest["config"]["digest"]))).unwrap();
    let layers = manifest["layers"].as_array().expect("it has layers");
    let mut media_types = Vec::new();
    for (layer, diff_id) in
        layers.iter().zip(config["rootfs"]["diff_ids"].as_array().expect("it has diffIDs"))
    {
        let bytes = layout.read_blob(&text(&layer["digest"]));
        assert_eq!(layer["size"], bytes.len(), "{layer}");
        assert_eq!(digest::sha256(&bytes), text(&layer["digest"]));
        let plain = Compression::of(&bytes).unpack(&bytes);
        assert_eq!(digest::sha256(&plain), text(diff_id), "{layer}");
        let (suffix, media_type) = (Compression::of(&bytes), text(&layer["mediaType"]));
        let expected = match suffix {
            Compression::None => "",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        };
        assert!(media_type.ends_with(expected), "{media_type} for {suffix:?}");
        media_types.push(media_type);
    }
    media_types
}

/// Adds the archive with one thread and with four, from a file and from stdin: the same comes of all.
#[track_caller]
fn recompresses(tarball: &Tarball, layers: &str) -> Intake {
    let add = |args: &[&str]| {
        let intake = Intake::new();
        let source = intake.source("source.tar", tarball);
        intake.add(&[&[source.as_str(), "--layers", layers], args].concat());
        intake
    };
    let index = |intake: &Intake| fs::read_to_string(intake.ocirepo.dir().join("index.json")).unwrap();
    let one = add(&["-j", "1"]);
    let four = add(&["-j", "4"]);
    assert_eq!(index(&one), index(&four), "--layers {layers}: index.json of one thread and of four");
    assert_eq!(one.layout().blobs(), four.layout().blobs());
    let stdin = Intake::new();
    stdin.ocirepo.run_with_stdin(&["add", "-", "--layers", layers], tarball.to_bytes()).ok();
    assert_eq!(index(&one), index(&stdin), "--layers {layers}: index.json of a file and of stdin");
    let verified = one.ocirepo.run(&["verify", "--format", "json"]).json();
    assert_eq!(verified["findings"], json!([]), "{verified:#}");
    one
}

#[test]
fn layers_of_a_docker_archive() {
    let image = raw().build();
    for (layers, media_type) in
        [("gzip", "+gzip"), ("gzip:9", "+gzip"), ("zstd", "+zstd"), ("zstd:19", "+zstd")]
    {
        let intake = recompresses(&archive::docker_save(&[(&image, &[A])]), layers);
        let manifest = intake.document(A);
        let expected = vec![format!("{}{media_type}", descriptor::OCI_LAYER); image.layers.len()];
        assert_eq!(layers_hold(&intake, &manifest), expected);
        assert_eq!(manifest["config"]["digest"], image.config.digest, "the config is untouched");
        assert_eq!(manifest["mediaType"], descriptor::OCI_MANIFEST);
    }
}

#[test]
fn layers_of_an_oci_archive() {
    let image = raw().annotation("com.example.note", "stays").build();
    for (layers, media_type) in [("gzip", "+gzip"), ("zstd:3", "+zstd")] {
        let intake = recompresses(&archive::oci_archive(&[(&image, &[A])], full_named), layers);
        let manifest = intake.document(A);
        let expected = vec![format!("{}{media_type}", descriptor::OCI_LAYER); image.layers.len()];
        assert_eq!(layers_hold(&intake, &manifest), expected);
        assert_eq!(manifest["config"], image.config.descriptor());
        assert_eq!(manifest["annotations"], json!({"com.example.note": "stays"}));
        assert_ne!(intake.digest(A), image.digest());
    }
}

/// docker's own types stay docker's own.
#[test]
fn layers_of_a_docker_manifest() {
    let image = raw().flavor(Flavor::Docker).build();
    let intake = recompresses(&archive::oci_archive(&[(&image, &[A])], full_named), "gzip");
    let manifest = intake.document(A);
    assert_eq!(manifest["mediaType"], descriptor::DOCKER_MANIFEST);
    let expected = vec![format!("{}.gzip", descriptor::DOCKER_LAYER); image.layers.len()];
    assert_eq!(layers_hold(&intake, &manifest), expected);
}

#[test]
fn layers_of_an_index() {
    let [amd64, arm64] = ["linux/amd64", "linux/arm64"].map(|platform| raw().platform(platform).build());
    let index = index_of(&[(&arm64, "linux/arm64"), (&amd64, "linux/amd64")]);
    let blobs = amd64.blobs().chain(arm64.blobs()).chain([&index]);
    let tarball = archive::oci_archive_of(blobs, [full_named(index.descriptor(), A)]);
    let intake = recompresses(&tarball, "gzip");
    let document = intake.document(A);
    let children = document["manifests"].as_array().expect("it is an index");
    let platform = |child: &Value| child["platform"]["architecture"].clone();
    assert_eq!(children.iter().map(platform).collect::<Vec<_>>(), ["arm64", "amd64"]);
    for child in children {
        let bytes = intake.layout().read_blob(child["digest"].as_str().unwrap());
        assert_eq!(child["size"], bytes.len());
        layers_hold(&intake, &serde_json::from_slice(&bytes).unwrap());
    }
}

/// What is in that compression already stays as it is, whoever compressed it, and with it the digest.
#[test]
fn layers_that_fit_already() {
    let gzip = raw().packed(Compression::Gzip).build();
    let oci = archive::oci_archive(&[(&gzip, &[A])], full_named);
    recompresses(&oci, "gzip").assert_listed(&[(A, gzip.digest())]);
    recompresses(&archive::crane_pull(&[(&gzip, &[A])]), "gzip:1")
        .assert_listed(&[(A, gzip.repacked().digest())]);
    let zstd = recompresses(&oci, "zstd");
    layers_hold(&zstd, &zstd.document(A))
        .iter()
        .for_each(|media_type| assert!(media_type.ends_with("+zstd")));

    let mixed = ImageSpec::of(&gzip).gzip_layer(Tarball::new().file("packed", "x")).build();
    let intake = recompresses(&archive::oci_archive(&[(&mixed, &[A])], full_named), "gzip");
    layers_hold(&intake, &intake.document(A));
    let kept = &mixed.layers.last().unwrap().digest;
    assert_eq!(intake.document(A)["layers"].as_array().unwrap().last().unwrap()["digest"], kept.as_str());
}

/// A chart is no image, and its one layer no file system.
#[test]
fn artifacts_are_left_alone() {
    let intake = recompresses(producers::hauler().tarball(), "zstd");
    let chart = archive::helm_chart("app");
    assert_eq!(intake.digest("registry.example/charts/app:1.0.0"), chart.manifest.digest);
}

#[test]
fn words_that_are_no_compression() {
    let intake = Intake::new();
    let source = intake.source("a.tar", &archive::docker_save(&[(&raw().build(), &[A])]));
    for bad in ["lz4", "gzip:0x", "gzip:99", "zstd:99", "keep:1", ""] {
        intake.misuses(&[&source, "--layers", bad], &["--layers"]);
    }
}

/// An image that the store has with gzip layers, and the same as docker saves it.
fn stored_and_saved() -> (Intake, Image, String) {
    let image = raw().packed(Compression::Gzip).flavor(Flavor::Docker).build();
    let intake = Intake::new();
    intake.add(&[&intake.source("pulled.tar", &archive::oci_archive(&[(&image, &[A])], full_named))]);
    let saved = intake.source("saved.tar", &archive::docker_save(&[(&image, &[B])]));
    (intake, image, saved)
}

#[test]
fn a_copy_that_is_there_is_used() {
    let (intake, image, saved) = stored_and_saved();
    let layers: BTreeSet<_> = image.layers.iter().map(|layer| layer.digest.clone()).collect();
    let added = intake.add(&[&saved, "--layers", "reuse"]);
    let manifest = image.repacked().manifest;
    assert_eq!(added.blobs("newBytes"), manifest.bytes.len() as u64, "only a manifest: {:#}", added.json);
    intake.assert_listed(&[(A, image.digest()), (B, &manifest.digest)]);
    let used = intake.document(B);
    let used =
        used["layers"].as_array().unwrap().iter().map(|layer| layer["digest"].as_str().unwrap().to_owned());
    assert_eq!(used.collect::<BTreeSet<_>>(), layers);
    layers_hold(&intake, &intake.document(B));
}

/// What was found out is a shortcut and no more.
#[test]
fn forgetting_changes_nothing() {
    let (intake, image, saved) = stored_and_saved();
    let digest = image.repacked().manifest.digest;
    for _ in 0..2 {
        intake.forget();
        intake.add(&[&saved, "--layers", "reuse"]);
        intake.assert_listed(&[(A, image.digest()), (B, &digest)]);
        intake.add(&[&saved, "--layers", "reuse"]).is_silent();
        intake.ocirepo.run(&["rm", B]).ok();
    }
}

/// The default makes the digest depend on nothing but the archive.
#[test]
fn a_copy_is_not_used_unasked() {
    let (intake, image, saved) = stored_and_saved();
    intake.add(&[&saved]);
    intake.assert_listed(&[(A, image.digest()), (B, image.unpacked().digest())]);
}

/// The image, but the config says that its last layer unpacks to something else: to `claimed`.
fn lying(image: &Image, claimed: &str) -> Image {
    let mut config: Value = serde_json::from_slice(&image.config.bytes).unwrap();
    let diff_ids = config["rootfs"]["diff_ids"].as_array_mut().expect("it has diffIDs");
    *diff_ids.last_mut().expect("it has layers") = claimed.into();
    let config = Blob::new(image.config.media_type.clone(), serde_json::to_vec(&config).unwrap());
    let layers: Vec<_> = image.layers.iter().map(Blob::descriptor).collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": descriptor::OCI_MANIFEST,
        "config": config.descriptor(),
        "layers": layers,
    });
    let manifest = Blob::new(descriptor::OCI_MANIFEST, serde_json::to_vec(&manifest).unwrap());
    Image { manifest, config, ..image.clone() }
}

/// A config can claim any diffID for any blob; that is no proof.
#[test]
fn a_copy_that_only_claims_to_be_one_is_not_used() {
    let truth = ImageSpec::seeded("truth").build();
    let liar = lying(&ImageSpec::seeded("liar").packed(Compression::Gzip).build(), &truth.diff_ids[1]);
    let intake = Intake::new();
    intake.add(&[&intake.source("liar.tar", &archive::oci_archive(&[(&liar, &[A])], full_named))]);
    let saved = intake.source("saved.tar", &archive::docker_save(&[(&truth, &[B])]));
    for _ in 0..2 {
        intake.add(&[&saved, "--layers", "reuse"]);
        let manifest = intake.document(B);
        layers_hold(&intake, &manifest);
        assert_eq!(manifest["layers"][1]["digest"], truth.diff_ids[1], "the layer of the archive itself");
        intake.forget();
    }
}

#[test]
fn a_base_of_five_archives_is_stored_once() {
    let base = Tarball::new().file("base", noise(1, 1_000_000));
    let intake = Intake::new();
    for seed in ["a", "b", "c", "d", "e"] {
        let image = ImageSpec::new().layer(base.clone()).layer(Tarball::new().file("seed", seed)).build();
        let name = format!("docker.io/test/{seed}:1");
        let source = intake.source(&format!("{seed}.tar"), &archive::docker_save(&[(&image, &[&name])]));
        let added = intake.add(&[&source]);
        let is_first = seed == "a";
        assert_eq!(added.blobs("newBytes") > 1_000_000, is_first, "{seed}: {:#}", added.json);
        assert_eq!(added.blobs("reused") > 0, !is_first, "{seed}: {:#}", added.json);
    }
    assert_eq!(intake.layout().blobs().len(), 1 + 5 * 3);
    intake.ocirepo.run(&["verify"]).ok();
}

/// A docker archive of [`B`] that lacks the layer it shares with all others.
fn thin() -> (Image, Tarball, String) {
    let image = ImageSpec::seeded("thin").build();
    let tarball = archive::crane_pull(&[(&image, &[B])]);
    let base = format!("{}.tar", image.layers[0].hex());
    (image, tarball.without(&base), base)
}

#[test]
fn a_thin_archive_over_a_store_that_has_the_layer() {
    let (image, tarball, layer) = thin();
    let other = ImageSpec::seeded("other");
    let raw = archive::docker_save(&[(&other.build(), &[A])]);
    let gzip = archive::oci_archive(&[(&other.packed(Compression::Gzip).build(), &[A])], full_named);
    for (store, compression) in [(raw, Compression::None), (gzip, Compression::Gzip)] {
        let intake = Intake::new();
        intake.add(&[&intake.source("store.tar", &store)]);
        let source = intake.source("thin.tar", &tarball);
        intake.refuses(&[&source], 4, &[&layer, B, "--allow-thin"]);
        intake.forget();
        intake.add(&[&source, "--allow-thin"]);
        let base = ImageSpec::new().raw_layer(image.tars[0].clone(), compression);
        let expected = base.raw_layer(image.tars[1].clone(), Compression::None).build().repacked();
        assert_eq!(intake.digest(B), expected.digest(), "{compression:?}");
        layers_hold(&intake, &intake.document(B));
        intake.ocirepo.run(&["verify"]).ok();
    }
}

#[test]
fn a_thin_archive_over_a_store_that_lacks_the_layer() {
    let (image, tarball, layer) = thin();
    let intake = Intake::new();
    let source = intake.source("thin.tar", &tarball);
    intake.refuses(&[&source], 4, &[&layer, B]);
    intake.refuses(&[&source, "--allow-thin"], 4, &[&layer, B]);
    // A config that claims to have it is not enough.
    let liar = lying(&ImageSpec::new().layer(Tarball::new().file("own", "x")).build(), &image.diff_ids[0]);
    intake.add(&[&intake.source("liar.tar", &archive::oci_archive(&[(&liar, &[A])], full_named))]);
    intake.refuses(&[&source, "--allow-thin"], 4, &[&layer, B]);
}

#[test]
fn layers_that_are_not_what_the_config_says() {
    let truth = ImageSpec::seeded("truth").build();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let image = ImageSpec::seeded("a").packed(compression).build();
        let liar = lying(&image, &truth.diff_ids[1]);
        let intake = Intake::new();
        let source = intake.source("liar.tar", &archive::oci_archive(&[(&liar, &[A])], full_named));
        let texts = [A, &liar.layers[1].digest, &truth.diff_ids[1], &image.diff_ids[1]];
        intake.refuses(&[&source, "--verify-diffids"], 4, &texts);
        intake.add(&[&source]);
        intake.assert_listed(&[(A, liar.digest())]);
        // The blobs are there now, and are no better for it.
        intake.refuses(&[&source, "--verify-diffids"], 4, &texts);

        let honest = intake.source("honest.tar", &archive::oci_archive(&[(&image, &[B])], full_named));
        intake.add(&[&honest, "--verify-diffids"]).is_silent();
        assert_eq!(intake.digest(B), image.digest());
    }
}
