//! The places below `.ocirepo/` that hold more than a few bytes.

use crate::disk::{Dir, Kind};
use crate::error::Result;
use crate::repository::Repository;

/// The sizes of all files in a directory below `.ocirepo/`, in bytes; none if it is not there. What is
/// removed meanwhile does not count.
pub(super) fn bytes_in(repository: &Repository, name: &str) -> Result<u64> {
    let Some(own) = repository.own_dir()? else { return Ok(0) };
    let mut open: Vec<Dir> = own.open_own_dir(name)?.into_iter().collect();
    let mut bytes = 0;
    while let Some(dir) = open.pop() {
        for found in dir.list()? {
            match found.kind {
                Kind::Directory => open.extend(dir.open_own_dir(&found.name)?),
                _ => bytes += dir.stat(&found.name)?.map_or(0, |stat| stat.size),
            }
        }
    }
    Ok(bytes)
}
