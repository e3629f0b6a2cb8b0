//! A repository directory that somebody else has prepared: links, fifos and second names of files that are not theirs,
//! wherever ocirepo opens, creates or removes something. No command may hang, follow a link out, or change a file
//! outside; and once the plant is gone, the repository is whole.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ocirepo_tests::archive;
use ocirepo_tests::checker::check;
use ocirepo_tests::cli::Output;
use ocirepo_tests::memory::wait_measured;
use ocirepo_tests::snapshot::tree;
use ocirepo_tests::states::{A, B, State, digests, image};
use ocirepo_tests::tools;

/// Whoever takes longer hangs, however busy the machine is.
const LIMIT: Duration = Duration::from_secs(40);

/// What stands where a file or a directory of ours should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plant {
    LinkToFile,
    LinkToFolder,
    LinkToNothing,
    HardLink,
    Fifo,
    Folder,
    File,
}

const PLANTS: [Plant; 7] = [
    Plant::LinkToFile,
    Plant::LinkToFolder,
    Plant::LinkToNothing,
    Plant::HardLink,
    Plant::Fifo,
    Plant::Folder,
    Plant::File,
];

/// A repository of two images to which ocirepo has written, and things outside of it that are none of its business.
struct Hostile {
    state: State,
    outside: PathBuf,
    before: BTreeMap<String, (u32, u64, u64, (i64, i64))>,
}

const SECRET: &str = "a file of somebody else\n";

impl Hostile {
    fn new() -> Self {
        let mut state = State::two_images();
        state.ocirepo = state.ocirepo.time_limit(LIMIT);
        state.json(&["tag", "a:1", "c:3"]);
        state.json(&["rm", "c:3"]);
        let new = archive::docker_save(&[(&image("new"), &["docker.io/library/new:3"])]).to_bytes();
        fs::write(state.ocirepo.scratch("new.tar"), new).unwrap();
        let outside = state.ocirepo.scratch("outside");
        // As the staging of a dead session would look, were it followed.
        fs::create_dir_all(outside.join("folder/session-dead")).unwrap();
        for file in ["file", "folder/file", "folder/owner", "folder/session-dead/owner", "folder/owner.new"] {
            fs::write(outside.join(file), SECRET).unwrap();
        }
        let before = tree(&outside);
        Self { state, outside, before }
    }

    /// Puts something in the place of whatever is there; `false` where it cannot be had.
    fn plant(&self, plant: Plant, path: &Path) -> bool {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => fs::remove_dir_all(path).unwrap(),
            _ => {}
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match plant {
            Plant::LinkToFile => symlink(self.outside.join("file"), path).unwrap(),
            Plant::LinkToFolder => symlink(self.outside.join("folder"), path).unwrap(),
            Plant::LinkToNothing => symlink(self.outside.join("nothing"), path).unwrap(),
            Plant::HardLink => fs::hard_link(self.outside.join("file"), path).unwrap(),
            Plant::Fifo => {
                let Some(mkfifo) = tools::find("mkfifo") else { return false };
                tools::run(&mkfifo, &[path.to_str().unwrap()]);
            }
            Plant::Folder => fs::create_dir(path).unwrap(),
            Plant::File => fs::write(path, "{").unwrap(),
        }
        true
    }

    #[track_caller]
    fn outside_is_untouched(&self, what: &str) {
        assert_eq!(tree(&self.outside), self.before, "{what}: something outside was changed");
        for file in ["file", "folder/file", "folder/session-dead/owner"] {
            assert_eq!(fs::read_to_string(self.outside.join(file)).unwrap(), SECRET, "{what}: {file}");
        }
    }

    /// Runs verbs that open, create and remove everything there is.
    #[track_caller]
    fn every_verb(&self, what: &str) -> Vec<Output> {
        let new = self.state.ocirepo.scratch("new.tar");
        let run = |args: &&[&str]| {
            let output = self.state.ocirepo.run(args);
            let code = output.status.code();
            // What a verb before could not make is not found.
            assert!(matches!(code, Some(0 | 1 | 3 | 4)), "{what}: {args:?}: {code:?}\n{}", output.stderr);
            assert!(!output.stderr.contains("panicked"), "{what}: {args:?}\n{}", output.stderr);
            self.outside_is_untouched(&format!("{what}: {args:?}"));
            output
        };
        let verbs: &[&[&str]] = &[
            &["ls"],
            &["tag", "a:1", "d:4"],
            &["add", new.to_str().unwrap(), "--layers", "gzip"],
            &["rm", "d:4"],
            &["config", "ref-policy", "tag"],
            &["config", "ref-policy", "full"],
            &["gc"],
            &["verify"],
            &["init"],
            &["export", "-n"],
            // It has to do with no document of the layout.
            &["ls", "--pending"],
        ];
        verbs.iter().map(run).collect()
    }
}

#[test]
fn a_link_in_the_place_of_a_document_is_refused() {
    for file in ["index.json", "oci-layout"] {
        let hostile = Hostile::new();
        let path = hostile.state.dir().join(file);
        let good = fs::read(&path).unwrap();
        let kept = hostile.state.ocirepo.scratch("kept");
        fs::rename(&path, &kept).unwrap();
        symlink(&kept, &path).unwrap();
        let outputs = hostile.every_verb(file);
        for (number, output) in outputs.into_iter().rev().skip(1).enumerate() {
            assert_eq!(output.status.code(), Some(4), "{file}, verb {number}: {}", output.stderr);
            output.says(file);
        }
        assert_eq!(fs::read(&kept).unwrap(), good);
        assert!(path.is_symlink());
    }
}

#[test]
fn a_link_in_the_place_of_our_own_directory_is_refused() {
    for plant in [Plant::LinkToFolder, Plant::LinkToFile, Plant::LinkToNothing, Plant::Fifo, Plant::File] {
        let hostile = Hostile::new();
        if hostile.plant(plant, &hostile.state.dir().join(".ocirepo")) {
            for output in hostile.every_verb(&format!("{plant:?}")) {
                assert_ne!(output.status.code(), Some(1), "{plant:?}: {}", output.stderr);
            }
            hostile.state.run(&["tag", "a:1", "d:4"]).fails_with(4).says(".ocirepo");
        }
    }
}

/// Everything with a fixed name below `.ocirepo`, and what may come to stand there.
#[test]
fn whatever_stands_below_our_own_directory() {
    let id = "0".repeat(64);
    let places = [
        "gate",
        "lock",
        "index.lock",
        "config.json",
        "config.json.new",
        "last-index",
        "last-index.new",
        "index.next",
        "index.next.new",
        "index.prev",
        "index.prev.new",
        "tmp",
        "tmp/owner.new",
        "tmp/session-x",
        "tmp/session-x/owner",
        "tmp/session-removed",
        "tmp/session-pending",
        "cache",
        "cache/layers",
        "cache/layers.new",
        "pending",
        &format!("pending/{id}"),
        &format!("pending/{id}/toc"),
        &format!("pending/{id}/needs"),
        &format!("pending/{id}/blobs"),
        &format!("pending/{id}/parts"),
    ];
    for plant in PLANTS {
        let hostile = Hostile::new();
        let own = hostile.state.dir().join(".ocirepo");
        let kept = hostile.state.ocirepo.scratch("own");
        ocirepo_tests::snapshot::copy_tree(&own, &kept);
        for place in places {
            let what = format!("{plant:?} as {place}");
            if !hostile.plant(plant, &own.join(place)) {
                break;
            }
            // The plant is a second name of a file outside, which its times tell.
            let hostile = Hostile { before: tree(&hostile.outside), ..hostile_of(&hostile) };
            hostile.every_verb(&what);
            fs::remove_dir_all(&own).unwrap();
            ocirepo_tests::snapshot::copy_tree(&kept, &own);
            let names: Vec<_> = hostile.state.names();
            assert!(names.contains(&A.to_owned()) && names.contains(&B.to_owned()), "{what}: {names:?}");
            check(hostile.state.dir()).assert_sound();
        }
    }
}

/// The same repository, held to what is outside now.
fn hostile_of(hostile: &Hostile) -> Hostile {
    Hostile {
        state: State {
            ocirepo: hostile.state.ocirepo.clone(),
            layout: ocirepo_tests::layout::Layout::open(hostile.state.dir()),
        },
        outside: hostile.outside.clone(),
        before: BTreeMap::new(),
    }
}

/// Of the commands that met a plant, those that can go on do: nobody is locked out by what a crash could leave too.
#[test]
fn what_a_crash_could_leave_too_is_in_nobodys_way() {
    for plant in [Plant::LinkToFile, Plant::LinkToNothing, Plant::HardLink, Plant::Fifo, Plant::File] {
        for place in
            ["config.json.new", "last-index.new", "index.next", "index.prev", "tmp/owner.new", "cache/layers"]
        {
            let hostile = Hostile::new();
            let path = hostile.state.dir().join(".ocirepo").join(place);
            let is_linked_cache = place == "cache/layers" && plant != Plant::HardLink && plant != Plant::File;
            // An index that came out of a swap is looked at, and only a file can be one.
            let is_linked_index = place == "index.next" && plant != Plant::HardLink && plant != Plant::File;
            if is_linked_cache || is_linked_index || !hostile.plant(plant, &path) {
                continue;
            }
            let hostile = Hostile { before: tree(&hostile.outside), ..hostile_of(&hostile) };
            let what = format!("{plant:?} as {place}");
            for output in hostile.every_verb(&what) {
                assert_eq!(output.status.code(), Some(0), "{what}: {}", output.stderr);
            }
            check(hostile.state.dir()).assert_sound();
        }
    }
}

/// A layer that is no file of its own is never read as one, nor written through.
#[test]
fn whatever_stands_in_the_place_of_a_layer() {
    for plant in PLANTS {
        let hostile = Hostile::new();
        let layer = &image("a").layers[1];
        if !hostile.plant(plant, &hostile.state.layout.blob_path(&layer.digest)) {
            continue;
        }
        let hostile = Hostile { before: tree(&hostile.outside), ..hostile_of(&hostile) };
        let what = format!("{plant:?} as a layer");
        for args in [&["ls"][..], &["inspect", "a:1"], &["why", &layer.digest], &["inventory"], &["gc"]] {
            hostile.state.run(args).ok();
            hostile.outside_is_untouched(&what);
        }
        let out = hostile.state.ocirepo.scratch("out.tar");
        for args in [&["verify"][..], &["export", "a:1", "-o", out.to_str().unwrap()]] {
            hostile.state.run(args).fails_with(4);
            hostile.outside_is_untouched(&what);
        }
        // The image brings the layer again. Only a folder cannot give way.
        let again = hostile.state.ocirepo.scratch("again.tar");
        let bytes =
            archive::oci_archive(&[(&image("a"), &[A])], ocirepo_tests::descriptor::full_named).to_bytes();
        fs::write(&again, bytes).unwrap();
        let added = hostile.state.run(&["add", again.to_str().unwrap()]);
        hostile.outside_is_untouched(&what);
        if plant != Plant::Folder {
            added.ok();
            assert_eq!(hostile.state.layout.read_blob(&layer.digest), layer.bytes, "{what}");
            hostile.state.run(&["verify"]).ok();
        }
    }
}

/// `blobs` may be a link, for those who keep their blobs elsewhere: what is written there is blobs, and nothing else
/// is removed or read.
#[test]
fn blobs_that_are_elsewhere_are_blobs_and_nothing_else() {
    let hostile = Hostile::new();
    let blobs = hostile.state.dir().join("blobs");
    let pool = hostile.outside.join("folder/sha256");
    fs::rename(blobs.join("sha256"), &pool).unwrap();
    symlink(&pool, blobs.join("sha256")).unwrap();
    fs::write(pool.join("letter"), SECRET).unwrap();
    let new = hostile.state.ocirepo.scratch("new.tar");
    hostile.state.run(&["add", new.to_str().unwrap()]).ok();
    hostile.state.run(&["rm", "new:3"]).ok();
    for flags in [&["gc"][..], &["gc", "--allow-empty"]] {
        hostile.state.run(flags).fails_with(4).says("--also-root");
    }
    assert_eq!(fs::read_to_string(pool.join("letter")).unwrap(), SECRET);
    for entry in fs::read_dir(&pool).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "letter" || name.len() == 64, "{name}");
    }
    fs::remove_file(pool.join("letter")).unwrap();
    assert!(hostile.state.layout.blobs().is_superset(&digests(image("a").blobs())));
}

/// Root works in the repository of somebody who put second names of files of root's where files are given away.
#[test]
fn root_gives_nothing_away_but_what_it_made() {
    let hostile = Hostile::new();
    if fs::metadata(&hostile.outside).unwrap().uid() != 0 {
        tools::say("skipped: only root gives files away");
        return;
    }
    let dir = hostile.state.dir().to_owned();
    for path in tree(&dir).keys() {
        std::os::unix::fs::lchown(dir.join(path), Some(65534), Some(65534)).unwrap();
    }
    let places = ["lock", "gate", "index.lock", "cache/layers", "last-index", "index.prev", "tmp/owner.new"];
    // A file for each: locks on one file would keep each other out.
    for (number, place) in places.into_iter().enumerate() {
        fs::write(hostile.outside.join(number.to_string()), SECRET).unwrap();
        hostile.plant(Plant::LinkToNothing, &dir.join(".ocirepo").join(place));
        fs::remove_file(dir.join(".ocirepo").join(place)).unwrap();
        fs::hard_link(hostile.outside.join(number.to_string()), dir.join(".ocirepo").join(place)).unwrap();
    }
    fs::remove_dir_all(dir.join(".ocirepo/tmp")).unwrap();
    let hostile = Hostile { before: tree(&hostile.outside), ..hostile_of(&hostile) };
    hostile.every_verb("as root");
    for (number, place) in places.into_iter().enumerate() {
        let file = fs::metadata(hostile.outside.join(number.to_string())).unwrap();
        assert_eq!((file.uid(), file.gid(), file.permissions().mode() & 0o777), (0, 0, 0o644), "{place}");
        assert_eq!(fs::read_to_string(hostile.outside.join(number.to_string())).unwrap(), SECRET, "{place}");
    }
    // What it made belongs to whom the repository belongs.
    assert_eq!(fs::metadata(dir.join("index.json")).unwrap().uid(), 65534);
    assert_eq!(fs::metadata(dir.join(".ocirepo/tmp")).unwrap().uid(), 65534);
}

/// A file of a gigabyte of nothing costs no memory: what is too large is not read.
#[test]
fn documents_of_a_gigabyte_are_refused_unread() {
    for file in
        ["index.json", "oci-layout", ".ocirepo/config.json", ".ocirepo/last-index", ".ocirepo/cache/layers"]
    {
        let hostile = Hostile::new();
        let path = hostile.state.dir().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::options().create(true).append(true).open(&path).unwrap().set_len(1 << 30).unwrap();
        for args in [&["ls"][..], &["tag", "a:1", "d:4"], &["gc"]] {
            let (output, peak) = wait_measured(hostile.state.ocirepo.spawn(args));
            assert!(matches!(output.status.code(), Some(0 | 4)), "{file} {args:?}: {}", output.stderr);
            assert!(peak.is_none_or(|peak| peak < 200 << 20), "{file} {args:?}: {peak:?}");
        }
    }
}

/// However a test ends.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Somebody keeps writing what cannot be read: a reader says so, and does not look on for ever.
#[test]
fn an_index_that_never_settles_is_given_up() {
    let state = State::two_images();
    let ocirepo = state.ocirepo.clone().time_limit(LIMIT);
    let stop = AtomicBool::new(false);
    let index = state.dir().join("index.json");
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0_u64.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                fs::write(index.with_extension("other"), format!("{{ {number}")).unwrap();
                fs::rename(index.with_extension("other"), &index).unwrap();
            }
        });
        let _stop = StopAtEnd(&stop);
        // Not before the first of it.
        while fs::read(&index).unwrap().len() > 100 {
            thread::yield_now();
        }
        // On a busy machine it may settle for long enough to be called damaged.
        let mut given_up = false;
        for _ in 0..20 {
            let output = ocirepo.run(&["ls", "--lock-timeout", "1"]).says("index.json").says("hint:");
            assert!(matches!(output.status.code(), Some(1 | 4)), "{}", output.stderr);
            given_up |= output.status.code() == Some(1);
            if given_up {
                break;
            }
        }
        assert!(given_up);
    });
}
