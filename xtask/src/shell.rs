//! Paths of the working tree and running other programs.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// The root of the working tree.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root")
}

/// The directory cargo builds into: this program lies in `<target>/<profile>/`.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let program = env::current_exe().context("cannot find this program")?;
    let target = program.ancestors().nth(2).context("this program does not lie in a target directory")?;
    Ok(target.to_owned())
}

/// The cargo that runs us, to be run in the root.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Builds ocirepo for release, without a word, and returns its path.
pub(crate) fn release_binary() -> Result<PathBuf> {
    // The first time it takes minutes, and cargo shows how far it is.
    run(cargo().args(["build", "--release", "--package", "ocirepo"]))?;
    Ok(target_dir()?.join("release/ocirepo"))
}

/// Runs a command with our own output; an error names the command line.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", line(command)))?;
    if !status.success() {
        bail!("{} failed: {status}", line(command));
    }
    Ok(())
}

/// Runs a command without its output; an error has what it said.
pub(crate) fn quiet(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {}", line(command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed: {}: {}", line(command), output.status, stderr.trim());
    }
    Ok(())
}

/// The command line as a person would type it.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
