//! `verify --quarantine` moves bad blobs out of the way, and no others; and what holds for every change that `verify`
//! makes: when it is refused, and what a kill leaves.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use ocirepo_tests::archive::podman_save;
use ocirepo_tests::artifact::index_of;
use ocirepo_tests::checker::check;
use ocirepo_tests::descriptor::full_named;
use ocirepo_tests::digest;
use ocirepo_tests::layout::Layout;
use ocirepo_tests::snapshot::{Snapshot, copy_tree, debris};
use ocirepo_tests::states::{A, B, State, Tree, finding, image, nowhere};
use ocirepo_tests::tools::{say, strace};
use ocirepo_tests::unprivileged::{Unprivileged, set_modes};
use serde_json::{Value, json};

/// Whatever changes what is on the disk. The question mark is for those that an architecture lacks.
const SYSTEM_CALLS: &str = "?rename,?renameat,?renameat2,?link,?linkat,?unlink,?unlinkat,?rmdir,?mkdir,?mkdirat,?write,\
    ?pwrite64,?fsync,?copy_file_range";

/// A copy of the repository as it is now.
fn copy(state: &State, name: &str) -> String {
    let path = state.ocirepo.scratch(name);
    copy_tree(state.dir(), &path);
    path.to_str().unwrap().to_owned()
}

fn quarantined(report: &Value) -> BTreeSet<String> {
    let moved = report["quarantined"].as_array().unwrap().iter();
    moved.map(|moved| moved["digest"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn bad_blobs_are_moved_aside_with_all_that_is_in_them() {
    let state = State::two_images();
    let (a, b, orphan) = (image("a"), image("b"), nowhere('7'));
    state.layout.corrupt(a.digest());
    state.layout.truncate(&b.layers[1].digest, 7);
    state.layout.blob_as("sha256", digest::encoded(&orphan), b"something else");
    let sound = state.layout.blob(b"a sound orphan");
    state.layout.write("blobs/sha256/stranger", b"no blob");
    let bad = [a.digest().to_owned(), b.layers[1].digest.clone(), orphan];
    let content = bad.clone().map(|digest| state.layout.read_blob(&digest));
    let index = fs::read(state.dir().join("index.json")).unwrap();

    let report = state.run(&["verify", "--quarantine"]).fails_with(4).any_json();
    assert_eq!(quarantined(&report), bad.clone().into());
    for (digest, content) in bad.iter().zip(&content) {
        let moved =
            report["quarantined"].as_array().unwrap().iter().find(|moved| moved["digest"] == **digest);
        let path = state.dir().join(moved.unwrap()["path"].as_str().unwrap());
        assert!(
            path.ends_with(format!(".ocirepo/quarantine/sha256/{}", digest::encoded(digest))),
            "{path:?}"
        );
        assert_eq!(&fs::read(path).unwrap(), content);
        assert!(!state.layout.blob_path(digest).exists());
    }
    assert_eq!(finding(&report, a.digest())["kind"], "missing-root");
    assert_eq!(finding(&report, &b.layers[1].digest)["kind"], "missing");
    assert_eq!(report["repaired"], json!([]));
    assert!(state.layout.blob_path(&sound).exists() && state.dir().join("blobs/sha256/stranger").exists());
    assert_eq!(fs::read(state.dir().join("index.json")).unwrap(), index);
    assert_eq!(debris(state.dir()), BTreeSet::new());

    // Nobody minds what lies there, and adding heals.
    let again = state.run(&["verify", "--quarantine"]).fails_with(4).any_json();
    assert_eq!(again["quarantined"], json!([]));
    state.gc_is_refused(&[]);
    let archive = state.ocirepo.scratch("ab.tar");
    fs::write(&archive, podman_save(&[(&a, &[A]), (&b, &[B])]).to_bytes()).unwrap();
    state.ocirepo.run(&["add", archive.to_str().unwrap()]).ok();
    assert_eq!(state.gc(&[]).swept(), [sound].into());
    state.json(&["verify"]);
    assert_eq!(fs::read_dir(state.dir().join(".ocirepo/quarantine/sha256")).unwrap().count(), 3);
    assert_eq!(state.names(), [A, B]);
    // The same blob a second time stands beside the first.
    state.layout.corrupt(a.digest());
    let report = state.run(&["verify", "--quarantine", "--repair-from", archive.to_str().unwrap()]).json();
    assert_eq!(
        (report["quarantined"].as_array().unwrap().len(), report["repaired"][0]["digest"].as_str()),
        (0, Some(a.digest()))
    );
    state.layout.corrupt(a.digest());
    let report = state.run(&["verify", "a:1", "--quarantine"]).fails_with(4).any_json();
    assert!(report["quarantined"][0]["path"].as_str().unwrap().ends_with(".1"), "{report:#}");
}

/// Without it the image would be sparse, which is sound; as long as it lies aside, something is lost.
#[test]
fn a_child_that_is_moved_aside_is_told_as_a_loss() {
    let mut state = State::new();
    let (a, child) = (image("a"), image("child"));
    let index = index_of(&[(&a, "linux/amd64"), (&child, "linux/arm64")]);
    state.layout.blobs_of(a.blobs().chain(child.blobs()).chain([&index]));
    state.layout.entry(full_named(index.descriptor(), A)).write_index();
    let good = copy(&state, "good");
    state.layout.corrupt(child.digest());
    let report = state.run(&["verify", "--quarantine"]).fails_with(4).says("moved aside").any_json();
    assert_eq!(report["quarantined"][0]["images"], json!([A]));
    assert_eq!(finding(&report, child.digest())["kind"], "missing");
    // Nobody knows what it names, so nothing can be called garbage.
    state.gc_is_refused(&[]);
    let orphan = nowhere('1');
    state.layout.blob_as("sha256", digest::encoded(&orphan), b"x");
    let report = state.run(&["verify", "--quarantine"]).fails_with(4).any_json();
    assert_eq!(quarantined(&report), [orphan].into());
    state.json(&["verify", "--repair-from", &good]);
    state.layout.corrupt(child.digest());
    state.layout.blob_as("sha256", child.manifest.hex(), b"bad");
    state.json(&["verify", "--repair-from", &good, "--quarantine"]);
    check(state.dir()).assert_tidy();
}

#[test]
fn in_words_each_blob_has_its_line() {
    let state = State::two_images();
    let (a, b) = (image("a"), image("b"));
    let good = copy(&state, "good");
    state.layout.corrupt(a.digest());
    let said =
        state.ocirepo.run(&["verify"]).fails_with(4).says("hint: `ocirepo verify --repair-from SOURCE`");
    assert!(said.stdout.contains("1 error, "), "{}", said.stdout);
    let said = state.ocirepo.run(&["verify", "--repair-from", &good]).ok();
    let line = format!("repaired: corrupt {}, from {good} ({A})\n", a.digest());
    assert!(
        said.stdout.contains(&line) && said.stdout.ends_with("0 errors, 0 notes; 1 repaired\n"),
        "{}",
        said.stdout
    );
    state.layout.corrupt(&b.config.digest);
    let said =
        state.ocirepo.run(&["verify", "--quarantine"]).fails_with(4).says("hint: what was moved aside");
    let line = format!(
        "moved aside: {} to ./.ocirepo/quarantine/sha256/{} ({B})\n",
        b.config.digest,
        b.config.hex()
    );
    assert!(said.stdout.contains(&line) && said.stdout.contains("; 1 moved aside\n"), "{}", said.stdout);
    assert!(said.stdout.contains(&format!("error: missing {}", b.config.digest)), "{}", said.stdout);
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_done() {
    let state = State::two_images();
    let good = copy(&state, "good");
    state.layout.corrupt(image("a").digest());
    let before = Snapshot::of(state.dir());
    let archive = format!("{good}/index.json");
    for (args, text) in [
        (&["--quick", "--repair-from", &good][..], "--quick"),
        (&["--quick", "--quarantine"], "--quick"),
        (&[&archive, "--repair-from", &good], "there as a path"),
        (&["-", "--quarantine"], "there as a path"),
        (&["--repair-from", "-", "--repair-from", "-"], "only once"),
        (&["--repair-from", "."], "the repository itself"),
        (&["--repair-from"], "--repair-from"),
    ] {
        state.run(&[&["verify"], args].concat()).fails_with(2).says(text);
        before.assert_same(state.dir(), &args.join(" "));
    }
    state.run(&["verify", "--repair-from", "gone.tar"]).one_clear_error(1, &["cannot read gone.tar"]);
    state.run(&["verify", "--repair-from", &good, "--repair-from", "gone.tar"]).fails_with(1);
    before.assert_same(state.dir(), "a source that is not there");
}

#[test]
fn a_repository_that_may_only_be_read_is_not_repaired() {
    let user = Unprivileged::new();
    let mut layout = Layout::create(user.ocirepo.dir());
    layout.full_image(&image("a"), A).write_index();
    let good = user.ocirepo.scratch("good");
    copy_tree(layout.path(), &good);
    let good = good.to_str().unwrap();
    for own in [false, true] {
        if own {
            user.ocirepo.run(&["gc"]).ok();
        }
        layout.corrupt(&image("a").config.digest);
        set_modes(layout.path(), 0o555, 0o444);
        let before = Snapshot::of(layout.path());
        for args in [&["--repair-from", good][..], &["--quarantine"]] {
            user.run(&[&["verify"], args].concat()).one_clear_error(
                1,
                &["cannot repair", "cannot write to", "not permitted: only the owner of"],
            );
        }
        before.assert_same(layout.path(), "a repository that may only be read");
        set_modes(layout.path(), 0o755, 0o644);
        user.ocirepo.run(&["verify", "--repair-from", good]).ok();
    }
}

#[test]
fn a_blob_that_may_not_be_read_is_healed_and_never_moved_aside() {
    let user = Unprivileged::new();
    let mut layout = Layout::create(user.ocirepo.dir());
    layout.full_image(&image("a"), A).full_image(&image("b"), B).write_index();
    let orphan = layout.blob(b"{\"an\":\"orphan\"}");
    let good = user.ocirepo.scratch("good");
    copy_tree(layout.path(), &good);
    set_modes(layout.path(), 0o777, 0o644);
    let (a, b) = (image("a"), image("b"));
    let unreadable = [a.digest(), &b.layers[1].digest, &orphan];
    for digest in unreadable {
        fs::set_permissions(layout.blob_path(digest), Permissions::from_mode(0o000)).unwrap();
    }
    let run = |args: &[&str]| user.run(&[&["verify", "--format", "json"], args].concat());
    let report = run(&["--quarantine"]).fails_with(4).any_json();
    assert_eq!(report["quarantined"], json!([]));
    assert_eq!(finding(&report, a.digest())["kind"], "unreadable");
    assert_eq!(finding(&report, &orphan)["kind"], "unreadable");
    let report = run(&["--repair-from", good.to_str().unwrap()]).fails_with(4).any_json();
    assert_eq!(report["repaired"].as_array().unwrap().len(), 2, "{report:#}");
    assert_eq!(report["findings"].as_array().unwrap().len(), 1, "{report:#}");
    fs::remove_file(layout.blob_path(&orphan)).unwrap();
    run(&[]).ok();
}

/// Whoever comes first: what one of them has healed, no other moves aside, and gc takes nothing that is lost.
#[test]
fn repairs_quarantines_and_collections_at_once() {
    let state = State::two_images();
    let (a, b) = (image("a"), image("b"));
    let good = copy(&state, "good");
    let sound = state.tree().without_own();
    let archive = state.ocirepo.scratch("ab.tar");
    fs::write(&archive, podman_save(&[(&a, &[A]), (&b, &[B])]).to_bytes()).unwrap();
    for round in 0..6 {
        let dir = state.ocirepo.scratch(&format!("round{round}"));
        copy_tree(state.dir(), &dir);
        let ocirepo = state.ocirepo.in_dir(&dir);
        let layout = Layout::open(&dir);
        for blob in a.blobs().chain([&b.manifest, &b.layers[1]]) {
            layout.corrupt(&blob.digest);
        }
        let archive = archive.to_str().unwrap();
        let running: Vec<_> = (0..9)
            .map(|number| match number % 4 {
                0 => ocirepo.spawn(&["verify", "--repair-from", &good]),
                1 => ocirepo.spawn(&["verify", "--quarantine"]),
                2 => ocirepo.spawn(&["verify", "--repair-from", archive, "--quarantine"]),
                _ => ocirepo.spawn(&["gc"]),
            })
            .collect();
        for output in running.into_iter().map(|running| running.wait()) {
            assert!(matches!(output.status.code(), Some(0 | 4)), "{}", output.stderr);
        }
        ocirepo.run(&["verify", "--repair-from", &good]).ok();
        Tree::of(&dir).without_own().assert_is(&sound);
        assert_eq!(debris(&dir), BTreeSet::new());
        // Once it is healed, nobody undoes it.
        let before = Snapshot::of(&dir);
        ocirepo.run(&["verify", "--quarantine", "--repair-from", archive]).ok();
        before.assert_same(&dir, "a repair of what is sound");
    }
}

/// Wherever it is killed, a blob is the bad one or the good one, or it is in quarantine; the next run does the rest.
#[test]
fn a_kill_leaves_the_old_or_the_new() {
    let Some(strace) = strace() else { return say("skipped: no strace") };
    let state = State::two_images();
    let (a, b) = (image("a"), image("b"));
    let good = copy(&state, "good");
    let sound = state.tree().without_own();
    state.layout.corrupt(a.digest());
    state.layout.truncate(&a.layers[1].digest, 9);
    state.layout.delete(&b.layers[1].digest);
    let orphan = nowhere('7');
    state.layout.blob_as("sha256", digest::encoded(&orphan), b"orphan");
    // With events, so that it can be killed between two tasks as well.
    let args = ["verify", "--repair-from", &good, "--quarantine", "--progress", "json"];
    let healed: Vec<&str> = vec![a.digest(), &a.layers[1].digest, &b.layers[1].digest];
    let mut kills = 0;
    for call in 1.. {
        let dir = state.ocirepo.scratch(&format!("killed{call}"));
        copy_tree(state.dir(), &dir);
        let ocirepo = state.ocirepo.in_dir(&dir);
        let trace = format!("trace={SYSTEM_CALLS}");
        let inject = format!("inject={SYSTEM_CALLS}:signal=KILL:when={call}");
        let output = ocirepo.spawn_traced(&strace, &["-e", &trace, "-e", &inject], &args).wait();
        is_old_or_new(&dir, &state.layout, &good, &healed);
        if output.status.signal().is_none() && output.status.code() == Some(0) {
            break;
        }
        kills += 1;
        ocirepo.run(&args).ok();
        Tree::of(&dir).without_own().assert_is(&sound);
        ocirepo.run(&["gc"]).ok();
        assert_eq!(debris(&dir), BTreeSet::new());
        fs::remove_dir_all(&dir).unwrap();
    }
    assert!(kills > 15, "only {kills} kills");
}

fn is_old_or_new(dir: &Path, old: &Layout, good: &str, healed: &[&str]) {
    let now = Layout::open(dir);
    let good = Layout::open(good);
    for digest in healed {
        let path = |layout: &Layout| fs::read(layout.blob_path(digest)).ok();
        assert!([path(old), path(&good)].contains(&path(&now)), "{digest} is neither the old nor the new");
    }
    let index = |layout: &Layout| fs::read(layout.path().join("index.json")).unwrap();
    assert_eq!(index(&now), index(old));
}
