//! Some platforms of an image: the rest of its index is left behind.
//!
//! When one image is left, that image is the result, under its own digest. When several are, the
//! index is written anew with the children that are left, each as it was written. What is about an
//! image goes with that image: attestations, and referrers that the index lists. Every index is cut
//! once, however often it is listed.

use std::collections::{BTreeSet, HashMap, HashSet};

use ocirepo_store::Digest;
use ocirepo_store::graph::{
    Class, Descriptor, Link, Platform, REFERENCE_DIGEST, Replacement, is_image_config,
};
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
    Part {
        /// What describes it now.
        entry: Box<Entry>,
        /// Whether attestations of what is left had no place in it.
        without_attestations: bool,
    },
    /// Something that was wanted is not in it.
    Lacking {
        /// The platforms that are in it.
        there: Vec<String>,
        /// Whether it is an index, and no plain image for another platform.
        is_index: bool,
    },
}

/// So deep may indexes be nested.
const MAX_DEPTH: usize = 16;

/// Cuts the image of one entry down to the platforms that are wanted.
///
/// # Errors
/// When a document that has to be read is damaged.
pub(crate) fn cut(graph: &mut Graph<'_, '_>, entry: &Entry, wanted: &[PlatformPattern]) -> Result<Cut> {
    let Ok(descriptor) = entry.descriptor().cloned() else { return Ok(Cut::Whole) };
    let mut cutting = Cutting {
        graph,
        wanted,
        fitted: vec![false; wanted.len()],
        there: BTreeSet::new(),
        done: HashMap::new(),
        platforms: HashMap::new(),
        kept: HashSet::new(),
        gone: HashSet::new(),
        without_attestations: false,
    };
    let left = cutting.part(&descriptor, 0)?;
    let Cutting { graph, fitted, there, without_attestations, .. } = cutting;
    let there: Vec<String> = there.into_iter().collect();
    let is_index = Class::of(&descriptor.media_type) == Class::Index;
    let entry = match left {
        Part::Kept if there.is_empty() || !is_index => return Ok(Cut::Whole),
        _ if fitted.contains(&false) => return Ok(Cut::Lacking { there, is_index }),
        Part::Kept => return Ok(Cut::Whole),
        Part::Gone => return Ok(Cut::Lacking { there, is_index }),
        Part::Only(entry) => entry,
        Part::Anew(content) => Box::new(written(graph, entry, &content)?),
    };
    Ok(Cut::Part { entry, without_attestations })
}

fn written(graph: &Graph<'_, '_>, entry: &Entry, content: &Replacement) -> Result<Entry> {
    let fail = |reason: String| graph.carrier.bad_image(content.digest.as_str(), escape(&reason));
    entry.with_content(content).map_err(fail)
}

struct Cutting<'g, 'a, 'c> {
    graph: &'g mut Graph<'a, 'c>,
    wanted: &'g [PlatformPattern],
    /// Which of the wanted platforms were found.
    fitted: Vec<bool>,
    /// Every platform that was found.
    there: BTreeSet<String>,
    /// What is left of every index that was cut.
    done: HashMap<Digest, Part>,
    /// The platforms that the configs of manifests say.
    platforms: HashMap<Digest, Option<Platform>>,
    /// What an index keeps, apart from what is about something else.
    kept: HashSet<Digest>,
    /// What an index lost, be it that something else stands in its place.
    gone: HashSet<Digest>,
    without_attestations: bool,
}

/// What is left of something that an index lists.
#[derive(Clone)]
enum Part {
    Kept,
    Gone,
    /// One image, as the index below lists it.
    Only(Box<Entry>),
    /// An index that was written anew.
    Anew(Replacement),
}

/// A child of an index, as long as it is to stay.
struct Child {
    entry: Entry,
    digest: Digest,
    about: About,
}

/// What a child of an index is about, if it is no image itself.
#[derive(Default)]
struct About {
    reference: Option<String>,
    subject: Option<Digest>,
    /// Whether it is marked as no image to be run.
    is_attestation: bool,
}

impl About {
    fn is_something(&self) -> bool {
        self.reference.is_some() || self.subject.is_some()
    }

    fn digests(&self) -> impl Iterator<Item = &str> {
        self.reference.as_deref().into_iter().chain(self.subject.as_ref().map(Digest::as_str))
    }
}

impl Cutting<'_, '_, '_> {
    fn part(&mut self, descriptor: &Descriptor, depth: usize) -> Result<Part> {
        match Class::of(&descriptor.media_type) {
            Class::Index if depth < MAX_DEPTH => {
                if let Some(done) = self.done.get(&descriptor.digest) {
                    return Ok(done.clone());
                }
                let part = self.index(descriptor, depth)?;
                self.done.insert(descriptor.digest.clone(), part.clone());
                Ok(part)
            }
            Class::Image => {
                // An index may list what the archive leaves out; nobody gets that by asking for it.
                let image = descriptor.digest.to_string();
                if depth > 0
                    && matches!(self.graph.load(descriptor, Class::Image, None, &image)?, Held::Absent)
                {
                    return Ok(Part::Gone);
                }
                Ok(match self.platform_of(descriptor)? {
                    Some(platform) if self.fits(&platform) => Part::Kept,
                    Some(_) => Part::Gone,
                    None => Part::Kept,
                })
            }
            _ => Ok(Part::Kept),
        }
    }

    fn fits(&mut self, platform: &Platform) -> bool {
        self.there.insert(escape(&platform.to_string()));
        let mut fits = false;
        for (wanted, fitted) in self.wanted.iter().zip(&mut self.fitted) {
            let one = wanted.fits(platform);
            *fitted |= one;
            fits |= one;
        }
        fits
    }

    fn index(&mut self, descriptor: &Descriptor, depth: usize) -> Result<Part> {
        let image = descriptor.digest.to_string();
        if !matches!(self.graph.load(descriptor, Class::Index, None, &image)?, Held::Node(_)) {
            return Ok(Part::Kept);
        }
        let bytes = self.graph.bytes(descriptor, Class::Index, &image)?;
        let fail = |reason: String| self.graph.carrier.bad_image(&image, escape(&reason));
        let mut index = Document::parse(&bytes).map_err(fail)?;
        let (mut left, mut is_changed) = self.children(&index, depth)?;
        let strays = self.strays(&left, is_changed);
        is_changed |= !strays.is_empty();
        if !is_changed {
            return Ok(Part::Kept);
        }
        self.gone.extend(strays.iter().map(|&stray| left[stray].digest.clone()));
        let mut position = 0..;
        left.retain(|_| position.next().is_some_and(|position| !strays.contains(&position)));
        let mut images = left.iter().filter(|child| !child.about.is_attestation);
        match (images.next(), images.next()) {
            (None, _) => return Ok(Part::Gone),
            (Some(only), None) => {
                self.without_attestations |= left.len() > 1;
                return Ok(Part::Only(Box::new(only.entry.clone())));
            }
            _ => {}
        }
        *index.entries_mut() = left.into_iter().map(|child| child.entry).collect();
        let bytes = index.to_bytes();
        let size = bytes.len() as u64;
        let digest = self.graph.make(Class::Index, bytes)?;
        Ok(Part::Anew(Replacement { media_type: descriptor.media_type.clone(), digest, size }))
    }

    /// What is left of the children of an index, each judged by itself, and whether that is less.
    fn children(&mut self, index: &Document, depth: usize) -> Result<(Vec<Child>, bool)> {
        let mut left: Vec<Child> = Vec::new();
        let mut listed: HashSet<Digest> = HashSet::new();
        let mut is_changed = false;
        for entry in index.entries() {
            let Ok(described) = entry.descriptor().cloned() else { continue };
            let about = self.about(entry, &described)?;
            let part = if about.is_attestation { Part::Kept } else { self.part(&described, depth + 1)? };
            let digest = described.digest;
            let entry = match part {
                Part::Kept => {
                    if !about.is_something() {
                        self.kept.insert(digest.clone());
                    }
                    listed.insert(digest.clone());
                    left.push(Child { entry: entry.clone(), digest, about });
                    continue;
                }
                Part::Gone => None,
                Part::Only(entry) => Some(*entry),
                Part::Anew(content) => Some(written(self.graph, entry, &content)?),
            };
            is_changed = true;
            self.gone.insert(digest);
            // What several children come down to is listed once.
            if let Some(entry) = entry
                && let Some(digest) = entry.digest().cloned()
                && listed.insert(digest.clone())
            {
                left.push(Child { entry, digest, about });
            }
        }
        Ok((left, is_changed))
    }

    /// Which children are about something that is not as it was, directly or through others.
    fn strays(&self, left: &[Child], is_changed: bool) -> HashSet<usize> {
        let listed: HashSet<&str> = left.iter().map(|child| child.digest.as_str()).collect();
        let mut about: HashMap<&str, Vec<usize>> = HashMap::new();
        for (position, child) in left.iter().enumerate() {
            for digest in child.about.digests() {
                about.entry(digest).or_default().push(position);
            }
        }
        let is_lost = |digest: &Digest| self.gone.contains(digest) && !self.kept.contains(digest);
        let positions = |is_stray: &dyn Fn(&About) -> bool| -> Vec<usize> {
            (0..left.len()).filter(|&position| is_stray(&left[position].about)).collect()
        };
        let mut open = positions(&|about| about.subject.as_ref().is_some_and(is_lost));
        if is_changed || !open.is_empty() {
            // Unlike a subject, a reference is always to a child of the same index.
            open.extend(positions(&|about| {
                about.reference.as_deref().is_some_and(|reference| !listed.contains(reference))
            }));
        }
        let mut strays = HashSet::new();
        while let Some(position) = open.pop() {
            if strays.insert(position) {
                open.extend(about.get(left[position].digest.as_str()).into_iter().flatten());
            }
        }
        strays
    }

    fn about(&mut self, entry: &Entry, descriptor: &Descriptor) -> Result<About> {
        let platform = self.platform_of(descriptor)?;
        if platform.as_ref().is_some_and(|platform| !platform.is_unknown()) {
            return Ok(About::default());
        }
        let class = Class::of(&descriptor.media_type);
        let mut about = About { reference: reference(entry), subject: None, is_attestation: false };
        // Whether it is damaged matters to whoever brings it in, if it is to come at all.
        if matches!(class, Class::Image | Class::Index | Class::Artifact)
            && let Ok(Held::Node(node)) = self.graph.load(descriptor, class, None, descriptor.digest.as_str())
        {
            about.subject = node.subject().map(|subject| subject.digest.clone());
        }
        about.is_attestation = platform.is_some() && about.is_something();
        Ok(about)
    }

    /// The platform of an image: as its descriptor says, or else its config.
    ///
    /// # Errors
    /// When the manifest is damaged, or the config cannot be read.
    fn platform_of(&mut self, descriptor: &Descriptor) -> Result<Option<Platform>> {
        if descriptor.platform.is_some() {
            return Ok(descriptor.platform.clone());
        }
        let class = Class::of(&descriptor.media_type);
        if class != Class::Image {
            return Ok(None);
        }
        if let Some(known) = self.platforms.get(&descriptor.digest) {
            return Ok(known.clone());
        }
        let image = descriptor.digest.to_string();
        let Held::Node(node) = self.graph.load(descriptor, class, None, &image)? else { return Ok(None) };
        let platform = match node.linked(Link::Config).find(|config| is_image_config(&config.media_type)) {
            Some(config) => platform_of_config(self.graph.carrier, &config.digest)?,
            None => None,
        };
        self.platforms.insert(descriptor.digest.clone(), platform.clone());
        Ok(platform)
    }
}

/// What an attestation is about.
pub(crate) fn reference(child: &Entry) -> Option<String> {
    child.annotations().into_iter().find(|(key, _)| key == REFERENCE_DIGEST).map(|(_, value)| value)
}

/// What an entry is about that is marked as an attestation.
pub(crate) fn attested(entry: &Entry) -> Option<Digest> {
    let platform = entry.descriptor().ok()?.platform.as_ref()?;
    if platform.is_unknown() { reference(entry)?.parse().ok() } else { None }
}

/// The platform that a config in the archive or in the repository says; `None` for what is no
/// config of an image, be it that it is too large for one.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn platform_of_config(carrier: &Carrier<'_>, config: &Digest) -> Result<Option<Platform>> {
    if carrier.blob(config)?.is_some_and(|member| member.size > MAX_CONFIG) {
        return Ok(None);
    }
    Ok(carrier.read_blob(config, MAX_CONFIG)?.and_then(|bytes| Platform::of_config(&bytes)))
}
