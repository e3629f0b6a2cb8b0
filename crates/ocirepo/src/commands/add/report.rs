//! What an add did, told as it happens and counted up in the end.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::Path;

use anyhow::Result;
use ocirepo_store::ingest::Counts;
use ocirepo_transfer::{Imported, ImportedImage, PendingVolumes, Source};
use serde_json::{Value, json};

use crate::context::Context;
use crate::options::Format;
use crate::render::{self, numbers};

pub(super) struct Report<'c> {
    context: &'c Context,
    dry_run: bool,
    /// The names that this command has given so far.
    named: HashSet<String>,
    images: Vec<Value>,
    failed: Vec<Value>,
    counts: Counts,
    /// The bundles that wait for volumes.
    pending: Vec<Value>,
}

impl<'c> Report<'c> {
    pub(super) fn new(dry_run: bool, context: &'c Context) -> Self {
        Self {
            context,
            dry_run,
            named: HashSet::new(),
            images: Vec::new(),
            failed: Vec::new(),
            counts: Counts::default(),
            pending: Vec::new(),
        }
    }

    /// A source that was added.
    pub(super) fn take(&mut self, source: &str, imported: Imported) -> Result<()> {
        let shown = Source::parse(source).to_string();
        for warning in &imported.warnings {
            self.context.warn(&format!("{shown}: {warning}"));
        }
        if let Some(pending) = &imported.pending {
            self.volume(source, pending)?;
            if !pending.needed.is_empty() {
                return Ok(());
            }
        }
        for image in &imported.images {
            let name = image.reference.as_deref().unwrap_or(image.digest.as_str());
            for warning in &image.warnings {
                self.context.warn(&format!("{shown}: {name}: {warning}"));
            }
            if let Some(warning) = self.doubt(image) {
                self.context.warn(&format!("{shown}: {name}: {warning}"));
            }
            self.images.push(json!({
                "reference": image.reference,
                "digest": image.digest.as_str(),
                "position": image.position,
                "previous": image.previous,
                "displaced": image.displaced,
                "source": source,
                "warnings": image.warnings,
            }));
            if self.context.format == Format::Table {
                render::line(&render::safe(&self.describe(image)))?;
                for displaced in &image.displaced {
                    let replaced = if self.dry_run { "would replace" } else { "replaced" };
                    render::line(&render::safe(&format!("{replaced} {displaced}")))?;
                }
            }
        }
        self.named.extend(imported.images.into_iter().filter_map(|image| image.reference));
        let counts = imported.counts;
        if self.context.format == Format::Table && !self.context.quiet {
            let new =
                format!("{} new ({})", render::count(counts.new, "blob"), render::size(counts.new_bytes));
            let there = format!("{} already there ({})", counts.reused, render::size(counts.reused_bytes));
            self.context.say(&format!("{}: {new}, {there}", render::safe(&shown)));
        }
        self.counts.new += counts.new;
        self.counts.new_bytes += counts.new_bytes;
        self.counts.reused += counts.reused;
        self.counts.reused_bytes += counts.reused_bytes;
        Ok(())
    }

    /// A volume of a bundle, and whether others are needed.
    fn volume(&mut self, source: &str, pending: &PendingVolumes) -> Result<()> {
        let PendingVolumes { bundle, volume, volumes, needed, .. } = pending;
        // Of several volumes of a bundle, the last one knows best.
        self.pending.retain(|told| told["bundle"] != bundle.as_str());
        if !needed.is_empty() {
            let waiting = json!({ "bundle": bundle.as_str(), "volumes": volumes, "needed": needed });
            self.pending.push(waiting);
        }
        if self.context.format == Format::Table {
            let taken = if self.dry_run { "would be taken" } else { "taken" };
            let taken = match (volume, Path::new(source).file_name()) {
                (None, _) => format!("bundle {bundle}: nothing is missing any more"),
                (Some(volume), file) => {
                    let file = file.filter(|_| source != "-");
                    let file = file.map_or(Cow::Borrowed("standard input"), OsStr::to_string_lossy);
                    format!("bundle {bundle} ({file}): volume {volume} of {volumes} {taken}")
                }
            };
            let left = match needed.as_slice() {
                [] => "the bundle is complete".to_owned(),
                needed => format!("still needed: {}", numbers(needed)),
            };
            render::line(&render::safe(&format!("{taken}; {left}")))?;
        }
        Ok(())
    }

    /// A source that could not be added.
    pub(super) fn fail(&mut self, source: &str, error: &anyhow::Error) {
        self.failed.push(json!({ "source": source, "error": format!("{error:#}") }));
    }

    /// Prints the sum of it all. Gives the number of sources that failed.
    pub(super) fn finish(self, sources: usize) -> Result<usize> {
        if self.context.format == Format::Json {
            let Counts { new, new_bytes, reused, reused_bytes, .. } = self.counts;
            render::json(&json!({
                "dryRun": self.dry_run,
                "images": self.images,
                "blobs": {
                    "new": new, "reused": reused, "newBytes": new_bytes, "reusedBytes": reused_bytes,
                },
                "failed": self.failed,
                "pending": self.pending,
            }))?;
        } else if !self.failed.is_empty() {
            let names: Vec<&str> =
                self.failed.iter().filter_map(|failed| failed["source"].as_str()).collect();
            let list = render::safe(&names.join(", "));
            render::line_to_stderr(&format!("{} of {sources} sources failed: {list}", names.len()));
        }
        Ok(self.failed.len())
    }

    /// Why a name may have moved to an image that is no successor of the one it left.
    fn doubt(&self, image: &ImportedImage) -> Option<String> {
        let name = image.reference.as_deref()?;
        let previous = image.previous.as_deref().filter(|previous| *previous != image.digest.as_str())?;
        if self.named.contains(name) {
            return Some(format!(
                "the name was just given to {previous} by another source; --merge-platforms joins images for \
                 several platforms"
            ));
        }
        (!name.contains(['/', ':'])).then(|| {
            format!(
                "this bare tag was that of {previous}; if that is another image, name this one with --ref"
            )
        })
    }

    fn describe(&self, image: &ImportedImage) -> String {
        let digest = &image.digest;
        let name = render::name(image.reference.as_deref());
        let (unchanged, moved, added) = if self.dry_run {
            let at = |verb: &str| format!("@{} {verb}", image.position);
            (at("would not change"), at("would move"), at("would add"))
        } else {
            ("unchanged".to_owned(), "moved".to_owned(), "added".to_owned())
        };
        match &image.previous {
            _ if image.unchanged => format!("{unchanged} {name} {digest}"),
            Some(previous) => format!("{moved} {name} from {previous} to {digest}"),
            None => format!("{added} {name} {digest}"),
        }
    }
}
