//! Looking into an archive without bringing it in: what it holds, and whether that is sound.
//!
//! Nothing is added anywhere. The archive is opened as an import opens it, over an empty repository
//! in a temporary directory, which is also where a stream is spooled to. Of an image layout only the
//! documents are read, each proven when it is; layers are known by their sizes. Images without
//! manifests have theirs made, for which all of their layers are read and proven.

mod held;
mod table;
mod verify;

use std::fmt;
use std::path::PathBuf;

use ocirepo_store::graph::{Documents, Loaded, Wanted};
use ocirepo_store::index::Document;
use ocirepo_store::{Digest, Progress, Scratch, Settings, Stop, Unit};

use self::held::Held;
use crate::bundle::{Required, Toc};
use crate::error::Result;
use crate::import::carrier::Carrier;
use crate::import::listing;
use crate::import::open::open;
use crate::import::recognise::{Recognised, recognise};
use crate::import::volumes::{self, blame};
use crate::source::Source;
pub use verify::verify_source;

/// How to look into an archive: [`PeekOptions::new`] makes them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PeekOptions {
    /// Where temporary files may be, such as the system's directory for them.
    pub temporary: PathBuf,
    /// How many threads to use.
    pub jobs: usize,
    /// Where a program that is told to end does so.
    pub stop: Stop,
}

impl PeekOptions {
    /// The usual options: as many threads as there are cores. `temporary` is where temporary files may be.
    #[must_use]
    pub fn new(temporary: impl Into<PathBuf>) -> Self {
        let Settings { jobs, stop, .. } = Settings::default();
        Self { temporary: temporary.into(), jobs, stop }
    }
}

/// A volume of a bundle, as far as it can be told of it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeekedVolume {
    /// Which one it is, from 1; `None` when that cannot be told.
    pub number: Option<u32>,
    /// How many volumes there are.
    pub volumes: u32,
}

/// An archive that is looked into. Its documents can be loaded, and its blobs asked for.
pub struct Peeked<'a> {
    /// What it holds, as `index.json` would list it if it were added to an empty repository. An entry
    /// that says its name is as it is in the archive.
    pub document: Document,
    /// What is odd about it as a whole.
    pub warnings: Vec<String>,
    /// Which volume of a bundle it is, if it is one.
    pub volume: Option<PeekedVolume>,
    held: Held<'a>,
    bundle: Option<table::Bundle>,
}

impl Peeked<'_> {
    /// The blobs that it leaves to its receiver.
    #[must_use]
    pub fn required(&self) -> &[Required] {
        self.bundle.as_ref().map_or(&[], |bundle| &bundle.toc.required)
    }

    /// How many threads to work on it with.
    #[must_use]
    pub fn jobs(&self) -> usize {
        self.held.carrier.repository().jobs()
    }
}

impl fmt::Debug for Peeked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peeked").field("document", &self.document).finish_non_exhaustive()
    }
}

impl Documents for Peeked<'_> {
    fn load(&self, wanted: &Wanted<'_>) -> Loaded {
        self.held.load(wanted)
    }

    fn blob_size(&self, digest: &Digest) -> ocirepo_store::Result<Option<u64>> {
        self.held.blob_size(digest)
    }
}

/// Looks into an archive, and writes nothing but temporary files. A bundle that leaves blobs out, and
/// a volume of one, is looked into as it is.
///
/// # Errors
/// When it cannot be read or is no archive; when its index is damaged, or an image without a
/// manifest; when no temporary directory can be made.
pub fn peek<R>(
    source: &Source,
    options: &PeekOptions,
    progress: &dyn Progress,
    look: impl FnOnce(&Peeked<'_>) -> R,
) -> Result<R> {
    let settings = Settings { jobs: options.jobs, stop: options.stop.clone(), ..Settings::default() };
    let scratch = Scratch::create(&options.temporary, settings)?;
    let lock = scratch.lock_reading()?;
    let ingest = lock.rehearse(scratch.directory()).keeping_documents();
    let progress = Reading(progress);
    open(&ingest, source, &progress, |content, _, progress| {
        let recognised = recognise(content).map_err(|error| blame(content, error))?;
        let Recognised { prefix, toc, blobs, described } = recognised;
        let carrier = Carrier::new(content, (prefix, blobs), &ingest, progress);
        let bundle = toc.map(|toc| table::Bundle::new(toc, described.layout.as_ref()));
        let is_split = |toc: &Toc| toc.volumes > 1;
        let volume = bundle.as_ref().map(|bundle| &bundle.toc).filter(|toc| is_split(toc));
        let volume =
            volume.map(|toc| PeekedVolume { number: volumes::number(&carrier), volumes: toc.volumes });
        let (document, warnings) = listing::list(&carrier, described)?;
        let held = Held { carrier: &carrier };
        Ok(look(&Peeked { document, warnings, volume, held, bundle }))
    })
}

/// What is told of as adding elsewhere is only reading here.
pub(crate) struct Reading<'p>(pub(crate) &'p dyn Progress);

impl Progress for Reading<'_> {
    fn begin(&self, task: &str, unit: Unit, total: Option<u64>) {
        let task = task.strip_prefix("adding ").map_or_else(|| task.to_owned(), |of| format!("reading {of}"));
        self.0.begin(&task, unit, total);
    }

    fn advance(&self, amount: u64) {
        self.0.advance(amount);
    }

    fn end(&self) {
        self.0.end();
    }

    fn begin_item(&self, item: &str) {
        self.0.begin_item(item);
    }

    fn end_item(&self, item: &str) {
        self.0.end_item(item);
    }
}
