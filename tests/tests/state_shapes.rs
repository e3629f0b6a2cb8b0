//! Shapes that break walkers: very deep, very wide, many paths to one place, cycles; odd places for a repository,
//! and media that cannot be written. Each run has a limit that a walk of the wrong kind cannot meet: a diamond of
//! depth 40 has a million million paths, and peers need a minute for depth 18.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use ocirepo_tests::artifact::{artifact, index_of, index_of_descriptors};
use ocirepo_tests::checker::check;
use ocirepo_tests::descriptor::{self, Blob};
use ocirepo_tests::json::compact;
use ocirepo_tests::layout::Layout;
use ocirepo_tests::states::{State, digests, image};
use ocirepo_tests::tools;
use serde_json::json;

const TOP: &str = "docker.io/library/top:1";

/// Runs every verb, the reading ones first, each within the limit.
#[track_caller]
fn every_verb_within(limit: Duration, state: &State, leaf: &str) {
    let verbs: [&[&str]; 15] = [
        &["ls"],
        &["ls", "--names"],
        &["ls", "--tree"],
        &["du"],
        &["inspect", "@0"],
        &["verify", "--quick"],
        &["verify"],
        &["why", leaf],
        &["gc", "--dry-run"],
        &["gc"],
        &["tag", "@0", "more:1"],
        &["rm", "more:1", "--dry-run"],
        &["rm", "more:1"],
        &["gc", "--prune-referrers"],
        &["config", "ref-policy", "tag"],
    ];
    let before = state.layout.blobs();
    for verb in verbs {
        let start = Instant::now();
        state.run(verb).ok();
        let took = start.elapsed();
        assert!(took < limit, "{verb:?} took {took:?}");
    }
    assert_eq!(state.layout.blobs(), before);
}

fn a_root(state: &mut State, blob: &Blob) {
    state.layout.blobs_of([blob]);
    state.layout.entry(descriptor::full_named(blob.descriptor(), TOP)).write_index();
}

#[test]
fn a_chain_of_3000_indexes() {
    let mut state = State::new();
    let a = image("a");
    state.layout.blobs_of(a.blobs());
    let mut top = a.manifest.clone();
    for _ in 0..3000 {
        top = index_of_descriptors([top.descriptor()]);
        state.layout.blobs_of([&top]);
    }
    a_root(&mut state, &top);
    every_verb_within(Duration::from_secs(5), &state, &a.layers[1].digest);
    let why = state.json(&["why", &a.layers[1].digest]);
    assert_eq!(why["path"].as_array().unwrap().len(), 3002);
    assert_eq!(state.ls()[0]["platforms"], json!(["linux/amd64"]));
    let garbage = state.layout.blob(b"garbage");
    assert_eq!(state.gc(&[]).swept(), [garbage].into());
    state.json(&["rm", "top:1"]);
    state.gc(&[]);
    assert!(state.layout.blobs().is_empty());
}

#[test]
fn a_diamond_of_depth_40_in_milliseconds() {
    let mut state = State::new();
    let a = image("a");
    state.layout.blobs_of(a.blobs());
    let mut pair = [index_of(&[(&a, "linux/amd64")]), index_of(&[(&a, "linux/arm64")])];
    for level in 0..40 {
        state.layout.blobs_of(&pair);
        pair = [0, 1].map(|side| {
            let note = format!("{level}-{side}");
            let children = pair.iter().map(|child| descriptor::annotated(child.descriptor(), "side", &note));
            index_of_descriptors(children)
        });
    }
    state.layout.blobs_of(&pair);
    a_root(&mut state, &index_of_descriptors(pair.iter().map(Blob::descriptor)));
    every_verb_within(Duration::from_secs(1), &state, &a.layers[1].digest);
    check(state.dir()).assert_tidy();
}

#[test]
fn a_diamond_of_unknown_types_and_subjects() {
    let mut state = State::new();
    let mut pair = [image("a").manifest, image("b").manifest];
    state.layout.blobs_of(image("a").blobs()).blobs_of(image("b").blobs());
    for level in 0..40 {
        state.layout.blobs_of(&pair);
        pair = [0, 1].map(|side| {
            let text = compact(
                &json!({"n": [level, side], "x": pair[0].descriptor(), "subject": pair[1].descriptor()}),
            );
            Blob::new("application/vnd.future+json", text)
        });
    }
    state.layout.blobs_of(&pair);
    state.layout.entry(pair[1].descriptor());
    a_root(&mut state, &pair[0]);
    every_verb_within(Duration::from_secs(1), &state, &image("a").layers[1].digest);
}

/// Each is about the one before; none but the image is listed.
#[test]
fn a_chain_of_3000_unlisted_referrers() {
    let mut state = State::new();
    let a = image("a");
    a_root(&mut state, &a.manifest);
    state.layout.blobs_of(a.blobs());
    let mut subject = a.manifest;
    for depth in 0..3000 {
        let next = artifact("application/x", format!("{depth}").as_bytes(), Some(&subject));
        state.layout.blobs_of(next.blobs());
        subject = next.manifest;
    }
    every_verb_within(Duration::from_secs(5), &state, &subject.digest);
}

/// The same, all listed: removing the image takes them along, to the last.
#[test]
fn a_chain_of_3000_listed_referrers() {
    let mut state = State::new();
    let a = image("a");
    state.layout.blobs_of(a.blobs());
    a_root(&mut state, &a.manifest);
    let mut subject = a.manifest;
    for depth in 0..3000 {
        let next = artifact("application/x", format!("{depth}").as_bytes(), Some(&subject));
        state.layout.artifact(&next);
        subject = next.manifest;
    }
    state.layout.write_index();
    every_verb_within(Duration::from_secs(5), &state, &subject.digest);
    let start = Instant::now();
    let removed = state.json(&["rm", "top:1"]);
    let took = start.elapsed();
    assert_eq!(removed["removed"].as_array().unwrap().len(), 3001);
    assert!(took < Duration::from_secs(5), "rm took {took:?}");
    state.gc(&[]);
    assert!(state.layout.blobs().is_empty());
}

#[test]
fn an_index_of_3000_missing_children() {
    let mut state = State::new();
    let child = |number: usize| json!({"mediaType": descriptor::OCI_MANIFEST, "digest": ocirepo_tests::digest::sha256(&number.to_le_bytes()), "size": 7});
    let top = index_of_descriptors((0..3000).map(child));
    a_root(&mut state, &top);
    every_verb_within(Duration::from_secs(5), &state, &top.digest);
    assert_eq!(state.gc(&[]).missing().len(), 3000);
}

/// Only digests that cannot be proven can be made to form a cycle, and a hand that wants to make one will.
#[test]
fn cycles_end() {
    let mut state = State::new();
    state.ocirepo = state.ocirepo.clone().time_limit(Duration::from_secs(20));
    let part = Blob::new("application/x", "a part");
    state.layout.blobs_of([&part]);
    let named = |name: &str, media_type: &str| json!({"mediaType": media_type, "digest": format!("made+up:{name}"), "size": 1000});
    let store = |state: &State, name: &str, document| {
        let mut bytes = compact(&document);
        bytes.resize(1000, b' ');
        state.layout.blob_as("made+up", name, &bytes);
    };
    let future = "application/vnd.future+json";
    store(&state, "self", json!({"schemaVersion": 2, "manifests": [named("self", descriptor::OCI_INDEX)]}));
    store(
        &state,
        "a",
        json!({"schemaVersion": 2, "manifests": [named("b", descriptor::OCI_INDEX), named("c", future)]}),
    );
    store(
        &state,
        "b",
        json!({"schemaVersion": 2, "manifests": [named("a", descriptor::OCI_INDEX)],
        "subject": named("a", descriptor::OCI_INDEX)}),
    );
    store(
        &state,
        "c",
        json!({"x": named("a", descriptor::OCI_INDEX), "y": named("d", descriptor::OCI_MANIFEST)}),
    );
    store(
        &state,
        "d",
        json!({"schemaVersion": 2, "config": part.descriptor(), "layers": [],
        "subject": named("d", descriptor::OCI_MANIFEST)}),
    );
    for root in [named("self", descriptor::OCI_INDEX), named("a", descriptor::OCI_INDEX)] {
        state.layout.entry(root);
    }
    // Nameless, and about itself.
    state.layout.entry(named("d", descriptor::OCI_MANIFEST)).write_index();
    let garbage = state.layout.blob(b"garbage");
    assert_eq!(state.gc(&[]).swept(), [garbage].into());
    every_verb_within(Duration::from_secs(2), &state, &part.digest);
    state.json(&["rm", "--untagged"]);
    assert_eq!(state.gc(&[]).swept(), [part.digest].into());
}

#[test]
fn indexes_in_indexes_of_mixed_kinds() {
    let mut state = State::new();
    let (a, b, c) = (image("a"), image("b"), image("c"));
    let inner = index_of(&[(&a, "linux/amd64"), (&b, "linux/arm64")]);
    let docker = Blob::new(
        descriptor::DOCKER_LIST,
        compact(&json!({
            "schemaVersion": 2, "mediaType": descriptor::DOCKER_LIST,
            "manifests": [inner.descriptor(), descriptor::on_platform(c.descriptor(), "linux/s390x")],
        })),
    );
    let top = index_of_descriptors([docker.descriptor(), inner.descriptor(), a.descriptor()]);
    state.layout.blobs_of(a.blobs().chain(b.blobs()).chain(c.blobs()).chain([&inner, &docker]));
    a_root(&mut state, &top);
    assert!(state.gc(&[]).swept().is_empty());
    check(state.dir()).assert_tidy();
    let mut platforms: Vec<_> = state.ls()[0]["platforms"].as_array().unwrap().clone();
    platforms.sort_by_key(|platform| platform.to_string());
    assert_eq!(platforms, [json!("linux/amd64"), json!("linux/arm64"), json!("linux/s390x")]);
    // Listed on its own as well, the inner one outlives the outer.
    state.layout.entry(descriptor::full_named(inner.descriptor(), "docker.io/library/inner:1")).write_index();
    state.json(&["rm", "top:1"]);
    let swept = state.gc(&[]).swept();
    assert!(swept.contains(c.digest()) && swept.contains(&docker.digest) && swept.contains(&top.digest));
    assert!(state.layout.blobs().is_superset(&digests(a.blobs().chain(b.blobs()))));
}

/// skopeo cannot name such paths, and umoci looks in the wrong place when it is elsewhere.
#[test]
fn a_repository_may_be_anywhere() {
    let state = State::new();
    for name in ["with:colon:1", "with space", "ünïcode", "-dash", "@0", "new\nline"] {
        let dir = state.ocirepo.scratch(name);
        Layout::create(&dir).full_image(&image("a"), TOP).write_index();
        let elsewhere = state.ocirepo.in_dir(state.ocirepo.scratch("home"));
        let relative = format!("../{name}");
        for repo in [dir.to_str().unwrap(), &relative] {
            for verb in ["ls", "gc", "verify"] {
                elsewhere.run(&["-C", repo, verb]).ok();
            }
            let args = ["--format", "json", "inspect", "top:1", "--repo", repo];
            assert_eq!(elsewhere.run(&args).json()["complete"], true);
        }
        let by_environment =
            state.ocirepo.in_dir(state.ocirepo.scratch("home")).env("OCIREPO_DIR", &relative);
        assert_eq!(by_environment.run(&["ls", "--names"]).ok().stdout.trim(), TOP);
        assert_eq!(by_environment.run(&["verify"]).ok().status.code(), Some(0));
    }
    assert!(
        fs::read_dir(state.ocirepo.scratch("home")).unwrap().next().is_none(),
        "something was written elsewhere"
    );
}

const READING: &str =
    "ls; ls --names; inspect top:1; verify; verify --quick; gc --dry-run; config ref-policy; why ";
const WRITING: &str = "tag top:1 b:1; rm top:1; gc; config ref-policy tag";

#[test]
fn reading_commands_write_nothing_where_they_could() {
    let mut state = State::new();
    state.layout.blobs_of(image("a").blobs());
    a_root(&mut state, &image("a").manifest);
    let before = state.tree();
    for verb in format!("{READING}{}", image("a").config.digest).split("; ").chain(["rm -n top:1", "init"]) {
        state.ocirepo.run(&verb.split(' ').collect::<Vec<_>>()).ok();
        state.tree().assert_is(&before);
    }
}

/// Both a layout that ocirepo never wrote to, and one that it did.
#[test]
fn on_read_only_media_every_reading_command_works_and_writes_nothing() {
    let (Some(unshare), Some(_)) = (tools::tool("unshare"), tools::tool("mount")) else { return };
    let read_only = "mount --bind . . && cd \"$PWD\" && mount -o remount,bind,ro . && ! touch x 2>/dev/null";
    let probe = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(&unshare);
    command.args(["-rm", "sh", "-c", read_only]).current_dir(probe.path());
    if !command.output().is_ok_and(|output| output.status.success()) {
        return tools::say("skipped: no read-only bind mount can be made here");
    }
    for ours in [false, true] {
        let mut state = State::new();
        a_root(&mut state, &image("a").manifest);
        state.layout.blobs_of(image("a").blobs());
        state.layout.blob(b"garbage");
        if ours {
            state.json(&["tag", "top:1", "more:1"]);
            state.json(&["rm", "more:1"]);
        }
        let before = state.tree();
        let program = state.ocirepo.program().to_str().unwrap().to_owned();
        let mut script = format!("set -e; {read_only}\n");
        for verb in format!("{READING}{}", image("a").config.digest).split("; ") {
            script += &format!("{program} {verb} || {{ echo \"{verb}: $?\"; exit 1; }}\n");
        }
        for verb in WRITING.split("; ") {
            script += &format!("if {program} {verb}; then echo \"{verb} worked\"; exit 1; fi\n");
        }
        let shell = ocirepo_tests::cli::Ocirepo::with_program(&unshare).in_dir(state.dir());
        shell.run(&["-rm", "sh", "-c", &script]).ok();
        state.tree().assert_is(&before);
    }
}

/// The same for a directory without permission to write, which root does not notice.
#[test]
fn without_permission_to_write_every_reading_command_works_and_writes_nothing() {
    let mut state = State::new();
    a_root(&mut state, &image("a").manifest);
    state.layout.blobs_of(image("a").blobs());
    let before = state.tree();
    let set = |mode: u32| {
        for path in ["", "blobs", "blobs/sha256"] {
            fs::set_permissions(state.dir().join(path), fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    set(0o555);
    if fs::write(state.dir().join("probe"), "").is_ok() {
        set(0o755);
        return tools::say("skipped: root may write anywhere");
    }
    for verb in format!("{READING}{}", image("a").config.digest).split("; ") {
        state.ocirepo.run(&verb.split(' ').collect::<Vec<_>>()).ok();
    }
    for verb in WRITING.split("; ") {
        state.ocirepo.run(&verb.split(' ').collect::<Vec<_>>()).fails_with(1);
    }
    set(0o755);
    state.tree().assert_is(&before);
}
