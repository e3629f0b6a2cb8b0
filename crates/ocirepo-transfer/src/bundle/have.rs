//! What the receiver of a bundle has.

use std::collections::BTreeMap;
use std::path::Path;

use ocirepo_store::{Digest, Progress};

use super::Holdings;
use crate::error::Result;
use crate::source::Source;

/// Blobs that the receiver has, with their sizes in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Have {
    blobs: BTreeMap<Digest, u64>,
}

impl Have {
    /// Reads what the receiver has: an inventory as text or JSON, a repository, or a bundle or another
    /// archive that the receiver has taken in, of which what it required counts as well. It is told
    /// by content; `-` is standard input.
    ///
    /// # Errors
    /// As [`Holdings::read`].
    pub fn read(path: &Path, progress: &dyn Progress) -> Result<Self> {
        Ok(Self { blobs: Holdings::read(&Source::parse(path), progress)?.with_required() })
    }

    /// Adds what somebody has. Where two sizes are given for a blob, one of them is wrong, and so the
    /// blob is taken for one that is not there.
    pub fn extend(&mut self, other: Self) {
        for (digest, size) in other.blobs {
            if self.blobs.get(&digest).is_some_and(|known| *known != size) {
                self.blobs.remove(&digest);
            } else {
                self.blobs.insert(digest, size);
            }
        }
    }

    /// Whether a blob is among them, at that size.
    #[must_use]
    pub fn contains(&self, digest: &Digest, size: u64) -> bool {
        self.blobs.get(digest) == Some(&size)
    }

    /// How many blobs they are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blobs.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blobs.is_empty()
    }
}

impl FromIterator<(Digest, u64)> for Have {
    fn from_iter<T: IntoIterator<Item = (Digest, u64)>>(blobs: T) -> Self {
        Self { blobs: blobs.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::write_inventory;
    use super::*;

    #[test]
    fn a_blob_is_there_at_its_size_only() {
        let [a, b, c] = [b"a", b"b", b"c"].map(|content| Digest::sha256(content));
        let mut have = Have::from_iter([(a.clone(), 1), (b.clone(), 2)]);
        have.extend(Have::from_iter([(b.clone(), 3), (c.clone(), 4), (a.clone(), 1)]));
        assert!(have.contains(&a, 1) && have.contains(&c, 4));
        assert!(!have.contains(&a, 2));
        assert!(!have.contains(&b, 2) && !have.contains(&b, 3), "of two sizes one is wrong");
        assert_eq!(have.len(), 2);
        assert!(Have::default().is_empty());
    }

    #[test]
    fn an_inventory_that_came_back_is_what_the_receiver_has() {
        let blob = (Digest::sha256(b"a"), 1);
        let file = tempfile::NamedTempFile::new().unwrap();
        write_inventory(std::slice::from_ref(&blob), &mut file.as_file()).unwrap();
        assert_eq!(Have::read(file.path(), &ocirepo_store::Silent).unwrap(), Have::from_iter([blob]));
    }
}
