//! The runtimes that load what was exported, each with a store of its own that goes when the test ends.
//!
//! A peer that is not installed, or whose daemon cannot run here, is skipped with a line that says so.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ocirepo_tests::tools;
use tempfile::TempDir;

/// So long may a daemon take to answer.
const START: Duration = Duration::from_secs(30);

/// A command line program with the arguments that point it at its own store.
pub(crate) struct Peer {
    /// What it is, with its version.
    pub(crate) label: String,
    program: PathBuf,
    own: Vec<String>,
    daemon: Option<Daemon>,
    store: TempDir,
}

/// A daemon that was started here, and is stopped here.
struct Daemon(Child);

impl Daemon {
    fn is_over(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(Some(_)) | Err(_))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Asked to stop, it takes its mounts down. One that has ended may have left its number to another process.
        if self.is_over() {
            return;
        }
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let deadline = Instant::now() + START;
        while Instant::now() < deadline && !self.is_over() {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Peer {
    /// podman, which needs no daemon.
    pub(crate) fn podman() -> Option<Self> {
        let program = tools::tool("podman")?;
        let store = store();
        let at = |name: &str| format!("{}/{name}", store.path().display());
        let own = ["--root", &at("root"), "--runroot", &at("run"), "--storage-driver", "vfs"];
        let own = own.map(str::to_owned).to_vec();
        let mut peer = Self { label: String::new(), program, own, daemon: None, store };
        peer.wait_for(&["images"])?;
        peer.label = peer.run(&["--version"]).trim().replace("version ", "");
        Some(peer)
    }

    /// containerd, driven by ctr.
    pub(crate) fn containerd() -> Option<Self> {
        let (daemon, program) = (tools::tool("containerd")?, tools::tool("ctr")?);
        let store = store();
        let at = |name: &str| format!("{}/{name}", store.path().display());
        let config = format!(
            "version = 2\nroot = \"{}\"\nstate = \"{}\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{}\"\n[ttrpc]\naddress = \"{}\"\n",
            at("root"),
            at("state"),
            at("grpc.sock"),
            at("ttrpc.sock")
        );
        fs::write(at("config.toml"), config).expect("the configuration can be written");
        let daemon = start(Command::new(daemon).args(["--config", &at("config.toml")]), &at("log"));
        let own = ["--address", &at("grpc.sock")].map(str::to_owned).to_vec();
        let mut peer = Self { label: String::new(), program, own, daemon: Some(daemon), store };
        peer.wait_for(&["version"])?;
        let version = peer.run(&["version"]);
        let version = version.lines().rev().find_map(|line| line.trim().strip_prefix("Version:"));
        peer.label = format!("containerd {}", version.expect("ctr says which version").trim());
        Some(peer)
    }

    /// dockerd, driven by docker.
    pub(crate) fn docker() -> Option<Self> {
        let (daemon, program) = (tools::tool("dockerd")?, tools::tool("docker")?);
        let store = store();
        let at = |name: &str| format!("{}/{name}", store.path().display());
        let host = format!("unix://{}", at("docker.sock"));
        let mut command = Command::new(daemon);
        command.args(["--storage-driver", "vfs", "--iptables=false", "--bridge=none", "--host", &host]);
        command.args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")]);
        let daemon = start(&mut command, &at("log"));
        let own = ["--host", &host].map(str::to_owned).to_vec();
        let mut peer = Self { label: String::new(), program, own, daemon: Some(daemon), store };
        peer.wait_for(&["version"])?;
        let version = peer.run(&["version", "--format", "{{.Server.Version}}"]);
        peer.label = format!("docker {}", version.trim());
        Some(peer)
    }

    /// Runs it to its end and returns what it wrote to stdout; panics if it fails.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        tools::run(&self.program, &self.all(args))
    }

    /// Runs it to its end and returns what it wrote to stderr; panics if it does not fail.
    pub(crate) fn fails(&self, args: &[&str]) -> String {
        self.attempt(args).expect_err("it should fail")
    }

    /// Runs it to its end and returns what it wrote to stdout, or to stderr if it fails.
    pub(crate) fn attempt(&self, args: &[&str]) -> Result<String, String> {
        let output = Command::new(&self.program).args(self.all(args)).output().expect("it can be started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Runs it with what another command writes to its stdout.
    pub(crate) fn run_on(&self, args: &[&str], writer: &mut Command) {
        let mut writer = writer.stdout(Stdio::piped()).spawn().expect("the writer can be started");
        let input = writer.stdout.take().expect("stdout is a pipe");
        let mut command = Command::new(&self.program);
        command.args(self.all(args)).stdin(input).stdout(Stdio::null());
        assert!(command.status().expect("it can be started").success(), "{} {args:?}", self.label);
        assert!(writer.wait().expect("a child can be waited for").success());
    }

    /// What it lists in two columns: names, and what stands beside each.
    pub(crate) fn list(&self, args: &[&str]) -> BTreeMap<String, String> {
        let listed = self.run(args);
        let line = |line: &str| {
            let mut words = line.split_whitespace().map(str::to_owned);
            Some((words.next()?, words.next()?))
        };
        listed.lines().filter_map(line).collect()
    }

    fn all<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        self.own.iter().map(String::as_str).chain(args.iter().copied()).collect()
    }

    /// Waits until it answers; if it does not, says that it is skipped.
    fn wait_for(&mut self, probe: &[&str]) -> Option<()> {
        let deadline = Instant::now() + START;
        loop {
            let output =
                Command::new(&self.program).args(self.all(probe)).output().expect("it can be started");
            if output.status.success() {
                return Some(());
            }
            let is_over = match &mut self.daemon {
                Some(daemon) => Instant::now() > deadline || daemon.is_over(),
                None => true,
            };
            if is_over {
                let log = fs::read(self.store.path().join("log")).unwrap_or(output.stderr);
                let log = String::from_utf8_lossy(&log);
                let last = log.lines().last().unwrap_or_default();
                tools::say(&format!("skipped: {} cannot run here: {last}", self.program.display()));
                return None;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Sockets have short names, so this is not below the directory of the test.
fn store() -> TempDir {
    tempfile::Builder::new().prefix("peer").tempdir_in("/tmp").expect("a temporary directory can be made")
}

fn start(command: &mut Command, log: &str) -> Daemon {
    let log = File::create(log).expect("the log can be made");
    let both = log.try_clone().expect("a file can be shared");
    let command = command.stdin(Stdio::null()).stdout(log).stderr(both);
    Daemon(command.spawn().expect("the daemon can be started"))
}

/// A line for docs/interop.md.
pub(crate) fn came_out(peer: &str, archive: &str, result: &str) {
    tools::say(&format!("| {peer} | {archive} | {result} |"));
}

/// skopeo or umoci, with its version.
pub(crate) fn program(name: &str) -> Option<(PathBuf, String)> {
    let path = tools::tool(name)?;
    let version = tools::run(&path, &["--version"]).trim().replace("version ", "");
    Some((path, version))
}

/// Unpacks a tar into a new directory.
pub(crate) fn unpack(archive: &Path, into: &Path) {
    let file = File::open(archive).expect("the archive is there");
    tar::Archive::new(file).unpack(into).expect("the archive can be unpacked");
}
