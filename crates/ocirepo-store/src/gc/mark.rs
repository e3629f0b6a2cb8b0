//! Marking: the graph of everything that is kept.

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::graph::{Documents, Graph, Unlisted, Walk};
use crate::index::Document;
use crate::progress::{Progress, Silent, Unit};
use crate::repository::Repository;

/// Everything that the entries of `document`, and those of `others`, keep: what is reachable, and
/// unlisted documents whose subject is, to a fixpoint.
pub(crate) fn mark(
    repository: &Repository,
    document: &Document,
    others: &[(String, Document)],
    listed: Vec<Digest>,
) -> Result<Graph> {
    mark_all(repository, document, others, listed, &Err)
}

/// [`mark`] for those who have another answer than an error when a blob cannot be read that may be
/// about something kept.
pub(crate) fn mark_all(
    repository: &Repository,
    document: &Document,
    others: &[(String, Document)],
    listed: Vec<Digest>,
    unreadable: &dyn Fn(Error) -> Result<()>,
) -> Result<Graph> {
    let marking = Marking { documents: repository.blobs(), progress: &Silent, unreadable };
    marking.mark(repository, document, others, listed)
}

/// How to mark.
pub(crate) struct Marking<'a> {
    /// Where documents are read.
    pub(crate) documents: &'a dyn Documents,
    pub(crate) progress: &'a dyn Progress,
    /// Judges what cannot be read and may be about something kept.
    pub(crate) unreadable: &'a dyn Fn(Error) -> Result<()>,
}

impl Marking<'_> {
    /// See [`mark`].
    pub(crate) fn mark(
        &self,
        repository: &Repository,
        document: &Document,
        others: &[(String, Document)],
        listed: Vec<Digest>,
    ) -> Result<Graph> {
        let Self { documents, progress, unreadable } = *self;
        let mut walk = Walk::over(listed, documents, repository.jobs()).telling(progress);
        let entries = document.entries();
        walk.add_roots(entries, Some, |n| entries[n].label(n));
        for (path, other) in others {
            let entries = other.entries();
            walk.add_roots(entries, |_| None, |n| format!("{} in {path}", entries[n].label(n)));
        }
        // How many there are is known only when all were read.
        progress.begin("marking manifests", Unit::Items, None);
        walk.run();
        progress.end();
        let unmarked = walk.graph().unreached();
        progress.begin("finding referrers", Unit::Items, Some(unmarked.len() as u64));
        let unlisted = Unlisted::find(repository.blobs(), repository.jobs(), &unmarked, unreadable, progress);
        progress.end();
        unlisted?.exhaust(&mut walk);
        Ok(walk.finish())
    }
}
