//! What dead sessions left behind in `.ocirepo/tmp/`.

use std::path::PathBuf;

use crate::disk::{self, Dir, Kind};
use crate::error::Result;

/// The directory below `.ocirepo/` that holds the staging directories.
pub(crate) const TMP: &str = "tmp";

/// The staging directory of a dead session, or something else that does not belong there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Debris {
    pub(crate) path: PathBuf,
    /// The sizes of the files in it, in bytes.
    pub(crate) bytes: u64,
}

/// Finds what dead sessions left, as far as can be told without `index.lock`: a session that is
/// just being born is never taken for dead.
pub(crate) fn find_dead(tmp: &Dir) -> Result<Vec<Debris>> {
    find(tmp, false)
}

/// Removes what dead sessions left. The caller holds `index.lock`, so nobody is just being born.
pub(crate) fn remove_dead(tmp: &Dir) -> Result<Vec<Debris>> {
    let dead = find(tmp, true)?;
    // By path: but `tmp` was opened as a directory of its own, and no link is followed below it.
    for debris in &dead {
        disk::remove_tree(&debris.path)?;
    }
    Ok(dead)
}

/// `is_certain` says whether what nobody owns is dead.
fn find(tmp: &Dir, is_certain: bool) -> Result<Vec<Debris>> {
    let mut dead = Vec::new();
    for found in tmp.list()? {
        let path = tmp.path().join(&found.name);
        if !found.name.starts_with("session-") && found.name != disk::NEW_OWNER_FILE {
            continue; // Nothing that we made.
        }
        if found.kind == Kind::Directory {
            if disk::is_dead(tmp, &found.name)?.unwrap_or(is_certain) {
                dead.push(Debris { bytes: tmp.bytes_in(&found.name).unwrap_or_default(), path });
            }
        } else if is_certain && found.kind == Kind::File {
            let bytes = tmp.stat(&found.name)?.map_or(0, |stat| stat.size);
            dead.push(Debris { path, bytes });
        }
    }
    Ok(dead)
}
