//! `cargo xtask demo`: the main job on a real image, shown as a person would type it, in a temporary directory.

use std::env;
use std::process::Command;

use anyhow::{Result, bail};
use ocirepo_tests::checker::check;

use crate::shell;

const COMMANDS: &[&str] = &[
    "init",
    "add tests/fixtures/hello.tar --ref docker.io/library/hello:1.0",
    "ls",
    "inspect hello:1.0",
    "tag hello:1.0 mirror.corp/base/hello:1.0",
    "rm hello:1.0",
    "gc --dry-run",
    "gc",
    "verify",
];
/// The one name that is left in the end.
const LEFT: &str = "mirror.corp/base/hello:1.0";

pub(crate) fn run() -> Result<()> {
    let ocirepo = shell::release_binary()?;
    let scratch = tempfile::tempdir()?;
    let repository = scratch.path().join("images");
    println!("$ export OCIREPO_DIR={}", repository.display());
    for line in COMMANDS {
        println!("$ ocirepo {line}");
        let mut command = Command::new(&ocirepo);
        for (key, _) in env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("OCIREPO_")) {
            command.env_remove(key);
        }
        let status = command
            .args(line.split(' '))
            .env("OCIREPO_DIR", &repository)
            .current_dir(shell::root())
            .status()?;
        if !status.success() {
            bail!("`ocirepo {line}` failed: {status}");
        }
    }
    // Whatever was printed, a judge that shares no code with ocirepo has the last word.
    let report = check(&repository);
    if !report.problems.is_empty() || report.image_names != [LEFT] {
        bail!("the repository is not as it should be: {report:#?}");
    }
    scratch.close()?;
    Ok(())
}
