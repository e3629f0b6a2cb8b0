//! What verification can find.

use std::path::PathBuf;

use crate::blob::Stranger;
use crate::digest::Digest;
use crate::gc::Trouble;

/// What is wrong, or worth a note. The order is that of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// The manifest of an entry is not there.
    MissingRoot,
    /// An entry of index.json cannot be used.
    BrokenEntry,
    /// A config or layer is not there.
    Missing,
    /// A blob has another size than its descriptor says.
    WrongSize,
    /// A blob does not hash to its name.
    Corrupt,
    /// A blob cannot be read.
    Unreadable,
    /// A document has the right digest but cannot be used.
    BrokenManifest,
    /// An archive, or a member of it, or what waits of a bundle, is not as it should be.
    Damaged,
    /// A bundle that waits for volumes cannot be read, so that gc sweeps nothing.
    BrokenPending,
    /// One name stands for several digests.
    AmbiguousName,
    /// A bundle leaves a blob to its receiver.
    Required,
    /// Blobs of a bundle are in other volumes than the one at hand.
    OtherVolumes,
    /// A child of an index is not there: a sparse image.
    Sparse,
    /// A blob that its descriptor allows to be absent is absent.
    Absent,
    /// What a referrer is about is not there.
    MissingSubject,
    /// The digest algorithm is not known here.
    Unverifiable,
    /// No image needs the blob.
    Orphan,
    /// Something in `blobs/` that is not a blob.
    Stranger,
    /// Staging that a dead session left.
    DeadStaging,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Something is lost or damaged.
    Error,
    /// Legal, but worth knowing.
    Note,
}

impl Kind {
    /// How bad it is.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::MissingRoot
            | Self::BrokenEntry
            | Self::Missing
            | Self::WrongSize
            | Self::Corrupt
            | Self::Unreadable
            | Self::BrokenManifest
            | Self::Damaged
            | Self::BrokenPending => Severity::Error,
            Self::AmbiguousName
            | Self::Required
            | Self::OtherVolumes
            | Self::Sparse
            | Self::Absent
            | Self::MissingSubject
            | Self::Unverifiable
            | Self::Orphan
            | Self::Stranger
            | Self::DeadStaging => Severity::Note,
        }
    }

    /// A stable name for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MissingRoot => "missing-root",
            Self::BrokenEntry => "broken-entry",
            Self::Missing => "missing",
            Self::WrongSize => "wrong-size",
            Self::Corrupt => "corrupt",
            Self::Unreadable => "unreadable",
            Self::BrokenManifest => "broken-manifest",
            Self::Damaged => "damaged",
            Self::BrokenPending => "broken-pending",
            Self::AmbiguousName => "ambiguous-name",
            Self::Required => "required",
            Self::OtherVolumes => "other-volumes",
            Self::Sparse => "sparse",
            Self::Absent => "absent",
            Self::MissingSubject => "missing-subject",
            Self::Unverifiable => "unverifiable",
            Self::Orphan => "orphan",
            Self::Stranger => "stranger",
            Self::DeadStaging => "dead-staging",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// The digest concerned, as it is spelled.
    pub digest: Option<String>,
    /// The file concerned.
    pub path: Option<PathBuf>,
    /// The images that it breaks or concerns: names, else digests or positions.
    pub images: Vec<String>,
    /// What was found, in words.
    pub message: String,
}

impl Finding {
    /// A finding of which nothing more is known.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, digest: None, path: None, images: Vec::new(), message: message.into() }
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.kind.severity()
    }

    pub(super) fn of_blob(kind: Kind, digest: &Digest, path: PathBuf, message: String) -> Self {
        Self { kind, digest: Some(digest.to_string()), path: Some(path), images: Vec::new(), message }
    }

    pub(super) fn broken_entry(label: String, reason: String) -> Self {
        Self { kind: Kind::BrokenEntry, digest: None, path: None, images: vec![label], message: reason }
    }

    pub(super) fn ambiguous_name(name: String, digests: usize) -> Self {
        let message = format!("the name stands for {digests} digests");
        Self { kind: Kind::AmbiguousName, digest: None, path: None, images: vec![name], message }
    }

    pub(super) fn stranger(stranger: &Stranger) -> Self {
        Self {
            kind: Kind::Stranger,
            digest: None,
            path: Some(stranger.path.clone()),
            images: Vec::new(),
            message: format!("not a blob: {}", stranger.reason),
        }
    }

    pub(super) fn broken_pending(trouble: Trouble) -> Self {
        let message = format!("a pending bundle: {}", trouble.reason);
        Self { kind: Kind::BrokenPending, digest: trouble.digest, path: None, images: Vec::new(), message }
    }

    pub(super) fn damaged_waiting(bundle: &Digest, digest: &Digest, path: PathBuf, reason: &str) -> Self {
        let images = vec![format!("pending bundle {bundle}")];
        let message = format!("it waits for its bundle, and {reason}; add its volumes again");
        Self { kind: Kind::Damaged, digest: Some(digest.to_string()), path: Some(path), images, message }
    }

    pub(super) fn dead_staging(path: PathBuf, bytes: u64) -> Self {
        let message = format!("a session that is gone left {bytes} bytes; gc will remove them");
        Self { kind: Kind::DeadStaging, digest: None, path: Some(path), images: Vec::new(), message }
    }
}
