//! A volume that is damaged or forged is named, changes nothing, and is replaced by a good copy; a kill at any moment
//! loses the volume that was being added and no other; and a bundle can be given up.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::thread;
use std::time::Instant;

use ocirepo_tests::chance::{Chance, number};
use ocirepo_tests::checker::check;
use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::compress::Compression;
use ocirepo_tests::exported::TOC;
use ocirepo_tests::snapshot::{copy_tree, debris};
use ocirepo_tests::states::Tree;
use ocirepo_tests::tools::strace;
use ocirepo_tests::volumes::{
    Bundle, SUMS, VOLUME, VOLUMES, contents, flipped, numbers, pending, read, repository, write,
};
use serde_json::{Value, json};

/// Everything that may not change: what is listed, what waits, the blobs.
fn kept(ocirepo: &Ocirepo) -> (Value, Tree, BTreeSet<String>) {
    let waiting = ocirepo.dir().join(".ocirepo/pending");
    fs::create_dir_all(&waiting).unwrap();
    (contents(ocirepo).0, Tree::of(&waiting), contents(ocirepo).1)
}

/// A volume in a file and in a pipe must be refused with these texts, and change nothing.
#[track_caller]
fn refused(ocirepo: &Ocirepo, bytes: &[u8], texts: &[&str]) {
    let path = ocirepo.scratch("bad.tar");
    fs::write(&path, bytes).unwrap();
    let before = kept(ocirepo);
    let file = [texts, &["bad.tar"]].concat();
    ocirepo.run(&["add", path.to_str().unwrap()]).one_clear_error(4, &file);
    assert!(before == kept(ocirepo), "a file changed something");
    ocirepo.run_with_stdin(&["add", "-"], bytes).one_clear_error(4, texts);
    ocirepo.run_with_stdin(&["add", "-"], Compression::Gzip.pack(bytes)).one_clear_error(4, texts);
    assert!(before == kept(ocirepo), "a pipe changed something");
    assert_eq!(debris(ocirepo.dir()), BTreeSet::new());
}

#[test]
fn a_damaged_volume_is_named_and_replaced() {
    let bundle = Bundle::new();
    let ocirepo = repository();
    let ((whole, blob), (cut, part)) = (bundle.find("blobs/"), bundle.find("ocirepo-parts/"));
    let label = |number: u32| format!("volume {number} of bundle {}", bundle.id);
    let truncated = |number: u32, member: &str| {
        let bytes = fs::read(bundle.volume(number)).unwrap();
        let at = bytes.windows(member.len()).position(|window| window == member.as_bytes());
        bytes[..at.unwrap() + 512 + 5000].to_vec()
    };
    let without = |number: u32, member: &str| {
        let files = read(bundle.volume(number)).into_iter().filter(|(name, _)| name != member);
        let files: Vec<_> = files.collect();
        let mut tarball = ocirepo_tests::tarball::Tarball::new();
        for (name, content) in files {
            tarball = tarball.file(name, content);
        }
        tarball.to_bytes()
    };
    let copy = "copy this volume again";
    let check_all = || {
        for (number, member) in [(whole, &blob), (cut, &part)] {
            refused(&ocirepo, &flipped(bundle.volume(number), member), &[&label(number), member, copy]);
            refused(&ocirepo, &truncated(number, member), &[&label(number), member, copy]);
            refused(&ocirepo, &without(number, member), &[&label(number), member, copy]);
        }
        refused(&ocirepo, &flipped(bundle.volume(cut), "index.json"), &[&label(cut), "index.json", copy]);
        refused(&ocirepo, &flipped(bundle.volume(cut), TOC), &[&label(cut), TOC, copy]);
        refused(&ocirepo, &flipped(bundle.volume(cut), SUMS), &[&label(cut), copy]);
        refused(&ocirepo, &without(cut, SUMS), &[&label(cut), SUMS, copy]);
        refused(&ocirepo, &without(cut, VOLUME), &[VOLUME]);
    };
    check_all();
    assert_eq!(pending(&ocirepo), json!([]));
    for number in (1..=VOLUMES).filter(|number| *number != whole && *number != cut) {
        bundle.add(&ocirepo, number).ok();
    }
    check_all();
    bundle.assert_needed(&ocirepo, &BTreeSet::from([whole, cut]));
    bundle.add(&ocirepo, whole).ok();
    check_all();
    bundle.add(&ocirepo, cut).ok();
    bundle.assert_complete(&ocirepo);
    check_all();
    bundle.assert_complete(&ocirepo);
}

#[test]
fn a_volume_that_says_it_is_another_is_refused() {
    let bundle = Bundle::new();
    let other = {
        let source = Ocirepo::new();
        copy_tree(bundle.source.dir(), source.dir());
        source.run(&["tag", "test/small:1", "test/more:1"]).ok();
        Bundle::of(source, "300kB", &[])
    };
    assert_ne!(bundle.id, other.id);
    let ocirepo = repository();
    bundle.add(&ocirepo, 1).ok();
    let forged = |number: u32, member: &str, content: &[u8]| {
        let mut files = read(bundle.volume(number));
        files.iter_mut().find(|(name, _)| name == member).unwrap().1 = content.to_vec();
        write(&files)
    };
    let label = |id: &str, volume: u32, volumes: u32| {
        json!({"bundle": id, "volume": volume, "volumes": volumes}).to_string().into_bytes()
    };
    let of_other =
        |member: &str| read(other.volume(2)).into_iter().find(|(name, _)| name == member).unwrap().1;
    for (content, text) in [
        (label(&other.id, 2, VOLUMES), other.id.as_str()),
        (label(&bundle.id, 2, 6), "of 7 volumes"),
        (label(&bundle.id, 8, VOLUMES), "there are 7 volumes"),
        (label(&bundle.id, 0, VOLUMES), "there are 7 volumes"),
        // What volume 2 holds is not what the table has in volume 3.
        (label(&bundle.id, 3, VOLUMES), "volume 3"),
        (b"{}".to_vec(), VOLUME),
    ] {
        refused(&ocirepo, &forged(2, VOLUME, &content), &[text]);
    }
    refused(&ocirepo, &forged(2, TOC, &of_other(TOC)), &[&bundle.id]);
    refused(&ocirepo, &forged(2, "index.json", &of_other("index.json")), &["index.json", "came before"]);
    bundle.assert_needed(&ocirepo, &(2..=VOLUMES).collect());
    for number in 2..=VOLUMES {
        bundle.add(&ocirepo, number).ok();
    }
    bundle.assert_complete(&ocirepo);
}

#[test]
fn options_that_choose_or_change_are_for_whole_bundles() {
    let bundle = Bundle::new();
    let ocirepo = repository();
    for option in [
        &["--select", "test/small:1"][..],
        &["--platform", "linux/amd64"],
        &["--layers", "gzip"],
        &["--ref", "a:1"],
        &["--merge-platforms"],
        &["--untagged", "skip"],
        &["--require-complete"],
    ] {
        let before = kept(&ocirepo);
        let args = [&["add", bundle.volume(1)], option].concat();
        ocirepo.run(&args).one_clear_error(2, &["is a volume of a bundle", option[0]]);
        assert!(before == kept(&ocirepo), "{option:?}");
    }
    let list = ocirepo.scratch("list.txt");
    fs::write(&list, format!("{}\tb:1\n", bundle.volume(1))).unwrap();
    ocirepo.run(&["add", "-f", list.to_str().unwrap()]).one_clear_error(2, &["--ref"]);
    assert_eq!(pending(&ocirepo), json!([]));
}

/// What must hold of a repository in which an `add` of the last volume, or of one before it, was killed.
#[track_caller]
fn judge(bundle: &Bundle, ocirepo: &Ocirepo, added: u32, left: &BTreeSet<u32>, moment: &str) {
    let verify = ocirepo.run(&["verify"]);
    assert_eq!(verify.status.code(), Some(0), "{moment}: {verify:?}");
    assert_eq!(check(ocirepo.dir()).problems, [""; 0], "{moment}");
    let listed = contents(ocirepo).0["manifests"].as_array().unwrap().len();
    let waiting = pending(ocirepo);
    if listed == 0 {
        let (mut before, after) = (left.clone(), left);
        before.insert(added);
        let nothing = json!((1..=VOLUMES).collect::<Vec<_>>());
        let needed = numbers(waiting.get(0).map_or(&nothing, |bundle| &bundle["needed"]));
        assert!(needed == before || needed == *after, "{moment}: {needed:?}");
    } else {
        assert_eq!((listed, left.len()), (4, 0), "{moment}");
    }
    bundle.add(ocirepo, added).ok();
    for &number in left {
        bundle.add(ocirepo, number).ok();
    }
    ocirepo.run(&["gc"]).ok();
    bundle.assert_complete(ocirepo);
}

/// A repository before the first, a middle and the last volume: which is added, and what is needed after it.
fn stages(bundle: &Bundle) -> Vec<(Ocirepo, u32, BTreeSet<u32>)> {
    let stage = |taken: u32| {
        let ocirepo = repository();
        for number in 1..=taken {
            bundle.add(&ocirepo, number).ok();
        }
        (ocirepo, taken + 1, (taken + 2..=VOLUMES).collect())
    };
    vec![stage(0), stage(3), stage(VOLUMES - 1)]
}

#[test]
fn killed_at_random_moments() {
    let bundle = Bundle::new();
    let mut chance = Chance::from_env("adding volumes, killed");
    let kills = number("OCIREPO_TEST_KILLS").unwrap_or(100).div_ceil(10);
    for (template, added, left) in stages(&bundle) {
        let copy = || {
            let ocirepo = template.in_dir(template.scratch("copy"));
            copy_tree(template.dir(), ocirepo.dir());
            ocirepo
        };
        let start = Instant::now();
        let undisturbed = copy();
        bundle.add(&undisturbed, added).ok();
        let duration = start.elapsed();
        fs::remove_dir_all(undisturbed.dir()).unwrap();
        for _ in 0..kills {
            let ocirepo = copy();
            let moment = chance.moment(duration);
            let running = ocirepo.spawn(&["add", bundle.volume(added)]);
            thread::sleep(moment);
            drop(running.kill());
            judge(&bundle, &ocirepo, added, &left, &format!("volume {added}, after {moment:?}"));
            fs::remove_dir_all(ocirepo.dir()).unwrap();
        }
    }
}

/// Every call that gives something another name or takes one away: there is no other step in what waits.
#[test]
fn killed_at_every_rename() {
    let Some(strace) = strace() else { return };
    let bundle = Bundle::new();
    let calls = ["renameat", "renameat2", "linkat", "unlinkat", "mkdirat"];
    for (template, added, left) in stages(&bundle) {
        for call in calls {
            for occurrence in 1.. {
                let ocirepo = template.in_dir(template.scratch("killed"));
                copy_tree(template.dir(), ocirepo.dir());
                let was_killed = kill_at(&strace, &ocirepo, bundle.volume(added), call, occurrence);
                if was_killed {
                    let moment = format!("volume {added}, at {call} number {occurrence}");
                    judge(&bundle, &ocirepo, added, &left, &moment);
                }
                fs::remove_dir_all(ocirepo.dir()).unwrap();
                if !was_killed {
                    break;
                }
            }
        }
    }
}

fn kill_at(strace: &Path, ocirepo: &Ocirepo, volume: &str, call: &str, occurrence: u32) -> bool {
    let inject = format!("inject=?{call}:signal=SIGKILL:when={occurrence}");
    let trace = format!("trace=?{call}");
    let args = ["add", "-j", "1", volume];
    let output = ocirepo.spawn_traced(strace, &["-e", &trace, "-e", &inject], &args).wait();
    let killed = output.status.signal() == Some(9);
    assert!(killed || output.status.success(), "{output:?}");
    killed
}

#[test]
fn a_bundle_is_given_up() {
    let bundle = Bundle::new();
    let ocirepo = repository();
    bundle.add(&ocirepo, 1).ok();
    bundle.add(&ocirepo, 4).ok();
    let hex = &bundle.id[7..];
    for unknown in [&hex[..6], "0000000", "test/small:1", &format!("sha512:{hex}")] {
        ocirepo.run(&["rm", "--pending", unknown]).one_clear_error(3, &[unknown, &bundle.id]);
    }
    let twin = format!("{}{}", &hex[..20], "0".repeat(44));
    let waiting = ocirepo.dir().join(".ocirepo/pending");
    copy_tree(&waiting.join(hex), &waiting.join(&twin));
    ocirepo.run(&["rm", "--pending", &hex[..20]]).one_clear_error(9, &[hex, &twin]);
    ocirepo.run(&["rm", "--pending", &format!("sha256:{twin}")]).ok();

    let before = kept(&ocirepo);
    let told = ocirepo.run(&["rm", "--pending", "-n", hex, "--format", "json"]).json();
    assert_eq!((&told["dryRun"], &told["pending"][0]["bundle"]), (&json!(true), &json!(bundle.id)));
    assert!(before == kept(&ocirepo));
    let line = ocirepo.run(&["rm", "--pending", &hex[..7]]).ok().stdout;
    assert!(line.starts_with(&format!("gave up bundle {}", bundle.id)), "{line}");
    assert_eq!(pending(&ocirepo), json!([]));
    check(ocirepo.dir()).assert_tidy();
    ocirepo.run(&["rm", "--pending", hex]).one_clear_error(3, &["no bundle"]);
    ocirepo.run(&["rm", "--pending", "--glob", hex]).fails_with(2);
    for number in 1..=VOLUMES {
        bundle.add(&ocirepo, number).ok();
    }
    bundle.assert_complete(&ocirepo);
}
