//! The base of a bundle: the blobs that it leaves to the repository.
//!
//! They are looked for before anything of the bundle is brought in, so that a bundle that came to
//! the wrong place changes nothing and says what is missing.

use std::io::{self, Read as _};

use ocirepo_store::{Item, Unit};

use super::carrier::Carrier;
use crate::archive::buffer_for;
use crate::bundle::{Required, Toc};
use crate::error::{Error, Result};

/// Sees that the repository has everything that a bundle requires, at its right size. With `hash`
/// everything is read, too.
///
/// # Errors
/// [`Error::BaseMissing`], with all that is missing.
pub(super) fn check(carrier: &Carrier<'_>, toc: &Toc, hash: bool) -> Result<()> {
    let mut missing = Vec::new();
    for blob in &toc.required {
        if !carrier.ingest.has(&blob.digest, blob.size)? {
            missing.push(blob.clone());
        }
    }
    if missing.is_empty() && hash {
        let total = toc.required.iter().map(|blob| blob.size).fold(0, u64::saturating_add);
        carrier.progress.begin("verifying the base", Unit::Bytes, Some(total));
        let sound = carrier.on_each(&toc.required, |blob| blob.size, |blob| is_sound(carrier, blob));
        carrier.progress.end();
        let sound = sound?;
        let broken = toc.required.iter().zip(sound).filter(|(_, is_sound)| !is_sound);
        missing.extend(broken.map(|(blob, _)| blob.clone()));
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::BaseMissing { archive: carrier.label().to_owned(), missing })
}

fn is_sound(carrier: &Carrier<'_>, blob: &Required) -> Result<bool> {
    let _item = Item::begin(carrier.progress, blob.digest.as_str());
    let mut reader = carrier.repository().read_blob(&blob.digest, Some(blob.size))?;
    let mut buffer = vec![0; buffer_for(blob.size)];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(true),
            Ok(read) => carrier.progress.advance(read as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A system that cannot read says nothing of what is there.
            Err(error) if error.raw_os_error().is_some() => return Err(Error::read(carrier.label(), error)),
            Err(_) => return Ok(false),
        }
    }
}
