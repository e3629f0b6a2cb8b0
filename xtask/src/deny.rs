//! `cargo xtask deny`: holds every dependency against `deny.toml`: its licence, where it comes from, and whether it is
//! banned. Known vulnerabilities are looked up with `--advisories`, which fetches their list from the network.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use crate::shell::{self, cargo};

/// Hold the dependencies against deny.toml.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Look for known vulnerabilities too, in the database of RustSec, which is fetched
    #[arg(long)]
    advisories: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let found = cargo().args(["deny", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !found.context("cannot start cargo")?.success() {
        bail!("cargo-deny is not installed; this gets it: cargo install cargo-deny --locked");
    }
    // The fuzz targets are a workspace of their own.
    for manifest in ["Cargo.toml", "tests/fuzz/Cargo.toml"] {
        println!("==> {manifest}");
        let mut command = cargo();
        command.args(["deny", "--locked", "--manifest-path", manifest, "--config", "deny.toml", "check"]);
        command.args(["licenses", "bans", "sources"]).args(arguments.advisories.then_some("advisories"));
        shell::run(&mut command)?;
    }
    Ok(())
}
