//! Images of several platforms become one: an index that lists them.
//!
//! Children stand in the order of their platforms, so that the result does not depend on which
//! came first. An index that exists already keeps its other members and children as they are.

use std::collections::{BTreeMap, HashMap, HashSet};

use ocirepo_store::Digest;
use ocirepo_store::graph::{MAX_MANIFEST_SIZE, Platform};
use ocirepo_store::index::{Document, Entry};

use super::oci::reference;

/// The media type of an index that is made here.
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What an index lists: mostly an image for a platform.
#[derive(Debug, Clone)]
pub(crate) struct Child {
    pub(crate) entry: Entry,
    /// `None` for what is no image for a platform, such as an attestation: it goes by its digest.
    pub(crate) platform: Option<Platform>,
    /// Whether it is in the repository or comes into it. An index may list what is not.
    pub(crate) is_there: bool,
}

impl Child {
    /// The image of an entry as the child of an index: without the names of that entry.
    ///
    /// # Errors
    /// What is wrong, when the entry is too strange.
    pub(crate) fn new(entry: &Entry, platform: Option<Platform>) -> Result<Self, String> {
        let mut entry = entry.with_names(None, None)?;
        let platform = platform.filter(|platform| !platform.is_unknown());
        if let Some(platform) = &platform {
            entry = entry.with_platform(platform)?;
        }
        Ok(Self { entry, platform, is_there: true })
    }

    fn key(&self) -> Option<String> {
        self.platform.as_ref().map(key)
    }
}

/// What two images that cannot both stand for their platform have in common. `arm64` is `arm64/v8`.
pub(crate) fn key(platform: &Platform) -> String {
    let usual = if platform.architecture == "arm64" { "v8" } else { "" };
    let variant = platform.variant.as_deref().unwrap_or(usual);
    let version = platform.os_version.as_deref().unwrap_or_default();
    format!("{}\0{}\0{variant}\0{version}", platform.os, platform.architecture)
}

/// Joins two lists of children. For each platform that both have, those of `incoming` take the place
/// of those of `held`; but what is not there never takes the place of anything.
pub(crate) fn merge(held: Vec<Child>, incoming: Vec<Child>) -> Vec<Child> {
    let mut groups: BTreeMap<String, Vec<Child>> = BTreeMap::new();
    let mut others: Vec<Child> = Vec::new();
    for child in incoming {
        match child.key() {
            Some(key) => groups.entry(key).or_default().push(child),
            None => others.push(child),
        }
    }
    let mut gone: HashSet<Digest> = HashSet::new();
    let mut placed: HashSet<String> = HashSet::new();
    let mut kept: Vec<Child> = Vec::new();
    for child in held {
        let key = child.key().filter(|key| placed.contains(key) || groups.contains_key(key));
        let Some(key) = key else {
            kept.push(child);
            continue;
        };
        let wins = groups.get(&key).is_none_or(|group| group.iter().any(|child| child.is_there));
        if !wins {
            groups.remove(&key);
            kept.push(child);
            continue;
        }
        gone.extend(child.entry.digest().cloned());
        if let Some(group) = groups.remove(&key) {
            kept.extend(group);
            placed.insert(key);
        }
    }
    let mut fresh: Vec<(String, Child)> =
        groups.into_values().flatten().map(|child| (text(&child), child)).collect();
    fresh.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut fresh = fresh.into_iter().peekable();
    let mut merged: Vec<Child> = Vec::with_capacity(kept.len() + fresh.len());
    for child in kept {
        let at = text(&child);
        while let Some((_, new)) = fresh.next_if(|(new, _)| child.platform.is_none() || *new < at) {
            merged.push(new);
        }
        merged.push(child);
    }
    merged.extend(fresh.map(|(_, child)| child));

    let there: HashSet<Digest> = merged.iter().filter_map(|child| child.entry.digest().cloned()).collect();
    gone.retain(|digest| !there.contains(digest));
    merged.retain(|child| {
        reference(&child.entry).is_none_or(|about| !gone.iter().any(|digest| digest.as_str() == about))
    });
    let mut seen = there;
    merged.extend(
        others
            .into_iter()
            .filter(|child| child.entry.digest().is_some_and(|digest| seen.insert(digest.clone()))),
    );
    merged
}

fn text(child: &Child) -> String {
    child.platform.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// `index` with these children, as it is to be written.
///
/// # Errors
/// When nobody could read an index as large as that.
pub(crate) fn write(mut index: Document, children: Vec<Child>) -> Result<Vec<u8>, String> {
    *index.entries_mut() = children.into_iter().map(|child| child.entry).collect();
    let bytes = index.to_bytes();
    check_size(&bytes).map(|()| bytes)
}

/// Whether a document that is made here is one that others, and we ourselves, would read.
///
/// # Errors
/// When it is too large.
pub(crate) fn check_size(document: &[u8]) -> Result<(), String> {
    if document.len() as u64 <= MAX_MANIFEST_SIZE {
        return Ok(());
    }
    let size = document.len();
    Err(format!("its manifest would have {size} bytes, more than {} MiB", MAX_MANIFEST_SIZE >> 20))
}

/// Whether no two of the children are for one platform.
pub(crate) fn are_distinct(children: &[Child]) -> bool {
    let mut seen: HashMap<String, ()> = HashMap::new();
    children.iter().all(|child| child.key().is_some_and(|key| seen.insert(key, ()).is_none()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(content: &str, architecture: &str) -> Child {
        let platform = Platform::new("linux", architecture);
        let digest = Digest::sha256(content.as_bytes());
        Child::new(&Entry::for_descriptor("a/b", &digest, 1, None), Some(platform)).unwrap()
    }

    fn absent(content: &str, architecture: &str) -> Child {
        Child { is_there: false, ..child(content, architecture) }
    }

    fn about(content: &str) -> Child {
        let digest = Digest::sha256(content.as_bytes());
        let attestation = Digest::sha256(format!("about {content}").as_bytes());
        let entry = Entry::for_descriptor("a/b", &attestation, 1, None);
        let key = "vnd.docker.reference.digest";
        Child::new(&entry.with_annotations(&[(key, Some(digest.as_str()))]).unwrap(), None).unwrap()
    }

    fn contents(children: &[Child], names: &[&str]) -> Vec<String> {
        let digests: HashMap<Digest, &str> =
            names.iter().map(|name| (Digest::sha256(name.as_bytes()), *name)).collect();
        let digest = |child: &Child| child.entry.digest().cloned().unwrap();
        children.iter().map(|child| (*digests.get(&digest(child)).unwrap_or(&"?")).to_owned()).collect()
    }

    #[test]
    fn the_order_of_coming_does_not_matter() {
        let (a, b) = (child("a", "amd64"), child("b", "arm64"));
        let both = ["a", "b"];
        assert_eq!(contents(&merge(vec![a.clone()], vec![b.clone()]), &both), both);
        assert_eq!(contents(&merge(vec![b.clone()], vec![a.clone()]), &both), both);
        assert_eq!(contents(&merge(Vec::new(), vec![b, a]), &both), both);
    }

    #[test]
    fn an_image_replaces_all_that_are_there_for_its_platform() {
        let held =
            vec![child("a", "amd64"), child("a2", "amd64"), child("b", "arm64"), about("a"), about("b")];
        let merged = merge(held, vec![child("c", "amd64"), child("c2", "amd64"), about("c")]);
        let names = ["a", "a2", "b", "c", "c2", "about b", "about c"];
        assert_eq!(contents(&merged, &names), ["c", "c2", "b", "about b", "about c"]);
    }

    #[test]
    fn what_is_not_there_replaces_nothing() {
        let held = vec![child("a", "amd64"), absent("b", "arm64")];
        let incoming = vec![absent("x", "amd64"), child("y", "arm64"), absent("z", "s390x")];
        assert_eq!(contents(&merge(held, incoming), &["a", "b", "x", "y", "z"]), ["a", "y", "z"]);
    }

    #[test]
    fn an_index_that_nobody_could_read_is_not_written() {
        let children = (0..40_000).map(|n| child(&n.to_string(), &format!("arch{n}"))).collect();
        assert!(write(Document::empty(), children).is_err());
    }
}
