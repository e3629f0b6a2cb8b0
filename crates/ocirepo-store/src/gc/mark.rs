//! Marking: the graph of everything that is kept.

use std::collections::HashMap;
use std::io::Read;

use crate::blob::Listing;
use crate::digest::Digest;
use crate::error::Result;
use crate::graph::{Class, Graph, MAX_MANIFEST_SIZE, Node, Walk, class_by_shape, looks_like_json};
use crate::index::Document;
use crate::parallel::in_parallel;
use crate::repository::Repository;

/// A document that says it is about another one.
struct Candidate {
    digest: Digest,
    size: u64,
    class: Class,
}

/// Everything that the entries of `document`, and those of `others`, keep: what is reachable, and
/// unlisted documents whose subject is, to a fixpoint.
pub(crate) fn mark(
    repository: &Repository,
    document: &Document,
    others: &[(String, Document)],
    listing: &Listing,
) -> Result<Graph> {
    let mut walk = Walk::new(repository.blobs(), repository.jobs());
    for (position, entry) in document.entries().iter().enumerate() {
        walk.add_root(entry, Some(position), entry.label(position));
    }
    for (path, other) in others {
        for (position, entry) in other.entries().iter().enumerate() {
            walk.add_root(entry, None, format!("{} in {path}", entry.label(position)));
        }
    }
    walk.run();
    keep_referrers(repository, &mut walk, listing)?;
    Ok(walk.finish())
}

fn keep_referrers(repository: &Repository, walk: &mut Walk<'_>, listing: &Listing) -> Result<()> {
    let unmarked: Vec<&Digest> =
        listing.blobs.iter().filter(|digest| walk.graph().find(digest).is_none()).collect();
    let found = in_parallel(&unmarked, repository.jobs(), |digest| subject_of(repository, digest));
    let mut about: HashMap<Digest, Vec<Candidate>> = HashMap::new();
    for candidate in found {
        if let Some((subject, candidate)) = candidate? {
            about.entry(subject).or_default().push(candidate);
        }
    }
    // Only blobs that were reached since the last round can bring more referrers to life.
    let mut judged = 0;
    while !about.is_empty() && judged < walk.graph().blobs().len() {
        let reached: Vec<_> =
            walk.graph().blobs().skip(judged).map(|(id, blob)| (id, blob.digest.clone())).collect();
        judged += reached.len();
        for (id, subject) in reached {
            for candidate in about.remove(&subject).unwrap_or_default() {
                walk.add_referrer(&candidate.digest, candidate.size, candidate.class, id);
            }
        }
        walk.run();
    }
    Ok(())
}

/// What an unmarked blob is about, if it is a document with a subject. Its digest is not proven
/// here: if the subject is alive the walk will do that, and a damaged referrer stops the sweep.
fn subject_of(repository: &Repository, digest: &Digest) -> Result<Option<(Digest, Candidate)>> {
    let Some((mut file, stat)) = repository.blobs().open(digest)? else { return Ok(None) };
    if stat.size > MAX_MANIFEST_SIZE {
        return Ok(None);
    }
    let fail = |error| crate::Error::io("read", repository.blobs().path(digest), error);
    let mut head = [0; 64];
    let read = file.read(&mut head).map_err(fail)?;
    if !looks_like_json(&head[..read]) && !head[..read].iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let mut bytes = head[..read].to_vec();
    file.take(MAX_MANIFEST_SIZE).read_to_end(&mut bytes).map_err(fail)?;
    let Some(subject) = subject_in(&bytes) else { return Ok(None) };
    // One that is sound but odd keeps all that it seems to name. Nothing lists it, so a strict
    // judgement would stop every sweep for good.
    let is_odd = |class: &Class| digest.proves(&bytes) && Node::parse(&bytes, *class).is_err();
    let class = class_by_shape(&bytes).filter(|class| !is_odd(class)).unwrap_or(Class::Unknown);
    Ok(Some((subject, Candidate { digest: digest.clone(), size: stat.size, class })))
}

fn subject_in(bytes: &[u8]) -> Option<Digest> {
    #[derive(serde::Deserialize)]
    struct Document {
        subject: Option<Subject>,
    }
    #[derive(serde::Deserialize)]
    struct Subject {
        digest: String,
    }
    let document: Document = serde_json::from_slice(bytes).ok()?;
    document.subject?.digest.parse().ok()
}
