//! Documents that say which other one they are about, and that may be alive because of it alone.
//!
//! A signature need not be listed in index.json: its `subject` is enough. What has one is found by
//! looking into every blob that could be such a document.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

use super::load::looks_like_json;
use super::media_type::Class;
use super::node::{MAX_MANIFEST_SIZE, Node, class_by_shape};
use super::walk::{BlobId, Walk};
use crate::blob::Blobs;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::parallel::in_runs_counted;
use crate::progress::Progress;

/// A document that says it is about another one.
#[derive(Debug)]
struct Candidate {
    digest: Digest,
    size: u64,
    class: Class,
}

/// Documents that no walk has reached yet, by what they are about.
#[derive(Debug)]
pub(crate) struct Unlisted {
    about: HashMap<Digest, Vec<Candidate>>,
}

impl Unlisted {
    /// Finds those of `unmarked` that have a subject. `unreadable` judges what cannot be read: what
    /// it gives back ends the search.
    pub(crate) fn find(
        blobs: &Blobs,
        jobs: usize,
        unmarked: &[&Digest],
        unreadable: &dyn Fn(Error) -> Result<()>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let mut about: HashMap<Digest, Vec<Candidate>> = HashMap::new();
        let large = Mutex::default();
        // Most are about nothing.
        let found = in_runs_counted(unmarked, jobs, progress, |run| -> Vec<Result<(Digest, Candidate)>> {
            run.iter().filter_map(|digest| look_into(blobs, digest, &large).transpose()).collect()
        });
        for found in found.into_iter().flatten() {
            match found {
                Ok((subject, candidate)) => about.entry(subject).or_default().push(candidate),
                Err(error) => unreadable(error)?,
            }
        }
        // Directories are listed in no order; what is made of this has one.
        about.values_mut().for_each(|those| those.sort_unstable_by(|a, b| a.digest.cmp(&b.digest)));
        Ok(Self { about })
    }

    /// Adds what is about a reached document to the walk.
    pub(crate) fn follow(&mut self, walk: &mut Walk<'_>, subject: BlobId, digest: &Digest) {
        for candidate in self.about.remove(digest).unwrap_or_default() {
            walk.add_referrer(&candidate.digest, candidate.size, candidate.class, subject);
        }
    }

    /// Follows everything that is about what the walk reaches, to a fixpoint.
    pub(crate) fn exhaust(mut self, walk: &mut Walk<'_>) {
        walk.run();
        let mut judged = 0;
        while !self.about.is_empty() && judged < walk.graph().blobs().len() {
            for (id, digest) in walk.reached_since(&mut judged) {
                self.follow(walk, id, &digest);
            }
            walk.run();
        }
    }
}

/// What the document behind `digest` is about, if it is one with a subject.
pub(crate) fn subject_of(blobs: &Blobs, digest: &Digest) -> Result<Option<Digest>> {
    Ok(look_into(blobs, digest, &Mutex::default())?.map(|(subject, _)| subject))
}

/// So much of a blob tells whether it may be a document, and is all of most documents.
const HEAD: usize = 4096;

/// Most documents are smaller, in bytes; of larger ones, one is looked into at a time.
const LARGE: u64 = 256 << 10;

/// What a blob is about, if it is a document with a subject. Its digest is not proven here: if the
/// subject is alive the walk will do that, and find a damaged referrer. What is larger than [`LARGE`] is
/// read into `large`, so that many threads do not have as many large documents in memory.
fn look_into(blobs: &Blobs, digest: &Digest, large: &Mutex<Vec<u8>>) -> Result<Option<(Digest, Candidate)>> {
    let Some((mut file, stat)) = blobs.open(digest)? else { return Ok(None) };
    if stat.size > MAX_MANIFEST_SIZE {
        return Ok(None);
    }
    let fail = |error| Error::io("read", blobs.path(digest), error);
    let mut head = [0; HEAD];
    let read = file.read(&mut head).map_err(fail)?;
    let head = &head[..read];
    if !looks_like_json(head) && !head.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    if stat.size == read as u64 {
        return Ok(candidate(digest, head));
    }
    // Most of what only begins like JSON shows it here already.
    if subject_in(head).is_err_and(|error| !error.is_eof()) {
        return Ok(None);
    }
    let read_on = |bytes: &mut Vec<u8>| {
        bytes.clear();
        bytes.extend_from_slice(head);
        file.take(MAX_MANIFEST_SIZE).read_to_end(bytes).map_err(fail)?;
        Ok(candidate(digest, bytes))
    };
    if stat.size > LARGE {
        read_on(&mut large.lock().unwrap_or_else(PoisonError::into_inner))
    } else {
        read_on(&mut Vec::new())
    }
}

/// What a blob with this content is about, and what it is then.
fn candidate(digest: &Digest, bytes: &[u8]) -> Option<(Digest, Candidate)> {
    let subject = subject_in(bytes).ok().flatten()?;
    // One that is sound but odd keeps all that it seems to name. Nothing lists it, so a strict
    // judgement would stop every sweep for good.
    let is_odd = |class: &Class| digest.proves(bytes) && Node::parse(bytes, *class).is_err();
    let class = class_by_shape(bytes).filter(|class| !is_odd(class)).unwrap_or(Class::Unknown);
    Some((subject, Candidate { digest: digest.clone(), size: bytes.len() as u64, class }))
}

fn subject_in(bytes: &[u8]) -> serde_json::Result<Option<Digest>> {
    #[derive(serde::Deserialize)]
    struct Document {
        subject: Option<Subject>,
    }
    #[derive(serde::Deserialize)]
    struct Subject {
        digest: String,
    }
    let document: Document = serde_json::from_slice(bytes)?;
    Ok(document.subject.and_then(|subject| subject.digest.parse().ok()))
}
