//! Following every descriptor from a set of roots.
//!
//! The state of a blob is kept per digest *and* role: a blob that was first met as a layer is
//! still opened when it is later named as a manifest. The walk is iterative and goes in waves, so
//! depth costs no stack, cycles end, and a diamond is walked once. Documents of a wave are read and
//! parsed in parallel; the graph itself is built in order, so the result does not depend on it.

use std::collections::{HashMap, HashSet, VecDeque};

use super::known::{Known, Met};
use super::load::{Documents, Loaded, Wanted};
use super::media_type::Class;
use super::node::{Edge, Link, Node};
use super::parents::{Chain, Parents};
use crate::digest::Digest;
use crate::index::{Document, Entry};
use crate::parallel::{in_parallel, in_stretches};
use crate::progress::{Progress, Silent};

/// A blob in a [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobId(u32);

impl BlobId {
    /// Where it stands in [`Graph::blobs`].
    pub(crate) const fn number(self) -> usize {
        self.0 as usize
    }
}

/// What the graph knows of one blob.
#[derive(Debug)]
pub struct Blob {
    /// Its digest.
    pub digest: Digest,
    /// Its size as first declared, in bytes; schema 1 declares none.
    pub size: Option<u64>,
    /// Another size in bytes that another descriptor declares. One of the two is wrong.
    pub other_size: Option<u64>,
    /// Whether it may legally be absent: `urls`, a non-distributable type, or embedded content.
    pub may_be_absent: bool,
    /// Whether it stands somewhere as a document, that is, was opened.
    pub is_document: bool,
    /// Whether it is one of those that the walk was told of beforehand.
    pub(crate) is_listed: bool,
    roles: u8,
    parents: Chain,
}

impl Blob {
    /// Whether it stands somewhere as a document that may list others.
    pub(crate) const fn may_list(&self) -> bool {
        self.roles & (1 << Class::Index as u8 | 1 << Class::Unknown as u8) != 0
    }
}

/// An entry of index.json, as a starting point.
#[derive(Debug)]
#[non_exhaustive]
pub struct Root {
    /// Position in index.json; `None` for a root from elsewhere, such as a sharing repository.
    pub position: Option<usize>,
    /// How the entry is called in messages.
    pub label: String,
    /// The blob it describes; `None` when the entry cannot be used.
    pub blob: Option<BlobId>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A root whose descriptor cannot be used.
    BrokenEntry {
        /// Which root, as an index into [`Graph::roots`].
        root: usize,
        /// What is wrong.
        reason: String,
    },
    /// A document that is there but cannot be used.
    Broken {
        /// The document.
        blob: BlobId,
        /// What is wrong.
        reason: String,
    },
    /// A document that is not there.
    Missing {
        /// The document.
        blob: BlobId,
    },
}

/// Every blob that was reached, from where, and what went wrong on the way.
#[derive(Debug, Default)]
pub struct Graph {
    blobs: Vec<Blob>,
    parents: Parents,
    known: Known,
    /// The roots, in the order they were given.
    pub roots: Vec<Root>,
    /// What is not as it should be.
    pub faults: Vec<Fault>,
}

impl Graph {
    /// The blob with that digest, if it was reached.
    #[must_use]
    pub fn find(&self, digest: &Digest) -> Option<BlobId> {
        self.known.find(digest)
    }

    /// The listed blobs that were not reached, in no order.
    pub(crate) fn unreached(&self) -> Vec<&Digest> {
        self.known.unreached().collect()
    }

    /// What is known of a blob.
    ///
    /// # Panics
    /// If the id is that of another graph, and there are not so many blobs in this one.
    #[must_use]
    pub fn blob(&self, id: BlobId) -> &Blob {
        &self.blobs[id.0 as usize]
    }

    /// Who names a blob, and how, in the order in which that was met.
    ///
    /// # Panics
    /// Those of [`Graph::blob`].
    pub fn parents(&self, id: BlobId) -> impl Iterator<Item = (BlobId, Link)> {
        self.parents.of(self.blob(id).parents)
    }

    /// Every blob reached, in the order they were first met.
    pub fn blobs(&self) -> impl ExactSizeIterator<Item = (BlobId, &Blob)> {
        self.blobs.iter().enumerate().map(|(n, blob)| (BlobId(u32::try_from(n).unwrap_or(u32::MAX)), blob))
    }

    /// From blobs back to the roots that need them.
    #[must_use]
    pub fn ancestry(&self) -> Ancestry<'_> {
        let mut roots: HashMap<BlobId, Vec<usize>> = HashMap::new();
        for (number, root) in self.roots.iter().enumerate() {
            if let Some(blob) = root.blob {
                roots.entry(blob).or_default().push(number);
            }
        }
        Ancestry { graph: self, roots }
    }

    /// A shortest path from a root to a blob: the root, then each blob with the link that leads to
    /// it. Empty when no root reaches it.
    #[must_use]
    pub fn path_to(&self, blob: BlobId) -> Vec<(BlobId, Option<Link>)> {
        let roots: HashSet<BlobId> = self.roots.iter().filter_map(|root| root.blob).collect();
        let mut below: HashMap<BlobId, Option<(BlobId, Link)>> = HashMap::from([(blob, None)]);
        let mut open = VecDeque::from([blob]);
        while let Some(id) = open.pop_front() {
            if roots.contains(&id) {
                let mut path = vec![(id, None)];
                let mut here = id;
                while let Some(Some((child, link))) = below.get(&here) {
                    path.push((*child, Some(*link)));
                    here = *child;
                }
                return path;
            }
            for (parent, link) in self.parents(id) {
                below.entry(parent).or_insert_with(|| {
                    open.push_back(parent);
                    Some((id, link))
                });
            }
        }
        Vec::new()
    }

    fn intern(&mut self, met: Met) -> BlobId {
        let (digest, number) = self.known.number(met);
        if let Some(id) = self.known.blob(number) {
            return id;
        }
        let id = BlobId(u32::try_from(self.blobs.len()).expect("a repository has fewer than 2^32 blobs"));
        self.known.reach(number, id);
        self.blobs.push(Blob {
            digest,
            size: None,
            other_size: None,
            may_be_absent: false,
            is_document: false,
            is_listed: self.known.is_listed(number),
            roles: 0,
            parents: Chain::default(),
        });
        id
    }
}

/// Answers which roots need a blob.
#[derive(Debug)]
pub struct Ancestry<'g> {
    graph: &'g Graph,
    roots: HashMap<BlobId, Vec<usize>>,
}

impl Ancestry<'_> {
    /// Whether a blob is itself a root.
    #[must_use]
    pub fn is_root(&self, blob: BlobId) -> bool {
        self.roots.contains_key(&blob)
    }

    /// The roots from which a blob is reached, as indexes into [`Graph::roots`], in order.
    #[must_use]
    pub fn roots_of(&self, blob: BlobId) -> Vec<usize> {
        let mut above = HashSet::from([blob]);
        let mut open = vec![blob];
        let mut found = Vec::new();
        while let Some(id) = open.pop() {
            found.extend(self.roots.get(&id).into_iter().flatten());
            for (parent, _) in self.graph.parents(id) {
                if above.insert(parent) {
                    open.push(parent);
                }
            }
        }
        found.sort_unstable();
        found
    }

    /// What those roots are called.
    #[must_use]
    pub fn labels_of(&self, blob: BlobId) -> Vec<String> {
        let mut labels: Vec<String> =
            self.roots_of(blob).into_iter().map(|root| self.graph.roots[root].label.clone()).collect();
        labels.dedup();
        labels
    }
}

/// What an edge says of a blob, without what only readers of the document need.
#[derive(Debug)]
struct Step {
    link: Link,
    class: Class,
    met: Met,
    size: Option<u64>,
    may_be_absent: bool,
    embedded: Option<Box<[u8]>>,
}

impl Step {
    fn of(edge: Edge, known: &Known) -> Self {
        Self {
            link: edge.link,
            class: edge.class(),
            size: edge.sized.then_some(edge.descriptor.size),
            may_be_absent: edge.descriptor.may_be_absent(),
            met: known.meet(edge.descriptor.digest),
            embedded: edge.descriptor.data.map(Vec::into_boxed_slice),
        }
    }
}

/// A document that has to be opened.
#[derive(Debug)]
struct Task {
    blob: BlobId,
    class: Class,
    size: Option<u64>,
    embedded: Option<Box<[u8]>>,
}

/// What so many documents name is in memory at once.
const WAVE: usize = 2048;

/// Follows everything from all entries of `index`, on so many threads.
#[must_use]
pub fn walk(documents: &dyn Documents, index: &Document, jobs: usize) -> Graph {
    let mut walk = Walk::new(documents, jobs);
    let entries = index.entries();
    walk.add_roots(entries, Some, |n| entries[n].label(n));
    walk.finish()
}

/// A walk in progress; more roots can be added between runs.
pub(crate) struct Walk<'a> {
    documents: &'a dyn Documents,
    jobs: usize,
    progress: &'a dyn Progress,
    graph: Graph,
    open: VecDeque<Task>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(documents: &'a dyn Documents, jobs: usize) -> Self {
        let (graph, open) = (Graph::default(), VecDeque::new());
        Self { documents, jobs: jobs.max(1), progress: &Silent, graph, open }
    }

    /// Counts every document that it reads.
    pub(crate) fn telling(self, progress: &'a dyn Progress) -> Self {
        Self { progress, ..self }
    }

    /// A walk that is told beforehand which blobs there are: see [`Graph::unreached`].
    pub(crate) fn over(listed: Vec<Digest>, documents: &'a dyn Documents, jobs: usize) -> Self {
        let mut walk = Self::new(documents, jobs);
        walk.graph.known = Known::of(listed);
        walk
    }

    /// Starts from an entry of index.json. `position` is `None` for one of another repository.
    pub(crate) fn add_root(&mut self, entry: &Entry, position: Option<usize>, label: String) {
        let step = self.step_to(entry);
        self.begin(step, position, label);
    }

    /// [`Walk::add_root`] for all entries of an index, whose labels `label` makes of their positions.
    pub(crate) fn add_roots(
        &mut self,
        entries: &[Entry],
        position: impl Fn(usize) -> Option<usize>,
        label: impl Fn(usize) -> String + Sync,
    ) {
        let numbered: Vec<(usize, &Entry)> = entries.iter().enumerate().collect();
        self.graph.roots.reserve(entries.len());
        for wave in numbered.chunks(WAVE) {
            let read = |&(n, entry): &(usize, &Entry)| (n, self.step_to(entry), label(n));
            for (n, step, label) in in_stretches(wave, self.jobs, read) {
                self.begin(step, position(n), label);
            }
        }
    }

    fn step_to(&self, entry: &Entry) -> Result<Step, String> {
        let descriptor = entry.read_descriptor()?;
        Ok(Step::of(Edge { link: Link::Manifest, descriptor, sized: true }, &self.graph.known))
    }

    fn begin(&mut self, step: Result<Step, String>, position: Option<usize>, label: String) {
        let number = self.graph.roots.len();
        let blob = match step {
            Ok(step) => Some(self.reach(None, step)),
            Err(reason) => {
                self.graph.faults.push(Fault::BrokenEntry { root: number, reason });
                None
            }
        };
        self.graph.roots.push(Root { position, label, blob });
    }

    /// Adds a document that is alive because of its subject, which is in the graph already.
    pub(crate) fn add_referrer(&mut self, digest: &Digest, size: u64, class: Class, subject: BlobId) {
        let id = self.graph.intern(self.graph.known.meet(digest.clone()));
        let blob = &mut self.graph.blobs[id.0 as usize];
        blob.size.get_or_insert(size);
        self.graph.parents.add(&mut blob.parents, subject, Link::Referrer);
        self.schedule(id, class, Some(size), None);
    }

    /// Follows everything that has not been followed yet.
    pub(crate) fn run(&mut self) {
        while !self.open.is_empty() {
            let wave: Vec<Task> = self.open.drain(..self.open.len().min(WAVE)).collect();
            for (task, outcome) in wave.iter().zip(self.read(&wave)) {
                match outcome {
                    Outcome::Steps(steps) => {
                        for step in steps {
                            self.reach(Some(task.blob), step);
                        }
                    }
                    Outcome::Missing => self.graph.faults.push(Fault::Missing { blob: task.blob }),
                    Outcome::Broken(reason) => {
                        self.graph.faults.push(Fault::Broken { blob: task.blob, reason });
                    }
                }
            }
        }
    }

    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The blobs that were reached since the last asking; `judged` is where that ended. Only they
    /// can bring more to life.
    pub(crate) fn reached_since(&self, judged: &mut usize) -> Vec<(BlobId, Digest)> {
        let reached: Vec<(BlobId, Digest)> =
            self.graph.blobs().skip(*judged).map(|(id, blob)| (id, blob.digest.clone())).collect();
        *judged += reached.len();
        reached
    }

    pub(crate) fn finish(mut self) -> Graph {
        self.run();
        self.graph
    }

    fn reach(&mut self, parent: Option<BlobId>, step: Step) -> BlobId {
        let Step { link, class, met, size, may_be_absent, embedded } = step;
        let id = self.graph.intern(met);
        let blob = &mut self.graph.blobs[id.0 as usize];
        if let (Some(first), Some(size)) = (blob.size, size) {
            if first != size {
                blob.other_size = Some(size);
            }
            if first != size && blob.is_document {
                let reason = format!("one descriptor gives it {first} bytes, another {size}");
                self.graph.faults.push(Fault::Broken { blob: id, reason });
            }
        }
        blob.size = blob.size.or(size);
        blob.may_be_absent |= may_be_absent;
        if let Some(parent) = parent {
            self.graph.parents.add(&mut blob.parents, parent, link);
        }
        self.schedule(id, class, size, embedded);
        id
    }

    fn schedule(&mut self, id: BlobId, class: Class, size: Option<u64>, embedded: Option<Box<[u8]>>) {
        let blob = &mut self.graph.blobs[id.0 as usize];
        let role = 1 << class as u8;
        if blob.roles & role == 0 {
            blob.roles |= role;
            if class.is_document() {
                blob.is_document = true;
                self.open.push_back(Task { blob: id, class, size, embedded });
            }
        }
    }

    fn read(&self, wave: &[Task]) -> Vec<Outcome> {
        let read = |task: &Task| {
            let digest = &self.graph.blob(task.blob).digest;
            let wanted =
                Wanted { digest, class: task.class, size: task.size, embedded: task.embedded.as_deref() };
            let outcome = Outcome::of(self.documents.load(&wanted), task.class, &self.graph.known);
            self.progress.advance(1);
            outcome
        };
        in_parallel(wave, self.jobs, read)
    }
}

#[derive(Debug)]
enum Outcome {
    Steps(Vec<Step>),
    Missing,
    Broken(String),
}

impl Outcome {
    fn of(loaded: Loaded, class: Class, known: &Known) -> Self {
        match loaded {
            Loaded::Content(bytes) => match Node::parse(&bytes, class) {
                Ok(node) => Self::Steps(node.edges.into_iter().map(|edge| Step::of(edge, known)).collect()),
                Err(reason) => Self::Broken(reason),
            },
            Loaded::Data => Self::Steps(Vec::new()),
            Loaded::Missing => Self::Missing,
            Loaded::Broken(reason) => Self::Broken(reason),
        }
    }
}
