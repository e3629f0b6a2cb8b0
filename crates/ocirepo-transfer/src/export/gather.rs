//! What an export is made of, whatever it becomes: entries in one order, and their blobs.

use std::collections::BTreeMap;

use ocirepo_store::index::{Document, Entry};
use ocirepo_store::lock::Reading;
use ocirepo_store::name::RefPolicy;
use ocirepo_store::{Digest, Repository, Silent};

use super::bench::Bench;
use super::contents::{self, Blobs};
use super::image::{self, Sort};
use super::{ArchiveType, ExportOptions, ExportedImage, choose};
use crate::bundle::TocImage;
use crate::error::{Error, Result};
use crate::import::oci::{Graph, Listed};

/// An entry that is exported, and what it is.
#[derive(Debug)]
pub(super) struct Sorted {
    pub(super) image: Listed,
    pub(super) sort: Sort,
}

impl Sorted {
    pub(super) fn exported(&self) -> ExportedImage {
        ExportedImage {
            reference: self.image.entry.name().map(ToString::to_string),
            digest: self.image.descriptor.digest.clone(),
            is_artifact: matches!(self.sort, Sort::Artifact),
        }
    }

    pub(super) fn listed(&self) -> TocImage {
        let Listed { entry, descriptor, .. } = &self.image;
        TocImage { reference: entry.name().map(ToString::to_string), digest: descriptor.digest.clone() }
    }
}

/// What is exported, whatever becomes of it.
#[derive(Debug)]
pub(super) struct Gathered {
    /// In the order in which they are listed.
    pub(super) entries: Vec<Sorted>,
    pub(super) blobs: Blobs,
    /// The documents that are nowhere in the repository.
    pub(super) made: BTreeMap<Digest, Vec<u8>>,
    pub(super) warnings: Vec<String>,
}

/// Gathers what the entries of `document` at the positions `wanted` need.
///
/// # Errors
/// When an image is damaged or incomplete.
pub(super) fn gather(
    lock: &Reading<'_>,
    document: &Document,
    wanted: &[usize],
    options: &ExportOptions,
) -> Result<Gathered> {
    if wanted.is_empty() {
        return Err(Error::NothingToExport { repository: lock.path().display().to_string() });
    }
    let bench = Bench::new(lock);
    let carrier = bench.carrier(&Silent);
    let mut graph = Graph::new(&carrier);
    let choice = choose::choose(lock, document, &mut graph, wanted, options)?;
    let mut blobs = contents::blobs(lock, &mut graph, &choice.reached, options)?;
    let mut made = BTreeMap::new();
    for (digest, bytes) in graph.made() {
        // The repository may have what was made here from before, and so may the receiver.
        blobs.required.retain(|blob| blob.digest != *digest);
        blobs.carried.insert(digest.clone(), bytes.len() as u64);
        made.insert(digest.clone(), bytes.clone());
    }
    let mut entries = choice
        .listed
        .into_iter()
        .map(|image| Ok(Sorted { sort: image::sort(&mut graph, &image)?, image: spelled(image, options)? }))
        .collect::<Result<Vec<_>>>()?;
    entries.sort_by_cached_key(|it| sort_key(&it.image.entry));
    if let Some(policy) = options.names {
        respell(&mut entries, policy)?;
    }
    Ok(Gathered { entries, blobs, made, warnings: choice.warnings })
}

/// The order of entries: by name, then by digest; what has no name comes last.
fn sort_key(entry: &Entry) -> (bool, String, String, String) {
    let name = entry.name().map(ToString::to_string);
    (
        name.is_none(),
        name.unwrap_or_default(),
        entry.digest_text().unwrap_or_default().to_owned(),
        entry.json().to_owned(),
    )
}

/// An entry that has its full name in both annotations, as those that other tools made need not.
fn spelled(mut image: Listed, options: &ExportOptions) -> Result<Listed> {
    let Some(name) = image.entry.name() else { return Ok(image) };
    if options.names.is_none() && image.entry.image_name().is_none() && name.image_name().is_some() {
        let ref_name = image.entry.ref_name().map(str::to_owned);
        let renamed = image.entry.with_names(name.image_name().as_deref(), ref_name.as_deref());
        image.entry = renamed.map_err(|reason| Error::NoForm {
            image: image.entry.label(image.position),
            format: "bundle",
            reason,
        })?;
    }
    Ok(image)
}

/// Writes every ref.name as `policy` has it.
fn respell(entries: &mut [Sorted], policy: RefPolicy) -> Result<()> {
    let mut document = Document::empty();
    document.entries_mut().extend(entries.iter().map(|it| it.image.entry.clone()));
    ocirepo_store::name::respell(&mut document, policy)?;
    for (sorted, entry) in entries.iter_mut().zip(document.entries()) {
        sorted.image.entry = entry.clone();
    }
    Ok(())
}

/// Sees that runtimes will not stumble over an index that lists what is not there.
///
/// # Errors
/// [`Error::Sparse`].
pub(super) fn refuse_sparse(
    repository: &Repository,
    blobs: &Blobs,
    options: &ExportOptions,
    warnings: &mut Vec<String>,
) -> Result<()> {
    for (image, lacks) in &blobs.sparse {
        let lacks = lacks.iter().cloned().collect::<Vec<_>>().join(", ");
        if options.archive == ArchiveType::Hybrid && !options.keep_index && options.have.is_none() {
            let repository = repository.path().display().to_string();
            return Err(Error::Sparse { repository, image: image.clone(), lacks });
        }
        warnings.push(format!("{image} is sparse: the repository does not have {lacks}"));
    }
    Ok(())
}
