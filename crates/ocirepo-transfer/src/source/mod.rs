//! What the user points at.

mod gzip;
mod outer;
mod sniff;

use std::fmt;
use std::path::{Path, PathBuf};

pub(crate) use outer::{Bytes, refuse, unwrap, zstd_decoder};
pub(crate) use sniff::{HEAD, Magic};

use crate::error::escape;

/// Where images come from.
#[derive(Debug, Clone, PartialEq, Eq)]
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
