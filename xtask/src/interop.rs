//! `cargo xtask interop`: the tests that hand repositories and archives to other tools and back. A tool that is not
//! installed is skipped with a line that says so.

use anyhow::Result;

use crate::shell::{self, cargo};

/// Run the tests against other tools.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Passed on to the tests: a filter, usually the name of a tool
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    shell::run(cargo().args(["build", "--quiet", "--package", "ocirepo"]))?;
    let tests = ["test", "--package", "ocirepo-tests", "--test", "interop", "--test", "interop_export"];
    shell::run(cargo().args(tests).args(["--", "--nocapture"]).args(&arguments.rest))
}
