//! Names of files and folders that somebody chose: in the repository, as the repository, and as what is written.

use std::fs;

use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::layout::Layout;
use ocirepo_tests::states::{State, image};

use crate::poison::{POISON, judge, run};

#[test]
fn names_in_the_repository() {
    let state = State::two_images();
    state.json(&["tag", "a:1", "c:3"]);
    let at = |folder: &str| state.dir().join(folder).join(POISON);
    for folder in ["blobs", "blobs/sha256", ".ocirepo/tmp", ".ocirepo/pending", ".ocirepo/cache"] {
        fs::create_dir_all(at(folder)).unwrap();
        fs::write(at(folder).join(POISON), "x").unwrap();
        fs::write(at(folder).with_extension("file"), "x").unwrap();
    }
    fs::create_dir_all(at(".ocirepo/tmp").with_file_name(format!("session-{POISON}"))).unwrap();
    for args in [
        &["ls"][..],
        &["ls", "--pending"],
        &["verify"],
        &["gc", "-n"],
        &["gc"],
        &["init"],
        &["why", "abcdef0"],
    ] {
        run(&state.ocirepo, args);
    }
    let told = state.ocirepo.run(&["verify"]).ok().stdout;
    assert!(told.contains(r"\u{1b}[31m"), "{told}");
}

#[test]
fn the_name_of_the_repository() {
    let ocirepo = Ocirepo::new();
    let inside = ocirepo.in_dir(ocirepo.scratch(POISON));
    let dir = inside.dir().to_str().unwrap().to_owned();
    judge(&ocirepo.run(&["init", &dir]), "init");
    judge(&ocirepo.run(&["init", &dir, "--ref-policy", "tag"]), "init");
    Layout::create(&dir).full_image(&image("a"), "docker.io/library/a:1").write_index();
    for args in [&["ls"][..], &["verify"], &["gc"], &["inspect", "b:1"], &["tag", "a:1", "b:1"], &["rm", "x"]]
    {
        run(&ocirepo, &[&["-C", &dir], args].concat());
    }
    fs::remove_file(inside.dir().join("oci-layout")).unwrap();
    for args in [&["ls"][..], &["init"], &["init", "--adopt"]] {
        run(&ocirepo, &[&["-C", &dir], args].concat());
    }
    let told = ocirepo.env("OCIREPO_DIR", POISON).run(&["ls"]);
    judge(&told, "OCIREPO_DIR");
}

#[test]
fn names_of_what_is_written() {
    let state = State::two_images();
    let out = state.ocirepo.scratch(&format!("{POISON}.tar")).to_str().unwrap().to_owned();
    let dir = state.ocirepo.scratch(&format!("{POISON}.dir")).to_str().unwrap().to_owned();
    for args in [
        &["export", "-o", &out][..],
        &["export", "-o", &out, "--sums"],
        // Others are there from before, which is told.
        &["export", "-o", &out],
        &["export", "-o", &out, "--volume-size", "10kB"],
        &["export", "-o", &out, "--volume-size", "20kB"],
        &["export", "--type", "dir", "-o", &dir],
        &["export", "--type", "dir", "-o", &dir, "--names", "tag"],
        &["inventory", "-o", &out],
        &["export", "-o", &dir],
        &["ls", &out],
    ] {
        run(&state.ocirepo, args);
    }
}
