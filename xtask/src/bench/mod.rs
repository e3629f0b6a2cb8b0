//! `cargo xtask bench`: ocirepo beside other tools and beside what the machine can do at best, in the same run.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`data`] | makes what is measured on, once |
//! | [`peers`] | finds the other tools |
//! | [`job`], [`bar`] | what is to be done, by whom, and how fast it must be |
//! | [`suites`] | the jobs |
//! | [`runner`], [`gauge`] | runs them in turn, one process at a time, and measures each |
//! | [`cost`] | medians and ratios |
//! | [`report`], [`machine`] | tables on the screen and in `docs/benchmarks.md` |

mod bar;
mod bare;
mod context;
mod cost;
mod data;
mod gauge;
mod job;
mod machine;
mod peers;
mod report;
mod runner;
mod suites;

use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};

use crate::shell;
use context::Context;
use data::store;
use peers::Peers;
use suites::Suite;
use suites::commands::Commands;

/// Measure ocirepo beside other tools
///
/// Every job is done by ocirepo and by each peer in turn, in another order each round, with warm caches; a sync
/// of the file system afterwards counts. skopeo, umoci, podman and ctr are run where they are installed
/// (apt-get install skopeo umoci podman containerd openssl pigz zstd), newer ones and oras from --peers-root.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    other: Option<Other>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Args)]
struct Options {
    /// What to measure; everything, if none is named
    #[arg(value_enum, value_name = "SUITE")]
    suites: Vec<Suite>,
    /// A quarter of the data and three rounds: some minutes
    #[arg(long)]
    quick: bool,
    /// Rounds; tables have medians [default: 5, with --quick 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// Write the tables to docs/benchmarks.md as well
    #[arg(long)]
    write: bool,
    /// Where the data is kept, and the results while they are measured; up to 20 GB [default: target/bench]
    #[arg(long = "in", value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Measure this ocirepo, not one that is built for it: an older one, or one with other options
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// The root of another Debian, made by debootstrap: its tools go before those that are installed
    #[arg(long, value_name = "DIR")]
    peers_root: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Other {
    /// Write a synthetic image layout of many small images
    GenStore {
        #[command(flatten)]
        shape: store::Shape,
        /// Where; must not exist
        directory: PathBuf,
    },
    /// A yardstick: mark and sweep without locks, checks or fsync
    #[command(hide = true)]
    BareGc { directory: PathBuf },
    /// Run one command and print what it cost
    #[command(hide = true)]
    Gauge(gauge::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.other {
        None => measure(&arguments.options),
        Some(Other::GenStore { shape, directory }) => {
            let summary = store::generate(shape, directory)?;
            println!("{}: {summary}", directory.display());
            Ok(())
        }
        Some(Other::BareGc { directory }) => bare::gc(directory),
        Some(Other::Gauge(arguments)) => gauge::run(arguments),
    }
}

fn measure(options: &Options) -> Result<()> {
    let context = context(options)?;
    println!("{}", machine::describe(&context)?);
    let suites = if options.suites.is_empty() { Suite::all() } else { options.suites.clone() };
    let mut failures = Vec::new();
    for suite in suites {
        let mut outcomes = Vec::new();
        for job in suite.jobs(&context)? {
            let outcome = runner::run(job, &context)?;
            println!("{}", report::job(&outcome));
            failures.extend(outcome.failure_of_ours());
            outcomes.push(outcome);
        }
        if options.write {
            report::update(suite.name(), &report::suite(suite.name(), &outcomes, &context))?;
        }
    }
    if options.write {
        report::update("machine", &machine::describe(&context)?)?;
        println!("docs/benchmarks.md is updated");
    }
    if !failures.is_empty() {
        bail!("ocirepo failed at: {}", failures.join("; "));
    }
    Ok(())
}

fn context(options: &Options) -> Result<Context> {
    let directory = match &options.directory {
        Some(directory) => directory.clone(),
        None => shell::target_dir()?.join("bench"),
    };
    let existing = |path: &PathBuf| path.canonicalize().with_context(|| path.display().to_string());
    let root = options.peers_root.as_ref().map(existing).transpose()?;
    let peers = Rc::new(Peers::find(root.as_deref())?);
    let ocirepo = match &options.program {
        Some(program) => existing(program)?,
        None => shell::release_binary()?,
    };
    let rounds = usize::from(options.rounds.unwrap_or(if options.quick { 3 } else { 5 }));
    Context::new(&directory, options.quick, rounds, Commands { ocirepo, peers })
}
