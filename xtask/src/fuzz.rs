//! `cargo xtask fuzz`: runs the fuzz targets in `tests/fuzz`, each for a while. Needs cargo-fuzz, and no nightly
//! toolchain: what is fuzzed is Rust without `unsafe`, so there is nothing for a sanitizer to find.
//!
//! What a target finds stays in `target/fuzz/findings`. Once it is understood, a small file with it goes to
//! `tests/fuzz/findings`, which the tests replay.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use crate::shell::{self, cargo};

/// Run the fuzz targets for a while.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long each target runs
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,
    /// The targets; all of them if none is named
    targets: Vec<String>,
}

const DIRECTORY: &str = "tests/fuzz";
/// Longer inputs are slower and find no more: the seeds are shorter than this.
const MAX_LENGTH: u32 = 8192;
/// One input that takes longer, in seconds, is a finding.
const TIMEOUT: u32 = 20;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let known = targets()?;
    if let Some(unknown) = arguments.targets.iter().find(|target| !known.contains(*target)) {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        bail!("there is no fuzz target {unknown}; there are {}", known.join(", "));
    }
    check_for_cargo_fuzz()?;
    let chosen = if arguments.targets.is_empty() {
        known.iter().collect()
    } else {
        arguments.targets.iter().collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    for target in chosen {
        println!("\n==> {target}, {} s", arguments.seconds);
        found.extend(fuzz(target, arguments.seconds)?);
    }
    if !found.is_empty() {
        let paths: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
        bail!("{} found:\n{}\nthe message is above, by `panicked at`", count(paths.len()), paths.join("\n"));
    }
    Ok(())
}

fn count(findings: usize) -> String {
    if findings == 1 { "one input was".to_owned() } else { format!("{findings} inputs were") }
}

/// Every file in `fuzz_targets` is a target.
fn targets() -> Result<BTreeSet<String>> {
    let directory = shell::root().join(DIRECTORY).join("fuzz_targets");
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    Ok(names)
}

fn check_for_cargo_fuzz() -> Result<()> {
    let found = cargo().args(["fuzz", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !found.context("cannot start cargo")?.success() {
        bail!("cargo-fuzz is not installed; this gets it: cargo install cargo-fuzz --locked");
    }
    Ok(())
}

/// Runs one target; gives what it found that was not there before.
fn fuzz(target: &str, seconds: u32) -> Result<Vec<PathBuf>> {
    let built = shell::target_dir()?.join("fuzz");
    let (corpus, findings) = (built.join("corpus").join(target), built.join("findings").join(target));
    for directory in [&corpus, &findings] {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    let before = files(&findings)?;
    let directory = shell::root().join(DIRECTORY);
    let dictionary = if target.ends_with("json") { "json.dict" } else { "archive.dict" };
    let mut command = cargo();
    command.args(["fuzz", "run", "--sanitizer", "none", "--fuzz-dir"]).arg(&directory);
    command.arg("--target-dir").arg(&built).arg(target).arg(&corpus);
    for committed in ["seeds", "findings"] {
        command.args(Some(directory.join(committed).join(target)).filter(|path| path.is_dir()));
    }
    command.arg("--").args([
        format!("-max_total_time={seconds}"),
        format!("-max_len={MAX_LENGTH}"),
        format!("-timeout={TIMEOUT}"),
        format!("-dict={}", directory.join(dictionary).display()),
        // With the slash at the end: it is a beginning of names.
        format!("-artifact_prefix={}/", findings.display()),
    ]);
    // A target that stops at a finding cleans nothing up, and memory is faster than a disk.
    let memory = Path::new("/dev/shm");
    let scratch = if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? };
    let status = command.env("TMPDIR", scratch.path()).status().context("cannot start cargo fuzz")?;
    let found: Vec<PathBuf> = files(&findings)?.difference(&before).cloned().collect();
    // The same input may have been found before: libFuzzer names files by content.
    if !status.success() && found.is_empty() {
        bail!("cargo fuzz run {target} failed: {status}; what was found before is in {}", findings.display());
    }
    Ok(found)
}

fn files(directory: &Path) -> Result<BTreeSet<PathBuf>> {
    let entries = fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path()));
    Ok(entries.collect::<io::Result<_>>()?)
}
