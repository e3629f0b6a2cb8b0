//! Where an export goes: a file that is there whole or not at all, a pipe, with a checksum, compressed; and what is
//! refused: damaged images, names that nothing has, disks that are full.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;

use ocirepo_tests::checker::check;
use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::compress::Compression;
use ocirepo_tests::exported::{add, export, run};
use ocirepo_tests::image::ImageSpec;
use ocirepo_tests::snapshot::tree;
use ocirepo_tests::states::{A, B, State, image};
use ocirepo_tests::tools;
use ocirepo_tests::unprivileged::{Unprivileged, set_modes};

const TYPES: [&str; 4] = ["hybrid", "oci", "docker", "docker-legacy"];

/// A directory of its own for what is written.
fn out(ocirepo: &Ocirepo) -> std::path::PathBuf {
    let out = ocirepo.scratch("out");
    fs::create_dir_all(&out).unwrap();
    out
}

fn names(dir: &Path) -> Vec<String> {
    let name = |entry: Result<fs::DirEntry, _>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(name).collect();
    names.sort();
    names
}

/// An export that must fail with this code and these texts, into nothing and over an older file, leaving neither a
/// half file nor a changed one.
#[track_caller]
fn fails_cleanly(state: &State, args: &[&str], code: i32, texts: &[&str]) {
    let out = out(&state.ocirepo);
    let path = out.join("images.tar");
    let before = state.tree();
    run(&state.ocirepo, &path, args).one_clear_error(code, texts);
    assert_eq!(names(&out), [] as [&str; 0], "{args:?}");
    fs::write(&path, "older").unwrap();
    run(&state.ocirepo, &path, args).one_clear_error(code, texts);
    assert_eq!((names(&out), fs::read(&path).unwrap()), (vec!["images.tar".to_owned()], b"older".to_vec()));
    fs::remove_file(&path).unwrap();
    state.tree().assert_is(&before);
}

#[test]
fn an_image_that_lacks_a_blob() {
    let a = image("a");
    for blob in [&a.layers[0], &a.layers[1], &a.config, &a.manifest] {
        let state = State::two_images();
        state.layout.delete(&blob.digest);
        for form in TYPES {
            fails_cleanly(&state, &[A, "--type", form], 4, &[A, &blob.digest]);
        }
    }
}

#[test]
fn an_image_with_a_truncated_blob() {
    let a = image("a");
    for blob in [&a.layers[0], &a.layers[1], &a.config, &a.manifest] {
        let state = State::two_images();
        state.layout.truncate(&blob.digest, 20);
        for form in TYPES {
            fails_cleanly(&state, &[A, "--type", form], 4, &[&blob.digest]);
        }
    }
}

/// Of the right size, so it shows only when it is copied.
#[test]
fn an_image_with_a_corrupt_blob() {
    let a = image("a");
    for blob in [&a.layers[1], &a.config, &a.manifest] {
        let state = State::two_images();
        state.layout.corrupt(&blob.digest);
        for form in TYPES {
            fails_cleanly(&state, &[A, "--type", form], 4, &[&blob.digest]);
        }
        fails_cleanly(&state, &[A, "--compress", "gzip"], 4, &[&blob.digest]);
        let piped = state.ocirepo.run(&["export", A, "-o", "-"]).one_clear_error(4, &[&blob.digest]);
        let fresh = Ocirepo::new();
        fresh.run(&["init"]).ok();
        fresh.run_with_stdin(&["add", "-"], piped.bytes.clone()).fails_with(if piped.bytes.is_empty() {
            1
        } else {
            4
        });
        assert!(check(fresh.dir()).names.is_empty());
    }
}

/// What is damaged and not asked for is in nobody's way.
#[test]
fn damage_elsewhere_does_not_matter() {
    for damage in [State::delete_b, State::truncate_b, State::corrupt_b] {
        let state = State::two_images();
        let expected = export(&state.ocirepo, &[A]).bytes;
        damage(&state);
        assert!(export(&state.ocirepo, &[A]).bytes == expected);
    }
}

trait Damage {
    fn delete_b(&self);
    fn truncate_b(&self);
    fn corrupt_b(&self);
}

impl Damage for State {
    fn delete_b(&self) {
        self.layout.delete(&image("b").manifest.digest);
    }

    fn truncate_b(&self) {
        self.layout.truncate(&image("b").layers[1].digest, 9);
    }

    fn corrupt_b(&self) {
        self.layout.corrupt(&image("b").manifest.digest);
    }
}

#[test]
fn what_is_not_there() {
    let state = State::two_images();
    fails_cleanly(&state, &["c:3"], 3, &["library/c:3"]);
    fails_cleanly(&state, &[A, "c:3"], 3, &["library/c:3"]);
    fails_cleanly(&state, &["quay.io/*"], 3, &["no image matches \"quay.io/*\"", "ls --names"]);
    let list = state.ocirepo.scratch("list");
    fs::write(&list, format!("{A}\n\n# a comment\nc:3\n")).unwrap();
    fails_cleanly(&state, &["-f", list.to_str().unwrap()], 3, &["line 4", "library/c:3"]);
    let output = run(&state.ocirepo, &out(&state.ocirepo).join("x.tar"), &["-f", "/nonexistent/list"]);
    output.fails_with(1).says("/nonexistent/list");
}

#[test]
fn words_that_do_not_go_together() {
    let state = State::two_images();
    let out = out(&state.ocirepo);
    for args in [
        &["--layers", "gzip"][..],
        &["--type", "oci", "--layers", "raw"],
        &["--type", "docker-legacy", "--layers", "gzip"],
        &["--type", "docker", "--have", "x"],
        &["--names", "tag"],
        &["--type", "docker", "--names", "full"],
        &["--type", "tape"],
        &["--compress", "lz4"],
        &["--compress", "zstd:99"],
        &["--platform", "amd64/"],
        &["-f", "-", "--have", "-"],
        &["--have", "-", "--have", "-"],
    ] {
        run(&state.ocirepo, &out.join("x.tar"), args).fails_with(2);
    }
    state.ocirepo.run(&["export", "-o", "-", "--sums"]).fails_with(2).says("--sums");
    state.ocirepo.run(&["export"]).fails_with(2);
    assert_eq!(names(&out), [] as [&str; 0]);
}

#[test]
fn what_is_asked_for_by_pattern_list_and_digest() {
    let mut state = State::two_images();
    state
        .layout
        .full_image(&image("c"), "quay.io/shop/c:1")
        .image(&image("d"), "[::1]:5000/d:1")
        .write_index();
    let listed = |args: &[&str]| -> Vec<String> {
        let exported = export(&state.ocirepo, args);
        let names =
            exported.entries().into_iter().map(|it| it["annotations"]["io.containerd.image.name"].clone());
        names.map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(&["docker.io/*"]), [A, B]);
    assert_eq!(listed(&["*:1", B]).len(), 4);
    assert_eq!(listed(&["*/c:?", "b:2"]), [B, "quay.io/shop/c:1"]);
    assert_eq!(listed(&["[::1]:5000/d:1"]), ["[::1]:5000/d:1"]);
    assert_eq!(listed(&[image("b").digest()]), [B]);
    assert_eq!(listed(&[&image("b").manifest.hex()[..12], "@0"]), [A, B]);
    let list = state.ocirepo.scratch("list");
    fs::write(&list, "# images\r\n\r\n  b:2   # the other\r\nquay.io/*\r\n").unwrap();
    let list = list.to_str().unwrap();
    assert_eq!(listed(&["-f", list]), [B, "quay.io/shop/c:1"]);
    assert_eq!(listed(&["-f", list, "a:1"]), [A, B, "quay.io/shop/c:1"]);

    let path = state.ocirepo.scratch("piped.tar");
    let args = ["export", "-f", "-", "-o", path.to_str().unwrap()];
    state.ocirepo.run_with_stdin(&args, "b:2\n").ok();
    assert!(fs::read(&path).unwrap() == export(&state.ocirepo, &[B]).bytes);
}

#[test]
fn lists_of_other_editors_and_lists_of_nothing() {
    let state = State::two_images();
    let list = state.ocirepo.scratch("list");
    fs::write(&list, "\u{feff}b:2\r\n").unwrap();
    let list = list.to_str().unwrap();
    assert!(export(&state.ocirepo, &["-f", list]).bytes == export(&state.ocirepo, &[B]).bytes);
    let path = out(&state.ocirepo).join("x.tar");
    let refused = |args: &[&str], text: &str| {
        run(&state.ocirepo, &path, args).fails_with(2).says(text);
        assert!(!path.exists());
    };
    // An empty list is not everything, nor is it the list that was meant.
    for nothing in ["", "\u{feff}", "\n# nothing\r\n"] {
        fs::write(list, nothing).unwrap();
        refused(&["-f", list], &format!("{list}: the list is empty"));
        refused(&["-f", list, A], "the list is empty");
        let piped = state.ocirepo.run_with_stdin(&["export", "-f", "-", "-o", "-"], nothing);
        piped.fails_with(2).says("standard input: the list is empty");
    }
    fs::write(list, b"\xff\xfeb\0:\x002\0").unwrap();
    refused(&["-f", list], "UTF-16");
    File::options().write(true).open(list).unwrap().set_len((64 << 20) + 1).unwrap();
    refused(&["-f", list], "more than 64 MiB");
}

#[test]
fn hints_are_for_those_who_export() {
    let state = State::two_images();
    let hint = |args: &[&str], code: i32| {
        let output = run(&state.ocirepo, &state.ocirepo.scratch("x.tar"), args).fails_with(code);
        output.stderr.lines().find(|line| line.starts_with("hint:")).unwrap_or_default().to_owned()
    };
    assert_eq!(hint(&["zzz*"], 3), "hint: `ocirepo ls --names` lists the names");
    let platform = hint(&["--platform", "plan9/mips"], 3);
    assert!(platform.contains("ocirepo inspect NAME") && !platform.contains("--select"), "{platform}");

    let strange = state.ocirepo.scratch("strange");
    fs::create_dir(&strange).unwrap();
    fs::write(strange.join("notes"), "mine").unwrap();
    let strange = strange.to_str().unwrap();
    let dir = ["export", "--type", "dir", "-o", strange];
    for args in [&dir[..], &["export", "--have", strange, "-o", "x.tar"], &["diff", strange, "."]] {
        let output = state.ocirepo.run(args);
        assert!(output.stderr.contains("hint: check the path"), "{args:?}: {}", output.stderr);
        assert!(!output.stderr.contains("-C"), "{args:?}: {}", output.stderr);
    }
}

#[test]
fn a_pipe_gets_what_a_file_gets() {
    let state = State::two_images();
    for form in TYPES {
        let file = export(&state.ocirepo, &["--type", form]).bytes;
        let piped = state.ocirepo.run(&["export", "--type", form, "-o", "-"]).ok();
        assert!(piped.bytes == file, "{form}");
        add(&piped.bytes, "full").run(&["inspect", A]).ok();
    }
    let piped = state.ocirepo.run(&["export", "-o", "-", "--format", "json"]).ok();
    assert!(piped.bytes == export(&state.ocirepo, &[]).bytes, "nothing else is written there");
}

#[test]
fn a_reader_that_goes_away_is_an_error() {
    let mut state = State::new();
    let large = ImageSpec::seeded("large").noise_layer(1, 20_000_000).build();
    state.layout.full_image(&large, A).write_index();
    for args in [&["export", "-o", "-"][..], &["export", "-o", "-", "--compress", "zstd"]] {
        let mut command = state.ocirepo.command(args);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut start = [0; 100];
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut start).unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}\n{stderr}", output.status);
        assert!(stderr.contains("error: cannot write standard output"), "{stderr}");
    }
}

#[test]
fn a_full_device_is_an_error() {
    if !Path::new("/dev/full").exists() {
        return tools::say("skipped: there is no /dev/full");
    }
    let state = State::two_images();
    state.ocirepo.run(&["export", "-o", "/dev/full"]).one_clear_error(1, &["disk is full"]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = state.ocirepo.command(&["export", "-o", "-"]);
    let output = command.stdin(Stdio::null()).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn checksums_are_those_of_sha256sum() {
    let Some(sha256sum) = tools::tool("sha256sum") else { return };
    let state = State::two_images();
    let out = out(&state.ocirepo);
    for (name, args) in [
        ("images.tar", &[][..]),
        ("of two words.tar", &["--type", "docker"]),
        ("packed.tar.zst", &["--compress", "zstd"]),
        ("back\\slash\nand line.tar", &["--type", "oci"]),
    ] {
        let printed = run(&state.ocirepo, &out.join(name), &[args, &["--sums"]].concat()).json();
        let sums = out.join(format!("{name}.sha256"));
        let line = fs::read_to_string(&sums).unwrap();
        assert!(line.contains(printed["files"][0]["sha256"].as_str().unwrap()), "{line}");
        let mut command = std::process::Command::new(&sha256sum);
        let output = command.args(["--strict", "-c"]).arg(&sums).current_dir(&out).output().unwrap();
        assert!(output.status.success(), "{name:?}: {line}{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(names(&out).len(), 8);
}

#[test]
fn a_compressed_archive_is_the_same_however_many_work_on_it() {
    let mut state = State::new();
    let large = ImageSpec::seeded("large").noise_layer(1, 9_000_000).build();
    state.layout.full_image(&large, A).full_image(&image("b"), B).write_index();
    let (plain, path) = (export(&state.ocirepo, &[]), state.ocirepo.scratch("packed"));
    for how in ["gzip", "zstd", "gzip:9", "zstd:19"] {
        let packed = |jobs: &str| {
            run(&state.ocirepo, &path, &["--compress", how, "-j", jobs]).ok();
            fs::read(&path).unwrap()
        };
        let first = packed("1");
        assert!(packed("8") == first, "{how}");
        let compression = Compression::of(&first);
        assert_eq!(compression, if how.starts_with("gzip") { Compression::Gzip } else { Compression::Zstd });
        assert!(compression.unpack(&first) == plain.bytes, "{how}");
        let again = add(&first, "full");
        assert!(export(&again, &[]).bytes == plain.bytes, "{how}");
    }
}

/// Two encoders are at work then, and the outer one has to read what the inner one waits to give away.
#[test]
fn layers_are_compressed_in_an_archive_that_is_compressed_too() {
    let mut state = State::new();
    let large = ImageSpec::seeded("large").noise_layer(1, 30_000_000).noise_layer(2, 3_000_000).build();
    state.layout.full_image(&large, A).write_index();
    let form = ["--type", "docker", "--layers", "gzip:1"];
    let (plain, path) = (export(&state.ocirepo, &form), state.ocirepo.scratch("packed"));
    run(&state.ocirepo, &path, &[&form[..], &["--compress", "gzip:1", "-j", "2"]].concat()).ok();
    assert!(Compression::Gzip.unpack(&fs::read(&path).unwrap()) == plain.bytes);
}

/// From read-only media, and by whoever may only read.
#[test]
fn exporting_changes_nothing_in_the_repository() {
    let unprivileged = Unprivileged::new();
    let ocirepo = &unprivileged.ocirepo;
    ocirepo.run(&["init"]).ok();
    let archive = export(&State::two_images().ocirepo, &[]).bytes;
    ocirepo.run_with_stdin(&["add", "-"], archive).ok();
    for has_own in [true, false] {
        if !has_own {
            fs::remove_dir_all(ocirepo.dir().join(".ocirepo")).unwrap();
        }
        set_modes(ocirepo.dir(), 0o555, 0o444);
        let before = tree(ocirepo.dir());
        for form in TYPES {
            let path = ocirepo.scratch("tmp/out.tar");
            unprivileged.run(&["export", "--type", form, "-o", path.to_str().unwrap()]).ok();
            assert!(
                fs::read(&path).unwrap() == export(&State::two_images().ocirepo, &["--type", form]).bytes
            );
            assert_eq!(names(&ocirepo.scratch("tmp")), ["out.tar"]);
            // It belongs to another.
            fs::remove_file(&path).unwrap();
        }
        assert_eq!(tree(ocirepo.dir()), before);
        set_modes(ocirepo.dir(), 0o755, 0o644);
    }
}

/// A copy on the side would show in the directory for temporary files.
#[test]
fn nothing_is_written_but_the_archive() {
    let state = State::two_images();
    let (out, repository) = (out(&state.ocirepo), tree(state.dir()));
    for form in TYPES {
        run(&state.ocirepo, &out.join("images.tar"), &["--type", form]).ok();
        assert_eq!(names(&out), ["images.tar"]);
        assert_eq!(names(&state.ocirepo.scratch("tmp")), [] as [&str; 0]);
    }
    assert_eq!(tree(state.dir()), repository);
}

/// The documents of the repository are no place for an archive.
#[test]
fn an_archive_does_not_replace_a_part_of_the_repository() {
    let state = State::two_images();
    symlink(state.dir().join("index.json"), state.ocirepo.scratch("link")).unwrap();
    for path in ["index.json", "oci-layout", "blobs/sha256/x.tar", "../link", "../repo/index.json"] {
        let before = state.tree().without_own();
        for verb in ["export", "inventory"] {
            let output = state.ocirepo.run(&[verb, "-o", path]);
            state.tree().without_own().assert_is(&before);
            output.fails_with(2).says("a part of the repository");
        }
    }
}
