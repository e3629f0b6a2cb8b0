//! What is promised of a program under ptrace, tried on shells.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::{Call, Name, Process, Verdict, Watcher, available, run, run_within};

/// Counts the calls of one name that are about files of one directory, and has a say in one of them.
struct Counting<'a> {
    name: Name,
    dir: &'a Path,
    seen: usize,
    results: Vec<i64>,
    at: usize,
    verdict: Verdict,
}

impl<'a> Counting<'a> {
    fn new(name: Name, dir: &'a Path, at: usize, verdict: Verdict) -> Self {
        Self { name, dir, seen: 0, results: Vec::new(), at, verdict }
    }

    fn is_meant(&self, call: &Call, process: &Process) -> bool {
        let is_inside =
            |paths: Vec<_>| paths.iter().any(|path: &std::path::PathBuf| path.starts_with(self.dir));
        call.name == self.name && call.paths(process).is_ok_and(is_inside)
    }
}

impl Watcher for Counting<'_> {
    fn enter(&mut self, call: &Call, process: &Process) -> Verdict {
        if !self.is_meant(call, process) {
            return Verdict::Go;
        }
        self.seen += 1;
        if self.seen == self.at { self.verdict } else { Verdict::Go }
    }

    fn exit(&mut self, call: &Call, result: i64, process: &Process) {
        if self.is_meant(call, process) {
            self.results.push(result);
        }
    }
}

fn shell(script: &str, dir: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).current_dir(dir).env("PATH", std::env::var_os("PATH").unwrap());
    command
}

fn scratch() -> Option<tempfile::TempDir> {
    match available() {
        Ok(()) => Some(tempfile::tempdir().unwrap()),
        Err(why) => {
            ocirepo_tests::tools::say(&format!("skipped: {why}"));
            None
        }
    }
}

#[test]
fn the_calls_of_the_program_are_seen_with_their_files_and_results() {
    let Some(dir) = scratch() else { return };
    let mut writes = Counting::new(Name::Write, dir.path(), 0, Verdict::Go);
    let ended =
        run(&shell("echo a > file; echo bc >> file; echo said; exit 7", dir.path()), &mut writes).unwrap();
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(7), "said\n"));
    assert_eq!((writes.seen, writes.results), (2, vec![2, 3]));
}

#[test]
fn a_call_can_be_made_to_fail() {
    let Some(dir) = scratch() else { return };
    let mut opens = Counting::new(Name::Openat, dir.path(), 2, Verdict::Fail(Errno::ENOSPC));
    let script = "echo a > one; (echo b > two) || echo c > three";
    let ended = run(&shell(script, dir.path()), &mut opens).unwrap();
    assert_eq!(ended.code(), Some(0));
    assert!(ended.stderr.contains("No space left on device"), "{ended:?}");
    assert_eq!(opens.results[1], -i64::from(Errno::ENOSPC as i32));
    assert!(!dir.path().join("two").exists());
    assert_eq!(std::fs::read(dir.path().join("three")).unwrap(), b"c\n");
}

#[test]
fn a_call_at_which_the_program_is_killed_does_not_happen() {
    let Some(dir) = scratch() else { return };
    let mut opens = Counting::new(Name::Openat, dir.path(), 2, Verdict::Kill);
    let ended = run(&shell("echo a > one; echo b > two; echo c > three", dir.path()), &mut opens).unwrap();
    assert!(ended.is_killed(), "{ended:?}");
    assert_eq!(std::fs::read(dir.path().join("one")).unwrap(), b"a\n");
    assert!(!dir.path().join("two").exists() && !dir.path().join("three").exists());
}

#[test]
fn what_a_program_starts_is_seen_and_ends_with_it() {
    let Some(dir) = scratch() else { return };
    let mut writes = Counting::new(Name::Write, dir.path(), 2, Verdict::Kill);
    let start = Instant::now();
    let ended = run(&shell("(echo a > one); sleep 50 & echo b > two", dir.path()), &mut writes).unwrap();
    assert!(ended.is_killed() && start.elapsed() < Duration::from_secs(40), "{ended:?}");
    assert_eq!(writes.results, [2]);
}

/// cargo's test program has a thread for each test: this one runs it again, for nothing but a few threads.
#[test]
fn all_threads_are_seen() {
    let Some(dir) = scratch() else { return };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "trace::tests::threads_that_write", "--ignored", "--nocapture"]);
    command.current_dir(dir.path()).env("TMPDIR", dir.path());
    let mut writes = Counting::new(Name::Write, dir.path(), 0, Verdict::Go);
    let ended = run(&command, &mut writes).unwrap();
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    assert_eq!(writes.results, [3; 400]);
    let mut writes = Counting::new(Name::Write, dir.path(), 200, Verdict::Kill);
    assert!(run(&command, &mut writes).unwrap().is_killed());
}

#[test]
#[ignore = "is what another test looks at"]
fn threads_that_write() {
    use std::io::Write as _;
    std::thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || {
                let mut file = std::fs::File::create(format!("of{number}")).unwrap();
                (0..100).for_each(|_| file.write_all(b"abc").unwrap());
            });
        }
    });
}

#[test]
fn a_program_that_hangs_is_ended() {
    let Some(dir) = scratch() else { return };
    let mut nothing = Counting::new(Name::Write, dir.path(), 0, Verdict::Go);
    let limit = Duration::from_millis(200);
    let error =
        run_within(&shell("echo begun; exec sleep 600", dir.path()), &mut nothing, limit).unwrap_err();
    assert!(error.to_string().contains("did not end within 0.2 s\nbegun"), "{error:#}");
}

#[test]
fn a_program_that_is_not_there_is_an_error() {
    let Some(dir) = scratch() else { return };
    let mut nothing = Counting::new(Name::Write, dir.path(), 0, Verdict::Go);
    let error = run(&Command::new(dir.path().join("nothing")), &mut nothing).unwrap_err();
    assert!(format!("{error:#}").contains("cannot be started"), "{error:#}");
}
