//! `cargo xtask test`: the end-to-end tests run the `ocirepo` binary, so everything is built before anything runs.

use anyhow::Result;

use crate::shell::{self, cargo};

/// Build everything and run every test.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// Run the tests with cargo-nextest (and the doc tests with cargo)
    #[arg(long)]
    nextest: bool,
    /// Passed on to cargo: a filter, `--test NAME`
    #[arg(allow_hyphen_values = true)]
    cargo_arguments: Vec<String>,
    /// Passed on to the test programs
    #[arg(last = true)]
    test_arguments: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { nextest, cargo_arguments, test_arguments } = arguments;
    let tests: &[&str] = if *nextest { &["nextest", "run"] } else { &["test"] };
    shell::run(cargo().args(["build", "--workspace"]))?;
    let mut command = cargo();
    command.args(tests).arg("--workspace").args(cargo_arguments);
    if !test_arguments.is_empty() {
        command.arg("--").args(test_arguments);
    }
    shell::run(&mut command)?;
    // nextest knows no doc tests; cargo has run them already.
    if *nextest { shell::run(cargo().args(["test", "--workspace", "--doc"])) } else { Ok(()) }
}
