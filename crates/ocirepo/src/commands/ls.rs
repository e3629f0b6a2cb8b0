//! `ocirepo ls`

use anyhow::Result;
use ocirepo_store::Repository;
use ocirepo_store::graph::Documents;
use ocirepo_store::image::Image;
use ocirepo_store::index::Entry;
use ocirepo_store::parallel::in_parallel;
use ocirepo_transfer::{WaitingBundle, waiting_bundles};
use serde::Serialize;
use serde_json::json;

use super::look::{self, View};
use crate::context::Context;
use crate::exit::Code;
use crate::options::Format;
use crate::render;

/// List the images in the repository, in the order of index.json
///
/// SOURCE may be a bundle, any other archive that `ocirepo add` takes, or another repository: what it
/// holds is listed, and nothing is added. What a bundle leaves to its receiver counts as absent.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ocirepo ls
  ocirepo ls --names
  ocirepo ls bundle.tar               # what is in it, without adding it
  ocirepo ls --pending                # bundles that wait for more of their volumes
  ocirepo ls --format json | jq -r '.[] | select(.complete | not) | .reference'")]
pub(crate) struct Args {
    /// What to list instead of the repository; - is standard input
    source: Option<String>,
    /// Only the names, one a line; no manifest is opened
    #[arg(long)]
    names: bool,
    /// Whole digests
    #[arg(long)]
    digests: bool,
    /// The bundles of which some volumes have come, and which volumes they still need
    #[arg(long, conflicts_with_all = ["names", "source"])]
    pending: bool,
}

/// One image in the JSON output.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    reference: Option<String>,
    ref_name: Option<String>,
    digest: Option<String>,
    media_type: Option<String>,
    size: Option<u64>,
    total_size: u64,
    platforms: Vec<String>,
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

pub(crate) fn run(args: &Args, context: &Context, verb: &str) -> Result<Code> {
    if let Some(source) = &args.source {
        return look::at_source(source, context, verb, |view| list(view, args, context));
    }
    let repository = context.open(verb)?;
    if args.pending {
        return list_pending(&repository, args, context);
    }
    look::at_repository(&repository, |view| list(view, args, context))
}

fn list(view: &View<'_>, args: &Args, context: &Context) -> Result<Code> {
    let entries = view.document.entries();
    if args.names {
        let names = entries.iter().filter_map(Entry::name).map(ToString::to_string);
        if context.format == Format::Json {
            render::json(&names.collect::<Vec<_>>())?;
        } else {
            render::lines(names.map(|name| render::safe(&name)))?;
        }
        return Ok(Code::Ok);
    }
    let rows = in_parallel(entries, view.jobs, |entry| row(view.documents, entry));
    if context.format == Format::Json {
        render::json(&rows)?;
    } else if rows.is_empty() {
        context.say("no images yet; `ocirepo add SOURCE` brings some in");
    } else {
        let header = ["REFERENCE", "DIGEST", "SIZE", "PLATFORMS", "STATE"];
        render::table(header, rows.iter().map(|row| row.cells(args.digests)))?;
    }
    Ok(Code::Ok)
}

fn row(documents: &dyn Documents, entry: &Entry) -> Row {
    let image = Image::of(documents, entry);
    let descriptor = entry.descriptor().ok();
    Row {
        reference: entry.name().map(|name| name.to_string()),
        ref_name: entry.ref_name().map(str::to_owned),
        digest: entry.digest_text().map(str::to_owned),
        media_type: descriptor.map(|descriptor| descriptor.media_type.clone()),
        size: descriptor.map(|descriptor| descriptor.size),
        total_size: image.total_size,
        platforms: image.platforms().iter().map(ToString::to_string).collect(),
        complete: image.is_complete,
        problem: image.problem,
    }
}

impl Row {
    fn cells(&self, whole_digests: bool) -> [String; 5] {
        let digest = self.digest.as_deref().unwrap_or("-");
        let state = match &self.problem {
            // The digest has a column of its own.
            Some(problem) => {
                problem.strip_prefix(digest).map_or(problem.as_str(), |rest| rest.trim_start_matches(": "))
            }
            None if self.complete => "complete",
            None => "incomplete",
        };
        [
            self.reference.clone().unwrap_or_else(|| "<none>".to_owned()),
            if whole_digests { digest.to_owned() } else { render::short(digest) },
            render::size(self.total_size),
            if self.platforms.is_empty() { "-".to_owned() } else { self.platforms.join(",") },
            state.to_owned(),
        ]
    }
}

fn list_pending(repository: &Repository, args: &Args, context: &Context) -> Result<Code> {
    let bundles = waiting_bundles(repository)?;
    if context.format == Format::Json {
        render::json(&bundles.iter().map(pending_json).collect::<Vec<_>>())?;
    } else if bundles.is_empty() {
        context.say("no bundle waits for volumes");
    } else {
        let header = ["BUNDLE", "VOLUMES", "NEEDED", "WAITING", "IMAGES"];
        render::table(header, bundles.iter().map(|bundle| pending_cells(bundle, args.digests)))?;
    }
    Ok(Code::Ok)
}

fn pending_json(bundle: &WaitingBundle) -> serde_json::Value {
    let mut value = json!({
        "bundle": bundle.bundle.as_str(),
        "volumes": bundle.volumes,
        "needed": bundle.needed,
        "bytes": bundle.bytes,
        "images": names(bundle),
    });
    if let Some(problem) = &bundle.problem {
        value["problem"] = json!(problem);
    }
    value
}

fn pending_cells(bundle: &WaitingBundle, whole_digests: bool) -> [String; 5] {
    let id = bundle.bundle.as_str();
    let taken = bundle.volumes.saturating_sub(u32::try_from(bundle.needed.len()).unwrap_or(u32::MAX));
    let (volumes, needed) = match &bundle.problem {
        Some(problem) => ("-".to_owned(), problem.clone()),
        // It waits for its base, or for an answer to a conflict of names.
        None if bundle.needed.is_empty() => (format!("{taken}/{}", bundle.volumes), "none".to_owned()),
        None => (format!("{taken}/{}", bundle.volumes), render::numbers(&bundle.needed)),
    };
    let names = names(bundle);
    let more = names.len().saturating_sub(MOST_NAMED);
    let mut images = names[..names.len() - more].join(",");
    if more > 0 {
        images.push_str(&format!(" and {more} more"));
    }
    let id = if whole_digests { id.to_owned() } else { render::short(id) };
    [id, volumes, needed, render::size(bundle.bytes), images]
}

/// So many images of a bundle are named in a table.
const MOST_NAMED: usize = 3;

fn names(bundle: &WaitingBundle) -> Vec<&str> {
    let images = bundle.images.iter();
    images.map(|image| image.reference.as_deref().unwrap_or(image.digest.as_str())).collect()
}
