//! What a command changes, looked at from outside: read by the testkit, not by ocirepo, once ocirepo has said
//! whether it finds anything wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use ocirepo_tests::checker::{Report, check};
use ocirepo_tests::digest;
use ocirepo_tests::snapshot::debris;
use serde_json::Value;

use super::{OTHER, OUT, REPO, Scenario};
use crate::outcome::Outcome;

/// Everything below the directory of a copy.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) repos: BTreeMap<&'static str, Repo>,
    /// The digests of exported files, by name. Hidden ones are not among them.
    pub(super) files: BTreeMap<String, String>,
    /// Files that are not at their place yet.
    pub(super) hidden: BTreeSet<String>,
}

/// A repository, or a directory that is to be one.
#[derive(Debug, Default)]
pub(super) struct Repo {
    /// The entries of index.json; none where there is no index.json.
    pub(super) entries: Option<Value>,
    /// The ref policy, where it is on record.
    pub(super) policy: Option<Value>,
    /// Bundles that wait, and the files that wait in each.
    pub(super) pending: BTreeMap<String, BTreeSet<String>>,
    pub(super) blobs: BTreeSet<String>,
    pub(super) debris: BTreeSet<String>,
    /// The exit code of `ocirepo verify`, and what it said.
    pub(super) verify: (Option<i32>, String),
    /// What the testkit's checker finds.
    pub(super) report: Report,
}

impl PartialEq for State {
    /// Whether a command has come to the same: not whether the same blobs lie around that nothing needs.
    fn eq(&self, other: &Self) -> bool {
        self.repos == other.repos && self.files == other.files
    }
}

impl PartialEq for Repo {
    fn eq(&self, other: &Self) -> bool {
        (&self.entries, &self.policy, &self.pending) == (&other.entries, &other.policy, &other.pending)
    }
}

impl State {
    /// Looks at a copy. What must be finished, the first ocirepo that comes finishes.
    pub(super) fn look(scenario: &Scenario, copy: &Path) -> Outcome<Self> {
        let mut state = Self::default();
        for name in [REPO, OTHER] {
            let dir = copy.join(name);
            if dir.is_dir() {
                let verify = scenario.ocirepo_in(copy, name).run(&["verify"]);
                let verify = (verify.status.code(), verify.stdout + &verify.stderr);
                state.repos.insert(name, Repo::read(&dir, verify)?);
            }
        }
        for path in list(&copy.join(OUT))? {
            let content = fs::read(copy.join(OUT).join(&path))?;
            if path.starts_with('.') {
                state.hidden.insert(path);
            } else {
                state.files.insert(path, digest::sha256(&content));
            }
        }
        Ok(state)
    }
}

impl State {
    /// What is so, and what should be, where that is not the same.
    pub(super) fn against(&self, expected: &Self) -> String {
        let mut text = String::new();
        let names: BTreeSet<_> = self.repos.keys().chain(expected.repos.keys()).collect();
        for name in names.into_iter().filter(|name| self.repos.get(*name) != expected.repos.get(*name)) {
            let say = |state: &Self| state.repos.get(name).map(Repo::say).unwrap_or_default();
            text += &format!("\nthe repository `{name}` is\n{}\nand should be\n{}", say(self), say(expected));
        }
        if self.files != expected.files {
            text += &format!("\nthe files are {:?} and should be {:?}", self.files, expected.files);
        }
        text
    }
}

impl Repo {
    fn say(&self) -> String {
        let entries = self.entries.as_ref().map(Value::to_string).unwrap_or_default();
        format!("{entries}\npolicy {:?}, pending {:?}", self.policy, self.pending)
    }

    fn read(dir: &Path, verify: (Option<i32>, String)) -> Outcome<Self> {
        let mut repo = Self { debris: debris(dir), verify, ..Self::default() };
        repo.policy = json(&dir.join(".ocirepo/config.json"))?.map(|config| config["refPolicy"].clone());
        repo.entries = json(&dir.join("index.json"))?.map(|index| index["manifests"].clone());
        if repo.entries.is_some() {
            repo.report = check(dir);
        }
        repo.blobs = list(&dir.join("blobs/sha256"))?.into_iter().collect();
        let pending = dir.join(".ocirepo/pending");
        for bundle in list(&pending)? {
            let files = [".", "blobs/sha256", "parts"].map(|below| {
                let names = list(&pending.join(&bundle).join(below))?.into_iter();
                Ok(names.map(move |name| format!("{below}/{name}")))
            });
            let files: Outcome<Vec<_>> = files.into_iter().collect();
            repo.pending.insert(bundle, files?.into_iter().flatten().collect());
        }
        Ok(repo)
    }
}

/// The names in a directory; none where it is not there.
pub(super) fn list(dir: &Path) -> Outcome<Vec<String>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// A small document, where it is there.
fn json(path: &Path) -> Outcome<Option<Value>> {
    if !path.exists() {
        return Ok(None);
    }
    let document = serde_json::from_slice(&fs::read(path)?);
    document.map(Some).with_context(|| format!("{} is no JSON any more", path.display()))
}
