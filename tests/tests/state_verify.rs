//! Verification finds all damage at once and names the images it breaks; `why` tells what a blob is kept for.

use std::collections::BTreeSet;

use ocirepo_tests::artifact::{artifact, index_of};
use ocirepo_tests::states::{A, B, State, digests, finding, image, nowhere};
use ocirepo_tests::{descriptor, digest};
use serde_json::json;

#[test]
fn verify_names_every_image_that_a_damaged_blob_breaks() {
    let mut state = State::two_images();
    let index = index_of(&[(&image("a"), "linux/amd64")]);
    state.layout.blobs_of([&index]);
    state.layout.entry(descriptor::full_named(index.descriptor(), "docker.io/library/multi:3"));
    state.layout.artifact(&artifact("application/x", b"alone", None)).write_index();
    let shared = &image("a").layers[0].digest;
    state.layout.corrupt(shared);
    let report = state.run(&["verify"]).fails_with(4).any_json();
    let found = finding(&report, shared);
    assert_eq!(found["kind"], "corrupt");
    assert_eq!(found["images"], json!([A, B, "docker.io/library/multi:3"]));
    assert_eq!(report["findings"].as_array().unwrap().len(), 1);
    state.ocirepo.run(&["verify"]).fails_with(4);
}

#[test]
fn quick_verification_sees_sizes_and_manifests_and_full_verification_every_byte() {
    let state = State::two_images();
    let (a, b) = (image("a"), image("b"));
    let clean = state.json(&["verify"]);
    assert_eq!((&clean["blobs"], &clean["findings"]), (&json!(7), &json!([])));
    state.layout.corrupt(&a.layers[1].digest);
    assert_eq!(state.json(&["verify", "--quick"])["findings"], json!([]));
    let report = state.run(&["verify"]).fails_with(4).any_json();
    assert_eq!(finding(&report, &a.layers[1].digest)["kind"], "corrupt");
    state.run(&["verify", "a:1"]).fails_with(4);
    assert_eq!(state.json(&["verify", "b:2"])["findings"], json!([]), "only what was asked for");

    state.layout.truncate(&b.layers[1].digest, 5);
    let quick = state.run(&["verify", "--quick"]).fails_with(4).any_json();
    assert_eq!(finding(&quick, &b.layers[1].digest)["kind"], "wrong-size");
    assert_eq!(finding(&quick, &b.layers[1].digest)["images"], json!([B]));
    state.layout.corrupt(a.digest());
    state.run(&["verify", "--quick", "a:1"]).fails_with(4);
    state.run(&["verify", "nothing:1"]).fails_with(3);
}

#[test]
fn orphans_are_notes_and_damaged_orphans_are_found() {
    let state = State::two_images();
    let orphan = state.layout.blob(b"orphan");
    let report = state.json(&["verify"]);
    assert_eq!(finding(&report, &orphan)["kind"], "orphan");
    assert_eq!(finding(&report, &orphan)["severity"], "note");
    let wrong = nowhere('7');
    state.layout.blob_as("sha256", digest::encoded(&wrong), b"something else");
    let report = state.run(&["verify"]);
    assert_eq!(finding(&report.any_json(), &wrong)["kind"], "corrupt");
    assert_eq!(state.gc(&[]).swept(), [orphan, wrong].into());
    assert_eq!(state.json(&["verify"])["findings"], json!([]));
}

/// The fsck of a peer stops at the first problem.
#[test]
fn verify_collects_all_damage_at_once() {
    let mut state = State::two_images();
    let (a, b, child) = (image("a"), image("b"), image("child"));
    state.layout.full_image(&child, "docker.io/library/c:3").write_index();
    state.layout.delete(a.digest());
    state.layout.corrupt(&b.config.digest);
    state.layout.truncate(&child.layers[1].digest, 7);
    let report = state.run(&["verify"]).fails_with(4).any_json();
    let errors: BTreeSet<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["severity"] == "error")
        .map(|finding| (finding["kind"].as_str().unwrap(), finding["digest"].as_str().unwrap()))
        .collect();
    let expected = [
        ("missing-root", a.digest()),
        ("corrupt", b.config.digest.as_str()),
        ("wrong-size", child.layers[1].digest.as_str()),
    ];
    assert_eq!(errors, expected.into());
    let kept = digests(b.blobs());
    state.gc(&["--ignore-missing-roots"]);
    assert!(state.layout.blobs().is_superset(&kept));
}

#[test]
fn why_tells_the_way_from_a_root_or_that_there_is_none() {
    let state = State::two_images();
    let a = image("a");
    let why = state.json(&["why", &a.layers[1].digest]);
    let digests: Vec<_> = why["path"].as_array().unwrap().iter().map(|step| &step["digest"]).collect();
    assert_eq!(digests, [a.digest(), &a.layers[1].digest]);
    assert_eq!((&why["garbage"], &why["images"]), (&json!(false), &json!([A])));
    assert_eq!(state.json(&["why", &a.layers[0].digest])["images"], json!([A, B]));
    let garbage = state.layout.blob(b"garbage");
    assert_eq!(state.json(&["why", &garbage[..20]])["garbage"], true);
    state.run(&["why", &nowhere('9')]).fails_with(3);
}
