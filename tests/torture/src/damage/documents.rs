//! A damaged index.json or oci-layout: it is an error everywhere, never an empty repository, and nobody touches
//! it. Where a flipped bit leaves a document that can be read, nothing is swept that was needed before.

use anyhow::{Context as _, Result, bail};

use super::harm::Harm;
use super::specimen::Specimen;
use super::trial::{Tree, Trial, path_text};

/// The documents, with something else that each may change places with.
pub(super) const DOCUMENTS: [(&str, &str); 2] =
    [("index.json", "oci-layout"), ("oci-layout", ".ocirepo/config.json")];

/// Damages a document and tries every verb.
pub(super) fn attempt(specimen: &Specimen, file: &str, harm: &Harm) -> Result<()> {
    let trial = Trial::of(&specimen.ocirepo);
    harm.apply(trial.dir(), file)?;
    let before = trial.tree()?;
    let readable = trial.run(&["ls"], &[0, 4])?.status.code() == Some(0);
    if readable {
        return match harm {
            Harm::Flip(_) => {
                stays_safe(specimen, &trial, &before).context("with a document that can still be read")
            }
            _ => bail!(
                "`ocirepo ls` takes it for a good one, and lists {} of {} images",
                trial.listed()?.len(),
                specimen.listed.len()
            ),
        };
    }
    is_refused(specimen, &trial, &before)?;
    match harm {
        Harm::Delete => is_adopted(specimen, &trial, file),
        _ => Ok(()),
    }
}

/// Every verb fails with exit code 4, and leaves everything as it is.
fn is_refused(specimen: &Specimen, trial: &Trial, before: &Tree) -> Result<()> {
    let output = trial.output("out.tar")?;
    let (news, plain) = (path_text(&specimen.news), "docker.io/test/plain:1");
    let verbs: [&[&str]; 12] = [
        &["add", news],
        &["gc"],
        &["rm", plain],
        &["tag", plain, "docker.io/test/more:1"],
        &["config", "ref-policy", "tag"],
        &["init"],
        &["gc", "--allow-empty", "--ignore-missing-roots"],
        &["rm", "--untagged"],
        &["verify"],
        &["export", "-o", &output],
        &["inspect", plain],
        &["inventory"],
    ];
    for args in verbs {
        // There is a good repository to `init` where both documents are there: it is not looked into.
        let codes: &[i32] = if args == ["init"] { &[0, 4] } else { &[4] };
        trial.run(args, codes)?;
        trial.is_untouched(before, &format!("`ocirepo {}`", args.join(" ")))?;
    }
    let left = trial.outputs()?;
    if left.is_empty() { Ok(()) } else { bail!("a failed export left {left:?}") }
}

/// Whatever the document says now, no blob goes that was needed, and no entry.
fn stays_safe(specimen: &Specimen, trial: &Trial, before: &Tree) -> Result<()> {
    trial.run(&["verify"], &[0, 4])?;
    trial.is_untouched(before, "verify")?;
    let entries = trial.listed()?.len();
    trial.run(&["gc"], &[0, 4])?;
    let mut expected = before.clone();
    if !trial.blobs()?.contains(&specimen.orphan) {
        expected.remove(&specimen.orphan);
    }
    trial.is_untouched(&expected, "gc")?;
    let added = trial.run(&["add", path_text(&specimen.news)], &[0, 4])?;
    if added.status.success() && trial.listed()?.len() != entries + 1 {
        bail!("there were {entries} entries; one was added, and now there are {:?}", trial.listed()?);
    }
    if !added.status.success() {
        trial.is_untouched(&expected, "an add that failed")?;
    }
    Ok(())
}

/// A document that is gone can be made again, from what is there.
fn is_adopted(specimen: &Specimen, trial: &Trial, file: &str) -> Result<()> {
    let blobs = trial.blobs()?;
    trial.run(&["init", "--adopt"], &[0])?;
    if blobs != trial.blobs()? {
        bail!("`ocirepo init --adopt` has changed which blobs there are");
    }
    let listed = trial.json(&["ls"], &[0])?;
    let digests: Vec<&str> =
        listed.as_array().into_iter().flatten().filter_map(|row| row["digest"].as_str()).collect();
    for entry in &specimen.listed {
        if !digests.contains(&entry.digest.as_str()) {
            bail!("{file} was deleted; `ocirepo init --adopt` has not found {} again", entry.label);
        }
    }
    trial.run(&["verify"], &[0])?;
    trial.run(&["gc"], &[0])?;
    let lost: Vec<_> =
        blobs.difference(&trial.blobs()?).filter(|digest| **digest != specimen.orphan).cloned().collect();
    if lost.is_empty() { Ok(()) } else { bail!("gc after `ocirepo init --adopt` has swept {lost:?}") }
}
