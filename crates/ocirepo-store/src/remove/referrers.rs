//! Which nameless referrers go when something else goes.
//!
//! A referrer goes along if its subject is among what was removed (children of a removed index
//! included) and no remaining entry reaches that subject by `manifests`; then the same holds for
//! referrers of that referrer, to a fixpoint. If a remaining index cannot be read, what it reaches
//! is unknown, and every referrer stays.

use std::collections::{HashMap, HashSet};

use crate::blob;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::graph::{Class, Descriptor, Fault, Graph, Link, Unlisted, Walk};
use crate::index::{Document, Entry};
use crate::parallel::in_parallel;
use crate::progress::Silent;
use crate::repository::Repository;

/// What goes along with a removal.
#[derive(Debug, Default)]
pub(super) struct Cascade {
    /// Positions of the referrers that go, each with its subject.
    pub(super) taken: Vec<(usize, String)>,
    /// Remaining documents that could not be read.
    pub(super) unreadable: Vec<String>,
}

/// A nameless entry that is about another document.
#[derive(Debug)]
struct Referrer<'d> {
    position: usize,
    descriptor: &'d Descriptor,
    subject: Digest,
}

/// The nameless referrers that go along when the entries at `removed` go.
pub(super) fn left_behind(
    repository: &Repository,
    document: &Document,
    removed: &[usize],
) -> Result<Cascade> {
    let removed: HashSet<usize> = removed.iter().copied().collect();
    let open = referrers(repository, document, &removed);
    if open.is_empty() {
        return Ok(Cascade::default());
    }
    let candidates: HashSet<usize> = open.iter().map(|referrer| referrer.position).collect();
    let mut gone = Reach::default();
    let mut left = Reach::default();
    for (position, entry) in document.entries().iter().enumerate() {
        if let Ok(descriptor) = entry.descriptor() {
            if removed.contains(&position) {
                gone.extend(repository, descriptor);
            } else if !candidates.contains(&position) {
                left.extend(repository, descriptor);
            }
        }
    }
    if !left.unreadable.is_empty() {
        return Ok(Cascade { unreadable: left.unreadable, ..Cascade::default() });
    }
    let mut cascade = Cascade::default();
    let mut taken = HashSet::new();
    // Referrers that stay are remaining entries too, and may be indexes with children: a document
    // that some of them reach is not left behind until the last of those is taken.
    let mut reached_by: HashMap<&Digest, usize> = HashMap::new();
    let mut about: HashMap<&Digest, Vec<usize>> = HashMap::new();
    let reaches: Vec<Reach> =
        open.iter().map(|referrer| Reach::of(repository, referrer.descriptor)).collect();
    for (number, (referrer, reach)) in open.iter().zip(&reaches).enumerate() {
        about.entry(&referrer.subject).or_default().push(number);
        for digest in &reach.reached {
            *reached_by.entry(digest).or_default() += 1;
        }
    }
    let mut gone: HashSet<&Digest> = gone.reached.iter().collect();
    let mut judge: Vec<&Digest> = gone.iter().copied().collect();
    while let Some(subject) = judge.pop() {
        let stays = left.reached.contains(subject) || reached_by.get(subject).is_some_and(|count| *count > 0);
        if stays || !gone.contains(subject) {
            continue;
        }
        for &number in about.get(subject).into_iter().flatten() {
            if !taken.insert(number) {
                continue;
            }
            cascade.taken.push((open[number].position, subject.to_string()));
            for digest in &reaches[number].reached {
                gone.insert(digest);
                if let Some(count) = reached_by.get_mut(digest) {
                    *count -= 1;
                }
                judge.push(digest);
            }
        }
    }
    // What goes may name anything; what stays has to be known.
    let staying = reaches.iter().enumerate().filter(|(number, _)| !taken.contains(number));
    let unreadable: Vec<String> = staying.flat_map(|(_, reach)| &reach.unreadable).cloned().collect();
    if unreadable.is_empty() { Ok(cascade) } else { Ok(Cascade { unreadable, ..Cascade::default() }) }
}

/// Positions of nameless referrers whose subject nothing else keeps alive. What is not listed, and is
/// kept because it is about something kept, keeps what it names as well.
///
/// # Errors
/// [`Error::BrokenManifest`] and [`Error::StrangeEntry`] for what cannot be read: what it keeps
/// nobody knows. And when the file system refuses.
pub(crate) fn orphans(repository: &Repository, document: &Document) -> Result<Vec<usize>> {
    let open = referrers(repository, document, &HashSet::new());
    if open.is_empty() {
        return Ok(Vec::new());
    }
    let candidates: HashSet<usize> = open.iter().map(|referrer| referrer.position).collect();
    let listed: HashSet<&Digest> = open.iter().map(|referrer| &referrer.descriptor.digest).collect();
    let mut walk = Walk::new(repository.blobs(), repository.jobs());
    for (position, entry) in document.entries().iter().enumerate() {
        if !candidates.contains(&position) {
            walk.add_root(entry, Some(position), String::new());
        }
    }
    walk.run();
    let listing = blob::list(repository.blobs(), repository.root())?;
    let is_unlisted = |digest: &&Digest| walk.graph().find(digest).is_none() && !listed.contains(digest);
    let unmarked: Vec<&Digest> = listing.blobs.iter().filter(is_unlisted).collect();
    let mut unlisted = Unlisted::find(repository.blobs(), repository.jobs(), &unmarked, &Err, &Silent)?;
    let mut about: HashMap<Digest, Vec<usize>> = HashMap::new();
    for referrer in open {
        about.entry(referrer.subject).or_default().push(referrer.position);
    }
    // Only blobs that were reached since the last round can bring more referrers to life.
    let mut judged = 0;
    loop {
        walk.run();
        let reached = walk.reached_since(&mut judged);
        if reached.is_empty() || about.is_empty() {
            walk.graph().faults.iter().try_for_each(|fault| known(walk.graph(), fault))?;
            let mut orphans: Vec<usize> = about.into_values().flatten().collect();
            orphans.sort_unstable();
            return Ok(orphans);
        }
        for (id, digest) in &reached {
            unlisted.follow(&mut walk, *id, digest);
            for position in about.remove(digest).into_iter().flatten() {
                walk.add_root(&document.entries()[position], Some(position), String::new());
            }
        }
    }
}

/// An error unless it is known what the document with this fault keeps.
fn known(graph: &Graph, fault: &Fault) -> Result<()> {
    match fault {
        Fault::Missing { .. } => Ok(()),
        Fault::Broken { blob, reason } => {
            let digest = graph.blob(*blob).digest.clone();
            Err(Error::BrokenManifest { digest, reason: reason.clone() })
        }
        Fault::BrokenEntry { root, reason } => {
            let position = graph.roots[*root].position.unwrap_or_default();
            Err(Error::StrangeEntry { position, reason: reason.clone() })
        }
    }
}

/// The nameless entries outside `removed` whose document has a subject.
fn referrers<'d>(
    repository: &Repository,
    document: &'d Document,
    removed: &HashSet<usize>,
) -> Vec<Referrer<'d>> {
    let nameless: Vec<(usize, &Entry)> = document
        .entries()
        .iter()
        .enumerate()
        .filter(|(position, entry)| !removed.contains(position) && !entry.is_named())
        .collect();
    let found = in_parallel(&nameless, repository.jobs(), |(position, entry)| {
        let descriptor = entry.descriptor().ok()?;
        let subject = repository.document(descriptor).ok()?.subject()?.digest.clone();
        Some(Referrer { position: *position, descriptor, subject })
    });
    found.into_iter().flatten().collect()
}

/// Documents reached by `manifests` alone. Only indexes are opened for it.
#[derive(Debug, Default)]
struct Reach {
    reached: HashSet<Digest>,
    unreadable: Vec<String>,
    opened: HashSet<(Digest, Class)>,
}

impl Reach {
    fn of(repository: &Repository, from: &Descriptor) -> Self {
        let mut reach = Self::default();
        reach.extend(repository, from);
        reach
    }

    fn extend(&mut self, repository: &Repository, from: &Descriptor) {
        let mut open = vec![from.clone()];
        while let Some(descriptor) = open.pop() {
            self.reached.insert(descriptor.digest.clone());
            let class = Class::of(&descriptor.media_type);
            let names_children = matches!(class, Class::Index | Class::Unknown);
            if !names_children || !self.opened.insert((descriptor.digest.clone(), class)) {
                continue;
            }
            match repository.document(&descriptor) {
                Ok(node) => open.extend(
                    node.edges
                        .into_iter()
                        .filter(|edge| matches!(edge.link, Link::Manifest | Link::Guess))
                        .map(|edge| edge.descriptor),
                ),
                Err(error) => self.unreadable.push(error.to_string()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::edit::Put;
    use crate::ingest::Ingest;
    use crate::{InitOptions, Settings};

    const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

    fn descriptor(media_type: &str, digest: &Digest, text: &str) -> String {
        format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{}}}"#, text.len())
    }

    fn new_repository() -> (tempfile::TempDir, Repository) {
        let dir = tempfile::tempdir().unwrap();
        let made = Repository::init(dir.path(), InitOptions::default(), Settings::default());
        (dir, made.unwrap().0)
    }

    /// The digest of a document, and what puts it into index.json without a name.
    fn put(ingest: &Ingest<'_>, media_type: &str, text: &str) -> (Put, Digest) {
        let digest = ingest.put_bytes(text.as_bytes()).unwrap();
        let entry = Entry::for_descriptor(media_type, &digest, text.len() as u64, None);
        (Put { entry, name: None, replace: false }, digest)
    }

    /// A referrer that is an index of an index that is not there.
    #[test]
    fn what_cannot_be_read_holds_others_only_while_it_stays() {
        let (_dir, repository) = new_repository();
        let lock = repository.lock_shared().unwrap();
        let ingest = lock.ingest().unwrap();
        let absent = descriptor(INDEX, &Digest::sha256(b"x"), "x");
        let subject = r#"{"schemaVersion":2,"layers":[]}"#;
        let (one, digest) = put(&ingest, IMAGE, subject);
        let (other, _) = put(&ingest, IMAGE, r#"{"schemaVersion":2,"layers":[],"x":1}"#);
        let about_one = descriptor(IMAGE, &digest, subject);
        let referrer = format!(r#"{{"schemaVersion":2,"manifests":[{absent}],"subject":{about_one}}}"#);
        let (referrer, _) = put(&ingest, INDEX, &referrer);
        ingest.commit(&[one, other, referrer]).unwrap();

        let document = repository.index().unwrap();
        let goes = |removed: usize| left_behind(&repository, &document, &[removed]).unwrap();
        let with_its_subject = goes(0);
        assert_eq!(with_its_subject.taken.len(), 1);
        assert!(with_its_subject.unreadable.is_empty());
        let without = goes(1);
        assert!(without.taken.is_empty() && without.unreadable.len() == 1);
    }

    #[test]
    fn nothing_is_an_orphan_while_an_index_cannot_be_read() {
        let (_dir, repository) = new_repository();
        let lock = repository.lock_shared().unwrap();
        let ingest = lock.ingest().unwrap();
        let child = r#"{"schemaVersion":2,"layers":[]}"#;
        let child_digest = ingest.put_bytes(child.as_bytes()).unwrap();
        let child = descriptor(IMAGE, &child_digest, child);
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{child}]}}"#);
        let signature = format!(r#"{{"schemaVersion":2,"layers":[],"subject":{child}}}"#);
        let ((listed, index_digest), (about, _)) =
            (put(&ingest, INDEX, &index), put(&ingest, IMAGE, &signature));
        ingest.commit(&[listed, about]).unwrap();

        let find = || orphans(&repository, &repository.index().unwrap());
        assert_eq!(find().unwrap(), [0; 0]);
        std::fs::write(repository.blobs().path(&index_digest), index.replace(',', ";")).unwrap();
        assert!(matches!(find(), Err(Error::BrokenManifest { digest, .. }) if digest == index_digest));
    }
}
