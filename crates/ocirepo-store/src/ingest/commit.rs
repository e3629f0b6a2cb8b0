//! The end of a session: what it kept is published, and its entries go into index.json.
//!
//! The entries may be worked out from the very index.json that they go into, under `index.lock`,
//! so that what is read there and put back is lost to nobody who does the same at the same time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Counts, Ingest};
use crate::digest::Digest;
use crate::disk::{Dir, StagedFile};
use crate::error::{Error, Result};
use crate::index::Document;
use crate::index::commit::{commit, rehearse};
use crate::index::edit::{self, Put, PutOutcome};
use crate::layers;
use crate::name::RefPolicy;

/// What a commit did, or in a rehearsal would have done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    /// One outcome for each [`Put`], in order.
    pub puts: Vec<PutOutcome>,
    /// The blobs of the session.
    pub counts: Counts,
}

/// Entries for the index that is given.
type Plan<'p, 'c> = dyn FnMut(&Ingest<'_>, &Document, RefPolicy) -> Result<Cow<'p, [Put]>> + 'c;

impl Ingest<'_> {
    /// Makes everything that was kept durable and puts the entries into index.json: all or nothing.
    /// A rehearsal comes to the same on index.json as it is now, and writes nothing.
    ///
    /// # Errors
    /// [`Error::TagConflict`], [`Error::TagTwice`], [`Error::LockTimeout`], and when the file system refuses.
    pub fn commit(self, puts: &[Put]) -> Result<Committed> {
        self.run(&mut |_, _, _| Ok(Cow::Borrowed(puts)))
    }

    /// [`Ingest::commit`] of entries that `plan` makes from index.json as it is at that moment.
    /// Nobody who takes our locks can change it between; when a tool without them does, `plan` is
    /// asked again, with what is there then.
    ///
    /// `plan` may bring more blobs in through the session that it is given, and open what is in
    /// it. `index.lock` is held all the while, so it should be quick: small documents, no layers.
    /// What takes that lock again, as other sessions do, must wait until the commit has returned.
    /// What an earlier asking brought in stays part of the session.
    ///
    /// # Errors
    /// Those of [`Ingest::commit`] and of `plan`.
    #[expect(clippy::type_complexity, reason = "a name for it would only hide what a plan is given")]
    pub fn commit_with(
        self,
        plan: &mut dyn FnMut(&Ingest<'_>, &Document, RefPolicy) -> Result<Vec<Put>>,
    ) -> Result<Committed> {
        self.run(&mut |ingest, document, policy| plan(ingest, document, policy).map(Cow::Owned))
    }

    fn run(self, plan: &mut Plan<'_, '_>) -> Result<Committed> {
        let mut edit = |document: &mut Document, policy| {
            let puts = plan(&self, document, policy)?;
            edit::check_apart(policy, &puts)?;
            edit::put_all(document, policy, &puts)
        };
        let puts = if self.is_rehearsal() {
            rehearse(self.repository, &mut edit)?
        } else {
            // Most of the waiting is done before anybody has to wait for us.
            self.sync_reused()?;
            self.staging.syncer().wait()?;
            commit(self.repository, &mut || self.publish(), &mut |document, policy| {
                self.staging.index_lock_is_held();
                edit(document, policy)
            })?
        };
        if !self.is_rehearsal() {
            let facts = std::mem::take(&mut self.state().facts);
            // The images are in; that their layers are not known by diffID costs time, and no more.
            if let Err(error) = layers::remember(self.repository, &facts) {
                tracing::warn!("layer facts were not recorded: {error}");
            }
        }
        Ok(Committed { puts, counts: self.counts() })
    }

    /// Blobs that were there may have been written a moment ago by somebody who does not sync.
    fn sync_reused(&self) -> Result<()> {
        let state = self.state();
        let unsynced = |digest: &&Digest| !state.synced.contains(*digest);
        let reused: Vec<Digest> = state.reused.keys().filter(unsynced).cloned().collect();
        drop(state);
        for digest in &reused {
            let Some((file, _)) = self.repository.blobs().open(digest)? else {
                return Err(Error::MissingBlob { digest: digest.clone() });
            };
            self.staging.syncer().submit(file, self.repository.blobs().path(digest));
        }
        self.state().synced.extend(reused);
        Ok(())
    }

    /// Moves every kept blob to its name, and makes the names durable. Where the plan is asked
    /// again this runs again too, for what has come since.
    fn publish(&self) -> Result<()> {
        self.staging.clean_up_after_others()?;
        self.sync_reused()?;
        self.staging.syncer().wait()?;
        let mut state = self.state();
        let unpublished = |digest: &&Digest| !state.published.contains(*digest);
        let digests: Vec<Digest> =
            state.kept.keys().chain(state.reused.keys()).filter(unpublished).cloned().collect();
        let staged = |digest| state.kept.get(digest).and_then(|staged| staged.file.as_ref());
        self.name_blobs(digests.iter().map(|digest| (digest, staged(digest))))?;
        state.published.extend(digests);
        Ok(())
    }

    /// Moves staged blobs to their names, whatever stands there, and makes the names durable: also
    /// those of blobs of which nothing is staged, since they are there.
    pub(super) fn name_blobs<'b>(
        &self,
        blobs: impl Iterator<Item = (&'b Digest, Option<&'b StagedFile>)>,
    ) -> Result<()> {
        let owner = self.repository.root().owner()?;
        let mut dirs: BTreeMap<&str, Arc<Dir>> = BTreeMap::new();
        for (digest, file) in blobs {
            let algorithm = digest.algorithm_name();
            if !dirs.contains_key(algorithm) {
                dirs.insert(algorithm, self.repository.blobs().ensure_dir(algorithm, owner)?);
            }
            if let Some((file, staging)) = file.zip(self.staging.made()) {
                staging.publish(file, &dirs[algorithm], digest.encoded())?;
            }
        }
        dirs.values().try_for_each(|dir| dir.sync())
    }
}
