//! What a choice of entries leads to, with what is about it: that much has to travel together.
//!
//! A signature that stays behind is found missing only where nobody can fetch it any more. So what
//! is about a reached document belongs to the choice, whichever way it says so: by `subject`, by
//! the annotation that buildkit gives attestations, or by a tag made of the digest, as registries
//! without a referrers API and cosign have it. The same goes for what is about that in turn.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::unlisted::{Unlisted, subject_of};
use super::walk::{Graph, Walk};
use crate::blob;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::index::{Document, Entry};
use crate::parallel::in_parallel;
use crate::progress::Silent;
use crate::repository::Repository;

/// Everything that a choice of entries leads to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Closure {
    /// All of it. Its roots are the chosen entries, then the companions in the order they were found.
    pub graph: Graph,
    /// Positions in index.json of entries that are about something in it and were not chosen, in order.
    pub companions: Vec<usize>,
}

/// Finds what `roots` lead to: chosen entries of `document`, or others, such as the children that
/// are left of an index that was cut. `referrers` says whether what is about a reached document
/// belongs to it, listed in index.json or not.
///
/// The result does not depend on how many threads looked. What is missing or broken on the way is
/// among the faults of the graph.
///
/// # Errors
/// When `blobs/` cannot be listed, or a blob cannot be read that may be about something reached.
pub fn closure(
    repository: &Repository,
    document: &Document,
    roots: &[Entry],
    referrers: bool,
) -> Result<Closure> {
    let mut walk = Walk::new(repository.blobs(), repository.jobs());
    let positions: HashMap<&str, usize> =
        document.entries().iter().enumerate().rev().map(|(n, entry)| (entry.json(), n)).collect();
    for (number, root) in roots.iter().enumerate() {
        let position = positions.get(root.json()).copied();
        walk.add_root(root, position, root.label(position.unwrap_or(number)));
    }
    walk.run();
    let mut companions = BTreeSet::new();
    if referrers {
        let mut open = Companions::find(repository, document, roots)?;
        let mut unlisted = unlisted(repository, document, &walk)?;
        let mut judged = 0;
        loop {
            let reached = walk.reached_since(&mut judged);
            if reached.is_empty() {
                break;
            }
            for (id, digest) in reached {
                unlisted.follow(&mut walk, id, &digest);
                for position in open.take(&digest) {
                    if companions.insert(position) {
                        let entry = &document.entries()[position];
                        walk.add_root(entry, Some(position), entry.label(position));
                    }
                }
            }
            walk.run();
        }
    }
    Ok(Closure { graph: walk.finish(), companions: companions.into_iter().collect() })
}

/// What may be about something and is not listed. What is listed travels as the entry it is.
fn unlisted(repository: &Repository, document: &Document, walk: &Walk<'_>) -> Result<Unlisted> {
    let listing = blob::list(repository.blobs(), repository.root())?;
    let listed: HashSet<&Digest> = document.entries().iter().filter_map(Entry::digest).collect();
    let is_open = |digest: &&Digest| walk.graph().find(digest).is_none() && !listed.contains(*digest);
    let unmarked: Vec<&Digest> = listing.blobs.iter().filter(is_open).collect();
    Unlisted::find(repository.blobs(), repository.jobs(), &unmarked, &Err, &Silent)
}

/// Entries that are about something, by what that is.
#[derive(Debug, Default)]
struct Companions {
    by_digest: HashMap<Digest, Vec<usize>>,
    by_tag: HashMap<String, Vec<usize>>,
}

impl Companions {
    /// Looks at every entry that was not chosen.
    fn find(repository: &Repository, document: &Document, roots: &[Entry]) -> Result<Self> {
        let chosen: HashSet<&str> = roots.iter().map(Entry::json).collect();
        let known: HashSet<&Digest> = roots.iter().filter_map(Entry::digest).collect();
        let others: Vec<(usize, &Entry)> = document
            .entries()
            .iter()
            .enumerate()
            .filter(|(_, entry)| !chosen.contains(entry.json()))
            .collect();
        let subjects = in_parallel(&others, repository.jobs(), |(_, entry)| subjects_of(repository, entry));
        let mut companions = Self::default();
        for ((position, entry), subjects) in others.into_iter().zip(subjects) {
            // Another name of what was chosen says nothing about it; a tag made of a digest does.
            if !entry.digest().is_some_and(|digest| known.contains(digest)) {
                for subject in subjects? {
                    companions.by_digest.entry(subject).or_default().push(position);
                }
            }
            // Mirrors tag images with their own digest.
            let own = entry.digest().map(tag_of);
            for tag in subject_tags(entry).filter(|tag| own.as_ref() != Some(tag)) {
                companions.by_tag.entry(tag).or_default().push(position);
            }
        }
        Ok(companions)
    }

    /// What is about the blob with that digest. Every blob is asked for once.
    fn take(&mut self, digest: &Digest) -> Vec<usize> {
        let mut taken = self.by_digest.remove(digest).unwrap_or_default();
        taken.extend(self.by_tag.remove(&tag_of(digest)).unwrap_or_default());
        taken
    }
}

/// The annotation with which buildkit says what an attestation is about.
pub const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// What an entry is about by its document and its annotations.
///
/// # Errors
/// When the file system refuses: it could be about anything then.
fn subjects_of(repository: &Repository, entry: &Entry) -> Result<Vec<Digest>> {
    let annotations = entry.annotations();
    let annotated = annotations
        .iter()
        .filter(|(name, _)| name == REFERENCE_DIGEST)
        .filter_map(|(_, value)| value.parse::<Digest>().ok());
    let own = match entry.digest().map(|digest| subject_of(repository.blobs(), digest)).transpose() {
        // What is no file is no document.
        Err(Error::NotAFile { .. }) => None,
        own => own?.flatten(),
    };
    Ok(annotated.chain(own).filter(|subject| entry.digest() != Some(subject)).collect())
}

/// So much of the encoded part fits into a tag (distribution-spec, "referrers tag schema").
const TAGGED_LENGTH: usize = 64;

/// The tag that stands for a digest.
pub(super) fn tag_of(digest: &Digest) -> String {
    let encoded = digest.encoded();
    format!("{}-{}", digest.algorithm_name(), encoded.get(..TAGGED_LENGTH).unwrap_or(encoded))
}

/// The digests, in the form of [`tag_of`], that the tags of an entry stand for: `sha256-<hex>`, and
/// with any suffix (`.sig`, `.att`, `.sbom`).
pub(super) fn subject_tags(entry: &Entry) -> impl Iterator<Item = String> {
    let names = [entry.ref_name(), entry.image_name()];
    let mut tags: Vec<String> = names.into_iter().flatten().filter_map(subject_tag).collect();
    tags.dedup();
    tags.into_iter()
}

fn subject_tag(name: &str) -> Option<String> {
    let tag = name.split('@').next()?.rsplit(['/', ':']).next()?;
    let (algorithm, rest) = tag.split_once('-')?;
    let encoded = rest.split(|c: char| !c.is_ascii_hexdigit()).next()?;
    let encoded = encoded.get(..TAGGED_LENGTH).unwrap_or(encoded);
    let is_known = crate::Algorithm::from_name(algorithm).is_some();
    (is_known && encoded.len() == TAGGED_LENGTH).then(|| format!("{algorithm}-{encoded}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Algorithm;

    #[test]
    fn tags_made_of_a_digest_are_known_with_any_suffix_and_in_any_name() {
        for algorithm in Algorithm::ALL {
            let digest = Digest::of(algorithm, b"subject");
            let tag = tag_of(&digest);
            let longer = format!("{tag}.sig-2");
            let full = format!("registry.example:5000/a/b:{tag}.att");
            for name in [tag.as_str(), &longer, &full, &format!("{full}@{digest}")] {
                assert_eq!(subject_tag(name).as_deref(), Some(tag.as_str()), "{name}");
            }
        }
        let hex = Digest::sha256(b"subject").encoded().to_owned();
        for name in ["latest", &hex, &hex[..40], &format!("sha256-{}", &hex[..63]), &format!("md5-{hex}"), ""]
        {
            assert_eq!(subject_tag(name), None, "{name}");
        }
    }
}
