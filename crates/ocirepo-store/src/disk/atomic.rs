//! Replacing small files so that a reader, and the disk after a crash, see the old or the new.

use std::io::Write;

use super::{Dir, Owner};
use crate::error::{Error, Result};

/// Replaces the file `name` of `dir` by `bytes`: temporary file, fsync, rename. The caller syncs
/// `dir` when it needs the new name to be durable, and holds a lock: the temporary has a fixed
/// name, so that a crash leaves at most one.
pub(crate) fn replace(dir: &Dir, name: &str, bytes: &[u8], owner: Owner) -> Result<()> {
    let temporary = format!("{name}.new");
    write_synced(dir, &temporary, bytes, owner)?;
    dir.rename(&temporary, dir, name).inspect_err(|_| clean_up(dir, &temporary))
}

/// Writes a file and makes its content durable; its name is not yet. On a failure the file goes
/// again, since a full disk needs the room.
pub(crate) fn write_synced(dir: &Dir, name: &str, bytes: &[u8], owner: Owner) -> Result<()> {
    let mut file = dir.create(name, owner)?;
    let fail = |action, error| {
        clean_up(dir, name);
        Error::io(action, dir.path().join(name), error)
    };
    file.write_all(bytes).map_err(|error| fail("write", error))?;
    file.sync_all().map_err(|error| fail("sync", error))
}

/// Removes what a failed write left. The failure itself is what the caller hears of.
pub(crate) fn clean_up(dir: &Dir, name: &str) {
    if let Err(error) = dir.unlink(name) {
        tracing::debug!("left behind: {error}");
    }
}
