//! A set of facts, to be asked from both sides.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Fact;
use crate::digest::{Algorithm, Digest};

/// What is known of the layers in a repository, or of layers that once were in it.
///
/// One blob may have several facts: it can be what several encoders make of the same content.
#[derive(Debug, Clone, Default)]
pub struct LayerFacts {
    by_diff_id: BTreeMap<Digest, BTreeSet<Fact>>,
    by_blob: HashMap<Digest, Known>,
}

/// What is known of one blob.
#[derive(Debug, Clone)]
struct Known {
    size: u64,
    /// One for each algorithm, in order; none once there was a contradiction.
    diff_ids: BTreeSet<Digest>,
    is_disputed: bool,
}

impl LayerFacts {
    /// The blobs that unpack to `diff_id`, smallest first, in an order that depends on nothing but
    /// the facts. Whether a blob is there, at its size, is for the caller to see.
    pub fn blobs_of(&self, diff_id: &Digest) -> impl Iterator<Item = &Fact> + use<'_> {
        self.by_diff_id.get(diff_id).into_iter().flatten()
    }

    /// What `blob` unpacks to. Under several algorithms it has several diffIDs; this is the first
    /// in order. [`LayerFacts::diff_id_in`] gives the one that a given diffID compares with.
    #[must_use]
    pub fn diff_id_of(&self, blob: &Digest) -> Option<&Digest> {
        self.by_blob.get(blob)?.diff_ids.first()
    }

    /// What `blob` unpacks to, as a digest of `algorithm`, if that is known.
    #[must_use]
    pub fn diff_id_in(&self, blob: &Digest, algorithm: Algorithm) -> Option<&Digest> {
        self.by_blob.get(blob)?.diff_ids.iter().find(|diff_id| diff_id.algorithm() == Some(algorithm))
    }

    /// Every fact, by diffID, smallest blob first.
    pub fn iter(&self) -> impl Iterator<Item = &Fact> {
        self.by_diff_id.values().flatten()
    }

    /// How many facts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_diff_id.values().map(BTreeSet::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_diff_id.is_empty()
    }

    /// Whether nothing would be gained by recording `fact`. So it is too with a blob that there is
    /// a contradiction about: more facts would not end it.
    pub(super) fn knows(&self, fact: &Fact) -> bool {
        !fact.is_provable()
            || self.by_blob.get(&fact.blob).is_some_and(|known| known.is_disputed)
            || self.twins(fact).any(|twin| fact.made_by.is_none() || twin.made_by == fact.made_by)
    }

    /// Takes in a fact. Content has one size and one digest, so of two facts that say otherwise one
    /// is false; as nothing tells which, the blob has none from then on.
    pub(super) fn insert(&mut self, fact: Fact) {
        if self.knows(&fact) {
            return;
        }
        let known = self.by_blob.entry(fact.blob.clone()).or_insert_with(|| Known {
            size: fact.size,
            diff_ids: BTreeSet::new(),
            is_disputed: false,
        });
        let contradicts =
            |other: &Digest| *other != fact.diff_id && other.algorithm() == fact.diff_id.algorithm();
        if known.size != fact.size || known.diff_ids.iter().any(contradicts) {
            known.is_disputed = true;
            for diff_id in std::mem::take(&mut known.diff_ids) {
                self.forget(&diff_id, |other| other.blob == fact.blob);
            }
            tracing::debug!("two facts about {} contradict each other; it has none", fact.blob);
            return;
        }
        known.diff_ids.insert(fact.diff_id.clone());
        // Who made it is more than nothing.
        self.forget(&fact.diff_id, |other| other.blob == fact.blob && other.made_by.is_none());
        self.by_diff_id.entry(fact.diff_id.clone()).or_default().insert(fact);
    }

    /// The facts that say the same, whatever they say of who made the blob.
    fn twins(&self, fact: &Fact) -> impl Iterator<Item = &Fact> {
        self.blobs_of(&fact.diff_id).filter(move |other| other.blob == fact.blob && other.size == fact.size)
    }

    fn forget(&mut self, diff_id: &Digest, which: impl Fn(&Fact) -> bool) {
        if let Some(facts) = self.by_diff_id.get_mut(diff_id) {
            facts.retain(|fact| !which(fact));
            if facts.is_empty() {
                self.by_diff_id.remove(diff_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(content: &str, blob: &str, size: u64, recipe: Option<&str>) -> Fact {
        let digest = |text: &str| Digest::sha256(text.as_bytes());
        Fact::new(digest(content), digest(blob), size, recipe.map(|text| text.parse().unwrap()))
    }

    fn facts(list: &[Fact]) -> LayerFacts {
        let mut facts = LayerFacts::default();
        list.iter().cloned().for_each(|fact| facts.insert(fact));
        facts
    }

    #[test]
    fn they_are_found_from_both_sides_in_an_order_of_their_own() {
        let list = [fact("c", "z", 30, None), fact("c", "y", 10, Some("gzip-6")), fact("d", "x", 5, None)];
        let mut turned = list.clone();
        turned.reverse();
        for found in [facts(&list), facts(&turned)] {
            let sizes: Vec<u64> = found.blobs_of(&list[0].diff_id).map(|fact| fact.size).collect();
            assert_eq!(sizes, [10, 30]);
            assert_eq!(found.diff_id_of(&list[2].blob), Some(&list[2].diff_id));
            assert_eq!((found.len(), found.iter().count()), (3, 3));
            assert_eq!(found.diff_id_of(&list[2].diff_id), None);
        }
    }

    #[test]
    fn who_made_a_blob_is_added_and_not_lost() {
        let (plain, made) = (fact("c", "b", 1, None), fact("c", "b", 1, Some("gzip-6")));
        for list in [[plain.clone(), made.clone()], [made.clone(), plain.clone()]] {
            let found = facts(&list);
            assert_eq!(found.iter().collect::<Vec<_>>(), [&made]);
            assert!(found.knows(&plain) && found.knows(&made));
            assert!(!found.knows(&fact("c", "b", 1, Some("gzip-9"))));
        }
        assert!(!facts(&[plain]).knows(&made));
        assert_eq!(facts(&[made, fact("c", "b", 1, Some("gzip-9"))]).len(), 2);
    }

    #[test]
    fn a_blob_that_facts_disagree_about_has_none() {
        let other = fact("c", "other", 1, None);
        for false_one in [fact("d", "b", 1, None), fact("c", "b", 2, None)] {
            let found = facts(&[fact("c", "b", 1, Some("gzip-6")), other.clone(), false_one.clone()]);
            assert_eq!(found.iter().collect::<Vec<_>>(), [&other]);
            assert_eq!(found.diff_id_of(&false_one.blob), None);
            assert!(found.knows(&false_one), "nothing is gained by recording it again");
        }
    }

    #[test]
    fn one_content_has_a_diff_id_under_each_algorithm() {
        let first = fact("c", "b", 1, None);
        let second = Fact::new(Digest::of(Algorithm::Sha512, b"c"), first.blob.clone(), 1, None);
        let found = facts(&[second.clone(), first.clone()]);
        assert_eq!(found.len(), 2);
        assert_eq!(found.diff_id_of(&first.blob), Some(&first.diff_id));
        assert_eq!(found.diff_id_in(&first.blob, Algorithm::Sha256), Some(&first.diff_id));
        assert_eq!(found.diff_id_in(&first.blob, Algorithm::Sha512), Some(&second.diff_id));
        assert_eq!(found.diff_id_in(&first.blob, Algorithm::Sha384), None);
    }

    #[test]
    fn what_cannot_be_verified_is_never_recorded() {
        let fact = Fact::new("other:abc".parse().unwrap(), Digest::sha256(b"b"), 1, None);
        assert!(facts(std::slice::from_ref(&fact)).is_empty());
        assert!(LayerFacts::default().knows(&fact));
    }
}
