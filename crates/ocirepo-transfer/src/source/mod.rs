//! What the user points at.

mod ahead;
mod members;
mod outer;
mod sniff;
#[cfg(test)]
mod testing;
mod xz;
mod zstd;

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

pub(crate) use ahead::Ahead;
pub(crate) use outer::{Bytes, refuse, unwrap};
pub(crate) use sniff::{HEAD, Magic};
pub(crate) use zstd::zstd_decoder;

use crate::error::escape;

/// Where images come from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A file or a directory.
    Path(PathBuf),
    /// Standard input, read once.
    Stdin,
}

impl Source {
    /// The source that an argument means: `-` is standard input, anything else a path.
    #[must_use]
    pub fn parse(argument: impl AsRef<Path>) -> Self {
        let path = argument.as_ref();
        if path.as_os_str() == "-" { Self::Stdin } else { Self::Path(path.to_owned()) }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.write_str(&escape(&path.to_string_lossy())),
            Self::Stdin => f.write_str("standard input"),
        }
    }
}

/// Has a pipe hold more, so that both sides wait for each other less often. What is no pipe, and one
/// that may not be larger, stays as it is.
pub(crate) fn widen(stream: impl AsFd) {
    const PIPE: usize = 1 << 20;
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(stream, PIPE);
    #[cfg(not(target_os = "linux"))]
    let _ = (stream, PIPE);
}

/// The error of a stream that wants more memory than a decoder may have, and the way out:
/// `command` decompresses it outside.
fn too_much_memory(reason: &str, command: &str) -> io::Error {
    let text = format!("{reason}; decompress it first: {command} | ocirepo add -");
    io::Error::new(io::ErrorKind::Unsupported, text)
}
