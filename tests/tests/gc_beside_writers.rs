//! A gc loop beside adds and removals: it sweeps, it is never starved, it starves nobody, and every listed image
//! stays whole.
//!
//! `OCIREPO_TEST_SECONDS` is how long the loop runs: 6 unless it says otherwise; 30 is the long form.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::process::ChildStdin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ocirepo_tests::archive;
use ocirepo_tests::chance::{Chance, number};
use ocirepo_tests::checker::check;
use ocirepo_tests::cli::{Ocirepo, Running};
use ocirepo_tests::descriptor::full_named;
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::layout::Layout;
use ocirepo_tests::patience::until;
use ocirepo_tests::snapshot::{Snapshot, debris};
use serde_json::Value;

/// The default of `--lock-timeout`: whoever needs longer was starved.
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);

const WRITERS: u64 = 3;
const IMAGES: u64 = 8;

fn image(number: u64) -> Image {
    ImageSpec::seeded(&format!("image {number}"))
        .noise_layer(0, 300_000)
        .noise_layer(number + 1, 50_000)
        .build()
}

/// The sources of all images, in three forms, each with the same blobs: writers that add an image reuse what another
/// is just removing.
fn sources(ocirepo: &Ocirepo) -> Vec<[String; 3]> {
    let write = |number| {
        let image = image(number);
        let name = format!("docker.io/source/image{number}:1");
        let names = [name.as_str()];
        let item = [(&image, names.as_slice())];
        let path = |form: &str| ocirepo.scratch(&format!("{number}.{form}"));
        fs::write(path("docker.tar"), archive::podman_save(&item).to_bytes()).unwrap();
        fs::write(path("oci.tar"), archive::oci_archive(&item, full_named).to_bytes()).unwrap();
        Layout::create(path("dir")).full_image(&image, &name).write_index();
        ["docker.tar", "oci.tar", "dir"].map(|form| path(form).to_str().unwrap().to_owned())
    };
    (0..IMAGES).map(write).collect()
}

/// What one writer did.
struct Work {
    names: BTreeSet<String>,
    adds: u64,
}

/// Adds, moves and removes its own names until it is told to stop.
fn write(ocirepo: &Ocirepo, sources: &[[String; 3]], mut chance: Chance, stop: &AtomicBool) -> Work {
    let mut work = Work { names: BTreeSet::new(), adds: 0 };
    let me = chance.below(u64::MAX);
    while !stop.load(Ordering::Relaxed) {
        let name = format!("docker.io/test/writer{me}:{}", chance.below(4));
        if work.names.contains(&name) && chance.below(2) == 0 {
            ocirepo.run(&["rm", &name]).ok();
            work.names.remove(&name);
        } else {
            let source = &sources[usize::try_from(chance.below(IMAGES)).unwrap()];
            let source = &source[usize::try_from(chance.below(3)).unwrap()];
            ocirepo.run(&["add", source, "--ref", &name]).ok();
            work.names.insert(name);
            work.adds += 1;
        }
    }
    work
}

/// What the gc loop did.
struct Sweeps {
    runs: u64,
    blobs: u64,
    longest: Duration,
}

fn collect_until(ocirepo: &Ocirepo, stop: &AtomicBool) -> Sweeps {
    let mut sweeps = Sweeps { runs: 0, blobs: 0, longest: Duration::ZERO };
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        let report = ocirepo.run(&["gc", "--format", "json"]).json();
        sweeps.longest = sweeps.longest.max(start.elapsed());
        sweeps.blobs += report["swept"]["blobs"].as_u64().unwrap();
        sweeps.runs += 1;
    }
    sweeps
}

fn entries(ocirepo: &Ocirepo) -> Vec<Value> {
    ocirepo.run(&["ls", "--format", "json"]).json().as_array().unwrap().clone()
}

#[test]
fn a_gc_loop_beside_adds_and_removals() {
    let ocirepo = Ocirepo::new();
    let sources = sources(&ocirepo);
    let mut chance = Chance::from_env("gc beside writers");
    let seconds = number("OCIREPO_TEST_SECONDS").unwrap_or(6);
    ocirepo.run(&["init"]).ok();
    let stop = AtomicBool::new(false);
    let (sweeps, works) = thread::scope(|scope| {
        let collector = scope.spawn(|| collect_until(&ocirepo, &stop));
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                let chance = Chance::new(chance.below(u64::MAX));
                scope.spawn(|| write(&ocirepo, &sources, chance, &stop))
            })
            .collect();
        let end = Instant::now() + Duration::from_secs(seconds);
        // A thread that failed is the end as well.
        while Instant::now() < end
            && !collector.is_finished()
            && !writers.iter().any(|writer| writer.is_finished())
        {
            thread::sleep(Duration::from_millis(20));
        }
        stop.store(true, Ordering::Relaxed);
        let works: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        (collector.join().unwrap(), works)
    });

    assert!(sweeps.blobs >= 1, "{} runs of gc swept nothing", sweeps.runs);
    assert!(sweeps.longest < LOCK_TIMEOUT, "a gc took {:?}", sweeps.longest);
    for work in &works {
        assert!(work.adds >= 1, "a writer was starved by {} runs of gc", sweeps.runs);
    }
    ocirepo.run(&["verify"]).ok();
    let report = check(ocirepo.dir());
    report.assert_sound();
    assert_eq!(report.sparse, BTreeSet::new());
    let entries = entries(&ocirepo);
    assert!(entries.iter().all(|entry| entry["complete"] == true), "{entries:#?}");
    let names: BTreeSet<_> =
        entries.iter().map(|entry| entry["reference"].as_str().unwrap().to_owned()).collect();
    let expected: BTreeSet<_> = works.iter().flat_map(|work| work.names.iter().cloned()).collect();
    assert_eq!(names, expected);
    assert_eq!(names.len(), entries.len(), "{entries:#?}");

    // What is left over is swept, exactly.
    let swept = ocirepo.run(&["gc", "--format", "json"]).json()["swept"]["digests"].clone();
    let swept: BTreeSet<String> = serde_json::from_value(swept).unwrap();
    assert_eq!(swept, report.garbage);
    check(ocirepo.dir()).assert_tidy();
    assert_eq!(debris(ocirepo.dir()), BTreeSet::new());
}

/// An `add -` that has got half of its archive and waits for the rest, with the archive's other half.
fn half_an_add(ocirepo: &Ocirepo, image: &Image, name: &str) -> (Running, ChildStdin, Vec<u8>) {
    let mut bytes = archive::oci_archive(&[(image, &[name])], full_named).to_bytes();
    let rest = bytes.split_off(bytes.len() / 2);
    let (add, mut stdin) = ocirepo.spawn_with_pipe(&["add", "-"]);
    stdin.write_all(&bytes).unwrap();
    stdin.flush().unwrap();
    (add, stdin, rest)
}

/// Tries a command that wants no wait until it is kept out by `holder`.
fn until_kept_out(ocirepo: &Ocirepo, args: &[&str], holder: &Running) {
    let pid = format!("pid {}", holder.pid());
    until(&format!("{args:?} is kept out by {pid}"), || {
        let output = ocirepo.run(&[args, &["--lock-timeout", "0"]].concat());
        output.status.code() == Some(6) && output.stderr.contains(&pid)
    });
}

fn big_image(seed: u64) -> Image {
    ImageSpec::seeded("big").noise_layer(seed, 3_000_000).build()
}

#[test]
fn gc_waits_for_a_long_add_and_new_adds_queue_behind_it() {
    let ocirepo = Ocirepo::new();
    ocirepo.run(&["init"]).ok();
    let sources = sources(&ocirepo);
    let small = &sources[0][0];
    ocirepo.run(&["add", &sources[1][0], "--ref", "test/removed:1"]).ok();
    ocirepo.run(&["rm", "test/removed:1"]).ok();

    let (mut add, mut stdin, rest) = half_an_add(&ocirepo, &big_image(7), "docker.io/test/long:1");
    until_kept_out(&ocirepo, &["gc"], &add);
    let mut gc = ocirepo.spawn(&["gc", "--format", "json"]);
    // gc has the gate: from now on it is only the long add that it waits for.
    until_kept_out(&ocirepo, &["rm", "test/not-there:1"], &gc);
    let mut queued = ocirepo.spawn(&["add", small, "--ref", "test/queued:1"]);
    // Plain readers are not kept out.
    let names = ocirepo.run(&["ls", "--names", "--lock-timeout", "0"]).ok().stdout;
    assert!(add.is_running() && gc.is_running() && queued.is_running(), "{names}");

    stdin.write_all(&rest).unwrap();
    drop(stdin);
    add.wait().ok();
    let swept = gc.wait().json()["swept"]["blobs"].as_u64();
    // The image's own two layers, its config and its manifest; a layer that it shares with the long add stays.
    assert!(swept >= Some(4), "{swept:?}");
    queued.wait().ok();
    let names: Vec<_> = entries(&ocirepo).iter().map(|entry| entry["reference"].clone()).collect();
    assert_eq!(names, ["docker.io/test/long:1", "docker.io/test/queued:1"]);
    ocirepo.run(&["verify"]).ok();
    check(ocirepo.dir()).assert_tidy();
}

#[test]
fn a_gc_that_may_not_wait_any_longer_names_who_keeps_it_waiting() {
    let ocirepo = Ocirepo::new();
    ocirepo.run(&["init"]).ok();
    let (add, mut stdin, rest) = half_an_add(&ocirepo, &big_image(8), "docker.io/test/long:1");
    until_kept_out(&ocirepo, &["gc"], &add);
    let start = Instant::now();
    let output = ocirepo.run(&["gc", "--lock-timeout", "1"]).fails_with(6);
    let waited = start.elapsed();
    assert!(waited >= Duration::from_secs(1) && waited < Duration::from_secs(20), "{waited:?}");
    output.says(&format!("pid {}", add.pid())).says("--lock-timeout");
    // A look is allowed: it needs only that nothing is swept.
    ocirepo.run(&["gc", "--dry-run", "--lock-timeout", "0"]).ok();
    ocirepo.run(&["verify", "--lock-timeout", "0"]).ok();
    stdin.write_all(&rest).unwrap();
    drop(stdin);
    add.wait().ok();
    ocirepo.run(&["gc"]).ok();
    check(ocirepo.dir()).assert_tidy();
    assert_eq!(check(ocirepo.dir()).names, ["docker.io/test/long:1"]);
}

#[test]
fn an_add_whose_input_ends_too_early_leaves_nothing() {
    let ocirepo = Ocirepo::new();
    ocirepo.run(&["init"]).ok();
    let before = Snapshot::of(ocirepo.dir());
    let (add, stdin, _) = half_an_add(&ocirepo, &big_image(9), "docker.io/test/long:1");
    until_kept_out(&ocirepo, &["gc"], &add);
    drop(stdin);
    add.wait().fails_with(4).says("standard input");
    assert_eq!(Snapshot::of(ocirepo.dir()), before);
}

#[test]
fn gc_takes_what_a_killed_add_left() {
    let ocirepo = Ocirepo::new();
    ocirepo.run(&["init"]).ok();
    let (add, stdin, _) = half_an_add(&ocirepo, &big_image(10), "docker.io/test/long:1");
    until_kept_out(&ocirepo, &["gc"], &add);
    add.kill();
    drop(stdin);
    assert_ne!(debris(ocirepo.dir()), BTreeSet::new(), "the add had not begun");
    ocirepo.run(&["verify"]).ok();
    ocirepo.run(&["gc", "--lock-timeout", "0"]).ok();
    assert_eq!(debris(ocirepo.dir()), BTreeSet::new());
    check(ocirepo.dir()).assert_tidy();
}
