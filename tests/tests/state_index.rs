//! A bad `index.json` or `oci-layout` is never "empty": no write, no sweep, exit 4, and a message that names the
//! file. regclient takes each of these for a new layout and deletes every blob but one.

use std::fs;

use ocirepo_tests::artifact::artifact;
use ocirepo_tests::checker::check;
use ocirepo_tests::states::{A, B, State, digests, image, nowhere};
use ocirepo_tests::tools;

const INDEX: &str = "index.json";
const LAYOUT: &str = "oci-layout";

/// A repository of two images and one blob of garbage.
fn two_images() -> State {
    let state = State::two_images();
    state.layout.blob(b"garbage");
    state
}

/// Every verb that is about images, with every flag that makes a sweep less careful.
const VERBS: &[&[&str]] = &[
    &["ls"],
    &["ls", "--names"],
    &["inspect", "a:1"],
    &["inspect", "@0"],
    &["tag", "a:1", "c:3"],
    &["tag", "a:1", "b:2", "--replace"],
    &["rm", "a:1"],
    &["rm", "@0"],
    &["rm", "--untagged"],
    &["gc"],
    &["gc", "--dry-run"],
    &["gc", "--allow-empty", "--ignore-missing-roots", "--prune-referrers"],
    &["verify"],
    &["verify", "--quick"],
    &["config", "ref-policy", "tag"],
    &["init"],
];

/// Runs every verb and holds the whole tree against what it was. Lock files may appear under `.ocirepo`: whoever
/// wants to write has to lock before it looks. Nothing else may.
#[track_caller]
fn every_verb_refuses(state: &State, file: &str) {
    let before = state.tree().without_own();
    for verb in VERBS {
        state.run(verb).fails_with(4).says(file);
        state.tree().without_own().assert_is(&before);
    }
    let own = state.tree();
    let locks = [".ocirepo", ".ocirepo/gate", ".ocirepo/lock", ".ocirepo/index.lock"];
    let more: Vec<_> =
        own.paths().filter(|path| path.starts_with(".ocirepo") && !locks.contains(path)).collect();
    assert!(more.is_empty(), "a refused command wrote {more:?}");
}

/// The verbs that write, sweep or judge.
const CAREFUL: &[&[&str]] = &[
    &["ls"],
    &["tag", "a:1", "d:4"],
    &["rm", "@0"],
    &["gc", "--allow-empty", "--ignore-missing-roots", "--prune-referrers"],
    &["verify"],
];

fn damage(state: &State, file: &str, damage: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let good = fs::read(state.dir().join(file)).expect("it is there");
    state.layout.write(file, &damage(&good));
    good
}

/// Damage to a repository that ocirepo has written to, and that is whole again once it is mended.
#[track_caller]
fn is_refused(file: &str, how: impl Fn(&[u8]) -> Vec<u8>) {
    let state = two_images();
    state.json(&["tag", "a:1", "c:3"]);
    let good = damage(&state, file, how);
    let before = state.tree().without_own();
    for verb in CAREFUL {
        state.run(verb).fails_with(4).says(file);
        state.tree().without_own().assert_is(&before);
    }
    state.layout.write(file, &good);
    assert_eq!(state.names(), [A, B, "docker.io/library/c:3"]);
}

/// The same, and to a layout of another tool, where every verb is tried.
#[track_caller]
fn is_refused_by_every_verb(file: &str, how: impl Fn(&[u8]) -> Vec<u8>) {
    let state = two_images();
    damage(&state, file, &how);
    every_verb_refuses(&state, file);
    is_refused(file, how);
}

#[test]
fn a_truncated_index_is_not_empty() {
    is_refused_by_every_verb(INDEX, |good| good[..good.len() / 2].to_vec());
    is_refused(INDEX, |good| good[..good.len() - 1].to_vec());
}

#[test]
fn an_index_of_no_bytes_is_not_empty() {
    is_refused_by_every_verb(INDEX, |_| Vec::new());
    is_refused(INDEX, |_| b" \n".to_vec());
}

#[test]
fn an_index_of_zero_bytes_after_a_power_cut_is_not_empty() {
    is_refused(INDEX, |good| vec![0; good.len()]);
}

#[test]
fn an_index_with_something_after_its_end_is_refused() {
    is_refused(INDEX, |good| [good, b"}"].concat());
    is_refused(INDEX, |good| [good, good].concat());
}

#[test]
fn an_index_with_duplicate_keys_is_refused() {
    is_refused_by_every_verb(INDEX, |_| br#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#.to_vec());
    is_refused(INDEX, |good| {
        let text = String::from_utf8(good.to_vec()).unwrap();
        text.replacen(r#""size":"#, r#""size":1,"size":"#, 1).into_bytes()
    });
    is_refused(INDEX, |good| {
        let text = String::from_utf8(good.to_vec()).unwrap();
        text.replacen(r#""annotations":{"#, r#""annotations":{"x":"1","x":"2","#, 1).into_bytes()
    });
}

#[test]
fn an_index_with_a_byte_order_mark_is_refused() {
    is_refused_by_every_verb(INDEX, |good| [b"\xef\xbb\xbf", good].concat());
}

#[test]
fn an_index_that_is_not_utf8_is_refused() {
    is_refused(INDEX, |_| b"{\"schemaVersion\":2,\"x\":\"\xff\",\"manifests\":[]}".to_vec());
}

#[test]
fn an_index_of_another_shape_is_refused() {
    for text in [
        "null",
        "[]",
        "{}",
        "42",
        r#"{"schemaVersion":2}"#,
        r#"{"schemaVersion":2,"manifests":{}}"#,
        r#"{"schemaVersion":2,"manifests":"none"}"#,
    ] {
        is_refused(INDEX, |_| text.into());
    }
}

#[test]
fn an_index_of_another_schema_version_is_refused() {
    for version in ["1", "3", "\"2\"", "null"] {
        is_refused(INDEX, |_| format!(r#"{{"schemaVersion":{version},"manifests":[]}}"#).into_bytes());
    }
}

#[test]
fn an_index_larger_than_64_mib_is_refused() {
    let state = two_images();
    let good = fs::read(state.dir().join(INDEX)).unwrap();
    let mut large = good[..good.len() - 1].to_vec();
    large.resize((64 << 20) + 1, b' ');
    large.push(b'}');
    state.layout.write(INDEX, &large);
    for verb in [&["ls"][..], &["gc"], &["rm", "@0"]] {
        state.run(verb).fails_with(4).says(INDEX);
    }
    assert!(fs::read(state.dir().join(INDEX)).unwrap() == large, "the index was written");
    state.layout.write(INDEX, &good);
    assert_eq!(state.layout.blobs().len(), 8);
}

#[test]
fn an_index_that_is_no_file_is_refused_and_nothing_hangs() {
    let state = two_images();
    fs::rename(state.dir().join(INDEX), state.ocirepo.scratch("kept")).unwrap();
    fs::create_dir(state.dir().join(INDEX)).unwrap();
    every_verb_refuses(&state, INDEX);
    fs::remove_dir(state.dir().join(INDEX)).unwrap();
    let Some(mkfifo) = tools::tool("mkfifo") else { return };
    tools::run(&mkfifo, &[state.dir().join(INDEX).to_str().unwrap()]);
    every_verb_refuses(&state, INDEX);
}

#[test]
fn an_empty_oci_layout_is_not_a_new_layout() {
    is_refused_by_every_verb(LAYOUT, |_| Vec::new());
    is_refused(LAYOUT, |_| b"\n".to_vec());
}

#[test]
fn a_damaged_oci_layout_is_refused() {
    for text in [
        r#"{"imageLayoutVersion":"1.0"#,
        "{}",
        "null",
        r#"{"imageLayoutVersion":1}"#,
        r#"{"imageLayoutVersion":"1.0.0","imageLayoutVersion":"1.0.0"}"#,
    ] {
        is_refused(LAYOUT, |_| text.into());
    }
}

#[test]
fn an_oci_layout_of_version_1_1_0_is_refused() {
    for version in ["1.1.0", "2.0.0", "0.9", ""] {
        is_refused_by_every_verb(LAYOUT, |_| format!(r#"{{"imageLayoutVersion":"{version}"}}"#).into_bytes());
    }
}

#[test]
fn unknown_fields_of_oci_layout_are_welcome_and_kept() {
    let state = two_images();
    let text = br#"{ "imageLayoutVersion": "1.0.0", "x-tool": {"n": 1.50} }"#;
    state.layout.write(LAYOUT, text);
    state.json(&["tag", "a:1", "c:3"]);
    state.json(&["rm", "b:2"]);
    state.gc(&[]);
    assert_eq!(fs::read(state.dir().join(LAYOUT)).unwrap(), text);
}

/// What Go programs write for an empty list.
#[test]
fn manifests_null_is_an_empty_list_that_may_not_be_swept() {
    let state = two_images();
    state.layout.write(INDEX, br#"{"schemaVersion":2,"manifests":null}"#);
    assert_eq!(state.names(), [""; 0]);
    assert_eq!(state.gc_is_refused(&[]).0["refused"], serde_json::json!(["empty-index"]));
}

#[test]
fn blobs_without_an_index_are_refused_by_every_verb_until_adopted() {
    let mut state = State::new();
    let (a, b) = (image("a"), image("b"));
    let signature = artifact("application/x.signature", b"signed", Some(&a.manifest));
    state.layout.blobs_of(a.blobs()).blobs_of(b.blobs());
    state.layout.artifact(&signature).write_index();
    state.layout.blob(b"left over");
    fs::remove_file(state.dir().join(INDEX)).unwrap();
    every_verb_refuses(&state, INDEX);

    state.ocirepo.run(&["init", "--adopt"]).ok();
    let report = check(state.dir());
    report.assert_sound();
    assert_eq!(state.names(), ["-", "-", "-"]);
    let collected = state.gc(&[]);
    assert_eq!(collected.swept().len(), 1, "only what nothing names is garbage: {:?}", collected.swept());
    let kept: Vec<_> = a.blobs().chain(b.blobs()).chain(signature.blobs()).collect();
    assert_eq!(state.layout.blobs(), digests(kept));
    check(state.dir()).assert_tidy();
}

#[test]
fn an_index_without_oci_layout_is_refused_until_adopted_and_keeps_its_names() {
    let state = two_images();
    let index = fs::read(state.dir().join(INDEX)).unwrap();
    fs::remove_file(state.dir().join(LAYOUT)).unwrap();
    every_verb_refuses(&state, LAYOUT);
    state.ocirepo.run(&["init", "--adopt"]).ok();
    assert_eq!(fs::read(state.dir().join(INDEX)).unwrap(), index);
    assert_eq!(state.names(), ["docker.io/library/a:1", "docker.io/library/b:2"]);
    state.gc(&[]);
    check(state.dir()).assert_tidy();
}

#[test]
fn adopting_over_a_damaged_index_writes_nothing() {
    let state = two_images();
    state.layout.write(INDEX, b"{");
    fs::remove_file(state.dir().join(LAYOUT)).unwrap();
    let before = state.tree().without_own();
    state.run(&["init", "--adopt"]).fails_with(4);
    state.tree().without_own().assert_is(&before);
    state.layout.write(LAYOUT, b"");
    let before = state.tree().without_own();
    state.run(&["init", "--adopt"]).fails_with(4);
    state.tree().without_own().assert_is(&before);
}

#[test]
fn a_repository_without_blobs_is_not_a_repository_without_an_index() {
    let state = State::new();
    fs::remove_file(state.dir().join(INDEX)).unwrap();
    state.run(&["ls"]).fails_with(1).says("init");
    state.ocirepo.run(&["init"]).ok();
    assert_eq!(state.names(), [""; 0]);
}

#[test]
fn a_damaged_record_of_our_own_stops_writing_and_sweeping() {
    let state = two_images();
    state.json(&["tag", "a:1", "c:3"]);
    for text in
        ["", "{", r#"{"formatVersion":99,"refPolicy":"full"}"#, r#"{"formatVersion":1,"refPolicy":"x"}"#]
    {
        state.layout.write(".ocirepo/config.json", text.as_bytes());
        let before = state.tree().without_own();
        for verb in [&["tag", "a:1", "d:4"][..], &["rm", "a:1"], &["config", "ref-policy", "tag"]] {
            state.run(verb).fails_with(4).says("config.json");
            state.tree().without_own().assert_is(&before);
        }
    }
}

/// Whatever the index says next, the one before is still there.
#[test]
fn the_index_before_the_last_change_is_kept() {
    let state = two_images();
    let first = fs::read(state.dir().join(INDEX)).unwrap();
    state.json(&["rm", "a:1"]);
    assert_eq!(fs::read(state.dir().join(".ocirepo/index.prev")).unwrap(), first);
    let second = fs::read(state.dir().join(INDEX)).unwrap();
    state.run(&["tag", "b:2", "c:3"]).ok();
    assert_eq!(fs::read(state.dir().join(".ocirepo/index.prev")).unwrap(), second);
    state.run(&["inspect", &nowhere('0')]).fails_with(3);
}
