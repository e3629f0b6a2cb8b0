//! Who waits for whom, and what becomes of it: gc beside adds that overlap, holders of locks that are stopped or die,
//! file systems without locks, and directories of somebody else.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use ocirepo_tests::archive;
use ocirepo_tests::checker::check;
use ocirepo_tests::cli::{Ocirepo, Output, Running};
use ocirepo_tests::descriptor::full_named;
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::layout::Layout;
use ocirepo_tests::patience::{PATIENCE, until};
use ocirepo_tests::snapshot::{Snapshot, debris};
use ocirepo_tests::tools::{say, strace};
use ocirepo_tests::unprivileged::{Unprivileged, set_modes};

/// A repository of one image under `count` names. The more there are, the longer a look at them takes.
fn repository(count: usize) -> Ocirepo {
    let ocirepo = Ocirepo::new();
    let image = ImageSpec::seeded("there").build();
    let mut layout = Layout::create(ocirepo.dir());
    layout.blobs_of(image.blobs());
    for number in 0..count {
        layout.entry(full_named(image.descriptor(), &there(number)));
    }
    layout.write_index();
    // The first writer makes the lock files.
    ocirepo.run(&["tag", &there(0), "test/first:1"]).ok();
    ocirepo
}

fn there(number: usize) -> String {
    format!("docker.io/test/there:{number}")
}

fn image(number: u64) -> Image {
    ImageSpec::seeded(&format!("image {number}")).noise_layer(number + 1, 300_000).build()
}

/// An `add -` that is given half of its archive, and the rest when it shall end.
struct SlowAdd {
    running: Running,
    name: String,
    rest: Sender<()>,
}

impl SlowAdd {
    fn start(ocirepo: &Ocirepo, number: u64) -> Self {
        use std::io::Write as _;
        let name = format!("docker.io/test/slow:{number}");
        let image = image(number);
        let mut bytes = archive::oci_archive(&[(&image, &[name.as_str()])], full_named).to_bytes();
        let second = bytes.split_off(bytes.len() / 2);
        let (running, mut stdin) = ocirepo.spawn_with_pipe(&["add", "-"]);
        let (rest, wanted) = channel();
        // On a thread: one that queues for the lock reads nothing.
        thread::spawn(move || {
            if stdin.write_all(&bytes).is_ok() && wanted.recv().is_ok() {
                let _ = stdin.write_all(&second);
            }
        });
        Self { running, name, rest }
    }

    /// The same, once it holds the lock.
    fn holding(ocirepo: &Ocirepo, number: u64) -> Self {
        let add = Self::start(ocirepo, number);
        let pid = format!("pid {}", add.running.pid());
        until("the add holds the lock", || {
            let output = ocirepo.run(&["gc", "--lock-timeout", "0"]);
            output.status.code() == Some(6) && output.stderr.contains(&pid)
        });
        add
    }

    #[track_caller]
    fn finish(self) -> String {
        self.rest.send(()).unwrap();
        self.running.wait().ok();
        self.name
    }
}

fn signal(running: &Running, name: &str) {
    let kill = format!("kill -{name} {}", running.pid());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
}

/// Ends soon and well.
#[track_caller]
fn has_its_turn(mut running: Running, what: &str) {
    until(what, || !running.is_running());
    running.wait().ok();
}

/// Ends within its time, with the pid and the verb of whoever keeps it waiting.
#[track_caller]
fn gives_up(ocirepo: &Ocirepo, args: &[&str], holder: &Running, verb: &str) {
    let start = Instant::now();
    let output = ocirepo.run(&[args, &["--lock-timeout", "1"]].concat());
    let waited = start.elapsed();
    output.one_clear_error(6, &[&format!("pid {}", holder.pid()), verb, "--lock-timeout"]);
    assert!(waited >= Duration::from_secs(1) && waited < PATIENCE, "{args:?}: {waited:?}");
}

/// Starts a command until it is stopped while it holds a lock alone.
fn stopped_while_holding(ocirepo: &Ocirepo, lock: &str, args: &[&str]) -> Running {
    let file = File::open(ocirepo.dir().join(".ocirepo").join(lock)).unwrap();
    let is_held = || match file.try_lock_shared() {
        Ok(()) => file.unlock().is_err(),
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(error)) => panic!("{error}"),
    };
    for _ in 0..100 {
        let mut running = ocirepo.spawn(args);
        while running.is_running() {
            if is_held() {
                signal(&running, "STOP");
                // It takes a moment, in which the lock may have been released.
                thread::sleep(Duration::from_millis(10));
                if is_held() && running.is_running() {
                    return running;
                }
                signal(&running, "CONT");
                break;
            }
            thread::sleep(Duration::from_micros(200));
        }
        running.wait().ok();
    }
    panic!("{args:?} never held {lock} for long enough");
}

/// Nothing is lost and nothing is left over.
#[track_caller]
fn assert_holds(ocirepo: &Ocirepo, count: usize, more: &[&str]) {
    ocirepo.run(&["gc"]).ok();
    let expected = (0..count).map(there).chain(more.iter().map(|name| format!("docker.io/test/{name}")));
    let report = check(ocirepo.dir());
    report.assert_tidy();
    let found: BTreeSet<_> = report.image_names.iter().cloned().collect();
    assert_eq!(found.len(), report.image_names.len(), "{:?}", report.image_names);
    let expected: BTreeSet<_> = expected.chain(["docker.io/test/first:1".to_owned()]).collect();
    assert_eq!(found, expected);
    assert_eq!(debris(ocirepo.dir()), BTreeSet::new());
    ocirepo.run(&["verify"]).ok();
}

/// At every moment one of the adds holds the shared lock; without the gate gc would never have it alone.
#[test]
fn gc_gets_its_turn_beside_adds_that_overlap() {
    const OVERLAP: usize = 4;
    let ocirepo = repository(1);
    let mut adds = VecDeque::new();
    let mut names = Vec::new();
    let mut number = 0;
    let mut go_on = || {
        adds.push_back(SlowAdd::start(&ocirepo, number));
        number += 1;
        thread::sleep(Duration::from_millis(200));
        if adds.len() > OVERLAP {
            names.push(adds.pop_front().unwrap().finish());
        }
    };
    (0..OVERLAP).for_each(|_| go_on());
    let mut gc = ocirepo.spawn(&["gc"]);
    let start = Instant::now();
    while gc.is_running() {
        assert!(start.elapsed() < PATIENCE, "gc starved");
        go_on();
    }
    gc.wait().ok();
    names.extend(adds.into_iter().map(SlowAdd::finish));
    let names: Vec<&str> = names.iter().map(|name| name.strip_prefix("docker.io/test/").unwrap()).collect();
    assert_holds(&ocirepo, 1, &names);
}

#[test]
fn an_add_that_dies_lets_gc_go_on_at_once() {
    let ocirepo = repository(1);
    let add = SlowAdd::holding(&ocirepo, 1);
    let mut gc = ocirepo.spawn(&["gc"]);
    thread::sleep(Duration::from_millis(100));
    assert!(gc.is_running());
    add.running.kill();
    has_its_turn(gc, "gc goes on");
    assert_holds(&ocirepo, 1, &[]);
}

/// gc keeps the gate while it waits; with it, the gate goes.
#[test]
fn a_gc_that_dies_while_it_waits_holds_nobody_up() {
    let ocirepo = repository(1);
    let add = SlowAdd::holding(&ocirepo, 1);
    let gc = ocirepo.spawn(&["gc"]);
    let gate = format!("pid {}", gc.pid());
    until("gc keeps others out", || {
        let output = ocirepo.run(&["rm", "test/not-there:1", "--lock-timeout", "0"]);
        output.status.code() == Some(6) && output.stderr.contains(&gate)
    });
    let mut queued = ocirepo.spawn(&["tag", &there(0), "test/queued:1"]);
    thread::sleep(Duration::from_millis(100));
    assert!(queued.is_running());
    gc.kill();
    has_its_turn(queued, "what queued goes on");
    add.finish();
    assert_holds(&ocirepo, 1, &["queued:1", "slow:1"]);
}

#[test]
fn a_stopped_add_keeps_gc_waiting_and_nobody_else() {
    let ocirepo = repository(1);
    let add = SlowAdd::holding(&ocirepo, 1);
    signal(&add.running, "STOP");
    gives_up(&ocirepo, &["gc"], &add.running, "add");
    ocirepo.run(&["tag", &there(0), "test/beside:1", "--lock-timeout", "1"]).ok();
    ocirepo.run(&["verify", "--lock-timeout", "1"]).ok();
    signal(&add.running, "CONT");
    add.finish();
    assert_holds(&ocirepo, 1, &["beside:1", "slow:1"]);
}

#[test]
fn a_writer_that_is_stopped_while_it_replaces_the_index() {
    const COUNT: usize = 2000;
    let ocirepo = repository(COUNT);
    let tag = stopped_while_holding(&ocirepo, "index.lock", &["tag", &there(0), "test/new:1"]);
    gives_up(&ocirepo, &["rm", &there(1)], &tag, "tag");
    ocirepo.run(&["ls", "--names"]).ok();
    ocirepo.run(&["verify", "--quick", "--lock-timeout", "1"]).ok();
    let waiting = ocirepo.spawn(&["tag", &there(0), "test/waited:1"]);
    signal(&tag, "CONT");
    tag.wait().ok();
    has_its_turn(waiting, "the next writer goes on");
    assert_holds(&ocirepo, COUNT, &["new:1", "waited:1"]);
}

#[test]
fn a_writer_that_dies_while_it_replaces_the_index() {
    const COUNT: usize = 2000;
    let ocirepo = repository(COUNT);
    let tag = stopped_while_holding(&ocirepo, "index.lock", &["tag", &there(0), "test/perhaps:1"]);
    let waiting = ocirepo.spawn(&["tag", &there(0), "test/waited:1"]);
    tag.kill();
    has_its_turn(waiting, "the next writer goes on");
    let there = check(ocirepo.dir()).image_names.iter().any(|name| name.ends_with("perhaps:1"));
    assert_holds(&ocirepo, COUNT, if there { &["waited:1", "perhaps:1"] } else { &["waited:1"] });
}

#[test]
fn a_gc_that_is_stopped_at_work() {
    const COUNT: usize = 2000;
    let ocirepo = repository(COUNT);
    let gc = stopped_while_holding(&ocirepo, "lock", &["gc"]);
    gives_up(&ocirepo, &["tag", &there(0), "test/new:1"], &gc, "gc");
    gives_up(&ocirepo, &["gc"], &gc, "gc");
    gives_up(&ocirepo, &["verify"], &gc, "gc");
    ocirepo.run(&["ls", "--names"]).ok();
    let waiting = ocirepo.spawn(&["tag", &there(0), "test/waited:1"]);
    signal(&gc, "CONT");
    gc.wait().ok();
    has_its_turn(waiting, "a writer goes on");
    assert_holds(&ocirepo, COUNT, &["waited:1"]);
}

/// Runs a command on a file system that has no `flock`, or as good as that.
fn without_flock(ocirepo: &Ocirepo, strace: &std::path::Path, error: &str, args: &[&str]) -> Output {
    let inject = format!("inject=flock:error={error}");
    ocirepo.spawn_traced(strace, &["-e", "trace=flock", "-e", &inject], args).wait()
}

#[test]
fn a_file_system_without_locks_is_for_reading_only() {
    let Some(strace) = strace() else { return };
    let ocirepo = repository(1);
    let image = image(1);
    let source: PathBuf = ocirepo.scratch("new.tar");
    fs::write(&source, archive::podman_save(&[(&image, &["test/new:1"])]).to_bytes()).unwrap();
    let source = source.to_str().unwrap();
    let out = ocirepo.scratch("out.tar");
    let out = out.to_str().unwrap();
    Layout::open(ocirepo.dir()).blob(b"garbage");
    let before = Snapshot::of(ocirepo.dir());
    let name = there(0);
    for error in ["ENOLCK", "EOPNOTSUPP", "ENOSYS"] {
        for args in [
            &["add", source][..],
            &["tag", &name, "test/x:1"],
            &["rm", &name],
            &["gc"],
            &["config", "ref-policy", "tag"],
        ] {
            without_flock(&ocirepo, &strace, error, args)
                .one_clear_error(1, &["does not support locks", "flock"]);
            before.assert_same(ocirepo.dir(), args[0]);
        }
        for args in [
            &["ls"][..],
            &["inspect", &name],
            &["verify"],
            &["gc", "--dry-run"],
            &["export", "-o", out],
            &["inventory"],
            &["config", "ref-policy"],
        ] {
            without_flock(&ocirepo, &strace, error, args).ok();
            before.assert_same(ocirepo.dir(), args[0]);
        }
    }
    assert_holds(&ocirepo, 1, &[]);
}

/// What a dead session has left is not judged where there are no locks, and is in nobody's way.
#[test]
fn staging_on_a_file_system_without_locks() {
    let Some(strace) = strace() else { return };
    let ocirepo = repository(1);
    SlowAdd::holding(&ocirepo, 1).running.kill();
    assert_ne!(debris(ocirepo.dir()), BTreeSet::new(), "the add had not begun");
    for args in [&["gc", "--dry-run"][..], &["verify"], &["ls"]] {
        without_flock(&ocirepo, &strace, "ENOLCK", args).ok();
    }
    assert_holds(&ocirepo, 1, &[]);
}

/// The directory of somebody else who lets others read: they read, and what they may not do is one clear error.
#[test]
fn a_repository_of_somebody_else() {
    let user = Unprivileged::new();
    let root = &user.ocirepo;
    let image = ImageSpec::seeded("there").build();
    Layout::create(root.dir()).full_image(&image, &there(0)).write_index();
    root.run(&["tag", &there(0), "test/first:1"]).ok();
    if fs::metadata(root.dir()).unwrap().uid() != 0 {
        say("skipped: only root has directories that belong to somebody else");
        return;
    }
    Layout::open(root.dir()).blob(b"garbage");
    set_modes(root.dir(), 0o755, 0o644);
    let before = Snapshot::of(root.dir());
    let name = there(0);
    for args in [&["tag", &name, "test/x:1"][..], &["rm", &name], &["gc"], &["config", "ref-policy", "tag"]] {
        user.run(args).one_clear_error(1, &["permi"]);
        before.assert_same(root.dir(), args[0]);
    }
    for args in [&["ls"][..], &["inspect", &name], &["verify"], &["gc", "--dry-run"], &["inventory"]] {
        user.run(args).ok();
        before.assert_same(root.dir(), args[0]);
    }
    // Their reading keeps a sweep of the owner out, and the owner's sweep their reading.
    let gc_is_at_work = File::open(root.dir().join(".ocirepo/lock")).unwrap();
    gc_is_at_work.lock().unwrap();
    let pid = format!("pid {}", std::process::id());
    user.run(&["verify", "--lock-timeout", "0"]).one_clear_error(6, &[&pid]);
    user.run(&["ls", "--lock-timeout", "0"]).ok();
    drop(gc_is_at_work);
    assert_holds(root, 1, &[]);
}

/// What root does in the directory of somebody else is theirs, locks included: they can go on.
#[test]
fn the_owner_goes_on_after_root() {
    let user = Unprivileged::new();
    let root = &user.ocirepo;
    if fs::metadata(root.dir()).unwrap().uid() != 0 {
        say("skipped: only root works in the directories of others");
        return;
    }
    chown(root.dir(), Some(65534), Some(65534)).unwrap();
    let tar = |number: u64| {
        let path = root.scratch(&format!("{number}.tar"));
        let name = format!("docker.io/test/app:{number}");
        fs::write(&path, archive::podman_save(&[(&image(number), &[&name])]).to_bytes()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    root.run(&["init"]).ok();
    root.run(&["add", &tar(1)]).ok();
    user.run(&["add", &tar(2)]).ok();
    root.run(&["tag", "test/app:2", "test/app:3"]).ok();
    user.run(&["rm", "test/app:2"]).ok();
    root.run(&["gc"]).ok();
    user.run(&["rm", "test/app:1"]).ok();
    user.run(&["gc"]).ok();
    let report = check(root.dir());
    report.assert_tidy();
    assert_eq!(report.image_names, ["docker.io/test/app:3"]);
}
