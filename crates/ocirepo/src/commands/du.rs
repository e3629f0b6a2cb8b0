//! `ocirepo du`

use std::collections::BTreeSet;

use anyhow::Result;
use ocirepo_store::gc::Amount;
use ocirepo_store::index::Entry;
use ocirepo_store::usage::{HeldTwice, Share, Usage, usage};
use serde_json::{Value, json};

use super::look;
use super::summary::{digest_cell, reference, sort_by_reference};
use crate::context::Context;
use crate::exit::Code;
use crate::options::Format;
use crate::render::{self, Cell, Fit, Look, Table};

/// Show what images take on the disk, and what removing them would free
///
/// TOTAL is everything that an image names and that is there. Of that, UNIQUE is named by no other image, and SHARED
/// by others too; another name of the same image is no other image. FREES is what `ocirepo rm` of that one entry and
/// `ocirepo gc` would free: signatures go along, and as long as another name, a signature that stays or a bundle that
/// waits needs a blob, it stays.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ocirepo du
  ocirepo du alpine:3.11 'registry.corp/old/*'     # and all of these together
  ocirepo du --sort frees                          # the most first
  ocirepo du --format json | jq '.repository.garbage.bytes'")]
pub(crate) struct Args {
    /// Names, digests or the beginning of one, @N, or patterns over names; every image by default
    #[arg(value_name = "REFERENCE")]
    references: Vec<String>,
    /// In which order
    #[arg(long, value_enum, value_name = "KEY", default_value_t)]
    sort: Sort,
    /// Whole digests
    #[arg(long)]
    digests: bool,
}

/// An order of images. Of sizes the largest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Sort {
    /// That of index.json
    #[default]
    Index,
    /// By reference, nameless images last
    Name,
    Total,
    Unique,
    Frees,
}

/// One image.
struct Row<'a> {
    entry: &'a Entry,
    share: Share,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Code> {
    let repository = context.open()?;
    let lock = repository.lock_reading()?;
    let document = lock.index()?;
    let mut positions = BTreeSet::new();
    for word in &args.references {
        positions.extend(look::entries_of(&lock, &document, word)?);
    }
    let usage = context.reporter().during("marking manifests", || usage(&lock, &document))?;
    let entries = document.entries().iter().zip(&usage.images).enumerate();
    let is_chosen = |position: &usize| args.references.is_empty() || positions.contains(position);
    let mut rows: Vec<Row<'_>> = entries
        .filter(|(position, _)| is_chosen(position))
        .map(|(_, (entry, share))| Row { entry, share: *share })
        .collect();
    match args.sort {
        Sort::Index => {}
        Sort::Name => sort_by_reference(&mut rows, |row| reference(row.entry)),
        Sort::Total => rows.sort_by_key(|row| std::cmp::Reverse(row.share.total)),
        Sort::Unique => rows.sort_by_key(|row| std::cmp::Reverse(row.share.unique)),
        Sort::Frees => rows.sort_by_key(|row| std::cmp::Reverse(row.share.frees)),
    }
    let chosen: Vec<usize> = positions.into_iter().collect();
    let together = (!args.references.is_empty()).then(|| usage.together(&chosen));
    if context.format == Format::Json {
        print_json(&rows, together.as_ref(), &usage)?;
    } else {
        print(&rows, together.as_ref(), &usage, args, context)?;
    }
    if let Some(doubt) = usage.doubts.first() {
        let more = match usage.doubts.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        context.warn(&format!("`ocirepo gc` would delete nothing now: {doubt}{more}; see `ocirepo verify`"));
    }
    Ok(Code::Ok)
}

fn print(
    rows: &[Row<'_>],
    together: Option<&Share>,
    usage: &Usage,
    args: &Args,
    context: &Context,
) -> Result<()> {
    let table = Table::new(["REFERENCE", "DIGEST", "TOTAL", "UNIQUE", "SHARED", "FREES"]);
    let table = table.fit(1, Fit::Digest).right(2).right(3).right(4).right(5);
    let mut lines: Vec<[Cell; 6]> = rows.iter().map(|row| row.cells(args.digests)).collect();
    if let Some(together) = together.filter(|_| rows.len() > 1) {
        let [total, unique, shared, frees] = sizes(together);
        lines.push(["all of these".into(), "".into(), total, unique, shared, frees]);
    }
    if !lines.is_empty() {
        table.print(context.screen, lines)?;
        render::line("")?;
    }
    if together.is_none() {
        print_totals(usage)?;
        print_twice(&usage.twice, context)?;
    }
    Ok(())
}

fn print_totals(usage: &Usage) -> Result<()> {
    let blobs = |amount: Amount| {
        format!("{:>9}  {}", render::size(amount.bytes), render::count(amount.blobs, "blob"))
    };
    let line = |name: &str, text: String| render::line(&format!("{name:<12}{text}"));
    line("Sum", format!("{:>9}  if no two images shared a blob", render::size(usage.sum)))?;
    line("Kept", blobs(usage.kept))?;
    line("Garbage", format!("{}, freed by `ocirepo gc`", blobs(usage.garbage)))?;
    let places = [
        ("Pending", usage.pending, "of bundles that wait for volumes; see `ocirepo ls --pending`"),
        ("Quarantine", usage.quarantine, "of damaged blobs that `ocirepo verify` moved aside"),
        ("Staging", usage.staging, "of commands that are running or were killed"),
    ];
    for (name, bytes, what) in places.into_iter().filter(|(_, bytes, _)| *bytes > 0) {
        line(name, format!("{:>9}  {what}", render::size(bytes)))?;
    }
    Ok(())
}

fn print_twice(twice: &[HeldTwice], context: &Context) -> Result<()> {
    if twice.is_empty() {
        return Ok(());
    }
    let spare = render::size(twice.iter().map(HeldTwice::spare).sum());
    let layers = render::count(twice.len() as u64, "layer");
    render::line(&format!(
        "Held twice  {spare:>9}  {layers} under several compressions, as far as is known"
    ))?;
    if context.verbose > 0 {
        for layer in twice {
            let blobs = layer
                .blobs
                .iter()
                .map(|it| format!("{} {} {}", it.digest, it.form.as_str(), render::size(it.size)));
            render::line(&format!("  {}: {}", layer.diff_id, blobs.collect::<Vec<_>>().join(", ")))?;
        }
    }
    Ok(())
}

fn sizes(share: &Share) -> [Cell; 4] {
    let frees =
        share.frees.map_or_else(|| Cell::new("?", Look::Doubtful), |frees| render::size(frees).into());
    [
        render::size(share.total).into(),
        render::size(share.unique).into(),
        render::size(share.shared()).into(),
        frees,
    ]
}

impl Row<'_> {
    fn cells(&self, whole_digests: bool) -> [Cell; 6] {
        let name = reference(self.entry);
        let digest = digest_cell(self.entry.digest_text(), whole_digests);
        let [total, unique, shared, frees] = sizes(&self.share);
        [render::name(name.as_deref()).into(), digest, total, unique, shared, frees]
    }
}

fn print_json(rows: &[Row<'_>], together: Option<&Share>, usage: &Usage) -> Result<()> {
    let share = |share: &Share| json!({ "total": share.total, "unique": share.unique, "shared": share.shared(), "frees": share.frees });
    let images = rows.iter().map(|row| {
        let mut value = share(&row.share);
        value["reference"] = json!(reference(row.entry));
        value["digest"] = json!(row.entry.digest_text());
        value
    });
    let amount = |amount: Amount| json!({ "blobs": amount.blobs, "bytes": amount.bytes });
    let twice = usage.twice.iter().map(|layer| {
        let blobs = layer.blobs.iter();
        let blobs: Vec<Value> = blobs
            .map(|it| json!({ "digest": it.digest.as_str(), "size": it.size, "form": it.form.as_str() }))
            .collect();
        json!({ "diffId": layer.diff_id.as_str(), "blobs": blobs, "spare": layer.spare() })
    });
    render::json(&json!({
        "images": images.collect::<Vec<_>>(),
        "together": together.map(share),
        "repository": {
            "sum": usage.sum,
            "kept": amount(usage.kept),
            "garbage": amount(usage.garbage),
            "pending": usage.pending,
            "quarantine": usage.quarantine,
            "staging": usage.staging,
        },
        "heldTwice": twice.collect::<Vec<_>>(),
        "doubts": usage.doubts,
    }))?;
    Ok(())
}
