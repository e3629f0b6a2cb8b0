//! `--merge-platforms`: an image joins the one that has its name, as another platform of it.
//!
//! This is done under the lock of index.json, from what stands there at that moment, so that two
//! who add two platforms of one image at once lose neither.

use std::io::Read as _;

use ocirepo_store::graph::{Class, Descriptor, Link, MAX_MANIFEST_SIZE, Platform};
use ocirepo_store::index::edit::Put;
use ocirepo_store::index::{Document, Entry};
use ocirepo_store::ingest::Ingest;
use ocirepo_store::{Error, Repository, Result};

use super::join::{Child, INDEX, insert};
use super::naming::Planned;
use crate::archive::limits::MAX_CONFIG;

/// What is to be put so that every image joins those that have its name already.
///
/// # Errors
/// When an image that has the name cannot be read.
pub(crate) fn join(ingest: &Ingest<'_>, index: &Document, planned: &[Planned]) -> Result<Vec<Put>> {
    planned
        .iter()
        .map(|planned| {
            let put = &planned.put;
            let mut holders = index.entries().iter().filter(|entry| entry.name().is_some());
            let holder = holders.find(|entry| entry.name() == put.name.as_ref());
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
    if children.is_empty() {
        return Err(unfit(&put.entry));
    }
    let repository = ingest.repository();
    let (mut index, media_type) = match Class::of(&descriptor.media_type) {
        Class::Index => {
            let bytes = read(repository, holder, MAX_MANIFEST_SIZE)?;
            let broken = |reason| Error::BrokenManifest { digest: descriptor.digest.clone(), reason };
            (Document::parse(&bytes).map_err(broken)?, descriptor.media_type.as_str())
        }
        Class::Image => {
            let platform = match &descriptor.platform {
                Some(platform) => Some(platform.clone()),
                None => platform_of(repository, descriptor)?,
            };
            let Some(held) = platform.and_then(|platform| Child::new(holder, platform).ok()) else {
                return Err(unfit(holder));
            };
            let mut index = Document::empty();
            insert(&mut index, &[held]);
            (index, INDEX)
        }
        _ => return Err(unfit(holder)),
    };
    if !insert(&mut index, children) {
        return Ok(Some(holder.clone()));
    }
    if index.entries().len() == 1 {
        return Ok(None);
    }
    let bytes = index.to_bytes();
    let digest = ingest.put_bytes(&bytes)?;
    Ok(Some(Entry::for_descriptor(media_type, &digest, bytes.len() as u64, None)))
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
