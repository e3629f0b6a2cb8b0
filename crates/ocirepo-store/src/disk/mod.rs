//! The one door to the disk: every rename, fsync, unlink and mkdir of the store happens in here.
//!
//! Files are reached from a directory handle ([`Dir`]), never from a path that could change its
//! meaning half-way, and the last component is never followed when it is a symbolic link. Nothing
//! in here knows what a blob or an index is.
//!
//! Durability is explicit: a name is durable once the file *and then* the directory were synced.

mod atomic;
mod dir;
mod measure;
mod output;
mod owner;
mod share;
mod staging;
mod syncer;

/// So much of a file is read at once, in bytes: the cost of a system call does not show.
pub(crate) const BUFFER: usize = 256 << 10;

pub(crate) use atomic::{clean_up, replace, temporary_name, write, write_synced, write_synced_with};
pub(crate) use dir::{Dir, Identity, Kind, Stat};
pub use output::{OutputFile, SealedFile};
pub(crate) use owner::Owner;
pub(crate) use share::share_blocks;
pub(crate) use staging::{
    NEW_OWNER_FILE, StagedFile, StagingDir, create_dirs, is_dead, private_dir, remove_tree,
};
pub(crate) use syncer::Syncer;
