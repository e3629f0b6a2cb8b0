//! `--merge-platforms`: an image joins the one that has its name, as another platform of it.
//!
//! This is done under the lock of index.json, from what stands there at that moment, so that two
//! who add two platforms of one image at once lose neither.

use std::io::Read as _;

use ocirepo_store::graph::{Class, Descriptor, Link, MAX_MANIFEST_SIZE, Platform};
use ocirepo_store::index::edit::Put;
use ocirepo_store::index::{Document, Entry};
use ocirepo_store::ingest::Ingest;
use ocirepo_store::{Digest, Error, Repository, Result};

use super::join::{self, Child, INDEX};
use super::naming::Planned;
use crate::archive::limits::MAX_CONFIG;

/// What is to be put so that every image joins those that have its name already.
///
/// # Errors
/// When an image that has the name cannot be read, or has no platforms.
pub(crate) fn join(ingest: &Ingest<'_>, index: &Document, planned: &[Planned]) -> Result<Vec<Put>> {
    planned
        .iter()
        .map(|planned| {
            let put = &planned.put;
            let mut entries = index.entries().iter();
            let holder = put.name.as_ref().and_then(|name| entries.find(|entry| entry.name() == Some(name)));
            let joined = match holder.filter(|holder| holder.digest() != put.entry.digest()) {
                Some(holder) => with(ingest, holder, put, &planned.children)?,
                None => None,
            };
            Ok(Put { entry: joined.unwrap_or_else(|| put.entry.clone()), ..put.clone() })
        })
        .collect()
}

/// The image of an entry with more platforms; `None` when nothing of it would be left.
fn with(ingest: &Ingest<'_>, holder: &Entry, put: &Put, children: &[Child]) -> Result<Option<Entry>> {
    // What is no image for a platform would be lost if the name moved to another.
    let unfit = |entry: &Entry| Error::NoPlatform {
        name: put.name.as_ref().map(ToString::to_string).unwrap_or_default(),
        digest: entry.digest_text().unwrap_or("?").to_owned(),
    };
    let Ok(descriptor) = holder.descriptor() else { return Err(unfit(holder)) };
    if !children.iter().any(|child| child.platform.is_some()) {
        return Err(unfit(&put.entry));
    }
    let repository = ingest.repository();
    let (index, held) = match Class::of(&descriptor.media_type) {
        Class::Index => {
            let bytes = read(repository, holder, MAX_MANIFEST_SIZE)?;
            let broken = |reason| Error::BrokenManifest { digest: descriptor.digest.clone(), reason };
            let index = Document::parse(&bytes).map_err(broken)?;
            let mut held = Vec::with_capacity(index.entries().len());
            for entry in index.entries() {
                held.push(held_child(repository, entry)?.ok_or_else(|| unfit(holder))?);
            }
            (index, held)
        }
        Class::Image => {
            let held = held_child(repository, holder)?.filter(|held| held.platform.is_some());
            (Document::empty(), vec![held.ok_or_else(|| unfit(holder))?])
        }
        _ => return Err(unfit(holder)),
    };
    let before: Vec<Option<Digest>> = held.iter().map(|child| child.entry.digest().cloned()).collect();
    let mut incoming = Vec::with_capacity(children.len());
    for child in children {
        let described = child.entry.descriptor().ok();
        let is_there = described.map(|child| ingest.has(&child.digest, child.size)).transpose()?;
        incoming.push(Child { is_there: is_there.unwrap_or_default(), ..child.clone() });
    }
    let merged = join::merge(held, incoming);
    if merged.iter().map(|child| child.entry.digest().cloned()).eq(before) {
        return Ok(Some(holder.clone()));
    }
    if let [only] = &merged[..]
        && only.entry.digest() == put.entry.digest()
    {
        return Ok(None);
    }
    let media_type = match Class::of(&descriptor.media_type) {
        Class::Index => descriptor.media_type.as_str(),
        _ => INDEX,
    };
    let bytes = join::write(index, merged)
        .map_err(|reason| Error::BrokenManifest { digest: descriptor.digest.clone(), reason })?;
    let digest = ingest.put_bytes(&bytes)?;
    Ok(Some(Entry::for_descriptor(media_type, &digest, bytes.len() as u64, None)))
}

/// An image of the repository as the child of an index; `None` for an index below an index, whose
/// platforms cannot be replaced one by one.
fn held_child(repository: &Repository, entry: &Entry) -> Result<Option<Child>> {
    let Ok(descriptor) = entry.descriptor() else { return Ok(None) };
    let class = Class::of(&descriptor.media_type);
    if class == Class::Index {
        return Ok(None);
    }
    let is_there = repository.blob_size(&descriptor.digest)? == Some(descriptor.size);
    let platform = match &descriptor.platform {
        None if is_there && class == Class::Image => platform_of(repository, descriptor)?,
        platform => platform.clone(),
    };
    Ok(Child::new(entry, platform).ok().map(|child| Child { is_there, ..child }))
}

fn platform_of(repository: &Repository, descriptor: &Descriptor) -> Result<Option<Platform>> {
    let node = repository.document(descriptor)?;
    let Some(config) = node.linked(Link::Config).next().filter(|config| config.size <= MAX_CONFIG) else {
        return Ok(None);
    };
    let entry = Entry::for_descriptor(&config.media_type, &config.digest, config.size, None);
    Ok(Platform::of_config(&read(repository, &entry, MAX_CONFIG)?))
}

/// The content of a blob that `entry` describes, proven.
fn read(repository: &Repository, entry: &Entry, limit: u64) -> Result<Vec<u8>> {
    let Ok(descriptor) = entry.descriptor() else { return Ok(Vec::new()) };
    let mut reader = repository.read_blob(&descriptor.digest, Some(descriptor.size))?.take(limit);
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(|error| Error::BrokenManifest {
        digest: descriptor.digest.clone(),
        reason: error.to_string(),
    })?;
    Ok(bytes)
}
