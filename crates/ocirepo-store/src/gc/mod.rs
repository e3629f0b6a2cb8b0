//! Garbage collection: mark what the roots keep, sweep the rest.
//!
//! # What is kept
//! Every entry of index.json is a root, named or not. From the roots every descriptor is followed:
//! children of indexes, configs, layers, and subjects. Documents whose `subject` is kept are kept
//! as well, with all that they name, even if index.json does not list them. So is every blob that a
//! pending bundle brings or requires.
//!
//! # When nothing is swept
//! A sweep needs certainty. It is refused, and the culprit named, when a root cannot be read, a
//! reachable document or a pending bundle is broken, the index has no entries though it is not known to be ours, or
//! the blobs are shared with others through a link and those were not named. A child that is
//! merely missing is a sparse image, which is legal: it is reported, and the sweep goes on.
//!
//! # Plan, then act
//! [`plan`] looks and decides, [`Plan::run`] does exactly that. A dry run is the plan alone.
//!
//! # Locking
//! A plan that is to be run is made under the exclusive lock and run under the same one, so that
//! no ingest relies on a blob that is about to go. Just before the sweep index.json is compared
//! with what was planned upon; if another tool changed it, the plan is made again.
//!
//! # Limitations
//! Tools that do not take our locks may be writing blobs that nothing refers to yet. [`Options::grace`]
//! spares young blobs for their sake.

pub(crate) mod mark;
pub(crate) mod plan;
mod sharing;
mod sweep;
pub(crate) mod waiting;
mod why;

use std::path::PathBuf;
use std::time::Duration;

pub use plan::{Plan, plan};
pub use sweep::{Swept, collect};
pub use why::{Step, Why, why};

use crate::digest::Digest;

/// What to sweep, and what to risk. Fill it with `..Options::default()`, which risks nothing: any release
/// may add fields.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Spare blobs that were written less than this long ago.
    pub grace: Duration,
    /// Sweep even if a root's manifest is not there.
    pub ignore_missing_roots: bool,
    /// Sweep even if index.json has no entries and was not written by ocirepo.
    pub allow_empty: bool,
    /// Drop nameless referrers whose subject nothing else keeps.
    pub prune_referrers: bool,
    /// Other repositories that share these blobs: their roots count as well.
    pub also_roots: Vec<PathBuf>,
}

/// A blob that will be swept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Garbage {
    /// The blob.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// A number of blobs and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// How many.
    pub blobs: u64,
    /// Their sizes, in bytes.
    pub bytes: u64,
}

impl Amount {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.blobs += 1;
        self.bytes += bytes;
    }
}

/// Something that a root needs and that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trouble {
    /// The digest as it is spelled; a broken entry may have none.
    pub digest: Option<String>,
    /// Whether a root itself is concerned.
    pub is_root: bool,
    /// What is wrong.
    pub reason: String,
    /// The roots that need it, by name, digest or position.
    pub images: Vec<String>,
}

/// Why nothing may be swept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Roots or documents are broken; see [`Plan::broken`].
    Broken,
    /// Pending bundles with these ids cannot be read; see [`Plan::broken`].
    BrokenPending(Vec<String>),
    /// The manifests of roots are not there; see [`Plan::missing`].
    MissingRoots,
    /// index.json has no entries, and is not known to be ours.
    EmptyIndex,
    /// The blobs are reached through a link, and nobody who shares them was named.
    SharedBlobs(Vec<PathBuf>),
}

impl Refusal {
    /// The refusal in a word, for programs to tell apart.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::BrokenPending(_) => "broken-pending",
            Self::MissingRoots => "missing-roots",
            Self::EmptyIndex => "empty-index",
            Self::SharedBlobs(_) => "shared-blobs",
        }
    }
}
