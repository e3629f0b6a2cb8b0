//! Taking away what waits of a blob and is not that blob.
//!
//! Everything that waits was proven when it came. But disks rot, and a part is proven by the
//! checksums of its volume only, which whoever forges a volume makes anew. While it waits, no good
//! copy is taken in its place, so it has to go first.

use std::fs::File;
use std::io::{self, Read};

use super::{PendingBundle, Place};
use crate::digest::{Digest, Hasher};
use crate::disk::Identity;
use crate::error::{Error, Result};
use crate::ingest::Ingest;

/// So much is read at once.
const BUFFER: usize = 256 << 10;

impl PendingBundle {
    /// Reads what waits of a blob, and takes it away, durably, if it is not the blob: then good copies
    /// of it can come. `parts` says how many parts the blob is in; 0 for one that waits whole. `true`
    /// when it was taken away. A blob that does not all wait is left as it is; so is everything in a
    /// rehearsal.
    ///
    /// # Errors
    /// [`Error::Unverifiable`], [`Error::LockTimeout`], and when the file system refuses.
    pub fn discard_damaged(&self, ingest: &Ingest<'_>, digest: &Digest, parts: u32) -> Result<bool> {
        if ingest.is_rehearsal() {
            return Ok(false);
        }
        let places: Vec<Place> = match parts {
            0 => vec![Place::Blob(digest.clone())],
            _ => (1..=parts).map(|number| Place::Part(digest.clone(), number)).collect(),
        };
        let Some((found, seen)) = self.hash(digest, &places)? else { return Ok(false) };
        if found == *digest {
            return Ok(false);
        }
        let _lock = ingest.locked().lock_index()?;
        // All of it lies in one directory.
        let Some(dir) = self.dir_of(&places[0])? else { return Ok(false) };
        for (place, identity) in places.iter().zip(seen) {
            // Another process may have had a good copy come meanwhile.
            if dir.stat(&place.name())?.is_some_and(|stat| stat.identity == identity) {
                dir.unlink(&place.name())?;
            }
        }
        dir.sync()?;
        Ok(true)
    }

    /// What the files at these places hash to together, and which files they were; `None` when one of
    /// them is not there.
    fn hash(&self, digest: &Digest, places: &[Place]) -> Result<Option<(Digest, Vec<Identity>)>> {
        let algorithm = digest.algorithm().ok_or_else(|| Error::Unverifiable { digest: digest.clone() })?;
        let Some(dir) = places.first().map(|place| self.dir_of(place)).transpose()?.flatten() else {
            return Ok(None);
        };
        let mut hasher = Hasher::new(algorithm);
        let mut seen = Vec::with_capacity(places.len());
        for place in places {
            let Some((file, stat)) = dir.open_file(&place.name())? else { return Ok(None) };
            feed(&mut hasher, file)
                .map_err(|error| Error::io("read", dir.path().join(place.name()), error))?;
            seen.push(stat.identity);
        }
        Ok(Some((hasher.finish(), seen)))
    }
}

fn feed(hasher: &mut Hasher, mut file: File) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
