//! Many sources, and none: a dry run says what a run would do and writes nothing, `--keep-going` gets past what
//! is bad, and `-f` takes sources and names from a list.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::fs;

use ocirepo_tests::archive;
use ocirepo_tests::artifact::index_of;
use ocirepo_tests::cli::{Ocirepo, Output};
use ocirepo_tests::compress::{Compression, Packing};
use ocirepo_tests::descriptor::full_named;
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::intake::{Added, Intake};
use ocirepo_tests::layout::Layout;
use ocirepo_tests::producers;
use ocirepo_tests::snapshot::tree;
use ocirepo_tests::tarball::Tarball;
use ocirepo_tests::unprivileged::{Unprivileged, set_modes};
use serde_json::{Value, json};

const A: &str = "docker.io/test/a:1";
const B: &str = "docker.io/test/b:1";
const C: &str = "docker.io/test/c:1";

fn saved(seed: &str, name: &str) -> (Image, Tarball) {
    let image = ImageSpec::seeded(seed).build();
    let tarball = archive::docker_save(&[(&image, &[name])]);
    (image, tarball)
}

/// A dry run and then the run: the first writes nothing, and both say the same but for the word.
#[track_caller]
fn says_the_same_dry(intake: &Intake, args: &[&str]) -> Added {
    let before = tree(intake.ocirepo.dir());
    let dry = intake.add(&[args, &["--dry-run"]].concat());
    assert_eq!(before, tree(intake.ocirepo.dir()), "{args:?}: something was written");
    assert_eq!(dry.json["dryRun"], true, "{:#}", dry.json);
    let real = intake.add(args);
    assert_eq!(real.json["dryRun"], false, "{:#}", real.json);
    assert_eq!(dry.json["images"], real.json["images"], "{args:?}");
    assert_eq!(dry.json["blobs"], real.json["blobs"], "{args:?}");
    for key in ["new", "newBytes", "reused", "reusedBytes"] {
        real.blobs(key);
    }
    assert_eq!(dry.warnings, real.warnings);
    intake.ocirepo.run(&["verify"]).ok();
    real
}

#[test]
fn a_dry_run_of_new_images() {
    let intake = Intake::new();
    for (file, tarball) in [
        ("docker.tar", saved("a", A).1),
        ("docker25.tar", producers::docker25().tarball().clone()),
        ("oci.tar", producers::oci_archive().tarball().clone()),
        ("crane.tar", producers::crane().tarball().clone()),
        ("dir.tar", producers::dir().tarball().clone()),
        ("v1.tar", producers::docker_v1().tarball().clone()),
    ] {
        let added = says_the_same_dry(&intake, &[&intake.source(file, &tarball)]);
        assert!(added.blobs("new") > 0, "{file}");
        let again = says_the_same_dry(&intake, &[&intake.source(file, &tarball)]);
        assert_eq!((again.blobs("new"), again.blobs("newBytes")), (0, 0), "{file}");
        assert!(again.blobs("reused") > 0 && again.blobs("reusedBytes") > 0, "{file}");
    }
}

/// Names that move, images that are cut, layers that are packed: all is told beforehand.
#[test]
fn a_dry_run_with_options() {
    let (_, older) = saved("older", A);
    let (_, newer) = saved("newer", B);
    let intake = Intake::new();
    intake.add(&[&intake.source("older.tar", &older)]);
    let moved = says_the_same_dry(&intake, &[&intake.source("newer.tar", &newer), "--ref", A]);
    assert!(moved.json["images"][0]["previous"].is_string());
    says_the_same_dry(&intake, &[&intake.source("newer.tar", &newer), "--layers", "gzip"]);
    says_the_same_dry(&intake, &[&intake.source("older.tar", &older), "--layers", "reuse"]);

    let [amd64, arm64] = ["linux/amd64", "linux/arm64"].map(|of| ImageSpec::seeded("c").platform(of).build());
    let index = index_of(&[(&amd64, "linux/amd64"), (&arm64, "linux/arm64")]);
    let blobs = amd64.blobs().chain(arm64.blobs()).chain([&index]);
    let multi = archive::oci_archive_of(blobs, [full_named(index.descriptor(), C)]);
    says_the_same_dry(&intake, &[&intake.source("multi.tar", &multi), "--platform", "linux/arm64"]);
    let third = archive::docker_save(&[(&ImageSpec::seeded("c").platform("linux/s390x").build(), &[])]);
    says_the_same_dry(&intake, &[&intake.source("third.tar", &third), "--ref", C, "--merge-platforms"]);
}

/// A dry run looks at each source by itself, so what two of them share is new twice.
#[test]
fn a_dry_run_of_several_sources() {
    let intake = Intake::new();
    let sources = ["a", "b"].map(|seed| {
        intake.source(&format!("{seed}.tar"), &saved(seed, &format!("docker.io/test/{seed}:1")).1)
    });
    let before = tree(intake.ocirepo.dir());
    let dry = intake.add(&[&sources[0], &sources[1], "--dry-run"]);
    assert_eq!(before, tree(intake.ocirepo.dir()));
    let real = intake.add(&[&sources[0], &sources[1]]);
    assert_eq!(dry.json["images"], real.json["images"]);
    assert_eq!((dry.blobs("new"), dry.blobs("reused")), (8, 0));
    assert_eq!((real.blobs("new"), real.blobs("reused")), (7, 1));
}

/// What cannot be read twice, or only through a decoder, has to be put somewhere: not into the repository.
#[test]
fn a_dry_run_of_a_stream() {
    let (image, tarball) = saved("a", A);
    let intake = Intake::new();
    let bytes = tarball.to_bytes();
    let packed = intake.file("packed", Packing::Zstd.pack(&bytes));
    let dry = says_the_same_dry(&intake, &[&packed]);
    assert_eq!(dry.json["images"][0]["digest"], image.unpacked().digest());

    let intake = Intake::new();
    let before = tree(intake.ocirepo.dir());
    let add = |options: &[&str], bytes: &[u8]| {
        let args = [&["add", "-", "--format", "json"], options].concat();
        intake.ocirepo.run_with_stdin(&args, bytes).json()
    };
    let dry = [bytes.clone(), Packing::Gzip.pack(&bytes)].map(|bytes| add(&["--dry-run"], &bytes));
    assert_eq!(before, tree(intake.ocirepo.dir()));
    let real = add(&[], &bytes);
    for dry in dry {
        assert_eq!((&dry["images"], &dry["blobs"]), (&real["images"], &real["blobs"]));
    }
}

/// A layout that another tool made gets no folder of ours from looking.
#[test]
fn a_dry_run_over_a_foreign_layout() {
    let ocirepo = Ocirepo::new();
    Layout::create(ocirepo.dir()).image(&ImageSpec::seeded("a").build(), A).write_index();
    let before = tree(ocirepo.dir());
    let intake = Intake { ocirepo };
    let (image, tarball) = saved("b", B);
    let dry = intake.add(&[&intake.source("b.tar", &tarball), "--dry-run"]);
    assert_eq!(dry.json["images"][0]["digest"], image.unpacked().digest());
    assert_eq!(before, tree(intake.ocirepo.dir()));
}

#[test]
fn a_dry_run_where_nothing_may_be_written() {
    let user = Unprivileged::new();
    let dir = user.ocirepo.dir();
    user.ocirepo.run(&["init"]).ok();
    let (_, tarball) = saved("a", A);
    user.ocirepo.run_with_stdin(&["add", "-"], tarball.to_bytes()).ok();
    let (other, tarball) = saved("b", B);
    let bytes = tarball.to_bytes();
    let sources = [("plain.tar", bytes.clone()), ("packed.tar", Packing::Gzip.pack(&bytes))];
    set_modes(dir, 0o555, 0o444);
    let before = tree(dir);
    for (name, bytes) in sources {
        let source = user.ocirepo.scratch(name);
        fs::write(&source, bytes).unwrap();
        let dry = user.run(&["add", source.to_str().unwrap(), "--dry-run", "--format", "json"]).json();
        assert_eq!(dry["images"][0]["digest"], other.unpacked().digest(), "{name}");
        // Its config, its own layer and its manifest; the base is there.
        assert_eq!(
            (&dry["blobs"]["new"], &dry["blobs"]["reused"]),
            (&3.into(), &1.into()),
            "{name}: {dry:#}"
        );
        assert_eq!(before, tree(dir), "{name}");
    }
    set_modes(dir, 0o755, 0o644);
}

/// What would fail fails dry, in the same way.
#[test]
fn a_dry_run_of_what_is_bad() {
    let (image, tarball) = saved("a", A);
    let broken = tarball.replace(&format!("{}.json", image.config.hex()), "{}");
    let intake = Intake::new();
    let source = intake.source("broken.tar", &broken);
    let before = tree(intake.ocirepo.dir());
    intake.run(&[&source, "--dry-run"]).fails_with(4).says("broken.tar");
    assert_eq!(before, tree(intake.ocirepo.dir()));
    let good = intake.source("good.tar", &saved("b", B).1);
    intake.run(&[&good, "--select", "none:1", "--dry-run"]).fails_with(3);
}

/// Two good sources with bad ones before, between and behind them.
struct Mixed {
    intake: Intake,
    a: Image,
    c: Image,
    sources: [String; 5],
}

fn mixed() -> Mixed {
    let intake = Intake::new();
    let ((a, good), (c, last)) = (saved("a", A), saved("c", C));
    let missing = intake.ocirepo.scratch("missing.tar").to_str().unwrap().to_owned();
    let cut = saved("b", B).1.to_bytes();
    let sources = [
        missing,
        intake.source("a.tar", &good),
        intake.file("cut.tar", &cut[..cut.len() / 2]),
        intake.source("c.tar", &last),
        intake.file("notes.txt", "no archive"),
    ];
    Mixed { intake, a, c, sources }
}

#[test]
fn the_first_failure_ends_it() {
    let Mixed { intake, a, sources, .. } = mixed();
    let output = intake.run(&[&sources[1], &sources[2], &sources[3]]);
    assert_eq!(output.any_json()["images"].as_array().map(Vec::len), Some(1), "what was added is told");
    output.fails_with(4).says("cut.tar");
    intake.assert_listed(&[(A, a.unpacked().digest())]);
}

#[test]
fn keeping_on() {
    let Mixed { intake, a, c, sources } = mixed();
    let mut args: Vec<_> = sources.iter().map(String::as_str).collect();
    args.push("--keep-going");
    let output = intake.run(&args);
    let printed = output.any_json();
    let output = output.fails_with(5);
    for bad in ["missing.tar", "cut.tar", "notes.txt"] {
        let lines = output.stderr.lines().filter(|line| line.starts_with("error:") && line.contains(bad));
        assert_eq!(lines.count(), 1, "{bad}:\n{}", output.stderr);
    }
    intake.assert_listed(&[(A, a.unpacked().digest()), (C, c.unpacked().digest())]);
    assert_eq!(printed["images"].as_array().map(Vec::len), Some(2), "{printed:#}");
    let failed = printed["failed"].as_array().expect("failed is a list");
    let names: Vec<_> = failed.iter().map(|failure| &failure["source"]).collect();
    assert_eq!(names, [&sources[0], &sources[2], &sources[4]].map(|source| json!(source)).each_ref());
    for failure in failed {
        assert!(failure["error"].as_str().is_some_and(|text| !text.is_empty()), "{failure}");
    }
}

#[test]
fn keeping_on_where_nothing_fails() {
    let Mixed { intake, sources, .. } = mixed();
    let added = intake.add(&[&sources[1], &sources[3], "--keep-going"]);
    assert_eq!(added.json["failed"], json!([]));
    assert_eq!(intake.listed().len(), 2);
}

#[test]
fn keeping_on_where_all_fails() {
    let Mixed { intake, sources, .. } = mixed();
    let before = ocirepo_tests::snapshot::Snapshot::of(intake.ocirepo.dir());
    intake.run(&[&sources[0], &sources[2], "--keep-going"]).fails_with(5);
    before.assert_same(intake.ocirepo.dir(), "add");
}

/// Three archives, one of them in a path with blanks, and the list that names them.
fn list() -> (Intake, [Image; 3], String) {
    let intake = Intake::new();
    let [(a, first), (b, second), (c, third)] = ["a", "b", "c"].map(|seed| saved(seed, A));
    let first = intake.source("first.tar", &first);
    let second = intake.source("second.tar", &second);
    let third = intake.source("a path with blanks.tar", &third);
    let text =
        format!("# what goes in\n\n{first}\n  {second}   test/b:1\n   \n\t# and more\n{third}\ttest/c:1\n");
    (intake, [a, b, c], text)
}

fn expected(images: &[Image; 3]) -> Vec<(&'static str, String)> {
    [A, B, C]
        .into_iter()
        .zip(images)
        .map(|(name, image)| (name, image.unpacked().digest().to_owned()))
        .collect()
}

#[track_caller]
fn assert_all(intake: &Intake, images: &[Image; 3]) {
    let expected = expected(images);
    let expected: Vec<_> = expected.iter().map(|(name, digest)| (*name, digest.as_str())).collect();
    intake.assert_listed(&expected);
}

#[test]
fn a_list_of_sources() {
    let (intake, images, text) = list();
    let list = intake.file("list.txt", text);
    intake.add(&["-f", &list]);
    assert_all(&intake, &images);
}

#[test]
fn a_list_on_stdin() {
    let (intake, images, text) = list();
    intake.ocirepo.run_with_stdin(&["add", "-f", "-"], text).ok();
    assert_all(&intake, &images);
}

/// Lists come from Windows as well, and need no newline at the end.
#[test]
fn a_list_with_other_line_ends() {
    let (intake, images, text) = list();
    let list = intake.file("list.txt", text.trim_end().replace('\n', "\r\n"));
    intake.add(&["-f", &list]);
    assert_all(&intake, &images);
}

#[test]
fn a_list_with_something_bad_in_it() {
    let (intake, images, text) = list();
    let missing = intake.ocirepo.scratch("missing.tar");
    let list = intake.file("list.txt", format!("{}\n{text}", missing.display()));
    intake.refuses(&["-f", &list], 1, &["missing.tar"]);
    let output: Output = intake.run(&["-f", &list, "--keep-going"]);
    let failed: Value = output.any_json()["failed"].clone();
    assert_eq!(failed.as_array().map(Vec::len), Some(1), "{failed:#}");
    output.fails_with(5);
    assert_all(&intake, &images);
}

/// A name that cannot be one is found before anything is added.
#[test]
fn a_list_with_a_bad_name_in_it() {
    let (intake, _, text) = list();
    let list = intake
        .file("list.txt", format!("{text}{} has:a:bad//name\n", intake.source("x.tar", &saved("x", A).1)));
    intake.misuses(&["-f", &list], &["has:a:bad//name", "line 8"]);
}

#[test]
fn a_list_that_is_not_there() {
    let intake = Intake::new();
    let list = intake.ocirepo.scratch("no-such-list");
    intake.run(&["-f", list.to_str().unwrap()]).fails_with(1).says("no-such-list");
}

/// Options hold for all sources.
#[test]
fn a_list_with_options() {
    let (intake, images, text) = list();
    let list = intake.file("list.txt", text);
    intake.add(&["-f", &list, "--layers", "gzip"]);
    for name in [A, B, C] {
        let manifest = intake.document(name);
        let bytes = intake.layout().read_blob(manifest["layers"][1]["digest"].as_str().unwrap());
        assert_eq!(Compression::of(&bytes), Compression::Gzip, "{name}");
    }
    assert_eq!(intake.listed().len(), images.len());
}
