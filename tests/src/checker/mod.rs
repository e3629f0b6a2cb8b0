//! The judge: reads a directory as the OCI image-layout specification has it and says what is wrong with it.
//!
//! It knows the specification and nothing of ocirepo's own code. Its notion of garbage is that of the design:
//! what no entry reaches through `manifests`, `config`, `layers`, `blobs`, `fsLayers` and `subject`, and what is
//! not a referrer of something reached, and no bundle that waits for volumes needs.
//!
//! Not a problem: children that an index lists and the layout lacks (they are in [`Report::sparse`]), a missing
//! subject, a missing layer with `urls`.

mod blobs;
mod graph;
mod strict;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::descriptor;

/// What the judge found.
#[derive(Debug, Default)]
pub struct Report {
    /// Everything that breaks the specification or an image, one sentence each.
    pub problems: Vec<String>,
    /// The ref.name of every entry that has one, in index order.
    pub names: Vec<String>,
    /// The image name of every entry that has one, in index order.
    pub image_names: Vec<String>,
    /// Blobs that an entry reaches and that are there.
    pub live: BTreeSet<String>,
    /// Blobs that are there, that no entry reaches and no bundle waits for.
    pub garbage: BTreeSet<String>,
    /// Children of indexes that are not there.
    pub sparse: BTreeSet<String>,
    /// Files that an unfinished writer left below `.ocirepo/tmp`.
    pub staging: BTreeSet<String>,
}

impl Report {
    /// Panics with the list unless there are no problems.
    pub fn assert_sound(&self) -> &Self {
        assert!(self.problems.is_empty(), "the layout is unsound:\n{}", self.problems.join("\n"));
        self
    }

    /// Panics unless the layout is sound, every blob is reached, nothing is sparse and no staging is left.
    pub fn assert_tidy(&self) -> &Self {
        self.assert_sound();
        assert!(self.garbage.is_empty(), "garbage: {:?}", self.garbage);
        assert!(self.sparse.is_empty(), "missing children: {:?}", self.sparse);
        assert!(self.staging.is_empty(), "staging left behind: {:?}", self.staging);
        self
    }

    fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(text.into());
    }
}

/// Judges the layout in `dir`.
pub fn check(dir: impl AsRef<Path>) -> Report {
    let dir = dir.as_ref();
    let mut report = Report::default();
    check_oci_layout(dir, &mut report);
    let entries = read_entries(dir, &mut report);
    let blobs = blobs::read(dir, &mut report);
    for entry in &entries {
        report.names.extend(annotation(entry, descriptor::REF_NAME));
        report.image_names.extend(annotation(entry, descriptor::IMAGE_NAME));
    }
    graph::walk(&entries, &blobs, &mut report);
    let waiting = waiting(dir, &mut report);
    let is_garbage = |digest: &&String| !report.live.contains(*digest) && !waiting.contains(*digest);
    report.garbage = blobs.digests().filter(is_garbage).cloned().collect();
    let tmp = dir.join(".ocirepo/tmp");
    if tmp.is_dir() {
        list_files(&tmp, &mut report.staging);
    }
    report
}

/// The blobs that bundles under `.ocirepo/pending` need: a line each, digest and size.
fn waiting(dir: &Path, report: &mut Report) -> BTreeSet<String> {
    let mut waiting = BTreeSet::new();
    let Ok(bundles) = fs::read_dir(dir.join(".ocirepo/pending")) else { return waiting };
    for bundle in bundles {
        let path = bundle.expect("the directory can be read").path();
        match fs::read_to_string(path.join("needs")) {
            Ok(needs) => {
                waiting.extend(needs.lines().filter_map(|line| Some(line.split_once(' ')?.0.to_owned())));
            }
            Err(error) => report.problem(format!("{}: needs: {error}", path.display())),
        }
    }
    waiting
}

fn annotation(entry: &Value, key: &str) -> Option<String> {
    Some(entry.get("annotations")?.get(key)?.as_str()?.to_owned())
}

fn check_oci_layout(dir: &Path, report: &mut Report) {
    if let Some(document) = read_json(dir, "oci-layout", report) {
        let version = document.get("imageLayoutVersion");
        if version != Some(&"1.0.0".into()) {
            report.problem(format!("oci-layout: imageLayoutVersion is {version:?}"));
        }
    }
}

fn read_entries(dir: &Path, report: &mut Report) -> Vec<Value> {
    let Some(index) = read_json(dir, "index.json", report) else { return Vec::new() };
    if index.get("schemaVersion") != Some(&2.into()) {
        report.problem("index.json: schemaVersion is not 2");
    }
    if index.get("mediaType").is_some_and(|media_type| media_type != descriptor::OCI_INDEX) {
        report.problem(format!("index.json: mediaType is {}", index["mediaType"]));
    }
    let Some(entries) = index.get("manifests").and_then(Value::as_array) else {
        report.problem("index.json: manifests is not an array");
        return Vec::new();
    };
    entries.clone()
}

fn read_json(dir: &Path, name: &str, report: &mut Report) -> Option<Value> {
    let parsed = fs::read(dir.join(name)).map_err(|error| error.to_string());
    let parsed = parsed.and_then(|bytes| strict::parse(&bytes).map_err(|error| error.to_string()));
    match parsed {
        Ok(document) if document.is_object() => Some(document),
        Ok(_) => {
            report.problem(format!("{name}: not an object"));
            None
        }
        Err(error) => {
            report.problem(format!("{name}: {error}"));
            None
        }
    }
}

fn list_files(directory: &Path, files: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).expect("the directory can be read") {
        let path = entry.expect("the directory can be read").path();
        if path.is_dir() {
            list_files(&path, files);
        } else {
            files.insert(path.display().to_string());
        }
    }
}
