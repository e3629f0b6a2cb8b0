//! Export: entries of a repository become an archive that other tools read.
//!
//! 1. `choose` finds the entries, with what is about them, and takes the platforms that are wanted.
//! 2. `contents` sorts the blobs that they need: carried, left to the receiver, or rightly absent.
//! 3. `layout` and `docker` make the list of members, each with its size.
//! 4. `write` writes them, in one pass. `dir` copies into another repository instead.
//!
//! # What it promises
//! - The same entries give the same bytes, on any machine and at any time.
//! - Everything is known before the first byte is written; what cannot be exported is refused then.
//! - Every blob is proven while it is copied. Memory stays flat, and nothing is copied on the side.

mod bench;
mod choose;
mod contents;
mod dir;
mod docker;
mod image;
mod layout;
mod member;
mod tar;
mod volumes;
mod write;

use std::collections::BTreeMap;
use std::io::Write;

use ocirepo_store::index::{Document, Entry};
use ocirepo_store::lock::Reading;
use ocirepo_store::name::RefPolicy;
use ocirepo_store::{Digest, Progress, Repository, Unit};

pub use dir::{Copied, CopyOptions, export_into};
pub use docker::LayerForm;

use crate::bundle::{Have, Toc, TocBlob, TocImage};
use crate::compress::Encoding;
use crate::error::{Error, Result};
use crate::import::PlatformPattern;
use crate::import::carrier::Carrier;
use crate::import::oci::{Graph, Listed};
use bench::Bench;
use contents::Blobs;
use image::{Runnable, Sort};
use member::Member;

/// What an archive is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ArchiveType {
    /// An image layout and a docker archive in one: what every runtime loads.
    #[default]
    Hybrid,
    /// An image layout.
    Oci,
    /// A docker archive.
    Docker,
    /// A docker archive that docker before 1.10 reads too.
    DockerLegacy,
}

/// How to export.
#[derive(Debug, Clone, Default)]
pub struct ExportOptions {
    /// What the archive is to be.
    pub archive: ArchiveType,
    /// Whether what is about an image goes along: signatures, attestations and the like.
    pub referrers: bool,
    /// Take these platforms only; none stands for all.
    pub platforms: Vec<PlatformPattern>,
    /// Whether a hybrid may hold an index that lists what is not there.
    pub keep_index: bool,
    /// What ref.name holds; `None` for what it holds in the repository.
    pub names: Option<RefPolicy>,
    /// How layers are compressed in a docker archive.
    pub layers: LayerForm,
    /// Blobs that the receiver has, which are left out.
    pub have: Option<Have>,
    /// The size in bytes that no file of the bundle exceeds; several are volumes.
    pub volume_size: Option<u64>,
}

/// An image that is exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedImage {
    /// Its name, if it has one.
    pub reference: Option<String>,
    /// The digest of its manifest or index.
    pub digest: Digest,
    /// Whether it is something else than an image that can be run: a signature, a chart.
    pub is_artifact: bool,
}

/// An archive that is planned, and not written yet.
#[derive(Debug)]
pub struct Export<'r> {
    lock: &'r Reading<'r>,
    volumes: Vec<Vec<Member>>,
    sizes: Vec<u64>,
    /// What is exported, in the order in which it is listed.
    pub images: Vec<ExportedImage>,
    /// The blobs that are carried, with their sizes in bytes.
    pub blobs: BTreeMap<Digest, u64>,
    /// The table of contents; docker archives have none.
    pub toc: Option<Toc>,
    /// What is odd.
    pub warnings: Vec<String>,
}

/// An entry that is exported, and what it is.
struct Sorted {
    image: Listed,
    sort: Sort,
}

/// Plans the export of the entries of `document` at the positions `wanted`.
///
/// # Errors
/// When an image is damaged or incomplete, or has no form in the archive.
pub fn plan_export<'r>(
    lock: &'r Reading<'r>,
    document: &Document,
    wanted: &[usize],
    options: &ExportOptions,
    progress: &dyn Progress,
) -> Result<Export<'r>> {
    let gathered = gather(lock, document, wanted, options)?;
    let Gathered { mut entries, blobs, made, mut warnings } = gathered;
    sparse(lock, &blobs, options, &mut warnings)?;
    let bench = Bench::new(lock);
    let carrier = bench.carrier();
    let (volumes, toc) = match (options.archive, options.volume_size) {
        (ArchiveType::Hybrid | ArchiveType::Oci, Some(limit)) => {
            let (volumes, toc) = volumes::split(&whole(&entries, &blobs, &made), limit)?;
            (volumes, Some(toc))
        }
        (ArchiveType::Hybrid | ArchiveType::Oci, None) => {
            let (members, toc) = layout_members(&carrier, &entries, &blobs, &made, options, &mut warnings)?;
            (vec![members], toc)
        }
        (ArchiveType::Docker | ArchiveType::DockerLegacy, _) => {
            let is_legacy = options.archive == ArchiveType::DockerLegacy;
            let images = docker_images(&mut entries, &mut warnings)?;
            (vec![docker::members(&carrier, &images, options.layers, is_legacy, progress)?], None)
        }
    };
    let images = entries.iter().map(exported).collect();
    let sizes = volumes.iter().map(|members| member::archive_size(members));
    let sizes = sizes
        .collect::<std::io::Result<_>>()
        .map_err(|source| Error::Write { output: "the archive".to_owned(), source })?;
    Ok(Export { lock, volumes, sizes, images, blobs: blobs.carried, toc, warnings })
}

/// What volumes are made of: an image layout that lists everything in index.json.
fn whole<'e>(
    entries: &[Sorted],
    blobs: &'e Blobs,
    made: &'e BTreeMap<Digest, Vec<u8>>,
) -> volumes::Whole<'e> {
    volumes::Whole {
        images: entries.iter().map(listed).collect(),
        entries: entries.iter().map(|it| it.image.entry.clone()).collect(),
        blobs: &blobs.carried,
        required: blobs.required.clone(),
        made,
    }
}

fn listed(sorted: &Sorted) -> TocImage {
    let Listed { entry, descriptor, .. } = &sorted.image;
    TocImage { reference: entry.name().map(ToString::to_string), digest: descriptor.digest.clone() }
}

/// What is exported, whatever becomes of it.
struct Gathered {
    /// In the order in which they are listed.
    entries: Vec<Sorted>,
    blobs: Blobs,
    /// The documents that are nowhere in the repository.
    made: BTreeMap<Digest, Vec<u8>>,
    warnings: Vec<String>,
}

fn gather(
    lock: &Reading<'_>,
    document: &Document,
    wanted: &[usize],
    options: &ExportOptions,
) -> Result<Gathered> {
    if wanted.is_empty() {
        return Err(Error::NothingToExport { repository: lock.path().display().to_string() });
    }
    let bench = Bench::new(lock);
    let carrier = bench.carrier();
    let mut graph = Graph::new(&carrier);
    let choice = choose::choose(lock, document, &mut graph, wanted, options)?;
    let mut blobs = contents::blobs(lock, &mut graph, &choice.reached, options)?;
    let mut made = BTreeMap::new();
    for (digest, bytes) in graph.made() {
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

impl Export<'_> {
    /// The sizes of the files in bytes, uncompressed: one, or one for each volume.
    #[must_use]
    pub fn sizes(&self) -> &[u64] {
        &self.sizes
    }

    /// Writes the archive, or every volume in turn: `next` gives the file for the volume of a number,
    /// counted from 1, and what it is called in messages; `done` takes it back.
    ///
    /// # Errors
    /// When a blob is not what it should be, or a file refuses, and those of `next` and `done`. What
    /// was written is of no use then.
    pub fn write<W: Write + Send, E: From<Error>>(
        &self,
        compress: Option<Encoding>,
        progress: &dyn Progress,
        next: &mut dyn FnMut(u32) -> Result<(W, String), E>,
        done: &mut dyn FnMut(u32, W) -> Result<(), E>,
    ) -> Result<(), E> {
        let bench = Bench::new(self.lock);
        let carrier = bench.carrier();
        let mut state = write::State::default();
        for ((number, members), size) in (1..).zip(&self.volumes).zip(&self.sizes) {
            let (mut out, label) = next(number)?;
            progress.begin(&format!("writing {label}"), Unit::Bytes, Some(*size));
            let written = match compress {
                None => write::archive(&carrier, members, &mut state, &mut out, &label, progress),
                Some(encoding) => write::compressed(&carrier, members, encoding, &mut out, &label, progress),
            };
            progress.end();
            written?;
            done(number, out)?;
        }
        Ok(())
    }
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

fn sparse(
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

fn layout_members(
    carrier: &Carrier<'_>,
    entries: &[Sorted],
    blobs: &Blobs,
    made: &BTreeMap<Digest, Vec<u8>>,
    options: &ExportOptions,
    warnings: &mut Vec<String>,
) -> Result<(Vec<Member>, Option<Toc>)> {
    let is_hybrid = options.archive == ArchiveType::Hybrid && options.have.is_none();
    let is_hidden = |sort: &Sort| is_hybrid && matches!(sort, Sort::Artifact);
    let (hidden, listed): (Vec<&Sorted>, Vec<&Sorted>) = entries.iter().partition(|it| is_hidden(&it.sort));
    let toc = Toc::new(
        listed.iter().map(|it| self::listed(it)).collect(),
        hidden.into_iter().map(|it| it.image.entry.clone()).collect(),
        blobs
            .carried
            .iter()
            .map(|(digest, &size)| TocBlob { digest: digest.clone(), size, volume: None, parts: Vec::new() })
            .collect(),
        blobs.required.clone(),
        1,
    );
    let manifest = if is_hybrid { Some(hybrid_manifest(carrier, &listed, blobs, warnings)) } else { None };
    let entries: Vec<Entry> = listed.iter().map(|it| it.image.entry.clone()).collect();
    let mut members = layout::documents(&toc, &entries, manifest);
    members.extend(layout::blobs(blobs.carried.iter(), made));
    Ok((members, Some(toc)))
}

/// manifest.json over the blobs of an image layout.
fn hybrid_manifest(
    carrier: &Carrier<'_>,
    entries: &[&Sorted],
    blobs: &Blobs,
    warnings: &mut Vec<String>,
) -> Vec<u8> {
    let mut runnable: Vec<(String, &Listed, &Runnable)> = Vec::new();
    for Sorted { image, sort } in entries {
        let label = image.entry.label(image.position);
        let reason = match sort {
            Sort::Image(found) => match image::representative(found) {
                Some(found) if is_whole(found, blobs) => {
                    runnable.push((label, image, found));
                    continue;
                }
                Some(_) => "it has layers that are elsewhere",
                None => "nothing of it is there",
            },
            Sort::Schema1 => "it is in docker's schema 1",
            Sort::Artifact => continue,
        };
        warnings.push(format!("{label} is not in manifest.json, which docker before 25 reads: {reason}"));
    }
    let images = docker::images(
        runnable.iter().map(|(label, image, found)| (label.as_str(), image.names.as_slice(), *found)),
        warnings,
    );
    for image in &images {
        if image.layers.iter().any(|layer| layer.media_type.ends_with("zstd")) {
            warnings.push(format!(
                "{} has zstd layers, which docker before 23 and podman before 2 cannot load",
                image.label
            ));
        }
    }
    let items: Vec<_> = images
        .iter()
        .map(|image| {
            let path = crate::archive::paths::blob_name;
            let layers = image.layers.iter().map(|layer| path(&layer.digest)).collect();
            image.item(path(&image.config.digest), layers, docker::foreign_sources(carrier, image))
        })
        .collect();
    docker::manifest_json(&items)
}

fn is_whole(image: &Runnable, blobs: &Blobs) -> bool {
    let mut needed = image.layers.iter().map(|layer| &layer.digest).chain([&image.config.digest]);
    needed.all(|digest| blobs.carried.contains_key(digest))
}

/// The images of a docker archive. What is about them has no place in one.
fn docker_images(entries: &mut Vec<Sorted>, warnings: &mut Vec<String>) -> Result<Vec<docker::Image>> {
    entries.retain(|Sorted { image, sort }| {
        let is_artifact = matches!(sort, Sort::Artifact);
        if is_artifact {
            let label = image.entry.label(image.position);
            warnings
                .push(format!("{label} was left out: it is no image, and docker archives hold images only"));
        }
        !is_artifact
    });
    let mut runnable: Vec<(String, &Listed, &Runnable)> = Vec::new();
    for Sorted { image, sort } in entries.iter() {
        let label = image.entry.label(image.position);
        let refuse = |reason: &str| {
            let (image, reason) = (label.clone(), reason.to_owned());
            Error::NoForm { image, format: "docker archive", reason }
        };
        let found = match sort {
            Sort::Image(found) => found,
            Sort::Schema1 => return Err(refuse("it is in docker's schema 1, whose config cannot be had")),
            Sort::Artifact => continue,
        };
        let chosen = image::representative(found).ok_or_else(|| refuse("nothing of it is there"))?;
        if found.len() > 1 {
            warnings.push(format!(
                "{label} has {} platforms, and a docker archive one of them: {}; --platform takes another",
                found.len(),
                chosen.platform()
            ));
        }
        runnable.push((label, image, chosen));
    }
    let images =
        runnable.iter().map(|(label, image, found)| (label.as_str(), image.names.as_slice(), *found));
    Ok(docker::images(images, warnings))
}

fn exported(sorted: &Sorted) -> ExportedImage {
    ExportedImage {
        reference: sorted.image.entry.name().map(ToString::to_string),
        digest: sorted.image.descriptor.digest.clone(),
        is_artifact: matches!(sorted.sort, Sort::Artifact),
    }
}
