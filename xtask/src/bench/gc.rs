//! `cargo xtask bench gc`: ocirepo's garbage collection beside umoci's and beside bare mark and sweep.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use ocirepo_tests::tools;

use super::measure::{Cost, measure, median};
use super::report;
use super::store::{self, Shape, Summary};
use crate::shell;

/// Measure garbage collection.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    shape: Shape,
    /// Rounds, each on a fresh repository; the table has the median
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
    /// Write the table to docs/benchmarks.md
    #[arg(long)]
    write: bool,
}

/// A way to collect garbage.
struct Contender {
    name: &'static str,
    /// Contenders of one store run on it in turn; only the last may sweep.
    store: &'static str,
    sweeps: bool,
    command: fn(&Path) -> Result<Command>,
}

const OCIREPO_DRY: Contender = Contender {
    name: "ocirepo gc --dry-run",
    store: "ocirepo",
    sweeps: false,
    command: |store| ocirepo(store, &["gc", "--dry-run"]),
};

const OCIREPO: Contender = Contender {
    name: "ocirepo gc",
    store: "ocirepo",
    sweeps: true,
    command: |store| ocirepo(store, &["gc"]),
};

const UMOCI: Contender = Contender {
    name: "umoci gc",
    store: "umoci",
    sweeps: true,
    command: |store| {
        let mut command = Command::new("umoci");
        command.arg("gc").arg("--layout").arg(store);
        Ok(command)
    },
};

const BARE: Contender = Contender {
    name: "bare mark and sweep (no locks, checks or fsync)",
    store: "bare",
    sweeps: true,
    command: |store| {
        let mut command = Command::new(env::current_exe()?);
        command.args(["bench", "bare-gc"]).arg(store);
        Ok(command)
    },
};

fn ocirepo(store: &Path, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(shell::target_dir()?.join("release/ocirepo"));
    command.arg("-C").arg(store).args(arguments);
    Ok(command)
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    shell::release_binary()?;
    let mut contenders = vec![OCIREPO_DRY, OCIREPO];
    if tools::tool("umoci").is_some() {
        contenders.push(UMOCI);
    }
    contenders.push(BARE);
    let directory = shell::target_dir()?.join("bench/gc");
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    let summary = generate(arguments, &contenders, &directory)?;
    let mut costs = vec![Vec::new(); contenders.len()];
    // Interleaved, so that a slow moment of the machine does not fall on one contender alone.
    for round in 0..arguments.rounds {
        for (contender, costs) in contenders.iter().zip(&mut costs) {
            let store = store_path(&directory, contender, round);
            costs.push(measure(&mut (contender.command)(&store)?)?);
            check_result(contender, &store, &summary)?;
        }
    }
    fs::remove_dir_all(&directory)?;
    let section = section(arguments, &summary, &contenders, &costs);
    print!("{section}");
    if arguments.write { report::update("gc", &section) } else { Ok(()) }
}

fn store_path(directory: &Path, contender: &Contender, round: u8) -> PathBuf {
    directory.join(format!("{}-{round}", contender.store))
}

/// Writes every store before any is swept: ext4 is slow to create files where it has just deleted many.
fn generate(arguments: &Arguments, contenders: &[Contender], directory: &Path) -> Result<Summary> {
    let mut made = None;
    for round in 0..arguments.rounds {
        for contender in contenders.iter().filter(|contender| contender.sweeps) {
            let store = store_path(directory, contender, round);
            let summary = store::generate(&arguments.shape, &store)?;
            println!("{}: {summary}", store.display());
            made = Some(summary);
        }
    }
    // So that nobody waits for writes that are ours.
    shell::run(&mut Command::new("sync"))?;
    made.context("no rounds")
}

/// A fast answer counts only if it is right.
fn check_result(contender: &Contender, store: &Path, summary: &Summary) -> Result<()> {
    let left = fs::read_dir(store.join("blobs/sha256"))?.count();
    let expected = if contender.sweeps { summary.live } else { summary.live + summary.garbage };
    if left != expected {
        bail!("{}: {left} blobs are left, expected {expected}", contender.name);
    }
    Ok(())
}

fn section(
    arguments: &Arguments,
    summary: &Summary,
    contenders: &[Contender],
    costs: &[Vec<Cost>],
) -> String {
    let Summary { images, live, garbage, .. } = summary;
    let Arguments { shape, rounds, .. } = arguments;
    let row = |(contender, costs): (&Contender, &Vec<Cost>)| (contender.name.to_owned(), median(costs));
    let rows: Vec<_> = contenders.iter().zip(costs).map(row).collect();
    format!(
        "{images} images, {} blobs of which {garbage} are garbage; median of {rounds} rounds.\n\
         `cargo xtask bench gc --images {} --garbage-percent {} --rounds {rounds}` on {}.\n\n{}",
        live + garbage,
        shape.images,
        shape.garbage_percent,
        report::machine(),
        report::table(&rows)
    )
}
