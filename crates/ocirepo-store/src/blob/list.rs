//! What lies in `blobs/`: the blobs that can be named, and everything else.

use std::path::PathBuf;
use std::sync::Arc;

use super::Blobs;
use crate::digest::{Algorithm, Digest};
use crate::disk::{Dir, Kind};
use crate::error::Result;

/// Something in `blobs/` that is not a blob of a known algorithm. It is reported and left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stranger {
    /// The file, directory or link.
    pub path: PathBuf,
    /// Why it is not a blob.
    pub reason: &'static str,
}

/// Everything found in `blobs/`.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The blobs of known algorithms, in no order.
    pub(crate) blobs: Vec<Digest>,
    pub(crate) strangers: Vec<Stranger>,
    /// `blobs` or directories below it that are links, so that others may share them.
    pub(crate) linked: Vec<PathBuf>,
}

/// Lists `blobs/` without opening or measuring a single blob.
pub(crate) fn list(blobs: &Blobs, root: &Dir) -> Result<Listing> {
    let mut listing = Listing::default();
    let Some(top) = blobs.top()? else { return Ok(listing) };
    if root.stat(super::BLOBS)?.is_some_and(|stat| stat.kind == Kind::Link) {
        listing.linked.push(top.path().to_owned());
    }
    for found in top.list()? {
        let path = top.path().join(&found.name);
        let Some(algorithm) = Algorithm::from_name(&found.name) else {
            listing.strangers.push(Stranger { path, reason: "not a directory of a known digest algorithm" });
            continue;
        };
        match found.kind {
            Kind::Directory => {}
            Kind::Link => listing.linked.push(path.clone()),
            Kind::File | Kind::Other => {
                listing.strangers.push(Stranger { path, reason: "not a directory" });
                continue;
            }
        }
        match blobs.dir(algorithm.name())? {
            Some(dir) => list_algorithm(&dir, algorithm, &mut listing)?,
            None => listing.strangers.push(Stranger { path, reason: "a link that leads to no directory" }),
        }
    }
    listing.strangers.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(listing)
}

fn list_algorithm(dir: &Arc<Dir>, algorithm: Algorithm, listing: &mut Listing) -> Result<()> {
    dir.look_through(&mut |name, kind| {
        let reason = match (Digest::from_parts(algorithm.name(), name), kind) {
            (Ok(digest), Kind::File) => return listing.blobs.push(digest),
            (Err(_), _) => "its name is not a digest",
            (_, Kind::Directory) => "a directory",
            (_, Kind::Link) => "a link",
            (_, Kind::Other) => "not a regular file",
        };
        listing.strangers.push(Stranger { path: dir.path().join(name), reason });
    })
}
