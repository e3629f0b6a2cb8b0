//! Commands that write at the same moment lose nothing: N adds keep N references, however often it is tried.
//!
//! `OCIREPO_TEST_ROUNDS` sets the number of rounds, 20 unless it says otherwise.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use ocirepo_tests::archive;
use ocirepo_tests::chance::number;
use ocirepo_tests::checker::check;
use ocirepo_tests::cli::{Ocirepo, Running};
use ocirepo_tests::descriptor::{IMAGE_NAME, REF_NAME, full_named};
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::layout::Layout;
use ocirepo_tests::snapshot::debris;
use ocirepo_tests::tools::strace;

/// So many commands at once.
const WRITERS: usize = 12;

fn rounds() -> u64 {
    number("OCIREPO_TEST_ROUNDS").unwrap_or(20)
}

/// Images that share a base of some size and have a layer of their own.
fn images() -> Vec<Image> {
    let own = |number| {
        ImageSpec::seeded(&format!("own {number}")).noise_layer(0, 100_000).noise_layer(number, 20_000)
    };
    (1..=WRITERS as u64).map(|number| own(number).build()).collect()
}

/// `docker.io/test/app7:v7`: neither whole names nor tags collide.
fn name(number: usize) -> String {
    format!("docker.io/test/app{number}:v{number}")
}

/// One archive for each image, by turns in three formats.
fn archives(ocirepo: &Ocirepo, images: &[Image]) -> Vec<PathBuf> {
    let write = |(number, image): (usize, &Image)| {
        let name = name(number);
        let names = [name.as_str()];
        let item = [(image, names.as_slice())];
        let tarball = match number % 3 {
            0 => archive::podman_save(&item),
            1 => archive::oci_archive(&item, full_named),
            _ => archive::docker25_save(&item),
        };
        let path = ocirepo.scratch(&format!("{number}.tar"));
        fs::write(&path, tarball.to_bytes()).unwrap();
        path
    };
    images.iter().enumerate().map(write).collect()
}

/// Starts one command for each line before it waits for any; all must succeed.
fn all_at_once(ocirepo: &Ocirepo, lines: &[Vec<String>]) {
    let running: Vec<Running> = lines.iter().map(|args| ocirepo.spawn(args)).collect();
    for running in running {
        running.wait().ok();
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}

fn listed(ocirepo: &Ocirepo) -> Vec<String> {
    ocirepo.run(&["ls", "--names"]).ok().stdout.lines().map(str::to_owned).collect()
}

/// All names are there, once; the repository is whole and nothing is left over.
fn assert_holds(ocirepo: &Ocirepo, names: impl IntoIterator<Item = String>) {
    let mut found = listed(ocirepo);
    found.sort();
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort();
    assert_eq!(found, names);
    check(ocirepo.dir()).assert_tidy();
    assert_eq!(debris(ocirepo.dir()), BTreeSet::new());
    ocirepo.run(&["verify"]).ok();
}

#[test]
fn twelve_adds_into_a_new_repository() {
    let ocirepo = Ocirepo::new();
    let archives = archives(&ocirepo, &images());
    let lines: Vec<_> = archives.iter().map(|archive| words(&["add", text(archive)])).collect();
    for round in 0..rounds() {
        let ocirepo = ocirepo.in_dir(ocirepo.scratch(&format!("round{round}")));
        fs::create_dir(ocirepo.dir()).unwrap();
        ocirepo.run(&["init"]).ok();
        all_at_once(&ocirepo, &lines);
        assert_holds(&ocirepo, (0..WRITERS).map(name));
    }
}

/// By turns a layout whose names are bare tags and one whose names are whole. Nobody has made `.ocirepo` yet, so all
/// twelve make it.
#[test]
fn twelve_adds_into_a_layout_that_another_tool_made() {
    let ocirepo = Ocirepo::new();
    let archives = archives(&ocirepo, &images());
    let lines: Vec<_> = archives.iter().map(|archive| words(&["add", text(archive)])).collect();
    let old = ImageSpec::seeded("old").build();
    for round in 0..rounds() {
        let bare = round % 2 == 0;
        let there = if bare { "old" } else { "registry.example/team/old:1" };
        let ocirepo = ocirepo.in_dir(ocirepo.scratch(&format!("round{round}")));
        Layout::create(ocirepo.dir()).image(&old, there).write_index();
        all_at_once(&ocirepo, &lines);
        assert_holds(&ocirepo, (0..WRITERS).map(name).chain([there.to_owned()]));
        let report = check(ocirepo.dir());
        let ref_name = |number| if bare { format!("v{number}") } else { name(number) };
        let expected: BTreeSet<_> = (0..WRITERS).map(ref_name).chain([there.to_owned()]).collect();
        assert_eq!(report.names.into_iter().collect::<BTreeSet<_>>(), expected, "bare: {bare}");
    }
}

#[test]
fn twelve_adds_of_one_name_leave_one_of_them() {
    let ocirepo = Ocirepo::new();
    let images = images();
    let archives = archives(&ocirepo, &images);
    let lines: Vec<_> =
        archives.iter().map(|archive| words(&["add", text(archive), "--ref", "test/app:1"])).collect();
    ocirepo.run(&["init"]).ok();
    for _ in 0..rounds().min(5) {
        all_at_once(&ocirepo, &lines);
        let entries = ocirepo.run(&["ls", "--format", "json"]).json();
        assert_eq!(entries.as_array().map(Vec::len), Some(1), "{entries:#}");
        assert_eq!(entries[0]["reference"], "docker.io/test/app:1");
        assert!(images.iter().any(|image| entries[0]["digest"] == image.digest()), "{entries:#}");
        ocirepo.run(&["verify"]).ok();
    }
    ocirepo.run(&["gc"]).ok();
    assert_holds(&ocirepo, ["docker.io/test/app:1".to_owned()]);
}

#[test]
fn twelve_adds_of_one_archive_add_it_once() {
    let ocirepo = Ocirepo::new();
    let archives = archives(&ocirepo, &images());
    for round in 0..rounds().min(5) {
        let ocirepo = ocirepo.in_dir(ocirepo.scratch(&format!("round{round}")));
        fs::create_dir(ocirepo.dir()).unwrap();
        ocirepo.run(&["init"]).ok();
        all_at_once(&ocirepo, &vec![words(&["add", text(&archives[0])]); WRITERS]);
        assert_holds(&ocirepo, [name(0)]);
    }
}

/// A repository of one image and of `count` entries that all name it.
fn many_names(ocirepo: &Ocirepo, count: usize) -> Image {
    let image = ImageSpec::seeded("one").build();
    let mut layout = Layout::create(ocirepo.dir());
    layout.blobs_of(image.blobs());
    for number in 0..count {
        layout.entry(full_named(image.descriptor(), &format!("docker.io/test/there:{number}")));
    }
    layout.write_index();
    image
}

#[test]
fn twelve_tags_at_once() {
    let ocirepo = Ocirepo::new();
    many_names(&ocirepo, 1);
    for round in 0..rounds() {
        let new = |number| format!("docker.io/test/round{round}:{number}");
        let lines: Vec<_> =
            (0..WRITERS).map(|number| words(&["tag", "test/there:0", &new(number)])).collect();
        all_at_once(&ocirepo, &lines);
    }
    let round = |round| (0..WRITERS).map(move |number| format!("docker.io/test/round{round}:{number}"));
    assert_holds(&ocirepo, (0..rounds()).flat_map(round).chain(["docker.io/test/there:0".to_owned()]));
}

/// The larger the index, the longer the moment in which others can get between reading and writing it.
#[test]
fn twelve_tags_and_removals_in_a_large_index() {
    const ENTRIES: usize = 10_000;
    let ocirepo = Ocirepo::new();
    many_names(&ocirepo, ENTRIES);
    let tag = |number| words(&["tag", "test/there:9999", &format!("test/new:{number}")]);
    let rm = |number: usize| words(&["rm", &format!("test/there:{number}")]);
    let lines: Vec<_> =
        (0..WRITERS).map(|number| if number % 2 == 0 { tag(number) } else { rm(number) }).collect();
    all_at_once(&ocirepo, &lines);
    let gone = |number: &usize| *number < WRITERS && number % 2 == 1;
    let kept =
        (0..ENTRIES).filter(|number| !gone(number)).map(|number| format!("docker.io/test/there:{number}"));
    let new = (0..WRITERS).step_by(2).map(|number| format!("docker.io/test/new:{number}"));
    assert_holds(&ocirepo, kept.chain(new));
}

#[test]
fn twelve_inits_make_one_repository() {
    let ocirepo = Ocirepo::new();
    for round in 0..rounds() {
        let dir = ocirepo.scratch(&format!("new/round{round}"));
        let line = words(&["init", text(&dir), "--format", "json"]);
        let running: Vec<_> = (0..WRITERS).map(|_| ocirepo.spawn(&line)).collect();
        let states: Vec<_> =
            running.into_iter().map(|running| running.wait().json()["state"].clone()).collect();
        let created = states.iter().filter(|state| *state == "created").count();
        assert_eq!(created, 1, "{states:?}");
        assert!(states.iter().all(|state| state == "created" || state == "unchanged"), "{states:?}");
        assert_holds(&ocirepo.in_dir(dir), []);
    }
}

/// What only looks takes no lock that a writer could trip over.
#[test]
fn lookers_do_not_disturb_adds() {
    let ocirepo = Ocirepo::new();
    let archives = archives(&ocirepo, &images());
    for round in 0..rounds().div_ceil(2) {
        let ocirepo = ocirepo.in_dir(ocirepo.scratch(&format!("round{round}")));
        fs::create_dir(ocirepo.dir()).unwrap();
        ocirepo.run(&["init"]).ok();
        let mut lines = Vec::new();
        for archive in &archives {
            lines.push(words(&["add", text(archive)]));
            let look: [&[&str]; 4] = [&["verify"], &["gc", "--dry-run"], &["ls"], &["verify", "--quick"]];
            lines.push(words(look[lines.len() / 2 % look.len()]));
        }
        all_at_once(&ocirepo, &lines);
        assert_holds(&ocirepo, (0..WRITERS).map(name));
    }
}

/// Whoever looks at a staging directory at the very moment in which it is born must not make its add fail. Slow locks
/// make that moment long.
#[test]
fn a_slow_looker_does_not_disturb_an_add_that_begins() {
    let Some(strace) = strace() else { return };
    let ocirepo = Ocirepo::new();
    let archive = archives(&ocirepo, &images()[..1]).remove(0);
    ocirepo.run(&["init"]).ok();
    let slow = |when: &str| format!("inject=flock:{when}=200000");
    let options = |when| ["-e".to_owned(), "trace=flock".to_owned(), "-e".to_owned(), slow(when)];
    let start = |when, args: &[&str]| {
        let options = options(when);
        ocirepo.spawn_traced(&strace, &options.each_ref().map(String::as_str), args)
    };
    let mut add = start("delay_enter", &["add", text(&archive)]);
    let mut lookers = Vec::new();
    while add.is_running() {
        let look: &[&str] =
            if lookers.len() % 2 == 0 { &["verify", "--quick"] } else { &["gc", "--dry-run"] };
        lookers.push(start("delay_exit", look));
        thread::sleep(Duration::from_millis(40));
    }
    add.wait().ok();
    for looker in lookers {
        looker.wait().ok();
    }
    assert_holds(&ocirepo, [name(0)]);
}

/// Under the `tag` policy one ref.name stands for one image, even if the conversion and the name that would stand in
/// its way come at the same moment: one of the two must be refused.
#[test]
fn a_conversion_and_a_name_in_its_way_exclude_each_other() {
    let ocirepo = Ocirepo::new();
    let (a, b) = (ImageSpec::seeded("a").build(), ImageSpec::seeded("b").build());
    let (there, coming) = ("docker.io/test/a:1", "docker.io/test/b:1");
    for round in 0..rounds() {
        let ocirepo = ocirepo.in_dir(ocirepo.scratch(&format!("round{round}")));
        let mut layout = Layout::create(ocirepo.dir());
        layout.full_image(&a, there).blobs_of(b.blobs());
        layout.entry(b.descriptor()).write_index();
        let tag = ocirepo.spawn(&["tag", b.digest(), coming]);
        let convert = ocirepo.spawn(&["config", "ref-policy", "tag"]);
        let codes = [tag.wait(), convert.wait()].map(|output| output.status.code());
        assert!(codes == [Some(0), Some(9)] || codes == [Some(9), Some(0)], "round {round}: {codes:?}");
        let report = check(ocirepo.dir());
        report.assert_tidy();
        let unique: BTreeSet<_> = report.names.iter().collect();
        assert_eq!(unique.len(), report.names.len(), "round {round}: {:?}", report.names);
        ocirepo.run(&["verify"]).ok();
    }
}

/// Nothing is renamed twice and nothing is missed when names come while the policy changes.
#[test]
fn names_that_come_during_a_conversion_follow_the_new_policy() {
    let ocirepo = Ocirepo::new();
    for round in 0..rounds() {
        let ocirepo = ocirepo.in_dir(ocirepo.scratch(&format!("round{round}")));
        many_names(&ocirepo, 200);
        let new = |number| format!("test/new{number}:new{number}");
        let mut lines: Vec<_> =
            (0..WRITERS - 1).map(|number| words(&["tag", "test/there:0", &new(number)])).collect();
        lines.insert(WRITERS / 2, words(&["config", "ref-policy", "tag"]));
        all_at_once(&ocirepo, &lines);
        let entries = Layout::open(ocirepo.dir()).read_index()["manifests"].clone();
        let entries = entries.as_array().unwrap();
        assert_eq!(entries.len(), 200 + WRITERS - 1);
        for entry in entries {
            let annotation = |key| entry["annotations"][key].as_str().unwrap_or_default();
            assert_eq!(annotation(IMAGE_NAME).rsplit(':').next(), Some(annotation(REF_NAME)), "{entry}");
        }
        ocirepo.run(&["verify"]).ok();
    }
}
