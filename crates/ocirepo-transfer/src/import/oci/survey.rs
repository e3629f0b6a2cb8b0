//! A first look at an image layout: what its entries lead to, before anything is taken.
//!
//! What cannot be read here is passed over. It may belong to an image that nobody wants; if it
//! belongs to one that is taken, bringing that one in says what is wrong.

use std::collections::{HashMap, HashSet};

use ocirepo_store::Digest;
use ocirepo_store::graph::{Class, Descriptor, Link, Node};

use super::graph::{Graph, Held};

/// What the entries of an image layout lead to.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// Every document that was found.
    pub(crate) documents: HashSet<Digest>,
    /// The layers of every image manifest, bottom first.
    pub(crate) layers: HashMap<Digest, Vec<Digest>>,
    /// The config of every image manifest.
    pub(crate) configs: HashMap<Digest, Digest>,
    /// What a document is about, for those that are about another.
    pub(crate) subjects: HashMap<Digest, Digest>,
    manifests: HashMap<Digest, Vec<Digest>>,
    parents: HashMap<Digest, Vec<Digest>>,
    visited: HashSet<(Digest, Class)>,
}

impl Survey {
    /// Follows everything below `roots`.
    pub(crate) fn of<'d>(graph: &mut Graph<'_, '_>, roots: impl Iterator<Item = &'d Descriptor>) -> Self {
        let mut survey = Self::default();
        survey.follow(graph, roots);
        survey
    }

    /// Follows everything below more roots.
    pub(crate) fn follow<'d>(
        &mut self,
        graph: &mut Graph<'_, '_>,
        roots: impl Iterator<Item = &'d Descriptor>,
    ) {
        let mut open: Vec<(Descriptor, Option<u64>)> =
            roots.map(|root| (root.clone(), Some(root.size))).collect();
        while let Some((descriptor, size)) = open.pop() {
            let class = Class::of(&descriptor.media_type);
            if !class.is_document() || !self.visited.insert((descriptor.digest.clone(), class)) {
                continue;
            }
            let Ok(Held::Node(node)) = graph.load(&descriptor, class, size, "") else { continue };
            self.note(&descriptor.digest, class, &node);
            for edge in node.edges.iter().filter(|edge| edge.class().is_document()) {
                open.push((edge.descriptor.clone(), edge.sized.then_some(edge.descriptor.size)));
            }
        }
    }

    fn note(&mut self, digest: &Digest, class: Class, node: &Node) {
        self.documents.insert(digest.clone());
        for edge in node.edges.iter().filter(|edge| edge.link != Link::Subject) {
            self.parents.entry(edge.descriptor.digest.clone()).or_default().push(digest.clone());
        }
        if let Some(subject) = node.subject() {
            self.subjects.insert(digest.clone(), subject.digest.clone());
        }
        if class == Class::Image {
            for config in node.linked(Link::Config) {
                self.manifests.entry(config.digest.clone()).or_default().push(digest.clone());
                self.configs.insert(digest.clone(), config.digest.clone());
            }
            let layers = node.linked(Link::Layer).map(|layer| layer.digest.clone()).collect();
            self.layers.insert(digest.clone(), layers);
        }
    }

    /// The image manifests of a config.
    pub(crate) fn manifests_of(&self, config: &Digest) -> &[Digest] {
        self.manifests.get(config).map_or(&[], Vec::as_slice)
    }

    /// Everything that leads to one of `digests`, themselves included.
    pub(crate) fn above(&self, digests: &[Digest]) -> HashSet<Digest> {
        above(&self.parents, digests)
    }
}

/// Everything that leads to one of `digests`, themselves included.
pub(super) fn above(parents: &HashMap<Digest, Vec<Digest>>, digests: &[Digest]) -> HashSet<Digest> {
    let mut above: HashSet<Digest> = HashSet::new();
    let mut open: Vec<&Digest> = digests.iter().collect();
    while let Some(digest) = open.pop() {
        if above.insert(digest.clone()) {
            open.extend(parents.get(digest).into_iter().flatten());
        }
    }
    above
}
