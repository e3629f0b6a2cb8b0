//! Import: a source becomes blobs and entries of a repository, all of it or nothing.
//!
//! 1. The source is opened: a directory, a tar file to be read where it lies, or a stream that is
//!    spooled into the ingest's staging.
//! 2. `recognise` says what it is.
//! 3. `oci` and `docker` bring in what its two indexes list, joined by `merge`.
//! 4. `naming` decides what the entries are called, and one commit puts them.

mod carrier;
mod docker;
mod layers;
mod merge;
mod naming;
mod oci;
mod recognise;
mod task;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use ocirepo_store::index::edit::Put;
use ocirepo_store::ingest::{Counts, Ingest};
use ocirepo_store::lock::Shared;
use ocirepo_store::name::{Name, RefPolicy};
use ocirepo_store::{Digest, Progress, Repository, Settings, Silent, Unit};

use crate::archive::{Content, Directory, Spool, TarFile};
use crate::error::{Error, Result};
use crate::source::{Bytes, HEAD, Magic, Source, refuse, unwrap};
use carrier::Carrier;
use docker::Image;
use merge::{Listed, Verdict};
use naming::{Planned, Root};
use task::Task;

/// How to import.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// The name for the one image in the source, in place of the names it carries.
    pub reference: Option<Name>,
    /// Whether a ref.name that another image holds is taken from it (`tag` policy).
    pub replace: bool,
}

/// What an import did.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The entries that were put, one for each name, in the order of the source.
    pub images: Vec<ImportedImage>,
    /// The blobs that came with them.
    pub counts: Counts,
    /// What is odd about the source as a whole.
    pub warnings: Vec<String>,
}

/// One entry that was put into index.json.
#[derive(Debug, Clone)]
pub struct ImportedImage {
    /// Its name; `None` for a nameless one.
    pub reference: Option<String>,
    /// Its digest.
    pub digest: Digest,
    /// The digest that had the name before.
    pub previous: Option<String>,
    /// Whether index.json already said all of it.
    pub unchanged: bool,
    /// The images that lost their ref.name to it, as `reference@digest`.
    pub displaced: Vec<String>,
    /// What is odd about it.
    pub warnings: Vec<String>,
    /// The format it came in, such as `docker archive`.
    pub format: &'static str,
}

/// Brings the images of `source` into the repository.
///
/// # Errors
/// See [`Error`]; the repository is then as it was.
pub fn import(
    lock: &Shared<'_>,
    source: &Source,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Imported> {
    let label = source.to_string();
    let Source::Path(path) = source else {
        return import_stream(lock, &mut io::stdin(), &label, options, progress);
    };
    let fail = |error| Error::Read { archive: label.clone(), source: error };
    let metadata = fs::metadata(path).map_err(fail)?;
    if metadata.is_dir() {
        return import_directory(lock, path, label, options, progress);
    }
    let mut file = File::open(path).map_err(fail)?;
    if !metadata.is_file() {
        return import_stream(lock, &mut file, &label, options, progress);
    }
    let mut head = [0; HEAD];
    let read = file.read_at(&mut head, 0).map_err(fail)?;
    match Magic::of(&head[..read]) {
        Magic::Gzip | Magic::Zstd => import_stream(lock, &mut file, &label, options, progress),
        magic => {
            refuse(magic, &label)?;
            let archive = TarFile::scan(file, label)?;
            let ingest = lock.ingest()?;
            import_content(ingest, &archive, "OCI archive", options, progress)
        }
    }
}

/// Brings the images of a tar stream into the repository, reading it once. `label` is what to call
/// it in messages.
///
/// # Errors
/// See [`Error`]; the repository is then as it was.
pub fn import_stream(
    lock: &Shared<'_>,
    stream: &mut (dyn Read + Send),
    label: &str,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Imported> {
    let stream: Bytes<'_> = unwrap(stream, label)?;
    let ingest = lock.ingest()?;
    let plan = {
        let _task = Task::begin(progress, label, Unit::Bytes, None);
        let spool = Spool::read(stream, label.to_owned(), &ingest, progress)?;
        // Whatever is left to do was counted when it came in.
        plan(&ingest, &spool, "OCI archive", options, &Silent)?
    };
    commit(ingest, plan)
}

fn import_directory(
    lock: &Shared<'_>,
    path: &Path,
    label: String,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Imported> {
    let directory = Directory::open(path, label)?;
    // Another repository of ours keeps its blobs while they are read. To wait for a lock on the
    // repository that is locked already would be to wait for oneself.
    let is_own = fs::canonicalize(lock.path()).is_ok_and(|own| own == directory.root());
    let other = if is_own { None } else { Repository::open(path, Settings::default()).ok() };
    let _reading = other.as_ref().map(Repository::lock_reading).transpose()?;
    import_content(lock.ingest()?, &directory, "OCI layout", options, progress)
}

fn import_content(
    ingest: Ingest<'_>,
    content: &dyn Content,
    format: &'static str,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Imported> {
    let plan = plan(&ingest, content, format, options, progress)?;
    commit(ingest, plan)
}

/// Everything that is to be put, its blobs staged.
struct Plan {
    entries: Vec<Planned>,
    warnings: Vec<String>,
}

fn plan(
    ingest: &Ingest<'_>,
    content: &dyn Content,
    format: &'static str,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Plan> {
    let recognised = recognise::recognise(content)?;
    tracing::debug!(
        archive = content.label(),
        entries = recognised.layout.as_ref().map(|layout| layout.entries().len()),
        items = recognised.items.len(),
        prefix = recognised.prefix,
        "recognised"
    );
    let carrier = Carrier { content, prefix: recognised.prefix, ingest, progress };
    let (mut roots, mut documents) = (Vec::new(), HashSet::new());
    let mut images = docker::read(&carrier, recognised.items)?;
    if let Some(layout) = &recognised.layout {
        let mut layout = oci::import(&carrier, layout.entries(), format)?;
        images = merge_images(&mut layout, images);
        roots = layout.roots;
        documents = layout.documents;
    }
    roots.extend(docker::import(&carrier, &images)?);
    if roots.is_empty() {
        let reason = "it holds no images".to_owned();
        return Err(Error::NotAnArchive { archive: content.label().to_owned(), reason });
    }
    let policy = policy(&carrier)?;
    let entries = naming::plan(content.label(), roots, &documents, policy, options)?;
    Ok(Plan { entries, warnings: content.warnings().to_vec() })
}

/// Joins what manifest.json lists with what index.json lists; gives back what is only in the first.
fn merge_images(layout: &mut oci::Layout, images: Vec<Image>) -> Vec<Image> {
    let mut left = Vec::new();
    let mut wrong: HashSet<Digest> = HashSet::new();
    for mut image in images {
        let positions = layout.roots_with_config(&image.config.digest);
        let listed: Vec<Listed<'_>> = positions
            .iter()
            .map(|&position| &layout.roots[position])
            .map(|root| Listed {
                names: &root.names,
                layers: layout.layers.get(&root.digest).map(Vec::as_slice),
            })
            .collect();
        match merge::judge(&image.names, &image.config.diff_ids, &listed) {
            Verdict::New => left.push(image),
            Verdict::Same { names, warning } => {
                for (position, names) in names {
                    layout.roots[positions[position]].names = names;
                }
                layout.roots[positions[0]].warnings.extend(warning);
            }
            Verdict::WrongOrder => {
                let roots: Vec<&Root> = positions.iter().map(|&position| &layout.roots[position]).collect();
                image.replace(roots.iter().flat_map(|root| root.names.clone()).collect());
                wrong.extend(roots.iter().map(|root| root.digest.clone()));
                left.push(image);
            }
        }
    }
    layout.roots.retain(|root| !wrong.contains(&root.digest));
    left
}

fn policy(carrier: &Carrier<'_>) -> Result<RefPolicy> {
    let repository = carrier.repository();
    Ok(repository.policy(&repository.index()?)?)
}

fn commit(ingest: Ingest<'_>, plan: Plan) -> Result<Imported> {
    let puts: Vec<Put> = plan.entries.iter().map(|planned| planned.put.clone()).collect();
    let committed = ingest.commit(&puts)?;
    let images = plan
        .entries
        .into_iter()
        .zip(committed.puts)
        .map(|(planned, outcome)| ImportedImage {
            reference: planned.put.name.map(|name| name.to_string()),
            digest: planned.digest,
            previous: outcome.previous,
            unchanged: outcome.unchanged,
            displaced: outcome.displaced,
            warnings: planned.warnings,
            format: planned.format,
        })
        .collect();
    Ok(Imported { images, counts: committed.counts, warnings: plan.warnings })
}
