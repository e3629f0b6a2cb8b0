//! Why a blob is kept: the way from a root down to it.

use std::collections::HashSet;

use super::mark::mark;
use crate::blob;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::graph::{
    BlobId, Class, Descriptor, Documents as _, Graph, Link, Node, Platform, Root, own_media_type,
};
use crate::index::Document;
use crate::pending::PendingBundle;
use crate::repository::Repository;

/// One blob on the way from a root.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// The blob.
    pub digest: Digest,
    /// How the blob before names it; `None` for the root.
    pub link: Option<Link>,
    /// The media type that it is named with, if any; that of a referrer is its own.
    pub media_type: Option<String>,
    /// Its size in bytes as it is declared; schema 1 declares none.
    pub size: Option<u64>,
    /// The platform that it is named with.
    pub platform: Option<Platform>,
}

/// Why a blob is kept, or that it is not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Why {
    /// The blob that was asked about.
    pub digest: Digest,
    /// Whether it is there.
    pub is_present: bool,
    /// A shortest way from a root; empty for garbage.
    pub path: Vec<Step>,
    /// What the root of that way is called: all its names, or its digest or position.
    pub root: Vec<String>,
    /// Every root that needs it, by name, digest or position; for what no root needs, every pending
    /// bundle that does.
    pub images: Vec<String>,
}

impl Why {
    /// Whether nothing needs the blob.
    #[must_use]
    pub fn is_garbage(&self) -> bool {
        self.path.is_empty()
    }
}

/// Tells why the blob `query` is kept: a digest, at least 7 hex digits that begin one, or the name
/// of an image.
///
/// # Errors
/// [`Error::NotFound`] when it is neither there nor named by anything, [`Error::Ambiguous`] when
/// several blobs begin so.
pub fn why(repository: &Repository, query: &str) -> Result<Why> {
    let document = repository.index()?;
    let listed = blob::list(repository.blobs(), repository.root())?.blobs;
    let graph = mark(repository, &document, &[], listed)?;
    let known: HashSet<&Digest> =
        graph.unreached().into_iter().chain(graph.blobs().map(|(_, blob)| &blob.digest)).collect();
    let digest = match repository.resolve(&document, query) {
        Ok(found) if !found.by_digest => document.entries()[found.positions[0]].digest().cloned(),
        _ => None,
    };
    let digest = digest.map_or_else(|| pick(&known, query, repository), Ok)?;
    let is_present = repository.blob_size(&digest)?.is_some();
    let Some(id) = graph.find(&digest) else {
        return kept_for_bundles(repository, digest, is_present);
    };
    let path = graph.path_to(id);
    let is_root = |root: &&Root| path.first().is_some_and(|(id, _)| root.blob == Some(*id));
    let root = graph.roots.iter().filter(is_root).map(|root| root.label.clone()).collect();
    let path = describe(repository, &document, &graph, &path);
    Ok(Why { digest, is_present, path, root, images: graph.ancestry().labels_of(id) })
}

/// The way with what each document on it says of the next.
fn describe(
    repository: &Repository,
    document: &Document,
    graph: &Graph,
    path: &[(BlobId, Option<Link>)],
) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for &(id, link) in path {
        let blob = graph.blob(id);
        let mut step =
            Step { digest: blob.digest.clone(), link, media_type: None, size: blob.size, platform: None };
        let descriptor = match steps.last() {
            None => {
                let mut entries = document.entries().iter();
                entries
                    .find_map(|entry| entry.descriptor().ok().filter(|it| it.digest == step.digest))
                    .cloned()
            }
            Some(above) if link != Some(Link::Referrer) => named_in(repository, above, &step.digest),
            Some(_) => None,
        };
        if let Some(descriptor) = descriptor {
            step.media_type = Some(descriptor.media_type).filter(|text| !text.is_empty());
            step.platform = descriptor.platform;
        } else if blob.is_document {
            step.media_type =
                repository.content(&step.digest, step.size, None).as_deref().and_then(own_media_type);
        }
        steps.push(step);
    }
    steps
}

/// The descriptor with which a document names another blob.
fn named_in(repository: &Repository, above: &Step, digest: &Digest) -> Option<Descriptor> {
    let class = Class::of(above.media_type.as_deref().unwrap_or_default());
    let node = Node::parse(&repository.content(&above.digest, above.size, None)?, class).ok()?;
    node.edges.into_iter().map(|edge| edge.descriptor).find(|descriptor| descriptor.digest == *digest)
}

/// What no root needs may still be needed by bundles that wait for volumes.
fn kept_for_bundles(repository: &Repository, digest: Digest, is_present: bool) -> Result<Why> {
    let needs = |bundle: &PendingBundle| bundle.needs().is_ok_and(|needs| needs.contains_key(&digest));
    let bundles = repository.pendings()?.into_iter().filter(needs);
    let images: Vec<String> = bundles.map(|bundle| format!("pending bundle {}", bundle.id())).collect();
    let step = Step { digest: digest.clone(), link: None, media_type: None, size: None, platform: None };
    let path = images.first().map(|_| step).into_iter().collect();
    Ok(Why { digest, is_present, path, root: images.clone(), images })
}

fn pick(known: &HashSet<&Digest>, query: &str, repository: &Repository) -> Result<Digest> {
    if let Some(exact) = known.iter().find(|digest| digest.as_str() == query) {
        return Ok((*exact).clone());
    }
    let prefix = query.strip_prefix("sha256:").unwrap_or(query);
    let long_enough = prefix.len() >= 7 && prefix.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut fitting: Vec<&Digest> =
        known.iter().filter(|digest| long_enough && digest.encoded().starts_with(prefix)).copied().collect();
    fitting.sort_unstable();
    match fitting.as_slice() {
        [] => {
            let (query, path) = (query.to_owned(), repository.path().to_owned());
            Err(Error::NotFound { query, path, similar: Vec::new() })
        }
        [one] => Ok((*one).clone()),
        several => Err(Error::Ambiguous {
            query: query.to_owned(),
            candidates: several.iter().map(ToString::to_string).collect(),
        }),
    }
}
