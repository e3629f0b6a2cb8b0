//! `cargo xtask torture`: builds ocirepo and `tests/torture`, and has the one try to make the other lose something.
//!
//! With `--sabotage` a promise is broken on purpose first. A run that then finds nothing is the failure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};

use crate::shell::{self, cargo};

/// Try to make ocirepo lose something: crashes, power loss, races, random sequences, damage.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long to go on; building comes on top
    #[arg(long, value_name = "N", default_value_t = 10.0)]
    minutes: f64,
    /// Repeat the choices of an earlier run
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Break a promise on purpose first; what is lost must then be found
    #[arg(long, value_name = "NAME")]
    sabotage: Option<String>,
    /// Print what can be broken on purpose
    #[arg(long, conflicts_with = "sabotage")]
    list_sabotage: bool,
    /// The phases to run: damage, crash, power, model, race; all of them if none is named
    phases: Vec<String>,
}

/// What CI runs.
pub(crate) const SHORT: f64 = 2.0;

impl Default for Arguments {
    fn default() -> Self {
        Self { minutes: SHORT, seed: None, sabotage: None, list_sabotage: false, phases: Vec::new() }
    }
}

/// A promise that a build can break, and the phases that are to notice, the surest first.
struct Sabotage {
    name: &'static str,
    breaks: &'static str,
    phases: &'static [&'static str],
}

const SABOTAGE: [Sabotage; 8] = [
    Sabotage {
        name: "no-blob-fsync",
        breaks: "the content of blobs is not synced before index.json names them",
        phases: &["power"],
    },
    Sabotage { name: "no-dir-fsync", breaks: "names in directories are not synced", phases: &["power"] },
    Sabotage {
        name: "no-index-lock",
        breaks: "writers of index.json do not exclude each other",
        phases: &["race"],
    },
    Sabotage {
        name: "shared-sweep",
        breaks: "a sweep does not wait for those who rely on blobs",
        phases: &["race"],
    },
    Sabotage {
        name: "bad-index-is-empty",
        breaks: "an index.json that cannot be read is taken as an empty one",
        phases: &["damage", "crash"],
    },
    Sabotage {
        name: "index-before-blobs",
        breaks: "index.json names blobs before they are in place",
        phases: &["crash", "power"],
    },
    Sabotage {
        name: "trust-any-size",
        breaks: "a blob that is there is taken for the right one, whatever its size",
        phases: &["damage", "model"],
    },
    Sabotage {
        name: "no-gate",
        breaks: "a sweep that waits does not hold up those who come after it, and starves",
        phases: &["race"],
    },
];

/// With a promise broken, each phase has this long, in seconds.
const SABOTAGED_SECONDS: f64 = 60.0;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.list_sabotage {
        for Sabotage { name, breaks, .. } in &SABOTAGE {
            println!("{name:<20}{breaks}");
        }
        return Ok(());
    }
    let seed = arguments.seed.map_or_else(new_seed, Ok)?;
    match &arguments.sabotage {
        Some(name) => run_sabotaged(name, seed, arguments),
        None => torture(&build(None)?, arguments.minutes * 60.0, seed, &arguments.phases),
    }
}

fn run_sabotaged(name: &str, seed: u64, arguments: &Arguments) -> Result<()> {
    let Some(sabotage) = SABOTAGE.iter().find(|sabotage| sabotage.name == name) else {
        let known = SABOTAGE.map(|sabotage| sabotage.name);
        bail!("nothing named {name:?} can be broken; there are {}", known.join(", "));
    };
    let start = Instant::now();
    let built = build(Some(name))?;
    println!("broken on purpose: {}; built in {:.0} s", sabotage.breaks, start.elapsed().as_secs_f64());
    let phases: Vec<String> = match arguments.phases.as_slice() {
        [] => sabotage.phases.iter().map(|&phase| phase.to_owned()).collect(),
        phases => phases.to_vec(),
    };
    let seconds = SABOTAGED_SECONDS * phases.len() as f64;
    match torture(&built, seconds, seed, &phases) {
        Ok(()) => bail!("{name} was not noticed: {} is not watched over", sabotage.breaks),
        Err(noticed) => Err(noticed.context(format!("{name} was noticed"))),
    }
}

/// The programs of one build.
struct Built {
    ocirepo: PathBuf,
    torture: PathBuf,
}

impl Built {
    fn at(directory: &Path) -> Self {
        Self { ocirepo: directory.join("ocirepo"), torture: directory.join("ocirepo-torture") }
    }
}

/// Builds both programs. What has something broken is moved out of the way of those who look for a
/// sound ocirepo where cargo puts it.
fn build(sabotage: Option<&str>) -> Result<Built> {
    let target = shell::target_dir()?;
    let built = target.join("debug");
    let mut command = cargo();
    command.args(["build", "--quiet", "--package", "ocirepo", "--package", "ocirepo-torture"]);
    command.arg("--target-dir").arg(&target);
    let Some(name) = sabotage else {
        shell::run(&mut command)?;
        return Ok(Built::at(&built));
    };
    command.args(["--features", "ocirepo-torture/sabotage"]).env("OCIREPO_SABOTAGE", name);
    shell::run(&mut command)?;
    let apart = target.join("sabotage").join(name);
    fs::create_dir_all(&apart).with_context(|| apart.display().to_string())?;
    let (from, to) = (Built::at(&built), Built::at(&apart));
    for (from, to) in [(&from.ocirepo, &to.ocirepo), (&from.torture, &to.torture)] {
        fs::rename(from, to).with_context(|| format!("cannot move {}", from.display()))?;
    }
    Ok(to)
}

fn torture(built: &Built, seconds: f64, seed: u64, phases: &[String]) -> Result<()> {
    let memory = PathBuf::from("/dev/shm");
    // Nothing that is tried needs a disk, and memory is faster.
    let scratch = if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? };
    let mut command = Command::new(&built.torture);
    command.arg("--program").arg(&built.ocirepo).env("TMPDIR", scratch.path());
    command.arg(format!("--seconds={seconds}")).arg(format!("--seed={seed}")).args(phases);
    let status = command.status().with_context(|| format!("cannot start {}", built.torture.display()))?;
    if !status.success() {
        bail!("something was lost, see above ({status})");
    }
    Ok(())
}

fn new_seed() -> Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is not set")?;
    Ok(now.as_secs() % 1_000_000)
}
