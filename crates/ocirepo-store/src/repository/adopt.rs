//! Taking over blobs that lie around without an index.json, as a killed copy leaves them.
//!
//! Every document among them that no other document names in its `manifests` is listed, without a
//! name: which names there were, nothing can tell. What is left over is garbage, for gc to sweep.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;

use super::Repository;
use crate::blob;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::graph::{Class, Link, Loaded, MAX_MANIFEST_SIZE, Node, Wanted, class_by_shape, own_media_type};
use crate::index::{Document, Entry};

/// An index.json that lists every image that can be found among the blobs.
pub(super) fn find_images(repository: &Repository) -> Result<Document> {
    let mut found = BTreeMap::new();
    let mut children = HashSet::new();
    for digest in blob::list(repository.blobs(), repository.root())?.blobs {
        let Some((file, stat)) = repository.blobs().open(&digest)? else { continue };
        let size = stat.size;
        if size > MAX_MANIFEST_SIZE {
            continue;
        }
        // What cannot be read may be an image, and to pass it over would make it garbage.
        let mut bytes = Vec::new();
        file.take(MAX_MANIFEST_SIZE)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::io("read", repository.blobs().path(&digest), error))?;
        // As an unknown type: so that blobs that are no documents are passed over.
        let wanted = Wanted { digest: &digest, class: Class::Unknown, size: Some(size), embedded: None };
        let Loaded::Content(bytes) = wanted.prove(size, bytes.as_slice()) else { continue };
        let Some(class) = class_by_shape(&bytes) else { continue };
        let Ok(node) = Node::parse(&bytes, class) else { continue };
        children.extend(node.linked(Link::Manifest).map(|child| child.digest.clone()));
        let media_type = own_media_type(&bytes).unwrap_or_else(|| default_media_type(class, &node));
        found.insert(digest, (media_type, size));
    }
    let mut document = Document::empty();
    document.entries_mut().extend(
        found
            .iter()
            .filter(|(digest, _)| !children.contains::<Digest>(digest))
            .map(|(digest, (media_type, size))| Entry::for_descriptor(media_type, digest, *size, None)),
    );
    Ok(document)
}

/// The media type of a document that does not say its own, as OCI documents need not.
fn default_media_type(class: Class, node: &Node) -> String {
    let docker = node
        .edges
        .iter()
        .any(|edge| edge.link == Link::Config && edge.descriptor.media_type.contains("vnd.docker."));
    match (class, docker) {
        (Class::Index, _) => "application/vnd.oci.image.index.v1+json",
        (Class::Schema1, _) => "application/vnd.docker.distribution.manifest.v1+prettyjws",
        (Class::Artifact, _) => "application/vnd.oci.artifact.manifest.v1+json",
        (_, true) => "application/vnd.docker.distribution.manifest.v2+json",
        (_, false) => "application/vnd.oci.image.manifest.v1+json",
    }
    .to_owned()
}
