//! Running the `ocirepo` binary: a clean environment, a scratch directory, a time limit.
//!
//! ```no_run
//! use ocirepo_tests::cli::Ocirepo;
//!
//! let ocirepo = Ocirepo::new();
//! ocirepo.run(&["init"]).ok();
//! let images = ocirepo.run(&["ls", "--format", "json"]).json();
//! assert_eq!(images, serde_json::json!([]));
//! ocirepo.run(&["inspect", "nothing:1"]).fails_with(3);
//! ```
//!
//! The binary is `$OCIREPO_BIN`, or `ocirepo` in the target directory that holds the running test. Cargo builds
//! no binary of another package before a test, so `cargo build` (or `cargo xtask test`) must have run.

use std::env;
use std::fs;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Twice the default lock timeout: whoever is slower hangs.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// A way to run ocirepo in one directory.
#[derive(Clone, Debug)]
pub struct Ocirepo {
    program: PathBuf,
    scratch: Arc<TempDir>,
    directory: PathBuf,
    environment: Vec<(String, String)>,
    time_limit: Duration,
}

impl Default for Ocirepo {
    fn default() -> Self {
        Self::new()
    }
}

impl Ocirepo {
    /// Runs in a new, empty directory of its own, which goes when the last clone does.
    pub fn new() -> Self {
        Self::with_program(binary())
    }

    /// The same with another program.
    pub fn with_program(program: impl Into<PathBuf>) -> Self {
        let scratch = tempfile::tempdir().expect("a temporary directory can be made");
        let directory = scratch.path().join("repo");
        for name in ["repo", "home", "tmp"] {
            fs::create_dir(scratch.path().join(name)).expect("a directory can be made");
        }
        let scratch = Arc::new(scratch);
        Self { program: program.into(), scratch, directory, environment: Vec::new(), time_limit: TIME_LIMIT }
    }

    /// The directory in which commands run: the repository, unless a test says otherwise.
    pub fn dir(&self) -> &Path {
        &self.directory
    }

    /// A path for the test's own files, outside the repository.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The same environment in another directory.
    pub fn in_dir(&self, directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), ..self.clone() }
    }

    /// One more environment variable.
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.into(), value.into()));
        self
    }

    /// Another time limit.
    pub fn time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// Runs a command to its end.
    pub fn run<S: AsRef<str>>(&self, args: &[S]) -> Output {
        self.spawn(args).wait()
    }

    /// Runs a command that reads `input` from stdin.
    pub fn run_with_stdin<S: AsRef<str>>(&self, args: &[S], input: impl Into<Vec<u8>>) -> Output {
        self.start(args, Some(input.into())).wait()
    }

    /// Starts a command and does not wait for it.
    pub fn spawn<S: AsRef<str>>(&self, args: &[S]) -> Running {
        self.start(args, None)
    }

    /// The command with this environment, for tests that need more control.
    pub fn command<S: AsRef<str>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args.iter().map(AsRef::as_ref)).current_dir(&self.directory).env_clear();
        command.env("PATH", env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.scratch.path().join("home")).env("TMPDIR", self.scratch.path().join("tmp"));
        command.env("LC_ALL", "C").env("TZ", "UTC").env("NO_COLOR", "1").env("RUST_BACKTRACE", "1");
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        command
    }

    /// Starts a command whose stdin stays open until the returned pipe is dropped.
    pub fn spawn_with_pipe<S: AsRef<str>>(&self, args: &[S]) -> (Running, ChildStdin) {
        let mut command = self.command(args);
        let mut running = self.spawn_command(command.stdin(Stdio::piped()));
        let stdin = running.child.stdin.take().expect("stdin is a pipe");
        (running, stdin)
    }

    /// Starts a command that a test has put together, best from [`Ocirepo::command`], and collects its output.
    pub fn spawn_command(&self, command: &mut Command) -> Running {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child =
            child.unwrap_or_else(|error| panic!("cannot start {}: {error}", self.program.display()));
        let stdout = drain(child.stdout.take().expect("stdout is a pipe"));
        let stderr = drain(child.stderr.take().expect("stderr is a pipe"));
        let line = command.get_args().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let deadline = Instant::now() + self.time_limit;
        Running { child, stdout: Some(stdout), stderr: Some(stderr), line, deadline }
    }

    /// Starts a command under strace, in the same environment; it is not waited for. What strace sees goes nowhere
    /// unless the options say so.
    pub fn spawn_traced<S: AsRef<str>>(&self, strace: &Path, options: &[&str], args: &[S]) -> Running {
        let traced = self.command(args);
        let mut command = Command::new(strace);
        command.args(["-f", "-qq", "-e", "signal=none", "-o", "/dev/null"]).args(options);
        command.arg("--").arg(traced.get_program()).args(traced.get_args());
        command.current_dir(&self.directory).env_clear().stdin(Stdio::null());
        command.envs(traced.get_envs().filter_map(|(key, value)| Some((key, value?))));
        self.spawn_command(&mut command)
    }

    /// The program that is run.
    pub fn program(&self) -> &Path {
        &self.program
    }

    fn start<S: AsRef<str>>(&self, args: &[S], input: Option<Vec<u8>>) -> Running {
        let Some(input) = input else { return self.spawn_command(self.command(args).stdin(Stdio::null())) };
        let (running, mut stdin) = self.spawn_with_pipe(args);
        // A child that ends early closes the pipe; what it made of its input is seen in its exit code.
        thread::spawn(move || stdin.write_all(&input).unwrap_or(()));
        running
    }
}

/// Reads on a thread, so that a child never blocks on a full pipe.
fn drain(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        bytes
    })
}

fn binary() -> PathBuf {
    if let Some(program) = env::var_os("OCIREPO_BIN") {
        return program.into();
    }
    let test = env::current_exe().expect("a running program has a path");
    // Tests lie in target/<profile>/deps, binaries one directory above.
    let candidates = test.ancestors().skip(1).take(2).map(|directory| directory.join("ocirepo"));
    candidates.into_iter().find(|program| program.is_file()).unwrap_or_else(|| {
        panic!(
            "no ocirepo beside {}: run `cargo build` first (or `cargo xtask test`, which does), \
             or set OCIREPO_BIN",
            test.display()
        )
    })
}

/// A command that was started. Dropping it kills the process.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
    line: String,
    deadline: Instant,
}

impl Running {
    /// The process ID.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// Waits for the end; panics, with the output so far, if the time limit passes.
    pub fn wait(mut self) -> Output {
        let mut pause = Duration::from_millis(1);
        while self.is_running() {
            if Instant::now() > self.deadline {
                let line = self.line.clone();
                let output = self.kill();
                panic!("`ocirepo {line}` did not end in time\n{}{}", output.stdout, output.stderr);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        self.collect()
    }

    /// Sends SIGKILL and returns what was written until then.
    pub fn kill(mut self) -> Output {
        self.child.kill().expect("our own child can be killed");
        self.collect()
    }

    fn collect(&mut self) -> Output {
        let status = self.child.wait().expect("a child can be waited for");
        let read = |pipe: &mut Option<JoinHandle<_>>| {
            pipe.take().expect("output is collected once").join().expect("the reader does not panic")
        };
        let (stdout, stderr) = (read(&mut self.stdout), read(&mut self.stderr));
        Output {
            line: std::mem::take(&mut self.line),
            status,
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
            bytes: stdout,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command did.
#[derive(Debug)]
pub struct Output {
    line: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to stdout, as text.
    pub stdout: String,
    /// What it wrote to stderr, as text.
    pub stderr: String,
    /// What it wrote to stdout, byte for byte.
    pub bytes: Vec<u8>,
}

impl Output {
    /// Panics unless the command succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.fails_with(0)
    }

    /// Panics unless the exit code is this one.
    #[track_caller]
    pub fn fails_with(self, code: i32) -> Self {
        assert!(
            self.status.code() == Some(code),
            "`ocirepo {}`: {}, expected exit code {code}\n--- stdout\n{}--- stderr\n{}",
            self.line,
            self.status,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Stdout as JSON; panics unless the command succeeded.
    #[track_caller]
    pub fn json(self) -> Value {
        self.ok().any_json()
    }

    /// Stdout as JSON, whatever the exit code.
    #[track_caller]
    pub fn any_json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("`ocirepo {}`: no JSON: {error}\n{}", self.line, self.stdout))
    }

    /// Panics unless the command failed with this exit code and with one clear message: one `error:` line, at least
    /// one `hint:` line that says what to do, and every one of these texts somewhere in it.
    #[track_caller]
    pub fn one_clear_error(self, code: i32, texts: &[&str]) -> Self {
        let mut output = self.fails_with(code);
        let lines = |start| output.stderr.lines().filter(|line| line.starts_with(start)).count();
        let (errors, hints) = (lines("error:"), lines("hint:"));
        assert!(
            errors == 1 && hints >= 1,
            "`ocirepo {}` says {errors} errors and {hints} hints:\n{}",
            output.line,
            output.stderr
        );
        for text in texts {
            output = output.says(text);
        }
        output
    }

    /// Panics unless stderr contains the text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "`ocirepo {}` does not say {text:?}:\n{}",
            self.line,
            self.stderr
        );
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell() -> Ocirepo {
        Ocirepo::with_program("/bin/sh")
    }

    #[test]
    fn the_environment_is_clean() {
        let output = shell().env("EXTRA", "yes").run(&["-c", "env; pwd"]).ok();
        assert!(!output.stdout.contains("OCIREPO_"), "{}", output.stdout);
        assert!(!output.stdout.contains("CARGO_"), "{}", output.stdout);
        assert!(output.stdout.contains("EXTRA=yes\n"));
        assert!(output.stdout.trim_end().ends_with("/repo"), "{}", output.stdout);
    }

    #[test]
    fn exit_codes_output_and_stdin() {
        let sh = shell();
        assert_eq!(sh.run(&["-c", "echo '[1]'"]).json(), serde_json::json!([1]));
        sh.run(&["-c", "echo why >&2; exit 4"]).fails_with(4).says("why");
        let input = vec![b'x'; 1 << 20];
        assert_eq!(sh.run_with_stdin(&["-c", "cat"], input.clone()).ok().bytes, input);
        sh.run_with_stdin(&["-c", "exit 0"], input).ok();
    }

    #[test]
    fn a_hanging_child_fails_the_test() {
        let sh = shell().time_limit(Duration::from_millis(200));
        let hang = || sh.run(&["-c", "echo begun; exec sleep 600"]);
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(hang)).unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.contains("did not end in time\nbegun"), "{message}");
    }

    #[test]
    fn children_run_beside_each_other_and_can_be_killed() {
        let sh = shell();
        let mut first = sh.spawn(&["-c", "exec sleep 600"]);
        sh.run(&["-c", "true"]).ok();
        assert!(first.is_running() && first.pid() > 0);
        assert_eq!(first.kill().status.code(), None);
    }
}
