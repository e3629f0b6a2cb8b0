//! Marking: the graph of everything that is kept.

use crate::blob::Listing;
use crate::error::{Error, Result};
use crate::graph::{Graph, Unlisted, Walk};
use crate::index::Document;
use crate::repository::Repository;

/// Everything that the entries of `document`, and those of `others`, keep: what is reachable, and
/// unlisted documents whose subject is, to a fixpoint.
pub(crate) fn mark(
    repository: &Repository,
    document: &Document,
    others: &[(String, Document)],
    listing: &Listing,
) -> Result<Graph> {
    mark_all(repository, document, others, listing, &Err)
}

/// [`mark`] for those who have another answer than an error when a blob cannot be read that may be
/// about something kept.
pub(crate) fn mark_all(
    repository: &Repository,
    document: &Document,
    others: &[(String, Document)],
    listing: &Listing,
    unreadable: &dyn Fn(Error) -> Result<()>,
) -> Result<Graph> {
    let mut walk = Walk::over(&listing.blobs, repository.blobs(), repository.jobs());
    for (position, entry) in document.entries().iter().enumerate() {
        walk.add_root(entry, Some(position), entry.label(position));
    }
    for (path, other) in others {
        for (position, entry) in other.entries().iter().enumerate() {
            walk.add_root(entry, None, format!("{} in {path}", entry.label(position)));
        }
    }
    walk.run();
    let unmarked = walk.graph().unreached();
    Unlisted::find(repository.blobs(), repository.jobs(), &unmarked, unreadable)?.exhaust(&mut walk);
    Ok(walk.finish())
}
