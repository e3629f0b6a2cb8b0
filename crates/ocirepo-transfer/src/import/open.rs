//! Opening a source: by what it is, so that it is read as little as can be.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use ocirepo_store::ingest::Ingest;
use ocirepo_store::{Progress, Repository, Settings};

use super::options::ImportOptions;
use super::plan::{Plan, plan};
use super::recognise::recognise;
use super::task::{Counted, Task};
use super::volumes::{self, Taken, blame};
use crate::archive::{Content, Directory, Spool, TarFile};
use crate::error::{Error, Result};
use crate::source::{Bytes, HEAD, Magic, Source, refuse, unwrap, widen};

const ARCHIVE: &str = "OCI archive";
const LAYOUT: &str = "OCI layout";

/// What a source turned out to be.
pub(crate) enum Opened<'l> {
    /// Something by itself.
    Whole(Plan),
    /// A volume of a bundle.
    Volume(Taken<'l>),
}

/// Opens a source and plans its import.
pub(crate) fn source<'l>(
    ingest: &Ingest<'l>,
    source: &Source,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Opened<'l>> {
    open(ingest, source, progress, |content, format, progress| {
        take(ingest, content, format, options, progress)
    })
}

/// Reads a stream to its end and plans its import.
pub(crate) fn stream<'l>(
    ingest: &Ingest<'l>,
    stream: &mut (dyn Read + Send),
    label: &str,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Opened<'l>> {
    spool(ingest, stream, None, label, progress, |content, format, progress, whole| {
        whole.map_err(|error| blame(content, error))?;
        take(ingest, content, format, options, progress)
    })
}

fn take<'l>(
    ingest: &Ingest<'l>,
    content: &dyn Content,
    format: &'static str,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<Opened<'l>> {
    let recognised = recognise(content).map_err(|error| blame(content, error))?;
    if volumes::is_volume(&recognised) {
        return volumes::take(ingest, content, recognised, options, progress).map(Opened::Volume);
    }
    plan(ingest, content, recognised, format, options, progress).map(Opened::Whole)
}

/// Opens a source and has `look` look at it: at its content, with what an image layout there is
/// called, and with whom to tell of what is still to be done. What has to be spooled goes into the
/// staging of the session.
///
/// # Errors
/// When it cannot be read or is no archive, and those of `look`.
pub(crate) fn open<R>(
    ingest: &Ingest<'_>,
    source: &Source,
    progress: &dyn Progress,
    look: impl FnOnce(&dyn Content, &'static str, &dyn Progress) -> Result<R>,
) -> Result<R> {
    open_as_far(ingest, source, progress, |content, format, progress, whole| {
        whole.map_err(|error| blame(content, error))?;
        look(content, format, progress)
    })
}

/// [`open`] for those who can do with a part: what could be read before the first fault, and that fault.
///
/// # Errors
/// When nothing of it can be read, and those of `look`.
pub(crate) fn open_as_far<R>(
    ingest: &Ingest<'_>,
    source: &Source,
    progress: &dyn Progress,
    look: impl FnOnce(&dyn Content, &'static str, &dyn Progress, Result<()>) -> Result<R>,
) -> Result<R> {
    let label = source.to_string();
    let Source::Path(path) = source else {
        widen(io::stdin());
        return spool(ingest, &mut io::stdin(), None, &label, progress, look);
    };
    let fail = |error| Error::Read { archive: label.clone(), source: error };
    let metadata = fs::metadata(path).map_err(fail)?;
    if metadata.is_dir() {
        return directory(ingest, path, label, |directory| look(directory, LAYOUT, progress, Ok(())));
    }
    let mut file = File::open(path).map_err(fail)?;
    if !metadata.is_file() {
        widen(&file);
        return spool(ingest, &mut file, None, &label, progress, look);
    }
    let mut head = [0; HEAD];
    let read = file.read_at(&mut head, 0).map_err(fail)?;
    match Magic::of(&head[..read]) {
        magic if magic.is_compressed() => {
            spool(ingest, &mut file, Some(metadata.len()), &label, progress, look)
        }
        magic => {
            refuse(magic, &label)?;
            let (tar, scanned) = TarFile::scan(file, label);
            look(&tar, ARCHIVE, progress, scanned)
        }
    }
}

fn spool<R>(
    ingest: &Ingest<'_>,
    stream: &mut (dyn Read + Send),
    size: Option<u64>,
    label: &str,
    progress: &dyn Progress,
    look: impl FnOnce(&dyn Content, &'static str, &dyn Progress, Result<()>) -> Result<R>,
) -> Result<R> {
    let task = Task::reading(progress, label, size);
    let stream: Bytes<'_> = unwrap(Counted { stream, progress }, label)?;
    let (spool, read) = Spool::read(stream, label.to_owned(), ingest, progress);
    drop(task);
    look(&spool, ARCHIVE, progress, read)
}

fn directory<R>(
    ingest: &Ingest<'_>,
    path: &Path,
    label: String,
    look: impl FnOnce(&Directory) -> Result<R>,
) -> Result<R> {
    let directory = Directory::open(path, label)?;
    // Another repository of ours keeps its blobs while they are read. To wait for a lock on the
    // repository that is locked already would be to wait for oneself.
    let is_own = fs::canonicalize(ingest.repository().path()).is_ok_and(|own| own == directory.root());
    let other = if is_own { None } else { Repository::open(path, Settings::default()).ok() };
    let _reading = other.as_ref().map(Repository::lock_reading).transpose()?;
    look(&directory)
}
