//! A bundle in volumes goes in one at a time, in any order, from any media, and comes to what the bundle in one piece
//! comes to. What waits survives gc, and so does the base it relies on.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::collections::BTreeSet;
use std::fs;

use ocirepo_tests::chance::Chance;
use ocirepo_tests::checker::check;
use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::compress::Compression;
use ocirepo_tests::headers::SizeField;
use ocirepo_tests::image::ImageSpec;
use ocirepo_tests::large::{Filling, LargeArchive};
use ocirepo_tests::layout::Layout;
use ocirepo_tests::memory::wait_measured;
use ocirepo_tests::snapshot::{Snapshot, copy_tree, tree};
use ocirepo_tests::tools::say;
use ocirepo_tests::volumes::{Bundle, VOLUMES, contents, numbers, pending, repository};
use serde_json::{Value, json};

fn all() -> BTreeSet<u32> {
    (1..=VOLUMES).collect()
}

fn shuffled(chance: &mut Chance) -> Vec<u32> {
    let mut left: Vec<u32> = all().into_iter().collect();
    (0..VOLUMES).map(|_| left.remove(usize::try_from(chance.below(left.len() as u64)).unwrap())).collect()
}

fn gc(ocirepo: &Ocirepo) {
    let swept = ocirepo.run(&["gc", "--format", "json"]).json();
    assert_eq!(swept["swept"]["blobs"], 0, "{swept:#}");
}

#[test]
fn seven_volumes_in_any_order_with_a_gc_after_each() {
    let bundle = Bundle::new();
    assert_eq!(bundle.volumes.len(), VOLUMES as usize);
    let mut chance = Chance::from_env("the order of volumes");
    for _ in 0..3 {
        let ocirepo = repository();
        let mut left = all();
        for number in shuffled(&mut chance) {
            left.remove(&number);
            let added = bundle.add(&ocirepo, number).json();
            gc(&ocirepo);
            if left.is_empty() {
                assert_eq!(added["pending"], json!([]));
                assert_eq!(added["images"].as_array().map(Vec::len), Some(4), "{added:#}");
                continue;
            }
            let waiting = json!([{"bundle": bundle.id, "volumes": VOLUMES, "needed": left}]);
            assert_eq!((&added["pending"], &added["images"]), (&waiting, &json!([])));
            bundle.assert_needed(&ocirepo, &left);
            assert_eq!(ocirepo.run(&["ls", "--format", "json"]).json(), json!([]));
            check(ocirepo.dir()).assert_tidy();
            ocirepo.run(&["verify"]).ok();
        }
        bundle.assert_complete(&ocirepo);
    }
}

#[test]
fn one_line_says_what_was_taken_and_what_is_needed() {
    let bundle = Bundle::new();
    let ocirepo = repository();
    for (number, needed) in [(2, "1, 3-7"), (4, "1, 3, 5-7"), (6, "1, 3, 5, 7")] {
        let line = format!(
            "bundle {} (b.{number:03}.tar): volume {number} of 7 taken; still needed: {needed}\n",
            bundle.id
        );
        assert_eq!(ocirepo.run(&["add", bundle.volume(number)]).ok().stdout, line);
    }
    let table = ocirepo.run(&["ls", "--pending"]).ok().stdout;
    for text in [&bundle.id[7..19], "3/7", "1, 3, 5, 7", "docker.io/test/both:1"] {
        assert!(table.contains(text), "{text}: {table}");
    }
    for verb in ["gc", "verify"] {
        let output = ocirepo.run(&[verb]).ok();
        assert!(output.stderr.contains("B of 1 bundle waiting for volumes"), "{verb}: {}", output.stderr);
    }
    let rest = [1, 3, 5, 7].map(|number| bundle.volume(number));
    let lines = ocirepo.run(&[&["add"][..], &rest].concat()).ok().stdout;
    assert!(lines.contains("volume 7 of 7 taken; the bundle is complete\nadded "), "{lines}");
    bundle.assert_complete(&ocirepo);
}

#[test]
fn volumes_come_from_pipes_compressed_and_in_a_folder() {
    let bundle = Bundle::new();
    let ocirepo = repository();
    for (number, path) in (1..).zip(&bundle.volumes) {
        let bytes = fs::read(path).unwrap();
        match number % 4 {
            0 => ocirepo.run_with_stdin(&["add", "-"], bytes),
            1 => ocirepo.run_with_stdin(&["add", "-"], Compression::Zstd.pack(&bytes)),
            2 => {
                let packed = ocirepo.scratch("volume");
                fs::write(&packed, Compression::Gzip.pack(&bytes)).unwrap();
                ocirepo.run(&["add", packed.to_str().unwrap()])
            }
            _ => {
                let unpacked = ocirepo.scratch(&format!("unpacked{number}"));
                tar::Archive::new(bytes.as_slice()).unpack(&unpacked).unwrap();
                ocirepo.run(&["add", unpacked.to_str().unwrap()])
            }
        }
        .ok();
    }
    bundle.assert_complete(&ocirepo);
}

#[test]
fn a_volume_that_comes_twice_does_no_harm() {
    let bundle = Bundle::new();
    let ocirepo = repository();
    for number in all() {
        bundle.add(&ocirepo, number).ok();
        bundle.add(&ocirepo, number).ok();
        bundle.add(&ocirepo, 1).ok();
    }
    bundle.assert_complete(&ocirepo);
    for number in all() {
        let before = Snapshot::of(ocirepo.dir());
        let again = bundle.add(&ocirepo, number).json();
        assert_eq!((&again["blobs"]["new"], &again["pending"]), (&json!(0), &json!([])), "{again:#}");
        let named = |image: &&Value| image["reference"].is_string();
        let images = again["images"].as_array().unwrap().iter().filter(named);
        assert_eq!(images.filter(|image| image["previous"] == image["digest"]).count(), 3);
        before.assert_same(ocirepo.dir(), "a volume added after all had come");
        bundle.assert_complete(&ocirepo);
    }
}

#[test]
fn volumes_added_by_several_at_once() {
    let bundle = Bundle::new();
    for round in 0..4 {
        let ocirepo = repository();
        // Each volume twice, so that some find that the bundle has just been completed.
        let running: Vec<_> =
            all().iter().chain(&all()).map(|&n| ocirepo.spawn(&["add", bundle.volume(n)])).collect();
        for running in running {
            running.wait().ok();
        }
        gc(&ocirepo);
        assert_eq!(contents(&ocirepo), bundle.expected, "round {round}");
        bundle.assert_complete(&ocirepo);
    }
}

/// What the repository has by other ways is not needed, and nothing of it waits.
#[test]
fn what_is_there_already_is_not_needed() {
    let bundle = Bundle::new();
    let ocirepo = repository();
    let one = ocirepo.scratch("one.tar");
    bundle.source.run(&["export", "-o", one.to_str().unwrap(), "test/large:1"]).ok();
    ocirepo.run(&["add", one.to_str().unwrap()]).ok();
    let added = bundle.add(&ocirepo, 1).json();
    let needed = numbers(&added["pending"][0]["needed"]);
    assert!(needed.len() < 5 && !needed.is_empty(), "{needed:?}");
    for number in needed {
        bundle.add(&ocirepo, number).ok();
    }
    gc(&ocirepo);
    let (index, blobs) = contents(&ocirepo);
    assert_eq!(blobs, bundle.expected.1);
    assert_eq!(index["manifests"].as_array().map(Vec::len), Some(4));
}

#[test]
fn a_dry_run_tells_and_writes_nothing() {
    let bundle = Bundle::new();
    let ocirepo = repository();
    let rehearse = |number: u32, is_piped: bool| -> Value {
        let before = tree(ocirepo.dir());
        let args = ["add", "-n", "--format", "json"];
        let output = if is_piped {
            ocirepo.run_with_stdin(&[&args[..], &["-"]].concat(), fs::read(bundle.volume(number)).unwrap())
        } else {
            ocirepo.run(&[&args[..], &[bundle.volume(number)]].concat())
        };
        assert_eq!(tree(ocirepo.dir()), before);
        output.json()
    };
    let mut left = all();
    for number in all() {
        left.remove(&number);
        for is_piped in [false, true] {
            let told = rehearse(number, is_piped);
            if left.is_empty() {
                assert_eq!(
                    (told["images"].as_array().map(Vec::len), &told["pending"]),
                    (Some(4), &json!([]))
                );
                assert_eq!(told["blobs"]["new"], json!(bundle.expected.1.len()), "{told:#}");
            } else {
                assert_eq!(numbers(&told["pending"][0]["needed"]), left);
            }
        }
        bundle.add(&ocirepo, number).ok();
    }
    bundle.assert_complete(&ocirepo);
}

/// A delta in volumes, and a repository that has its base.
fn delta() -> (Bundle, Ocirepo, String) {
    let source = Ocirepo::new();
    let base = ImageSpec::seeded("v1").noise_layer(1, 200_000);
    let next = base.clone().noise_layer(2, 300_000).noise_layer(3, 150_000).build();
    let base = base.build();
    let mut layout = Layout::create(source.dir());
    layout.full_image(&base, "docker.io/test/app:1").full_image(&next, "docker.io/test/app:2").write_index();
    let first = source.scratch("first.tar").to_str().unwrap().to_owned();
    source.run(&["export", "-o", &first, "test/app:1"]).ok();
    let bundle = Bundle::of(source, "200kB", &["--have", &first, "test/app:2"]);
    assert!(bundle.volumes.len() > 2, "{:?}", bundle.volumes);
    let ocirepo = repository();
    ocirepo.run(&["add", &first]).ok();
    (bundle, ocirepo, first)
}

#[test]
fn the_base_is_checked_before_anything_is_written() {
    let (bundle, _, _) = delta();
    let ocirepo = repository();
    for number in 1..=2 {
        let before = Snapshot::of(ocirepo.dir());
        bundle.add(&ocirepo, number).one_clear_error(7, &["test/app:2"]);
        before.assert_same(ocirepo.dir(), "a volume whose base is missing");
        assert_eq!(pending(&ocirepo), json!([]));
    }
}

#[test]
fn gc_keeps_the_base_that_a_bundle_waits_on() {
    let (bundle, ocirepo, _) = delta();
    let last = u32::try_from(bundle.volumes.len()).unwrap();
    bundle.add(&ocirepo, 1).ok();
    ocirepo.run(&["rm", "test/app:1"]).ok();
    for number in 2..=last {
        // The config and the manifest of the image that was removed may go; what the bundle requires may not.
        ocirepo.run(&["gc"]).ok();
        check(ocirepo.dir()).assert_tidy();
        bundle.add(&ocirepo, number).ok();
    }
    ocirepo.run(&["verify"]).ok();
    let names = ocirepo.run(&["ls", "--names"]).ok().stdout;
    assert_eq!(names, "docker.io/test/app:2\n");
    ocirepo.run(&["gc"]).ok();
    check(ocirepo.dir()).assert_tidy();
}

#[test]
fn a_base_that_went_meanwhile_is_missed_and_completes_the_bundle_when_it_comes_back() {
    for by_base in [false, true] {
        let (bundle, ocirepo, first) = delta();
        let last = u32::try_from(bundle.volumes.len()).unwrap();
        for number in 1..last {
            bundle.add(&ocirepo, number).ok();
        }
        // One process has everything, and the base goes before it comes to the end.
        let base = ImageSpec::seeded("v1").noise_layer(1, 200_000).build().layers[2].digest.clone();
        let layout = Layout::open(ocirepo.dir());
        let kept = layout.read_blob(&base);
        layout.delete(&base);
        bundle.add(&ocirepo, last).one_clear_error(7, &[&base, "test/app:2"]);
        bundle.assert_needed(&ocirepo, &BTreeSet::from([last]));
        if by_base {
            layout.blob(&kept);
            // As a kill between the last volume and the commit leaves it.
            half_complete(&bundle, &ocirepo, last);
            layout.delete(&base);
            assert_eq!(numbers(&pending(&ocirepo)[0]["needed"]), BTreeSet::new());
            bundle.add(&ocirepo, 1).one_clear_error(7, &[&base]);
            let lines = ocirepo.run(&["add", &first]).ok().stdout;
            assert!(
                lines.contains(&format!("bundle {}", bundle.id)) && lines.contains("test/app:2"),
                "{lines}"
            );
        } else {
            ocirepo.run(&["add", &first]).ok();
            bundle.add(&ocirepo, last).ok();
        }
        assert_eq!(pending(&ocirepo), json!([]));
        ocirepo.run(&["verify"]).ok();
        let names = ocirepo.run(&["ls", "--names"]).ok().stdout;
        assert_eq!(names, "docker.io/test/app:1\ndocker.io/test/app:2\n");
    }
}

/// Has the last volume wait with the others, by completing the bundle where its tag is taken.
fn half_complete(bundle: &Bundle, ocirepo: &Ocirepo, last: u32) {
    take_tag(bundle, ocirepo);
    bundle.add(ocirepo, last).one_clear_error(9, &["test/app:2"]);
    ocirepo.run(&["rm", "elsewhere/thing:2"]).ok();
    ocirepo.run(&["config", "ref-policy", "full"]).ok();
}

/// Goes over to bare tags, of which another image has the one that the bundle brings.
fn take_tag(bundle: &Bundle, ocirepo: &Ocirepo) {
    ocirepo.run(&["config", "ref-policy", "tag"]).ok();
    let other = ocirepo.scratch("other");
    copy_tree(bundle.source.dir(), &other);
    let other = ocirepo.in_dir(other);
    other.run(&["tag", "test/app:1", "elsewhere/thing:2"]).ok();
    let archive = ocirepo.scratch("thing.tar").to_str().unwrap().to_owned();
    other.run(&["export", "-o", &archive, "elsewhere/thing:2"]).ok();
    ocirepo.run(&["add", &archive]).ok();
}

#[test]
fn a_conflict_of_names_keeps_a_bundle_waiting_until_replace_settles_it() {
    let (bundle, ocirepo, _) = delta();
    let last = u32::try_from(bundle.volumes.len()).unwrap();
    for number in 1..last {
        bundle.add(&ocirepo, number).ok();
    }
    take_tag(&bundle, &ocirepo);
    bundle.add(&ocirepo, last).one_clear_error(9, &["elsewhere/thing:2", "test/app:2"]);
    for number in [last, 1] {
        bundle.add(&ocirepo, number).one_clear_error(9, &["elsewhere/thing:2", "test/app:2"]);
        gc(&ocirepo);
        assert_eq!(numbers(&pending(&ocirepo)[0]["needed"]), BTreeSet::new());
    }
    let added = ocirepo.run(&["add", "--replace", "--format", "json", bundle.volume(1)]).json();
    let displaced = added["images"][0]["displaced"].to_string();
    assert!(displaced.contains("elsewhere/thing:2"), "{added:#}");
    assert_eq!(pending(&ocirepo), json!([]));
}

#[test]
fn memory_stays_flat_whatever_the_size_of_a_volume() {
    const MIB: u64 = 1 << 20;
    let source = repository();
    let large = LargeArchive::new(160 * MIB, Filling::Noise, SizeField::Octal);
    let (running, mut pipe) = source.spawn_with_pipe(&["add", "-"]);
    large.write_to(&mut pipe).unwrap();
    drop(pipe);
    running.wait().ok();
    let out = source.scratch("b.tar");
    source.run(&["export", "-o", out.to_str().unwrap(), "--volume-size", "90MB", "--type", "oci"]).ok();
    let ocirepo = repository();
    for number in [2, 1] {
        let volume = source.scratch(&format!("b.{number:03}.tar"));
        let (output, peak) = wait_measured(ocirepo.spawn(&["add", volume.to_str().unwrap()]));
        output.ok();
        match peak {
            Some(peak) => assert!(peak < 64 * MIB, "{} MiB", peak / MIB),
            None => say("skipped: the system does not tell how much memory was used"),
        }
    }
    ocirepo.run(&["verify"]).ok();
    let inspected = ocirepo.run(&["inspect", LargeArchive::NAME, "--format", "json"]).json();
    assert_eq!(inspected["digest"], large.digest());
}
