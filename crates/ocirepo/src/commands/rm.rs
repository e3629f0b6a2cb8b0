//! `ocirepo rm`

use anyhow::{Context as _, Result};
use ocirepo_store::name::Pattern;
use ocirepo_store::pending::remove_pending;
use ocirepo_store::remove::{self, Reason, RemovalPlan, Selection};
use ocirepo_transfer::{find_waiting, waiting_bundles};
use serde_json::json;

use crate::context::Context;
use crate::exit::{Code, UsageError};
use crate::options::Format;
use crate::render;

/// Remove images from the repository
///
/// Entries are taken out of index.json; blobs stay until `ocirepo gc`. Nameless referrers (such as
/// signatures) of what is removed, and of nothing that stays, go along.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ocirepo rm alpine:3.11
  ocirepo rm --glob 'registry.corp/old/*'
  ocirepo rm --untagged --dry-run
  ocirepo rm --pending 3f2a91c      # a bundle whose other volumes will not come
  ocirepo rm @3                     # the fourth entry, even if it is damaged")]
pub(crate) struct Args {
    /// Names, digests or the beginning of one, or @N; with --pending, ids of bundles
    #[arg(value_name = "REFERENCE", required_unless_present = "untagged")]
    references: Vec<String>,
    /// Take each REFERENCE as a pattern over names, with * ? and [...]
    #[arg(long)]
    glob: bool,
    /// All images without a name
    #[arg(long)]
    untagged: bool,
    /// Give up bundles that wait for volumes, with what has come of them, instead of images
    #[arg(long, requires = "references", conflicts_with_all = ["glob", "untagged", "keep_referrers"])]
    pending: bool,
    /// Leave the nameless referrers of what is removed
    #[arg(long)]
    keep_referrers: bool,
    /// Only show what would be removed
    #[arg(short = 'n', long)]
    dry_run: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Code> {
    if args.pending {
        return give_up(args, context);
    }
    let mut selection =
        Selection { untagged: args.untagged, keep_referrers: args.keep_referrers, ..Selection::default() };
    if args.glob {
        for text in &args.references {
            let pattern = Pattern::new(text)
                .map_err(|error| UsageError(format!("{text} is not a pattern: {error}")))
                .context("--glob")?;
            selection.globs.push(pattern);
        }
    } else {
        selection.queries.clone_from(&args.references);
    }
    let repository = context.open()?;
    let plan = if args.dry_run {
        remove::plan(&repository, &repository.index()?, &selection)?
    } else {
        remove::remove(&repository.lock_shared()?, &selection)?
    };
    for unreadable in &plan.unreadable {
        context.warn(&format!("referrers were left alone, since not all images can be read: {unreadable}"));
    }
    if context.format == Format::Json {
        print_json(&plan, args.dry_run)?;
    } else {
        let did = if args.dry_run { "would remove" } else { "removed" };
        for removal in &plan.removals {
            let digest = removal.digest.as_deref().unwrap_or("-");
            let why = match &removal.reason {
                Reason::ReferrerOf(subject) => format!(" (refers to {subject})"),
                _ => String::new(),
            };
            let name = render::name(removal.reference.as_deref());
            render::line(&render::safe(&format!("{did} {name} {digest}{why}")))?;
        }
        if plan.removals.is_empty() {
            context.say("nothing to remove");
        } else if !args.dry_run {
            context.say("blobs are freed by `ocirepo gc`");
        }
    }
    Ok(Code::Ok)
}

fn print_json(plan: &RemovalPlan, dry_run: bool) -> Result<()> {
    let removed: Vec<_> = plan
        .removals
        .iter()
        .map(|removal| {
            let subject = match &removal.reason {
                Reason::ReferrerOf(subject) => Some(subject),
                _ => None,
            };
            json!({ "reference": removal.reference, "digest": removal.digest, "subject": subject })
        })
        .collect();
    render::json(&json!({ "dryRun": dry_run, "removed": removed }))?;
    Ok(())
}

/// Gives up bundles that wait: all that were named, or none.
fn give_up(args: &Args, context: &Context) -> Result<Code> {
    let repository = context.open()?;
    let find = |wanted: &String| find_waiting(&repository, wanted);
    let mut bundles = args.references.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    bundles.sort_unstable();
    bundles.dedup();
    let waiting = waiting_bundles(&repository)?;
    if !args.dry_run {
        let lock = repository.lock_shared()?;
        for bundle in &bundles {
            remove_pending(&lock, bundle)?;
        }
    }
    let removed: Vec<_> = waiting.iter().filter(|waiting| bundles.contains(&waiting.bundle)).collect();
    if context.format == Format::Json {
        let removed: Vec<_> = removed
            .iter()
            .map(|waiting| json!({ "bundle": waiting.bundle.as_str(), "bytes": waiting.bytes }))
            .collect();
        render::json(&json!({ "dryRun": args.dry_run, "removed": [], "pending": removed }))?;
        return Ok(Code::Ok);
    }
    let did = if args.dry_run { "would give up" } else { "gave up" };
    for waiting in removed {
        let size = render::size(waiting.bytes);
        render::line(&render::safe(&format!("{did} bundle {} ({size})", waiting.bundle)))?;
    }
    Ok(Code::Ok)
}
