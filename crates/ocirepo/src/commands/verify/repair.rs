//! `ocirepo verify --repair-from` and `--quarantine`: the repository is changed, as far as it was asked for.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ocirepo_store::ingest::Ingest;
use ocirepo_store::verify::{Lost, Options, Report, Verification, quarantine};
use ocirepo_store::{Digest, Repository};
use ocirepo_transfer::{Repaired, Source, repair as repair_from};

use super::Args;
use super::report::{MovedAside, Outcome};
use crate::context::Context;
use crate::exit::UsageError;

/// Verifies, repairs, moves aside, and verifies what is then. In a dry run, finds out what would be then.
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
    let mut verification = Verification::new(repository, options);
    if args.dry_run {
        return rehearse(repository, &mut verification, &sources, args, context);
    }
    let what = || format!("cannot repair {}", repository.path().display());
    repository.check_writable().with_context(what)?;
    let lock = repository.lock_shared().with_context(what)?;
    let mut outcome = heal(&lock.heal(), &mut verification, &sources, context)?;
    drop(lock);
    if args.quarantine {
        move_aside(repository, &mut verification, &mut outcome, context)?;
    }
    Ok(outcome)
}

fn rehearse(
    repository: &Repository,
    verification: &mut Verification<'_>,
    sources: &[Source],
    args: &Args,
    context: &Context,
) -> Result<Outcome> {
    let lock = repository.lock_reading()?;
    let session = lock.rehearse_healing(&std::env::temp_dir());
    let mut outcome = heal(&session, verification, sources, context)?;
    let bad: Vec<Digest> = verification.bad().cloned().collect();
    if args.quarantine && !bad.is_empty() {
        verification.assume_aside(bad.iter().cloned());
        let now = verification.look_through(&session, &context.reporter())?;
        let moved = bad.into_iter().map(|digest| (blob_path(repository, &digest), digest));
        outcome.note_moved(moved.collect(), now, verification.lost());
    }
    Ok(outcome)
}

fn heal(
    session: &Ingest<'_>,
    verification: &mut Verification<'_>,
    sources: &[Source],
    context: &Context,
) -> Result<Outcome> {
    let Repaired { report, healed, lost, warnings, .. } =
        repair_from(session, verification, sources, &context.reporter())?;
    for warning in &warnings {
        context.warn(warning);
    }
    Ok(Outcome { report, healed, lost, moved: Vec::new() })
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
    let moved = quarantine(&lock, bad, &context.reporter())?.into_iter();
    let now = verification.look(&context.reporter())?;
    outcome.note_moved(moved.map(|moved| (moved.path, moved.digest)).collect(), now, verification.lost());
    Ok(())
}

impl Outcome {
    /// Notes what is aside, and what is found `now` and still lost.
    fn note_moved(&mut self, moved: Vec<(PathBuf, Digest)>, now: Report, lost: &[Lost]) {
        let before = std::mem::replace(&mut self.report, now);
        let aside = |(path, digest): (PathBuf, Digest)| MovedAside {
            images: images_of(&before, digest.as_str()),
            digest,
            path,
        };
        self.moved = moved.into_iter().map(aside).collect();
        let is_lost = |digest: &Digest| lost.iter().any(|lost| lost.digest == *digest);
        let is_aside = |digest: &Digest| self.moved.iter().any(|moved| moved.digest == *digest);
        self.lost.retain(|lost| is_lost(&lost.digest) || is_aside(&lost.digest));
    }
}

/// The images that a blob was found to break.
fn images_of(report: &Report, digest: &str) -> Vec<String> {
    let mut findings = report.findings.iter();
    let found = findings.find(|finding| finding.digest.as_deref() == Some(digest));
    found.map(|finding| finding.images.clone()).unwrap_or_default()
}

fn blob_path(repository: &Repository, digest: &Digest) -> PathBuf {
    repository.path().join("blobs").join(digest.algorithm_name()).join(digest.encoded())
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
