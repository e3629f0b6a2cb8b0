//! Other people's tools, used as witnesses where they are installed.

use std::env;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The path of a program, or `None` after a line on stderr that says what is skipped.
pub fn tool(name: &str) -> Option<PathBuf> {
    let found = find(name);
    if found.is_none() {
        say(&format!("skipped: {name} is not installed"));
    }
    found
}

/// strace, if it is installed and may trace here; otherwise `None` after a line on stderr.
pub fn strace() -> Option<PathBuf> {
    let strace = tool("strace")?;
    let probe = Command::new(&strace).args(["-qq", "-o", "/dev/null", "true"]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        say("skipped: strace may not trace here");
        return None;
    }
    Some(strace)
}

/// Writes a line to stderr itself and not through the print macros, so that it is seen even when the test passes.
pub fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).expect("stderr is open");
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
