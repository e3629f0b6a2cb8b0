//! `ocirepo export --type dir`: into another repository, new or not.

use anyhow::Result;
use ocirepo_store::index::Document;
use ocirepo_store::ingest::Copying;
use ocirepo_store::lock::Reading;
use ocirepo_store::{Error, InitOptions, Repository, Scratch};
use ocirepo_transfer::{Copied, CopyOptions, ExportOptions, plan_copy};
use serde_json::json;

use super::Args;
use crate::context::Context;
use crate::exit::{Code, UsageError};
use crate::options::Format;
use crate::render;

pub(super) fn run(
    args: &Args,
    context: &Context,
    lock: &Reading<'_>,
    document: &Document,
    wanted: &[usize],
    options: &ExportOptions,
) -> Result<Code> {
    let how =
        CopyOptions { copying: if args.link { Copying::Link } else { Copying::Copy }, replace: args.replace };
    let settings = context.settings();
    let reporter = context.reporter();
    let target = match Repository::open(&args.output, settings.clone()) {
        Ok(target) => Some(target),
        Err(Error::NotARepository { .. }) if Repository::can_begin(&args.output)? => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(target) = &target {
        if is_same(target, lock)? {
            let reason = format!("{} is the repository that is exported", args.output.display());
            return Err(UsageError(reason).into());
        }
        if args.names.is_some() {
            let reason = format!(
                "{} has its own ref policy; `ocirepo config ref-policy` changes it",
                args.output.display()
            );
            return Err(UsageError(reason).into());
        }
        target.roll_forward()?;
    }
    // The repository writes names by its policy, whatever they are here.
    let options = ExportOptions { names: None, ..options.clone() };
    let plan = plan_copy(lock, document, wanted, &options)?;
    let policy = || super::names(args).map_or_else(|| lock.policy(document), Ok);
    let copied = match &target {
        Some(target) if args.dry_run => {
            let target = target.lock_reading()?;
            let ingest = target.rehearse(&std::env::temp_dir());
            plan.copy(ingest, how, &reporter)?
        }
        Some(target) => {
            let target = target.lock_shared()?;
            plan.copy(target.ingest()?, how, &reporter)?
        }
        None if args.dry_run => {
            let nowhere = Scratch::create(&std::env::temp_dir(), settings.clone())?;
            let init = InitOptions { policy: Some(policy()?), adopt: false };
            let (target, _) = Repository::init(&nowhere.directory().join("target"), init, settings)?;
            let target = target.lock_reading()?;
            let ingest = target.rehearse(&std::env::temp_dir());
            plan.copy(ingest, how, &reporter)?
        }
        None => {
            let init = InitOptions { policy: Some(policy()?), adopt: false };
            let (target, _) = Repository::init(&args.output, init, settings)?;
            let target = target.lock_shared()?;
            plan.copy(target.ingest()?, how, &reporter)?
        }
    };
    report(args, copied, context)?;
    Ok(Code::Ok)
}

fn is_same(target: &Repository, source: &Repository) -> Result<bool> {
    let real = |repository: &Repository| std::fs::canonicalize(repository.path());
    Ok(real(target)? == real(source)?)
}

fn report(args: &Args, copied: Copied, context: &Context) -> Result<()> {
    for warning in &copied.warnings {
        context.warn(warning);
    }
    let counts = copied.counts;
    if context.format == Format::Json {
        let images: Vec<_> = copied
            .images
            .iter()
            .map(|(image, outcome)| {
                json!({
                    "reference": image.reference,
                    "digest": image.digest.as_str(),
                    "artifact": image.is_artifact,
                    "previous": outcome.previous,
                    "displaced": outcome.displaced,
                })
            })
            .collect();
        render::json(&json!({
            "dryRun": args.dry_run,
            "output": args.output.display().to_string(),
            "type": args.archive.name(),
            "images": images,
            "blobs": {
                "new": counts.new, "newBytes": counts.new_bytes,
                "reused": counts.reused, "reusedBytes": counts.reused_bytes,
            },
            "warnings": copied.warnings,
        }))?;
        return Ok(());
    }
    let would = if args.dry_run { "would export" } else { "exported" };
    for (image, outcome) in &copied.images {
        let name = render::name(image.reference.as_deref());
        let moved = match &outcome.previous {
            Some(previous) if previous != image.digest.as_str() => format!(", moved from {previous}"),
            _ => String::new(),
        };
        render::line(&render::safe(&format!("{would} {name} {}{moved}", image.digest)))?;
        for displaced in &outcome.displaced {
            render::line(&render::safe(&format!("replaced {displaced}")))?;
        }
    }
    context.say(&format!(
        "{}: {} new ({}), {} already there ({})",
        render::safe(&args.output.display().to_string()),
        render::count(counts.new, "blob"),
        render::size(counts.new_bytes),
        counts.reused,
        render::size(counts.reused_bytes),
    ));
    Ok(())
}
