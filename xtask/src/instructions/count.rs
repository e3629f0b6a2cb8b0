//! Counting the instructions of one command, hashing apart from the rest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use ocirepo_tests::tools;

use crate::shell;

/// How the names of the functions begin that hash.
const HASHING: &str = "sha2::";

/// How many instructions; or how many for one unit of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// In SHA-256.
    pub(super) hashing: u64,
    /// In everything else.
    pub(super) rest: u64,
}

/// Runs ocirepo, with its instructions counted or not.
#[derive(Debug)]
pub(super) struct Counter {
    valgrind: PathBuf,
    ocirepo: PathBuf,
    profile: PathBuf,
}

impl Counter {
    /// Builds what is to be counted. The directory takes an intermediate file.
    pub(super) fn new(scratch: &Path) -> Result<Self> {
        let valgrind = tools::find("valgrind").context("valgrind is not installed")?;
        Ok(Self { valgrind, ocirepo: shell::release_binary()?, profile: scratch.join("profile") })
    }

    /// Runs a command line to its end.
    pub(super) fn run(&self, directory: &Path, line: &str) -> Result<()> {
        finish(Command::new(&self.ocirepo), directory, line, Stdio::null())
    }

    /// The same under callgrind, with a file given through a pipe.
    pub(super) fn count(&self, directory: &Path, line: &str, input: Option<&str>) -> Result<Count> {
        let mut command = Command::new(&self.valgrind);
        command.args(["--quiet", "--tool=callgrind", "--compress-strings=no"]);
        command.arg(format!("--callgrind-out-file={}", self.profile.display())).arg(&self.ocirepo);
        let mut writer = input.map(|file| pipe(&directory.join(file))).transpose()?;
        let stdin =
            writer.as_mut().and_then(|writer| writer.stdout.take()).map_or_else(Stdio::null, Into::into);
        finish(command, directory, line, stdin)?;
        if let Some(mut writer) = writer {
            writer.wait()?;
        }
        let profile = fs::read(&self.profile).context("callgrind has written nothing")?;
        parse(&String::from_utf8_lossy(&profile))
            .context("callgrind has written something else than a profile")
    }
}

/// The environment is empty, so that nobody's settings are counted, of ocirepo or of valgrind.
fn finish(mut command: Command, directory: &Path, line: &str, stdin: Stdio) -> Result<()> {
    // Which of several threads gets which blob is chance, and so is whether it has a buffer left to use again.
    command.args(["--jobs", "1", "--progress", "none"]).args(line.split(' '));
    let output = command.current_dir(directory).env_clear().env("TMPDIR", directory).stdin(stdin).output()?;
    if !output.status.success() {
        bail!("`ocirepo {line}`: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn pipe(file: &Path) -> Result<Child> {
    Command::new("cat").arg(file).stdout(Stdio::piped()).spawn().context("cannot start cat")
}

/// Adds up what each function takes by itself. The lines of a profile that begin with a position are costs, those
/// behind `calls=` of the function that is called.
fn parse(profile: &str) -> Option<Count> {
    let (mut hashing, mut total) = (0, None);
    let (mut is_hashing, mut is_call) = (false, false);
    for line in profile.lines() {
        if let Some(function) = line.strip_prefix("fn=") {
            is_hashing = function.starts_with(HASHING);
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if let Some(all) = line.strip_prefix("totals: ") {
            total = Some(all.parse::<u64>().ok()?);
        } else if line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c)) {
            if is_hashing && !is_call {
                hashing += line.split(' ').nth(1)?.parse::<u64>().ok()?;
            }
            is_call = false;
        }
    }
    Some(Count { hashing, rest: total?.checked_sub(hashing)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "\
# callgrind format
version: 1
positions: line
events: Ir
summary: 1000

fl=store.rs
fn=ocirepo_store::ingest::push
12 30
cfn=sha2::sha256::soft::compress
calls=2 40
+3 900
* 10

fl=soft.rs
fn=sha2::sha256::soft::compress
40 600
fi=num.rs
-5 250
cfn=memcpy
calls=1 0
+1 50
+2 5

fn=memcpy
0 55

totals: 950
";

    #[test]
    fn hashing_is_what_its_functions_take_themselves_and_not_what_they_call() {
        assert_eq!(parse(PROFILE), Some(Count { hashing: 855, rest: 95 }));
    }

    #[test]
    fn half_a_profile_is_none() {
        let (half, _) = PROFILE.split_once("totals").unwrap();
        assert_eq!(parse(half), None);
        assert_eq!(parse(""), None);
        assert_eq!(parse(&PROFILE.replace("40 600", "40 many")), None);
    }
}
