//! How much memory a command had at its peak.

use std::fs;
use std::thread;
use std::time::Duration;

use crate::cli::{Output, Running};

/// Waits for a command and returns, besides its output, the most memory it had in bytes; `None` where the
/// system does not tell. Looked at every few milliseconds, so what comes in the very last of them is missed.
pub fn wait_measured(mut running: Running) -> (Output, Option<u64>) {
    let mut peak = None;
    while running.is_running() {
        peak = high_water_mark(running.pid()).or(peak);
        thread::sleep(Duration::from_millis(2));
    }
    (running.wait(), peak)
}

/// The system keeps the highest value itself. A process that has ended has none any more.
fn high_water_mark(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Ocirepo;

    #[test]
    fn a_peak_is_seen_after_it_has_passed() {
        let shell = Ocirepo::with_program("/bin/sh");
        // The shell keeps what it has read in a variable, and then forgets it.
        let script = "x=$(head -c 40000000 /dev/zero | tr '\\0' x); x=; sleep 0.3";
        let (output, peak) = wait_measured(shell.spawn(&["-c", script]));
        output.ok();
        if cfg!(target_os = "linux") {
            assert!(peak.unwrap() > 40_000_000, "{peak:?}");
        }
    }
}
