//! `ocirepo why`

use anyhow::Result;
use ocirepo_store::gc::{self, Step, Why};
use ocirepo_store::graph::Link;
use serde_json::json;

use crate::context::Context;
use crate::exit::Code;
use crate::options::Format;
use crate::render::{self, Branch, Cell, Fit, Look, Table};

/// Show why a blob is kept, or that it is garbage
///
/// One way from an image down to the blob is drawn, a shortest one; the other images that need the blob are listed
/// below it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ocirepo why sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
  ocirepo why e3b0c442
  ocirepo why e3b0c442 -v           # every image that needs it, however many
  ocirepo why e3b0c442 --format json | jq -r '.images[]'")]
pub(crate) struct Args {
    /// The digest of the blob, or 7 or more hex digits that begin it; or the name of an image
    digest: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Code> {
    let repository = context.open()?;
    let lock = repository.lock_reading()?;
    let why = context.reporter().during("marking manifests", || gc::why(&lock, &args.digest))?;
    if context.format == Format::Json {
        let path: Vec<_> = why
            .path
            .iter()
            .map(|step| {
                json!({
                    "digest": step.digest.as_str(),
                    "link": step.link.map_or("root", Link::as_str),
                    "mediaType": step.media_type,
                    "size": step.size,
                    "platform": step.platform.as_ref().map(ToString::to_string),
                })
            })
            .collect();
        render::json(&json!({
            "digest": why.digest.as_str(),
            "present": why.is_present,
            "garbage": why.is_garbage(),
            "path": path,
            "images": why.images,
        }))?;
        return Ok(Code::Ok);
    }
    if why.is_garbage() {
        render::line(&format!("{} is garbage: nothing needs it", why.digest))?;
        return Ok(Code::Ok);
    }
    draw(&why, context)?;
    list_others(&why, context)?;
    if !why.is_present {
        context.warn("the blob itself is not there");
    }
    Ok(Code::Ok)
}

/// Draws the way from the root down.
fn draw(why: &Why, context: &Context) -> Result<()> {
    let branches: Vec<Branch> =
        why.path.iter().enumerate().map(|(depth, step)| Branch { depth, label: label(why, step) }).collect();
    let rows = render::tree(&branches).into_iter().zip(&why.path).map(|(label, step)| {
        let size = step.size.map_or_else(|| "-".to_owned(), render::size);
        let media_type = step.media_type.as_deref().unwrap_or("-");
        let digest = Cell::new(step.digest.as_str(), Look::Dim);
        [Cell::from(label), digest, size.into(), media_type.into()]
    });
    let table = Table::new(["WHY", "DIGEST", "SIZE", "TYPE"]).fit(1, Fit::Digest).right(2).fit(3, Fit::Tail);
    table.print(context.screen, rows)?;
    Ok(())
}

fn label(why: &Why, step: &Step) -> String {
    match step.link {
        None => why.root.first().cloned().unwrap_or_else(|| "root".to_owned()),
        Some(link) => {
            let platform = step.platform.as_ref().map(|platform| format!(" {platform}"));
            format!("{}{}", link.as_str(), platform.unwrap_or_default())
        }
    }
}

/// So many other images are listed unless there is time for all.
const MOST_LISTED: usize = 10;

fn list_others(why: &Why, context: &Context) -> Result<()> {
    let others: Vec<&String> = why.images.iter().filter(|image| why.root.first() != Some(image)).collect();
    if others.is_empty() {
        return Ok(());
    }
    let shown = if context.verbose > 0 { others.len() } else { MOST_LISTED.min(others.len()) };
    render::line("")?;
    render::line(&format!("needed by {} as well:", render::count(others.len() as u64, "other")))?;
    render::lines(others[..shown].iter().map(|image| format!("  {}", render::safe(image))))?;
    if shown < others.len() {
        render::line(&format!("  and {} more; -v lists them", others.len() - shown))?;
    }
    Ok(())
}
