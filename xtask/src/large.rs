//! `cargo xtask large`: the tests of large layers, with a layer that is really large. They take minutes, and as
//! much free space for temporary files (`TMPDIR`) as the layer has, and a little more: 12 GB for the 10 GiB of
//! the default, beyond which a tar can no longer write the size of a member in its plain field.

use anyhow::Result;

use crate::shell::{self, cargo};

/// Put a layer of many GiB through every way in, and measure the memory.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The size of the layer in GiB; from 8 on, archives write it in other ways
    #[arg(long, value_name = "N", default_value_t = 10)]
    gib: u64,
    /// Passed on to the tests: a filter
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let binary = shell::release_binary()?;
    let tests =
        ["test", "--package", "ocirepo-tests", "--test", "large", "--", "--nocapture", "--test-threads=1"];
    let mut command = cargo();
    command.args(tests).args(&arguments.rest);
    command.env("OCIREPO_BIN", binary).env("OCIREPO_TEST_GIB", arguments.gib.to_string());
    shell::run(&mut command)
}
