//! Looking at every blob: its size, and what it hashes to.

use std::collections::{BTreeMap, BTreeSet};

use crate::blob;
use crate::digest::Digest;
use crate::disk::{Identity, Kind, Stat};
use crate::error::{Error, Result};
use crate::parallel::on_threads;
use crate::progress::{Item, Progress, Unit};
use crate::repository::Repository;

/// What became of one blob. Fill it with `..State::default()`: any release may add fields.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Its size in bytes; `None` when it is not there.
    pub size: Option<u64>,
    /// What its content hashes to, if it was hashed.
    pub hashes_to: Option<Digest>,
    /// Why it could not be read.
    pub error: Option<String>,
}

/// What was seen of blobs, and of which files. A file that is still the same is not read again.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) state: BTreeMap<Digest, State>,
    files: BTreeMap<Digest, Identity>,
}

/// A blob that is to be looked at, and what is known of it so far.
type Open = (Digest, State, Option<Identity>);

/// What a blob hashes to, its size, and which file that was.
type Hashed = (Digest, u64, Identity);

impl Seen {
    /// Looks at every one of `blobs`, hashing them in parallel if `hash` is set, and forgets all others.
    pub(super) fn look_at(
        &mut self,
        repository: &Repository,
        blobs: BTreeSet<Digest>,
        hash: bool,
        progress: &dyn Progress,
    ) {
        let mut before = std::mem::take(self);
        let mut open: Vec<Open> = Vec::new();
        for digest in blobs {
            let stat = repository.blobs().stat(&digest);
            let file = stat.as_ref().ok().copied().flatten().as_ref().map(identity);
            match before.take(&digest, file) {
                Some(state) => self.note((digest, state, file)),
                None => open.push((digest, state_of(stat), file)),
            }
        }
        // Large blobs first, so that no thread is left with one at the end.
        open.sort_by_key(|(_, state, _)| std::cmp::Reverse(state.size));
        if hash && !open.is_empty() {
            hash_all(repository, &mut open, progress);
        }
        open.into_iter().for_each(|seen| self.note(seen));
    }

    /// What was seen of a blob, if its file is still the same and could be read.
    fn take(&mut self, digest: &Digest, file: Option<Identity>) -> Option<State> {
        let is_same = self.files.remove(digest) == file;
        self.state.remove(digest).filter(|state| is_same && state.error.is_none())
    }

    fn note(&mut self, (digest, state, file): Open) {
        if let Some(file) = file {
            self.files.insert(digest.clone(), file);
        }
        self.state.insert(digest, state);
    }
}

fn identity(stat: &Stat) -> Identity {
    stat.identity
}

fn state_of(stat: Result<Option<Stat>>) -> State {
    match stat {
        Ok(stat) => {
            let size = stat.filter(|stat| stat.kind == Kind::File).map(|stat| stat.size);
            State { size, ..State::default() }
        }
        Err(error) => State { error: Some(error.to_string()), ..State::default() },
    }
}

fn hash_all(repository: &Repository, open: &mut [Open], progress: &dyn Progress) {
    let total = open.iter().filter_map(|(_, state, _)| state.size).fold(0, u64::saturating_add);
    progress.begin("verifying", Unit::Bytes, Some(total));
    let hashed = on_threads(open, repository.jobs(), |(digest, state, _)| match state.size {
        Some(_) => hash_blob(repository, digest, progress),
        None => Ok(None),
    });
    progress.end();
    for ((_, state, file), outcome) in open.iter_mut().zip(hashed) {
        match outcome {
            Ok(Some((digest, size, identity))) => {
                state.hashes_to = Some(digest);
                state.size = Some(size);
                *file = Some(identity);
            }
            Ok(None) => {}
            Err(error) => state.error = Some(format!("it cannot be read: {error}")),
        }
    }
}

/// What a blob is now; `None` under an algorithm that is not known.
pub(super) fn hash_blob(
    repository: &Repository,
    digest: &Digest,
    progress: &dyn Progress,
) -> Result<Option<Hashed>> {
    let Some(algorithm) = digest.algorithm() else { return Ok(None) };
    let Some((mut file, stat)) = repository.blobs().open(digest)? else {
        return Err(Error::MissingBlob { digest: digest.clone() });
    };
    let _item = Item::begin(progress, digest.as_str());
    let (found, size) = blob::hash_file(&mut file, algorithm, &|bytes| progress.advance(bytes))
        .map_err(|error| Error::io("read", repository.blobs().path(digest), error))?;
    Ok(Some((found, size, stat.identity)))
}
