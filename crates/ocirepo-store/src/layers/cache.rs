//! The file `.ocirepo/cache/layers`: one fact a line, appended under `index.lock`.
//!
//! It is not synced. A crash may take lines with it or leave holes in their place, and neither can
//! be read as a fact: a hole is zeros, and a line that was cut short has no end. Whoever appends
//! after such a line begins on a line of their own.

use std::io::Write;

use super::{Fact, LayerFacts};
use crate::disk::{self, Dir};
use crate::error::{Error, Result};
use crate::repository::Repository;

/// The directory below `.ocirepo/` for what can be found out again.
const CACHE: &str = "cache";
const LAYERS: &str = "layers";

/// A file larger than this is not read, and started anew by the next who has something to record.
const MAX_SIZE: u64 = 64 << 20;

/// The facts on record; `own` is `.ocirepo/`.
pub(super) fn load(own: &Dir) -> Result<LayerFacts> {
    Ok(own.open_own_dir(CACHE)?.map_or_else(|| Ok(Found::default()), |cache| read(&cache))?.facts)
}

/// Appends those of `facts` that are not on record.
pub(super) fn append(repository: &Repository, facts: &[Fact]) -> Result<()> {
    let (own, owner) = repository.ensure_own_dir()?;
    let _lock = repository.lock_index()?;
    let cache = own.ensure_own_dir(CACHE, owner)?;
    let mut found = read(&cache)?;
    let mut lines = String::new();
    for fact in facts {
        if !found.facts.knows(fact) {
            lines.push_str(&format!("{fact}\n"));
            found.facts.insert(fact.clone());
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    if found.has_another_name || found.size + lines.len() as u64 > MAX_SIZE {
        return disk::replace(&cache, LAYERS, lines.as_bytes(), owner);
    }
    if found.is_torn {
        lines.insert(0, '\n');
    }
    let mut file = cache.append(LAYERS, owner)?;
    file.write_all(lines.as_bytes()).map_err(|error| Error::io("write", cache.path().join(LAYERS), error))
}

#[derive(Default)]
struct Found {
    facts: LayerFacts,
    size: u64,
    /// Whether the last line has no newline.
    is_torn: bool,
    /// Whether the file may be one of somebody else's, linked here.
    has_another_name: bool,
}

fn read(cache: &Dir) -> Result<Found> {
    let (bytes, stat) = match cache.read(LAYERS, MAX_SIZE) {
        Ok(Some(read)) => read,
        Ok(None) => return Ok(Found::default()),
        // That is to say, it is larger than that.
        Err(Error::Damaged { path, reason }) => {
            tracing::debug!("{} is not read: {reason}", path.display());
            return Ok(Found { size: MAX_SIZE + 1, ..Found::default() });
        }
        Err(error) => return Err(error),
    };
    let mut facts = LayerFacts::default();
    let mut skipped = 0;
    for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        match std::str::from_utf8(line).ok().and_then(Fact::parse) {
            Some(fact) => facts.insert(fact),
            None => skipped += 1,
        }
    }
    if skipped > 0 {
        tracing::debug!("{skipped} lines of {} are no facts", cache.path().join(LAYERS).display());
    }
    let is_torn = bytes.last().is_some_and(|&byte| byte != b'\n');
    Ok(Found { facts, size: bytes.len() as u64, is_torn, has_another_name: !stat.has_one_name })
}
