//! A repository to add to, the sources that are added, and what came of it.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::cli::{Ocirepo, Output};
use crate::layout::Layout;
use crate::snapshot::Snapshot;
use crate::tarball::Tarball;

/// A repository under `full` names, and sources beside it.
#[derive(Clone, Debug)]
pub struct Intake {
    /// Runs in the repository.
    pub ocirepo: Ocirepo,
}

impl Default for Intake {
    fn default() -> Self {
        Self::new()
    }
}

impl Intake {
    /// An empty repository.
    pub fn new() -> Self {
        let ocirepo = Ocirepo::new();
        ocirepo.run(&["init"]).ok();
        Self { ocirepo }
    }

    /// Writes a source and returns its path.
    pub fn source(&self, name: &str, tarball: &Tarball) -> String {
        self.file(name, tarball.to_bytes())
    }

    /// Writes any file beside the repository and returns its path.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.ocirepo.scratch(name);
        fs::write(&path, bytes).expect("the file can be written");
        path.to_str().expect("test paths are UTF-8").to_owned()
    }

    /// `ocirepo add` with these arguments and JSON output.
    pub fn run(&self, args: &[&str]) -> Output {
        self.ocirepo.run(&[&["add", "--format", "json"], args].concat())
    }

    /// The same, which must succeed; returns what it prints and what it warns of.
    #[track_caller]
    pub fn add(&self, args: &[&str]) -> Added {
        let output = self.run(args).ok();
        let warnings = output.stderr.lines().filter(|line| line.starts_with("warning:"));
        Added { json: output.any_json(), warnings: warnings.map(str::to_owned).collect() }
    }

    /// The same, which must fail with this code and one clear message that has these texts in it, and change
    /// nothing.
    #[track_caller]
    pub fn refuses(&self, args: &[&str], code: i32, texts: &[&str]) {
        let before = Snapshot::of(self.ocirepo.dir());
        let output = self.run(args);
        before.assert_same(self.ocirepo.dir(), &args.join(" "));
        output.one_clear_error(code, texts);
    }

    /// The same, which must be a usage error with these texts in it, and change nothing.
    #[track_caller]
    pub fn misuses(&self, args: &[&str], texts: &[&str]) {
        let before = Snapshot::of(self.ocirepo.dir());
        let mut output = self.run(args).fails_with(2);
        before.assert_same(self.ocirepo.dir(), &args.join(" "));
        for text in texts {
            output = output.says(text);
        }
    }

    /// References and digests of all that is listed.
    pub fn listed(&self) -> BTreeSet<(Option<String>, String)> {
        pairs(&self.ocirepo.run(&["ls", "--format", "json"]).json())
    }

    /// Panics unless exactly this is listed, and `verify` finds no error.
    #[track_caller]
    pub fn assert_listed(&self, expected: &[(&str, &str)]) {
        let expected = expected
            .iter()
            .map(|&(name, digest)| ((!name.is_empty()).then(|| name.to_owned()), digest.to_owned()));
        assert_eq!(self.listed(), expected.collect());
        self.ocirepo.run(&["verify"]).ok();
    }

    /// The digest under a name.
    #[track_caller]
    pub fn digest(&self, name: &str) -> String {
        let inspected = self.ocirepo.run(&["inspect", name, "--format", "json"]).json();
        inspected["digest"].as_str().expect("an image has a digest").to_owned()
    }

    /// The manifest or index under a name, and the bytes of it.
    #[track_caller]
    pub fn document(&self, name: &str) -> Value {
        serde_json::from_slice(&self.layout().read_blob(&self.digest(name))).expect("it is JSON")
    }

    /// The repository as a layout, for reading.
    pub fn layout(&self) -> Layout {
        Layout::open(self.ocirepo.dir())
    }

    /// Forgets what the repository has found out about its layers.
    pub fn forget(&self) {
        let cache = self.ocirepo.dir().join(".ocirepo/cache");
        if cache.exists() {
            fs::remove_dir_all(cache).expect("the cache may be deleted");
        }
    }
}

/// What an `add` said.
#[derive(Clone, Debug)]
pub struct Added {
    /// What it printed.
    pub json: Value,
    /// Its warnings.
    pub warnings: Vec<String>,
}

impl Added {
    /// References and digests of the images.
    pub fn images(&self) -> BTreeSet<(Option<String>, String)> {
        pairs(&self.json["images"])
    }

    /// A count or size of the blobs.
    pub fn blobs(&self, key: &str) -> u64 {
        self.json["blobs"][key].as_u64().unwrap_or_else(|| panic!("no {key}: {:#}", self.json))
    }

    /// Panics unless a warning has all of these texts in it.
    #[track_caller]
    pub fn warns(&self, texts: &[&str]) {
        let has_all = |line: &String| texts.iter().all(|text| line.contains(text));
        assert!(self.warnings.iter().any(has_all), "no warning of {texts:?}: {:#?}", self.warnings);
    }

    /// Panics if there is a warning.
    #[track_caller]
    pub fn is_silent(&self) {
        assert!(self.warnings.is_empty(), "{:#?}", self.warnings);
    }
}

/// References and digests of a list of images, as `ls` and `add` print them.
pub fn pairs(images: &Value) -> BTreeSet<(Option<String>, String)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let pair = |image: &Value| (text(&image["reference"]), text(&image["digest"]).expect("it has a digest"));
    images.as_array().unwrap_or_else(|| panic!("no list: {images}")).iter().map(pair).collect()
}
