//! Some platforms of an image: the rest of its index is left behind.
//!
//! When one image is left, that image is the result, under its own digest. When several are, the
//! index is written anew with the children that are left, each as it was written. Attestations go
//! with the image that they are about.

use ocirepo_store::Digest;
use ocirepo_store::graph::{Class, Descriptor, Link, Platform, Replacement};
use ocirepo_store::index::{Document, Entry};

use super::graph::{Graph, Held};
use crate::archive::limits::MAX_CONFIG;
use crate::error::{Result, escape};
use crate::import::carrier::Carrier;
use crate::import::options::PlatformPattern;

/// What is left of an image.
#[derive(Debug)]
pub(crate) enum Cut {
    /// All of it: everything in it was wanted, or it has no platforms.
    Whole,
    /// Less, under another digest.
    Part(Box<Entry>),
    /// Something that was wanted is not in it.
    Lacking {
        /// The platforms that are in it.
        there: Vec<String>,
        /// Whether it is an index, and no plain image for another platform.
        is_index: bool,
    },
}

/// The annotation with which buildkit says what an attestation is about.
pub(super) const REFERENCE: &str = "vnd.docker.reference.digest";

/// So deep may indexes be nested.
const MAX_DEPTH: usize = 16;

/// Cuts the image of one entry down to the platforms that are wanted.
///
/// # Errors
/// When a document that has to be read is damaged.
pub(crate) fn cut(graph: &mut Graph<'_, '_>, entry: &Entry, wanted: &[PlatformPattern]) -> Result<Cut> {
    let Ok(descriptor) = entry.descriptor().cloned() else { return Ok(Cut::Whole) };
    let mut cutting = Cutting { graph, wanted, fitted: vec![false; wanted.len()], there: Vec::new() };
    let left = cutting.part(entry, &descriptor, 0)?;
    let Cutting { fitted, mut there, .. } = cutting;
    there.sort_unstable();
    there.dedup();
    let is_index = Class::of(&descriptor.media_type) == Class::Index;
    Ok(match left {
        Part::Kept if there.is_empty() => Cut::Whole,
        Part::Kept if !is_index => Cut::Whole,
        _ if fitted.contains(&false) => Cut::Lacking { there, is_index },
        Part::Kept => Cut::Whole,
        Part::Changed(entry) => Cut::Part(entry),
        Part::Gone => Cut::Lacking { there, is_index },
    })
}

struct Cutting<'g, 'a, 'c> {
    graph: &'g mut Graph<'a, 'c>,
    wanted: &'g [PlatformPattern],
    /// Which of the wanted platforms were found.
    fitted: Vec<bool>,
    /// Every platform that was found.
    there: Vec<String>,
}

enum Part {
    Kept,
    Changed(Box<Entry>),
    Gone,
}

impl Cutting<'_, '_, '_> {
    fn part(&mut self, entry: &Entry, descriptor: &Descriptor, depth: usize) -> Result<Part> {
        match Class::of(&descriptor.media_type) {
            Class::Index if depth < MAX_DEPTH => self.index(entry, descriptor, depth),
            Class::Image => {
                // An index may list what the archive leaves out; nobody gets that by asking for it.
                let image = descriptor.digest.to_string();
                if depth > 0
                    && matches!(self.graph.load(descriptor, Class::Image, None, &image)?, Held::Absent)
                {
                    return Ok(Part::Gone);
                }
                Ok(match platform_of(self.graph, descriptor)? {
                    Some(platform) if self.fits(&platform) => Part::Kept,
                    Some(_) => Part::Gone,
                    None => Part::Kept,
                })
            }
            _ => Ok(Part::Kept),
        }
    }

    fn fits(&mut self, platform: &Platform) -> bool {
        self.there.push(escape(&platform.to_string()));
        let mut fits = false;
        for (wanted, fitted) in self.wanted.iter().zip(&mut self.fitted) {
            let one = wanted.fits(platform);
            *fitted |= one;
            fits |= one;
        }
        fits
    }

    fn index(&mut self, entry: &Entry, descriptor: &Descriptor, depth: usize) -> Result<Part> {
        let image = descriptor.digest.to_string();
        if !matches!(self.graph.load(descriptor, Class::Index, None, &image)?, Held::Node(_)) {
            return Ok(Part::Kept);
        }
        let bytes = self.graph.bytes(descriptor, Class::Index, &image)?;
        let fail = |reason: String| self.graph.carrier.bad_image(&image, escape(&reason));
        let mut index = Document::parse(&bytes).map_err(fail)?;
        let mut left: Vec<Entry> = Vec::new();
        let mut is_changed = false;
        for child in index.entries() {
            let Ok(described) = child.descriptor().cloned() else { continue };
            if is_attestation(child) {
                left.push(child.clone());
                continue;
            }
            match self.part(child, &described, depth + 1)? {
                Part::Kept => left.push(child.clone()),
                Part::Changed(child) => {
                    is_changed = true;
                    left.push(*child);
                }
                Part::Gone => is_changed = true,
            }
        }
        if !is_changed {
            return Ok(Part::Kept);
        }
        let images: Vec<Digest> = left
            .iter()
            .filter(|child| !is_attestation(child))
            .filter_map(|child| child.digest().cloned())
            .collect();
        match &images[..] {
            [] => return Ok(Part::Gone),
            [only] => {
                let only = left.iter().find(|child| child.digest() == Some(only)).cloned();
                return Ok(only.map_or(Part::Gone, |only| Part::Changed(Box::new(only))));
            }
            _ => {}
        }
        left.retain(|child| {
            reference(child).is_none_or(|about| images.iter().any(|digest| digest.as_str() == about))
        });
        *index.entries_mut() = left;
        let bytes = index.to_bytes();
        let size = bytes.len() as u64;
        let digest = self.graph.make(Class::Index, bytes)?;
        let content = Replacement { media_type: descriptor.media_type.clone(), digest, size };
        let entry = entry.with_content(&content).map(Box::new);
        entry.map(Part::Changed).map_err(|reason| self.graph.carrier.bad_image(&image, escape(&reason)))
    }
}

fn is_attestation(child: &Entry) -> bool {
    let platform = child.descriptor().ok().and_then(|descriptor| descriptor.platform.as_ref());
    platform.is_some_and(Platform::is_unknown) && reference(child).is_some()
}

/// What an attestation is about.
pub(crate) fn reference(child: &Entry) -> Option<String> {
    child.annotations().into_iter().find(|(key, _)| key == REFERENCE).map(|(_, value)| value)
}

/// The platform of an image: as its descriptor says, or else its config.
///
/// # Errors
/// When the manifest or the config is damaged.
fn platform_of(graph: &mut Graph<'_, '_>, descriptor: &Descriptor) -> Result<Option<Platform>> {
    if descriptor.platform.is_some() {
        return Ok(descriptor.platform.clone());
    }
    let class = Class::of(&descriptor.media_type);
    if class != Class::Image {
        return Ok(None);
    }
    let image = descriptor.digest.to_string();
    let Held::Node(node) = graph.load(descriptor, class, None, &image)? else { return Ok(None) };
    match node.linked(Link::Config).next() {
        Some(config) => platform_of_config(graph.carrier, &config.digest),
        None => Ok(None),
    }
}

/// The platform that a config in the archive or in the repository says; `None` for what is no
/// config of an image.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn platform_of_config(carrier: &Carrier<'_>, config: &Digest) -> Result<Option<Platform>> {
    Ok(carrier.read_blob(config, MAX_CONFIG)?.and_then(|bytes| Platform::of_config(&bytes)))
}
