//! Repositories that share blobs through links: their roots count when one of them sweeps.

use std::collections::HashSet;

use super::Options;
use crate::digest::Algorithm;
use crate::error::{Error, Result};
use crate::repository::Repository;

/// Opens the other repositories that were named, each once. The repository itself does not count.
///
/// # Errors
/// [`Error::NotARepository`] for one that shares no directory of blobs with this repository: naming
/// it would not make a sweep any safer.
pub(super) fn open_others(repository: &Repository, options: &Options) -> Result<Vec<Repository>> {
    let mut seen = HashSet::from([repository.root().identity()?]);
    let ours = blob_dirs(repository)?;
    let mut others = Vec::new();
    for path in &options.also_roots {
        let other = Repository::open(path, repository.settings().clone())?;
        if !seen.insert(other.root().identity()?) {
            continue;
        }
        if blob_dirs(&other)?.is_disjoint(&ours) {
            let reason = "it shares no blobs with the one to be swept";
            return Err(Error::NotARepository { path: path.clone(), reason });
        }
        others.push(other);
    }
    Ok(others)
}

/// What tells the directories apart in which a repository keeps its blobs.
fn blob_dirs(repository: &Repository) -> Result<HashSet<(u64, u64)>> {
    let mut dirs = HashSet::new();
    for algorithm in Algorithm::ALL {
        if let Some(dir) = repository.blobs().dir(algorithm.name())? {
            dirs.insert(dir.identity()?);
        }
    }
    Ok(dirs)
}
