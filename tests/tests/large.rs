//! Layers of any size go in with little memory, from a pipe and from a file, and out again; and sizes are read
//! however they are written.
//!
//! `OCIREPO_TEST_GIB=10 cargo test --test large` uses a layer of 10 GiB, for which there must be 12 GB of free
//! space in the directory for temporary files; by default it has 192 MiB. `cargo xtask large` does that with
//! the release build.

use std::env;
use std::fs;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::process::{ChildStdin, Command};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use flate2::write::GzEncoder;
use ocirepo_tests::cli::{Ocirepo, Output};
use ocirepo_tests::compress::zstd_long;
use ocirepo_tests::headers::{Head, SizeField, Style};
use ocirepo_tests::image::ImageSpec;
use ocirepo_tests::large::{Filling, LargeArchive};
use ocirepo_tests::layout::Layout;
use ocirepo_tests::memory::wait_measured;
use ocirepo_tests::tools::say;
use ocirepo_tests::{archive, snapshot};

const MIB: u64 = 1 << 20;
/// What any archive may take.
const PLAIN: u64 = 64 * MIB;
/// What an archive may take whose packing looks back over 128 MiB.
const LONG_WINDOW: u64 = 192 * MIB;
const NINE_GIB: u64 = 9 << 30;

/// One layer at a time, so that the space for one is enough.
static TURN: Mutex<()> = Mutex::new(());

fn layer_bytes() -> u64 {
    let gib = env::var("OCIREPO_TEST_GIB").ok();
    gib.map_or(192 * MIB, |gib| gib.parse::<u64>().expect("OCIREPO_TEST_GIB is a whole number") << 30)
}

fn repository() -> Ocirepo {
    let minutes = 2 + 2 * (layer_bytes() >> 30);
    let ocirepo = Ocirepo::new().time_limit(Duration::from_secs(60 * minutes));
    ocirepo.run(&["init"]).ok();
    ocirepo
}

/// A repository, and the path of an archive on the disk that has nothing but zeros in its layer.
fn repository_and_file(large: &LargeArchive) -> (Ocirepo, String) {
    let ocirepo = repository();
    let path = ocirepo.scratch("large.tar");
    large.write_sparse(&path).expect("the file can be written");
    (ocirepo, path.to_str().expect("test paths are UTF-8").to_owned())
}

/// Adds an archive that `write` writes into a pipe; it must go in whole and within that much memory.
fn streams_in(
    large: &LargeArchive,
    limit: u64,
    write: impl FnOnce(&LargeArchive, ChildStdin) -> io::Result<()> + Send,
) {
    let ocirepo = repository();
    let (running, stdin) = ocirepo.spawn_with_pipe(&["add", "-"]);
    let (written, output, peak) = thread::scope(|scope| {
        let writer = scope.spawn(|| write(large, stdin));
        let (output, peak) = wait_measured(running);
        (writer.join().expect("the writer does not panic"), output, peak)
    });
    went_in(&ocirepo, large, output);
    written.expect("the stream is read to its end");
    assert_within(peak, limit);
}

fn assert_within(peak: Option<u64>, limit: u64) {
    let Some(peak) = peak else { return say("skipped: the system does not tell how much memory was used") };
    say(&format!("{} MiB of memory for a layer of {} MiB", peak / MIB, layer_bytes() / MIB));
    assert!(peak < limit, "{} MiB, more than {} MiB", peak / MIB, limit / MIB);
}

#[track_caller]
fn went_in(ocirepo: &Ocirepo, large: &LargeArchive, output: Output) {
    output.ok();
    let inspected = ocirepo.run(&["inspect", LargeArchive::NAME, "--format", "json"]).json();
    assert_eq!(inspected["digest"], large.digest());
    let blob =
        fs::metadata(Layout::open(ocirepo.dir()).blob_path(large.layer())).expect("the layer is there");
    assert_eq!(blob.len(), large.layer_size());
    assert_eq!(snapshot::debris(ocirepo.dir()), [].into());
    ocirepo.run(&["verify", "--quick"]).ok();
}

#[test]
fn a_large_layer_from_a_pipe() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let large = LargeArchive::new(layer_bytes(), Filling::Noise, SizeField::Pax);
    streams_in(&large, PLAIN, |large, mut pipe| large.write_to(&mut pipe));
}

#[test]
fn a_large_layer_from_a_file() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let large = LargeArchive::new(layer_bytes(), Filling::Zeros, SizeField::Base256);
    let (ocirepo, path) = repository_and_file(&large);
    let running = ocirepo.spawn(&["add", &path]);
    let (output, peak) = wait_measured(running);
    went_in(&ocirepo, &large, output);
    assert_within(peak, PLAIN);
}

#[test]
fn a_large_layer_in_gzip() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let large = LargeArchive::new(layer_bytes(), Filling::Zeros, SizeField::Base256);
    streams_in(&large, PLAIN, |large, pipe| {
        let mut encoder = GzEncoder::new(pipe, flate2::Compression::fast());
        large.write_to(&mut encoder)?;
        encoder.finish().map(drop)
    });
}

#[test]
fn a_large_layer_in_zstd_with_a_long_window() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let large = LargeArchive::new(layer_bytes(), Filling::Noise, SizeField::Pax);
    streams_in(&large, LONG_WINDOW, |large, pipe| {
        let mut encoder = zstd_long(pipe)?;
        large.write_to(&mut encoder)?;
        encoder.finish().map(drop)
    });
}

/// Compressing on the way in works on several blocks at once, but on few.
#[test]
fn a_large_layer_compressed_on_the_way() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let large = LargeArchive::new(layer_bytes(), Filling::Zeros, SizeField::Base256);
    // Eight encoders: gzip works on blocks of 1 MiB, zstd on 8 MiB, eleven of them, and 4 MiB an encoder.
    for (layers, limit) in [("gzip", PLAIN), ("zstd", PLAIN + (11 * 8 + 8 * 4) * MIB)] {
        let (ocirepo, path) = repository_and_file(&large);
        let (output, peak) = wait_measured(ocirepo.spawn(&["add", &path, "--layers", layers, "-j", "8"]));
        output.ok();
        assert_within(peak, limit);
        let inspected = ocirepo.run(&["inspect", LargeArchive::NAME, "--format", "json"]).json();
        let stored = inspected["layers"][0]["size"].as_u64().expect("a layer has a size");
        assert!(stored < large.layer_size() / 50, "{layers}: {stored}");
        ocirepo.run(&["verify"]).ok();
    }
}

/// Going out: nothing is written but the archive, which goes nowhere here, as there may be no space for it.
#[test]
fn a_large_layer_goes_out() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let large = LargeArchive::new(layer_bytes(), Filling::Zeros, SizeField::Base256);
    let (ocirepo, path) = repository_and_file(&large);
    ocirepo.run(&["add", &path]).ok();
    fs::remove_file(&path).expect("it is our own");
    let before = snapshot::tree(ocirepo.dir());
    let ocirepo = ocirepo.env("TMPDIR", "/nonexistent");
    for (args, limit) in [
        (&[][..], PLAIN),
        (&["--type", "docker"], PLAIN),
        (&["--compress", "gzip", "-j", "8"], PLAIN),
        // Eight encoders work on eleven blocks of 8 MiB, and take 4 MiB each.
        (&["--compress", "zstd", "-j", "8"], PLAIN + (11 * 8 + 8 * 4) * MIB),
    ] {
        let args = [&["export", "-o", "/dev/null", "--format", "json"], args].concat();
        let (output, peak) = wait_measured(ocirepo.spawn(&args));
        let bytes = output.json()["bytes"].as_u64().expect("an archive has a size");
        assert!(args.contains(&"--compress") || bytes > large.layer_size(), "{args:?}: {bytes}");
        assert_within(peak, limit);
        assert_eq!(snapshot::tree(ocirepo.dir()), before, "{args:?}");
    }
}

/// A compressed layer goes out uncompressed in one pass, its size filled in behind it; beyond 8 GiB that takes
/// more room than was left.
#[test]
fn a_large_layer_is_unpacked_on_the_way_out() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let large = LargeArchive::new(layer_bytes(), Filling::Zeros, SizeField::Base256);
    let (ocirepo, path) = repository_and_file(&large);
    ocirepo.run(&["add", &path, "--layers", "gzip"]).ok();
    fs::remove_file(&path).expect("it is our own");
    let running = ocirepo.spawn(&["export", "--type", "docker", "-o", &path]);
    let (output, peak) = wait_measured(running);
    output.ok();
    assert_within(peak, PLAIN);
    assert!(fs::metadata(&path).expect("it was written").len() > large.layer_size());
    ocirepo.run(&["verify", &path]).ok();
    let listed = Command::new("tar").args(["tvf", &path]).output().expect("tar is everywhere");
    let size = format!(" {} ", large.layer_size());
    assert!(listed.status.success() && String::from_utf8_lossy(&listed.stdout).contains(&size));
}

/// Every way to write the size of a member, on small ones.
#[test]
fn sizes_are_read_however_they_are_written() {
    let image = ImageSpec::seeded("a").noise_layer(1, 10_000).build();
    let tarball = archive::docker_save(&[(&image, &["docker.io/library/a:1"])]);
    for style in [Style::Ustar, Style::Gnu, Style::Pax] {
        for sizes in [SizeField::Octal, SizeField::Base256, SizeField::Pax] {
            let ocirepo = repository();
            let bytes = tarball.clone().style(style).sizes(sizes).to_bytes();
            let path = ocirepo.scratch("a.tar");
            fs::write(&path, &bytes).expect("the archive can be written");
            let from_file =
                ocirepo.run(&["add", path.to_str().expect("test paths are UTF-8"), "--format", "json"]);
            assert_eq!(
                from_file.json()["images"][0]["digest"],
                image.unpacked().digest(),
                "{style:?} {sizes:?}"
            );
            let from_pipe = ocirepo.run_with_stdin(&["add", "-", "--format", "json"], bytes).json();
            assert_eq!(from_pipe["images"][0]["digest"], image.unpacked().digest(), "{style:?} {sizes:?}");
        }
    }
}

/// A member of 9 GiB in front that no image names: in a file it is stepped over, whichever way its size is written.
#[test]
fn nine_gib_that_nobody_needs() {
    let image = ImageSpec::seeded("a").build();
    let rest = archive::docker_save(&[(&image, &["docker.io/library/a:1"])]).to_bytes();
    for (style, sizes) in [(Style::Ustar, SizeField::Pax), (Style::Gnu, SizeField::Base256)] {
        let ocirepo = repository();
        let path = ocirepo.scratch("a.tar");
        let mut file = fs::File::create(&path).expect("the file can be made");
        file.write_all(&Head::file("unneeded", NINE_GIB).to_bytes(style, sizes)).expect("it can be written");
        file.seek(SeekFrom::Current(NINE_GIB.cast_signed())).expect("a file can be this large");
        file.write_all(&rest).expect("it can be written");
        let added =
            ocirepo.run(&["add", path.to_str().expect("test paths are UTF-8"), "--format", "json"]).json();
        assert_eq!(added["images"][0]["digest"], image.unpacked().digest(), "{style:?} {sizes:?}");
        ocirepo.run(&["verify"]).ok();
    }
}

/// A stream that announces 9 GiB and has less is cut off, and leaves nothing.
#[test]
fn nine_gib_that_never_come() {
    for (style, sizes) in [(Style::Ustar, SizeField::Pax), (Style::Gnu, SizeField::Base256)] {
        let ocirepo = repository();
        let before = snapshot::Snapshot::of(ocirepo.dir());
        let mut bytes = Head::file("a/layer.tar", NINE_GIB).to_bytes(style, sizes);
        bytes.resize(bytes.len() + 100_000, b'x');
        let path = ocirepo.scratch("short.tar");
        fs::write(&path, &bytes).expect("the archive can be written");
        ocirepo.run_with_stdin(&["add", "-"], bytes).one_clear_error(4, &["a/layer.tar"]);
        ocirepo
            .run(&["add", path.to_str().expect("test paths are UTF-8")])
            .one_clear_error(4, &["short.tar"]);
        before.assert_same(ocirepo.dir(), "add");
    }
}
