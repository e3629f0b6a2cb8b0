//! How much of an archive is believed. What is only hashed may be any size; what is read into
//! memory or kept in a table is bounded here.

/// The most headers in one tar. A large multi-image archive has some thousand.
pub(crate) const MAX_MEMBERS: u64 = 1_000_000;

/// The largest extension record (a PAX header or a long name) in bytes.
pub(crate) const MAX_EXTENSION: u64 = 1 << 20;

/// The longest name or link target that is kept, in bytes: no image needs one this long, and a small
/// compressed archive can hold a great many long ones.
pub(crate) const MAX_NAME: usize = 512;

/// The most links from a name to its content.
pub(crate) const MAX_HOPS: usize = 8;

/// The largest index.json or manifest.json in bytes.
pub(crate) const MAX_INDEX: u64 = 64 << 20;

/// The largest image config that is read, in bytes.
pub(crate) const MAX_CONFIG: u64 = 16 << 20;

/// The size of the buffers that content is copied through.
pub(crate) const BUFFER: usize = 256 << 10;
