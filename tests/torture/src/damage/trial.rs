//! A copy of a repository that something was done to, and commands that are tried on it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, bail};
use ocirepo_tests::cli::{Ocirepo, Output};
use ocirepo_tests::snapshot::copy_tree;
use serde_json::Value;

/// Names the copies.
static COPIES: AtomicU64 = AtomicU64::new(0);

/// A copy of a repository.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) ocirepo: Ocirepo,
}

/// Everything in a repository that a reader of image layouts sees, byte for byte.
pub(super) type Tree = BTreeMap<String, Vec<u8>>;

impl Trial {
    /// A copy that is whole yet.
    pub(super) fn of(whole: &Ocirepo) -> Self {
        let number = COPIES.fetch_add(1, Ordering::Relaxed);
        let ocirepo = whole.in_dir(whole.scratch(&format!("trial-{number}/repo")));
        copy_tree(whole.dir(), ocirepo.dir());
        Self { ocirepo }
    }

    pub(super) fn dir(&self) -> &Path {
        self.ocirepo.dir()
    }

    /// A path for what a command makes, in a directory that is empty at first.
    pub(super) fn output(&self, name: &str) -> Result<String> {
        let dir = self.dir().with_file_name("out");
        fs::create_dir_all(&dir)?;
        Ok(path_text(&dir.join(name)).to_owned())
    }

    /// What commands have left where their output should be.
    pub(super) fn outputs(&self) -> Result<Vec<String>> {
        let dir = self.dir().with_file_name("out");
        fs::create_dir_all(&dir)?;
        let names = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    /// Runs a command, which has to end with one of these codes.
    pub(super) fn run(&self, args: &[&str], codes: &[i32]) -> Result<Output> {
        let output = self.ocirepo.run(args);
        let line = args.join(" ");
        match output.status.code() {
            Some(code) if codes.contains(&code) => Ok(output),
            Some(101) | None => bail!("`ocirepo {line}` broke down: {}\n{}", output.status, output.stderr),
            Some(code) => bail!(
                "`ocirepo {line}` ended with {code} instead of {codes:?}\n{}{}",
                output.stdout,
                output.stderr
            ),
        }
    }

    /// The same with JSON output.
    pub(super) fn json(&self, args: &[&str], codes: &[i32]) -> Result<Value> {
        let output = self.run(&[args, &["--format", "json"]].concat(), codes)?;
        serde_json::from_str(&output.stdout)
            .with_context(|| format!("`ocirepo {}` printed no JSON:\n{}", args.join(" "), output.stdout))
    }

    /// The errors and the notes that verify finds: kind, digest, images.
    pub(super) fn verify(&self, codes: &[i32]) -> Result<Findings> {
        Ok(Findings::of(&self.json(&["verify"], codes)?))
    }

    /// What `ls` lists, in order: references or digests, and whether each is complete.
    pub(super) fn listed(&self) -> Result<Vec<(String, bool)>> {
        let rows = self.json(&["ls"], &[0])?;
        let row = |row: &Value| {
            let label = row["reference"].as_str().or(row["digest"].as_str()).unwrap_or("?");
            (label.to_owned(), row["complete"] == true)
        };
        Ok(rows.as_array().context("ls prints a list")?.iter().map(row).collect())
    }

    /// The layout as it lies there.
    pub(super) fn tree(&self) -> Result<Tree> {
        let mut tree = Tree::new();
        for name in ["oci-layout", "index.json"] {
            if let Ok(bytes) = fs::read(self.dir().join(name)) {
                tree.insert(name.to_owned(), bytes);
            }
        }
        for entry in fs::read_dir(self.dir().join("blobs/sha256"))? {
            let entry = entry?;
            tree.insert(format!("sha256:{}", entry.file_name().to_string_lossy()), fs::read(entry.path())?);
        }
        Ok(tree)
    }

    /// Whether the layout lies there as it did.
    pub(super) fn is_untouched(&self, before: &Tree, by: &str) -> Result<()> {
        let now = self.tree()?;
        let paths: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
        let changed: Vec<_> = paths.into_iter().filter(|path| before.get(*path) != now.get(*path)).collect();
        if changed.is_empty() { Ok(()) } else { bail!("{by} has changed, made or removed {changed:?}") }
    }

    /// The blobs that are there.
    pub(super) fn blobs(&self) -> Result<BTreeSet<String>> {
        Ok(self.tree()?.into_keys().filter(|name| name.starts_with("sha256:")).collect())
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // What is left goes with the specimen.
        let _ = self.dir().parent().map(fs::remove_dir_all);
    }
}

/// One thing that `verify` found: its kind, its digest and the images concerned.
pub(super) type Finding = (String, String, BTreeSet<String>);

/// What `verify` found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) errors: Vec<Finding>,
    pub(super) notes: Vec<Finding>,
}

impl Findings {
    fn of(report: &Value) -> Self {
        let mut found = Self::default();
        for finding in report["findings"].as_array().into_iter().flatten() {
            let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
            let images = finding["images"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let it = (text("kind"), text("digest"), images.map(str::to_owned).collect());
            if text("severity") == "error" { found.errors.push(it) } else { found.notes.push(it) }
        }
        found
    }
}

/// A path as an argument.
pub(super) fn path_text(path: &Path) -> &str {
    path.to_str().expect("paths of the testkit are UTF-8")
}
