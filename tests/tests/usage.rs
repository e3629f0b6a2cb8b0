//! `du` says what is on the disk: what each image takes, what it shares, and what `rm` and `gc` then really free.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::fs;
use std::path::Path;

use ocirepo_tests::archive;
use ocirepo_tests::artifact::{artifact, index_of, index_of_descriptors};
use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::compress::Compression;
use ocirepo_tests::descriptor::{self, Blob, full_named};
use ocirepo_tests::image::ImageSpec;
use ocirepo_tests::intake::Intake;
use ocirepo_tests::json::compact;
use ocirepo_tests::states::{A, B, State, image};
use ocirepo_tests::volumes::{Bundle, pending, repository};
use serde_json::{Value, json};

fn size(blobs: &[&Blob]) -> u64 {
    blobs.iter().map(|blob| blob.bytes.len() as u64).sum()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The bytes of all blobs.
fn blob_bytes(dir: &Path) -> u64 {
    let files = fs::read_dir(dir.join("blobs/sha256")).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

/// What `rm` and `gc` free of a repository without garbage.
fn freed(ocirepo: &Ocirepo, name: &str, positions: &[usize]) -> u64 {
    let dir = ocirepo.scratch(name);
    copy(ocirepo.dir(), &dir);
    let there = ocirepo.in_dir(&dir);
    let before = blob_bytes(&dir);
    let words: Vec<String> = positions.iter().map(|position| format!("@{position}")).collect();
    there.run(&[&["rm".to_owned()], words.as_slice()].concat()).ok();
    there.run(&["gc"]).ok();
    before - blob_bytes(&dir)
}

/// Panics unless every entry by itself, and every two together, free what `du` says. Returns what it says.
#[track_caller]
fn tells_what_is_freed(ocirepo: &Ocirepo) -> Value {
    ocirepo.run(&["gc"]).ok();
    let told = ocirepo.run(&["du", "--format", "json"]).json();
    let images = told["images"].as_array().unwrap();
    for (position, row) in images.iter().enumerate() {
        let really = freed(ocirepo, &format!("one-{position}"), &[position]);
        assert_eq!(row["frees"], really, "@{position}: {row:#}");
    }
    for first in 0..images.len() {
        let second = (first + 1) % images.len();
        let words = ["du", &format!("@{first}"), &format!("@{second}"), "--format", "json"];
        let both = ocirepo.run(&words).json();
        let really = freed(ocirepo, &format!("two-{first}"), &[first, second]);
        assert_eq!(both["together"]["frees"], really, "@{first} and @{second}: {both:#}");
    }
    told
}

#[test]
fn what_is_shared_is_told_apart_from_what_is_not() {
    let state = State::two_images();
    let (a, b) = (image("a"), image("b"));
    let told = tells_what_is_freed(&state.ocirepo);
    for (row, image, name) in [(&told["images"][0], &a, A), (&told["images"][1], &b, B)] {
        let unique = size(&[&image.manifest, &image.config, &image.layers[1]]);
        let shared = size(&[&image.layers[0]]);
        let expected = json!({
            "reference": name, "digest": image.digest(),
            "total": unique + shared, "unique": unique, "shared": shared, "frees": unique,
        });
        assert_eq!(*row, expected);
    }
    let repository = &told["repository"];
    let sum = told["images"][0]["total"].as_u64().unwrap() + told["images"][1]["total"].as_u64().unwrap();
    assert_eq!(repository["sum"], sum);
    assert_eq!(repository["kept"], json!({ "blobs": 7, "bytes": blob_bytes(state.dir()) }));
    assert_eq!(repository["garbage"], json!({ "blobs": 0, "bytes": 0 }));
}

/// The second name holds it all, and together they are one image.
#[test]
fn a_second_name_shares_nothing_and_holds_everything() {
    let mut state = State::two_images();
    let a = image("a");
    state.layout.full_image(&a, "docker.io/library/also:1").write_index();
    let told = tells_what_is_freed(&state.ocirepo);
    let unique = size(&[&a.manifest, &a.config, &a.layers[1]]);
    for row in [&told["images"][0], &told["images"][2]] {
        assert_eq!((&row["unique"], &row["frees"]), (&json!(unique), &json!(0)));
    }
    let both = state.json(&["du", A, "also:1"]);
    assert_eq!(both["together"]["frees"], unique);
    assert_eq!(both["images"].as_array().unwrap().len(), 2);
}

/// Everything that `rm` and `gc` have rules for.
#[test]
fn referrers_children_and_other_names_are_counted_as_rm_and_gc_treat_them() {
    let mut state = State::new();
    let (a, b, c) = (image("a"), image("b"), image("c"));
    let arm = ImageSpec::seeded("arm").platform("linux/arm64").build();
    let index = index_of(&[(&a, "linux/amd64"), (&arm, "linux/arm64")]);
    let sign =
        |content: &str, subject: &Blob| artifact("application/x.sig", content.as_bytes(), Some(subject));
    let listed = sign("listed", &b.manifest);
    let deeper = sign("about the signature", &listed.manifest);
    let unlisted = sign("unlisted", &arm.manifest);
    let of_child = sign("of a child", &a.manifest);
    let named = sign("named", &c.manifest);
    let bundle = index_of_descriptors([listed.manifest.descriptor(), image("carried").descriptor()]);
    let layout = &mut state.layout;
    layout.blobs_of([&index]).blobs_of(a.blobs().chain(arm.blobs()).chain(unlisted.blobs()));
    layout.blobs_of(named.blobs());
    layout.entry(full_named(index.descriptor(), "docker.io/library/index:1"));
    layout.full_image(&a, A).full_image(&b, B).artifact(&listed).artifact(&deeper).artifact(&of_child);
    layout.image(&c, "c").entry(arm.descriptor());
    layout.entry(descriptor::ref_named(named.manifest.descriptor(), "sig-of-c"));
    layout.write_index();
    let told = tells_what_is_freed(&state.ocirepo);
    // The signature of b and its signature go along.
    let frees = told["images"][2]["frees"].as_u64().unwrap();
    assert!(frees > told["images"][2]["unique"].as_u64().unwrap(), "{told:#}");
    // What keeps a listed signature is its subject.
    assert_eq!(told["images"][3]["frees"], 0);
    // A signature with a name holds what it is about.
    assert_eq!(told["images"][6]["frees"], 0);
    // Nameless, with a signature and an image that nothing else lists.
    state.layout.blobs_of([&bundle]).blobs_of(image("carried").blobs());
    state.layout.entry(bundle.descriptor()).write_index();
    tells_what_is_freed(&state.ocirepo);
}

/// A referrer that is an index, with children that others list too, and about something that is listed twice.
#[test]
fn referrers_that_are_indexes_go_along_with_what_they_list() {
    let mut state = State::new();
    let (a, inner) = (image("a"), image("inner"));
    let index = |subject: &Blob, seed: &str| {
        let document = json!({
            "schemaVersion": 2, "mediaType": descriptor::OCI_INDEX, "annotations": { "seed": seed },
            "manifests": [inner.descriptor()], "subject": subject.descriptor(),
        });
        Blob::new(descriptor::OCI_INDEX, compact(&document))
    };
    let (first, second) = (index(&a.manifest, "1"), index(&inner.manifest, "2"));
    let top = index_of(&[(&a, "linux/amd64")]);
    state.layout.blobs_of([&first, &second, &top]).blobs_of(a.blobs().chain(inner.blobs()));
    state.layout.entry(first.descriptor()).entry(second.descriptor());
    state
        .layout
        .entry(full_named(top.descriptor(), "docker.io/library/top:1"))
        .full_image(&a, A)
        .write_index();
    tells_what_is_freed(&state.ocirepo);
}

#[test]
fn what_is_missing_is_absent_and_no_error() {
    let mut state = State::two_images();
    let sparse = index_of(&[(&image("x"), "linux/amd64"), (&image("y"), "linux/arm64")]);
    state.layout.blobs_of([&sparse]).blobs_of(image("x").blobs());
    state.layout.entry(full_named(sparse.descriptor(), "docker.io/library/sparse:1")).write_index();
    let a = image("a");
    state.layout.delete(&a.layers[1].digest);
    let told = tells_what_is_freed(&state.ocirepo);
    let unique = size(&[&a.manifest, &a.config]);
    assert_eq!(told["images"][0]["unique"], unique);
    let y = image("y");
    assert!(
        told["images"][2]["total"].as_u64().unwrap() < size(&[&sparse]) + y.manifest.bytes.len() as u64 * 100
    );
    assert_eq!(told["doubts"], json!([]));
}

#[test]
fn a_truncated_blob_counts_as_large_as_it_is() {
    let state = State::two_images();
    let layer = &image("a").layers[1];
    state.layout.truncate(&layer.digest, 10);
    let told = tells_what_is_freed(&state.ocirepo);
    let a = image("a");
    assert_eq!(told["images"][0]["unique"], size(&[&a.manifest, &a.config]) + 10);
}

/// What a damaged manifest names nobody knows, and gc would sweep nothing.
#[test]
fn where_gc_would_refuse_nothing_is_said_to_be_freed() {
    for damage in ["corrupt", "missing", "strange"] {
        let mut state = State::two_images();
        let garbage = state.layout.blob(b"garbage");
        match damage {
            "corrupt" => state.layout.corrupt(image("a").digest()),
            "missing" => state.layout.delete(image("a").digest()),
            _ => {
                state.layout.entry(json!({ "digest": "sha256:short" })).write_index();
            }
        }
        state.gc_is_refused(&[]);
        let told = state.json(&["du"]);
        assert_eq!(told["images"][1]["frees"], Value::Null, "{damage}: {told:#}");
        assert_eq!(told["repository"]["garbage"]["bytes"], 0, "{damage}: {garbage} may be needed");
        assert_eq!(told["doubts"].as_array().unwrap().len(), 1, "{damage}: {told:#}");
        state.ocirepo.run(&["du"]).ok().says("would delete nothing now");
    }
}

#[test]
fn garbage_and_what_was_moved_aside_is_told() {
    let state = State::two_images();
    state.layout.blob(&[7; 1000]);
    assert_eq!(state.json(&["du"])["repository"]["garbage"], json!({ "blobs": 1, "bytes": 1000 }));
    let layer = &image("a").layers[1];
    state.layout.corrupt(&layer.digest);
    state.run(&["verify", "--quarantine"]);
    assert_eq!(state.json(&["du"])["repository"]["quarantine"], size(&[layer]));
}

#[test]
fn what_waits_for_volumes_is_told_and_is_not_freed() {
    let (bundle, ocirepo) = (Bundle::new(), repository());
    let whole = bundle.source.scratch("out/whole.tar");
    ocirepo.run(&["add", whole.to_str().unwrap(), "--select", "docker.io/test/small:1"]).ok();
    bundle.add(&ocirepo, 2).ok();
    let waiting = pending(&ocirepo)[0]["bytes"].as_u64().unwrap();
    assert!(waiting > 0);
    let told = tells_what_is_freed(&ocirepo);
    assert_eq!(told["repository"]["pending"], waiting);
    assert!(!told["images"].as_array().unwrap().is_empty(), "{told:#}");
    assert!(told["images"][0]["total"].as_u64() > Some(0) && told["images"][0]["frees"] == 0, "{told:#}");
}

#[test]
fn a_layer_under_two_compressions_is_told_once_that_is_known() {
    let intake = Intake::new();
    let plain = ImageSpec::seeded("a").build();
    let saved = intake.source("saved.tar", &archive::docker_save(&[(&plain, &[A])]));
    intake.add(&[&saved]);
    assert_eq!(intake.ocirepo.run(&["du", "--format", "json"]).json()["heldTwice"], json!([]));
    intake.add(&[&saved, "--layers", "zstd", "--ref", B]);
    let told = intake.ocirepo.run(&["du", "--format", "json"]).json();
    let twice = told["heldTwice"].as_array().unwrap();
    assert_eq!(twice.len(), 2, "{told:#}");
    for layer in twice {
        let index = plain.diff_ids.iter().position(|it| layer["diffId"] == it.as_str()).unwrap();
        let forms: Vec<&str> =
            layer["blobs"].as_array().unwrap().iter().map(|it| it["form"].as_str().unwrap()).collect();
        assert_eq!(forms, ["zstd", "plain"], "{layer:#}");
        assert_eq!(layer["spare"], plain.tars[index].len());
    }
    let text = intake.ocirepo.run(&["du"]).ok().stdout;
    assert!(text.contains("Held twice") && text.contains("2 layers"), "{text}");
    // Of layers that nobody has unpacked nothing is known.
    let mut state = State::new();
    let packed = |packing| ImageSpec::of(&plain).packed(packing).build();
    state
        .layout
        .full_image(&packed(Compression::Gzip), A)
        .full_image(&packed(Compression::Zstd), B)
        .write_index();
    assert_eq!(state.json(&["du"])["heldTwice"], json!([]));
}

#[test]
fn patterns_choose_and_what_is_not_there_is_exit_3() {
    let state = State::two_images();
    let found = state.json(&["du", "*/a:*"]);
    assert_eq!(found["images"].as_array().unwrap().len(), 1);
    assert_eq!(found["together"]["total"], found["images"][0]["total"]);
    state.run(&["du", "c:1"]).fails_with(3);
    state.run(&["du", "c*"]).fails_with(3);
    let text = state.ocirepo.run(&["du", "a:1", "b:2"]).ok().stdout;
    assert!(text.contains("all of these"), "{text}");
}
