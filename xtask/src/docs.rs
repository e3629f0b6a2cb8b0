//! `cargo xtask docs`: the parts of the pages that programs make. In `docs/commands.md` that is what stands between two
//! comments, made from the same words as `--help`; on every page it is what commands print, and files of the tree.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::shell::{self, cargo};

/// Bring the pages up to date: verbs and options, and what commands print.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Change nothing; fail if verbs and options in docs/commands.md are out of date
    #[arg(long)]
    check: bool,
}

impl Arguments {
    /// What CI runs: what commands print is looked at by the tests.
    pub(crate) const CHECK: Self = Self { check: true };
}

const PAGE: &str = "docs/commands.md";
const BEGIN: &str = "<!-- made by `cargo xtask docs` from here -->\n";
const END: &str = "<!-- made by `cargo xtask docs` to here -->";

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    shell::run(cargo().args(["build", "--quiet", "--package", "ocirepo"]))?;
    let path = shell::root().join(PAGE);
    let page = fs::read_to_string(&path).context(PAGE)?;
    let lost = || format!("{PAGE} has lost a line: {}or {END}", BEGIN.replace('\n', " "));
    let (before, rest) = page.split_once(BEGIN).with_context(lost)?;
    let (_, after) = rest.split_once(END).with_context(lost)?;
    let made = format!("{before}{BEGIN}\n{}{END}{after}", reference()?);
    if arguments.check {
        if made != page {
            bail!("{PAGE} does not say what the program does: `cargo xtask docs` brings it up to date");
        }
        return Ok(());
    }
    fs::write(&path, made).context(PAGE)?;
    correct_what_is_shown()
}

/// Verbs and options in Markdown.
fn reference() -> Result<String> {
    let program = shell::target_dir()?.join("debug/ocirepo");
    let output = Command::new(&program).args(["man", "--markdown"]).output();
    let output = output.with_context(|| format!("cannot start {}", program.display()))?;
    if !output.status.success() {
        bail!("`ocirepo man --markdown` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The test that runs the commands on the pages corrects what they show; then it must be content.
fn correct_what_is_shown() -> Result<()> {
    let examples =
        ["build", "--quiet", "--package", "ocirepo-store", "--package", "ocirepo-transfer", "--examples"];
    shell::run(cargo().args(examples))?;
    let test = ["test", "--quiet", "--package", "ocirepo-tests", "--test", "docs", "--", "--test-threads=1"];
    shell::run(cargo().args(test).env("OCIREPO_BLESS", "1"))?;
    shell::run(cargo().args(test))
}
