//! What an entry is, in numbers: platforms, sizes, layers, and whether all of it is there.

use std::collections::HashSet;

use crate::digest::Digest;
use crate::graph::{
    Class, Descriptor, Documents, Edge, Link, Loaded, Node, Platform, Wanted, is_image_config,
};
use crate::index::Entry;

/// A manifest inside an image: the image itself, or one platform of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Manifest {
    /// Its descriptor.
    pub descriptor: Descriptor,
    /// The platform it is for, if that can be told.
    pub platform: Option<Platform>,
    /// Its `artifactType`.
    pub artifact_type: Option<String>,
    /// Its config.
    pub config: Option<Descriptor>,
    /// Its layers, bottom first.
    pub layers: Vec<Descriptor>,
    /// Whether the manifest itself is there.
    pub is_present: bool,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Image {
    /// Every manifest reached, in index order; one for a plain image.
    pub manifests: Vec<Manifest>,
    /// The sizes of all blobs it names, each counted once, in bytes.
    pub total_size: u64,
    /// Whether every blob is there at its right size. What may be absent does not count.
    pub is_complete: bool,
    /// How many of the manifests and indexes that its indexes list are not there. That is legal.
    pub absent: usize,
    /// What keeps it from being understood, if anything does.
    pub problem: Option<String>,
    /// Whether something else is not there.
    lacks_parts: bool,
}

impl Image {
    /// The platforms, each once, in index order, without the `unknown/unknown` of attestations.
    #[must_use]
    pub fn platforms(&self) -> Vec<Platform> {
        let mut seen = HashSet::new();
        let platforms = self.manifests.iter().filter_map(|manifest| manifest.platform.clone());
        platforms.filter(|platform| !platform.is_unknown() && seen.insert(platform.clone())).collect()
    }

    /// Of an image that lacks nothing but manifests that its indexes list: how many manifests are there,
    /// and how many that would be with the others. `None` for one that is complete, or lacks more.
    #[must_use]
    pub fn sparse(&self) -> Option<(usize, usize)> {
        let here = self.manifests.iter().filter(|manifest| manifest.is_present).count();
        let is_sparse = self.absent > 0 && !self.lacks_parts && self.problem.is_none();
        is_sparse.then_some((here, here + self.absent))
    }

    /// The layers of all manifests, each once.
    #[must_use]
    pub fn layers(&self) -> Vec<&Descriptor> {
        let mut seen = HashSet::new();
        let layers = self.manifests.iter().flat_map(|manifest| &manifest.layers);
        layers.filter(|layer| seen.insert(&layer.digest)).collect()
    }

    /// Looks at what an entry describes. Never fails: what cannot be read makes it incomplete.
    #[must_use]
    pub fn of(documents: &dyn Documents, entry: &Entry) -> Self {
        Self::look(documents, entry, false)
    }

    /// [`Image::of`] for a child of an index, whose manifest may be absent.
    #[must_use]
    pub fn of_child(documents: &dyn Documents, entry: &Entry) -> Self {
        Self::look(documents, entry, true)
    }

    fn look(documents: &dyn Documents, entry: &Entry, is_child: bool) -> Self {
        let mut image = Self::default();
        match entry.descriptor() {
            Ok(descriptor) => image.follow(documents, descriptor, is_child),
            Err(reason) => image.problem = Some(reason.to_owned()),
        }
        image.is_complete = image.absent == 0 && !image.lacks_parts && image.problem.is_none();
        image
    }

    fn follow(&mut self, documents: &dyn Documents, root: &Descriptor, is_child: bool) {
        let mut seen: HashSet<(Digest, Class)> = HashSet::new();
        let mut sized: HashSet<Digest> = HashSet::new();
        let mut open = vec![(root.clone(), Class::of(&root.media_type), is_child)];
        while let Some((descriptor, class, is_child)) = open.pop() {
            if !seen.insert((descriptor.digest.clone(), class)) {
                continue;
            }
            self.count(&descriptor, &mut sized);
            if !class.is_document() {
                self.lacks_parts |= !is_present(documents, &descriptor) && !descriptor.may_be_absent();
                continue;
            }
            let node = self.read(documents, &descriptor, class, is_child);
            if class == Class::Index {
                if let Some(node) = node {
                    let children = node.edges.into_iter().filter(|edge| edge.link == Link::Manifest);
                    let children: Vec<_> = children.map(target).collect();
                    open.extend(children.into_iter().rev());
                }
                continue;
            }
            let proven = self.add_manifest(documents, descriptor, node.as_ref());
            for edge in node.into_iter().flat_map(|node| node.edges) {
                if edge.sized && proven.as_ref() == Some(&edge.descriptor.digest) {
                    // It was read as a document a moment ago: no need to ask whether it is there.
                    self.count(&edge.descriptor, &mut sized);
                } else {
                    open.extend(part(documents, edge));
                }
            }
        }
    }

    /// Adds the size of a blob that was not met with before.
    fn count(&mut self, descriptor: &Descriptor, sized: &mut HashSet<Digest>) {
        if sized.insert(descriptor.digest.clone()) {
            self.total_size = self.total_size.saturating_add(descriptor.size);
        }
    }

    /// Reads a document, or notes why it cannot be had. One that `is_child` of an index may be absent.
    fn read(
        &mut self,
        documents: &dyn Documents,
        descriptor: &Descriptor,
        class: Class,
        is_child: bool,
    ) -> Option<Node> {
        let wanted = Wanted {
            digest: &descriptor.digest,
            class,
            size: Some(descriptor.size),
            embedded: descriptor.data.as_deref(),
        };
        let outcome = match documents.load(&wanted) {
            Loaded::Content(bytes) => Node::parse(&bytes, class),
            Loaded::Data => return Some(Node { edges: Vec::new(), artifact_type: None }),
            Loaded::Missing if is_child => {
                self.absent += 1;
                return None;
            }
            Loaded::Missing => Err("manifest missing".to_owned()),
            Loaded::Broken(reason) => Err(reason),
        };
        outcome
            .map_err(|reason| {
                self.problem.get_or_insert_with(|| format!("{}: {reason}", descriptor.digest));
            })
            .ok()
    }

    /// Adds a manifest; the digest of its config, if that was read as a blob and is what it should be.
    fn add_manifest(
        &mut self,
        documents: &dyn Documents,
        descriptor: Descriptor,
        node: Option<&Node>,
    ) -> Option<Digest> {
        let config = node.and_then(|node| node.linked(Link::Config).next()).cloned();
        let content = match (&descriptor.platform, &config) {
            (None, Some(config)) => read_config(documents, config),
            _ => None,
        };
        let of_config = content.as_deref().and_then(Platform::of_config);
        let platform = descriptor.platform.clone().or(of_config);
        let proven = config.as_ref().filter(|config| content.is_some() && config.data.is_none());
        let proven = proven.map(|config| config.digest.clone());
        self.manifests.push(Manifest {
            platform,
            artifact_type: node.and_then(|node| node.artifact_type.clone()),
            layers: node.map(|node| node.linked(Link::Layer).cloned().collect()).unwrap_or_default(),
            config,
            is_present: node.is_some(),
            descriptor,
        });
        proven
    }
}

/// What an edge leads to, and whether that is a child of an index.
fn target(edge: Edge) -> (Descriptor, Class, bool) {
    let class = edge.class();
    (edge.descriptor, class, edge.link == Link::Manifest)
}

/// What an edge adds to an image. A guess only counts when it is there, since it may be none; and
/// where no size is declared, the one that is found is as good.
fn part(documents: &dyn Documents, mut edge: Edge) -> Option<(Descriptor, Class, bool)> {
    if edge.link == Link::Subject {
        return None;
    }
    if edge.link == Link::Guess || !edge.sized {
        let found = documents.blob_size(&edge.descriptor.digest).ok().flatten();
        match found {
            Some(size) if !edge.sized => edge.descriptor.size = size,
            None if edge.link == Link::Guess => return None,
            _ => {}
        }
    }
    Some(target(edge))
}

fn is_present(documents: &dyn Documents, descriptor: &Descriptor) -> bool {
    let size = documents.blob_size(&descriptor.digest).ok().flatten();
    size == Some(descriptor.size)
}

/// An image config. Configs of other types are not opened.
fn read_config(documents: &dyn Documents, config: &Descriptor) -> Option<Vec<u8>> {
    if !is_image_config(&config.media_type) {
        return None;
    }
    documents.content(&config.digest, Some(config.size), config.data.as_deref())
}
