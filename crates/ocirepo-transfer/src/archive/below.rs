//! Opening files of a directory in which somebody else may be at work.
//!
//! A path is resolved once to see that it leads nowhere else. Until it is opened, what is on it may
//! have become a link, or a fifo that never ends. So files are opened from a handle of the directory,
//! one component after the other, none of which may be a link.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{CWD, Mode, OFlags};

/// Enough of a directory to open what is in it.
#[cfg(target_os = "linux")]
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A fifo must not hang whoever opens it.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// A handle of a directory.
#[derive(Debug)]
pub(super) struct Below(OwnedFd);

impl Below {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty())?))
    }

    /// The regular file at `path`, which is relative and has no links on it.
    ///
    /// # Errors
    /// When that is not so, or no longer.
    pub(super) fn file(&self, path: &Path) -> io::Result<File> {
        let names = path.components().map(|component| match component {
            Component::Normal(name) => Ok(name),
            _ => Err(io::ErrorKind::InvalidInput),
        });
        let names = names.collect::<Result<Vec<&OsStr>, _>>()?;
        let (last, folders) = names.split_last().ok_or(io::ErrorKind::InvalidInput)?;
        let mut folder: Option<OwnedFd> = None;
        for name in folders {
            let from = folder.as_ref().unwrap_or(&self.0);
            folder = Some(rustix::fs::openat(from, *name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?);
        }
        let from = folder.as_ref().unwrap_or(&self.0);
        regular(rustix::fs::openat(from, *last, FILE | OFlags::NOFOLLOW, Mode::empty())?)
    }
}

/// The regular file at a path that may lead anywhere.
pub(super) fn file_at(path: &Path) -> io::Result<File> {
    regular(rustix::fs::openat(CWD, path, FILE, Mode::empty())?)
}

fn regular(file: OwnedFd) -> io::Result<File> {
    let file = File::from(file);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

// Elsewhere than on Linux fifos are not to be had without more.
#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_has_become_a_link_or_a_fifo_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("a/b")).unwrap();
        std::fs::write(at("a/b/c"), "content").unwrap();
        let below = Below::open(dir.path()).unwrap();
        let mut text = String::new();
        below.file(Path::new("a/b/c")).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
        symlink("b", at("a/to-b")).unwrap();
        symlink("b/c", at("a/to-c")).unwrap();
        rustix::fs::mkfifoat(CWD, at("fifo"), Mode::RWXU).unwrap();
        for path in ["a/to-b/c", "a/to-c", "fifo", "a", "a/b/../b/c", "/etc/passwd", "", "a/b/gone"] {
            assert!(below.file(Path::new(path)).is_err(), "{path}");
        }
        assert!(file_at(&at("a/to-c")).is_ok());
        assert!(file_at(&at("fifo")).is_err());
    }
}
