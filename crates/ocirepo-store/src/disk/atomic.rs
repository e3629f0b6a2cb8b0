//! Replacing small files so that a reader, and the disk after a crash, see the old or the new.

use std::fs::File;
use std::io::{self, Write};

use super::{Dir, Owner};
use crate::error::{Error, Result};

/// Replaces the file `name` of `dir` by `bytes`: temporary file, fsync, rename. The caller syncs
/// `dir` when it needs the new name to be durable, and holds a lock: the temporary has a fixed
/// name, so that a crash leaves at most one.
pub(crate) fn replace(dir: &Dir, name: &str, bytes: &[u8], owner: Owner) -> Result<()> {
    let temporary = temporary_name(name);
    write_synced(dir, &temporary, bytes, owner)?;
    dir.rename(&temporary, dir, name).inspect_err(|_| clean_up(dir, &temporary))
}

/// What a file is called until it is whole.
pub(crate) fn temporary_name(name: &str) -> String {
    format!("{name}.new")
}

/// Writes a file and makes its content durable; its name is not yet. On a failure the file goes
/// again, since a full disk needs the room.
pub(crate) fn write_synced(dir: &Dir, name: &str, bytes: &[u8], owner: Owner) -> Result<()> {
    write_synced_with(dir, name, owner, |file| file.write_all(bytes))
}

/// [`write_synced`] for what is not in memory as a whole.
pub(crate) fn write_synced_with(
    dir: &Dir,
    name: &str,
    owner: Owner,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<()> {
    let mut file = dir.create(name, owner)?;
    write(&mut file).map_err(|error| failed(dir, name, "write", error))?;
    file.sync_all().map_err(|error| failed(dir, name, "sync", error))
}

/// [`write_synced`] for what a crash of the machine may take.
pub(crate) fn write(dir: &Dir, name: &str, bytes: &[u8], owner: Owner) -> Result<()> {
    let mut file = dir.create(name, owner)?;
    file.write_all(bytes).map_err(|error| failed(dir, name, "write", error))
}

fn failed(dir: &Dir, name: &str, action: &'static str, error: io::Error) -> Error {
    clean_up(dir, name);
    Error::io(action, dir.path().join(name), error)
}

/// Removes what a failed write left. The failure itself is what the caller hears of.
pub(crate) fn clean_up(dir: &Dir, name: &str) {
    if let Err(error) = dir.unlink(name) {
        tracing::debug!("left behind: {error}");
    }
}
