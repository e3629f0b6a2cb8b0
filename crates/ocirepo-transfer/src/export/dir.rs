//! From one repository into another: what is there is shared, and nothing is packed on the way.

use ocirepo_store::index::Document;
use ocirepo_store::index::edit::{Put, PutOutcome};
use ocirepo_store::ingest::{Copying, Counts, Ingest};
use ocirepo_store::lock::Reading;
use ocirepo_store::{Digest, Progress, Unit};

use super::bench::Bench;
use super::gather::{Gathered, Sorted, gather, refuse_sparse};
use super::{ExportOptions, ExportedImage};
use crate::error::Result;

/// How to copy into another repository. Fill it with `..CopyOptions::default()`: any release may add fields.
#[derive(Debug, Clone, Copy, Default)]
pub struct CopyOptions {
    /// What copies have in common with their originals.
    pub copying: Copying,
    /// Under the `tag` policy, whether a tag that another image has is taken from it.
    pub replace: bool,
}

/// What was copied.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Copied {
    /// The images, each with what became of its name.
    pub images: Vec<(ExportedImage, PutOutcome)>,
    /// The blobs.
    pub counts: Counts,
    /// What is odd.
    pub warnings: Vec<String>,
}

/// A copy that is planned, and has written nothing yet.
#[derive(Debug)]
#[must_use = "nothing is written before `copy`"]
pub struct CopyPlan<'r> {
    lock: &'r Reading<'r>,
    gathered: Gathered,
}

/// Plans to copy the entries of `document` at the positions `wanted` into another repository.
///
/// # Errors
/// When an image is damaged or incomplete.
pub fn plan_copy<'r>(
    lock: &'r Reading<'r>,
    document: &Document,
    wanted: &[usize],
    options: &ExportOptions,
) -> Result<CopyPlan<'r>> {
    let mut gathered = gather(lock, document, wanted, options)?;
    refuse_sparse(lock, &gathered.blobs, options, &mut gathered.warnings)?;
    Ok(CopyPlan { lock, gathered })
}

impl CopyPlan<'_> {
    /// Copies into the repository of `ingest`. Names that are there move, as they do in an import. In
    /// a rehearsal nothing is written.
    ///
    /// # Errors
    /// When a blob is damaged, or names are in each other's way. The other repository is then as it
    /// was.
    pub fn copy(self, ingest: Ingest<'_>, how: CopyOptions, progress: &dyn Progress) -> Result<Copied> {
        let Gathered { entries, blobs, made, warnings } = self.gathered;
        for bytes in made.values() {
            ingest.put_bytes(bytes)?;
        }
        let is_stored = |(digest, _): &(&Digest, &u64)| !made.contains_key(*digest);
        let stored: Vec<(&Digest, u64)> =
            blobs.carried.iter().filter(is_stored).map(|(digest, size)| (digest, *size)).collect();
        let total = stored.iter().map(|(_, size)| *size).sum();
        let task = format!("copying to {}", ingest.repository().path().display());
        progress.begin(&task, Unit::Bytes, Some(total));
        let bench = Bench::new(self.lock);
        let copied = bench.carrier(progress).on_each(
            &stored,
            |(_, size)| *size,
            |(digest, size)| Ok(ingest.copy(self.lock, digest, *size, how.copying, progress)?),
        );
        progress.end();
        copied?;
        let put = |it: &Sorted| {
            let entry = it.image.entry.clone();
            Put { name: entry.name().cloned(), entry, replace: how.replace }
        };
        progress.begin(&format!("{task}, syncing"), Unit::Items, None);
        let committed = ingest.commit(&entries.iter().map(put).collect::<Vec<_>>());
        progress.end();
        let committed = committed?;
        let images = entries.iter().map(Sorted::exported).zip(committed.puts).collect();
        Ok(Copied { images, counts: committed.counts, warnings })
    }
}
