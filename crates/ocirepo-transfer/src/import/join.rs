//! Images of several platforms become one: an index that lists them.
//!
//! Children stand in the order of their platforms, so that the result does not depend on which
//! came first. An index that exists already keeps its other members and children as they are.

use ocirepo_store::Digest;
use ocirepo_store::graph::Platform;
use ocirepo_store::index::{Document, Entry};

use super::oci::reference;

/// The media type of an index that is made here.
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An image, and the platform it is for.
#[derive(Debug, Clone)]
pub(crate) struct Child {
    pub(crate) entry: Entry,
    pub(crate) platform: Platform,
}

impl Child {
    /// The image of an entry as the child of an index: without the names of that entry.
    ///
    /// # Errors
    /// What is wrong, when the entry is too strange.
    pub(crate) fn new(entry: &Entry, platform: Platform) -> Result<Self, String> {
        let entry = entry.with_names(None, None)?.with_platform(&platform)?;
        Ok(Self { entry, platform })
    }
}

/// Puts images into an index, each in place of the one that is there for its platform. Whether the
/// index is another one now.
pub(crate) fn insert(index: &mut Document, children: &[Child]) -> bool {
    let before: Vec<Option<Digest>> = digests(index);
    for child in children {
        if child.platform.is_unknown() {
            // An attestation goes by what it is about, not by its platform.
            if !index.entries().iter().any(|entry| entry.digest() == child.entry.digest()) {
                index.entries_mut().push(child.entry.clone());
            }
            continue;
        }
        let platforms: Vec<Option<Platform>> = index
            .entries()
            .iter()
            .map(|entry| entry.descriptor().ok().and_then(|descriptor| descriptor.platform.clone()))
            .collect();
        let same = platforms.iter().position(|platform| {
            platform.as_ref().is_some_and(|platform| is_same(platform, &child.platform))
        });
        let entries = index.entries_mut();
        match same {
            Some(position) if entries[position].digest() == child.entry.digest() => {}
            Some(position) => {
                let old = std::mem::replace(&mut entries[position], child.entry.clone());
                entries
                    .retain(|entry| reference(entry).is_none_or(|about| old.digest_text() != Some(&about)));
            }
            None => {
                let text = child.platform.to_string();
                let later = platforms.iter().position(|platform| {
                    platform
                        .as_ref()
                        .is_some_and(|platform| platform.is_unknown() || platform.to_string() > text)
                });
                entries.insert(later.unwrap_or(platforms.len()), child.entry.clone());
            }
        }
    }
    digests(index) != before
}

fn digests(index: &Document) -> Vec<Option<Digest>> {
    index.entries().iter().map(|entry| entry.digest().cloned()).collect()
}

/// Whether two images cannot both stand for their platform. `arm64` is `arm64/v8`.
pub(crate) fn is_same(a: &Platform, b: &Platform) -> bool {
    let variant = |platform: &Platform| {
        let usual = (platform.architecture == "arm64").then(|| "v8".to_owned());
        platform.variant.clone().or(usual)
    };
    a.os == b.os
        && a.architecture == b.architecture
        && variant(a) == variant(b)
        && a.os_version == b.os_version
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(content: &str, architecture: &str) -> Child {
        let platform = Platform {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: None,
            os_version: None,
        };
        let digest = Digest::sha256(content.as_bytes());
        Child::new(&Entry::for_descriptor("a/b", &digest, 1, None), platform).unwrap()
    }

    fn platforms(index: &Document) -> Vec<String> {
        let entries = index.entries().iter();
        entries.map(|entry| entry.descriptor().unwrap().platform.as_ref().unwrap().to_string()).collect()
    }

    #[test]
    fn the_order_of_coming_does_not_matter() {
        let (mut one, mut other) = (Document::empty(), Document::empty());
        assert!(insert(&mut one, &[child("a", "amd64"), child("b", "arm64")]));
        assert!(insert(&mut other, &[child("b", "arm64")]) && insert(&mut other, &[child("a", "amd64")]));
        assert_eq!(one.to_bytes(), other.to_bytes());
        assert_eq!(platforms(&one), ["linux/amd64", "linux/arm64"]);
    }

    #[test]
    fn an_image_replaces_the_one_for_its_platform() {
        let mut index = Document::empty();
        insert(&mut index, &[child("a", "amd64"), child("b", "arm64")]);
        assert!(insert(&mut index, &[child("c", "amd64")]));
        assert!(!insert(&mut index, &[child("c", "amd64")]));
        assert_eq!(platforms(&index), ["linux/amd64", "linux/arm64"]);
        assert_eq!(index.entries()[0].digest(), Some(&Digest::sha256(b"c")));
    }
}
