//! `cargo xtask bench export`: exports beside skopeo's, beside hashing the same bytes, and beside copying them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use ocirepo_tests::image::ImageSpec;
use ocirepo_tests::layout::Layout;
use ocirepo_tests::tools;

use super::measure::{Cost, measure, median};
use super::report;
use crate::shell;

/// Measure export.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The size of the image in MiB: four layers that cannot be compressed
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(4..))]
    megabytes: u32,
    /// Rounds; the table has the median
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
    /// Write the table to docs/benchmarks.md
    #[arg(long)]
    write: bool,
}

/// The name of the image.
const NAME: &str = "registry.example/team/app:1.0";

/// A way to write an image to a file.
struct Contender {
    name: &'static str,
    /// The command, for a repository and the place where it writes.
    command: fn(&Path, &Path) -> Result<Command>,
}

const OPENSSL: Contender = Contender {
    name: "openssl dgst -sha256, of the layers",
    command: |store, _| Ok(shell_command("cat \"$0\"/blobs/sha256/* | openssl dgst -sha256", store, store)),
};

const HYBRID: Contender = Contender {
    name: "ocirepo export -o FILE",
    command: |store, out| ocirepo(store, &["-o", &out.display().to_string()]),
};

const PIPE: Contender =
    Contender { name: "ocirepo export -o - > /dev/null", command: |store, _| ocirepo(store, &["-o", "-"]) };

const VOLUMES: Contender = Contender {
    name: "ocirepo export --volume-size 200MB -o FILE",
    command: |store, out| ocirepo(store, &["--volume-size", "200MB", "-o", &out.display().to_string()]),
};

const DOCKER: Contender = Contender {
    name: "ocirepo export --type docker -o FILE",
    command: |store, out| ocirepo(store, &["--type", "docker", "-o", &out.display().to_string()]),
};

const DIR: Contender = Contender {
    name: "ocirepo export --type dir -o DIR",
    command: |store, out| ocirepo(store, &["--type", "dir", "-o", &out.display().to_string()]),
};

const SKOPEO: Contender = Contender {
    name: "skopeo copy oci:DIR docker-archive:FILE",
    command: |store, out| {
        let mut command = Command::new("skopeo");
        command.args(["--insecure-policy", "copy", "-q"]);
        command.arg(format!("oci:{}:{NAME}", store.display()));
        command.arg(format!("docker-archive:{}", out.display()));
        Ok(command)
    },
};

const COPY: Contender = Contender {
    name: "cat of the layers > FILE, and sync",
    command: |store, out| Ok(shell_command("cat \"$0\"/blobs/sha256/* > \"$1\" && sync \"$1\"", store, out)),
};

fn ocirepo(store: &Path, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(shell::target_dir()?.join("release/ocirepo"));
    command.arg("-C").arg(store).args(["export", "-q"]).args(arguments);
    Ok(command)
}

fn shell_command(script: &str, store: &Path, out: &Path) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(store).arg(out);
    command
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    shell::release_binary()?;
    let mut contenders = vec![HYBRID, PIPE, VOLUMES, DOCKER, DIR];
    if tools::tool("skopeo").is_some() {
        contenders.push(SKOPEO);
    }
    contenders.extend([OPENSSL, COPY]);
    let directory = shell::target_dir()?.join("bench/export");
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    let store = generate(arguments, &directory)?;
    let mut costs = vec![Vec::new(); contenders.len()];
    // Interleaved and in another order each round, so that neither a slow moment of the machine nor what a neighbour
    // leaves behind falls on one contender alone.
    for round in 0..usize::from(arguments.rounds) {
        for turn in 0..contenders.len() {
            let number = (turn + 3 * round) % contenders.len();
            let place = directory.join(format!("out-{round}-{number}"));
            fs::create_dir(&place)?;
            // So that nobody waits for writes of somebody else.
            shell::run(&mut Command::new("sync"))?;
            costs[number].push(measure(&mut (contenders[number].command)(&store, &place.join("out"))?)?);
            fs::remove_dir_all(&place)?;
        }
    }
    fs::remove_dir_all(&directory)?;
    let section = section(arguments, &contenders, &costs);
    print!("{section}");
    if arguments.write { report::update("export", &section) } else { Ok(()) }
}

fn generate(arguments: &Arguments, directory: &Path) -> Result<PathBuf> {
    fs::create_dir_all(directory)?;
    let store = directory.join("store");
    let size = arguments.megabytes as usize * (1 << 20) / 4;
    let spec = (0..4).fold(ImageSpec::new(), |spec, seed| spec.noise_layer(seed, size));
    let mut layout = Layout::create(&store);
    layout.full_image(&spec.build(), NAME);
    layout.write_index();
    Ok(store)
}

fn section(arguments: &Arguments, contenders: &[Contender], costs: &[Vec<Cost>]) -> String {
    let Arguments { megabytes, rounds, .. } = arguments;
    let row = |(contender, costs): (&Contender, &Vec<Cost>)| (contender.name.to_owned(), median(costs));
    let rows: Vec<_> = contenders.iter().zip(costs).map(row).collect();
    format!(
        "One image of {megabytes} MiB, from the page cache; median of {rounds} rounds. All but the pipe and openssl\n\
         end with everything on the disk.\n\
         `cargo xtask bench export --megabytes {megabytes} --rounds {rounds}` on {}.\n\n{}",
        report::machine(),
        report::table(&rows)
    )
}
