//! `cargo xtask instructions`: how many instructions the main jobs take, held against limits.
//!
//! valgrind counts them, so the figures do not depend on how fast or how busy the machine is. A job is run on two
//! sizes of the same data, and its figure is the difference for each MB, image or entry: what a start costs cancels
//! out, and has a figure of its own.
//!
//! On x86_64 valgrind shows a program one and the same processor, wherever it runs, as long as there is AVX2 below:
//! the same code is chosen everywhere. That processor has no instructions for SHA-256, so hashing is counted in the
//! portable code, which takes many times what users run. It is told apart for that reason: hashing something twice
//! is seen, and so is what would be lost beside it. The compiler does matter: the limits say which one they are from.
//!
//! What a count does not see is the time spent in the kernel, in caches or waiting: `cargo xtask bench` is for those.
//! Long copies are seen: valgrind counts each byte that `rep movsb` moves, or `rep stosb` clears, as an instruction.

mod count;
mod jobs;
mod judge;
mod limits;
mod stage;

use std::env::consts::{ARCH, OS};
use std::path::Path;

use anyhow::{Result, ensure};
use ocirepo_tests::tools;
use tempfile::TempDir;

use count::Counter;
use jobs::{Figure, JOBS, Job};
use limits::Limits;
use stage::{Size, Stage};

/// Count the instructions of the main jobs, and hold them against limits.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Make the limits what is counted now
    #[arg(long)]
    accept: bool,
    /// Count so many times; the median counts, and how far the counts lie apart is printed too
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
    /// Only the jobs that have one of these in their name
    #[arg(value_name = "WORD")]
    only: Vec<String>,
}

impl Default for Arguments {
    fn default() -> Self {
        Self { accept: false, rounds: 1, only: Vec::new() }
    }
}

/// They differ by so much that what differs from run to run is little beside it.
const SMALL: Size = Size { layer_bytes: 2 << 20, images: 100 };
const LARGE: Size = Size { layer_bytes: 6 << 20, images: 400 };

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let limits = Limits::read(ARCH)?;
    if let Some(why) = why_not(limits.as_ref(), arguments.accept) {
        println!("skipped: {why}");
        return Ok(());
    }
    let limits = limits.unwrap_or_default();
    let figures = count(arguments)?;
    print!("{}", judge::table(&figures, &limits));
    let origin = limits::origin()?;
    if arguments.accept {
        return limits.accept(&figures, origin).write(ARCH);
    }
    judge::judge(&figures, &limits, &origin)
}

/// Why nothing can be counted here, or held against anything.
fn why_not(limits: Option<&Limits>, accept: bool) -> Option<String> {
    if OS != "linux" || !["x86_64", "aarch64"].contains(&ARCH) {
        return Some(format!("no instructions are counted on {OS} for {ARCH}"));
    }
    if tools::find("valgrind").is_none() {
        return Some("valgrind is not installed, so no instructions are counted".into());
    }
    #[cfg(target_arch = "x86_64")]
    if !is_x86_feature_detected!("avx2") {
        return Some(
            "this processor has no AVX2, so other code would be counted than the limits are for".into(),
        );
    }
    if limits.is_none() && !accept {
        return Some(format!("no limits for {ARCH} yet; `cargo xtask instructions --accept` makes them"));
    }
    None
}

fn count(arguments: &Arguments) -> Result<Vec<Figure>> {
    let Arguments { only, rounds, .. } = arguments;
    let is_wanted = |job: &&Job| only.is_empty() || only.iter().any(|word| job.name.contains(word.as_str()));
    let jobs: Vec<_> = JOBS.iter().filter(is_wanted).collect();
    ensure!(!jobs.is_empty(), "no job has {} in its name", only.join(" or "));
    let scratch = scratch()?;
    let counter = Counter::new(scratch.path())?;
    let small = Stage::new(&counter, scratch.path().join("small"), SMALL)?;
    let large = Stage::new(&counter, scratch.path().join("large"), LARGE)?;
    let figure = |job: &'static Job| {
        let counts = (0..*rounds).map(|_| job.count(&small, &large)).collect::<Result<Vec<_>>>()?;
        Ok(Figure::median(job, &counts))
    };
    jobs.into_iter().map(figure).collect()
}

/// In memory, where there is some: nothing that is counted needs a disk.
fn scratch() -> Result<TempDir> {
    let memory = Path::new("/dev/shm");
    Ok(if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? })
}
