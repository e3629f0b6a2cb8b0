//! Export: entries of a repository become an archive that other tools read.
//!
//! 1. `choose` finds the entries, with what is about them, and takes the platforms that are wanted.
//! 2. `contents` sorts the blobs that they need: carried, left to the receiver, or rightly absent;
//!    `image` tells what can be run. `gather` has all of it in one order.
//! 3. `hybrid`, `volumes` and `docker` make the list of members, each with its size.
//! 4. `write` writes them, in one pass. `dir` copies into another repository instead.
//!
//! # What it promises
//! - The same entries give the same bytes, on any machine and at any time.
//! - Everything is known before the first byte is written; what cannot be exported is refused then. Only
//!   the sizes of layers that are unpacked into a file are filled in behind.
//! - Every blob is proven while it is copied. Memory stays flat, and nothing is copied on the side.

mod bench;
mod choose;
mod contents;
mod dir;
mod docker;
mod gather;
mod hybrid;
mod image;
mod layout;
mod medium;
mod member;
mod tar;
mod volumes;
mod write;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use ocirepo_store::index::Document;
use ocirepo_store::lock::Reading;
use ocirepo_store::name::RefPolicy;
use ocirepo_store::{Digest, Progress, Unit};

pub use dir::{Copied, CopyOptions, CopyPlan, plan_copy};
pub use docker::LayerForm;
pub use medium::Medium;

use crate::bundle::{Have, Toc};
use crate::compress::Encoding;
use crate::error::{Error, Result};
use crate::import::PlatformPattern;
use crate::import::carrier::Carrier;
use bench::Bench;
use contents::Blobs;
use gather::{Gathered, Sorted, gather};
use member::Member;

/// What an archive is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
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

/// How to export. Fill it with `..ExportOptions::default()`, which is what `ocirepo export` does when no
/// option is given: any release may add fields.
#[derive(Debug, Clone)]
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

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            archive: ArchiveType::default(),
            referrers: true,
            platforms: Vec::new(),
            keep_index: false,
            names: None,
            layers: LayerForm::default(),
            have: None,
            volume_size: None,
        }
    }
}

/// An image that is exported.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
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
#[must_use = "nothing is written before `write`"]
pub struct Export<'r> {
    lock: &'r Reading<'r>,
    volumes: Vec<Vec<Member>>,
    /// What is exported, in the order in which it is listed.
    pub images: Vec<ExportedImage>,
    /// The blobs that are carried, with their sizes in bytes.
    pub blobs: BTreeMap<Digest, u64>,
    /// The table of contents; docker archives have none.
    pub toc: Option<Toc>,
    /// What is odd.
    pub warnings: Vec<String>,
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
    gather::refuse_sparse(lock, &blobs, options, &mut warnings)?;
    let bench = Bench::new(lock);
    let carrier = bench.carrier(progress);
    let (volumes, toc) = match (options.archive, options.volume_size) {
        (ArchiveType::Hybrid | ArchiveType::Oci, Some(limit)) => {
            let (volumes, toc) = volumes::split(&whole(&entries, &blobs, &made), limit)?;
            (volumes, Some(toc))
        }
        (ArchiveType::Hybrid | ArchiveType::Oci, None) => {
            let (members, toc) = hybrid::members(&carrier, &entries, &blobs, &made, options, &mut warnings);
            (vec![members], Some(toc))
        }
        (ArchiveType::Docker | ArchiveType::DockerLegacy, _) => {
            let is_legacy = options.archive == ArchiveType::DockerLegacy;
            let images = docker::choose(&mut entries, &mut warnings)?;
            (vec![docker::members(&carrier, &images, options.layers, is_legacy, progress)?], None)
        }
    };
    let images = entries.iter().map(Sorted::exported).collect();
    let mut blobs = blobs.carried;
    if toc.is_none() {
        // Docker archives have no manifests, and the layers of one platform.
        let members: HashSet<&Digest> = volumes.iter().flatten().filter_map(Member::blob).collect();
        blobs.retain(|digest, _| members.contains(digest));
    }
    Ok(Export { lock, volumes, images, blobs, toc, warnings })
}

impl Export<'_> {
    /// The sizes of the files in bytes, uncompressed: one, or one for each volume. Layers that would be
    /// unpacked are, to see how large they get.
    ///
    /// # Errors
    /// When a layer is not what it should be.
    pub fn sizes(&self, progress: &dyn Progress) -> Result<Vec<u64>> {
        let bench = Bench::new(self.lock);
        let sizes = self
            .volumes
            .iter()
            .map(|members| size_of(&settled(&bench.carrier(progress), members, progress)?));
        sizes.collect()
    }

    /// Writes the archive, or every volume in turn: `next` gives the file for the volume of a number,
    /// counted from 1, and what it is called in messages; `done` takes it back.
    ///
    /// # Errors
    /// When a blob is not what it should be, or a file refuses, and those of `next` and `done`. What
    /// was written is of no use then.
    pub fn write<W: Medium, E: From<Error>>(
        &self,
        compress: Option<Encoding>,
        progress: &dyn Progress,
        next: &mut dyn FnMut(u32) -> Result<(W, String), E>,
        done: &mut dyn FnMut(u32, W) -> Result<(), E>,
    ) -> Result<(), E> {
        let bench = Bench::new(self.lock);
        let carrier = bench.carrier(progress);
        let mut state = write::State::default();
        for (number, members) in (1..).zip(&self.volumes) {
            let (mut out, label) = next(number)?;
            let members = match out.can_go_back() && compress.is_none() {
                true => Cow::Borrowed(members.as_slice()),
                false => settled(&carrier, members, progress)?,
            };
            let total = members.iter().map(Member::read).sum();
            let part = match self.volumes.len() {
                1 => String::new(),
                volumes => format!(" ({number} of {volumes})"),
            };
            progress.begin(&format!("writing {label}{part}"), Unit::Bytes, Some(total));
            let written = match compress {
                None => write::archive(&carrier, &members, &mut state, &mut out, &label, progress),
                Some(encoding) => write::compressed(&carrier, &members, encoding, &mut out, &label, progress),
            };
            progress.end();
            written?;
            done(number, out)?;
        }
        Ok(())
    }
}

/// The same members, each with its size.
fn settled<'m>(
    carrier: &Carrier<'_>,
    members: &'m [Member],
    progress: &dyn Progress,
) -> Result<Cow<'m, [Member]>> {
    match members.iter().all(|member| member.late().is_none()) {
        true => Ok(Cow::Borrowed(members)),
        false => Ok(Cow::Owned(docker::measured(carrier, members, progress)?)),
    }
}

fn size_of(members: &[Member]) -> Result<u64> {
    member::archive_size(members).map_err(|source| Error::Write { output: "the archive".to_owned(), source })
}

/// What volumes are made of: an image layout that lists everything in index.json.
fn whole<'e>(
    entries: &[Sorted],
    blobs: &'e Blobs,
    made: &'e BTreeMap<Digest, Vec<u8>>,
) -> volumes::Whole<'e> {
    volumes::Whole {
        images: entries.iter().map(Sorted::listed).collect(),
        entries: entries.iter().map(|it| it.image.entry.clone()).collect(),
        blobs: &blobs.carried,
        required: blobs.required.clone(),
        made,
    }
}
