//! `verify --repair-from … --quarantine --dry-run`: what it says is what the run then does, exit code included, and it
//! changes nothing, not even for a moment.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::fs;
use std::path::PathBuf;

use ocirepo_tests::archive::podman_save;
use ocirepo_tests::artifact::{artifact, index_of};
use ocirepo_tests::cli::{Ocirepo, Output};
use ocirepo_tests::descriptor::{Blob, full_named};
use ocirepo_tests::digest;
use ocirepo_tests::layout::Layout;
use ocirepo_tests::snapshot::{copy_tree, tree};
use ocirepo_tests::states::{A, B, State, finding, image, nowhere};
use ocirepo_tests::unprivileged::{Unprivileged, set_modes};
use ocirepo_tests::volumes::Bundle;
use serde_json::{Value, json};

const MULTI: &str = "docker.io/library/multi:1";

/// A repository of two images and an index over one of them and another.
struct Shop {
    state: State,
    /// A sound copy of it.
    good: PathBuf,
}

impl Shop {
    fn new() -> Self {
        let mut state = State::two_images();
        let index = index();
        state.layout.blobs_of(image("child").blobs().chain([&index]));
        state.layout.entry(full_named(index.descriptor(), MULTI)).write_index();
        let good = state.ocirepo.scratch("good");
        copy_tree(state.dir(), &good);
        Self { state, good }
    }

    fn good(&self) -> &str {
        self.good.to_str().unwrap()
    }

    fn layout(&self) -> &Layout {
        &self.state.layout
    }

    /// Another copy of what is sound, for a test to damage.
    fn copy(&self, name: &str) -> (String, Layout) {
        let path = self.state.ocirepo.scratch(name);
        copy_tree(&self.good, &path);
        (path.to_str().unwrap().to_owned(), Layout::open(&path))
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.state.ocirepo.scratch(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[track_caller]
    fn rehearsed(&self, args: &[&str]) -> Value {
        rehearsed(&self.state.ocirepo, args, None)
    }
}

fn index() -> Blob {
    index_of(&[(&image("a"), "linux/amd64"), (&image("child"), "linux/arm64")])
}

/// Runs a verification that changes something, first as a dry run. Panics unless that changes nothing at all and comes
/// to the same. Gives what the run said.
#[track_caller]
fn rehearsed(ocirepo: &Ocirepo, args: &[&str], stdin: Option<&[u8]>) -> Value {
    let run = |flags: &[&str]| -> Output {
        let args = [&["verify", "--format", "json"], args, flags].concat();
        stdin.map_or_else(|| ocirepo.run(&args), |bytes| ocirepo.run_with_stdin(&args, bytes))
    };
    let before = tree(ocirepo.dir());
    let dry = run(&["--dry-run"]);
    assert_eq!(tree(ocirepo.dir()), before, "the dry run of {args:?} changed something");
    assert_eq!(fs::read_dir(ocirepo.scratch("tmp")).unwrap().count(), 0, "{args:?} left something");
    let wet = run(&[]);
    assert_eq!(dry.status.code(), wet.status.code(), "{args:?}: {dry:?}\n{wet:?}");
    let (mut said, mut done) = (dry.any_json(), wet.any_json());
    if done["quarantined"] == json!([]) {
        assert_eq!(dry.stderr, wet.stderr, "{args:?}");
    }
    assert_eq!((&said["dryRun"], &done["dryRun"]), (&json!(true), &json!(false)));
    for report in [&mut said, &mut done] {
        report["dryRun"].take();
        let rows = |list: &Value| list.as_array().unwrap().clone();
        let (mut found, mut aside) = (rows(&report["findings"]), rows(&report["quarantined"]));
        // A blob that would be moved is still where it is, and is told of in other words.
        for moved in &mut aside {
            moved["path"].take();
            let gone = found.iter_mut().filter(|finding| finding["digest"] == moved["digest"]);
            gone.for_each(|finding| drop(finding["message"].take()));
        }
        (report["findings"], report["quarantined"]) = (json!(found), json!(aside));
    }
    assert_eq!(said, done, "{args:?}: the dry run said something else");
    done
}

fn digests(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|row| row["digest"].as_str().unwrap()).collect()
}

/// A layer, a config, a manifest, an index.
fn needed() -> [String; 4] {
    let a = image("a");
    [a.layers[1].digest.clone(), a.config.digest.clone(), a.digest().to_owned(), index().digest]
}

#[test]
fn every_kind_of_damage_is_told_as_it_is_then_healed() {
    let shop = Shop::new();
    let a = image("a");
    let docker = shop.file("docker.tar", podman_save(&[(&a, &[A])]).to_bytes());
    let bundle = shop.state.ocirepo.scratch("b.tar.zst").to_str().unwrap().to_owned();
    let good = shop.state.ocirepo.in_dir(&shop.good);
    good.run(&["export", "--type", "oci", "--compress", "zstd", "-o", &bundle]).ok();
    let damages: [fn(&Layout, &str); 3] = [
        |layout, blob| layout.corrupt(blob),
        |layout, blob| layout.truncate(blob, 20),
        |layout, blob| {
            layout.delete(blob);
        },
    ];
    for blob in needed() {
        for damage in damages {
            for source in [shop.good(), &bundle, &docker] {
                damage(shop.layout(), &blob);
                let report = shop.rehearsed(&["--repair-from", source]);
                let healed = source != docker || blob != index().digest;
                assert_eq!(digests(&report["repaired"]) == [blob.as_str()], healed, "{source}: {report:#}");
                if !healed {
                    shop.rehearsed(&["--repair-from", shop.good()]);
                }
            }
        }
    }
    shop.layout().corrupt(&needed()[2]);
    let bytes = fs::read(&bundle).unwrap();
    rehearsed(&shop.state.ocirepo, &["--repair-from", "-"], Some(&bytes));
    shop.state.json(&["verify"]);
}

/// Nothing of it is in the repository when the rest is asked for.
#[test]
fn what_a_manifest_shows_to_be_lost_is_told_too() {
    let shop = Shop::new();
    let (a, child) = (image("a"), image("child"));
    let (docker, good) = (shop.file("docker.tar", podman_save(&[(&a, &[A])]).to_bytes()), shop.good());
    for source in [good, &docker] {
        shop.layout().delete(a.digest());
        shop.layout().corrupt(&a.config.digest);
        shop.layout().truncate(&a.layers[1].digest, 3);
        let report = shop.rehearsed(&["--repair-from", source]);
        assert_eq!(report["repaired"].as_array().unwrap().len(), 3, "{report:#}");
    }
    // Three generations: the index, the manifest below it, its layer.
    shop.layout().corrupt(&index().digest);
    shop.layout().corrupt(child.digest());
    shop.layout().corrupt(&child.layers[1].digest);
    let report = shop.rehearsed(&["--repair-from", good]);
    assert_eq!(digests(&report["repaired"]).last(), Some(&child.layers[1].digest.as_str()), "{report:#}");
    assert_eq!(report["findings"], json!([]));
}

#[test]
fn several_sources_are_told_each_with_what_it_would_bring() {
    let shop = Shop::new();
    let (a, b, child) = (image("a"), image("b"), image("child"));
    let ((one, of_one), (two, of_two)) = (shop.copy("one"), shop.copy("two"));
    of_one.delete(a.digest());
    of_two.corrupt(&a.layers[1].digest);
    of_one.corrupt(&b.config.digest);
    of_two.delete(&b.config.digest);
    for digest in [a.digest(), &a.layers[1].digest, &b.config.digest, &child.layers[1].digest] {
        shop.layout().corrupt(digest);
    }
    let sources = ["--repair-from", &one, "--repair-from", &two];
    let report = shop.rehearsed(&sources);
    let source = |digest: &str| {
        let mut rows = report["repaired"].as_array().unwrap().iter();
        rows.find(|row| row["digest"] == digest).map(|row| row["source"].as_str().unwrap().to_owned())
    };
    assert_eq!(source(a.digest()), Some(two));
    assert_eq!(source(&a.layers[1].digest), Some(one));
    assert_eq!(finding(&report, &b.config.digest)["kind"], "corrupt");
}

#[test]
fn what_no_source_has_is_an_error_of_the_dry_run_too() {
    let shop = Shop::new();
    let (a, config) = (image("a"), image("b").config.digest);
    let other = shop.file("a.tar", podman_save(&[(&a, &[A])]).to_bytes());
    shop.layout().corrupt(&config);
    shop.layout().delete(a.digest());
    let args = ["verify", "--repair-from", &other, "-n"];
    let dry = shop.state.ocirepo.run(&args).one_clear_error(4, &["1 blob could not be repaired", &config, B]);
    let line = format!("would repair: missing-root {}, from {other} ({A}, {MULTI})\n", a.digest());
    assert!(dry.stdout.starts_with(&line), "{}", dry.stdout);
    let end = ": 1 would be repaired, which leaves 1 error, 0 notes\n";
    assert!(dry.stdout.ends_with(end), "{}", dry.stdout);
    let report = shop.rehearsed(&["--repair-from", &other]);
    assert_eq!(finding(&report, &config)["images"], json!([B]));
    shop.rehearsed(&["--repair-from", &other, "b:2"]);
}

#[test]
fn what_would_be_moved_aside_counts_as_gone() {
    let shop = Shop::new();
    let (a, child, orphan) = (image("a"), image("child"), nowhere('7'));
    let lay = || shop.layout().blob_as("sha256", digest::encoded(&orphan), b"something else");
    // Nobody needs it: nothing is wrong once it is away.
    lay();
    let report = shop.rehearsed(&["--quarantine"]);
    assert_eq!((digests(&report["quarantined"]), &report["findings"]), (vec![orphan.as_str()], &json!([])));

    for (blob, kind) in
        [(a.digest(), "missing-root"), (child.digest(), "missing"), (&*a.config.digest, "missing")]
    {
        lay();
        shop.layout().corrupt(blob);
        let dry = shop.state.ocirepo.run(&["verify", "--quarantine", "-n"]).fails_with(4);
        let line = format!("error: {kind} {blob} it is damaged, and would be moved aside");
        assert!(dry.stdout.contains(&line), "{}", dry.stdout);
        let report = shop.rehearsed(&["--quarantine"]);
        assert_eq!(report["quarantined"].as_array().unwrap().len(), 2, "{report:#}");
        assert_eq!(finding(&report, blob)["kind"], kind);

        // What would be healed would not be moved.
        shop.rehearsed(&["--repair-from", shop.good()]);
        if blob == child.digest() {
            shop.layout().blob_as("sha256", child.manifest.hex(), b"bad");
        }
        shop.layout().corrupt(&image("b").config.digest);
        lay();
        let report = shop.rehearsed(&["--repair-from", shop.good(), "--quarantine"]);
        assert_eq!(digests(&report["quarantined"]), [orphan.as_str()], "{report:#}");
        assert!(digests(&report["repaired"]).contains(&image("b").config.digest.as_str()), "{report:#}");
    }
}

/// Its signature is listed nowhere: only the manifest that comes back shows that it is needed.
#[test]
fn what_is_kept_because_of_what_comes_back_is_no_orphan() {
    let shop = Shop::new();
    let a = image("a");
    let signature = artifact("application/vnd.test.signature", b"signed", Some(&a.manifest));
    shop.layout().blobs_of(signature.blobs());
    shop.layout().delete(a.digest());
    let report = shop.rehearsed(&["--repair-from", shop.good()]);
    assert_eq!(report["findings"], json!([]));
}

#[test]
fn what_lies_in_parts_is_put_together() {
    let bundle = Bundle::new();
    let (_, member) = bundle.find("ocirepo-parts/");
    let parts = format!("sha256:{}", member.rsplit('/').next().unwrap().split('.').next().unwrap());
    Layout::open(bundle.source.dir()).corrupt(&parts);
    let mut args = Vec::new();
    for volume in &bundle.volumes {
        args.extend(["--repair-from", volume.to_str().unwrap()]);
    }
    rehearsed(&bundle.source, &args[..2], None);
    let report = rehearsed(&bundle.source, &args, None);
    assert_eq!(digests(&report["repaired"]), [parts]);
}

#[test]
fn a_repository_that_may_only_be_read_can_be_asked() {
    let user = Unprivileged::new();
    let mut layout = Layout::create(user.ocirepo.dir());
    layout.full_image(&image("a"), A).write_index();
    let good = user.ocirepo.scratch("good");
    copy_tree(layout.path(), &good);
    layout.corrupt(image("a").digest());
    set_modes(layout.path(), 0o555, 0o444);
    let args = ["verify", "--repair-from", good.to_str().unwrap(), "--dry-run", "--format", "json"];
    let report = user.run(&args).json();
    assert_eq!(digests(&report["repaired"]), [image("a").digest()]);
    assert!(!layout.path().join(".ocirepo").exists());
    set_modes(layout.path(), 0o755, 0o644);
}

#[test]
fn a_dry_run_of_nothing_is_refused() {
    let shop = Shop::new();
    shop.state.run(&["verify", "--dry-run"]).fails_with(2).says("--repair-from");
    shop.state.run(&["verify", "-n", "--repair-from", "."]).fails_with(2).says("the repository itself");
    shop.state.run(&["verify", "-n", "--repair-from", "gone.tar"]).one_clear_error(1, &["gone.tar"]);
}

/// A sound repository has nothing to rehearse, and is left alone as well.
#[test]
fn a_sound_repository_stays_as_it_is() {
    let shop = Shop::new();
    let report = shop.rehearsed(&["--repair-from", shop.good(), "--quarantine"]);
    assert_eq!((&report["repaired"], &report["findings"]), (&json!([]), &json!([])));
}
