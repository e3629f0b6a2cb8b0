//! docs/ARCHITECTURE.md is the map of the code: what it names is there, and every source file has a place on it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ocirepo_tests::pages::root;
use ocirepo_tests::snapshot::tree;

const CRATES: [&str; 3] = ["crates/ocirepo-store/src", "crates/ocirepo-transfer/src", "crates/ocirepo/src"];

/// The files and folders that the map names, as they are written: below the sources of a crate, or below the root.
fn named() -> BTreeSet<String> {
    let map = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("the map can be read");
    let code = map.split('`').skip(1).step_by(2);
    let is_path = |it: &&str| (it.ends_with(".rs") || it.ends_with('/')) && !it.contains('*');
    // What lies in a repository is no code.
    code.filter(is_path).filter(|it| !it.starts_with(".ocirepo")).map(str::to_owned).collect()
}

/// Where a name may stand that is said in short, in the sentence about its folder.
const IN_SHORT: [&str; 4] =
    ["crates/ocirepo/src/commands", "crates/ocirepo/src/render", "tests/src", "tests/torture/src"];

/// What a name may stand for.
fn places_of(name: &str) -> impl Iterator<Item = PathBuf> {
    let places = CRATES.into_iter().chain(IN_SHORT).chain([""]);
    places.map(move |place| root().join(place).join(name)).filter(|path| path.exists())
}

#[test]
fn what_the_map_names_is_there() {
    let lost: Vec<String> = named().into_iter().filter(|name| places_of(name).next().is_none()).collect();
    assert!(lost.is_empty(), "{lost:#?}");
}

#[test]
fn every_source_file_has_a_place_on_the_map() {
    let named = named();
    let places: Vec<PathBuf> = named.iter().flat_map(|name| places_of(name)).collect();
    let sources = |of: &&str| {
        let dir = root().join(of);
        tree(&dir).into_keys().filter(|path| path.ends_with(".rs")).map(move |path| dir.join(path))
    };
    let mut files: Vec<PathBuf> = CRATES.iter().flat_map(sources).collect();
    let is_entrance = |file: &Path| ["lib.rs", "main.rs", "mod.rs"].iter().any(|name| file.ends_with(name));
    // A folder of everything is no place.
    let is_there =
        |file: &Path| places.iter().any(|place| file.starts_with(place) && !place.ends_with("src"));
    files.retain(|file| !is_entrance(file) && !is_there(file));
    assert!(files.is_empty(), "docs/ARCHITECTURE.md does not know {files:#?}");
}
