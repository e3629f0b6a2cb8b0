//! `cargo xtask ci`: everything a change must pass. Needs the Rust toolchain and a C compiler, nothing else.
//!
//! The tests come last, so that the counts that cargo prints end the output.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::shell::{self, cargo};
use crate::{demo, docs, instructions, test, torture};

/// What the README promises a newcomer.
const README_COMMANDS: &[&str] = &["cargo xtask demo", "cargo xtask test"];
/// Directories whose source files must stay short, and how short.
const SHORT_SOURCES: &[&str] = &["crates/ocirepo-store"];
const MAX_LINES: usize = 500;
/// Larger files do not belong in the repository.
const MAX_BYTES: u64 = 200_000;

type Step = (&'static str, fn() -> Result<()>);

const STEPS: &[Step] = &[
    ("cargo fmt", || shell::run(cargo().args(["fmt", "--all", "--check"]))),
    ("tree: README, length of files", check_tree),
    ("cargo clippy", || {
        shell::run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    }),
    ("cargo doc", || {
        shell::run(cargo().args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
    }),
    ("cargo xtask docs --check", || docs::run(&docs::Arguments::CHECK)),
    ("cargo xtask demo", demo::run),
    ("cargo xtask instructions", || instructions::run(&instructions::Arguments::default())),
    ("cargo xtask torture", || torture::run(&torture::Arguments::default())),
    ("cargo xtask test", || test::run(&test::Arguments::default())),
];

pub(crate) fn run() -> Result<()> {
    for (name, step) in STEPS {
        println!("\n==> {name}");
        let start = Instant::now();
        step().with_context(|| format!("ci stops at `{name}`"))?;
        println!("--> {name}: {:.1} s", start.elapsed().as_secs_f64());
    }
    Ok(())
}

fn check_tree() -> Result<()> {
    let mut complaints = Vec::new();
    let readme = fs::read_to_string(shell::root().join("README.md")).context("README.md")?;
    for command in README_COMMANDS {
        if !readme.contains(command) {
            complaints.push(format!("README.md does not mention `{command}`"));
        }
    }
    check_files(shell::root(), &mut complaints)?;
    if !complaints.is_empty() {
        bail!("{}", complaints.join("\n"));
    }
    Ok(())
}

/// Looks at the whole tree rather than at what git tracks, so that git is not needed.
fn check_files(directory: &Path, complaints: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type()?.is_dir() {
            if name != "target" && name != ".git" {
                check_files(&path, complaints)?;
            }
            continue;
        }
        let shown = path.strip_prefix(shell::root()).expect("the walk starts at the root");
        if path.extension().is_some_and(|extension| extension == "tmp") {
            continue;
        }
        let bytes = entry.metadata()?.len();
        if bytes > MAX_BYTES {
            complaints.push(format!("{}: {bytes} bytes, at most {MAX_BYTES} allowed", shown.display()));
        }
        let is_short_source = path.extension().is_some_and(|extension| extension == "rs")
            && SHORT_SOURCES.iter().any(|directory| shown.starts_with(directory));
        if is_short_source {
            let lines = fs::read_to_string(&path)?.lines().count();
            if lines > MAX_LINES {
                complaints.push(format!("{}: {lines} lines, at most {MAX_LINES} allowed", shown.display()));
            }
        }
    }
    Ok(())
}
