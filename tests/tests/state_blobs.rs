//! What lies in `blobs/`: strangers are reported and left, other algorithms are verified and swept alike, links
//! are swept only when everybody who shares them is named.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use ocirepo_tests::checker::check;
use ocirepo_tests::descriptor::{self, Blob};
use ocirepo_tests::json::compact;
use ocirepo_tests::layout::Layout;
use ocirepo_tests::states::{A, B, Collected, State, digests, finding, image};
use ocirepo_tests::{digest, tools};
use serde_json::json;

/// Published test vectors, since the testkit computes no blake3.
const BLAKE3_OF_ABC: &str = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
const BLAKE3_OF_NOTHING: &str = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";

/// umoci and crane stop at these, regclient deletes what other tools are still writing.
#[test]
fn strangers_are_reported_and_left() {
    let state = State::two_images();
    let blobs = state.dir().join("blobs");
    let sha256 = blobs.join("sha256");
    let hex = |digit: &str| digit.repeat(64);
    let mut expected = BTreeSet::new();
    let mut stranger = |name: String| {
        expected.insert(name.clone());
        name
    };
    // Temporary files of regclient, crane, hauler and an editor.
    for name in ["12345.tmp", "oci-put-blob123", ".hidden", "README"] {
        fs::write(sha256.join(stranger(name.into())), "x").unwrap();
    }
    fs::write(sha256.join(stranger(format!("{}123456", hex("a")))), "x").unwrap();
    fs::write(sha256.join(stranger(format!("{}.tmp-1", hex("a")))), "x").unwrap();
    fs::write(sha256.join(stranger(hex("A"))), "upper case").unwrap();
    fs::write(sha256.join(stranger("ab".into())), "too short").unwrap();
    // Right names on what is no regular file.
    fs::create_dir(sha256.join(stranger(hex("b")))).unwrap();
    fs::write(sha256.join(hex("b")).join("inside"), "x").unwrap();
    symlink("/etc/hostname", sha256.join(stranger(hex("c")))).unwrap();
    symlink("nowhere", sha256.join(stranger(hex("d")))).unwrap();
    if let Some(mkfifo) = tools::tool("mkfifo") {
        tools::run(&mkfifo, &[sha256.join(stranger(hex("e"))).to_str().unwrap()]);
    }
    // Beside the directories of algorithms.
    fs::create_dir(blobs.join(stranger("md5".into()))).unwrap();
    fs::write(blobs.join("md5/d41d8cd98f00b204e9800998ecf8427e"), "").unwrap();
    fs::create_dir(blobs.join(stranger("uploads".into()))).unwrap();
    fs::write(blobs.join(stranger("stray".into())), "x").unwrap();
    fs::write(blobs.join(stranger("sha384".into())), "a file where a directory belongs").unwrap();

    let garbage = state.layout.blob(b"garbage");
    let collected = state.gc(&[]);
    assert_eq!(collected.swept(), [garbage].into());
    assert_eq!(collected.strangers(), expected);
    state.ocirepo.run(&["gc"]).ok().says("12345.tmp").says("md5");
    let report = state.json(&["verify"]);
    let told =
        report["findings"].as_array().unwrap().iter().filter(|finding| finding["kind"] == "stranger").count();
    assert_eq!(told, expected.len());
}

#[test]
fn strangers_outside_blobs_are_nobodys_business() {
    let state = State::two_images();
    state.layout.write("manifest.json", b"[]");
    state.layout.write("oci-put-blob1", b"x");
    fs::create_dir(state.dir().join("ingest")).unwrap();
    state.layout.write("ingest/half", b"x");
    let collected = state.gc(&["--allow-empty"]);
    assert!(collected.strangers().is_empty() && collected.swept().is_empty());
}

#[test]
fn blobs_of_every_known_algorithm_are_swept_alike() {
    let state = State::two_images();
    let mut expected = BTreeSet::from([format!("blake3:{BLAKE3_OF_ABC}")]);
    state.layout.blob_as("blake3", BLAKE3_OF_ABC, b"abc");
    for algorithm in ["sha256", "sha384", "sha512"] {
        let digest = digest::of(algorithm, b"abc").unwrap();
        state.layout.blob_as(algorithm, digest::encoded(&digest), b"abc");
        expected.insert(digest);
    }
    assert_eq!(state.gc(&[]).swept(), expected);
}

/// An image whose parts have digests of three algorithms, under a manifest of a fourth.
fn mixed() -> (State, Vec<String>) {
    let mut state = State::new();
    let mut parts = vec![format!("blake3:{BLAKE3_OF_ABC}")];
    state.layout.blob_as("blake3", BLAKE3_OF_ABC, b"abc");
    for algorithm in ["sha384", "sha512"] {
        let digest = digest::of(algorithm, b"abc").expect("it is known");
        state.layout.blob_as(algorithm, digest::encoded(&digest), b"abc");
        parts.push(digest);
    }
    let part = |digest: &String| json!({"mediaType": descriptor::OCI_LAYER, "digest": digest, "size": 3});
    let layers: Vec<_> = parts[1..].iter().map(part).collect();
    let bytes = compact(&json!({"schemaVersion": 2, "config": part(&parts[0]), "layers": layers}));
    let manifest = digest::sha512(&bytes);
    state.layout.blob_as("sha512", digest::encoded(&manifest), &bytes);
    let entry = json!({"mediaType": descriptor::OCI_MANIFEST, "digest": manifest, "size": bytes.len()});
    state.layout.entry(descriptor::full_named(entry, "docker.io/library/mixed:1")).write_index();
    parts.push(manifest);
    (state, parts)
}

#[test]
fn images_of_other_algorithms_are_kept_and_verified() {
    let (state, parts) = mixed();
    let before = state.layout.blobs();
    assert!(state.gc(&[]).swept().is_empty());
    assert_eq!(state.layout.blobs(), before);
    let report = state.json(&["verify"]);
    assert_eq!((&report["blobs"], &report["findings"]), (&json!(4), &json!([])));
    assert_eq!(state.ls()[0]["complete"], true);
    for part in &parts {
        let (mixed, _) = mixed();
        fs::write(
            mixed.layout.blob_path(part),
            if part == &parts[3] { mixed.layout.read_blob(part) } else { b"xyz".into() },
        )
        .unwrap();
        if part == &parts[3] {
            mixed.layout.corrupt(part);
        }
        let report = mixed.run(&["verify"]).fails_with(4).any_json();
        assert_eq!(finding(&report, part)["images"], json!(["docker.io/library/mixed:1"]));
        assert_eq!(finding(&report, part)["severity"], "error");
    }
}

#[test]
fn a_manifest_of_another_algorithm_is_proven_before_it_is_followed() {
    let (state, parts) = mixed();
    state.layout.corrupt(&parts[3]);
    assert_eq!(state.gc_is_refused(&[]).broken(), [parts[3].clone()].into());
    state.json(&["rm", "mixed:1"]);
    assert_eq!(state.gc(&[]).swept(), parts.into_iter().collect());
}

/// It cannot be proven, so it is taken at its word: followed, kept, never swept.
#[test]
fn a_manifest_of_an_unknown_algorithm_is_followed_and_never_swept() {
    let mut state = State::new();
    let a = image("a");
    let encoded = "QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8";
    state.layout.blobs_of(a.blobs());
    state.layout.delete(a.digest());
    state.layout.blob_as("multihash+base58", encoded, &a.manifest.bytes);
    let mut entry = a.descriptor();
    entry["digest"] = format!("multihash+base58:{encoded}").into();
    state.layout.entry(descriptor::full_named(entry, A)).write_index();
    assert!(state.gc(&[]).swept().is_empty());
    let report = state.json(&["verify"]);
    assert!(
        report["findings"].as_array().unwrap().iter().any(|finding| finding["kind"] == "unverifiable"),
        "{report}"
    );
    check(state.dir()).assert_tidy();
    state.json(&["rm", "a:1"]);
    let collected = state.gc(&[]);
    assert_eq!(collected.swept().len(), 3);
    assert!(collected.strangers().contains("multihash+base58"));
}

/// Moves a directory out and leaves a link.
fn moved_out(path: &Path, to: &Path) {
    fs::rename(path, to).expect("it can be moved");
    symlink(to, path).expect("a link can be made");
}

#[test]
fn linked_blobs_are_swept_only_with_all_who_share_them() {
    for linked in ["blobs", "blobs/sha256"] {
        let state = State::two_images();
        let other = state.ocirepo.in_dir(state.ocirepo.scratch("other"));
        let mut other_layout = Layout::create(other.dir());
        let theirs = image("theirs");
        moved_out(&state.dir().join(linked), &state.ocirepo.scratch("pool"));
        fs::remove_dir_all(other.dir().join(linked)).unwrap();
        symlink(state.ocirepo.scratch("pool"), other.dir().join(linked)).unwrap();
        other_layout.full_image(&theirs, "docker.io/library/theirs:1").write_index();
        let garbage = state.layout.blob(b"garbage");
        let all = state.layout.blobs();

        for flags in [&["gc"][..], &["gc", "--dry-run"], &["gc", "--allow-empty", "--ignore-missing-roots"]] {
            let refused = Collected(state.run(flags).fails_with(4).says("--also-root").any_json());
            assert!(refused.swept().is_empty());
            assert_eq!(state.layout.blobs(), all, "{linked} {flags:?}");
        }
        let also = other.dir().to_str().unwrap();
        let dry = Collected(state.json(&["gc", "--dry-run", "--also-root", also]));
        let swept = Collected(state.json(&["gc", "--also-root", also])).swept();
        assert_eq!(dry.swept(), swept);
        assert_eq!(swept, [garbage].into());
        check(other.dir()).assert_sound();
        check(state.dir()).assert_sound();
        assert!(state.layout.blobs().is_superset(&digests(theirs.blobs())));
        assert!(fs::symlink_metadata(state.dir().join(linked)).unwrap().is_symlink());
    }
}

/// A sharing repository that is damaged says nothing about what it needs.
#[test]
fn a_damaged_sharing_repository_stops_the_sweep() {
    let state = State::two_images();
    let other = state.ocirepo.scratch("other");
    let mut layout = Layout::create(&other);
    fs::remove_dir_all(other.join("blobs")).unwrap();
    moved_out(&state.dir().join("blobs"), &state.ocirepo.scratch("pool"));
    symlink(state.ocirepo.scratch("pool"), other.join("blobs")).unwrap();
    let theirs = image("theirs");
    layout.full_image(&theirs, "docker.io/library/theirs:1").write_index();
    let all = state.layout.blobs();
    let flags = ["gc", "--also-root", other.to_str().unwrap()];
    layout.write("index.json", b"{");
    state.run(&flags).fails_with(4);
    layout.write_index();
    layout.corrupt(theirs.digest());
    state.run(&flags).fails_with(4);
    layout.delete(theirs.digest());
    state.run(&flags).fails_with(4);
    fs::remove_file(other.join("index.json")).unwrap();
    state.run(&flags).fails_with(4);
    let left: BTreeSet<_> = all.into_iter().filter(|digest| digest != theirs.digest()).collect();
    assert_eq!(state.layout.blobs(), left);
}

#[test]
fn a_single_blob_that_is_a_link_is_not_that_blob() {
    let state = State::two_images();
    let layer = &image("a").layers[1].digest;
    moved_out(&state.layout.blob_path(layer), &state.ocirepo.scratch("elsewhere"));
    let collected = state.gc(&[]);
    assert_eq!(collected.missing(), [layer.clone()].into());
    assert_eq!(collected.strangers(), [digest::encoded(layer).to_owned()].into());
    assert_eq!(finding(&state.run(&["verify"]).fails_with(4).any_json(), layer)["images"], json!([A]));
}

/// Four of four peers sweep everything.
#[test]
fn an_empty_index_over_foreign_blobs_is_refused() {
    let state = State::new();
    state.layout.blobs_of(image("a").blobs());
    assert_eq!(state.gc_is_refused(&[]).0["refused"], json!(["empty-index"]));
    state.gc_is_refused(&["--ignore-missing-roots", "--prune-referrers"]);
    state.ocirepo.run(&["gc"]).fails_with(4).says("--allow-empty");
    assert_eq!(state.gc(&["--allow-empty"]).swept(), digests(image("a").blobs()));
    assert!(state.gc(&[]).swept().is_empty());
}

#[test]
fn commands_that_change_nothing_do_not_make_a_foreign_empty_index_ours() {
    let state = State::new();
    state.layout.blobs_of(image("a").blobs());
    state.ocirepo.run(&["init"]).ok();
    state.json(&["config", "ref-policy", "tag"]);
    state.json(&["config", "ref-policy", "full"]);
    state.json(&["rm", "--untagged"]);
    state.run(&["rm", "a:1"]).fails_with(3);
    state.gc_is_refused(&[]);
}

/// Another tool, or a disaster, emptied an index that was ours.
#[test]
fn an_index_emptied_by_somebody_else_is_refused() {
    let state = State::two_images();
    state.json(&["tag", "a:1", "c:3"]);
    state.layout.write("index.json", br#"{"schemaVersion":2,"manifests":[]}"#);
    state.gc_is_refused(&[]);
    fs::copy(state.dir().join(".ocirepo/index.prev"), state.dir().join("index.json")).unwrap();
    assert!(state.gc(&[]).swept().is_empty());
    assert_eq!(state.names(), [A, B]);
}

#[test]
fn after_init_and_after_the_removal_of_the_last_image_garbage_is_swept() {
    let state = State::new();
    fs::remove_dir_all(state.dir()).unwrap();
    fs::create_dir(state.dir()).unwrap();
    state.ocirepo.run(&["init"]).ok();
    // As a first `add` that was killed leaves it.
    state.layout.blobs_of(image("killed").blobs());
    assert_eq!(state.gc(&[]).swept(), digests(image("killed").blobs()));

    let state = State::two_images();
    state.json(&["rm", "a:1", "b:2"]);
    assert_eq!(state.gc(&[]).swept().len(), 7);
    assert!(state.layout.blobs().is_empty());
    check(state.dir()).assert_tidy();

    let state = State::two_images();
    state.json(&["rm", "--glob", "*"]);
    state.json(&["gc", "--grace", "1h"]);
    assert_eq!(state.layout.blobs().len(), 7, "young blobs are spared");
    assert_eq!(state.gc(&[]).swept().len(), 7);
}

#[test]
fn a_layer_of_no_bytes_is_a_blob_like_any_other() {
    let mut state = State::new();
    let layer = Blob::new(descriptor::OCI_LAYER, "");
    let nothing = json!({"mediaType": descriptor::OCI_LAYER, "digest": format!("blake3:{BLAKE3_OF_NOTHING}"), "size": 0});
    state.layout.blob_as("blake3", BLAKE3_OF_NOTHING, b"");
    let config = Blob::new(descriptor::OCI_CONFIG, "{}");
    let manifest = Blob::new(
        descriptor::OCI_MANIFEST,
        compact(&json!({
            "schemaVersion": 2, "config": config.descriptor(), "layers": [layer.descriptor(), nothing],
        })),
    );
    state.layout.blobs_of([&layer, &config, &manifest]);
    state.layout.entry(manifest.descriptor()).write_index();
    assert!(state.gc(&[]).swept().is_empty());
    assert_eq!(state.json(&["verify"])["findings"], json!([]));
}
