//! A bundle that has everything it needs and still cannot be completed: a name of it stands for something else by now,
//! or what waited was damaged. It says what is to be done, and that helps.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ocirepo_tests::artifact::artifact;
use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::descriptor::full_named;
use ocirepo_tests::image::ImageSpec;
use ocirepo_tests::layout::Layout;
use ocirepo_tests::snapshot::copy_tree;
use ocirepo_tests::volumes::{Bundle, VOLUMES, contents, numbers, pending, read, repository, write};
use serde_json::json;

/// A repository in which one volume of a bundle was forgotten. What the bundle calls `name` is another image by now.
/// With it an archive that has every blob of the bundle, under other names.
fn forgotten(name: &str) -> (Ocirepo, Bundle, String) {
    let source = Ocirepo::new();
    let image = ImageSpec::seeded("old").noise_layer(1, 150_000).noise_layer(2, 150_000).build();
    let signature = artifact("application/vnd.test.signature", b"signed", Some(&image.manifest));
    let mut layout = Layout::create(source.dir());
    layout.full_image(&image, "docker.io/test/app:1").artifact(&signature);
    layout.entry(full_named(signature.manifest.descriptor(), "docker.io/test/app:signature")).write_index();
    let bundle = Bundle::of(source, "200kB", &[]);
    let copy = bundle.source.in_dir(bundle.source.scratch("copy"));
    copy_tree(bundle.source.dir(), copy.dir());
    for (from, to) in [("test/app:1", "test/other:1"), ("test/app:signature", "test/other:signature")] {
        copy.run(&["tag", from, to]).ok();
        copy.run(&["rm", from]).ok();
    }
    let other = copy.scratch("other.tar").to_str().unwrap().to_owned();
    copy.run(&["export", "--type", "oci", "-o", &other]).ok();

    let ocirepo = repository();
    bundle.add(&ocirepo, 1).ok();
    let newer = repository();
    let mut layout = Layout::create(newer.scratch("newer"));
    layout.full_image(&ImageSpec::seeded("new").noise_layer(3, 1000).build(), name).write_index();
    ocirepo.run(&["add", newer.scratch("newer").to_str().unwrap()]).ok();
    (ocirepo, bundle, other)
}

fn digest_of(ocirepo: &Ocirepo, name: &str) -> String {
    ocirepo.run(&["inspect", name, "--format", "json"]).json()["digest"].as_str().unwrap().to_owned()
}

#[test]
fn a_forgotten_bundle_moves_no_name_until_a_volume_of_it_comes() {
    for name in ["docker.io/test/app:1", "docker.io/test/app:signature"] {
        let (ocirepo, bundle, other) = forgotten(name);
        let held = digest_of(&ocirepo, name);
        for args in [&["add", &other][..], &["add", "--replace", &other, &other]] {
            let told = ocirepo.run(args).ok().stderr;
            let hint = format!("or give it up with `ocirepo rm --pending {}`", bundle.id);
            let text = format!(
                "bundle {} has everything it needs; completing it would move {name} from {held} to sha256:",
                bundle.id
            );
            assert!(told.contains(&text) && told.contains(&hint), "{told}");
            assert_eq!(told.matches("warning:").count(), 1, "{told}");
            assert_eq!(digest_of(&ocirepo, name), held);
            assert_eq!(numbers(&pending(&ocirepo)[0]["needed"]), BTreeSet::new());
        }
        let names = ocirepo.run(&["ls", "--names"]).ok().stdout;
        assert_eq!(names.lines().count(), 3, "{names}");
        let added = ocirepo.run(&["add", "--format", "json", bundle.volume(1)]).json();
        assert!(added["images"].to_string().contains(&held), "{added:#}");
        assert_ne!(digest_of(&ocirepo, name), held);
        assert_eq!(pending(&ocirepo), json!([]));
        ocirepo.run(&["verify"]).ok();
    }
}

#[test]
fn a_forgotten_bundle_is_completed_by_others_where_it_moves_no_name() {
    let (ocirepo, bundle, other) = forgotten("docker.io/test/third:1");
    let told = ocirepo.run(&["add", &other]).ok();
    assert!(told.stdout.contains(&format!("bundle {}", bundle.id)), "{told:?}");
    assert!(!told.stderr.contains("warning:"), "{told:?}");
    assert_eq!(pending(&ocirepo), json!([]));
    assert_eq!(ocirepo.run(&["ls", "--names"]).ok().stdout.lines().count(), 5);
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 0x20;
    fs::write(path, bytes).unwrap();
}

/// The blobs and the parts that wait.
fn waiting(ocirepo: &Ocirepo, bundle: &Bundle) -> Vec<PathBuf> {
    let dir = ocirepo.dir().join(".ocirepo/pending").join(&bundle.id[7..]);
    let files = ["blobs/sha256", "parts"].map(|below| fs::read_dir(dir.join(below)).unwrap());
    files.into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

/// Adds the volume that was missing, which must say that what waited is damaged, and then what it says is needed.
#[track_caller]
fn heal(ocirepo: &Ocirepo, bundle: &Bundle, last: u32, texts: &[&str]) {
    let before = contents(ocirepo);
    let texts = [&[bundle.id.as_str(), "what waited of sha256:", "damaged", "needed again"], texts].concat();
    bundle.add(ocirepo, last).one_clear_error(4, &texts);
    assert_eq!(contents(ocirepo), before);
    let needed = numbers(&pending(ocirepo)[0]["needed"]);
    assert!(!needed.is_empty() && needed.len() < VOLUMES as usize, "{needed:?}");
    for number in needed {
        bundle.add(ocirepo, number).ok();
    }
    bundle.assert_complete(ocirepo);
}

#[test]
fn whatever_rots_while_it_waits_is_named_and_comes_again() {
    let bundle = Bundle::new();
    let template = repository();
    for number in 1..VOLUMES {
        bundle.add(&template, number).ok();
    }
    let count = waiting(&template, &bundle).len();
    assert!(count > 10);
    for at in 0..count {
        let ocirepo = template.in_dir(template.scratch("copy"));
        copy_tree(template.dir(), ocirepo.dir());
        flip(&waiting(&ocirepo, &bundle)[at]);
        heal(&ocirepo, &bundle, VOLUMES, &[]);
        fs::remove_dir_all(ocirepo.dir()).unwrap();
    }
    for path in waiting(&template, &bundle) {
        flip(&path);
    }
    bundle.add(&template, VOLUMES).one_clear_error(4, &["volumes 1, 2, 3"]);
    for number in 1..=VOLUMES {
        bundle.add(&template, number).ok();
    }
    bundle.assert_complete(&template);
}

#[test]
fn a_forged_part_does_not_block_the_bundle() {
    let bundle = Bundle::new();
    let (number, part) = bundle.find("ocirepo-parts/");
    let mut files = read(bundle.volume(number));
    files.iter_mut().find(|(name, _)| *name == part).unwrap().1[100] ^= 1;
    let ocirepo = repository();
    let forged = ocirepo.scratch("forged.tar");
    fs::write(&forged, write(&files)).unwrap();
    ocirepo.run(&["add", forged.to_str().unwrap()]).ok();
    let last = if number == VOLUMES { 1 } else { VOLUMES };
    for other in (1..=VOLUMES).filter(|other| ![number, last].contains(other)) {
        bundle.add(&ocirepo, other).ok();
    }
    let hex = Path::new(&part).file_stem().unwrap().to_str().unwrap();
    heal(&ocirepo, &bundle, last, &[hex]);
}
