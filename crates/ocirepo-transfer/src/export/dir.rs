//! From one repository into another: what is there is shared, and nothing is packed on the way.

use ocirepo_store::index::Document;
use ocirepo_store::index::edit::{Put, PutOutcome};
use ocirepo_store::ingest::{Copying, Counts, Ingest};
use ocirepo_store::lock::Reading;
use ocirepo_store::{Digest, Progress, Unit};

use super::{ExportOptions, ExportedImage, Gathered, bench::Bench, exported, gather};
use crate::error::Result;

/// How to copy into another repository.
#[derive(Debug, Clone, Copy, Default)]
pub struct CopyOptions {
    /// What copies have in common with their originals.
    pub copying: Copying,
    /// Under the `tag` policy, whether a tag that another image has is taken from it.
    pub replace: bool,
}

/// What was copied.
#[derive(Debug, Clone)]
pub struct Copied {
    /// The images, each with what became of its name.
    pub images: Vec<(ExportedImage, PutOutcome)>,
    /// The blobs.
    pub counts: Counts,
    /// What is odd.
    pub warnings: Vec<String>,
}

/// Copies the entries of `document` at the positions `wanted` into the repository of `ingest`. Names
/// that are there move, as they do in an import. In a rehearsal nothing is written.
///
/// # Errors
/// When an image is damaged, or names are in each other's way. The other repository is then as it
/// was.
pub fn export_into(
    lock: &Reading<'_>,
    document: &Document,
    wanted: &[usize],
    options: &ExportOptions,
    ingest: Ingest<'_>,
    how: CopyOptions,
    progress: &dyn Progress,
) -> Result<Copied> {
    let Gathered { entries, blobs, made, mut warnings } = gather(lock, document, wanted, options)?;
    super::sparse(lock, &blobs, options, &mut warnings)?;
    for bytes in made.values() {
        ingest.put_bytes(bytes)?;
    }
    let stored: Vec<(&Digest, u64)> = blobs
        .carried
        .iter()
        .filter(|(digest, _)| !made.contains_key(*digest))
        .map(|(digest, size)| (digest, *size))
        .collect();
    let total = stored.iter().map(|(_, size)| *size).sum();
    progress.begin(&format!("copying to {}", ingest.repository().path().display()), Unit::Bytes, Some(total));
    let bench = Bench::new(lock);
    let copied = bench.carrier().on_each(&stored, |(digest, size)| {
        ingest.copy(lock, digest, *size, how.copying)?;
        progress.advance(*size);
        Ok(())
    });
    progress.end();
    copied?;
    let puts: Vec<Put> = entries
        .iter()
        .map(|it| Put {
            entry: it.image.entry.clone(),
            name: it.image.entry.name().cloned(),
            replace: how.replace,
        })
        .collect();
    let committed = ingest.commit(&puts)?;
    let images = entries.iter().map(exported).zip(committed.puts).collect();
    Ok(Copied { images, counts: committed.counts, warnings })
}
