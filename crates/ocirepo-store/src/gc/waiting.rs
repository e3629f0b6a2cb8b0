//! What bundles that wait for volumes keep: every blob that they need and that is there.
//!
//! Such a blob is no root to walk from: what it names is needed by the bundle itself if at all, and
//! that it is not there yet is no trouble.

use std::collections::HashSet;

use super::Trouble;
use crate::digest::Digest;
use crate::error::Result;
use crate::repository::Repository;

/// What pending bundles keep.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// The blobs.
    pub(crate) needed: HashSet<Digest>,
    /// The bundles that cannot be read, so that what they keep cannot be known.
    pub(crate) broken: Vec<Trouble>,
}

impl Waiting {
    /// Looks at the pending bundles of repositories that share their blobs.
    pub(crate) fn find<'r>(repositories: impl IntoIterator<Item = &'r Repository>) -> Result<Self> {
        let mut waiting = Self::default();
        for repository in repositories {
            for bundle in repository.pendings()? {
                match bundle.needs() {
                    Ok(needs) => waiting.needed.extend(needs.keys().cloned()),
                    Err(reason) => waiting.broken.push(Trouble {
                        digest: Some(bundle.id().to_string()),
                        is_root: true,
                        reason: format!("{} cannot be read: {reason}", bundle.path().display()),
                        images: Vec::new(),
                    }),
                }
            }
        }
        Ok(waiting)
    }
}
