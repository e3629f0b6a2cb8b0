//! Progress tells the truth: what there is to do is known where it can be, and all of it is done in the end.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::fs;
use std::io::Write as _;
use std::thread;
use std::time::Duration;

use ocirepo_tests::archive;
use ocirepo_tests::artifact::index_of;
use ocirepo_tests::cli::{Ocirepo, Output};
use ocirepo_tests::compress::Compression;
use ocirepo_tests::descriptor::full_named;
use ocirepo_tests::image::ImageSpec;
use ocirepo_tests::layout::Layout;
use ocirepo_tests::tarball::Tarball;
use serde_json::Value;

/// The events on stderr.
fn events(output: &Output) -> Vec<Value> {
    let lines = output.stderr.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every task that had something to do did all of it.
#[track_caller]
fn all_done(output: Output, task: &str) {
    let output = output.ok();
    let events = events(&output);
    assert!(events.iter().any(|event| event["task"].as_str().unwrap().contains(task)), "{task}: {output:?}");
    assert_eq!(events.last().unwrap()["finished"], true, "{output:?}");
    for event in events.iter().filter(|event| event["finished"] == true) {
        assert!(event["total"].is_null() || event["total"] == event["done"], "{event}");
    }
}

#[test]
fn every_task_ends_with_all_of_it_done() {
    let ocirepo = Ocirepo::new();
    ocirepo.run(&["init"]).ok();
    let layer = Tarball::new().file("text", "text ".repeat(50_000));
    let spec = ImageSpec::seeded("a").gzip_layer(layer.clone()).zstd_layer(layer).noise_layer(1, 300_000);
    let image = spec.build();
    let oci = archive::oci_archive(&[(&image, &["docker.io/test/a:1"])], full_named).to_bytes();
    let docker = archive::podman_save(&[(&image, &["docker.io/test/b:1"])]).to_bytes();
    let write = |name: &str, bytes: &[u8]| {
        let path = ocirepo.scratch(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (oci_tar, packed) =
        (write("oci.tar", &oci), write("docker.tar.gz", &Compression::Gzip.pack(&docker)));
    let out = |name: &str| ocirepo.scratch(name).to_str().unwrap().to_owned();
    let json = ["--progress", "json"];
    let run = |args: &[&str]| ocirepo.run(&[&json[..], args].concat());

    all_done(run(&["add", &oci_tar]), "adding");
    all_done(run(&["add", &packed]), "reading");
    all_done(run(&["add", &packed, "--layers", "zstd", "--ref", "c:1"]), "adding");
    all_done(run(&["add", &oci_tar, "--layers", "zstd", "--ref", "d:1"]), "adding");
    all_done(run(&["add", &oci_tar, "--verify-diffids"]), "adding");
    let piped = ocirepo.run_with_stdin(&[&json[..], &["add", "-"]].concat(), oci.clone());
    assert!(events(&piped).iter().any(|event| event["total"].is_null() && event["done"] == oci.len()));
    all_done(piped, "reading standard input");
    all_done(run(&["verify"]), "verifying");
    all_done(run(&["verify", &packed]), "reading");
    all_done(run(&["export", "-o", &out("all.tar")]), "writing");
    all_done(run(&["export", "-o", &out("all.tar.zst"), "--compress", "zstd"]), "writing");
    all_done(run(&["inventory", &out("all.tar.zst")]), "reading");
    all_done(run(&["diff", &out("all.tar.zst"), "."]), "reading");
    all_done(run(&["export", "-o", &out("v.tar"), "--volume-size", "400k"]), "(1 of ");
    all_done(run(&["export", "test/a:1", "--type", "docker", "-o", &out("docker.tar")]), "writing");
    all_done(run(&["export", "test/a:1", "--type", "docker", "-o", "-"]), "measuring");
    all_done(run(&["export", "--type", "dir", "-o", &out("dir")]), "copying");
    for name in ocirepo.run(&["ls", "--names"]).ok().stdout.lines() {
        ocirepo.run(&["rm", name]).ok();
    }
    all_done(run(&["gc"]), "sweeping");
}

/// What takes a while is told of as it goes on, with what is known of it; nothing of it comes with `-q`.
#[test]
fn long_work_is_told_of_in_lines_and_events() {
    let ocirepo = Ocirepo::new();
    ocirepo.run(&["init"]).ok();
    let image = ImageSpec::seeded("a").noise_layer(1, 300_000).build();
    let bytes = archive::oci_archive(&[(&image, &["docker.io/test/a:1"])], full_named).to_bytes();
    let slowly = |args: &[&str]| {
        let (running, mut stdin) = ocirepo.spawn_with_pipe(args);
        stdin.write_all(&bytes[..bytes.len() / 2]).unwrap();
        thread::sleep(Duration::from_millis(2500));
        stdin.write_all(&bytes[bytes.len() / 2..]).unwrap();
        drop(stdin);
        running.wait().ok()
    };
    let output = slowly(&["--progress", "json", "add", "-"]);
    let event = events(&output).swap_remove(0);
    assert_eq!((&event["task"], &event["unit"]), (&"reading standard input".into(), &"bytes".into()));
    assert_eq!(
        (&event["finished"], &event["total"], &event["etaSeconds"]),
        (&false.into(), &Value::Null, &Value::Null)
    );
    assert!(event["done"].as_u64().unwrap() > 0 && event["bytesPerSecond"].is_u64(), "{event}");
    assert!(event["item"].as_str().unwrap().contains("blobs/sha256/"), "{event}");

    let lines = slowly(&["add", "-"]).stderr;
    let line = lines.lines().find(|line| line.starts_with("reading standard input: ")).unwrap();
    assert!(line.contains(" kB, ") && line.contains("B/s, "), "{line}");
    assert_eq!(slowly(&["-q", "add", "-"]).stderr, "");
}

/// How many manifests there are nobody knows before all were read.
#[test]
fn a_collection_counts_what_it_marks_and_what_is_left() {
    let ocirepo = Ocirepo::new();
    let (app, arm) = (ImageSpec::seeded("app").build(), ImageSpec::seeded("arm").build());
    let index = index_of(&[(&app, "linux/amd64"), (&arm, "linux/arm64")]);
    let mut layout = Layout::create(ocirepo.dir());
    layout.full_image(&app, "docker.io/test/app:1").blobs_of(arm.blobs().chain([&index]));
    layout.entry(full_named(index.descriptor(), "docker.io/test/multi:1")).write_index();
    layout.blob(b"garbage");
    layout.blob(b"{\"more\":\"garbage\"}");
    let told = |args: &[&str]| -> Vec<(String, Value, Value)> {
        let events = events(&ocirepo.run(&[args, &["--progress", "json"]].concat()).ok());
        assert!(
            events.iter().all(|event| event["unit"] == "items" && event["finished"] == true),
            "{events:?}"
        );
        let task = |event: &Value| event["task"].as_str().unwrap().to_owned();
        events.iter().map(|event| (task(event), event["done"].clone(), event["total"].clone())).collect()
    };
    let task = |name: &str, done: u64, total: Option<u64>| (name.to_owned(), done.into(), total.into());
    let looks = [
        task("marking manifests", 3, None),
        task("finding referrers", 2, Some(2)),
        task("measuring garbage", 2, Some(2)),
    ];
    assert_eq!(told(&["gc", "--dry-run"]), looks);
    assert_eq!(told(&["verify", "--quick"]), looks[..2]);
    assert_eq!(told(&["gc"]), [&looks[..], &[task("sweeping", 2, Some(2))]].concat());
    assert_eq!(told(&["gc"]), looks[..1]);
}
