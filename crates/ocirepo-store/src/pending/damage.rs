//! Finding what waits of a blob and is not that blob, and taking it away.
//!
//! Everything that waits was proven when it came. But disks rot, and a part is proven by the
//! checksums of its volume only, which whoever forges a volume makes anew. While it waits, no good
//! copy is taken in its place, so it has to go first.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{BLOBS, PARTS, PendingBundle, Place};
use crate::blob;
use crate::digest::{Algorithm, Digest, Hasher};
use crate::disk::Identity;
use crate::error::{Error, Result};
use crate::ingest::Ingest;

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

    /// The blobs that wait and are not what they should be, each with where it waits and what is wrong.
    /// Parts are looked at when all of a blob is here.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn find_damage(&self) -> Result<Vec<(Digest, PathBuf, String)>> {
        let mut damage = Vec::new();
        for places in self.places()? {
            let digest = places[0].digest();
            let Some(dir) = self.dir_of(&places[0])? else { continue };
            let path = dir.path().join(places[0].name());
            match self.hash(digest, &places) {
                Ok(Some((found, _))) if found != *digest => {
                    damage.push((digest.clone(), path, format!("its content hashes to {found}")));
                }
                Ok(_) => {}
                Err(error) => damage.push((digest.clone(), path, error.with_cause())),
            }
        }
        Ok(damage)
    }

    /// Where blobs wait that are all here: each at one place, or in its parts.
    fn places(&self) -> Result<Vec<Vec<Place>>> {
        let Some(dir) = &self.dir else { return Ok(Vec::new()) };
        let mut places = Vec::new();
        if let Some(blobs) = dir.open_own_dir(BLOBS)? {
            for algorithm in Algorithm::ALL {
                let Some(found) = blobs.open_own_dir(algorithm.name())? else { continue };
                let names = found.list()?.into_iter().map(|found| found.name);
                let digests = names.filter_map(|name| Digest::from_parts(algorithm.name(), &name).ok());
                places.extend(digests.map(|digest| vec![Place::Blob(digest)]));
            }
        }
        let mut sizes: BTreeMap<Digest, (u32, u64)> = BTreeMap::new();
        if let Some(parts) = dir.open_own_dir(PARTS)? {
            for found in parts.list()? {
                let Some(digest) = digest_of_part(&found.name) else { continue };
                let size = parts.stat(&found.name)?.map_or(0, |stat| stat.size);
                let (number, sum) = sizes.entry(digest).or_default();
                (*number, *sum) = (number.saturating_add(1), sum.saturating_add(size));
            }
        }
        let needs = self.needs().ok();
        for (digest, (number, sum)) in sizes {
            // Fewer bytes than the blob has: more parts are to come.
            if needs.and_then(|needs| needs.get(&digest)).is_some_and(|&size| size <= sum) {
                places.push((1..=number).map(|number| Place::Part(digest.clone(), number)).collect());
            }
        }
        Ok(places)
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
            let Some((mut file, stat)) = dir.open_file(&place.name())? else { return Ok(None) };
            blob::feed(&mut hasher, &mut file, &|_| ())
                .map_err(|error| Error::io("read", dir.path().join(place.name()), error))?;
            seen.push(stat.identity);
        }
        Ok(Some((hasher.finish(), seen)))
    }
}

/// The blob that a file in `parts` is a part of.
fn digest_of_part(name: &str) -> Option<Digest> {
    let (blob, _) = name.rsplit_once('.')?;
    let (algorithm, encoded) = blob.split_once('-')?;
    Digest::from_parts(algorithm, encoded).ok().filter(|digest| digest.algorithm().is_some())
}
