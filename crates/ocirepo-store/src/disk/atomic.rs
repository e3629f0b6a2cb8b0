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
    dir.rename(&temporary, dir, name)
}

/// Writes a file and makes its content durable; its name is not yet.
pub(crate) fn write_synced(dir: &Dir, name: &str, bytes: &[u8], owner: Owner) -> Result<()> {
    let mut file = dir.create(name, owner)?;
    let fail = |action, error| Error::io(action, dir.path().join(name), error);
    file.write_all(bytes).map_err(|error| fail("write", error))?;
    file.sync_all().map_err(|error| fail("sync", error))
}
