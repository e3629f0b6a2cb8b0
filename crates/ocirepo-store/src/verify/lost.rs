//! Blobs that are needed and are not as they should be: those that another copy can bring back.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use super::finding::{Finding, Kind};
use super::hash::State;
use crate::digest::Digest;
use crate::graph::Graph;

/// A blob that is needed, and that is missing, damaged or unreadable.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// The blob.
    pub digest: Digest,
    /// The sizes in bytes that its descriptors give it; none where they give it none.
    pub sizes: Vec<u64>,
    /// What is wrong with it.
    pub kind: Kind,
    /// Where it belongs.
    pub path: PathBuf,
    /// The images that need it: names, else digests or positions.
    pub images: Vec<String>,
}

impl Lost {
    /// Whether so many bytes can be the blob.
    #[must_use]
    pub fn may_be(&self, size: u64) -> bool {
        self.sizes.is_empty() || self.sizes.contains(&size)
    }
}

/// Those of `findings` that a good copy of the blob would cure. One whose content is what its digest
/// says has no better copy, whatever else is said of it.
pub(super) fn lost(
    findings: &[Finding],
    graph: &Graph,
    state: &BTreeMap<Digest, State>,
    waiting: &HashSet<Digest>,
) -> Vec<Lost> {
    let mut lost: BTreeMap<Digest, Lost> = BTreeMap::new();
    for finding in findings.iter().filter(|finding| is_curable(finding.kind)) {
        let digest = finding.digest.as_ref().and_then(|digest| digest.parse::<Digest>().ok());
        let (Some(digest), Some(path)) = (digest, &finding.path) else { continue };
        let is_sound = state.get(&digest).is_some_and(|state| state.hashes_to.as_ref() == Some(&digest));
        let sizes = match graph.find(&digest).map(|id| graph.blob(id)) {
            Some(blob) => blob.size.into_iter().chain(blob.other_size).collect(),
            None if waiting.contains(&digest) => Vec::new(),
            None => continue,
        };
        if !is_sound {
            let (kind, path, images) = (finding.kind, path.clone(), finding.images.clone());
            lost.entry(digest.clone()).or_insert(Lost { digest, sizes, kind, path, images });
        }
    }
    lost.into_values().collect()
}

fn is_curable(kind: Kind) -> bool {
    matches!(kind, Kind::MissingRoot | Kind::Missing | Kind::WrongSize | Kind::Corrupt | Kind::Unreadable)
}
