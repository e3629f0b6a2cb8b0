//! `ocirepo verify --repair-from` and `--quarantine`: the repository is changed, as far as it was asked for.

use std::path::Path;

use anyhow::{Context as _, Result};
use ocirepo_store::verify::{Options, Report, Verification, quarantine};
use ocirepo_store::{Digest, Repository};
use ocirepo_transfer::{Repaired, Source, repair as repair_from};

use super::Args;
use super::report::{MovedAside, Outcome};
use crate::context::Context;
use crate::exit::UsageError;

/// Verifies, repairs, moves aside, and verifies what is then.
pub(super) fn repair(
    repository: &Repository,
    options: Options,
    args: &Args,
    context: &Context,
) -> Result<Outcome> {
    let sources: Vec<Source> = args.repair_from.iter().map(Source::parse).collect();
    for source in &sources {
        refuse_itself(repository, source)?;
    }
    let what = || format!("cannot repair {}", repository.path().display());
    repository.check_writable().with_context(what)?;

    let mut verification = Verification::new(repository, options);
    let lock = repository.lock_shared().with_context(what)?;
    let Repaired { report, healed, lost, warnings, .. } =
        repair_from(&lock, &mut verification, &sources, &context.reporter())?;
    drop(lock);
    for warning in &warnings {
        context.warn(warning);
    }
    let mut outcome = Outcome { report, healed, lost, moved: Vec::new() };
    if args.quarantine {
        move_aside(repository, &mut verification, &mut outcome, context)?;
    }
    Ok(outcome)
}

/// Verifies, and says what would be moved aside.
pub(super) fn rehearse(repository: &Repository, options: Options, context: &Context) -> Result<Outcome> {
    let _lock = repository.lock_reading()?;
    let mut verification = Verification::new(repository, options);
    let report = verification.look(&context.reporter())?;
    let bad = verification.bad().map(|digest| MovedAside {
        images: images_of(&report, digest.as_str()),
        digest: digest.clone(),
        path: repository.path().join("blobs").join(digest.algorithm_name()).join(digest.encoded()),
    });
    Ok(Outcome { moved: bad.collect(), ..Outcome::of(report) })
}

/// Moves what is bad in itself aside, and looks again.
fn move_aside(
    repository: &Repository,
    verification: &mut Verification<'_>,
    outcome: &mut Outcome,
    context: &Context,
) -> Result<()> {
    let bad: Vec<_> = verification.bad().cloned().collect();
    if bad.is_empty() {
        return Ok(());
    }
    // A good blob that somebody puts in place meanwhile stays: each is judged again under this lock.
    let lock = repository.lock_exclusive()?;
    let moved = quarantine(&lock, bad, &context.reporter())?;
    let before = std::mem::replace(&mut outcome.report, verification.look(&context.reporter())?);
    let images = |digest: &str| images_of(&before, digest);
    outcome.moved = moved
        .into_iter()
        .map(|moved| MovedAside {
            images: images(moved.digest.as_str()),
            digest: moved.digest,
            path: moved.path,
        })
        .collect();
    let is_lost = |digest: &Digest| verification.lost().iter().any(|lost| lost.digest == *digest);
    let is_aside = |digest: &Digest| outcome.moved.iter().any(|moved| moved.digest == *digest);
    outcome.lost.retain(|lost| is_lost(&lost.digest) || is_aside(&lost.digest));
    Ok(())
}

/// The images that a blob was found to break.
fn images_of(report: &Report, digest: &str) -> Vec<String> {
    let mut findings = report.findings.iter();
    let found = findings.find(|finding| finding.digest.as_deref() == Some(digest));
    found.map(|finding| finding.images.clone()).unwrap_or_default()
}

/// What is damaged has no good copy in itself.
fn refuse_itself(repository: &Repository, source: &Source) -> Result<(), UsageError> {
    let real = |path: &Path| path.canonicalize().ok();
    match source {
        Source::Path(path) if real(path).is_some() && real(path) == real(repository.path()) => {
            Err(UsageError(format!("{source} is the repository itself: name a source that has good copies")))
        }
        _ => Ok(()),
    }
}
