//! `ocirepo diff`

use std::path::Path;

use anyhow::{Context as _, Result};
use ocirepo_store::Repository;
use ocirepo_store::gc::Amount;
use ocirepo_transfer::{Difference, Holdings, ImageChanges, Source, TocImage, diff};
use serde_json::{Value, json};

use super::inventory;
use crate::context::Context;
use crate::exit::{Code, UsageError};
use crate::options::Format;
use crate::render;

/// Show what has to be carried to get from A to B
///
/// A and B are a repository, a bundle or another image layout in a file, an inventory, or an image of
/// the repository, by name or digest. What exists as a path is taken for one. What a bundle requires
/// counts as part of it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ocirepo diff have.txt .                   # what the receiver lacks, from its inventory
  ocirepo diff alpine:3.11 alpine:3.12      # what the two do not share
  ocirepo diff /media/usb/may.tar june.tar")]
pub(crate) struct Args {
    /// Where to start: what the other side has
    #[arg(value_name = "A")]
    from: String,
    /// Where to get to: what the other side should have
    #[arg(value_name = "B")]
    to: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Code> {
    if args.from == "-" && args.to == "-" {
        return Err(UsageError("only one of the two can come from standard input".to_owned()).into());
    }
    let mut repository = None;
    let from = holdings(&args.from, context, &mut repository)?;
    let to = holdings(&args.to, context, &mut repository)?;
    let difference = diff(&from, &to);
    if context.format == Format::Json {
        render::json(&to_json(&difference))?;
        return Ok(Code::Ok);
    }
    match &difference.images {
        Some(changes) => show(changes, context)?,
        None => {
            let side = if from.images.is_none() { &args.from } else { &args.to };
            let side = Source::parse(side);
            context.say(&format!("{side} lists blobs and no images, so only those are compared"));
        }
    }
    let amount =
        |amount: Amount| format!("{} ({})", render::count(amount.blobs, "blob"), render::size(amount.bytes));
    render::line(&format!(
        "to carry: {}; no longer needed: {}",
        amount(difference.new),
        amount(difference.gone)
    ))?;
    Ok(Code::Ok)
}

/// What a word of the command line stands for: a path that exists, else an image of the repository.
fn holdings(word: &str, context: &Context, repository: &mut Option<Repository>) -> Result<Holdings> {
    if word == "-" || Path::new(word).exists() {
        return inventory::read(Path::new(word), context);
    }
    let no_path = || format!("there is no file or directory {word}");
    let repository = match repository {
        Some(repository) => repository,
        None => repository.insert(context.open().with_context(no_path)?),
    };
    let document = repository.index()?;
    let found = repository.resolve(&document, word).with_context(no_path)?;
    Ok(Holdings::of_entries(repository, &document, &found.positions)?)
}

fn show(changes: &ImageChanges, context: &Context) -> Result<()> {
    let name = |image: &TocImage| render::name(image.reference.as_deref()).to_owned();
    let short = |digest: &ocirepo_store::Digest| render::short(digest.as_str());
    let mut rows = Vec::new();
    for image in &changes.added {
        rows.push(["added".to_owned(), name(image), "-".to_owned(), short(&image.digest)]);
    }
    for moved in &changes.moved {
        rows.push(["moved".to_owned(), moved.reference.clone(), short(&moved.from), short(&moved.to)]);
    }
    for image in &changes.removed {
        rows.push(["removed".to_owned(), name(image), short(&image.digest), "-".to_owned()]);
    }
    if rows.is_empty() {
        render::line("the images are the same")?;
    } else {
        render::Table::new(["CHANGE", "REFERENCE", "FROM", "TO"]).print(context.screen, rows)?;
    }
    Ok(())
}

fn to_json(difference: &Difference) -> Value {
    let image = |image: &TocImage| json!({ "reference": image.reference, "digest": image.digest.as_str() });
    let images = |list: &[TocImage]| list.iter().map(image).collect::<Vec<Value>>();
    let changes = difference.images.as_ref();
    let moved = changes.map(|changes| {
        let moved = changes.moved.iter();
        moved
            .map(|it| json!({ "reference": it.reference, "from": it.from.as_str(), "to": it.to.as_str() }))
            .collect::<Vec<Value>>()
    });
    json!({
        "added": changes.map(|changes| images(&changes.added)),
        "removed": changes.map(|changes| images(&changes.removed)),
        "moved": moved,
        "blobs": {
            "new": difference.new.blobs,
            "newBytes": difference.new.bytes,
            "gone": difference.gone.blobs,
            "goneBytes": difference.gone.bytes,
        },
    })
}
