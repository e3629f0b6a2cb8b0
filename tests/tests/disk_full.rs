//! A full disk: one clear message with the cure, exit code 1, and the repository as it was; then it goes on.
//!
//! Each test mounts a small tmpfs in a directory of its own and unmounts it again, which takes root. Where that is
//! not allowed the test says so and passes.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use ocirepo_tests::archive;
use ocirepo_tests::checker::check;
use ocirepo_tests::cli::{Ocirepo, Output};
use ocirepo_tests::descriptor::full_named;
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::layout::Layout;
use ocirepo_tests::snapshot::{Snapshot, debris};
use ocirepo_tests::tools::say;

/// A mounted tmpfs; dropping it unmounts it.
struct Mount {
    // In its own directory, which goes after the unmount.
    dir: tempfile::TempDir,
}

impl Mount {
    /// Mounts, or says why not.
    fn new(options: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir.path()).output();
        match mount {
            Ok(output) if output.status.success() => Some(Self { dir }),
            Ok(output) => {
                say(&format!(
                    "skipped: cannot mount a tmpfs: {}",
                    String::from_utf8_lossy(&output.stderr).trim()
                ));
                None
            }
            Err(error) => {
                say(&format!("skipped: cannot mount a tmpfs: {error}"));
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Takes all space but `free` bytes, as far as pages allow.
    fn fill(&self, free: u64) -> PathBuf {
        let path = self.path().join("filler");
        let mut file = File::create(&path).unwrap();
        let mut size = 0;
        loop {
            match file.write(&[b'x'; 4096]) {
                Ok(written) => size += written as u64,
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
        file.set_len(size.saturating_sub(free)).unwrap();
        path
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmount = |lazy: &[&str]| Command::new("umount").args(lazy).arg(self.dir.path()).status();
        if !unmount(&[]).is_ok_and(|status| status.success()) {
            let _ = unmount(&["-l"]);
        }
    }
}

/// A repository on the mount, of one small image; sources lie elsewhere.
fn repository(mount: &Mount) -> Ocirepo {
    let ocirepo = Ocirepo::new().in_dir(mount.path().join("repo"));
    fs::create_dir(ocirepo.dir()).unwrap();
    ocirepo.run(&["init"]).ok();
    let small = write(&ocirepo, "there", &image("there", 1, 1000));
    ocirepo.run(&["add", &small]).ok();
    ocirepo
}

fn image(seed: &str, layers: u64, layer_size: usize) -> Image {
    (0..layers).fold(ImageSpec::seeded(seed), |spec, layer| spec.noise_layer(layer, layer_size)).build()
}

fn write(ocirepo: &Ocirepo, name: &str, image: &Image) -> String {
    let reference = format!("docker.io/test/{name}:{name}");
    let path = ocirepo.scratch(&format!("{name}.tar"));
    fs::write(&path, archive::podman_save(&[(image, &[&reference])]).to_bytes()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[track_caller]
fn says_full(output: Output) {
    output.one_clear_error(1, &["disk is full", "free some space"]);
}

#[test]
fn an_add_that_does_not_fit() {
    let Some(mount) = Mount::new("size=2m") else { return };
    let ocirepo = repository(&mount);
    let large = write(&ocirepo, "large", &image("large", 4, 1_000_000));
    let fits = write(&ocirepo, "fits", &image("fits", 2, 100_000));
    let before = Snapshot::of(ocirepo.dir());

    says_full(ocirepo.run(&["add", &large]));
    before.assert_same(ocirepo.dir(), "an add that does not fit");
    says_full(ocirepo.run_with_stdin(&["add", "-"], fs::read(&large).unwrap()));
    before.assert_same(ocirepo.dir(), "an add that does not fit");

    ocirepo.run(&["add", &fits]).ok();
    ocirepo.run(&["verify"]).ok();
    check(ocirepo.dir()).assert_tidy();
    assert_eq!(check(ocirepo.dir()).names, ["docker.io/test/there:there", "docker.io/test/fits:fits"]);
}

#[test]
fn an_add_into_a_layout_that_another_tool_made() {
    let Some(mount) = Mount::new("size=2m") else { return };
    let ocirepo = Ocirepo::new().in_dir(mount.path().join("repo"));
    Layout::create(ocirepo.dir()).image(&image("old", 1, 1000), "old").write_index();
    let large = write(&ocirepo, "large", &image("large", 4, 1_000_000));
    let before = Snapshot::of(ocirepo.dir());
    says_full(ocirepo.run(&["add", &large]));
    before.assert_same(ocirepo.dir(), "an add that does not fit");
}

/// Of two sources the first fits: it stays, as it would without the second.
#[test]
fn the_second_of_two_sources_does_not_fit() {
    let Some(mount) = Mount::new("size=2m") else { return };
    let ocirepo = repository(&mount);
    let large = write(&ocirepo, "large", &image("large", 4, 1_000_000));
    let fits = write(&ocirepo, "fits", &image("fits", 2, 100_000));
    says_full(ocirepo.run(&["add", &fits, &large]));
    assert_eq!(check(ocirepo.dir()).names, ["docker.io/test/there:there", "docker.io/test/fits:fits"]);
    check(ocirepo.dir()).assert_tidy();
}

/// The fewer files a disk may hold, the earlier the names run out instead of the bytes.
#[test]
fn no_inodes_left() {
    let Some(mount) = Mount::new("size=4m,nr_inodes=48") else { return };
    let ocirepo = repository(&mount);
    let many = write(&ocirepo, "many", &image("many", 60, 100));
    let before = Snapshot::of(ocirepo.dir());
    says_full(ocirepo.run(&["add", &many]));
    before.assert_same(ocirepo.dir(), "an add that does not fit");
    let few = write(&ocirepo, "few", &image("few", 2, 100));
    ocirepo.run(&["add", &few]).ok();
    check(ocirepo.dir()).assert_tidy();
}

/// From no free page to enough of them, a command does all of its work or nothing; `undo` makes it possible again.
fn with_every_amount_of_free_space(command: &[&str], undo: &[&str]) {
    let Some(mount) = Mount::new("size=2m") else { return };
    let ocirepo = repository(&mount);
    // An index of several pages.
    let there = image("there", 1, 1000);
    let mut layout = Layout::open(ocirepo.dir());
    for number in 0..60 {
        layout.entry(full_named(there.descriptor(), &format!("docker.io/test/name{number}:t{number}")));
    }
    layout.write_index();
    let source = write(&ocirepo, "new", &image("new", 3, 3000));
    let command: Vec<_> =
        command.iter().map(|&word| if word == "SOURCE" { source.as_str() } else { word }).collect();
    let (mut successes, mut failures) = (0, 0);
    let mut left_behind = BTreeSet::new();
    for pages in 0..40 {
        let before = Snapshot::of(ocirepo.dir());
        let filler = mount.fill(pages * 4096);
        let output = ocirepo.run(&command);
        let ok = output.status.success();
        if ok {
            successes += 1;
        } else {
            failures += 1;
            let what = format!("{command:?} with {pages} pages");
            // Half-written files are told at the end, as what the repository holds matters more.
            left_behind.extend(debris(ocirepo.dir()));
            let same = |what| {
                Snapshot { debris: debris(ocirepo.dir()), ..before.clone() }.assert_same(ocirepo.dir(), what);
            };
            same(&what);
            says_full(output);
            // Nor does anything of it come later.
            ocirepo.run(&["ls", "--names"]).ok();
            same(&format!("{what}, then ls"));
        }
        // gc is how one gets space, so it must need none.
        ocirepo.run(&["gc"]).ok();
        fs::remove_file(filler).unwrap();
        ocirepo.run(&["verify"]).ok();
        check(ocirepo.dir()).assert_tidy();
        if ok {
            ocirepo.run(undo).ok();
            ocirepo.run(&["gc"]).ok();
        }
    }
    assert!(successes > 0, "{command:?} never succeeds");
    assert!(failures > 0, "{command:?} needs no space");
    assert_eq!(left_behind, BTreeSet::new(), "{command:?} leaves these behind when it fails");
}

#[test]
fn add_with_every_amount_of_free_space() {
    with_every_amount_of_free_space(&["add", "SOURCE"], &["rm", "test/new:new"]);
}

#[test]
fn tag_with_every_amount_of_free_space() {
    with_every_amount_of_free_space(&["tag", "test/there:there", "test/tagged:x"], &["rm", "test/tagged:x"]);
}

#[test]
fn rm_with_every_amount_of_free_space() {
    with_every_amount_of_free_space(
        &["rm", "test/there:there"],
        &["tag", "test/name0:t0", "test/there:there"],
    );
}

#[test]
fn conversion_with_every_amount_of_free_space() {
    with_every_amount_of_free_space(&["config", "ref-policy", "tag"], &["config", "ref-policy", "full"]);
}

#[test]
fn gc_makes_room_on_a_full_disk() {
    let Some(mount) = Mount::new("size=2m") else { return };
    let ocirepo = repository(&mount);
    let source = write(&ocirepo, "fits", &image("fits", 2, 300_000));
    ocirepo.run(&["add", &source]).ok();
    ocirepo.run(&["rm", "test/fits:fits"]).ok();
    mount.fill(0);
    let report = ocirepo.run(&["gc", "--format", "json"]).json();
    assert!(report["swept"]["bytes"].as_u64() > Some(600_000), "{report:#}");
    let smaller = write(&ocirepo, "smaller", &image("smaller", 1, 300_000));
    ocirepo.run(&["add", &smaller]).ok();
    check(ocirepo.dir()).assert_tidy();
}

#[test]
fn an_init_on_a_full_disk() {
    let Some(mount) = Mount::new("size=64k") else { return };
    let ocirepo = Ocirepo::new();
    let mut made = BTreeSet::new();
    for pages in 0..8 {
        let filler = mount.fill(pages * 4096);
        let dir = mount.path().join(format!("repo{pages}"));
        let output = ocirepo.run(&["init", dir.to_str().unwrap()]);
        fs::remove_file(&filler).unwrap();
        if output.status.success() {
            made.insert(pages);
        } else {
            says_full(output);
            // It is a repository or it is none; trying again makes it one.
            ocirepo.run(&["init", dir.to_str().unwrap()]).ok();
        }
        check(&dir).assert_tidy();
        fs::remove_dir_all(&dir).unwrap();
    }
    assert!(!made.contains(&0) && made.contains(&7), "{made:?}");
}

/// Nothing is left of an archive that does not fit, and what was there before stays.
#[test]
fn an_export_that_does_not_fit() {
    let Some(mount) = Mount::new("size=1m") else { return };
    let ocirepo = Ocirepo::new();
    ocirepo.run(&["init"]).ok();
    let large = write(&ocirepo, "large", &image("large", 3, 1_000_000));
    ocirepo.run(&["add", &large]).ok();
    let path = mount.path().join("images.tar");
    let args = ["export", "--sums", "-o", path.to_str().unwrap()];
    let before = Snapshot::of(ocirepo.dir());
    for extra in [&[][..], &["--compress", "zstd"], &["--type", "docker"], &["--volume-size", "700kB"]] {
        says_full(ocirepo.run(&[&args, extra].concat()));
        assert_eq!(fs::read_dir(mount.path()).unwrap().count(), 0, "{extra:?}");
        fs::write(&path, "older").unwrap();
        says_full(ocirepo.run(&[&args, extra].concat()));
        assert_eq!(fs::read_dir(mount.path()).unwrap().count(), 1, "{extra:?}");
        assert_eq!(fs::read(&path).unwrap(), b"older");
        fs::remove_file(&path).unwrap();
    }
    before.assert_same(ocirepo.dir(), "an export that does not fit");
}

/// From no free page to enough of them, files are there whole or not at all.
#[test]
fn export_with_every_amount_of_free_space() {
    let Some(mount) = Mount::new("size=1m") else { return };
    let ocirepo = Ocirepo::new();
    ocirepo.run(&["init"]).ok();
    let small = write(&ocirepo, "small", &image("small", 2, 3000));
    ocirepo.run(&["add", &small]).ok();
    let expected = ocirepo.run(&["export", "-o", "-"]).ok().bytes;
    let path = mount.path().join("images.tar");
    let (mut successes, mut failures) = (0, 0);
    for pages in 0..10 {
        let filler = mount.fill(pages * 4096);
        let output = ocirepo.run(&["export", "--sums", "-o", path.to_str().unwrap()]);
        fs::remove_file(filler).unwrap();
        let left = fs::read_dir(mount.path()).unwrap().count();
        if output.status.success() {
            successes += 1;
            assert_eq!(left, 2, "{pages} pages");
        } else {
            failures += 1;
            says_full(output);
            assert_eq!(left, 0, "{pages} pages");
        }
        if path.exists() {
            assert!(fs::read(&path).unwrap() == expected, "{pages} pages: half an archive");
            fs::remove_file(&path).unwrap();
            let _ = fs::remove_file(mount.path().join("images.tar.sha256"));
        }
    }
    assert!(successes > 0 && failures > 0, "{successes} times there was space, {failures} times not");
}
