//! Patterns over names, as a shell has them.

use std::fmt;
use std::str::FromStr;

use crate::index::Entry;

/// A pattern over names: `*` stands for any text, `/` and `:` included, `?` for one character and
/// `[a-z]` for one of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(glob::Pattern);

/// Why a text is not a [`Pattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
#[non_exhaustive]
pub struct InvalidPattern {
    /// What is wrong, and where.
    pub reason: String,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When a bracket is not closed, or stars stand where they cannot.
    pub fn new(text: &str) -> Result<Self, InvalidPattern> {
        glob::Pattern::new(text).map(Self).map_err(|error| InvalidPattern { reason: error.to_string() })
    }

    /// Whether the pattern matches the name of an entry: the full reference, the short form that docker
    /// shows for images of Docker Hub, or the ref.name.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        let Some(name) = entry.name() else { return false };
        let full = name.to_string();
        let short = full.strip_prefix("docker.io/").map(|rest| rest.strip_prefix("library/").unwrap_or(rest));
        let names = [Some(full.as_str()), short, entry.ref_name()];
        names.into_iter().flatten().any(|name| self.0.matches(name))
    }
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        Self::new(text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}
