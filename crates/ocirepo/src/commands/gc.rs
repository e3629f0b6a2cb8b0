//! `ocirepo gc`

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use ocirepo_store::gc::{self, Amount, Options, Plan, Refusal, Swept, Trouble};
use ocirepo_store::{Error, Repository};
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::{Code, UsageError};
use crate::options::{Format, parse_duration};
use crate::render;

/// Delete blobs that no image needs
///
/// Every entry of index.json is kept with all that it names, and so are signatures and other
/// referrers of what is kept. When anything is in doubt nothing is deleted, and the culprit is named.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ocirepo gc --dry-run
  ocirepo gc
  ocirepo gc --grace 1h            # spare what skopeo may be writing beside us
  ocirepo gc --prune-referrers     # signatures whose image is gone")]
pub(crate) struct Args {
    /// Only show what would be deleted
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Spare blobs younger than this, for tools that write beside ocirepo without its locks
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = parse_duration)]
    grace: Duration,
    /// Go on even if the manifest of an image is not there
    #[arg(long)]
    ignore_missing_roots: bool,
    /// Go on even if index.json has no entries and was not written by ocirepo
    #[arg(long)]
    allow_empty: bool,
    /// Drop nameless referrers whose subject nothing else keeps
    #[arg(long)]
    prune_referrers: bool,
    /// Another repository that shares these blobs through a link; its images are kept too
    #[arg(long, value_name = "DIR")]
    also_root: Vec<PathBuf>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Code> {
    let repository = context.open()?;
    for path in &args.also_root {
        // To make a mistyped path a repository, as the usual hint says, would be the wrong cure here.
        if let Err(error @ Error::NotARepository { .. }) = Repository::open(path, context.settings()) {
            return Err(UsageError(format!("--also-root: {error}; check the path")).into());
        }
    }
    let options = Options {
        grace: args.grace,
        ignore_missing_roots: args.ignore_missing_roots,
        allow_empty: args.allow_empty,
        prune_referrers: args.prune_referrers,
        also_roots: args.also_root.clone(),
    };
    let (plan, swept) = if args.dry_run {
        let lock = repository.lock_reading()?;
        let plan = gc::plan(&lock, &options, &context.reporter())?;
        let mut swept = Swept::default();
        (swept.blobs, swept.debris) = (plan.garbage_amount(), plan.debris);
        (plan, swept)
    } else {
        gc::collect(&repository, &options, &context.reporter())?
    };
    if context.format == Format::Json {
        print_json(&plan, &swept, args.dry_run)?;
    } else {
        print(&plan, &swept, args.dry_run, context)?;
        context.say_what_waits(&repository);
    }
    for refusal in &plan.refusals {
        explain(refusal, context);
    }
    Ok(if plan.is_refused() { Code::Corrupt } else { Code::Ok })
}

fn print(plan: &Plan, swept: &Swept, dry_run: bool, context: &Context) -> Result<()> {
    for trouble in plan.broken.iter().chain(&plan.missing) {
        context.warn(&describe(trouble));
    }
    for stranger in &plan.strangers {
        context.warn(&format!("left alone: {} ({})", stranger.path.display(), stranger.reason));
    }
    let (did, drops) = if dry_run { ("would delete", "would drop") } else { ("deleted", "dropped") };
    for digest in &plan.pruned {
        render::line(&render::safe(&format!("{drops} referrer {digest}")))?;
    }
    if dry_run || context.verbose > 0 {
        for blob in &plan.garbage {
            render::line(&format!("{did} {} {}", blob.digest, render::size(blob.size)))?;
        }
    }
    let amount =
        |amount: Amount| format!("{}, {}", render::count(amount.blobs, "blob"), render::size(amount.bytes));
    if !plan.is_refused() {
        render::line(&format!("{did} {}; kept {}", amount(swept.blobs), amount(plan.kept)))?;
    }
    if plan.spared.blobs > 0 {
        render::line(&format!("spared {}, too young to judge", amount(plan.spared)))?;
    }
    if swept.debris.blobs > 0 {
        let sessions = render::count(swept.debris.blobs, "dead session");
        render::line(&format!("{did} the staging of {sessions}, {}", render::size(swept.debris.bytes)))?;
    }
    Ok(())
}

fn describe(trouble: &Trouble) -> String {
    let what = trouble.digest.as_deref().map(|digest| format!("{digest}: ")).unwrap_or_default();
    let images = if trouble.images.is_empty() {
        String::new()
    } else {
        format!(" (needed by {})", trouble.images.join(", "))
    };
    format!("{what}{}{images}", trouble.reason)
}

fn explain(refusal: &Refusal, context: &Context) {
    let (problem, cure) = match refusal {
        Refusal::Broken => (
            "nothing was deleted: what a broken manifest keeps cannot be known".to_owned(),
            "`ocirepo verify` lists all damage; `ocirepo verify --repair-from SOURCE` heals it from an archive or a \
             repository that has the manifest, or `ocirepo rm` the image"
                .to_owned(),
        ),
        Refusal::BrokenPending(ids) => (
            format!("nothing was deleted: what {} waits for cannot be known", pending(ids)),
            format!(
                "give it up with `ocirepo rm --pending {}`, and add its volumes again",
                ids.first().map_or("BUNDLE", String::as_str)
            ),
        ),
        Refusal::MissingRoots => (
            "nothing was deleted: the manifest of an image is not there, so what it keeps cannot be known"
                .to_owned(),
            "bring it back with `ocirepo verify --repair-from SOURCE` or by adding the image again, `ocirepo rm` it, or \
             give --ignore-missing-roots"
                .to_owned(),
        ),
        Refusal::EmptyIndex => (
            "nothing was deleted: index.json has no entries, but ocirepo did not write it so".to_owned(),
            "look whether index.json was lost; --allow-empty deletes every blob".to_owned(),
        ),
        Refusal::SharedBlobs(links) => {
            let links: Vec<_> = links.iter().map(|path| path.display().to_string()).collect();
            (
                format!(
                    "nothing was deleted: {} is a link, so others may share these blobs",
                    links.join(", ")
                ),
                "name every repository that does with --also-root DIR".to_owned(),
            )
        }
        other => (
            format!("nothing was deleted: {}", other.as_str()),
            "`ocirepo verify` looks for what is wrong".to_owned(),
        ),
    };
    let error = render::paint("error:", anstyle::AnsiColor::Red, context.color);
    let hint = render::paint("hint:", anstyle::AnsiColor::Cyan, context.color);
    render::line_to_stderr(&format!("{error} {}", render::safe(&problem)));
    render::line_to_stderr(&format!("{hint} {}", render::safe(&cure)));
}

fn pending(ids: &[String]) -> String {
    match ids {
        [id] => format!("the pending bundle {id}"),
        _ => format!("the pending bundles {}", ids.join(", ")),
    }
}

fn print_json(plan: &Plan, swept: &Swept, dry_run: bool) -> Result<()> {
    let amount = |amount: Amount| json!({ "blobs": amount.blobs, "bytes": amount.bytes });
    let troubles = |troubles: &[Trouble]| -> Vec<Value> {
        troubles
            .iter()
            .map(|trouble| {
                json!({
                    "digest": trouble.digest,
                    "root": trouble.is_root,
                    "images": trouble.images,
                    "message": trouble.reason,
                })
            })
            .collect()
    };
    let strangers: Vec<Value> = plan
        .strangers
        .iter()
        .map(|stranger| json!({ "path": stranger.path.display().to_string(), "message": stranger.reason }))
        .collect();
    let refused: Vec<&str> = plan.refusals.iter().map(Refusal::as_str).collect();
    render::json(&json!({
        "dryRun": dry_run,
        "refused": refused,
        "kept": amount(plan.kept),
        "swept": {
            "blobs": swept.blobs.blobs,
            "bytes": swept.blobs.bytes,
            "digests": plan.garbage.iter().map(|blob| blob.digest.as_str()).collect::<Vec<_>>(),
        },
        "spared": amount(plan.spared),
        "staging": { "sessions": swept.debris.blobs, "bytes": swept.debris.bytes },
        "prunedReferrers": plan.pruned,
        "missing": troubles(&plan.missing),
        "broken": troubles(&plan.broken),
        "strangers": strangers,
    }))?;
    Ok(())
}
