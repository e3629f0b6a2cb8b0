//! The documents of images whose layers are stored in another way, from the manifests up.
//!
//! Each image calls a layer by its own media type and keeps to that manner. An image that does not
//! fit its config, or whose layers are not there, is left as it is, and that is said.

use std::collections::HashMap;
use std::rc::Rc;

use ocirepo_store::Digest;
use ocirepo_store::graph::{Class, Descriptor, Link, REFERENCE_DIGEST, Replacement, with_layers};
use ocirepo_store::index::{Document, Entry};

use super::{Key, Stored};
use crate::error::{Result, escape};
use crate::import::layers::{Compression, media_type_in};
use crate::import::oci::cut;
use crate::import::oci::graph::{Graph, Held};

/// What became of a document.
#[derive(Debug, Clone, Default)]
pub(super) struct Made {
    /// The digest and the size of what stands in its place.
    pub(super) content: Option<(Digest, u64)>,
    /// What was left as it is at it or below it: at most one more than is told.
    pub(super) left: Vec<Rc<Left>>,
}

/// The new text of a document, if it has one, and what was left as it is.
type Rewritten = (Option<Vec<u8>>, Vec<Rc<Left>>);

/// An image with layers that should be stored in another way, and are not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Left {
    image: Digest,
    /// How to call it below an index.
    name: String,
    what: String,
}

/// So many images are named in the warnings of one.
const MAX_TOLD: usize = 20;

/// What to say of what was left below `root`.
pub(super) fn warnings(left: &[Rc<Left>], root: &Digest) -> Vec<String> {
    let tell = |left: &Rc<Left>| {
        let subject = if left.image == *root { "it" } else { left.name.as_str() };
        format!("{subject} keeps {}", left.what)
    };
    let mut warnings: Vec<String> = left.iter().take(MAX_TOLD).map(tell).collect();
    if left.len() > MAX_TOLD {
        warnings.push("so do more of its images".to_owned());
    }
    warnings
}

/// The graph of an archive, on its way to other layers.
pub(super) struct Rewriting<'g, 'a, 'c> {
    graph: &'g mut Graph<'a, 'c>,
    stored: HashMap<Key, Stored>,
    stacks: HashMap<Digest, Result<Vec<Digest>, String>>,
    /// The compression that all layers should have; `None` when it does not matter.
    wanted: Option<Compression>,
    done: HashMap<(Digest, Class), Made>,
}

/// So deep may indexes be nested.
const MAX_DEPTH: usize = 16;

impl<'g, 'a, 'c> Rewriting<'g, 'a, 'c> {
    pub(super) fn new(
        graph: &'g mut Graph<'a, 'c>,
        stored: HashMap<Key, Stored>,
        stacks: HashMap<Digest, Result<Vec<Digest>, String>>,
        wanted: Option<Compression>,
    ) -> Self {
        Self { graph, stored, stacks, wanted, done: HashMap::new() }
    }

    /// What becomes of the document that a descriptor describes.
    ///
    /// # Errors
    /// When a document cannot be had, or is not one.
    pub(super) fn document(&mut self, descriptor: &Descriptor, depth: usize) -> Result<Made> {
        let class = Class::of(&descriptor.media_type);
        let key = (descriptor.digest.clone(), class);
        if let Some(done) = self.done.get(&key) {
            return Ok(done.clone());
        }
        // What leads to itself under a digest that proves nothing is looked at once.
        self.done.insert(key.clone(), Made::default());
        let (bytes, left) = match class {
            Class::Index if depth < MAX_DEPTH => self.index(descriptor, depth)?,
            Class::Image => self.image(descriptor)?,
            _ => (None, Vec::new()),
        };
        let content = match bytes {
            Some(bytes) => {
                let size = bytes.len() as u64;
                Some((self.graph.make(class, bytes)?, size))
            }
            None => None,
        };
        let made = Made { content, left };
        self.done.insert(key, made.clone());
        Ok(made)
    }

    fn index(&mut self, descriptor: &Descriptor, depth: usize) -> Result<Rewritten> {
        let image = descriptor.digest.to_string();
        let mut left: Vec<Rc<Left>> = Vec::new();
        let Held::Node(node) = self.graph.load(descriptor, Class::Index, None, &image)? else {
            return Ok((None, left));
        };
        let mut renamed: HashMap<String, Digest> = HashMap::new();
        for child in node.linked(Link::Manifest) {
            let made = self.document(child, depth + 1)?;
            renamed.extend(made.content.map(|(digest, _)| (child.digest.to_string(), digest)));
            for more in made.left {
                if left.len() <= MAX_TOLD && !left.contains(&more) {
                    left.push(more);
                }
            }
        }
        if renamed.is_empty() {
            return Ok((None, left));
        }
        let bytes = self.graph.bytes(descriptor, Class::Index, &image)?;
        let carrier = self.graph.carrier;
        let fail = |reason: String| carrier.bad_image(&image, escape(&reason));
        let mut index = Document::parse(&bytes).map_err(fail)?;
        let mut children: Vec<Entry> = Vec::with_capacity(index.entries().len());
        for child in index.entries() {
            let mut child = child.clone();
            if let Ok(described) = child.descriptor().cloned()
                && let Some((digest, size)) = self.document(&described, depth + 1)?.content
            {
                let media_type = described.media_type;
                child = child.with_content(&Replacement { media_type, digest, size }).map_err(fail)?;
            }
            children.push(follow(child, &renamed));
        }
        *index.entries_mut() = children;
        Ok((Some(index.to_bytes()), left))
    }

    fn image(&mut self, descriptor: &Descriptor) -> Result<Rewritten> {
        let image = descriptor.digest.to_string();
        let Held::Node(node) = self.graph.load(descriptor, Class::Image, None, &image)? else {
            return Ok((None, Vec::new()));
        };
        let layers: Vec<&Descriptor> = node.linked(Link::Layer).collect();
        let left = |what: String| {
            let name = match &descriptor.platform {
                Some(platform) => escape(&platform.to_string()),
                None => image.clone(),
            };
            vec![Rc::new(Left { image: descriptor.digest.clone(), name, what })]
        };
        let diff_ids = match self.stacks.get(&descriptor.digest) {
            Some(Ok(diff_ids)) if diff_ids.len() == layers.len() => diff_ids,
            Some(Err(reason)) if layers.iter().any(|layer| self.should_change(layer)) => {
                return Ok((None, left(format!("its layers as they are: {reason}"))));
            }
            _ => return Ok((None, Vec::new())),
        };
        let mut wanting: Vec<(&Digest, &str)> = Vec::new();
        let mut replacements: Vec<Option<Replacement>> = Vec::with_capacity(layers.len());
        for (layer, diff_id) in layers.into_iter().zip(diff_ids) {
            replacements.push(match self.stored.get(&(layer.digest.clone(), diff_id.clone())) {
                Some(Stored::Anew(stored)) => stored.replacing(&layer.media_type),
                Some(Stored::Left(reason)) if self.should_change(layer) => {
                    wanting.push((&layer.digest, reason));
                    None
                }
                _ => None,
            });
        }
        let left = match wanting.as_slice() {
            [] => Vec::new(),
            [(layer, reason)] => left(format!("its layer {layer} as it is: {reason}")),
            [(layer, reason), more @ ..] => {
                left(format!("its layer {layer} (and {} more) as it is: {reason}", more.len()))
            }
        };
        if replacements.iter().all(Option::is_none) {
            return Ok((None, left));
        }
        let bytes = self.graph.bytes(descriptor, Class::Image, &image)?;
        let fail = |reason: String| self.graph.carrier.bad_image(&image, escape(&reason));
        Ok((Some(with_layers(&bytes, &replacements).map_err(fail)?), left))
    }

    /// Whether a layer, by what it is called, is not as the user wants it.
    fn should_change(&self, layer: &Descriptor) -> bool {
        let wanted = self.wanted.and_then(|wanted| media_type_in(&layer.media_type, wanted));
        wanted.is_some_and(|wanted| wanted != layer.media_type)
    }
}

/// An attestation that is about an image with a new digest follows it.
fn follow(child: Entry, renamed: &HashMap<String, Digest>) -> Entry {
    match cut::reference(&child).and_then(|about| renamed.get(&*about)) {
        Some(new) => child.with_annotations(&[(REFERENCE_DIGEST, Some(new.as_str()))]).unwrap_or(child),
        None => child,
    }
}
