//! `inventory` and `diff`: what somebody has, and what has to be carried to them.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;

use ocirepo_tests::archive;
use ocirepo_tests::artifact::artifact;
use ocirepo_tests::compress::Compression;
use ocirepo_tests::descriptor::full_named;
use ocirepo_tests::digest::sha256;
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::intake::Intake;
use serde_json::{Value, json};

const A: &str = "docker.io/library/a:1";
const B: &str = "docker.io/library/b:1";

fn image(seed: &str) -> Image {
    ImageSpec::seeded(seed).build()
}

/// A repository with the images of these seeds, each under its name.
fn repository(images: &[(&str, &str)]) -> Intake {
    let intake = Intake::new();
    for (seed, name) in images {
        let source = layout(&intake, &format!("{seed}.tar"), &[(seed, name)]);
        intake.add(&[&source]);
    }
    intake
}

/// An image layout in a tar.
fn layout(intake: &Intake, file: &str, images: &[(&str, &str)]) -> String {
    let images: Vec<(Image, [&str; 1])> = images.iter().map(|(seed, name)| (image(seed), [*name])).collect();
    let items: Vec<archive::Item<'_>> = images.iter().map(|(image, names)| (image, &names[..])).collect();
    intake.source(file, &archive::oci_archive(&items, full_named))
}

/// Digests and sizes of the blobs of these images.
fn blobs(seeds: &[&str]) -> BTreeMap<String, u64> {
    let images: Vec<Image> = seeds.iter().map(|seed| image(seed)).collect();
    let blobs = images.iter().flat_map(Image::blobs);
    blobs.map(|blob| (blob.digest.clone(), blob.bytes.len() as u64)).collect()
}

fn text(blobs: &BTreeMap<String, u64>) -> String {
    blobs.iter().map(|(digest, size)| format!("{digest} {size}\n")).collect()
}

/// How many blobs, and how large, of one that the other does not have.
fn missing(these: &BTreeMap<String, u64>, other: &BTreeMap<String, u64>) -> (u64, u64) {
    let missing = these.iter().filter(|(digest, _)| !other.contains_key(*digest));
    missing.fold((0, 0), |(count, bytes), (_, size)| (count + 1, bytes + size))
}

#[track_caller]
fn inventory(intake: &Intake, args: &[&str]) -> String {
    intake.ocirepo.run(&[&["inventory"], args].concat()).ok().stdout
}

#[track_caller]
fn diff(intake: &Intake, from: &str, to: &str) -> Value {
    intake.ocirepo.run(&["diff", from, to, "--format", "json"]).json()
}

#[track_caller]
fn assert_blobs(difference: &Value, from: &BTreeMap<String, u64>, to: &BTreeMap<String, u64>) {
    let ((new, new_bytes), (gone, gone_bytes)) = (missing(to, from), missing(from, to));
    let expected = json!({"new": new, "newBytes": new_bytes, "gone": gone, "goneBytes": gone_bytes});
    assert_eq!(difference["blobs"], expected);
}

#[test]
fn an_inventory_lists_each_blob_once_and_sorted() {
    let intake = repository(&[("a", A), ("b", B)]);
    let expected = blobs(&["a", "b"]);
    assert_eq!(inventory(&intake, &[]), text(&expected));
    let json: Value = serde_json::from_str(&inventory(&intake, &["--format", "json"])).expect("it is JSON");
    let list: Vec<_> =
        expected.iter().map(|(digest, size)| json!({"digest": digest, "size": size})).collect();
    let bytes: u64 = expected.values().sum();
    assert_eq!(json, json!({"blobs": list, "count": expected.len(), "bytes": bytes}));
    assert_eq!(inventory(&Intake::new(), &[]), "");
}

#[test]
fn what_is_garbage_or_damaged_is_not_in_it() {
    let intake = repository(&[("a", A), ("b", B)]);
    intake.ocirepo.run(&["rm", B]).ok();
    assert_eq!(inventory(&intake, &[]), text(&blobs(&["a"])));
    let [_, layer] = &image("a").layers[..] else { panic!("it has two layers") };
    intake.layout().truncate(&layer.digest, 10);
    let mut left = blobs(&["a"]);
    left.remove(&layer.digest);
    assert_eq!(inventory(&intake, &[]), text(&left));
}

#[test]
fn a_file_appears_whole_or_not_at_all() {
    let intake = repository(&[("a", A)]);
    let path = intake.ocirepo.scratch("have.txt");
    let file = path.to_str().expect("test paths are UTF-8");
    fs::write(&path, "before").expect("it can be written");
    assert_eq!(inventory(&intake, &["-o", file]), "");
    assert_eq!(fs::read_to_string(&path).expect("it is there"), text(&blobs(&["a"])));
    inventory(&intake, &["--format", "json", "-o", file]);
    assert_eq!(inventory(&intake, &[file]), text(&blobs(&["a"])));

    fs::write(&path, "before").expect("it can be written");
    intake.layout().write("index.json", b"{");
    intake.ocirepo.run(&["inventory", "-o", file]).fails_with(4);
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "before");
    let parent = path.parent().expect("it has one").to_owned();
    let beside = fs::read_dir(parent).expect("it is a directory").count();
    assert_eq!(beside, 5, "the repository, home, tmp, the source and the file, and nothing hidden");
}

#[test]
fn other_repositories_archives_and_inventories_are_listed_by_path() {
    let intake = repository(&[("a", A)]);
    let expected = text(&blobs(&["a"]));
    let elsewhere = Intake::new();
    let dir = intake.ocirepo.dir().to_str().expect("test paths are UTF-8");
    assert_eq!(inventory(&elsewhere, &[dir]), expected);

    let tar = archive::oci_archive(&[(&image("a"), &[A])], full_named).to_bytes();
    let mut sources = vec![elsewhere.file("list", &expected), elsewhere.file("plain", &tar)];
    for (name, compression) in [("gzip", Compression::Gzip), ("zstd", Compression::Zstd)] {
        sources.push(elsewhere.file(name, compression.pack(&tar)));
    }
    for source in &sources {
        assert_eq!(inventory(&elsewhere, &[source]), expected, "{source}");
    }
    let piped = elsewhere.ocirepo.run_with_stdin(&["inventory", "-"], tar).ok().stdout;
    assert_eq!(piped, expected);
}

#[test]
fn what_lists_no_blobs_is_refused_with_a_way_out() {
    let intake = Intake::new();
    let docker = intake.source("docker.tar", &archive::podman_save(&[(&image("a"), &[A])]));
    let prose = intake.file("prose.txt", "nothing of interest\n");
    let digest = sha256(b"x");
    let odd = intake.file("odd.txt", format!("{digest} 1\n\n{digest} one\n"));
    let absent = intake.ocirepo.scratch("absent.tar");
    for (source, code, texts) in [
        (docker.as_str(), 2, ["docker archive", "add it"]),
        (&prose, 4, ["prose.txt, line 1", "ocirepo inventory"]),
        (&odd, 4, ["odd.txt, line 3", "one is not a size"]),
        (absent.to_str().expect("test paths are UTF-8"), 1, ["absent.tar", "check the path"]),
    ] {
        intake.ocirepo.run(&["inventory", source]).one_clear_error(code, &texts);
        intake.ocirepo.run(&["diff", ".", source]).fails_with(if code == 1 { 3 } else { code });
    }
}

#[test]
fn a_difference_says_what_is_added_moved_and_removed_and_what_to_carry() {
    let intake = repository(&[("a", A), ("b", B)]);
    let newer = layout(&intake, "new.tar", &[("a2", A), ("c", "quay.io/c/c:1")]);
    let found = diff(&intake, ".", &newer);
    assert_eq!(found["added"], json!([{"reference": "quay.io/c/c:1", "digest": image("c").digest()}]));
    assert_eq!(found["removed"], json!([{"reference": B, "digest": image("b").digest()}]));
    let moved = json!([{"reference": A, "from": image("a").digest(), "to": image("a2").digest()}]);
    assert_eq!(found["moved"], moved);
    assert_blobs(&found, &blobs(&["a", "b"]), &blobs(&["a2", "c"]));

    let shown = intake.ocirepo.run(&["diff", ".", &newer]).ok().stdout;
    for part in ["added", "removed", "moved", "quay.io/c/c:1", "to carry: "] {
        assert!(shown.contains(part), "{shown}");
    }
    let same = intake.ocirepo.run(&["diff", &newer, &newer]).ok().stdout;
    assert!(same.contains("the images are the same") && same.contains("to carry: 0 blobs"), "{same}");
}

#[test]
fn images_of_the_repository_are_compared_by_what_they_need() {
    let intake = repository(&[("a", A), ("b", B)]);
    let found = diff(&intake, "a:1", "b:1");
    assert_blobs(&found, &blobs(&["a"]), &blobs(&["b"]));
    assert_eq!(found["added"][0]["reference"], B);
    assert_eq!(found["removed"][0]["reference"], A);
    let digest = image("a").digest().to_owned();
    assert_blobs(&diff(&intake, &digest, "."), &blobs(&["a"]), &blobs(&["a", "b"]));
    let error = intake.ocirepo.run(&["diff", "a:1", "nothing:1"]);
    error.one_clear_error(3, &["no file or directory nothing:1"]);
}

#[test]
fn what_exists_as_a_path_is_taken_for_one() {
    let intake = repository(&[("a", A), ("b", B)]);
    let here = intake.ocirepo.in_dir(intake.ocirepo.scratch("home"));
    fs::write(here.dir().join("a"), text(&blobs(&["b"]))).expect("it can be written");
    let repo = intake.ocirepo.dir().to_str().expect("test paths are UTF-8");
    let args = ["-C", repo, "diff", "a", "b:1", "--format", "json"];
    assert_blobs(&here.run(&args).json(), &blobs(&["b"]), &blobs(&["b"]));
}

#[test]
fn an_inventory_has_no_images_so_only_blobs_are_compared() {
    let intake = repository(&[("a", A), ("b", B)]);
    let have = intake.file("have.txt", text(&blobs(&["a"])));
    let found = diff(&intake, &have, ".");
    assert_blobs(&found, &blobs(&["a"]), &blobs(&["a", "b"]));
    for key in ["added", "removed", "moved"] {
        assert_eq!(found[key], Value::Null);
    }
    let output = intake.ocirepo.run_with_stdin(&["diff", "-", "."], text(&blobs(&["a"]))).ok();
    assert!(output.says("standard input lists blobs and no images").stdout.starts_with("to carry: "));
    intake.ocirepo.run(&["diff", "-", "-"]).fails_with(2);
}

/// A blob of the right digest and another size is not the blob.
#[test]
fn blobs_are_compared_at_their_sizes() {
    let intake = repository(&[("a", A)]);
    let mut wrong = blobs(&["a"]);
    let size = wrong.values_mut().next().expect("there are blobs");
    *size += 1;
    let have = intake.file("have.txt", text(&wrong));
    let found = diff(&intake, &have, ".");
    assert_eq!((&found["blobs"]["new"], &found["blobs"]["gone"]), (&json!(1), &json!(1)));
}

/// A bundle that leaves the base out brings its receiver to the same place as one that does not.
#[test]
fn what_a_bundle_requires_counts_as_part_of_it() {
    let intake = repository(&[("a", A), ("b", B)]);
    let have = intake.file("have.txt", text(&blobs(&["a"])));
    let bundle = intake.ocirepo.scratch("delta.tar");
    let bundle = bundle.to_str().expect("test paths are UTF-8");
    intake.ocirepo.run(&["export", "--type", "oci", "--have", &have, "-o", bundle]).ok();
    let mut carried = blobs(&["a", "b"]);
    carried.retain(|digest, _| !blobs(&["a"]).contains_key(digest));
    assert_eq!(inventory(&intake, &[bundle]), text(&carried));
    let found = diff(&intake, ".", bundle);
    assert_eq!((&found["added"], &found["removed"], &found["moved"]), (&json!([]), &json!([]), &json!([])));
    assert_blobs(&found, &carried, &carried);
    assert_blobs(&diff(&intake, &have, bundle), &blobs(&["a"]), &blobs(&["a", "b"]));
}

/// What is about an image travels with it, and is in its bundle too.
#[test]
fn signatures_belong_to_what_they_are_about() {
    let intake = repository(&[("a", A)]);
    let signature = artifact("application/vnd.test.signature", b"signed", Some(&image("a").manifest));
    let tar = archive::oci_archive_of(signature.blobs(), [signature.manifest.descriptor()]);
    let tar = intake.source("signature.tar", &tar);
    intake.add(&[&tar]);
    let bundle = intake.ocirepo.scratch("bundle.tar");
    let bundle = bundle.to_str().expect("test paths are UTF-8");
    intake.ocirepo.run(&["export", A, "-o", bundle]).ok();
    for side in [".", A] {
        let found = diff(&intake, side, bundle);
        assert_eq!(found["blobs"], json!({"new": 0, "newBytes": 0, "gone": 0, "goneBytes": 0}), "{side}");
        assert_eq!((&found["added"], &found["removed"]), (&json!([]), &json!([])), "{side}");
    }
}

#[test]
fn a_disk_that_is_full_is_an_error_and_a_reader_that_leaves_is_none() {
    let intake = repository(&[("a", A)]);
    if let Ok(full) = fs::File::options().write(true).open("/dev/full") {
        let status = intake.ocirepo.command(&["inventory"]).stdout(full).stderr(Stdio::null()).status();
        assert_eq!(status.expect("it can be started").code(), Some(1));
    }
    let (reader, writer) = std::io::pipe().expect("a pipe can be made");
    drop(reader);
    let status = intake.ocirepo.command(&["inventory"]).stdout(writer).stderr(Stdio::null()).status();
    assert_eq!(status.expect("it can be started").code(), Some(0));
}
