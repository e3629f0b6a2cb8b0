//! Bringing images of a layout in: every document below an entry, then the blobs that they name.
//!
//! Documents come first, from the entries down; then the blobs, on several threads. What a plain
//! manifest needs must be there, or be in the repository, or be something that may be absent. What
//! an index names and the archive lacks makes its image sparse, which is legal and said. A manifest
//! of an index that lacks a blob is left out whole: nobody could run it, and a repository that has
//! it could not tell it from one that has lost a blob.

mod sparse;
mod unlisted;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use ocirepo_store::graph::{Class, Descriptor, Edge, Link, Node, is_nondistributable};
use ocirepo_store::{Digest, Unit};

use super::Listed;
use super::graph::{Graph, Held};
use super::survey::{Survey, above};
use crate::archive::Member;
use crate::bundle::TocBlob;
use crate::error::{Error, Result};
use crate::import::carrier::Carrier;
use crate::import::naming::{self, Root};
use crate::import::task::Task;

/// How to bring images in.
pub(crate) struct Bringing<'a> {
    /// The format they come in, for results.
    pub(crate) format: &'static str,
    /// Whether a sparse image is an error.
    pub(crate) require_complete: bool,
    /// What the layout was found to hold.
    pub(crate) survey: &'a Survey,
    /// The blobs of a bundle, among which there may be documents about its images that no entry lists.
    pub(crate) bundled: &'a [TocBlob],
}

/// Brings everything below `listed` in.
///
/// # Errors
/// When something is damaged, or absent that must not be.
pub(crate) fn bring(
    graph: &mut Graph<'_, '_>,
    listed: Vec<Listed>,
    bringing: &Bringing<'_>,
) -> Result<Vec<Root>> {
    let mut walk = Walk::new(graph);
    for Listed { descriptor, names, .. } in &listed {
        let label = naming::label(names, &descriptor.digest);
        walk.labels.entry(descriptor.digest.clone()).or_insert(label);
        walk.follow(Step { descriptor: descriptor.clone(), link: None, is_sized: true, in_index: false })?;
    }
    walk.follow_unlisted(bringing.bundled)?;
    walk.bring(listed.iter().map(|image| &image.descriptor.digest))?;

    let sparse = walk.sparse_roots();
    if let (true, Some((digest, lacks))) = (bringing.require_complete, sparse.first()) {
        let archive = walk.carrier.label().to_owned();
        let (image, lacks) = (walk.labels[digest].clone(), lacks.clone());
        return Err(Error::Incomplete { archive, image, lacks });
    }
    let mut sparse: HashMap<Digest, String> = sparse.into_iter().collect();
    let mut roots = Vec::with_capacity(listed.len());
    for Listed { entry, descriptor, names, mut warnings, position } in listed {
        let digest = descriptor.digest;
        warnings.extend(walk.schema1_warning(&digest));
        // An image under several names is said to be sparse once.
        let lacks = sparse.remove(&digest);
        warnings.extend(lacks.map(|lacks| format!("it is sparse: the archive does not have {lacks}")));
        roots.push(Root {
            entry,
            subject: bringing.survey.subjects.get(&digest).cloned(),
            config: walk.configs.get(&digest).cloned(),
            platform: descriptor.platform,
            children: Vec::new(),
            digest,
            position,
            names,
            warnings,
            format: bringing.format,
        });
    }
    Ok(roots)
}

/// A descriptor to be followed.
struct Step {
    descriptor: Descriptor,
    /// How it is named; `None` for an entry of index.json.
    link: Option<Link>,
    is_sized: bool,
    /// Whether an index stands above it, or something else that may lack what it names.
    in_index: bool,
}

/// A blob that a document names.
struct Need {
    descriptor: Descriptor,
    size: Option<u64>,
    /// The documents that name it; first the one that cannot be without it.
    owners: Vec<Digest>,
    /// Whether the image cannot be without it.
    is_required: bool,
    /// Whether it counts as missing when it is not there.
    is_expected: bool,
}

/// A document that is there.
struct Found {
    descriptor: Descriptor,
    class: Class,
    size: Option<u64>,
    label: String,
}

struct Walk<'g, 'a, 'c> {
    graph: &'g mut Graph<'a, 'c>,
    carrier: &'a Carrier<'c>,
    labels: HashMap<Digest, String>,
    visited: HashSet<(Digest, Class, bool)>,
    found: HashSet<(Digest, Class)>,
    documents: Vec<Found>,
    indexes: HashSet<Digest>,
    schema1: HashSet<Digest>,
    parents: HashMap<Digest, Vec<Digest>>,
    /// What a document leads to, whatever the link.
    below: HashMap<Digest, Vec<Digest>>,
    /// The size that descriptors give a blob.
    declared: HashMap<Digest, u64>,
    /// What is wrong with these sizes, to be said where nothing says which of them is wrong.
    disagreement: Option<Error>,
    /// The config of every image manifest.
    configs: HashMap<Digest, Digest>,
    platforms: HashMap<Digest, String>,
    needs: BTreeMap<(Digest, Option<u64>), Need>,
    /// Documents and blobs that are not there, each with the manifest that is incomplete for it.
    missing: Vec<(Digest, Digest)>,
}

impl<'g, 'a, 'c> Walk<'g, 'a, 'c> {
    fn new(graph: &'g mut Graph<'a, 'c>) -> Self {
        Self {
            carrier: graph.carrier,
            graph,
            labels: HashMap::new(),
            visited: HashSet::new(),
            found: HashSet::new(),
            documents: Vec::new(),
            indexes: HashSet::new(),
            schema1: HashSet::new(),
            parents: HashMap::new(),
            below: HashMap::new(),
            declared: HashMap::new(),
            disagreement: None,
            configs: HashMap::new(),
            platforms: HashMap::new(),
            needs: BTreeMap::new(),
            missing: Vec::new(),
        }
    }

    /// Follows everything below one entry.
    fn follow(&mut self, root: Step) -> Result<()> {
        let label = self.labels[&root.descriptor.digest].clone();
        self.declare(&root.descriptor, &label);
        let mut open = vec![root];
        while let Some(step) = open.pop() {
            let class = Class::of(&step.descriptor.media_type);
            let digest = step.descriptor.digest.clone();
            if !self.visited.insert((digest.clone(), class, step.in_index)) {
                continue;
            }
            if !class.is_document() {
                self.need(step, None);
                continue;
            }
            let Some(node) = self.load(&step, class, &label)? else { continue };
            let in_index = step.in_index
                || class == Class::Index
                || matches!(step.link, Some(Link::Subject | Link::Guess));
            let mut blobs = Vec::new();
            for edge in &node.edges {
                let Edge { link, descriptor, sized, .. } = edge;
                self.below.entry(digest.clone()).or_default().push(descriptor.digest.clone());
                if *sized {
                    self.declare(descriptor, &label);
                }
                if *link != Link::Subject {
                    self.parents.entry(descriptor.digest.clone()).or_default().push(digest.clone());
                }
                let step =
                    Step { descriptor: descriptor.clone(), link: Some(*link), is_sized: *sized, in_index };
                if edge.class().is_document() { open.push(step) } else { blobs.push(step) }
            }
            for blob in blobs {
                self.need(blob, Some(&digest));
            }
        }
        Ok(())
    }

    /// Two descriptors of one blob must agree on its size, whether it is there or not.
    fn declare(&mut self, descriptor: &Descriptor, label: &str) {
        let Descriptor { digest, size, .. } = descriptor;
        let first = *self.declared.entry(digest.clone()).or_insert(*size);
        if first != *size && self.disagreement.is_none() {
            let reason = format!("one descriptor gives {digest} {first} bytes, another {size}");
            self.disagreement = Some(self.carrier.bad_image(label, reason));
        }
    }

    /// Loads the document of a step; `None` when there is nothing to follow.
    fn load(&mut self, step: &Step, class: Class, label: &str) -> Result<Option<Rc<Node>>> {
        let Step { descriptor, link, is_sized, in_index } = step;
        let size = is_sized.then_some(descriptor.size);
        match self.graph.load(descriptor, class, size, label)? {
            Held::Node(node) => {
                if self.found.insert((descriptor.digest.clone(), class)) {
                    let (descriptor, label) = (descriptor.clone(), label.to_owned());
                    self.note(&descriptor.digest, class, &node);
                    self.documents.push(Found { descriptor, class, size, label });
                }
                Ok(Some(node))
            }
            Held::Data => {
                let descriptor = descriptor.clone();
                self.need(Step { descriptor, link: *link, is_sized: *is_sized, in_index: *in_index }, None);
                Ok(None)
            }
            Held::Absent => self.absent(step, label).map(|()| None),
        }
    }

    /// What it means that a document is not there.
    fn absent(&mut self, step: &Step, label: &str) -> Result<()> {
        let digest = &step.descriptor.digest;
        match step.link {
            None => return Err(self.carrier.missing(label, digest)),
            Some(Link::Manifest) => {
                if let Some(platform) = &step.descriptor.platform {
                    self.platforms.insert(digest.clone(), platform.to_string());
                }
                self.missing.push((digest.clone(), digest.clone()));
            }
            // A subject may be elsewhere, and a guess may be none.
            Some(_) => {}
        }
        Ok(())
    }

    fn note(&mut self, digest: &Digest, class: Class, node: &Node) {
        for child in node.linked(Link::Manifest) {
            if let Some(platform) = &child.platform {
                self.platforms.insert(child.digest.clone(), platform.to_string());
            }
        }
        match class {
            Class::Image => {
                let config = node.linked(Link::Config).next().map(|config| config.digest.clone());
                self.configs.extend(config.map(|config| (digest.clone(), config)));
            }
            Class::Index => {
                self.indexes.insert(digest.clone());
            }
            Class::Schema1 => {
                self.schema1.insert(digest.clone());
            }
            _ => {}
        }
    }

    fn need(&mut self, step: Step, owner: Option<&Digest>) {
        let Step { descriptor, link, is_sized, in_index } = step;
        // Of an image, that is; an entry is there or is none.
        let may_be_absent =
            link.is_some() && (descriptor.has_urls || is_nondistributable(&descriptor.media_type));
        let is_expected = !may_be_absent && !matches!(link, Some(Link::Guess | Link::Subject));
        let is_required = is_expected && !in_index;
        let size = is_sized.then_some(descriptor.size);
        let owner = owner.unwrap_or(&descriptor.digest).clone();
        let need = self.needs.entry((descriptor.digest.clone(), size)).or_insert_with(|| Need {
            descriptor,
            size,
            owners: Vec::new(),
            is_required: false,
            is_expected: false,
        });
        let place = if is_required && !need.is_required { 0 } else { need.owners.len() };
        need.owners.insert(place, owner);
        need.is_required |= is_required;
        need.is_expected |= is_expected;
    }

    /// Brings everything in that was found, but for the manifests that are not whole.
    fn bring<'d>(&mut self, roots: impl Iterator<Item = &'d Digest>) -> Result<()> {
        let mut there: Vec<(Need, Option<Member>)> = Vec::new();
        let mut incomplete: HashSet<Digest> = HashSet::new();
        for need in std::mem::take(&mut self.needs).into_values() {
            let digest = &need.descriptor.digest;
            let member = self.carrier.blob(digest)?;
            // A blob that the repository has is not read, but an archive that lies is told of it.
            if let (Some(member), Some(size)) = (&member, need.size) {
                self.carrier.check_size(member, size)?;
            }
            let is_there = member.is_some() || need.descriptor.data.is_some() || self.has(&need)?;
            if is_there {
                there.push((need, member));
            } else if need.is_required {
                return Err(self.carrier.missing(&self.label_above(&need.owners[0]), digest));
            } else if need.is_expected {
                for owner in need.owners {
                    self.missing.push((digest.clone(), owner.clone()));
                    if !self.indexes.contains(&owner) {
                        incomplete.insert(owner);
                    }
                }
            }
        }
        if let Some(error) = self.disagreement.take() {
            return Err(error);
        }
        let kept = self.reached(roots, &incomplete);
        for Found { descriptor, class, size, label } in &self.documents {
            if kept.contains(&descriptor.digest) {
                self.graph.keep(descriptor, *class, *size, label)?;
            }
        }
        there.retain(|(need, _)| need.owners.iter().any(|owner| kept.contains(owner)));
        self.bring_blobs(there)
    }

    /// Everything that is reached from `roots`, but for what only leads on from what is left out.
    fn reached<'d>(
        &self,
        roots: impl Iterator<Item = &'d Digest>,
        left_out: &HashSet<Digest>,
    ) -> HashSet<Digest> {
        let mut reached: HashSet<Digest> = HashSet::new();
        let mut open: Vec<&Digest> = Vec::new();
        let mut roots: Vec<Digest> = roots.cloned().collect();
        roots.retain(|root| !left_out.contains(root));
        open.extend(&roots);
        while let Some(digest) = open.pop() {
            if reached.insert(digest.clone()) {
                let below = self.below.get(digest).into_iter().flatten();
                open.extend(below.filter(|below| !left_out.contains(*below)));
            }
        }
        reached
    }

    /// Whether the session or the repository has a blob, and of the right size.
    fn has(&self, need: &Need) -> Result<bool> {
        let digest = &need.descriptor.digest;
        Ok(match need.size {
            Some(size) => self.carrier.ingest.has(digest, size)?,
            None => self.carrier.repository().blob_size(digest)?.is_some(),
        })
    }

    fn bring_blobs(&self, needs: Vec<(Need, Option<Member>)>) -> Result<()> {
        let mut todo: Vec<(Digest, u64, Member)> = Vec::new();
        for (need, member) in needs {
            let digest = &need.descriptor.digest;
            let size = match need.size {
                Some(size) => Some(size),
                None => self.carrier.repository().blob_size(digest)?,
            };
            if let Some(size) = size
                && self.carrier.ingest.has(digest, size)?
            {
                continue;
            }
            if let Some(member) = member {
                if digest.algorithm().is_none() {
                    return Err(self.carrier.unknown_algorithm(&self.label_above(&need.owners[0]), digest));
                }
                todo.push((digest.clone(), need.size.unwrap_or(member.size), member));
            } else if let Some(data) = &need.descriptor.data {
                self.carrier.put(digest, data)?;
            }
        }
        if todo.is_empty() {
            return Ok(());
        }
        let total = todo.iter().map(|(_, size, _)| *size).fold(0, u64::saturating_add);
        let _task = Task::begin(self.carrier.progress, self.carrier.label(), Unit::Bytes, Some(total));
        let carrier = self.carrier;
        carrier.on_each(
            &todo,
            |(_, size, _)| *size,
            |(digest, size, member)| carrier.bring(digest, *size, member),
        )?;
        Ok(())
    }

    /// How to call an image that leads to `digest`.
    fn label_above(&self, digest: &Digest) -> String {
        let above = above(&self.parents, std::slice::from_ref(digest));
        let mut labels: Vec<&String> = above.iter().filter_map(|digest| self.labels.get(digest)).collect();
        labels.sort_unstable();
        labels.first().map_or_else(|| digest.to_string(), |label| (*label).clone())
    }

    fn schema1_warning(&self, root: &Digest) -> Option<String> {
        self.schema1
            .contains(root)
            .then(|| "it is in docker's schema 1, which current tools refuse; it is kept as it is".to_owned())
    }
}
