//! What the images of a repository take on the disk, each by itself and all together, and what would
//! be free again if one of them went.
//!
//! # What it promises
//! - Only what is there counts, at the size that it has. What is missing is absent, and no error.
//! - [`Share::frees`] is what `remove` and a garbage collection after it do: nameless referrers go along,
//!   other names and signatures that stay hold what they hold, and so do pending bundles. Where a
//!   collection would be refused it is `None`, and [`Usage::doubts`] says why.
//! - Of layers that are held twice only those are told of whose content was proven; see
//!   [`layers`](crate::layers).
//!
//! All of it comes from one walk over the graph and one look at each blob.

mod doubts;
mod shares;
mod twice;

pub use twice::{Form, HeldTwice, Holding};

use self::shares::Shares;
use crate::blob::{self, Listing};
use crate::digest::Digest;
use crate::disk::Kind;
use crate::error::{Error, Result};
use crate::gc::Amount;
use crate::gc::mark::mark_all;
use crate::gc::waiting::Waiting;
use crate::graph::Graph;
use crate::index::Document;
use crate::parallel::in_parallel;
use crate::repository::Repository;

/// What one image, or several together, take. All in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Share {
    /// Everything that they name, each blob once.
    pub total: u64,
    /// What no other image names. Another name of the same image is no other image.
    pub unique: u64,
    /// What would be free if these entries were removed and garbage collected; `None` when a collection
    /// would be refused.
    pub frees: Option<u64>,
}

impl Share {
    /// What other images name as well.
    #[must_use]
    pub const fn shared(&self) -> u64 {
        self.total - self.unique
    }
}

/// What a repository takes.
#[derive(Debug)]
#[non_exhaustive]
pub struct Usage {
    /// One for each entry of index.json, in its order.
    pub images: Vec<Share>,
    /// What the images would take if they shared nothing. An image counts once, whatever its names.
    pub sum: u64,
    /// The blobs that a garbage collection keeps.
    pub kept: Amount,
    /// The blobs that nothing needs; none while there are doubts.
    pub garbage: Amount,
    /// What came of bundles that wait for volumes, in bytes.
    pub pending: u64,
    /// What `verify` moved aside, in bytes.
    pub quarantine: u64,
    /// What running and dead sessions have staged, in bytes.
    pub staging: u64,
    /// Layers that are there under several compressions.
    pub twice: Vec<HeldTwice>,
    /// Why a garbage collection would be refused now.
    pub doubts: Vec<String>,
    shares: Shares,
}

impl Usage {
    /// What some entries take together, by position in index.json.
    #[must_use]
    pub fn together(&self, positions: &[usize]) -> Share {
        self.shares.of(positions, &mut self.shares.marks())
    }
}

/// Measures a repository. A caller that holds [`Repository::lock_reading`] knows that nothing is
/// swept meanwhile.
///
/// # Errors
/// When `blobs/` or `.ocirepo/` cannot be listed, or a blob cannot be asked for its size.
pub fn usage(repository: &Repository, document: &Document) -> Result<Usage> {
    let Listing { blobs, linked, .. } = blob::list(repository.blobs(), repository.root())?;
    let graph = kept(repository, document, blobs)?;
    let waiting = Waiting::find([repository])?;
    let reached: Vec<&Digest> = graph.blobs().map(|(_, blob)| &blob.digest).collect();
    let sizes = sizes(repository, &reached)?;
    let doubts = doubts::find(repository, document, &graph, &linked, &waiting)?;
    let mut kept = Amount::default();
    sizes.iter().flatten().for_each(|&size| kept.add(size));
    let mut garbage = Amount::default();
    let unreached = graph.unreached();
    for (digest, size) in unreached.iter().zip(self::sizes(repository, &unreached)?) {
        let stays = !doubts.is_empty() || waiting.needed.contains(*digest);
        let side = if stays { &mut kept } else { &mut garbage };
        size.into_iter().for_each(|size| side.add(size));
    }
    let twice = twice::find(repository, &graph, &sizes)?;
    let own = repository.own_dir()?;
    let bytes_in = |name| own.as_ref().map_or(Ok(0), |own| own.bytes_in(name));
    let sizes = sizes.into_iter().map(Option::unwrap_or_default).collect();
    let shares = Shares::new(document, &graph, sizes, &waiting.needed, !doubts.is_empty());
    Ok(Usage {
        images: shares.all(),
        sum: shares.sum(),
        kept,
        garbage,
        pending: repository.pendings()?.iter().filter_map(|bundle| bundle.bytes().ok()).sum(),
        quarantine: bytes_in(crate::verify::QUARANTINE)?,
        staging: bytes_in(crate::ingest::TMP)?,
        twice,
        doubts,
        shares,
    })
}

impl Repository {
    /// Everything that the entries of `document` keep, as a garbage collection marks it: what they lead
    /// to, and what is about that, listed or not. What cannot be read is among the faults, or left out.
    ///
    /// # Errors
    /// When `blobs/` cannot be listed.
    pub fn graph(&self, document: &Document) -> Result<Graph> {
        kept(self, document, blob::list(self.blobs(), self.root())?.blobs)
    }
}

fn kept(repository: &Repository, document: &Document, listed: Vec<Digest>) -> Result<Graph> {
    mark_all(repository, document, &[], listed, &|error: Error| {
        tracing::debug!("not looked into: {error}");
        Ok(())
    })
}

/// The sizes of blobs; `None` for one that is not there.
fn sizes(repository: &Repository, digests: &[&Digest]) -> Result<Vec<Option<u64>>> {
    let stats = in_parallel(digests, repository.jobs(), |digest| repository.blobs().stat(digest));
    let size = |stat: Option<crate::disk::Stat>| stat.filter(|it| it.kind == Kind::File).map(|it| it.size);
    stats.into_iter().map(|stat| stat.map(size)).collect()
}
