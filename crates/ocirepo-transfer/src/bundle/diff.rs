//! What differs between two holders: images by name, and blobs by digest and size.

use std::collections::{BTreeMap, BTreeSet};

use ocirepo_store::Digest;
use ocirepo_store::gc::Amount;

use super::{Holdings, TocImage};

/// What has to happen to one holder to make it like another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// What differs in images; `None` where only the blobs of one of them are known.
    pub images: Option<ImageChanges>,
    /// Blobs that have to be carried there.
    pub new: Amount,
    /// Blobs that are not needed there any more.
    pub gone: Amount,
}

/// What differs in images, by name; those without one come last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageChanges {
    /// Images that are only in the other one.
    pub added: Vec<TocImage>,
    /// Images that are only in this one.
    pub removed: Vec<TocImage>,
    /// Names that stand for another image.
    pub moved: Vec<Moved>,
}

/// A name that stands for another image.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moved {
    /// The name.
    pub reference: String,
    /// What it stands for in this one.
    pub from: Digest,
    /// What it stands for in the other one.
    pub to: Digest,
}

/// Compares two holders. What a bundle requires counts as if it were in it: whoever takes it in has
/// that too.
#[must_use]
pub fn diff(from: &Holdings, to: &Holdings) -> Difference {
    let (before, after) = (from.with_required(), to.with_required());
    let images = from.images.as_ref().zip(to.images.as_ref());
    Difference {
        images: images.map(|(before, after)| image_changes(before, after)),
        new: missing(&after, &before),
        gone: missing(&before, &after),
    }
}

/// The blobs of one that the other does not have at that size.
fn missing(these: &BTreeMap<Digest, u64>, other: &BTreeMap<Digest, u64>) -> Amount {
    let mut amount = Amount::default();
    for (_, size) in these.iter().filter(|(digest, size)| other.get(digest) != Some(size)) {
        amount.blobs += 1;
        amount.bytes = amount.bytes.saturating_add(*size);
    }
    amount
}

fn image_changes(before: &[TocImage], after: &[TocImage]) -> ImageChanges {
    let (old, new) = (by_name(before), by_name(after));
    let names: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let none = BTreeSet::new();
    let mut changes = ImageChanges::default();
    for name in names {
        let (old, new) = (old.get(name).unwrap_or(&none), new.get(name).unwrap_or(&none));
        let mut came = new.difference(old);
        let mut went = old.difference(new);
        if old.len() == 1
            && new.len() == 1
            && let (Some(&to), Some(&from)) = (came.next(), went.next())
        {
            let (from, to) = (from.clone(), to.clone());
            changes.moved.push(Moved { reference: name.to_owned(), from, to });
            continue;
        }
        let named =
            |digest: &&Digest| TocImage { reference: Some(name.to_owned()), digest: (*digest).clone() };
        changes.added.extend(new.difference(old).map(named));
        changes.removed.extend(old.difference(new).map(named));
    }
    changes.added.extend(nameless(after, before));
    changes.removed.extend(nameless(before, after));
    changes
}

/// A name may stand for several images where somebody else than ocirepo gave it.
fn by_name(images: &[TocImage]) -> BTreeMap<&str, BTreeSet<&Digest>> {
    let mut names: BTreeMap<&str, BTreeSet<&Digest>> = BTreeMap::new();
    for image in images {
        if let Some(name) = &image.reference {
            names.entry(name).or_default().insert(&image.digest);
        }
    }
    names
}

/// The nameless images that the other does not have, under whatever name.
fn nameless(these: &[TocImage], other: &[TocImage]) -> Vec<TocImage> {
    let there: BTreeSet<&Digest> = other.iter().map(|image| &image.digest).collect();
    let these = these.iter().filter(|image| image.reference.is_none());
    let digests: BTreeSet<&Digest> = these.map(|image| &image.digest).collect();
    let missing = digests.difference(&there);
    missing.map(|&digest| TocImage { reference: None, digest: digest.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(content: &str) -> Digest {
        Digest::sha256(content.as_bytes())
    }

    fn image(reference: &str, content: &str) -> TocImage {
        let reference = (!reference.is_empty()).then(|| reference.to_owned());
        TocImage { reference, digest: digest(content) }
    }

    fn changes(before: &[TocImage], after: &[TocImage]) -> ImageChanges {
        image_changes(before, after)
    }

    #[test]
    fn images_are_added_removed_and_moved_by_name() {
        let before = [image("b", "1"), image("a", "1"), image("same", "5")];
        let after = [image("c", "1"), image("a", "2"), image("same", "5")];
        let found = changes(&before, &after);
        assert_eq!(found.added, [image("c", "1")]);
        assert_eq!(found.removed, [image("b", "1")]);
        let moved = Moved { reference: "a".to_owned(), from: digest("1"), to: digest("2") };
        assert_eq!(found.moved, [moved]);
        assert_eq!(changes(&before, &before), ImageChanges::default());
    }

    #[test]
    fn a_name_for_several_images_is_compared_image_by_image() {
        let found = changes(&[image("a", "1"), image("a", "2")], &[image("a", "2"), image("a", "3")]);
        assert_eq!((found.added, found.removed), (vec![image("a", "3")], vec![image("a", "1")]));
        assert!(found.moved.is_empty());
    }

    #[test]
    fn a_nameless_image_is_there_under_any_name() {
        let found = changes(&[image("", "1"), image("", "2")], &[image("a", "1"), image("", "3")]);
        assert_eq!(found.added, [image("a", "1"), image("", "3")]);
        assert_eq!(found.removed, [image("", "2")]);
    }

    #[test]
    fn blobs_are_compared_at_their_sizes_and_with_what_is_required() {
        let holdings = |blobs: &[(&str, u64)], required: &[(&str, u64)]| {
            let map = |list: &[(&str, u64)]| list.iter().map(|(name, size)| (digest(name), *size)).collect();
            Holdings { images: None, blobs: map(blobs), required: map(required) }
        };
        let old = holdings(&[("base", 100), ("old", 10), ("cut", 3)], &[]);
        let new = holdings(&[("new", 7), ("cut", 5)], &[("base", 100)]);
        let found = diff(&old, &new);
        assert_eq!(found.images, None);
        assert_eq!(found.new, Amount { blobs: 2, bytes: 12 });
        assert_eq!(found.gone, Amount { blobs: 2, bytes: 13 });
        assert_eq!(diff(&new, &new), Difference::default());
    }
}
