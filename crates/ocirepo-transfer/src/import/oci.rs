//! Image layouts: every entry of index.json and all that it leads to.
//!
//! Documents are followed first, from the entries down, each loaded once; then the blobs that they
//! name are brought in on several threads. What an index names and the archive lacks makes its
//! image sparse, which is legal and said; what a plain manifest needs must be there, or be in the
//! repository, or be something that may be absent.

use std::collections::{BTreeMap, HashMap, HashSet};

use ocirepo_store::graph::{Class, Descriptor, Edge, Link, Node, is_nondistributable};
use ocirepo_store::index::Entry;
use ocirepo_store::{Digest, Unit};

use super::carrier::{Carrier, Document};
use super::naming::{self, Root};
use super::task::Task;
use crate::archive::Member;
use crate::error::{Error, Result, escape};

/// An image layout, followed from its entries down.
pub(crate) struct Layout {
    pub(crate) roots: Vec<Root>,
    /// Every document that was found.
    pub(crate) documents: HashSet<Digest>,
    /// The layers of every image manifest, bottom first.
    pub(crate) layers: HashMap<Digest, Vec<Digest>>,
    /// The image manifests of every config.
    configs: HashMap<Digest, Vec<Digest>>,
    parents: HashMap<Digest, Vec<Digest>>,
    /// Where each digest stands among the roots.
    positions: HashMap<Digest, Vec<usize>>,
}

impl Layout {
    /// The positions of the roots that lead to a config, in order.
    pub(crate) fn roots_with_config(&self, config: &Digest) -> Vec<usize> {
        let manifests = self.configs.get(config).map_or(&[][..], Vec::as_slice);
        let above = above(&self.parents, manifests);
        let mut positions: Vec<usize> =
            above.iter().filter_map(|digest| self.positions.get(digest)).flatten().copied().collect();
        positions.sort_unstable();
        positions
    }
}

/// Follows the entries of an index.json and brings everything in.
pub(crate) fn import(carrier: &Carrier<'_>, entries: &[Entry], format: &'static str) -> Result<Layout> {
    let mut walk = Walk::new(carrier);
    let mut roots = Vec::with_capacity(entries.len());
    for (position, entry) in entries.iter().enumerate() {
        let descriptor = entry.descriptor().map_err(|reason| {
            let reason = format!("entry {position} cannot be used: {}", escape(reason));
            Error::member(carrier.label(), "index.json", reason)
        })?;
        let (name, warning) = naming::of_entry(entry);
        let root = Root {
            entry: entry.clone(),
            digest: descriptor.digest.clone(),
            names: name.into_iter().collect(),
            subject: None,
            warnings: warning.into_iter().collect(),
            format,
        };
        let label = naming::label(&root.names, &root.digest);
        walk.labels.entry(root.digest.clone()).or_insert_with(|| label.clone());
        walk.follow(Step { descriptor: descriptor.clone(), link: None, is_sized: true, in_index: false })?;
        roots.push(root);
    }
    walk.bring_blobs()?;

    for root in &mut roots {
        root.subject = walk.subjects.get(&root.digest).cloned();
        if let Some(warning) = walk.schema1_warning(&root.digest) {
            root.warnings.push(warning);
        }
    }
    let mut positions: HashMap<Digest, Vec<usize>> = HashMap::new();
    for (position, root) in roots.iter().enumerate() {
        positions.entry(root.digest.clone()).or_default().push(position);
    }
    for (digest, warning) in walk.sparse_roots() {
        let first = positions.get(&digest).and_then(|positions| positions.first());
        if let Some(&position) = first {
            roots[position].warnings.push(warning);
        }
    }
    let Walk { documents, layers, configs, parents, .. } = walk;
    Ok(Layout { roots, documents, layers, configs, parents, positions })
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
    /// The document that names it.
    owner: Digest,
    /// Whether the image cannot be without it.
    is_required: bool,
    /// Whether it counts as missing when it is not there.
    is_expected: bool,
}

struct Walk<'a, 'c> {
    carrier: &'a Carrier<'c>,
    labels: HashMap<Digest, String>,
    visited: HashSet<(Digest, Class, bool)>,
    loaded: HashMap<(Digest, Class), Option<Node>>,
    documents: HashSet<Digest>,
    schema1: HashSet<Digest>,
    parents: HashMap<Digest, Vec<Digest>>,
    configs: HashMap<Digest, Vec<Digest>>,
    layers: HashMap<Digest, Vec<Digest>>,
    subjects: HashMap<Digest, Digest>,
    platforms: HashMap<Digest, String>,
    needs: BTreeMap<(Digest, Option<u64>), Need>,
    /// Documents and blobs that are not there, each with the manifest that is incomplete for it.
    missing: Vec<(Digest, Digest)>,
}

impl<'a, 'c> Walk<'a, 'c> {
    fn new(carrier: &'a Carrier<'c>) -> Self {
        Self {
            carrier,
            labels: HashMap::new(),
            visited: HashSet::new(),
            loaded: HashMap::new(),
            documents: HashSet::new(),
            schema1: HashSet::new(),
            parents: HashMap::new(),
            configs: HashMap::new(),
            layers: HashMap::new(),
            subjects: HashMap::new(),
            platforms: HashMap::new(),
            needs: BTreeMap::new(),
            missing: Vec::new(),
        }
    }

    /// Follows everything below one entry.
    fn follow(&mut self, root: Step) -> Result<()> {
        let label = self.labels[&root.descriptor.digest].clone();
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
            if !self.load(&step, class, &label)? {
                continue;
            }
            let in_index = step.in_index
                || class == Class::Index
                || matches!(step.link, Some(Link::Subject | Link::Guess));
            let Some(Some(node)) = self.loaded.get(&(digest.clone(), class)) else { continue };
            let mut blobs = Vec::new();
            for edge in &node.edges {
                let Edge { link, descriptor, sized } = edge;
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

    /// Loads the document of a step, unless that was done; whether it is there.
    fn load(&mut self, step: &Step, class: Class, label: &str) -> Result<bool> {
        let Step { descriptor, link, is_sized, .. } = step;
        let digest = &descriptor.digest;
        let key = (digest.clone(), class);
        if let Some(node) = self.loaded.get(&key) {
            return self.found(step, node.is_some(), label);
        }
        let size = is_sized.then_some(descriptor.size);
        let node =
            match self.carrier.document(descriptor, class, size, label)? {
                Document::Content(bytes) => Some(Node::parse(&bytes, class).map_err(|reason| {
                    self.carrier.bad_image(label, format!("{digest}: {}", escape(&reason)))
                })?),
                Document::Data => {
                    let owner = descriptor.clone();
                    self.need(
                        Step { descriptor: owner, link: *link, is_sized: *is_sized, in_index: step.in_index },
                        None,
                    );
                    return Ok(false);
                }
                Document::Absent => None,
            };
        let is_there = node.is_some();
        if let Some(node) = &node {
            self.note(digest, class, node);
        }
        self.loaded.insert(key, node);
        self.found(step, is_there, label)
    }

    /// What it means that a document is there, or is not.
    fn found(&mut self, step: &Step, is_there: bool, label: &str) -> Result<bool> {
        let digest = &step.descriptor.digest;
        if is_there {
            return Ok(true);
        }
        match step.link {
            None => Err(self.carrier.missing(label, digest)),
            Some(Link::Manifest) => {
                if let Some(platform) = &step.descriptor.platform {
                    self.platforms.insert(digest.clone(), platform.to_string());
                }
                self.missing.push((digest.clone(), digest.clone()));
                Ok(false)
            }
            // A subject may be elsewhere, and a guess may be none.
            Some(_) => Ok(false),
        }
    }

    fn note(&mut self, digest: &Digest, class: Class, node: &Node) {
        self.documents.insert(digest.clone());
        for child in node.linked(Link::Manifest) {
            if let Some(platform) = &child.platform {
                self.platforms.insert(child.digest.clone(), platform.to_string());
            }
        }
        if let Some(subject) = node.subject() {
            self.subjects.insert(digest.clone(), subject.digest.clone());
        }
        match class {
            Class::Image => {
                for config in node.linked(Link::Config) {
                    self.configs.entry(config.digest.clone()).or_default().push(digest.clone());
                }
                let layers = node.linked(Link::Layer).map(|layer| layer.digest.clone()).collect();
                self.layers.insert(digest.clone(), layers);
            }
            Class::Schema1 => {
                self.schema1.insert(digest.clone());
            }
            _ => {}
        }
    }

    fn need(&mut self, step: Step, owner: Option<&Digest>) {
        let Step { descriptor, link, is_sized, in_index } = step;
        let may_be_absent = descriptor.has_urls || is_nondistributable(&descriptor.media_type);
        let is_expected = !may_be_absent && !matches!(link, Some(Link::Guess | Link::Subject));
        let is_required = is_expected && !in_index;
        let size = is_sized.then_some(descriptor.size);
        let owner = owner.unwrap_or(&descriptor.digest).clone();
        let need = self.needs.entry((descriptor.digest.clone(), size)).or_insert_with(|| Need {
            descriptor,
            size,
            owner: owner.clone(),
            is_required: false,
            is_expected: false,
        });
        if is_required && !need.is_required {
            need.owner = owner;
        }
        need.is_required |= is_required;
        need.is_expected |= is_expected;
    }

    /// Brings in the blobs that the documents name.
    fn bring_blobs(&mut self) -> Result<()> {
        let mut todo: Vec<(Digest, u64, Member)> = Vec::new();
        for need in std::mem::take(&mut self.needs).into_values() {
            let digest = &need.descriptor.digest;
            let held = self.carrier.repository().blob_size(digest)?;
            let is_held = held.is_some() && need.size.is_none_or(|size| held == Some(size));
            if is_held && self.carrier.ingest.has(digest, held.unwrap_or_default())? {
                continue;
            }
            if let Some(member) = self.carrier.blob(digest)? {
                if digest.algorithm().is_none() {
                    return Err(self.carrier.unknown_algorithm(&self.label_above(&need.owner), digest));
                }
                todo.push((digest.clone(), need.size.unwrap_or(member.size), member));
            } else if let Some(data) = &need.descriptor.data {
                self.carrier.put(digest, data)?;
            } else if need.is_required {
                return Err(self.carrier.missing(&self.label_above(&need.owner), digest));
            } else if need.is_expected {
                self.missing.push((digest.clone(), need.owner.clone()));
            }
        }
        if todo.is_empty() {
            return Ok(());
        }
        let total = todo.iter().map(|(_, size, _)| *size).fold(0, u64::saturating_add);
        let _task = Task::begin(self.carrier.progress, self.carrier.label(), Unit::Bytes, Some(total));
        self.carrier.on_each(&todo, |(digest, size, member)| self.carrier.bring(digest, *size, member))?;
        Ok(())
    }

    /// How to call an image that leads to `digest`.
    fn label_above(&self, digest: &Digest) -> String {
        let above = above(&self.parents, std::slice::from_ref(digest));
        let mut labels: Vec<&String> = above.iter().filter_map(|digest| self.labels.get(digest)).collect();
        labels.sort_unstable();
        labels.first().map_or_else(|| digest.to_string(), |label| (*label).clone())
    }

    /// The roots that lack something that they may lack, each with a text that says what.
    fn sparse_roots(&self) -> Vec<(Digest, String)> {
        let mut lacking: BTreeMap<&Digest, Vec<String>> = BTreeMap::new();
        for (_, manifest) in &self.missing {
            let platform = self.platforms.get(manifest).cloned().unwrap_or_else(|| manifest.to_string());
            let platform = escape(&platform);
            let above = above(&self.parents, std::slice::from_ref(manifest));
            for root in above.iter().filter_map(|digest| self.labels.get_key_value(digest)) {
                let platforms = lacking.entry(root.0).or_default();
                if !platforms.contains(&platform) {
                    platforms.push(platform.clone());
                }
            }
        }
        lacking
            .into_iter()
            .map(|(root, mut platforms)| {
                platforms.sort_unstable();
                let text = format!("it is sparse: the archive does not have {}", platforms.join(", "));
                (root.clone(), text)
            })
            .collect()
    }

    fn schema1_warning(&self, root: &Digest) -> Option<String> {
        self.schema1
            .contains(root)
            .then(|| "it is in docker's schema 1, which current tools refuse; it is kept as it is".to_owned())
    }
}

/// Everything that leads to one of `digests`, themselves included.
fn above(parents: &HashMap<Digest, Vec<Digest>>, digests: &[Digest]) -> HashSet<Digest> {
    let mut above: HashSet<Digest> = HashSet::new();
    let mut open: Vec<&Digest> = digests.iter().collect();
    while let Some(digest) = open.pop() {
        if above.insert(digest.clone()) {
            open.extend(parents.get(digest).into_iter().flatten());
        }
    }
    above
}
