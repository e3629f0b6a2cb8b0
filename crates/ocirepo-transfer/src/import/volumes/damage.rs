//! What waited of a bundle and turns out to be damaged when the bundle is completed.
//!
//! It may have rotted on the disk, or have come with a forged volume: a part is proven by the checksums
//! of its volume, and as a part of its blob only now. While it waits no other copy of it is taken, so it
//! goes, and the volumes that hold it are needed again.

use std::collections::BTreeSet;

use ocirepo_store::Error as StoreError;
use ocirepo_store::ingest::Ingest;

use super::whole::Whole;
use crate::error::{Error, Result};

/// Takes away what waits and is damaged, if that may be why a bundle cannot be completed. Gives the
/// error to be told.
pub(super) fn clear(ingest: &Ingest<'_>, whole: &Whole<'_>, error: Error) -> Error {
    let is_of_content = matches!(
        error,
        Error::BadBlob { .. }
            | Error::BadSize { .. }
            | Error::Store(StoreError::DigestMismatch { .. } | StoreError::SizeMismatch { .. })
    );
    if !is_of_content || ingest.is_rehearsal() {
        return error;
    }
    // The first was found; the others are found now, or each would take a round with the media.
    match discard(ingest, whole) {
        Ok(Some(damaged)) => damaged,
        Ok(None) => error,
        Err(failed) => failed,
    }
}

fn discard(ingest: &Ingest<'_>, whole: &Whole<'_>) -> Result<Option<Error>> {
    let Some(pending) = whole.pending() else { return Ok(None) };
    let (mut digests, mut volumes) = (Vec::new(), BTreeSet::new());
    for blob in whole.blobs() {
        let parts = u32::try_from(blob.parts.len()).unwrap_or(u32::MAX);
        if blob.digest.algorithm().is_some() && pending.discard_damaged(ingest, &blob.digest, parts)? {
            digests.push(blob.digest.clone());
            volumes.extend(blob.volume.into_iter().chain(blob.parts.iter().map(|part| part.volume)));
        }
    }
    let (bundle, volumes) = (pending.id().clone(), volumes.into_iter().collect());
    Ok((!digests.is_empty()).then_some(Error::WaitingDamaged { bundle, digests, volumes }))
}
