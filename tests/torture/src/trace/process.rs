//! Looking into a thread that stands still: its memory, its open files, where it is.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Component, Path, PathBuf};

use nix::unistd::Pid;

/// The longest path that the kernel takes.
const PATH_MAX: usize = 4096;

/// The "directory" that stands for the one in which the process is.
const HERE: i32 = -100;

/// A thread that is stopped at a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process {
    thread: Pid,
}

impl Process {
    pub(super) fn new(thread: Pid) -> Self {
        Self { thread }
    }

    /// `len` bytes of its memory.
    pub(crate) fn read(&self, address: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        File::open(self.file("mem"))?.read_exact_at(&mut bytes, address)?;
        Ok(bytes)
    }

    /// The text at an address, up to the zero that ends it.
    pub(crate) fn text(&self, mut address: u64) -> io::Result<Vec<u8>> {
        let memory = File::open(self.file("mem"))?;
        let mut text = Vec::new();
        while text.len() < PATH_MAX {
            // The next page may not be there.
            let mut part = vec![0; 256 - usize::try_from(address % 256).unwrap_or_default()];
            memory.read_exact_at(&mut part, address)?;
            if let Some(end) = part.iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&part[..end]);
                return Ok(text);
            }
            address += part.len() as u64;
            text.append(&mut part);
        }
        Err(io::Error::other("a text without an end"))
    }

    /// What an open file leads to. The kernel says so of a file whose name is gone.
    pub(crate) fn open_file(&self, fd: i32) -> io::Result<PathBuf> {
        if fd == HERE {
            fs::read_link(self.file("cwd"))
        } else {
            fs::read_link(self.file(&format!("fd/{fd}")))
        }
    }

    /// The path that is meant by the text at `address`, seen from the directory `dir`. Links are not followed.
    pub(crate) fn path(&self, dir: i32, address: u64) -> io::Result<PathBuf> {
        let path = PathBuf::from(std::ffi::OsString::from_vec(self.text(address)?));
        if path.is_absolute() {
            return Ok(tidy(&path));
        }
        Ok(tidy(&self.open_file(dir)?.join(path)))
    }

    fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.thread))
    }
}

/// The path without `.` and `..`.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(tidy.pop()),
            part => tidy.push(part),
        }
    }
    tidy
}
