//! Verifying an archive where it lies: everything that could be found when it is added, and what it
//! holds beside.
//!
//! Every blob is read and hashed, whether an image needs it or not. Blobs that a bundle leaves to its
//! receiver, or that are in other volumes, are told of and are no damage. A volume is held against its
//! checksums too. Images without manifests are made on the way, so what is wrong with one of them ends
//! the work: it is then the only finding.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ocirepo_store::graph::{Fault, Graph, walk};
use ocirepo_store::parallel::on_threads;
use ocirepo_store::verify::{Finding, Kind, Report, State, judge, sort};
use ocirepo_store::{Digest, ErrorKind, Progress, Unit};

use super::{PeekOptions, Peeked, PeekedVolume, peek};
use crate::error::{Error, Result};
use crate::import::volumes;
use crate::source::Source;

/// Verifies an archive without bringing it in. With `quick` only sizes are looked at, where that can
/// be.
///
/// # Errors
/// When it cannot be read or is no archive. Damage is a finding.
pub fn verify_source(
    source: &Source,
    options: &PeekOptions,
    quick: bool,
    progress: &dyn Progress,
) -> Result<Report> {
    let label = source.to_string();
    let path = match source {
        Source::Path(path) => path.clone(),
        Source::Stdin => PathBuf::from("-"),
    };
    match peek(source, options, progress, |peeked| examine(peeked, &path, quick, progress)) {
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            let mut report = Report::default();
            report.findings.push(finding_of(&error, &label, &path));
            Ok(report)
        }
        verified => verified,
    }
}

fn examine(peeked: &Peeked<'_>, path: &Path, quick: bool, progress: &dyn Progress) -> Report {
    let graph = walk(&peeked.held, &peeked.document, peeked.jobs());
    let mut digests = peeked.held.listed();
    digests.extend(graph.blobs().map(|(_, blob)| blob.digest.clone()));
    let state = look_at(peeked, digests, !quick, progress);

    let mut found = judge(&graph, Some(&peeked.document), &state, &|_| path.to_owned());
    found.extend(orphans(&graph, &state, path));
    for finding in &mut found {
        name_member(peeked, finding);
    }
    if let Some(bundle) = &peeked.bundle {
        let expected = bundle.toc.required.iter().map(|blob| blob.digest.as_str());
        let number = peeked.volume.and_then(|volume| volume.number);
        let expected: BTreeSet<&str> = expected.chain(bundle.elsewhere(number)).collect();
        found.retain(|finding| !is_absence(finding.kind, &finding.digest, &expected));
        let said = found.iter().filter_map(|finding| finding.digest.clone()).collect();
        let remarks = bundle.check(number, &state, &said).into_iter();
        found.extend(remarks.map(|(kind, digest, message)| finding(kind, digest, path, message)));
        found.extend(required(peeked, path));
    }
    if let Some(volume) = peeked.volume {
        found.extend(of_volume(peeked, volume, path, quick));
    }
    sort(&mut found);
    let present = state.values().filter_map(|state| state.size);
    let mut report = Report::default();
    (report.blobs, report.bytes) = (present.clone().count() as u64, present.sum());
    report.findings = found;
    report
}

/// Looks at every blob, the large ones first, so that no thread is left with one at the end.
fn look_at(
    peeked: &Peeked<'_>,
    digests: BTreeSet<Digest>,
    hash: bool,
    progress: &dyn Progress,
) -> BTreeMap<Digest, State> {
    let mut sized: Vec<(Digest, State)> = digests
        .into_iter()
        .map(|digest| {
            let state = peeked.held.examine(&digest, false);
            (digest, state)
        })
        .collect();
    if hash {
        sized.sort_by_key(|(_, state)| std::cmp::Reverse(state.size));
        let total = sized.iter().filter_map(|(_, state)| state.size).fold(0, u64::saturating_add);
        progress.begin("verifying", Unit::Bytes, Some(total));
        let hashed = on_threads(&sized, peeked.jobs(), |(digest, _)| peeked.held.examine(digest, true));
        progress.end();
        for ((_, state), hashed) in sized.iter_mut().zip(hashed) {
            *state = hashed;
        }
    }
    sized.into_iter().collect()
}

/// Blobs that no image needs.
fn orphans(graph: &Graph, state: &BTreeMap<Digest, State>, path: &Path) -> Vec<Finding> {
    let is_certain = graph.faults.iter().all(|fault| matches!(fault, Fault::Missing { .. }));
    let idle = if is_certain { "no image needs it" } else { "no image that can be read needs it" };
    let mut found = Vec::new();
    for (digest, state) in state.iter().filter(|(digest, _)| graph.find(digest).is_none()) {
        let corrupt = state.hashes_to.as_ref().filter(|hash| *hash != digest);
        let (kind, message) = match (&state.error, corrupt) {
            (Some(error), _) => (Kind::Unreadable, error.clone()),
            (None, Some(hash)) => (Kind::Corrupt, format!("its content hashes to {hash}")),
            (None, None) => (Kind::Orphan, idle.to_owned()),
        };
        found.push(finding(kind, Some(digest.clone()), path, message));
    }
    found
}

/// Says in which member the damage is.
fn name_member(peeked: &Peeked<'_>, finding: &mut Finding) {
    if !matches!(finding.kind, Kind::WrongSize | Kind::Corrupt | Kind::BrokenManifest) {
        return;
    }
    let digest = finding.digest.as_deref().and_then(|digest| digest.parse::<Digest>().ok());
    let member = digest.and_then(|digest| peeked.held.member(&digest).ok().flatten());
    if let Some(member) = member {
        finding.message = format!("{} ({})", finding.message, crate::error::escape(&member.name));
    }
}

fn is_absence(kind: Kind, digest: &Option<String>, expected: &BTreeSet<&str>) -> bool {
    matches!(kind, Kind::MissingRoot | Kind::Missing | Kind::Sparse | Kind::MissingSubject)
        && digest.as_deref().is_some_and(|digest| expected.contains(digest))
}

/// What the receiver has to have.
fn required(peeked: &Peeked<'_>, path: &Path) -> Vec<Finding> {
    let note = |blob: &crate::bundle::Required| {
        let message = format!("{} bytes that the receiver must have", blob.size);
        let mut finding = finding(Kind::Required, Some(blob.digest.clone()), path, message);
        finding.images.clone_from(&blob.images);
        finding
    };
    peeked.required().iter().map(note).collect()
}

/// What a volume says of itself, and where the rest of its bundle is.
fn of_volume(peeked: &Peeked<'_>, volume: PeekedVolume, path: &Path, quick: bool) -> Vec<Finding> {
    let PeekedVolume { number, volumes } = volume;
    let Some(bundle) = &peeked.bundle else { return Vec::new() };
    let mut found = Vec::new();
    if let Err(error) = volumes::check(peeked.held.carrier, &bundle.toc, !quick) {
        found.push(finding(Kind::Damaged, None, path, peeked.held.short(&error)));
    }
    let elsewhere = bundle.elsewhere(number).len();
    let which = number.map_or_else(|| "a volume".to_owned(), |number| format!("volume {number}"));
    let message = format!("this is {which} of {volumes}; {elsewhere} blobs are in others, or in parts");
    found.push(finding(Kind::OtherVolumes, Some(bundle.toc.id.clone()), path, message));
    found
}

fn finding(kind: Kind, digest: Option<Digest>, path: &Path, message: String) -> Finding {
    let mut finding = Finding::new(kind, message);
    finding.digest = digest.map(|digest| digest.to_string());
    finding.path = Some(path.to_owned());
    finding
}

/// What ended the work, as a finding.
fn finding_of(error: &Error, label: &str, path: &Path) -> Finding {
    let (kind, digest, image) = match error {
        Error::BadBlob { expected, .. } => (Kind::Corrupt, Some(expected), None),
        Error::BadSize { .. } => (Kind::WrongSize, None, None),
        Error::BadLayer { image, expected, .. } => (Kind::Corrupt, Some(expected), Some(image)),
        Error::MissingBlob { image, digest, .. } => (Kind::Missing, Some(digest), Some(image)),
        Error::MissingLayer { image, diff_id, .. } => (Kind::Missing, Some(diff_id), Some(image)),
        Error::BadImage { image, .. } => (Kind::BrokenManifest, None, Some(image)),
        _ => (Kind::Damaged, None, None),
    };
    let text = error.to_string();
    let message = text.strip_prefix(&format!("{label}: ")).map(str::to_owned).unwrap_or(text);
    let mut finding = finding(kind, digest.cloned(), path, message);
    finding.images.extend(image.cloned());
    finding
}
