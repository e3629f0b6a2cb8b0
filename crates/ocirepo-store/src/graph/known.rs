//! The digests that a walk was told of beforehand, and those it has met, by number.
//!
//! What a digest's number is can be asked on any thread while documents are read, so that little is left
//! to do where the graph is built.

use std::collections::HashMap;

use super::walk::BlobId;
use crate::digest::Digest;

/// Digests, and which of them were reached as what blob.
#[derive(Debug, Default)]
pub(super) struct Known {
    numbers: HashMap<Digest, usize>,
    /// By number.
    blobs: Vec<Option<BlobId>>,
    /// Those with a smaller number were told of beforehand.
    listed: usize,
}

/// A digest that something names, and its number if it has one.
#[derive(Debug)]
pub(super) struct Met {
    digest: Digest,
    number: Option<usize>,
}

impl Known {
    /// Those of blobs that are there, none of them reached.
    pub(super) fn of(listed: Vec<Digest>) -> Self {
        let count = listed.len();
        let numbers = listed.into_iter().zip(0..).collect();
        Self { numbers, blobs: vec![None; count], listed: count }
    }

    /// Looks a digest up. Of one that is known, one copy is kept, not that of each document.
    pub(super) fn meet(&self, digest: Digest) -> Met {
        match self.numbers.get_key_value(&digest) {
            Some((known, &number)) => Met { digest: known.clone(), number: Some(number) },
            None => Met { digest, number: None },
        }
    }

    /// The digest and its number; a new one for one that nobody has met.
    pub(super) fn number(&mut self, Met { digest, number }: Met) -> (Digest, usize) {
        if let Some(number) = number {
            return (digest, number);
        }
        let entry = self.numbers.entry(digest);
        let digest = entry.key().clone();
        let number = *entry.or_insert(self.blobs.len());
        if number == self.blobs.len() {
            self.blobs.push(None);
        }
        (digest, number)
    }

    /// The blob with that digest, if it was reached.
    pub(super) fn find(&self, digest: &Digest) -> Option<BlobId> {
        self.blob(*self.numbers.get(digest)?)
    }

    /// The blob with that number, if it was reached.
    pub(super) fn blob(&self, number: usize) -> Option<BlobId> {
        self.blobs[number]
    }

    /// Notes that the digest with that number was reached.
    pub(super) fn reach(&mut self, number: usize, id: BlobId) {
        self.blobs[number] = Some(id);
    }

    /// Whether the digest with that number was told of beforehand.
    pub(super) const fn is_listed(&self, number: usize) -> bool {
        number < self.listed
    }

    /// What was told of and not reached, in no order.
    pub(super) fn unreached(&self) -> impl Iterator<Item = &Digest> {
        self.numbers.iter().filter(|&(_, &number)| self.blobs[number].is_none()).map(|(digest, _)| digest)
    }
}
