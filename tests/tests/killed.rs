//! `kill -9` at any moment leaves the old state or the new one, never less; gc takes what was left over.
//!
//! Two kinds of moments. Random ones, `OCIREPO_TEST_KILLS` of them, 100 unless it says otherwise, half into the first
//! add of a new repository and half into one repository that lives on. And, where strace is installed, the entry of
//! every single system call that changes something.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use ocirepo_tests::archive;
use ocirepo_tests::chance::{Chance, number};
use ocirepo_tests::checker::check;
use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::descriptor::full_named;
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::layout::Layout;
use ocirepo_tests::snapshot::{copy_tree, debris};
use ocirepo_tests::tools::{say, strace};
use serde_json::{Value, json};

const APP: &str = "docker.io/test/app:1";

/// Whatever changes what is on the disk; a kill between two of these finds the same as a kill at the second. The
/// question mark is for those that an architecture lacks.
const SYSTEM_CALLS: &str = "?rename,?renameat,?renameat2,?link,?linkat,?symlink,?symlinkat,?unlink,?unlinkat,?rmdir,\
    ?mkdir,?mkdirat,?write,?writev,?pwrite64,?ftruncate,?fallocate,?copy_file_range,?sendfile";

fn kills() -> u64 {
    number("OCIREPO_TEST_KILLS").unwrap_or(100)
}

fn image(seed: u64, layer_size: usize) -> Image {
    let spec = ImageSpec::seeded(&format!("killed {seed}"));
    (0..5).fold(spec, |spec, layer| spec.noise_layer(seed * 10 + layer, layer_size)).build()
}

fn archive_of(ocirepo: &Ocirepo, image: &Image, file: &str) -> String {
    let path = ocirepo.scratch(file);
    fs::write(&path, archive::podman_save(&[(image, &[APP])]).to_bytes()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The entries of index.json.
fn entries(dir: &Path) -> Value {
    Layout::open(dir).read_index()["manifests"].clone()
}

/// A command, a repository it is run in, and the entries before and after.
struct Scenario {
    ocirepo: Ocirepo,
    template: PathBuf,
    args: Vec<String>,
    old: Value,
    new: Value,
    /// How long the command takes if nobody disturbs it.
    duration: Duration,
}

impl Scenario {
    /// The template is what lies in `ocirepo.dir()` now.
    fn new(ocirepo: &Ocirepo, args: &[&str]) -> Self {
        let args: Vec<_> = args.iter().map(|&arg| arg.to_owned()).collect();
        let mut scenario = Self {
            ocirepo: ocirepo.clone(),
            template: ocirepo.dir().to_owned(),
            old: entries(ocirepo.dir()),
            new: Value::Null,
            duration: Duration::ZERO,
            args,
        };
        let mut durations = [0, 1, 2].map(|round| {
            let undisturbed = scenario.copy(&format!("undisturbed{round}"));
            let start = Instant::now();
            undisturbed.run(&scenario.args).ok();
            let duration = start.elapsed();
            scenario.new = entries(undisturbed.dir());
            fs::remove_dir_all(undisturbed.dir()).unwrap();
            duration
        });
        durations.sort();
        scenario.duration = durations[1];
        scenario
    }

    fn copy(&self, name: &str) -> Ocirepo {
        let dir = self.ocirepo.scratch(name);
        copy_tree(&self.template, &dir);
        self.ocirepo.in_dir(dir)
    }

    /// What must hold after a kill in a copy, and again after the command was repeated and after gc.
    fn judge(&self, ocirepo: &Ocirepo, moment: &str) {
        let what = format!("`{}` killed {moment}", self.args.join(" "));
        // The first that comes finishes what must be finished.
        let verify = ocirepo.run(&["verify"]);
        assert_eq!(verify.status.code(), Some(0), "{what}: {verify:?}");
        let found = entries(ocirepo.dir());
        assert!(found == self.old || found == self.new, "{what}: neither old nor new: {found:#}");
        let report = check(ocirepo.dir());
        assert_eq!(report.problems, [""; 0], "{what}");
        if found == self.old {
            let again = ocirepo.run(&self.args);
            assert_eq!(again.status.code(), Some(0), "{what}, then repeated: {again:?}");
            assert_eq!(entries(ocirepo.dir()), self.new, "{what}, then repeated");
        }
        clean_up(ocirepo, &what);
        assert_eq!(entries(ocirepo.dir()), self.new, "{what}, then gc");
    }

    /// Kills at random moments; those that come after the end do not count.
    fn kill_at_random(&self, kills: u64, chance: &mut Chance) {
        let mut left = Tally::default();
        for number in 0..kills {
            let ocirepo = self.copy("killed");
            let moment = kill_once(&ocirepo, &self.args, self.duration, chance, || {
                fs::remove_dir_all(ocirepo.dir()).unwrap();
                copy_tree(&self.template, ocirepo.dir());
            });
            left.look(ocirepo.dir(), &self.new);
            self.judge(&ocirepo, &format!("({number}) after {moment:?} of {:?}", self.duration));
            fs::remove_dir_all(ocirepo.dir()).unwrap();
        }
        say(&format!("{} of {:?}: {left}", self.args[0], self.duration));
    }

    /// Kills at the entry of each system call that changes something.
    fn kill_at_every_system_call(&self, strace: &Path) {
        let traced = self.copy("traced");
        let calls = system_calls(strace, &traced, &self.args);
        fs::remove_dir_all(traced.dir()).unwrap();
        assert!(calls.len() > 3, "`{}` changes nothing: {calls:?}", self.args.join(" "));
        let mut left = Tally::default();
        for (name, occurrence) in calls {
            let ocirepo = self.copy("killed");
            // Threads do not share the work in the same way each time, so some calls may not come.
            if kill_at_call(strace, &ocirepo, &self.args, &name, occurrence) {
                left.look(ocirepo.dir(), &self.new);
                self.judge(&ocirepo, &format!("at {name} number {occurrence}"));
            }
            fs::remove_dir_all(ocirepo.dir()).unwrap();
        }
        say(&format!("{} at every system call: {left}", self.args[0]));
    }
}

/// gc succeeds and leaves nothing but what the images need.
fn clean_up(ocirepo: &Ocirepo, what: &str) {
    let gc = ocirepo.run(&["gc"]);
    assert_eq!(gc.status.code(), Some(0), "{what}, then gc: {gc:?}");
    let report = check(ocirepo.dir());
    assert_eq!(report.problems, [""; 0], "{what}, then gc");
    assert_eq!(report.garbage, BTreeSet::new(), "{what}, then gc");
    assert_eq!(debris(ocirepo.dir()), BTreeSet::new(), "{what}, then gc");
}

/// Starts the command and kills it at a random moment, again and again until the kill hits a command that still
/// runs; after a miss `restore` makes good.
fn kill_once(
    ocirepo: &Ocirepo,
    args: &[String],
    duration: Duration,
    chance: &mut Chance,
    mut restore: impl FnMut(),
) -> Duration {
    for _ in 0..200 {
        let moment = chance.moment(duration);
        let running = ocirepo.spawn(args);
        thread::sleep(moment);
        let killed = running.kill();
        if killed.status.signal() == Some(9) {
            return moment;
        }
        assert_eq!(killed.status.code(), Some(0), "{killed:?}");
        restore();
    }
    panic!("`{}` always ends before it can be killed", args.join(" "));
}

/// The changing system calls that the command makes: name and occurrence, which strace counts for each thread and
/// each name.
fn system_calls(strace: &Path, ocirepo: &Ocirepo, args: &[String]) -> BTreeSet<(String, u32)> {
    let log = ocirepo.scratch("strace.log");
    let trace = format!("trace={SYSTEM_CALLS}");
    ocirepo.spawn_traced(strace, &["-o", log.to_str().unwrap(), "-e", &trace], args).wait().ok();
    let mut counts = BTreeMap::new();
    let mut calls = BTreeSet::new();
    for line in fs::read_to_string(log).unwrap().lines() {
        let Some((thread, call)) = line.split_once(char::is_whitespace) else { continue };
        let Some((name, _)) = call.trim_start().split_once('(') else { continue };
        if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            let count = counts.entry((thread.to_owned(), name.to_owned())).or_insert(0);
            *count += 1;
            calls.insert((name.to_owned(), *count));
        }
    }
    calls
}

/// Has strace kill the command when one of its threads enters that call. Whether it came to that.
fn kill_at_call(strace: &Path, ocirepo: &Ocirepo, args: &[String], name: &str, occurrence: u32) -> bool {
    let inject = format!("inject={name}:signal=SIGKILL:when={occurrence}");
    let trace = format!("trace={name}");
    let output = ocirepo.spawn_traced(strace, &["-e", &trace, "-e", &inject], args).wait();
    // strace ends as its tracee did.
    let killed = output.status.signal() == Some(9);
    assert!(killed || output.status.success(), "{output:?}");
    killed
}

/// In which states kills left a repository; printed, so that one sees that all phases were hit.
#[derive(Default)]
struct Tally {
    all: u32,
    staging: u32,
    orphans: u32,
    new: u32,
}

impl Tally {
    fn look(&mut self, dir: &Path, new: &Value) {
        self.all += 1;
        self.staging += u32::from(!debris(dir).is_empty());
        self.orphans += u32::from(!check(dir).garbage.is_empty());
        self.new += u32::from(entries(dir) == *new);
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { all, staging, orphans, new } = self;
        write!(
            f,
            "{all} kills left staging {staging} times, orphans {orphans} times, the new index {new} times"
        )
    }
}

/// The first add of a new repository.
fn first_add(layer_size: usize) -> Scenario {
    let ocirepo = Ocirepo::new();
    let archive = archive_of(&ocirepo, &image(1, layer_size), "image.tar");
    ocirepo.run(&["init"]).ok();
    Scenario::new(&ocirepo, &["add", &archive])
}

/// An add that moves a name from an image to another.
fn moving_add() -> Scenario {
    let ocirepo = Ocirepo::new();
    let (old, new) = (image(1, 1000), image(2, 1000));
    Layout::create(ocirepo.dir()).full_image(&old, APP).write_index();
    let archive = archive_of(&ocirepo, &new, "new.tar");
    Scenario::new(&ocirepo, &["add", &archive])
}

/// A repository that ocirepo knows, of one image under many names, and of garbage.
fn grown(names: usize, garbage: usize) -> Ocirepo {
    let ocirepo = Ocirepo::new();
    let image = image(1, 1000);
    let mut layout = Layout::create(ocirepo.dir());
    layout.full_image(&image, APP);
    for number in 0..names {
        layout.entry(full_named(image.descriptor(), &format!("docker.io/test/name{number}:tag{number}")));
    }
    layout.write_index();
    for number in 0..garbage {
        layout.blob(format!("garbage {number}").as_bytes());
    }
    ocirepo.run(&["tag", APP, "test/other:2"]).ok();
    ocirepo
}

fn other_commands() -> Vec<Scenario> {
    vec![
        Scenario::new(&grown(5, 0), &["rm", APP]),
        Scenario::new(&grown(5, 0), &["tag", APP, "test/more:3"]),
        Scenario::new(&grown(5, 20), &["gc"]),
        Scenario::new(&grown(200, 0), &["config", "ref-policy", "tag"]),
    ]
}

#[test]
fn the_first_add_killed_at_random_moments() {
    let mut chance = Chance::from_env("the first add, killed");
    first_add(1_500_000).kill_at_random(kills().div_ceil(2), &mut chance);
}

/// One repository, one name, two images that take turns; what a kill leaves is there when the next add begins.
#[test]
fn adds_into_one_repository_killed_at_random_moments() {
    let mut chance = Chance::from_env("adds into one repository, killed");
    let ocirepo = Ocirepo::new();
    let images = [image(1, 1_500_000), image(2, 1_500_000)];
    let archives = [archive_of(&ocirepo, &images[0], "0.tar"), archive_of(&ocirepo, &images[1], "1.tar")];
    ocirepo.run(&["init"]).ok();
    let start = Instant::now();
    ocirepo.run(&["add", &archives[0]]).ok();
    let duration = start.elapsed();
    let digests = images.map(|image| json!(image.digest()));
    let mut left = Tally::default();
    for number in 0..kills() / 2 {
        let before = entries(ocirepo.dir())[0]["digest"].clone();
        let next = usize::from(before == digests[0]);
        let args = ["add".to_owned(), archives[next].clone()];
        // gc before a kill now and then, so that some adds find none of their blobs and some find all.
        if chance.below(4) == 0 {
            clean_up(&ocirepo, "between two kills");
        }
        let moment = kill_once(&ocirepo, &args, duration, &mut chance, || {
            ocirepo.run(&["add", &archives[1 - next]]).ok();
            ocirepo.run(&["gc"]).ok();
        });
        let what = format!("kill {number}, after {moment:?} of {duration:?}");
        let verify = ocirepo.run(&["verify"]);
        assert_eq!(verify.status.code(), Some(0), "{what}: {verify:?}");
        assert_eq!(check(ocirepo.dir()).problems, [""; 0], "{what}");
        let after = entries(ocirepo.dir());
        assert_eq!(after.as_array().map(Vec::len), Some(1), "{what}: {after:#}");
        assert!(digests.contains(&after[0]["digest"]), "{what}: {after:#}");
        left.look(ocirepo.dir(), &json!(null));
        if chance.below(3) == 0 {
            ocirepo.run(&args).ok();
            assert_eq!(entries(ocirepo.dir())[0]["digest"], digests[next], "{what}");
        }
    }
    clean_up(&ocirepo, "after all kills");
    say(&format!("add into one repository of {duration:?}: {left}"));
}

#[test]
fn other_commands_killed_at_random_moments() {
    let mut chance = Chance::from_env("other commands, killed");
    for scenario in other_commands() {
        scenario.kill_at_random(kills().div_ceil(8), &mut chance);
    }
}

#[test]
fn adds_killed_at_every_system_call() {
    let Some(strace) = strace() else { return };
    first_add(1000).kill_at_every_system_call(&strace);
    moving_add().kill_at_every_system_call(&strace);
}

#[test]
fn other_commands_killed_at_every_system_call() {
    let Some(strace) = strace() else { return };
    for scenario in other_commands() {
        scenario.kill_at_every_system_call(&strace);
    }
}

/// Until index.json is there it is no repository; init can be repeated, and then it is one.
#[test]
fn init_killed_at_every_system_call() {
    let Some(strace) = strace() else { return };
    let ocirepo = Ocirepo::new();
    let init = ["init".to_owned()];
    let new = |name: &str| {
        let ocirepo = ocirepo.in_dir(ocirepo.scratch(name));
        fs::create_dir(ocirepo.dir()).unwrap();
        ocirepo
    };
    for (name, occurrence) in system_calls(&strace, &new("traced"), &init) {
        let what = format!("init killed at {name} number {occurrence}");
        let ocirepo = new(&format!("{name}{occurrence}"));
        assert!(kill_at_call(&strace, &ocirepo, &init, &name, occurrence), "{what}");
        let verify = ocirepo.run(&["verify"]);
        assert!(matches!(verify.status.code(), Some(0 | 1)), "{what}: {verify:?}");
        ocirepo.run(&init).ok();
        ocirepo.run(&["verify"]).ok();
        assert_eq!(ocirepo.run(&["config", "ref-policy"]).ok().stdout, "full\n", "{what}");
        clean_up(&ocirepo, &what);
    }
}
