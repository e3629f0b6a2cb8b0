//! Layer facts: which stored blob unpacks to which diffID, kept in `.ocirepo/cache/layers`.
//!
//! A layer is named twice: its blob by the digest of its compressed bytes, its content by the
//! diffID in a config. Only inflating the blob proves that the two belong together, and that is
//! slow, so what was proven once is remembered here.
//!
//! # What is promised
//! - A fact is recorded by a caller that inflated the blob itself and hashed what came out, never
//!   from a claim in a config.
//! - A fact stays true whatever becomes of the blob, since both sides are digests of content. It
//!   does **not** say that the blob is there: before relying on one, see that
//!   [`Repository::blob_size`] gives [`Fact::size`].
//! - The cache can be deleted at any time; only the work of proving is lost. What cannot be read in
//!   it is passed over, and a blob about which two facts disagree has none.
//! - Recording never fails for want of space or permission.

mod cache;
mod fact;
mod facts;

pub use fact::{Fact, InvalidRecipe, Recipe};
pub use facts::LayerFacts;

use crate::error::Result;
use crate::lock::Shared;
use crate::repository::Repository;

impl Repository {
    /// The facts on record. A cache that is not there, or may not be read, holds none.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged) and [`Error::NotAFile`](crate::Error::NotAFile) for
    /// a link, or anything else that does not belong there, in place of the cache; and when the
    /// file system fails.
    pub fn layer_facts(&self) -> Result<LayerFacts> {
        match self.own_dir()?.map_or_else(|| Ok(LayerFacts::default()), |own| cache::load(&own)) {
            Err(error) if error.is_not_writable() => {
                tracing::debug!("layer facts cannot be read: {error}");
                Ok(LayerFacts::default())
            }
            loaded => loaded,
        }
    }
}

impl Shared<'_> {
    /// Records facts, those that are not on record. The caller has inflated the blobs itself; a
    /// diffID that a config claims is no fact.
    ///
    /// Where there is no room, or nothing may be written, they are not recorded, with a warning in
    /// the trace: what brought the layers in has worked all the same.
    ///
    /// # Errors
    /// [`Error::LockTimeout`](crate::Error::LockTimeout) and those of [`Repository::layer_facts`].
    pub fn remember_layers(&self, facts: &[Fact]) -> Result<()> {
        remember(self, facts)
    }
}

/// [`Shared::remember_layers`], for a session that holds the lock.
pub(crate) fn remember(repository: &Repository, facts: &[Fact]) -> Result<()> {
    if facts.is_empty() {
        return Ok(());
    }
    // Mostly there is nothing new, and then nobody has to wait for a lock.
    let known = repository.layer_facts()?;
    if facts.iter().all(|fact| known.knows(fact)) {
        return Ok(());
    }
    match cache::append(repository, facts) {
        Err(error) if error.is_out_of_space() || error.is_not_writable() => {
            tracing::warn!("layer facts were not recorded: {error}");
            Ok(())
        }
        done => done,
    }
}
