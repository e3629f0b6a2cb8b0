//! Who holds a lock, for the message to those who wait.
//!
//! Three sources, best first: the kernel's table of locks (Linux), the line that an exclusive
//! holder writes into the lock file, and the owners of living staging directories. All of it is
//! only ever shown to people; nothing is decided by it.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;

use super::Waiting;
use crate::disk::Dir;

/// How this process is described to others: process, host, verb and time.
pub(crate) fn describe_self(waiting: &Waiting) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let since = jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_default();
    format!("pid {} on {host} ({}) since {since}", std::process::id(), waiting.verb)
}

/// Writes this process into a lock file that it holds alone. Failing to is of no consequence. A file
/// with a second name is left as it is: somebody may have linked another file here.
pub(super) fn sign(mut file: &File, waiting: &Waiting) {
    if !file.metadata().is_ok_and(|metadata| metadata.nlink() == 1) {
        return;
    }
    let text = format!("{}\n", describe_self(waiting));
    let signed = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
    if let Err(error) = signed {
        tracing::debug!("the lock file was not signed: {error}");
    }
}

/// Who seems to hold the lock on `file`; `dir` is `.ocirepo/`.
pub(super) fn of(mut file: &File, dir: &Dir) -> Vec<String> {
    let holders = from_kernel(file);
    if !holders.is_empty() {
        return holders;
    }
    let mut holders = living_sessions(dir);
    let mut line = String::new();
    if holders.is_empty() && file.rewind().is_ok() && file.take(1024).read_to_string(&mut line).is_ok() {
        let line = line.trim();
        if !line.is_empty() {
            holders.push(line.to_owned());
        }
    }
    if holders.is_empty() {
        holders.push("another process".to_owned());
    }
    holders
}

/// Reads `/proc/locks`, whose lines look like `1: FLOCK  ADVISORY  READ  1234 fe:01:567 0 EOF`.
fn from_kernel(file: &File) -> Vec<String> {
    let (Ok(metadata), Ok(table)) = (file.metadata(), std::fs::read_to_string("/proc/locks")) else {
        return Vec::new();
    };
    let inode = metadata.ino().to_string();
    let mut pids: Vec<u32> = table
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, "FLOCK", _, _, pid, place, ..] = fields.as_slice() else { return None };
            (place.rsplit(':').next() == Some(inode.as_str())).then(|| pid.parse().ok()).flatten()
        })
        .collect();
    pids.sort_unstable();
    pids.dedup();
    pids.into_iter().map(|pid| format!("pid {pid}{}", command_of(pid))).collect()
}

/// The command line of a process in brackets, shortened; nothing when it cannot be read.
fn command_of(pid: u32) -> String {
    let Ok(bytes) = std::fs::read(format!("/proc/{pid}/cmdline")) else { return String::new() };
    let words: Vec<_> = bytes
        .split(|&byte| byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    let text: String =
        words.join(" ").chars().map(|c| if c.is_control() { '?' } else { c }).take(80).collect();
    if text.is_empty() { text } else { format!(" ({text})") }
}

fn living_sessions(dir: &Dir) -> Vec<String> {
    let Ok(Some(tmp)) = dir.open_own_dir("tmp") else { return Vec::new() };
    let Ok(sessions) = tmp.list() else { return Vec::new() };
    sessions
        .into_iter()
        .filter_map(|session| {
            let (bytes, _) = tmp.open_own_dir(&session.name).ok()??.read("owner", 1024).ok()??;
            let text = String::from_utf8_lossy(&bytes).trim().to_owned();
            (!text.is_empty()).then_some(text)
        })
        .collect()
}
