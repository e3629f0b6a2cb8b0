//! A source of good copies, as it lies there.
//!
//! Blobs that lie under their digests are taken from there. Images of docker archives have theirs made
//! as `add` makes them, once something is wanted that does not lie under its digest; what was made
//! stays in the session.

use std::cell::Cell;

use ocirepo_store::ingest::Ingest;
use ocirepo_store::parallel::on_threads;
use ocirepo_store::verify::Lost;
use ocirepo_store::{Progress, Unit};

use super::is_of_source;
use crate::archive::{Content, Member};
use crate::bundle::Toc;
use crate::error::Result;
use crate::import::carrier::{BlobNames, Carrier};
use crate::import::made;
use crate::import::recognise::{Described, Recognised, recognise};
use crate::import::task::Task;
use crate::import::volumes::blame;

/// What came of asking for a blob.
#[derive(Debug)]
pub(super) enum Brought {
    /// It is in the session, proven. Where it came from.
    Good(String),
    /// It is there, and no good: in words.
    Bad(String),
    Absent,
}

/// An open source.
pub(super) struct Opened<'a> {
    pub(super) carrier: Carrier<'a>,
    pub(super) toc: Option<Toc>,
    /// How its images are described, until they are made.
    described: Cell<Option<Described>>,
}

impl<'a> Opened<'a> {
    /// Finds out what a source is, as far as it could be read: `whole` says whether that is all of it.
    /// One that cannot be told is still a place where blobs may lie. What is odd is said in `warnings`.
    ///
    /// # Errors
    /// Those that are not about the source.
    pub(super) fn new(
        ingest: &'a Ingest<'a>,
        content: &'a dyn Content,
        progress: &'a dyn Progress,
        whole: Result<()>,
        warnings: &mut Vec<String>,
    ) -> Result<Self> {
        let is_whole = tolerate(whole, content, warnings)?.is_some();
        let found = match recognise(content) {
            // That it cannot be told is no wonder then.
            Err(error) if is_of_source(&error) && !is_whole => None,
            found => tolerate(found, content, warnings)?,
        };
        let (prefix, toc, blobs, described) = match found {
            Some(Recognised { prefix, toc, blobs, described }) => (prefix, toc, blobs, Some(described)),
            None => (folder_of_blobs(content), None, BlobNames::Layout, None),
        };
        let carrier = Carrier::new(content, (prefix, blobs), ingest, progress);
        Ok(Self { carrier, toc, described: Cell::new(described) })
    }

    /// Brings what is wanted into the session, as far as it is here: an answer for each.
    ///
    /// # Errors
    /// Those that are not about the source.
    pub(super) fn bring(&self, wanted: &[Lost], warnings: &mut Vec<String>) -> Result<Vec<Brought>> {
        let carrier = &self.carrier;
        let members: Vec<(&Lost, Result<Option<Member>>)> =
            wanted.iter().map(|lost| (lost, carrier.blob(&lost.digest))).collect();
        let sizes = members.iter().filter_map(|(_, member)| member.as_ref().ok()?.as_ref());
        let total = sizes.map(|member| member.size).fold(0, u64::saturating_add);
        let task =
            (total > 0).then(|| Task::begin(carrier.progress, carrier.label(), Unit::Bytes, Some(total)));
        let jobs = carrier.repository().jobs();
        let brought = on_threads(&members, jobs, |(lost, member)| match member {
            Ok(Some(member)) => Some(bring(carrier, lost, member)),
            Ok(None) | Err(_) => None,
        });
        drop(task);
        let mut answers = Vec::with_capacity(wanted.len());
        for ((lost, member), brought) in members.into_iter().zip(brought) {
            let brought = brought.unwrap_or_else(|| member.map(|_| Brought::Absent));
            answers.push(answer(lost, brought)?);
        }
        if answers.iter().any(|answer| !matches!(answer, Brought::Good(_))) {
            self.make(warnings)?;
            for (lost, answer) in wanted.iter().zip(&mut answers) {
                let made = carrier.ingest.kept_size(&lost.digest);
                if made.is_some_and(|size| lost.may_be(size)) && !matches!(answer, Brought::Good(_)) {
                    *answer = Brought::Good(carrier.label().to_owned());
                }
            }
        }
        Ok(answers)
    }

    /// Makes the images that come without manifests, once.
    fn make(&self, warnings: &mut Vec<String>) -> Result<()> {
        let Some(described) = self.described.take() else { return Ok(()) };
        for error in made::make(&self.carrier, described) {
            tolerate::<()>(Err(error), self.carrier.content, warnings)?;
        }
        Ok(())
    }
}

fn bring(carrier: &Carrier<'_>, lost: &Lost, member: &Member) -> Result<Brought> {
    if let Some(&expected) = lost.sizes.first().filter(|_| !lost.may_be(member.size)) {
        carrier.check_size(member, expected)?;
    }
    carrier.bring(&lost.digest, member.size, member)?;
    Ok(Brought::Good(carrier.label().to_owned()))
}

/// What is wrong with a copy is an answer.
pub(super) fn answer(lost: &Lost, brought: Result<Brought>) -> Result<Brought> {
    match brought {
        Err(error) if is_of_source(&error) => {
            Ok(Brought::Bad(format!("no good copy of {}: {}", lost.digest, error.with_cause())))
        }
        brought => brought,
    }
}

/// What is wrong with a source is a warning.
fn tolerate<T>(found: Result<T>, content: &dyn Content, warnings: &mut Vec<String>) -> Result<Option<T>> {
    match found {
        Err(error) if is_of_source(&error) => {
            warnings.push(blame(content, error).with_cause());
            Ok(None)
        }
        found => found.map(Some),
    }
}

/// The folder that blobs lie in as in an image layout: the top, or the first one that has some.
fn folder_of_blobs(content: &dyn Content) -> String {
    let folders = content.folders().into_iter().map(|folder| format!("{folder}/"));
    let mut candidates = std::iter::once(String::new()).chain(folders);
    candidates.find(|folder| content.has_below(&format!("{folder}blobs"))).unwrap_or_default()
}
