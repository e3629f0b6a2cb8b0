//! An archive with what must come of it, and the ways in.

use std::collections::BTreeSet;
use std::fs;

use crate::checker::check;
use crate::cli::{Ocirepo, Output};
use crate::compress::Packing;
use crate::intake::pairs;
use crate::layout::Layout;
use crate::tarball::{Kind, Tarball};

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As a file.
    File,
    /// On standard input.
    Stdin,
    /// Unpacked; passed over for archives with hard links.
    Folder,
    /// As a packed file.
    Packed(Packing),
    /// Packed, on standard input.
    PackedOnStdin(Packing),
}

/// An archive and what an importer must make of it.
#[derive(Clone, Debug)]
pub struct Sample {
    tarball: Tarball,
    images: Vec<(Option<String>, String)>,
    warnings: Vec<String>,
    notes: Vec<String>,
}

impl Sample {
    /// An archive that gives nothing, until more is said.
    pub fn of(tarball: Tarball) -> Self {
        Self { tarball, images: Vec::new(), warnings: Vec::new(), notes: Vec::new() }
    }

    /// It gives an image of this name and digest.
    pub fn image(self, reference: &str, digest: &str) -> Self {
        self.with(Some(reference), digest)
    }

    /// It gives an image without a name.
    pub fn nameless(self, digest: &str) -> Self {
        self.with(None, digest)
    }

    /// Something about it is odd, and is said with this text in it. Without this, nothing may be said.
    pub fn warns(mut self, text: &str) -> Self {
        self.warnings.push(text.to_owned());
        self
    }

    /// `verify` has a note of this kind afterwards. Without this, it may have none.
    pub fn notes(mut self, kind: &str) -> Self {
        self.notes.push(kind.to_owned());
        self
    }

    /// The archive.
    pub fn tarball(&self) -> &Tarball {
        &self.tarball
    }

    fn with(mut self, reference: Option<&str>, digest: &str) -> Self {
        self.images.push((reference.map(str::to_owned), digest.to_owned()));
        self
    }

    /// Adds it as a file and in each of these ways: each must give the same, byte for byte, and what it gives
    /// must be what was promised, and sound. Returns the repository of the file.
    #[track_caller]
    pub fn goes_in(&self, ways: &[Way]) -> Ocirepo {
        let bytes = self.tarball.to_bytes();
        let file = self.add(Way::File, &bytes);
        self.judge(&file);
        let first = Outcome::of(&file.0);
        for &way in ways.iter().filter(|&&way| way != Way::Folder || self.can_be_a_folder()) {
            first.assert_same(&self.add(way, &bytes), way);
        }
        file.0
    }

    /// A new repository with this added to it.
    #[track_caller]
    fn add(&self, way: Way, bytes: &[u8]) -> (Ocirepo, Output) {
        let ocirepo = Ocirepo::new();
        ocirepo.run(&["init"]).ok();
        // Told by content, so the name says nothing.
        let path = ocirepo.scratch("archive");
        let source = path.to_str().expect("test paths are UTF-8");
        let args = |source| ["add", source, "--format", "json"];
        let from_file = |bytes: &[u8]| {
            fs::write(&path, bytes).expect("the archive can be written");
            ocirepo.run(&args(source))
        };
        let output = match way {
            Way::File => from_file(bytes),
            Way::Packed(packing) => from_file(&packing.pack(bytes)),
            Way::Stdin => ocirepo.run_with_stdin(&args("-"), bytes),
            Way::PackedOnStdin(packing) => ocirepo.run_with_stdin(&args("-"), packing.pack(bytes)),
            Way::Folder => {
                self.tarball.unpack(&path);
                ocirepo.run(&args(source))
            }
        };
        (ocirepo, output.ok())
    }

    fn can_be_a_folder(&self) -> bool {
        !self.tarball.members.iter().any(|member| matches!(member.kind, Kind::Hardlink(_)))
    }

    /// Holds what was added against what was promised.
    #[track_caller]
    fn judge(&self, (ocirepo, added): &(Ocirepo, Output)) {
        let expected: BTreeSet<_> = self.images.iter().cloned().collect();
        assert_eq!(pairs(&added.any_json()["images"]), expected, "add says\n{}", added.stdout);
        let listed = ocirepo.run(&["ls", "--format", "json"]).json();
        assert_eq!(pairs(&listed), expected, "ls says\n{listed:#}");
        assert_eq!(listed.as_array().map(Vec::len), Some(expected.len()), "{listed:#}");

        let warnings: Vec<_> = added.stderr.lines().filter(|line| line.starts_with("warning:")).collect();
        for text in &self.warnings {
            assert!(
                warnings.iter().any(|line| line.contains(text)),
                "no warning has {text:?}: {warnings:#?}"
            );
        }
        assert!(!self.warnings.is_empty() || warnings.is_empty(), "{warnings:#?}");

        let verified = ocirepo.run(&["verify", "--format", "json"]).json();
        let findings = verified["findings"].as_array().cloned().unwrap_or_default();
        let kinds: BTreeSet<_> = findings.iter().filter_map(|finding| finding["kind"].as_str()).collect();
        assert_eq!(kinds, self.notes.iter().map(String::as_str).collect(), "{verified:#}");
        let report = check(ocirepo.dir());
        if self.notes.is_empty() {
            report.assert_tidy()
        } else {
            report.assert_sound()
        };
    }
}

/// What a repository came to be.
struct Outcome {
    index: String,
    blobs: BTreeSet<String>,
}

impl Outcome {
    fn of(ocirepo: &Ocirepo) -> Self {
        let index = fs::read_to_string(ocirepo.dir().join("index.json")).expect("index.json can be read");
        Self { index, blobs: Layout::open(ocirepo.dir()).blobs() }
    }

    #[track_caller]
    fn assert_same(&self, (ocirepo, _): &(Ocirepo, Output), way: Way) {
        let other = Self::of(ocirepo);
        assert_eq!(self.index, other.index, "{way:?}: index.json");
        assert_eq!(self.blobs, other.blobs, "{way:?}: blobs");
    }
}
