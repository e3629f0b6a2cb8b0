//! Looking at every blob: its size, and what it hashes to.

use std::collections::{BTreeMap, BTreeSet};

use crate::blob;
use crate::digest::Digest;
use crate::disk;
use crate::error::{Error, Result};
use crate::parallel::on_threads;
use crate::progress::{Progress, Unit};
use crate::repository::Repository;

/// What became of one blob.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Its size in bytes; `None` when it is not there.
    pub size: Option<u64>,
    /// What its content hashes to, if it was hashed.
    pub hashes_to: Option<Digest>,
    /// Why it could not be read.
    pub error: Option<String>,
}

/// Looks at every one of `blobs`, hashing them in parallel if `hash` is set.
pub(super) fn examine(
    repository: &Repository,
    blobs: BTreeSet<Digest>,
    hash: bool,
    progress: &dyn Progress,
) -> BTreeMap<Digest, State> {
    let mut sized = Vec::with_capacity(blobs.len());
    for digest in blobs {
        let state = match repository.blobs().stat(&digest) {
            Ok(stat) => {
                let size = stat.filter(|stat| stat.kind == disk::Kind::File).map(|stat| stat.size);
                State { size, ..State::default() }
            }
            Err(error) => State { error: Some(error.to_string()), ..State::default() },
        };
        sized.push((digest, state));
    }
    // Large blobs first, so that no thread is left with one at the end.
    sized.sort_by_key(|(_, state)| std::cmp::Reverse(state.size));
    if hash {
        let total = sized.iter().filter_map(|(_, state)| state.size).fold(0, u64::saturating_add);
        progress.begin("verifying", Unit::Bytes, Some(total));
        let hashed = on_threads(&sized, repository.jobs(), |(digest, state)| match state.size {
            Some(_) => hash_blob(repository, digest, progress),
            None => Ok(None),
        });
        progress.end();
        for ((_, state), outcome) in sized.iter_mut().zip(hashed) {
            match outcome {
                Ok(Some((digest, size))) => {
                    state.hashes_to = Some(digest);
                    state.size = Some(size);
                }
                Ok(None) => {}
                Err(error) => state.error = Some(format!("it cannot be read: {error}")),
            }
        }
    }
    sized.into_iter().collect()
}

/// The digest and size of a blob as it is; `None` under an algorithm that is not known.
fn hash_blob(
    repository: &Repository,
    digest: &Digest,
    progress: &dyn Progress,
) -> Result<Option<(Digest, u64)>> {
    let Some(algorithm) = digest.algorithm() else { return Ok(None) };
    let Some((mut file, _)) = repository.blobs().open(digest)? else {
        return Err(Error::MissingBlob { digest: digest.clone() });
    };
    blob::hash_file(&mut file, algorithm, &|bytes| progress.advance(bytes))
        .map(Some)
        .map_err(|error| Error::io("read", repository.blobs().path(digest), error))
}
