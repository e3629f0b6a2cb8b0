//! Bad input gives one clear message with the cure, the right exit code, and a repository as it was.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use ocirepo_tests::archive;
use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::compress::Compression;
use ocirepo_tests::descriptor::{full_named, tag_named};
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::layout::Layout;
use ocirepo_tests::noise::noise;
use ocirepo_tests::snapshot::Snapshot;
use ocirepo_tests::tarball::Tarball;
use ocirepo_tests::unprivileged::{Unprivileged, set_modes};
use serde_json::Value;

const NEW: &str = "docker.io/test/new:1";

/// A repository of two images of one tag, `full` policy.
fn repository() -> Ocirepo {
    let ocirepo = Ocirepo::new();
    fill(&ocirepo);
    ocirepo
}

fn fill(ocirepo: &Ocirepo) {
    ocirepo.run(&["init"]).ok();
    for seed in ["a", "b"] {
        let image = ImageSpec::seeded(seed).build();
        let name = format!("docker.io/test/{seed}:1");
        let path = ocirepo.scratch(&format!("{seed}.tar"));
        fs::write(&path, archive::podman_save(&[(&image, &[&name])]).to_bytes()).unwrap();
        ocirepo.run(&["add", path.to_str().unwrap()]).ok();
    }
}

fn image() -> Image {
    ImageSpec::seeded("new")
        .noise_layer(1, 100_000)
        .gzip_layer(Tarball::new().file("x", noise(2, 50_000)))
        .build()
}

/// Runs a command that must fail and change nothing.
#[track_caller]
fn refuses(ocirepo: &Ocirepo, args: &[&str], code: i32, texts: &[&str]) {
    let before = Snapshot::of(ocirepo.dir());
    let output = ocirepo.run(args);
    before.assert_same(ocirepo.dir(), &args.join(" "));
    output.one_clear_error(code, texts);
}

/// Adds bytes, from a file and from stdin, that must be refused.
#[track_caller]
fn refuses_bytes(bytes: impl Into<Vec<u8>>, code: i32, texts: &[&str]) {
    let (ocirepo, bytes) = (repository(), bytes.into());
    let path = ocirepo.scratch("bad-input.tar");
    fs::write(&path, &bytes).unwrap();
    let named: Vec<_> = texts.iter().copied().chain(["bad-input.tar"]).collect();
    refuses(&ocirepo, &["add", path.to_str().unwrap()], code, &named);
    let before = Snapshot::of(ocirepo.dir());
    let named: Vec<_> = texts.iter().copied().chain(["standard input"]).collect();
    ocirepo.run_with_stdin(&["add", "-"], bytes).one_clear_error(code, &named);
    before.assert_same(ocirepo.dir(), "add -");
}

fn docker(image: &Image) -> Tarball {
    archive::docker_save(&[(image, &[NEW])])
}

fn oci(image: &Image) -> Tarball {
    archive::oci_archive(&[(image, &[NEW])], full_named)
}

fn blob(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

#[test]
fn text_is_no_archive() {
    refuses_bytes("FROM scratch\nCOPY . /\n", 1, &["not an image archive"]);
}

#[test]
fn noise_is_no_archive() {
    refuses_bytes(noise(1, 100_000), 1, &["not an image archive"]);
}

#[test]
fn an_empty_file_is_no_archive() {
    refuses_bytes("", 1, &["not an image archive"]);
}

#[test]
fn an_empty_tar_is_no_image_archive() {
    refuses_bytes(Tarball::new().to_bytes(), 1, &["not an image archive"]);
}

#[test]
fn a_tar_of_other_things_is_no_image_archive() {
    let tarball = Tarball::new().dir("etc/").file("etc/passwd", "root").file("README", "hello");
    refuses_bytes(tarball.to_bytes(), 1, &[]);
    refuses_bytes(Compression::Gzip.pack(&tarball.to_bytes()), 1, &[]);
}

#[test]
fn a_directory_of_other_things_is_no_layout() {
    let ocirepo = repository();
    let dir = ocirepo.scratch("bad-directory");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("README"), "hello").unwrap();
    refuses(&ocirepo, &["add", dir.to_str().unwrap()], 1, &["bad-directory", "not an image archive"]);
}

#[test]
fn a_source_that_is_not_there() {
    let ocirepo = repository();
    let path = ocirepo.scratch("no-such.tar");
    refuses(&ocirepo, &["add", path.to_str().unwrap()], 1, &["no-such.tar", "No such file"]);
}

#[test]
fn a_device_is_no_source() {
    refuses(&repository(), &["add", "/dev/null"], 1, &["/dev/null"]);
}

/// In a layer, and in the content of the last member, which is in the last block before the two that end the archive.
#[test]
fn truncated_archives() {
    for tarball in [docker(&image()), oci(&image())] {
        let bytes = tarball.to_bytes();
        for len in [bytes.len() / 3, bytes.len() / 2, bytes.len() - 3 * 512 + 5] {
            refuses_bytes(&bytes[..len], 4, &["damaged"]);
        }
    }
}

#[test]
fn truncated_compressed_archives() {
    let bytes = oci(&image()).to_bytes();
    for compression in [Compression::Gzip, Compression::Zstd] {
        let packed = compression.pack(&bytes);
        for len in [packed.len() / 2, packed.len() - 5] {
            refuses_bytes(&packed[..len], 4, &["damaged"]);
        }
    }
}

#[test]
fn a_flipped_bit_in_a_gzip_archive() {
    let mut packed = Compression::Gzip.pack(&oci(&image()).to_bytes());
    let middle = packed.len() / 2;
    packed[middle] ^= 1;
    let ocirepo = repository();
    let path = ocirepo.scratch("bad-input.tar.gz");
    fs::write(&path, packed).unwrap();
    refuses(&ocirepo, &["add", path.to_str().unwrap()], 4, &["bad-input.tar.gz"]);
}

#[test]
fn a_blob_of_the_wrong_digest() {
    let image = image();
    for blob_of in [&image.layers[2], &image.config, &image.manifest] {
        let mut wrong = blob_of.bytes.clone();
        let middle = wrong.len() / 2;
        wrong[middle] ^= 1;
        refuses_bytes(oci(&image).replace(&blob(&blob_of.digest), wrong).to_bytes(), 4, &[blob_of.hex()]);
    }
}

#[test]
fn a_blob_of_the_wrong_size() {
    let image = image();
    let layer = &image.layers[2];
    let short = layer.bytes[..layer.bytes.len() - 512].to_vec();
    refuses_bytes(oci(&image).replace(&blob(&layer.digest), short).to_bytes(), 4, &[layer.hex()]);
}

#[test]
fn a_layer_that_is_not_what_the_config_says() {
    let image = image();
    let tarball = archive::crane_pull(&[(&image, &[NEW])]);
    let name = format!("{}.tar", image.layers[2].hex());
    let other = Tarball::new().file("other", noise(3, 100_000)).to_bytes();
    refuses_bytes(tarball.replace(&name, other).to_bytes(), 4, &[&name, &image.diff_ids[2]]);
}

#[test]
fn a_missing_blob() {
    let image = image();
    let layer = &image.layers[2].digest;
    refuses_bytes(oci(&image).without(&blob(layer)).to_bytes(), 4, &[layer, NEW]);
    refuses_bytes(oci(&image).without(&blob(image.digest())).to_bytes(), 4, &[image.digest()]);
}

#[test]
fn a_missing_member() {
    let image = image();
    let config = format!("{}.json", image.config.hex());
    refuses_bytes(docker(&image).without(&config).to_bytes(), 4, &[&config]);
}

#[test]
fn documents_that_are_no_json() {
    refuses_bytes(docker(&image()).replace("manifest.json", "[{").to_bytes(), 4, &["manifest.json"]);
    refuses_bytes(oci(&image()).replace("index.json", "{\"manifests\":").to_bytes(), 4, &["index.json"]);
}

/// Of two sources the first is good: it stays, as each source is added as a whole, and the second is named.
#[test]
fn the_second_of_two_sources() {
    let ocirepo = repository();
    let (good, bad) = (ocirepo.scratch("good.tar"), ocirepo.scratch("bad.tar"));
    let bytes = oci(&image()).to_bytes();
    fs::write(&good, &bytes).unwrap();
    fs::write(&bad, &bytes[..bytes.len() / 2]).unwrap();
    let args = ["add", good.to_str().unwrap(), bad.to_str().unwrap()];
    ocirepo.run(&args).one_clear_error(4, &["bad.tar"]);
    let names = ocirepo.run(&["ls", "--names"]).ok().stdout;
    assert_eq!(names.lines().last(), Some(NEW));
    ocirepo.run(&["verify"]).ok();
}

#[test]
fn one_name_for_two_images_of_an_archive() {
    let (a, b) = (image(), ImageSpec::seeded("other").build());
    refuses_bytes(archive::oci_archive(&[(&a, &[NEW]), (&b, &[NEW])], tag_named).to_bytes(), 9, &[NEW]);
}

#[test]
fn one_name_for_all_images_of_an_archive() {
    let ocirepo = repository();
    let (a, b) = (image(), ImageSpec::seeded("other").build());
    let path = ocirepo.scratch("two.tar");
    let other = "docker.io/test/other:1";
    fs::write(&path, archive::docker_save(&[(&a, &[NEW]), (&b, &[other])]).to_bytes()).unwrap();
    let args = ["add", path.to_str().unwrap(), "--ref", "test/one:1"];
    refuses(&ocirepo, &args, 2, &["two.tar", NEW, other]);
}

#[test]
fn a_tag_that_another_image_holds() {
    let ocirepo = repository();
    let path = ocirepo.scratch("new.tar");
    fs::write(&path, oci(&image()).to_bytes()).unwrap();
    let path = path.to_str().unwrap();
    // Both images have the tag 1 already, so neither can the repository be converted.
    refuses(&ocirepo, &["config", "ref-policy", "tag"], 9, &["docker.io/test/a:1", "docker.io/test/b:1"]);
    ocirepo.run(&["rm", "test/b:1"]).ok();
    ocirepo.run(&["gc"]).ok();
    ocirepo.run(&["config", "ref-policy", "tag"]).ok();
    refuses(&ocirepo, &["add", path], 9, &["docker.io/test/a:1", NEW, "--replace"]);
    ocirepo.run(&["add", path, "--replace"]).ok();
}

#[test]
fn references_that_are_not_there() {
    let ocirepo = repository();
    for args in [
        ["inspect", "test/none:1"].as_slice(),
        &["rm", "test/none:1"],
        &["rm", "test/a:1", "test/none:1"],
        &["tag", "test/none:1", "test/more:1"],
        &["verify", "test/none:1"],
        &["inspect", "sha256:0123456789abcdef"],
    ] {
        let query = if args.contains(&"test/none:1") { "test/none:1" } else { args[1] };
        refuses(&ocirepo, args, 3, &[query, "ocirepo ls"]);
    }
}

#[test]
fn words_that_are_no_reference() {
    let ocirepo = repository();
    let source = ocirepo.scratch("a.tar");
    let source = source.to_str().unwrap();
    for bad in ["", "has space", "a:b:c:d//", "test/app:1\n"] {
        refuses(&ocirepo, &["add", source, "--ref", bad], 2, &[]);
        refuses(&ocirepo, &["tag", "test/a:1", bad], 2, &[]);
    }
}

#[test]
fn an_ambiguous_name() {
    let ocirepo = Ocirepo::new();
    let mut layout = Layout::create(ocirepo.dir());
    layout
        .image(&ImageSpec::seeded("a").build(), "v1")
        .image(&ImageSpec::seeded("b").build(), "v1")
        .write_index();
    refuses(&ocirepo, &["inspect", "v1"], 9, &["v1", "@0", "@1"]);
    refuses(&ocirepo, &["rm", "v1"], 9, &["v1"]);
}

#[test]
fn a_directory_that_is_no_repository() {
    let ocirepo = repository();
    let source = ocirepo.scratch("a.tar");
    let elsewhere = ocirepo.in_dir(ocirepo.scratch("elsewhere"));
    fs::create_dir(elsewhere.dir()).unwrap();
    refuses(&elsewhere, &["add", source.to_str().unwrap()], 1, &["init"]);
    refuses(&elsewhere, &["ls"], 1, &["init"]);
    assert_eq!(fs::read_dir(elsewhere.dir()).unwrap().count(), 0, "something was made");
    let missing = ocirepo.scratch("missing");
    refuses(&ocirepo, &["-C", missing.to_str().unwrap(), "gc"], 1, &["missing", "init"]);
    assert!(!missing.exists());
}

/// Whatever would write or sweep refuses, and says which file it is.
#[test]
fn a_damaged_repository() {
    let whole = repository();
    let source = whole.scratch("a.tar");
    let source = source.to_str().unwrap();
    let index: Value = Layout::open(whole.dir()).read_index();
    let twice = index.to_string().replacen('{', "{\"manifests\":[],", 1);
    for (file, content) in [
        ("index.json", ""),
        ("index.json", "{\"schemaVersion\":2,\"manifests\":["),
        ("index.json", twice.as_str()),
        ("index.json", "[]"),
        ("oci-layout", "{}"),
        ("oci-layout", "{\"imageLayoutVersion\":\"2.0.0\"}"),
    ] {
        let ocirepo = repository();
        Layout::open(ocirepo.dir()).write(file, content.as_bytes());
        for args in
            [["add", source].as_slice(), &["gc"], &["rm", "test/a:1"], &["tag", "test/a:1", "x:1"], &["ls"]]
        {
            refuses(&ocirepo, args, 4, &[file]);
        }
    }
}

#[test]
fn a_repository_where_nothing_may_be_written() {
    let user = Unprivileged::new();
    fill(&user.ocirepo);
    let dir = user.ocirepo.dir();
    Layout::open(dir).blob(b"garbage");
    let source = user.ocirepo.scratch("new.tar");
    fs::write(&source, oci(&image()).to_bytes()).unwrap();
    let source = source.to_str().unwrap();
    set_modes(dir, 0o555, 0o444);
    let before = Snapshot::of(dir);
    for args in [["add", source].as_slice(), &["rm", "test/a:1"], &["tag", "test/a:1", "test/c:1"], &["gc"]] {
        user.run(args).one_clear_error(1, &["permissions"]);
        before.assert_same(dir, args[0]);
    }
    for args in [["ls"].as_slice(), &["inspect", "test/a:1"], &["verify"], &["gc", "--dry-run"]] {
        user.run(args).ok();
        before.assert_same(dir, args[0]);
    }
    let below = dir.join("below");
    user.run(&["init", below.to_str().unwrap()]).one_clear_error(1, &["below", "permissions"]);
    before.assert_same(dir, "init");
    set_modes(dir, 0o755, 0o644);
}

#[test]
fn a_source_that_may_not_be_read() {
    let user = Unprivileged::new();
    let dir = user.ocirepo.dir();
    fs::set_permissions(dir, Permissions::from_mode(0o777)).unwrap();
    user.run(&["init"]).ok();
    let source = user.ocirepo.scratch("closed.tar");
    fs::write(&source, oci(&image()).to_bytes()).unwrap();
    fs::set_permissions(&source, Permissions::from_mode(0o000)).unwrap();
    let before = Snapshot::of(dir);
    user.run(&["add", source.to_str().unwrap()]).one_clear_error(1, &["closed.tar", "ermission"]);
    before.assert_same(dir, "add");
}
