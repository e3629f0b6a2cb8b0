//! Sparse images whose manifests are there: which blobs are merely not there.
//!
//! docker and ctr write an index with the manifests of all its platforms, and the layers of some.
//! Such an image is as legal as one whose other manifests are left out. It is one only while the
//! index has a child that is complete: where none is, something is lost.

use std::collections::{HashMap, HashSet};

use crate::graph::{BlobId, Graph, Link};

/// What is known of the sparse images of a graph.
pub(super) struct Sparse<'g> {
    graph: &'g Graph,
    roots: HashSet<BlobId>,
    /// The documents that must have all they name: whoever stands for an image by itself, and what
    /// an index without a complete child leads to.
    strict: HashSet<BlobId>,
}

impl<'g> Sparse<'g> {
    /// Judges the images of `graph`; `unsound` are the blobs that are not there or not right.
    pub(super) fn new(graph: &'g Graph, unsound: Vec<BlobId>) -> Self {
        let incomplete = incomplete(graph, unsound);
        let mut spared = HashSet::new();
        let mut children: HashMap<BlobId, Vec<BlobId>> = HashMap::new();
        for (id, blob) in graph.blobs().filter(|(_, blob)| blob.is_document) {
            // An attestation is of no use without what it attests.
            let is_whole_image = !blob.is_attestation && !incomplete.contains(&id);
            for &(parent, _) in blob.parents.iter().filter(|(_, link)| *link == Link::Manifest) {
                children.entry(parent).or_default().push(id);
                if is_whole_image {
                    spared.insert(parent);
                }
            }
        }
        let roots: HashSet<BlobId> = graph.roots.iter().filter_map(|root| root.blob).collect();
        let mut open: Vec<BlobId> = roots.iter().copied().collect();
        open.extend(graph.blobs().filter(|(id, _)| !is_child_only(graph, *id)).map(|(id, _)| id));
        let mut strict = HashSet::new();
        while let Some(id) = open.pop() {
            if !spared.contains(&id) && strict.insert(id) {
                open.extend(children.get(&id).into_iter().flatten());
            }
        }
        Self { graph, roots, strict }
    }

    /// Whether every image that needs `blob` is a child of an index that has a complete one.
    pub(super) fn explains(&self, blob: BlobId) -> bool {
        let is_excused =
            |link: Link, image| matches!(link, Link::Config | Link::Layer) && !self.strict.contains(image);
        let mut needed = needed_by(self.graph, blob).peekable();
        !self.roots.contains(&blob)
            && needed.peek().is_some()
            && needed.all(|(image, link)| is_excused(*link, image))
    }
}

/// Who needs a blob. Being the subject of something, or looking as if named, is no need.
fn needed_by(graph: &Graph, blob: BlobId) -> impl Iterator<Item = &(BlobId, Link)> {
    graph.blob(blob).parents.iter().filter(|(_, link)| !matches!(link, Link::Subject | Link::Guess))
}

/// Whether a blob is needed by indexes and nothing else.
fn is_child_only(graph: &Graph, blob: BlobId) -> bool {
    let mut needed = needed_by(graph, blob).peekable();
    needed.peek().is_some() && needed.all(|(_, link)| *link == Link::Manifest)
}

/// The blobs that are unsound, and every document that needs such a one.
fn incomplete(graph: &Graph, unsound: Vec<BlobId>) -> HashSet<BlobId> {
    let mut found = HashSet::new();
    let mut open = unsound;
    while let Some(id) = open.pop() {
        if found.insert(id) {
            let above = needed_by(graph, id).filter(|(_, link)| *link != Link::Referrer);
            open.extend(above.map(|&(parent, _)| parent));
        }
    }
    found
}
