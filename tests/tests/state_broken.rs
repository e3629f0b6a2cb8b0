//! A manifest that is broken means that nobody can know what is needed, so nothing is swept, whatever flags are
//! given, and the culprit and the images it concerns are named.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use ocirepo_tests::artifact::index_of;
use ocirepo_tests::checker::check;
use ocirepo_tests::descriptor::{self, Blob};
use ocirepo_tests::image::Image;
use ocirepo_tests::json::compact;
use ocirepo_tests::states::{A, B, Collected, State, finding, image, set};
use ocirepo_tests::{digest, tools};
use serde_json::{Value, json};

const MULTI: &str = "docker.io/library/multi:3";

/// Two images, an index over a third, and one blob of garbage.
struct Three {
    state: State,
    a: Image,
    b: Image,
    child: Image,
    garbage: String,
}

fn three() -> Three {
    let mut state = State::new();
    let (a, b, child) = (image("a"), image("b"), image("child"));
    let index = index_of(&[(&child, "linux/amd64")]);
    state.layout.full_image(&a, A).full_image(&b, B);
    state.layout.blobs_of(child.blobs().chain([&index]));
    state.layout.entry(descriptor::full_named(index.descriptor(), MULTI)).write_index();
    let garbage = state.layout.blob(b"garbage");
    Three { state, a, b, child, garbage }
}

/// Refused whatever flags are given, with the digest and the images named, both as JSON and in words.
#[track_caller]
fn is_broken(state: &State, culprit: &str, images: &[&str]) {
    for flags in [
        &[][..],
        &["--ignore-missing-roots"],
        &["--ignore-missing-roots", "--allow-empty"],
        &["--prune-referrers"],
    ] {
        let refused = state.gc_is_refused(flags);
        assert_eq!(refused.broken(), set(&[culprit]), "{}", refused.0);
        assert_eq!(refused.images(), set(images), "{}", refused.0);
    }
    for name in [culprit].iter().chain(images) {
        state.ocirepo.run(&["gc"]).fails_with(4).says(name);
        state.ocirepo.run(&["gc", "-n"]).fails_with(4).says(name);
    }
    let report = state.run(&["verify"]).fails_with(4).any_json();
    assert_eq!(finding(&report, culprit)["severity"], "error", "{report}");
}

#[test]
fn a_truncated_manifest_sweeps_nothing() {
    let Three { state, a, .. } = three();
    state.layout.truncate(a.digest(), 20);
    is_broken(&state, a.digest(), &[A]);
    state.layout.truncate(a.digest(), 0);
    is_broken(&state, a.digest(), &[A]);
}

/// regclient sweeps three blobs of such an image and exits 0.
#[test]
fn a_flipped_bit_in_a_manifest_sweeps_nothing() {
    let Three { state, a, .. } = three();
    state.layout.corrupt(a.digest());
    is_broken(&state, a.digest(), &[A]);
}

/// crane marks what the content hashes to and deletes the manifest itself.
#[test]
fn another_manifest_under_the_digest_sweeps_nothing() {
    let Three { state, a, b, .. } = three();
    assert_eq!(a.manifest.bytes.len(), b.manifest.bytes.len());
    fs::write(state.layout.blob_path(a.digest()), &b.manifest.bytes).unwrap();
    is_broken(&state, a.digest(), &[A]);
}

#[test]
fn a_broken_child_sweeps_nothing_and_names_the_image_above() {
    let Three { state, child, .. } = three();
    state.layout.corrupt(child.digest());
    is_broken(&state, child.digest(), &[MULTI]);
}

#[test]
fn removing_the_broken_entry_cures() {
    let Three { state, a, child, garbage, .. } = three();
    state.layout.corrupt(a.digest());
    state.layout.truncate(child.digest(), 10);
    state.json(&["rm", "a:1", "multi:3"]);
    let swept = state.gc(&[]).swept();
    assert!(swept.contains(a.digest()) && swept.contains(child.digest()) && swept.contains(&garbage));
    assert_eq!(state.names(), [B]);
    check(state.dir()).assert_tidy();
}

/// Stores bytes under their digest as a root of that type, beside an image of garbage, and expects a refusal.
#[track_caller]
fn a_root_of(media_type: &str, text: impl Into<Vec<u8>>) {
    let mut state = State::new();
    let blob = Blob::new(media_type, text);
    state.layout.blobs_of(image("a").blobs()).blobs_of([&blob]);
    state.layout.entry(descriptor::full_named(blob.descriptor(), A)).write_index();
    is_broken(&state, &blob.digest, &[A]);
}

const KNOWN: [&str; 6] = [
    descriptor::OCI_MANIFEST,
    descriptor::OCI_INDEX,
    descriptor::DOCKER_MANIFEST,
    descriptor::DOCKER_LIST,
    descriptor::OCI_ARTIFACT,
    descriptor::DOCKER_SCHEMA1,
];

#[test]
fn a_manifest_that_is_not_json_sweeps_nothing() {
    for media_type in KNOWN {
        a_root_of(media_type, "not json");
        a_root_of(media_type, "{");
        a_root_of(media_type, "");
        a_root_of(media_type, "[]");
        a_root_of(media_type, "null");
    }
}

#[test]
fn a_manifest_with_duplicate_keys_sweeps_nothing() {
    let a = image("a");
    let text = String::from_utf8(a.manifest.bytes).unwrap();
    a_root_of(descriptor::OCI_MANIFEST, text.replacen(r#""layers":"#, r#""layers":[],"layers":"#, 1));
    a_root_of(descriptor::OCI_MANIFEST, text.replacen(r#""size":"#, r#""size":1,"size":"#, 1));
    a_root_of(descriptor::OCI_INDEX, r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#);
}

/// The descriptor says one thing and the content another. Every peer loses data in one direction or the other.
#[test]
fn a_type_that_contradicts_the_content_sweeps_nothing() {
    let a = image("a");
    let index = index_of(&[(&a, "linux/amd64")]);
    let mut silent = a.manifest.bytes.clone();
    let own = format!(r#""mediaType":"{}","config""#, descriptor::OCI_MANIFEST);
    silent = String::from_utf8(silent).unwrap().replacen(&own, r#""config""#, 1).into_bytes();
    for image in [a.manifest.bytes.clone(), silent] {
        a_root_of(descriptor::OCI_INDEX, image.clone());
        a_root_of(descriptor::DOCKER_LIST, image.clone());
        a_root_of(descriptor::DOCKER_SCHEMA1, image);
    }
    let silent = compact(&json!({"schemaVersion": 2, "manifests": [a.descriptor()]}));
    for index in [index.bytes, silent] {
        a_root_of(descriptor::OCI_MANIFEST, index.clone());
        a_root_of(descriptor::DOCKER_MANIFEST, index.clone());
        a_root_of(descriptor::OCI_ARTIFACT, index);
    }
}

/// Valid as an index and as an image: readers would see two different things.
#[test]
fn a_polyglot_sweeps_nothing() {
    let a = image("a");
    let both = |media_type: &str| {
        compact(&json!({
            "schemaVersion": 2, "mediaType": media_type, "manifests": [a.descriptor()],
            "config": a.config.descriptor(), "layers": [a.layers[0].descriptor()],
        }))
    };
    for said in [descriptor::OCI_MANIFEST, descriptor::OCI_INDEX] {
        for media_type in [descriptor::OCI_MANIFEST, descriptor::OCI_INDEX] {
            a_root_of(media_type, both(said));
        }
    }
}

#[test]
fn a_manifest_with_a_bad_descriptor_in_it_sweeps_nothing() {
    let a = image("a");
    let with = |key: &str, value: Value| {
        let mut bad = a.layers[0].descriptor();
        bad[key] = value;
        compact(&json!({"schemaVersion": 2, "config": a.config.descriptor(), "layers": [bad]}))
    };
    for bad in [
        with("size", json!(-1)),
        with("size", json!(7.5)),
        with("size", Value::Null),
        with("digest", json!("sha256:AB")),
    ] {
        a_root_of(descriptor::OCI_MANIFEST, bad);
    }
    a_root_of(descriptor::OCI_MANIFEST, r#"{"schemaVersion":2,"config":[],"layers":[]}"#);
    a_root_of(descriptor::OCI_MANIFEST, r#"{"schemaVersion":2,"config":{},"layers":{}}"#);
    a_root_of(descriptor::OCI_INDEX, r#"{"schemaVersion":2,"manifests":[7]}"#);
}

#[test]
fn a_manifest_larger_than_4_mib_sweeps_nothing() {
    let a = image("a");
    let mut bytes = a.manifest.bytes;
    bytes.resize((4 << 20) + 1, b' ');
    a_root_of(descriptor::OCI_MANIFEST, bytes);
}

/// The entry says one size, the blob has another, and hashes to its name.
#[test]
fn a_root_of_the_wrong_size_sweeps_nothing() {
    for size in [1, 4096] {
        let mut state = State::new();
        let a = image("a");
        let mut entry = descriptor::full_named(a.descriptor(), A);
        entry["size"] = size.into();
        state.layout.blobs_of(a.blobs()).blobs_of(image("b").blobs());
        state.layout.entry(entry).write_index();
        is_broken(&state, a.digest(), &[A]);
    }
}

#[test]
fn an_unreadable_manifest_sweeps_nothing() {
    let Three { state, a, .. } = three();
    let path = state.layout.blob_path(a.digest());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&path).is_ok() {
        return tools::say("skipped: root reads files of mode 000");
    }
    let refused = Collected(state.run(&["gc"]).fails_with(4).any_json());
    assert_eq!(refused.broken(), set(&[a.digest()]));
    assert_eq!(state.layout.blobs().len(), 12);
}

/// Something else in the place of a manifest is not the manifest, and is not followed, nor waited for.
#[test]
fn a_link_a_folder_or_a_fifo_in_the_place_of_a_manifest_sweeps_nothing() {
    type Place = fn(&State, &std::path::Path, &Image) -> bool;
    let kinds: [Place; 3] = [
        |state, path, a| {
            let elsewhere = state.ocirepo.scratch("elsewhere");
            fs::write(&elsewhere, &a.manifest.bytes).unwrap();
            symlink(elsewhere, path).is_ok()
        },
        |_, path, _| fs::create_dir(path).is_ok(),
        |_, path, _| {
            tools::tool("mkfifo").map(|mkfifo| tools::run(&mkfifo, &[path.to_str().unwrap()])).is_some()
        },
    ];
    for place in kinds {
        let Three { mut state, a, .. } = three();
        state.ocirepo = state.ocirepo.time_limit(Duration::from_secs(20));
        state.layout.delete(a.digest());
        if !place(&state, &state.layout.blob_path(a.digest()), &a) {
            continue;
        }
        let refused = state.gc_is_refused(&[]);
        assert_eq!(
            refused.broken().union(&refused.missing()).cloned().collect::<BTreeSet<_>>(),
            set(&[a.digest()])
        );
        assert_eq!(refused.images(), set(&[A]));
        assert_eq!(refused.strangers(), set(&[digest::encoded(a.digest())]));
        state.run(&["verify"]).fails_with(4);
        assert_eq!(state.ls()[0]["complete"], false);
        state.json(&["rm", "a:1"]);
        state.gc(&[]);
    }
}
