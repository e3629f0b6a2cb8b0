//! What can go wrong in the store, each variant with the path, digest or name it is about.
//!
//! [`Error::kind`] sorts the variants into the few kinds a caller acts on (an exit code, a retry).
//! How to cure an error is for the program that shows it: these messages say what is so.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::digest::{Digest, InvalidDigest};

/// The result of a store operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb: "read", "rename".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The directory is not an OCI image layout.
    #[error("{} is not a repository: {reason}", path.display())]
    NotARepository {
        /// The directory.
        path: PathBuf,
        /// What is missing.
        reason: &'static str,
    },
    /// There are blobs, but a file that makes them a repository is gone.
    #[error("{} holds blobs but no {missing}", path.display())]
    Headless {
        /// The directory.
        path: PathBuf,
        /// `index.json` or `oci-layout`.
        missing: &'static str,
    },
    /// `oci-layout`, `index.json` or a file of `.ocirepo/` is there but cannot be trusted.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The layout or our own format has a version this program does not know.
    #[error("{} has version {found:?}, which this program does not support", path.display())]
    UnsupportedVersion {
        /// The file.
        path: PathBuf,
        /// The version it names.
        found: String,
    },
    /// Nothing in the repository has that name or digest.
    #[error("no image named {query:?} in {}", path.display())]
    NotFound {
        /// What was asked for.
        query: String,
        /// The repository.
        path: PathBuf,
        /// A few names that are there and like it, the likeliest first.
        similar: Vec<String>,
    },
    /// No name matches the pattern.
    #[error("no image matches {pattern:?} in {}", path.display())]
    NoMatch {
        /// The pattern, as it was asked for.
        pattern: String,
        /// The repository.
        path: PathBuf,
    },
    /// A name or digest prefix fits several entries.
    #[error("{query:?} is ambiguous: {}", candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        query: String,
        /// What it could mean.
        candidates: Vec<String>,
    },
    /// Something that is no image for a platform was to be joined with others under one name.
    #[error("{name}: {digest} is no image for a platform, so it cannot be joined with another")]
    NoPlatform {
        /// The name.
        name: String,
        /// What cannot be joined.
        digest: String,
    },
    /// Under the `tag` policy, one ref.name would stand for two digests.
    #[error("ref.name {tag:?} would name two images: {}", holders.join(" and "))]
    TagConflict {
        /// The ref.name.
        tag: String,
        /// `reference@digest` of each image that claims it.
        holders: Vec<String>,
    },
    /// Under the `tag` policy, two images that come in together would have one ref.name.
    #[error("ref.name {tag:?} would name two images at once: {}", holders.join(" and "))]
    TagTwice {
        /// The ref.name.
        tag: String,
        /// `reference@digest` of each image that claims it.
        holders: Vec<String>,
    },
    /// A name was to be given only if it stands for nothing else, and it does.
    #[error("{name} stands for {held}, and would move to {digest}")]
    NameHeld {
        /// The name.
        name: String,
        /// What it stands for.
        held: String,
        /// What it would stand for.
        digest: String,
    },
    /// A conversion to the `tag` policy would make ref.names collide.
    #[error("{} ref.names would name more than one image: {}", conflicts.len(), conflicts.join("; "))]
    PolicyConflict {
        /// One line for each ref.name, with the images that claim it.
        conflicts: Vec<String>,
    },
    /// A text is not a usable image name.
    #[error("{text:?} is not an image reference: {reason}")]
    InvalidReference {
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A text is not a digest.
    #[error(transparent)]
    InvalidDigest(#[from] InvalidDigest),
    /// A lock was not free in time.
    #[error("{} was not free within {:.1} s{}", path.display(), waited.as_secs_f32(), held_by(holders))]
    LockTimeout {
        /// The lock file.
        path: PathBuf,
        /// How long it was tried.
        waited: Duration,
        /// Who holds it, as far as can be told.
        holders: Vec<String>,
    },
    /// The file system has no locks.
    #[error("the file system of {} does not support locks", path.display())]
    LockUnsupported {
        /// The lock file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// A blob that is needed is not there.
    #[error("blob {digest} is missing")]
    MissingBlob {
        /// The blob.
        digest: Digest,
    },
    /// A blob that a rehearsal counted is to be read.
    #[error("the content of {digest} is not at hand: a rehearsal does not write it")]
    NotStaged {
        /// The blob.
        digest: Digest,
    },
    /// Content has another size than its descriptor says.
    #[error("{digest} should be {expected} bytes, but there are {found}")]
    SizeMismatch {
        /// The blob.
        digest: Digest,
        /// The size its descriptor declares, in bytes.
        expected: u64,
        /// The size found, in bytes. When reading stopped early, one more than expected.
        found: u64,
    },
    /// Content does not hash to the digest it goes by.
    #[error("content hashes to {found}, not to {expected}")]
    DigestMismatch {
        /// The digest it goes by.
        expected: Digest,
        /// The digest it has.
        found: Digest,
    },
    /// A blob is to be proven whose digest is of an algorithm that is not known.
    #[error("{digest} cannot be verified: its algorithm is not known")]
    Unverifiable {
        /// The blob.
        digest: Digest,
    },
    /// A document in the content-addressed graph cannot be used.
    #[error("{digest}: {reason}")]
    BrokenManifest {
        /// The manifest.
        digest: Digest,
        /// What is wrong with it.
        reason: String,
    },
    /// An entry of index.json is too strange for what was asked.
    #[error("entry {position} of index.json cannot be used: {reason}")]
    StrangeEntry {
        /// Its position, counted from 0.
        position: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Something that is not a regular file stands where a blob belongs.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// index.json was replaced, and what was left to do after that failed: the change is made, but the loss of
    /// power may undo it.
    #[error("index.json is the new one, but it is not certain that it stays when the power fails")]
    Unsettled {
        /// What failed.
        source: Box<Error>,
    },
    /// index.json changed under our hands too often to make progress.
    #[error("{} keeps changing: other tools are writing it without a lock", path.display())]
    Contended {
        /// index.json.
        path: PathBuf,
    },
}

fn held_by(holders: &[String]) -> String {
    if holders.is_empty() { String::new() } else { format!("; held by {}", holders.join(", ")) }
}

/// The few kinds of error that a caller treats differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Anything without a kind of its own.
    Other,
    /// Bad words from the user.
    Usage,
    /// A reference was not found.
    NotFound,
    /// Corrupt, or refused for safety.
    Corrupt,
    /// A lock was not free in time.
    LockTimeout,
    /// A name conflict or an ambiguous name.
    Conflict,
    /// Blobs that something builds upon are missing.
    BaseMissing,
}

impl Error {
    /// Which kind of error this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } | Self::NoMatch { .. } => ErrorKind::NotFound,
            Self::Ambiguous { .. }
            | Self::NoPlatform { .. }
            | Self::TagConflict { .. }
            | Self::TagTwice { .. }
            | Self::NameHeld { .. }
            | Self::PolicyConflict { .. } => ErrorKind::Conflict,
            Self::LockTimeout { .. } => ErrorKind::LockTimeout,
            Self::InvalidReference { .. } | Self::InvalidDigest(_) => ErrorKind::Usage,
            Self::Headless { .. }
            | Self::Damaged { .. }
            | Self::UnsupportedVersion { .. }
            | Self::MissingBlob { .. }
            | Self::SizeMismatch { .. }
            | Self::DigestMismatch { .. }
            | Self::BrokenManifest { .. }
            | Self::StrangeEntry { .. }
            | Self::NotAFile { .. } => ErrorKind::Corrupt,
            Self::Io { .. }
            | Self::NotARepository { .. }
            | Self::LockUnsupported { .. }
            | Self::NotStaged { .. }
            | Self::Unverifiable { .. }
            | Self::Unsettled { .. }
            | Self::Contended { .. } => ErrorKind::Other,
        }
    }

    /// Whether the cause is a full disk or quota.
    #[must_use]
    pub fn is_out_of_space(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }

    /// Whether the cause is that nothing may be written here.
    #[must_use]
    pub fn is_not_writable(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied))
    }

    /// The error with what caused it, as one text.
    pub(crate) fn with_cause(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }

    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self::Io { action, path: path.into(), source: source.into() }
    }
}
