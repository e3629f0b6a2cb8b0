//! Which documents name a blob, and how: the links of a graph from below to above.
//!
//! Most blobs have one, and there are very many. So all links stand in one list, and a blob knows the
//! first and the last of its own.

use std::iter::successors;
use std::num::NonZeroU32;

use super::node::Link;
use super::walk::BlobId;

/// The links of one blob.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Chain {
    first: Option<Place>,
    last: Option<Place>,
}

/// A place in the list, counted from 1.
type Place = NonZeroU32;

/// A link, and where the next one of the same blob stands.
#[derive(Debug)]
struct Parent {
    document: BlobId,
    link: Link,
    next: Option<Place>,
}

/// The links of all blobs.
#[derive(Debug, Default)]
pub(super) struct Parents(Vec<Parent>);

impl Parents {
    /// Adds a link to those of a blob, unless it is the last one again: an image may have a layer twice.
    pub(super) fn add(&mut self, chain: &mut Chain, document: BlobId, link: Link) {
        let last = chain.last.map(index);
        if last.is_some_and(|n| (self.0[n].document, self.0[n].link) == (document, link)) {
            return;
        }
        self.0.push(Parent { document, link, next: None });
        let place = u32::try_from(self.0.len()).ok().and_then(Place::new);
        let place = place.expect("2^32 links stand in more documents than fit in memory");
        match last {
            Some(n) => self.0[n].next = Some(place),
            None => chain.first = Some(place),
        }
        chain.last = Some(place);
    }

    /// The links of a blob, in the order they were added.
    pub(super) fn of(&self, chain: Chain) -> impl Iterator<Item = (BlobId, Link)> {
        let at = |place| &self.0[index(place)];
        successors(chain.first.map(at), move |parent| parent.next.map(at))
            .map(|parent| (parent.document, parent.link))
    }
}

const fn index(place: Place) -> usize {
    place.get() as usize - 1
}
