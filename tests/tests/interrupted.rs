//! SIGINT, SIGTERM and SIGHUP: what was staged goes, what is under way is not torn, one line says what state things
//! are in, and the process dies of the signal.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::fs;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::thread;
use std::time::Duration;

use ocirepo_tests::archive;
use ocirepo_tests::checker::check;
use ocirepo_tests::cli::{Ocirepo, Output, Running};
use ocirepo_tests::descriptor::full_named;
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::layout::Layout;
use ocirepo_tests::patience::until;
use ocirepo_tests::snapshot::{Snapshot, debris};
use ocirepo_tests::tools::strace;

const SIGNALS: [(&str, i32); 3] = [("INT", 2), ("TERM", 15), ("HUP", 1)];

const APP: &str = "docker.io/test/app:1";

/// A repository with one image, and an archive with another.
fn repository() -> (Ocirepo, Vec<u8>) {
    let ocirepo = Ocirepo::new();
    Layout::create(ocirepo.dir()).full_image(&image("there"), "docker.io/test/there:1").write_index();
    ocirepo.run(&["tag", "test/there:1", "test/first:1"]).ok();
    (ocirepo, archive::oci_archive(&[(&image("new"), &[APP])], full_named).to_bytes())
}

fn image(seed: &str) -> Image {
    ImageSpec::seeded(seed).noise_layer(1, 300_000).build()
}

fn send(pid: u32, signal: &str) {
    let kill = format!("kill -{signal} {pid}");
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

/// A command that is given half of an archive and waits for the rest.
fn stuck(ocirepo: &Ocirepo, args: &[&str], bytes: &[u8]) -> (Running, ChildStdin) {
    let (running, mut stdin) = ocirepo.spawn_with_pipe(args);
    stdin.write_all(&bytes[..bytes.len() / 2]).unwrap();
    (running, stdin)
}

/// The process that a command has started.
fn child_of(running: &Running) -> u32 {
    let children = format!("/proc/{0}/task/{0}/children", running.pid());
    fs::read_to_string(children).unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

#[track_caller]
fn died_of(output: &Output, signal: i32, line: &str) {
    assert_eq!(output.status.signal(), Some(signal), "{output:?}");
    let told: Vec<&str> = output.stderr.lines().filter(|line| line.starts_with("interrupted")).collect();
    assert_eq!(told, [line], "{output:?}");
    assert!(!output.stderr.contains("error:"), "{output:?}");
}

#[test]
fn an_interrupted_add_takes_its_staging_along_and_leaves_the_repository_as_it_was() {
    for (name, number) in SIGNALS {
        let (ocirepo, bytes) = repository();
        let before = Snapshot::of(ocirepo.dir());
        let (add, _stdin) = stuck(&ocirepo, &["add", "-"], &bytes);
        until("something is staged", || !debris(ocirepo.dir()).is_empty());
        send(add.pid(), name);
        died_of(&add.wait(), number, "interrupted: the repository is as it was");
        assert_eq!(debris(ocirepo.dir()), [].into(), "{name}");
        before.assert_same(ocirepo.dir(), name);
        ocirepo.run_with_stdin(&["add", "-"], bytes).ok();
    }
}

#[test]
fn shells_see_the_codes_that_they_expect() {
    for (name, number) in SIGNALS {
        let (ocirepo, bytes) = repository();
        let script = format!("'{}' add -; echo code $?", ocirepo.program().display());
        let sh = Ocirepo::with_program("/bin/sh").in_dir(ocirepo.dir());
        let (running, _stdin) = stuck(&sh, &["-c", &script], &bytes);
        until("something is staged", || !debris(ocirepo.dir()).is_empty());
        send(child_of(&running), name);
        let output = running.wait();
        assert!(output.stdout.contains(&format!("code {}", 128 + number)), "{output:?}");
    }
}

#[test]
fn what_was_added_before_the_interruption_stays() {
    let (ocirepo, bytes) = repository();
    let (first, list) = (ocirepo.scratch("first.tar"), ocirepo.scratch("list"));
    fs::write(&first, &bytes).unwrap();
    fs::write(&list, format!("{}\n-\n", first.display())).unwrap();
    let (add, _stdin) = stuck(&ocirepo, &["add", "-f", list.to_str().unwrap()], &bytes);
    until("the second is staged", || {
        !debris(ocirepo.dir()).is_empty() && ocirepo.run(&["ls", "--names"]).stdout.contains(APP)
    });
    send(add.pid(), "INT");
    died_of(&add.wait(), 2, "interrupted: what was added before stays, and nothing of the rest came in");
    assert_eq!(debris(ocirepo.dir()), [].into());
    ocirepo.run(&["inspect", APP]).ok();
    assert_eq!(check(ocirepo.dir()).problems, [""; 0]);
}

#[test]
fn what_only_looks_leaves_no_temporary_files() {
    let (ocirepo, bytes) = repository();
    let temporary = ocirepo.scratch("tmp");
    for args in [&["verify", "-"][..], &["add", "-", "--dry-run"], &["ls", "-"]] {
        let (running, _stdin) = stuck(&ocirepo, args, &bytes);
        until("something is staged", || !is_empty(&temporary));
        send(running.pid(), "TERM");
        died_of(&running.wait(), 15, "interrupted: the repository is as it was");
        assert!(is_empty(&temporary), "{args:?}");
    }
}

#[test]
fn whoever_waits_for_a_lock_can_be_interrupted() {
    let (ocirepo, bytes) = repository();
    let (add, stdin) = stuck(&ocirepo, &["add", "-"], &bytes);
    until("something is staged", || !debris(ocirepo.dir()).is_empty());
    let gc = ocirepo.spawn(&["gc"]);
    thread::sleep(Duration::from_millis(300));
    send(gc.pid(), "INT");
    died_of(&gc.wait(), 2, "interrupted: the repository is as it was");
    let mut stdin = stdin;
    stdin.write_all(&bytes[bytes.len() / 2..]).unwrap();
    drop(stdin);
    add.wait().ok();
    ocirepo.run(&["inspect", APP]).ok();
}

#[test]
fn nohup_is_respected() {
    let (ocirepo, bytes) = repository();
    let script = format!("trap '' HUP; exec '{}' add -", ocirepo.program().display());
    let sh = Ocirepo::with_program("/bin/sh").in_dir(ocirepo.dir());
    let (add, mut stdin) = stuck(&sh, &["-c", &script], &bytes);
    until("something is staged", || !debris(ocirepo.dir()).is_empty());
    send(add.pid(), "HUP");
    thread::sleep(Duration::from_millis(100));
    stdin.write_all(&bytes[bytes.len() / 2..]).unwrap();
    drop(stdin);
    add.wait().ok();
    ocirepo.run(&["inspect", APP]).ok();
}

/// The process that strace has started, once it is held up in the one call that is delayed.
fn held_up(strace: &Path, ocirepo: &Ocirepo, call: &str, args: &[&str]) -> (Running, u32) {
    let log = ocirepo.scratch("strace");
    let delay = format!("inject={call}:delay_enter=3000000:when=1");
    let options = ["-e", &format!("trace={call}"), "-e", &delay, "-o", log.to_str().unwrap()];
    let running = ocirepo.spawn_traced(strace, &options, args);
    let name = call.trim_start_matches('?');
    until("the call is made", || fs::read_to_string(&log).is_ok_and(|log| log.contains(name)));
    let child = child_of(&running);
    (running, child)
}

#[test]
fn a_commit_that_is_under_way_is_brought_to_its_end() {
    let Some(strace) = strace() else { return };
    let (ocirepo, bytes) = repository();
    let source = ocirepo.scratch("source.tar");
    fs::write(&source, bytes).unwrap();
    let (add, pid) = held_up(&strace, &ocirepo, "?renameat2", &["add", source.to_str().unwrap()]);
    send(pid, "INT");
    let output = add.wait();
    assert_eq!(output.status.signal(), Some(2), "{output:?}");
    let output = output
        .says("interrupted: the change that is under way is brought to its end\n")
        .says("interrupted: what was added before stays");
    assert!(!output.stderr.contains("error:"), "{output:?}");
    ocirepo.run(&["inspect", APP]).ok();
    assert_eq!(debris(ocirepo.dir()), [].into());
    assert_eq!(check(ocirepo.dir()).problems, [""; 0]);
}

#[test]
fn the_second_signal_ends_it_at_once() {
    let Some(strace) = strace() else { return };
    let (ocirepo, bytes) = repository();
    let before = Layout::open(ocirepo.dir()).read_index();
    let source = ocirepo.scratch("source.tar");
    fs::write(&source, bytes).unwrap();
    let args = ["add", source.to_str().unwrap()];
    let (add, pid) = held_up(&strace, &ocirepo, "?renameat2", &args);
    send(pid, "INT");
    thread::sleep(Duration::from_millis(200));
    send(pid, "INT");
    let output = add.wait();
    assert_eq!(output.status.signal(), Some(2), "{output:?}");
    assert!(!output.stderr.contains("interrupted: what"), "{output:?}");
    assert_eq!(Layout::open(ocirepo.dir()).read_index(), before);
    ocirepo.run(&args).ok();
    assert_eq!(debris(ocirepo.dir()), [].into());
    assert_eq!(check(ocirepo.dir()).problems, [""; 0]);
}

#[test]
fn an_interrupted_export_leaves_no_half_file() {
    let Some(strace) = strace() else { return };
    let (ocirepo, _) = repository();
    let dir = ocirepo.scratch("out");
    fs::create_dir(&dir).unwrap();
    let out = dir.join("out.tar");
    let (export, pid) = held_up(&strace, &ocirepo, "fsync", &["export", "-o", out.to_str().unwrap()]);
    assert!(!is_empty(&dir), "the file is being written");
    send(pid, "TERM");
    died_of(&export.wait(), 15, "interrupted: nothing was exported");
    assert!(is_empty(&dir));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let (ocirepo, _) = repository();
    for args in ["ls", "ls --format json", "inspect test/first:1", "inventory", "--help"] {
        let script = format!("'{}' {args} | true", ocirepo.program().display());
        let sh = Ocirepo::with_program("/bin/sh").in_dir(ocirepo.dir());
        let output = sh.spawn_command(sh.command(&["-c", &script]).stdin(Stdio::null())).wait().ok();
        assert_eq!(output.stderr, "", "{args}");
    }
}
