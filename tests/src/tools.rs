//! Other people's tools, used as witnesses where they are installed.

use std::env;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The path of a program, or `None` after a line on stderr that says what is skipped.
///
/// The line goes to stderr itself and not through the print macros, so that it is seen even when the test passes.
pub fn tool(name: &str) -> Option<PathBuf> {
    let found = find(name);
    if found.is_none() {
        let line = format!("skipped: {name} is not installed\n");
        std::io::stderr().write_all(line.as_bytes()).expect("stderr is open");
    }
    found
}

/// The path of a program, or `None`.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(name)).find(|program| program.is_file())
}

/// Runs a program to its end and returns what it wrote to stdout; panics with its stderr if it fails.
pub fn run(program: &Path, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().expect("the program can be started");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {args:?}: {}\n{stderr}", program.display(), output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
