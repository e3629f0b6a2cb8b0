//! `ocirepo ls`

mod filter;
mod pending;
mod tree;

use anyhow::Result;
use clap::ValueEnum;
use ocirepo_store::image::{Image, Manifest};
use ocirepo_store::index::Entry;
use ocirepo_store::parallel::in_parallel;
use ocirepo_store::{Digest, Progress as _, Unit};
use serde::Serialize;

use self::filter::{Filter, fits};
use self::tree::Below;
use super::look::{self, View};
use super::summary::{Summary, digest_cell, reference, sort_by_reference};
use crate::context::Context;
use crate::exit::Code;
use crate::options::Format;
use crate::render::{self, Cell, Fit, Look, Table};

/// List the images in the repository, in the order of index.json
///
/// SOURCE may be a bundle, any other archive that `ocirepo add` takes, or another repository: what it
/// holds is listed, and nothing is added. The base of a delta is what it leaves to its receiver: its images
/// are complete with that, or in it as a whole.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Filters:
  reference=PATTERN        a reference, with or without its tag, or a pattern with * ? and [...]
  digest=DIGEST            a digest, or the beginning of one
  platform=OS/ARCH[/VARIANT]
  state=complete|incomplete
A FILTER without = is a reference. Of several filters of one kind any has to fit, of each kind one.

Examples:
  ocirepo ls
  ocirepo ls --names
  ocirepo ls --filter 'registry.corp/*' --filter platform=linux/arm64
  ocirepo ls --filter state=incomplete --digests
  ocirepo ls --sort size              # the largest first; -r turns it
  ocirepo ls --tree                   # with platforms, signatures, SBOMs
  ocirepo ls bundle.tar               # what is in it, without adding it
  ocirepo ls --pending                # bundles that wait for more of their volumes
  ocirepo ls --format json | jq -r '.[] | select(.complete | not) | .reference'")]
pub(crate) struct Args {
    /// What to list instead of the repository; - is standard input
    source: Option<String>,
    /// Only the names, one a line; no manifest is opened unless a filter or the order needs it
    #[arg(long)]
    names: bool,
    /// Whole digests
    #[arg(long)]
    digests: bool,
    /// Only images that fit; may be repeated
    #[arg(long, value_name = "FILTER")]
    filter: Vec<Filter>,
    /// In which order
    #[arg(long, value_enum, value_name = "KEY", default_value_t)]
    sort: Sort,
    /// The other way round
    #[arg(short, long)]
    reverse: bool,
    /// Below each image its platforms, and what is about it: signatures, SBOMs, attestations
    #[arg(long, conflicts_with = "names")]
    tree: bool,
    /// The bundles of which some volumes have come, and which volumes they still need
    #[arg(long, conflicts_with_all = ["names", "source", "filter", "sort", "reverse", "tree"])]
    pending: bool,
}

/// An order of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Sort {
    /// That of index.json
    #[default]
    Index,
    /// By reference, nameless images last
    Name,
    /// The largest first
    Size,
}

/// One image in the JSON output.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    #[serde(flatten)]
    summary: Summary,
    #[serde(flatten)]
    below: Option<Below>,
    #[serde(skip)]
    position: usize,
    /// What to say of it, if all that it lacks is left to the receiver of a delta.
    #[serde(skip)]
    beside_base: Option<&'static str>,
    /// What the tree needs of it.
    #[serde(skip)]
    manifests: Vec<Manifest>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Code> {
    if let Some(source) = &args.source {
        return look::at_source(source, context, |view| list(view, args, context));
    }
    let repository = context.open()?;
    if args.pending {
        return pending::list(&repository, args.digests, context);
    }
    let code = look::at_repository(&repository, |view| list(view, args, context))?;
    if !args.names && context.format == Format::Table {
        context.say_what_waits(&repository);
    }
    Ok(code)
}

fn list(view: &View<'_>, args: &Args, context: &Context) -> Result<Code> {
    let entries = view.document.entries();
    let opens_none = args.sort != Sort::Size && args.filter.iter().all(|filter| !filter.needs_image());
    if args.names && opens_none {
        let mut chosen: Vec<&Entry> =
            entries.iter().filter(|entry| fits(&args.filter, entry, None)).collect();
        if args.sort == Sort::Name {
            sort_by_reference(&mut chosen, |entry| reference(entry));
        }
        if args.reverse {
            chosen.reverse();
        }
        let names = chosen.into_iter().filter_map(Entry::name).map(ToString::to_string);
        return print_names(names, context);
    }
    let chosen: Vec<(usize, &Entry)> =
        entries.iter().enumerate().filter(|(_, entry)| fits(&args.filter, entry, None)).collect();
    let reporter = context.reporter();
    reporter.begin("reading manifests", Unit::Items, Some(chosen.len() as u64));
    let row = |(position, entry): &(usize, &Entry)| {
        let image = Image::of(view.documents, entry);
        reporter.advance(1);
        fits(&args.filter, entry, Some(&image)).then(|| row(view, entry, *position, image, args.tree))
    };
    let is_plain = args.sort == Sort::Index && !args.names && !args.tree && context.format != Format::Json;
    if is_plain {
        // Of very many images nothing is kept but what is shown.
        let shown = |at: &(usize, &Entry)| row(at).map(|row| row.cells(args.digests));
        let mut cells: Vec<_> = in_parallel(&chosen, view.jobs, shown).into_iter().flatten().collect();
        reporter.end();
        if args.reverse {
            cells.reverse();
        }
        return print_table(view, cells, context);
    }
    let mut rows: Vec<Row> = in_parallel(&chosen, view.jobs, row).into_iter().flatten().collect();
    reporter.end();
    match args.sort {
        Sort::Index => {}
        Sort::Name => sort_by_reference(&mut rows, |row| row.summary.reference.clone()),
        Sort::Size => rows.sort_by_key(|row| std::cmp::Reverse(row.summary.total_size)),
    }
    if args.reverse {
        rows.reverse();
    }
    if args.names {
        return print_names(rows.into_iter().filter_map(|row| row.summary.reference), context);
    }
    if args.tree && !rows.is_empty() {
        reporter.during("finding referrers", || tree::grow(view, &mut rows))?;
    }
    if context.format == Format::Json {
        render::json(&rows)?;
    } else if args.tree && !rows.is_empty() {
        tree::print(&rows, args.digests, context.screen)?;
    } else {
        return print_table(view, rows.iter().map(|row| row.cells(args.digests)).collect(), context);
    }
    Ok(Code::Ok)
}

fn print_table(view: &View<'_>, rows: Vec<[Cell; 5]>, context: &Context) -> Result<Code> {
    let all = view.document.entries().len();
    if all == 0 {
        context.say("no images yet; `ocirepo add SOURCE` brings some in");
    } else if rows.is_empty() {
        context.say(&format!("none of {} fits", render::count(all as u64, "image")));
    } else {
        let table = Table::new(["REFERENCE", "DIGEST", "SIZE", "PLATFORMS", "STATE"]);
        table.right(2).fit(3, Fit::List).fit(4, Fit::End).print(context.screen, rows)?;
    }
    Ok(Code::Ok)
}

fn print_names(names: impl Iterator<Item = String>, context: &Context) -> Result<Code> {
    if context.format == Format::Json {
        render::json(&names.collect::<Vec<_>>())?;
    } else {
        render::lines(names.map(|name| render::safe(&name)))?;
    }
    Ok(Code::Ok)
}

fn row(view: &View<'_>, entry: &Entry, position: usize, image: Image, is_tree: bool) -> Row {
    Row {
        beside_base: if image.is_complete { None } else { view.beside_base(entry) },
        summary: Summary::of(entry, &image),
        below: None,
        position,
        manifests: if is_tree { image.manifests } else { Vec::new() },
    }
}

impl Row {
    fn cells(&self, whole_digests: bool) -> [Cell; 5] {
        let it = &self.summary;
        [
            render::name(it.reference.as_deref()).into(),
            digest_cell(it.digest.as_deref(), whole_digests),
            render::size(it.total_size).into(),
            if it.platforms.is_empty() { "-".into() } else { it.platforms.join(",").into() },
            self.state(),
        ]
    }

    fn state(&self) -> Cell {
        let it = &self.summary;
        if let Some((here, all)) = it.sparse {
            return Cell::new(format!("sparse: {here} of {all} here"), Look::Doubtful);
        }
        if let Some(state) = self.beside_base {
            return state.into();
        }
        let Some(problem) = &it.problem else { return state(it.complete) };
        match problem.split_once(": ") {
            // The digest has a column of its own.
            Some((digest, rest)) if Some(digest) == it.digest.as_deref() => Cell::new(rest, Look::Bad),
            Some((digest, rest)) if digest.parse::<Digest>().is_ok() => {
                Cell::new(format!("{rest} ({})", render::short(digest)), Look::Bad)
            }
            _ => Cell::new(problem, Look::Bad),
        }
    }
}

fn state(is_complete: bool) -> Cell {
    if is_complete { "complete".into() } else { Cell::new("incomplete", Look::Doubtful) }
}
