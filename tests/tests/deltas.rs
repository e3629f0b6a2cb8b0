//! A bundle against what the receiver has carries only what changed, says what it leaves out, and goes in only where
//! that is there: the base is looked for before anything is written.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ocirepo_tests::archive;
use ocirepo_tests::artifact::artifact;
use ocirepo_tests::checker::check;
use ocirepo_tests::cli::{Ocirepo, Output};
use ocirepo_tests::descriptor::full_named;
use ocirepo_tests::exported::{Exported, TOC, add, export, run};
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::intake::pairs;
use ocirepo_tests::json::compact;
use ocirepo_tests::layout::Layout;
use ocirepo_tests::snapshot::Snapshot;
use ocirepo_tests::states::digests;
use ocirepo_tests::tarball::Tarball;
use ocirepo_tests::tools;
use serde_json::Value;

const SERVICES: [&str; 5] = ["auth", "cart", "mail", "shop", "web"];
const TOOLS: &str = "registry.example/shop/tools:latest";

fn name(service: &str) -> String {
    format!("registry.example/shop/{service}:latest")
}

/// A service in a version: the base that all share, a layer of its own that stays, and a small one that changes.
fn service(name: &str, version: u32) -> Image {
    let own = Tarball::new().file("lib", name.repeat(5000));
    let changing = Tarball::new().file("app", format!("{name} {version}"));
    ImageSpec::new().noise_layer(1, 200_000).layer(own).layer(changing).build()
}

/// What does not change at all.
fn unchanged() -> Image {
    ImageSpec::new().noise_layer(1, 200_000).layer(Tarball::new().file("tools", "x")).build()
}

fn version(version: u32) -> Vec<Image> {
    SERVICES.iter().map(|name| service(name, version)).chain([unchanged()]).collect()
}

fn blobs_of(images: &[Image]) -> BTreeSet<String> {
    digests(images.iter().flat_map(Image::blobs))
}

/// A repository of that version.
fn repository(number: u32) -> Ocirepo {
    let ocirepo = Ocirepo::new();
    let mut layout = Layout::create(ocirepo.dir());
    for (image, name) in
        version(number).iter().zip(SERVICES.map(name).iter().map(String::as_str).chain([TOOLS]))
    {
        layout.full_image(image, name);
    }
    layout.write_index();
    ocirepo
}

/// Writes the inventory of a repository to a file.
fn inventory(ocirepo: &Ocirepo) -> String {
    let path = ocirepo.scratch("have");
    let path = path.to_str().unwrap().to_owned();
    ocirepo.run(&["inventory", "-o", &path]).ok();
    path
}

/// The second version against what the first has.
fn delta() -> Exported {
    let receiver = repository(1);
    export(&repository(2), &["--have", &inventory(&receiver)])
}

fn adds(ocirepo: &Ocirepo, archive: &[u8], args: &[&str]) -> Output {
    let path = ocirepo.scratch("delta.tar");
    fs::write(&path, archive).unwrap();
    ocirepo.run(&[&["add", path.to_str().unwrap(), "--format", "json"], args].concat())
}

fn listed(ocirepo: &Ocirepo) -> BTreeSet<(Option<String>, String)> {
    pairs(&ocirepo.run(&["ls", "--format", "json"]).json())
}

/// Refuses to add as a file and from a pipe, says all of these texts, and changes nothing.
#[track_caller]
fn is_refused(ocirepo: &Ocirepo, archive: &[u8], args: &[&str], texts: &[&str]) {
    let before = Snapshot::of(ocirepo.dir());
    adds(ocirepo, archive, args).one_clear_error(7, texts);
    before.assert_same(ocirepo.dir(), "a file");
    let piped = ocirepo.run_with_stdin(&[&["add", "-"], args].concat(), archive);
    piped.one_clear_error(7, texts);
    before.assert_same(ocirepo.dir(), "a pipe");
}

#[test]
fn only_what_changed_is_carried() {
    let (receiver, delta) = (repository(1), delta());
    delta.is_silent();
    let (old, new) = (blobs_of(&version(1)), blobs_of(&version(2)));
    assert_eq!(delta.digests(), &new - &old);
    assert_eq!(delta.digests().len(), 15, "a layer, a config and a manifest for each of five");
    assert!(delta.bytes.len() < 60_000, "{} bytes", delta.bytes.len());
    assert_eq!(delta.required().into_keys().collect::<BTreeSet<_>>(), &new & &old);
    assert!(!delta.has("manifest.json"));
    assert_eq!(delta.entries().len(), 6);

    let added = adds(&receiver, &delta.bytes, &[]).json();
    assert_eq!(added["blobs"]["new"], 15, "{added:#}");
    let moved = added["images"].as_array().unwrap().iter().filter(|it| it["previous"] != it["digest"]);
    assert_eq!(moved.count(), 5, "{added:#}");
    assert_eq!(listed(&receiver), listed(&repository(2)));
    receiver.run(&["verify"]).ok();
    check(receiver.dir()).assert_sound();
    receiver.run(&["gc"]).ok();
    check(receiver.dir()).assert_tidy();
    assert!(export(&receiver, &[]).bytes == export(&repository(2), &[]).bytes, "both sides have the same");
}

/// What the receiver has can be told in many ways.
#[test]
fn whatever_tells_what_the_receiver_has() {
    let (sender, receiver) = (repository(2), repository(1));
    let expected = delta().bytes;
    let text = inventory(&receiver);
    let file = |name: &str, bytes: &[u8]| {
        let path = receiver.scratch(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let json = file("json", receiver.run(&["inventory", "--format", "json"]).ok().stdout.as_bytes());
    let whole = export(&receiver, &[]).bytes;
    let bundle = file("bundle.tar", &whole);
    let packed = file("bundle.tar.gz", &ocirepo_tests::compress::Compression::Gzip.pack(&whole));
    let oci = file("oci.tar", &export(&receiver, &["--type", "oci"]).bytes);
    let of_bundle = file("of-bundle", receiver.run(&["inventory", &bundle]).ok().stdout.as_bytes());
    let directory = receiver.dir().to_str().unwrap().to_owned();
    let lines = fs::read_to_string(&text).unwrap();
    let (odd, even): (Vec<_>, Vec<_>) = lines.lines().enumerate().partition(|(n, _)| n % 2 == 0);
    let part =
        |lines: Vec<(usize, &str)>| lines.iter().map(|(_, line)| format!("{line}\n")).collect::<String>();
    let (odd, even) = (file("odd", part(odd).as_bytes()), file("even", part(even).as_bytes()));
    for have in [&text, &json, &bundle, &packed, &oci, &of_bundle, &directory] {
        assert!(export(&sender, &["--have", have]).bytes == expected, "{have}");
    }
    assert!(export(&sender, &["--have", &odd, "--have", &even]).bytes == expected);
    assert!(export(&sender, &["--have", &text, "--type", "oci", "-j", "1"]).bytes == expected);
    let path = sender.scratch("piped.tar");
    let args = ["export", "--have", "-", "-o", path.to_str().unwrap()];
    sender.run_with_stdin(&args, lines).ok();
    assert!(fs::read(&path).unwrap() == expected);
}

#[test]
fn what_would_be_carried_is_told_before() {
    let (sender, receiver) = (repository(2), repository(1));
    let have = inventory(&receiver);
    let diff = sender.run(&["diff", &have, ".", "--format", "json"]).json();
    let (delta, path) = (export(&sender, &["--have", &have]), sender.scratch("x.tar"));
    let bytes: u64 = delta.blobs().values().map(|blob| blob.len() as u64).sum();
    assert_eq!((diff["blobs"]["new"].as_u64(), diff["blobs"]["newBytes"].as_u64()), (Some(15), Some(bytes)));
    let dry = run(&sender, &path, &["--have", &have, "--dry-run"]).json();
    for key in ["blobs", "required", "bundle", "bytes", "type"] {
        assert_eq!(dry[key], delta.json[key], "{key}");
    }
    assert_eq!(dry["required"]["count"], delta.required().len());
    assert_eq!(dry["type"], "oci", "what is written is no hybrid");
    assert!(!path.exists());
}

#[test]
fn without_the_base_nothing_is_written() {
    let delta = delta();
    let required = delta.required();
    assert!(required.len() > 5);
    let texts: Vec<String> =
        required.keys().cloned().chain(SERVICES.map(name)).chain([TOOLS.to_owned()]).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let empty = Ocirepo::new();
    empty.run(&["init"]).ok();
    is_refused(&empty, &delta.bytes, &[], &texts);
    is_refused(&empty, &delta.bytes, &["--verify-base"], &texts);
    let other =
        add(&archive::oci_archive(&[(&service("web", 1), &["web:1"])], full_named).to_bytes(), "full");
    let web = service("web", 1);
    let missing: Vec<&str> = required
        .keys()
        .map(String::as_str)
        .filter(|digest| !digests(web.blobs()).contains(*digest))
        .collect();
    is_refused(&other, &delta.bytes, &[], &missing);
}

/// However many they are: whoever carries media wants to know all of it at once.
#[test]
fn everything_that_is_missing_is_named() {
    let layers = |spec: ImageSpec| (0..60).fold(spec, |spec, n| spec.noise_layer(n, 100));
    let old = layers(ImageSpec::new()).build();
    let new = layers(ImageSpec::new()).layer(Tarball::new().file("new", "x")).build();
    let of = |image: &Image| {
        let ocirepo = Ocirepo::new();
        Layout::create(ocirepo.dir()).full_image(image, TOOLS).write_index();
        ocirepo
    };
    let before = of(&old);
    let delta = export(&of(&new), &["--have", before.dir().to_str().unwrap()]);
    assert_eq!(delta.required().len(), 60);
    let empty = Ocirepo::new();
    empty.run(&["init"]).ok();
    let required = delta.required();
    let texts: Vec<&str> = required.keys().map(String::as_str).collect();
    is_refused(&empty, &delta.bytes, &[], &texts);
}

#[test]
fn a_base_that_is_damaged() {
    let delta = delta();
    let base = &service("web", 1).layers[0].digest;
    let own = &service("web", 1).layers[1].digest;
    let delete: fn(&Layout, &str) = Layout::delete;
    for damage in [delete, |layout, digest| layout.truncate(digest, 100)] {
        let receiver = repository(1);
        damage(&Layout::open(receiver.dir()), own);
        let said = adds(&receiver, &delta.bytes, &[]);
        assert!(!said.stderr.contains(base.as_str()), "only what is missing is named: {}", said.stderr);
        is_refused(&receiver, &delta.bytes, &[], &[own, &name("web")]);
        is_refused(&receiver, &delta.bytes, &["--verify-base"], &[own, &name("web")]);
    }
    let receiver = repository(1);
    Layout::open(receiver.dir()).corrupt(base);
    is_refused(&receiver, &delta.bytes, &["--verify-base"], &[base, &name("web"), &name("auth")]);
    adds(&receiver, &delta.bytes, &[]).ok();
    receiver.run(&["verify"]).fails_with(4);

    let sound = repository(1);
    adds(&sound, &delta.bytes, &["--verify-base"]).ok();
    assert_eq!(listed(&sound), listed(&repository(2)));
}

/// An inventory lists what is of use, so the next delta brings the rest and heals.
#[test]
fn what_is_damaged_at_the_receiver_is_carried_again() {
    let receiver = repository(1);
    let web = service("web", 1);
    Layout::open(receiver.dir()).truncate(&web.layers[1].digest, 100);
    Layout::open(receiver.dir()).blob(b"garbage");
    let delta = export(&repository(2), &["--have", &inventory(&receiver)]);
    assert!(delta.digests().contains(&web.layers[1].digest));
    adds(&receiver, &delta.bytes, &[]).ok();
    receiver.run(&["verify"]).ok();
}

/// The way of updates: each against the bundle before, which need not be at hand on the receiving side.
#[test]
fn deltas_follow_one_another() {
    let receiver = add(&export(&repository(1), &[]).bytes, "full");
    let mut last = export(&repository(1), &[]);
    for number in [2, 3, 4] {
        let sender = repository(number);
        let path = sender.scratch("last.tar");
        fs::write(&path, &last.bytes).unwrap();
        let delta = export(&sender, &["--have", path.to_str().unwrap()]);
        assert_eq!(delta.digests().len(), 15, "version {number}");
        if number == 3 {
            // Out of order: what was skipped is missing, what it builds on is there.
            let early = add(&export(&repository(2), &[]).bytes, "full");
            adds(&early, &delta.bytes, &[]).ok();
        }
        adds(&receiver, &delta.bytes, &[]).ok();
        assert_eq!(listed(&receiver), listed(&sender));
        receiver.run(&["gc"]).ok();
        check(receiver.dir()).assert_tidy();
        last = delta;
    }
}

#[test]
fn nothing_changed_is_a_bundle_of_names() {
    let (sender, receiver) = (repository(1), repository(1));
    let delta = export(&sender, &["--have", &inventory(&receiver)]);
    assert_eq!(delta.digests(), [].into());
    assert_eq!(delta.entries().len(), 6);
    let before = Snapshot::of(receiver.dir());
    adds(&receiver, &delta.bytes, &[]).ok();
    before.assert_same(receiver.dir(), "nothing is new");
    sender.run(&["tag", TOOLS, "registry.example/shop/tools:stable"]).ok();
    let renamed = export(&sender, &["--have", &inventory(&receiver)]);
    assert_eq!(renamed.digests(), [].into());
    adds(&receiver, &renamed.bytes, &[]).ok();
    assert_eq!(listed(&receiver), listed(&sender));
    let empty = Ocirepo::new();
    empty.run(&["init"]).ok();
    is_refused(&empty, &renamed.bytes, &[], &[TOOLS, "registry.example/shop/tools:stable"]);
}

/// A signature that was made since is all that travels, and is listed where the image is.
#[test]
fn a_signature_that_is_new() {
    let (sender, receiver) = (repository(1), repository(1));
    let signature = artifact("application/x.signature", b"signed", Some(&service("web", 1).manifest));
    Layout::open(sender.dir()).artifact(&signature).write_index();
    let delta = export(&sender, &[&name("web"), "--have", &inventory(&receiver)]);
    assert_eq!(delta.digests(), digests(signature.blobs()));
    adds(&receiver, &delta.bytes, &[]).ok();
    assert_eq!(listed(&receiver), listed(&sender));
    let without = export(&sender, &["--have", &inventory(&receiver), "--referrers", "none"]);
    assert_eq!((without.digests(), without.entries().len()), ([].into(), 6));
}

/// On whichever machine, and in whatever order images came.
#[test]
fn a_delta_depends_on_nothing_but_what_is_on_both_sides() {
    let (sender, receiver) = (repository(2), repository(1));
    let expected = delta().bytes;
    for ocirepo in [&sender, &receiver] {
        let mut index = Layout::open(ocirepo.dir()).read_index();
        index["manifests"].as_array_mut().unwrap().reverse();
        Layout::open(ocirepo.dir()).write("index.json", &compact(&index));
    }
    for jobs in ["1", "8"] {
        assert!(
            export(&sender, &["--have", &inventory(&receiver), "-j", jobs]).bytes == expected,
            "{jobs} jobs"
        );
    }
}

/// Other tools may take it for a layout: blobs may be missing, and beside the base nothing is.
#[test]
fn a_delta_is_an_image_layout() {
    let (receiver, delta) = (repository(1), delta());
    let dir = receiver.scratch("unpacked");
    let layout = Layout::create(&dir);
    for name in ["oci-layout", "index.json", TOC] {
        layout.write(name, &delta.member(name).content);
    }
    for digest in delta.digests() {
        layout.blob(delta.blobs()[&digest]);
    }
    let thin = check(&dir);
    let names: BTreeSet<_> = thin.names.iter().cloned().collect();
    assert_eq!(names, SERVICES.map(name).into_iter().chain([TOOLS.to_owned()]).collect());
    for digest in delta.required().keys() {
        layout.blob(&Layout::open(receiver.dir()).read_blob(digest));
    }
    check(&dir).assert_tidy();

    let Some(skopeo) = tools::tool("skopeo") else { return };
    let path = receiver.scratch("delta.tar");
    fs::write(&path, &delta.bytes).unwrap();
    for service in SERVICES {
        let source = format!("oci-archive:{}:{}", path.display(), name(service));
        let manifest = tools::run(&skopeo, &["inspect", "--raw", &source]);
        assert_eq!(ocirepo_tests::digest::sha256(manifest.as_bytes()), self::service(service, 2).digest());
    }
}

/// The base is what the images need, and not all that the receiver has.
#[test]
fn the_base_is_said_with_the_images_that_need_it() {
    let sender = repository(2);
    let web = name("web");
    let receiver = repository(1);
    let delta = export(&sender, &[&web, TOOLS, "--have", &inventory(&receiver)]);
    let (image, tools) = (service("web", 2), unchanged());
    let mut expected = digests([&image.layers[0], &image.layers[1]]);
    expected.extend(digests(tools.blobs()));
    let required = delta.document(TOC)["required"].as_array().unwrap().clone();
    assert_eq!(delta.required().into_keys().collect::<BTreeSet<_>>(), expected);
    let images = |digest: &str| -> Vec<Value> {
        let found = required.iter().find(|blob| blob["digest"] == digest).unwrap();
        found["images"].as_array().unwrap().clone()
    };
    assert_eq!(images(&image.layers[0].digest), [TOOLS, web.as_str()], "the base of both");
    assert_eq!(images(&image.layers[1].digest), [web.as_str()]);
    assert_eq!(images(tools.digest()), [TOOLS]);
}

#[test]
fn what_tells_nothing_is_refused() {
    let sender = repository(2);
    let path = sender.scratch("x.tar");
    let refused = |have: &Path, code: i32| {
        let output = run(&sender, &path, &["--have", have.to_str().unwrap()]).fails_with(code);
        assert!(output.stderr.contains("error:"), "{}", output.stderr);
        assert!(!path.exists());
    };
    let file = |name: &str, bytes: &[u8]| {
        let path = sender.scratch(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    refused(Path::new("/nonexistent"), 1);
    let docker = export(&sender, &["--type", "docker", TOOLS]).bytes;
    refused(&file("docker.tar", &docker), 2);
    refused(&file("words", b"these are\nno blobs\n"), 4);
    refused(&file("sizes", format!("sha256:{} x\n", "a".repeat(64)).as_bytes()), 4);
    let half = export(&sender, &[]).bytes;
    refused(&file("half.tar", &half[..half.len() / 2]), 4);
    // Nothing at all is what a new repository has.
    let all = export(&sender, &["--have", file("empty", b"").to_str().unwrap()]);
    assert_eq!(all.digests(), blobs_of(&version(2)));
    assert!(all.required().is_empty());
}
