//! Promises that a build can break on purpose, so that it is seen whether the tests would notice.
//!
//! Only a build with the feature `sabotage` can, and it breaks the one that `OCIREPO_SABOTAGE` named
//! when it was built. In every other build [`Sabotage::is_on`] is a constant, and costs nothing.

/// What can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// The content of blobs is not synced before index.json names them.
    NoBlobFsync,
    /// Names in directories are not synced.
    NoDirFsync,
    /// Writers of index.json do not exclude each other.
    NoIndexLock,
    /// A sweep does not wait for those who rely on blobs.
    SharedSweep,
    /// An index.json that cannot be read is an empty one.
    BadIndexIsEmpty,
    /// index.json names blobs before they are in place.
    IndexBeforeBlobs,
    /// A blob that is there is the right one, whatever its size.
    TrustAnySize,
    /// A sweep that waits does not hold up those who come after it.
    NoGate,
}

/// The names, for builds and for people.
#[cfg(feature = "sabotage")]
const NAMES: [(Sabotage, &str); 8] = [
    (Sabotage::NoBlobFsync, "no-blob-fsync"),
    (Sabotage::NoDirFsync, "no-dir-fsync"),
    (Sabotage::NoIndexLock, "no-index-lock"),
    (Sabotage::SharedSweep, "shared-sweep"),
    (Sabotage::BadIndexIsEmpty, "bad-index-is-empty"),
    (Sabotage::IndexBeforeBlobs, "index-before-blobs"),
    (Sabotage::TrustAnySize, "trust-any-size"),
    (Sabotage::NoGate, "no-gate"),
];

impl Sabotage {
    /// Whether this build breaks it.
    #[cfg(not(feature = "sabotage"))]
    pub(crate) const fn is_on(self) -> bool {
        false
    }

    /// Whether this build breaks it.
    #[cfg(feature = "sabotage")]
    pub(crate) fn is_on(self) -> bool {
        NAMES.iter().any(|(known, name)| *known == self && CHOSEN == Some(name))
    }
}

#[cfg(feature = "sabotage")]
const CHOSEN: Option<&str> = option_env!("OCIREPO_SABOTAGE");

/// A name that means nothing would break nothing, and nobody would know.
#[cfg(feature = "sabotage")]
const _: () = {
    if let Some(chosen) = CHOSEN {
        let mut at = 0;
        while at < NAMES.len() && !are_equal(NAMES[at].1.as_bytes(), chosen.as_bytes()) {
            at += 1;
        }
        assert!(at < NAMES.len(), "OCIREPO_SABOTAGE names nothing that can be broken");
    }
};

#[cfg(feature = "sabotage")]
const fn are_equal(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}
