//! Wall time and peak memory of a child process.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// What one run cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub(super) wall: Duration,
    /// Peak resident memory; `None` where `/proc` does not tell.
    pub(super) peak_kib: Option<u64>,
}

/// Runs a command, with its output thrown away, and measures it. A failing command is an error.
///
/// The peak is polled each millisecond, because the standard library has no `wait4`: growth in the last
/// millisecond before the end is missed.
pub(super) fn measure(command: &mut Command) -> Result<Cost> {
    let start = Instant::now();
    let mut child =
        command.stdout(Stdio::null()).spawn().with_context(|| format!("cannot start {command:?}"))?;
    let mut peak_kib = None;
    loop {
        if let Some(status) = child.try_wait()? {
            if !status.success() {
                bail!("{command:?} failed: {status}");
            }
            return Ok(Cost { wall: start.elapsed(), peak_kib });
        }
        peak_kib = peak_of(child.id()).or(peak_kib);
        thread::sleep(Duration::from_millis(1));
    }
}

fn peak_of(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// The run of median wall time, with the largest peak of all.
pub(super) fn median(costs: &[Cost]) -> Cost {
    let mut walls: Vec<_> = costs.iter().map(|cost| cost.wall).collect();
    walls.sort();
    Cost { wall: walls[walls.len() / 2], peak_kib: costs.iter().filter_map(|cost| cost.peak_kib).max() }
}
