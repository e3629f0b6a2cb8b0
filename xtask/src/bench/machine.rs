//! The machine, the data and the tools in words: without them, figures say nothing.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::Result;

use super::context::Context;

/// What stands above the tables.
pub(super) fn describe(context: &Context) -> Result<String> {
    let peers = &context.commands.peers;
    let mut lines = vec![
        format!("- {} on {}, {}", version(context), processor(), memory()),
        format!("- {}, kernel {}", distribution(), read("/proc/sys/kernel/osrelease").trim()),
        format!("- {}", file_system(context.work())),
    ];
    let versions: Vec<_> = peers.versions().map(|(name, version)| format!("{name} {version}")).collect();
    lines.push(format!("- {}", versions.join(", ")));
    let absent: Vec<_> =
        peers.absent().map(|(name, package)| format!("{name} (package {package})")).collect();
    if !absent.is_empty() {
        lines.push(format!("- **absent, so not compared**: {}", absent.join("; ")));
    }
    lines.extend(context.data.facts()?.into_iter().map(|fact| format!("- {fact}")));
    Ok(lines.join("\n") + "\n")
}

fn version(context: &Context) -> String {
    let output = Command::new(&context.commands.ocirepo).arg("--version").output();
    let version = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    version.unwrap_or_else(|_| "ocirepo".to_owned())
}

fn processor() -> String {
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    format!("{model}, {cores} cores")
}

fn memory() -> String {
    let info = read("/proc/meminfo");
    let kib = info.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
    let kib: Option<f64> = kib.and_then(|kib| kib.parse().ok());
    kib.map_or("memory unknown".into(), |kib| format!("{:.0} GiB of memory", kib / f64::from(1 << 20)))
}

fn distribution() -> String {
    let release = read("/etc/os-release");
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or("unknown system".into(), |name| name.trim_matches('"').to_owned())
}

/// The file system of the longest mount point above a path, the last of those mounted there.
fn file_system(path: &Path) -> String {
    let mounts = read("/proc/mounts");
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let above = fields.filter(|fields| fields.len() > 3 && path.starts_with(fields[1]));
    match above.max_by_key(|fields| fields[1].len()) {
        Some(fields) => format!("{}, mounted {}", fields[2], fields[3]),
        None => "unknown file system".into(),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
