//! Runs one command and prints what it cost as JSON. A process of its own, so that what the system counts for its
//! children is that command and nothing else.
//!
//! Peak memory cannot be told below that of the gauge itself, which the system hands on to what it starts: some MiB.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike as _};
use rustix::fs::{fstatvfs, syncfs};

use super::cost::Cost;

/// How often the free space is looked at.
const INTERVAL: Duration = Duration::from_millis(20);

/// What to run.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A directory of the file system that is synced and watched
    #[arg(long)]
    directory: PathBuf,
    /// Whether a sync after the command counts
    #[arg(long)]
    sync: bool,
    /// The command
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

/// Has a gauge run the command. What it wrote to stderr is in the error if it fails.
pub(super) fn measure(command: &Command, directory: &Path, sync: bool) -> Result<Cost> {
    let mut gauge = Command::new(std::env::current_exe()?);
    gauge.args(["bench", "gauge"]).arg("--directory").arg(directory);
    if sync {
        gauge.arg("--sync");
    }
    gauge.arg("--").arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => gauge.env(key, value),
            None => gauge.env_remove(key),
        };
    }
    let output = gauge.stdin(Stdio::null()).output().context("cannot start the gauge")?;
    if !output.status.success() {
        // What the command said last, and what the gauge says of it.
        let stderr = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<_> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        bail!("{}", lines[lines.len().saturating_sub(2)..].join("; "));
    }
    serde_json::from_slice(&output.stdout).context("the gauge did not print a cost")
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let directory = &arguments.directory;
    let file_system = File::open(directory).with_context(|| directory.display().to_string())?;
    // So that nobody waits for writes of somebody else.
    syncfs(&file_system)?;
    let done = AtomicBool::new(false);
    let cost = thread::scope(|scope| {
        let watch = scope.spawn(|| least_free(&file_system, &done));
        let free = free(&file_system);
        let cost = time(arguments, &file_system);
        done.store(true, Ordering::Relaxed);
        let least = watch.join().expect("watching does not panic");
        cost.map(|cost| Cost { disk: free.saturating_sub(least), ..cost })
    })?;
    println!("{}", serde_json::to_string(&cost)?);
    Ok(())
}

fn time(arguments: &Arguments, file_system: &File) -> Result<Cost> {
    let (program, words) = arguments.command.split_first().context("no command")?;
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let status = command.status().with_context(|| format!("cannot start {}", program.display()))?;
    let ended = start.elapsed();
    if arguments.sync {
        syncfs(file_system)?;
    }
    let wall = start.elapsed();
    if !status.success() {
        bail!("{} failed: {status}", program.display());
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    Ok(Cost {
        wall: wall.as_secs_f64(),
        sync: (wall - ended).as_secs_f64(),
        cpu: cpu(&usage),
        peak_kib: u64::try_from(usage.max_rss()).unwrap_or(0),
        disk: 0,
    })
}

fn cpu(usage: &Usage) -> f64 {
    let seconds = |time: TimeVal| time.num_microseconds() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

fn least_free(file_system: &File, done: &AtomicBool) -> u64 {
    let mut least = u64::MAX;
    while !done.load(Ordering::Relaxed) {
        least = least.min(free(file_system));
        thread::sleep(INTERVAL);
    }
    least.min(free(file_system))
}

/// Free bytes; as many as can be if the file system does not tell.
fn free(file_system: &File) -> u64 {
    fstatvfs(file_system).map_or(u64::MAX, |space| space.f_bfree * space.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_sh(script: &str) -> Result<Cost> {
        let directory = std::env::temp_dir();
        let command = ["sh", "-c", script].map(OsString::from).to_vec();
        time(&Arguments { directory: directory.clone(), sync: true, command }, &File::open(directory)?)
    }

    #[test]
    fn the_time_of_what_a_command_starts_counts_and_so_does_the_sync() {
        let cost = run_sh("sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'; true").unwrap();
        assert!(cost.cpu > 0.01, "{cost:?}");
        assert!(cost.sync > 0.0 && cost.sync < cost.wall, "{cost:?}");
        assert!(cost.peak_kib > 0, "{cost:?}");
    }

    #[test]
    fn a_command_that_fails_has_no_cost() {
        let error = run_sh("exit 3").unwrap_err().to_string();
        assert!(error.contains("sh failed") && error.contains('3'), "{error}");
    }
}
