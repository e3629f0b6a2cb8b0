//! Ways to damage a file.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// What is done to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Harm {
    /// One bit is flipped; which one, a number says.
    Flip(u64),
    /// Nothing is left.
    Empty,
    Half,
    /// The last byte is cut off.
    LastByte,
    /// Some bytes too many.
    Extend,
    Delete,
    /// It changes places with another file.
    Swap(String),
}

impl Harm {
    /// Every way, `flip` and `other` to be chosen by whoever asks.
    pub(super) fn all(flip: u64, other: &str) -> [Self; 7] {
        let other = Self::Swap(other.to_owned());
        [Self::Empty, Self::Delete, Self::Half, Self::Flip(flip), Self::LastByte, Self::Extend, other]
    }

    /// Does it to a file of a repository. A new file takes the place of the old one, which may have other links.
    pub(super) fn apply(&self, repository: &Path, file: &str) -> Result<()> {
        let path = repository.join(file);
        let mut bytes = fs::read(&path).with_context(|| format!("damaging {file}"))?;
        match self {
            Self::Flip(number) => {
                let bits = (bytes.len() as u64 * 8).max(1);
                let bit = number % bits;
                let at = usize::try_from(bit / 8).context("files are small")?;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Self::Empty => bytes.clear(),
            Self::Half => bytes.truncate(bytes.len() / 2),
            Self::LastByte => bytes.truncate(bytes.len().saturating_sub(1)),
            Self::Extend => bytes.extend_from_slice(b"x\0\xff"),
            Self::Delete => return Ok(fs::remove_file(&path)?),
            Self::Swap(other) => {
                let other = repository.join(other);
                let theirs =
                    fs::read(&other).with_context(|| format!("swapping with {}", other.display()))?;
                replace(&other, &bytes)?;
                bytes = theirs;
            }
        }
        replace(&path, &bytes)
    }
}

fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::remove_file(path)?;
    Ok(fs::write(path, bytes)?)
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flip(number) => write!(f, "bit {number} (modulo its size) was flipped"),
            Self::Empty => f.write_str("nothing is left of it"),
            Self::Half => f.write_str("half of it is left"),
            Self::LastByte => f.write_str("its last byte is gone"),
            Self::Extend => f.write_str("three bytes came after its end"),
            Self::Delete => f.write_str("it was deleted"),
            Self::Swap(other) => write!(f, "it has changed places with {other}"),
        }
    }
}
