//! What `verify --repair-from` and `verify --quarantine` promise, for every blob that can be damaged.

use std::fs;

use anyhow::{Context as _, Result, bail};
use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::digest;
use ocirepo_tests::tools::say;

use super::blobs::{damaged, is_whole, path};
use super::harm::Harm;
use super::specimen::{Specimen, Target};
use super::trial::{Trial, path_text};

/// Whether this ocirepo can repair; says so if it cannot.
pub(super) fn is_there(ocirepo: &Ocirepo) -> bool {
    let help = ocirepo.run(&["verify", "--help"]).stdout;
    let is_there = ["--repair-from", "--quarantine"].iter().all(|option| help.contains(option));
    if !is_there {
        say("skipped: this ocirepo has no `verify --repair-from` and no `--quarantine`");
    }
    is_there
}

/// Damages a blob and has it repaired from a good repository, at once and after it was put aside.
pub(super) fn attempt(specimen: &Specimen, target: &Target, harm: &Harm) -> Result<()> {
    let trial = damaged(specimen, target, harm)?;
    // A child of an index that is not there makes a sparse image, which nobody knows to be damage.
    let is_sparse = *harm == Harm::Delete && target.is_document && !target.is_root;
    if !is_sparse {
        heals(specimen, &trial).context("what `verify --repair-from` does")?;
    }
    let trial = damaged(specimen, target, harm)?;
    puts_aside(&trial).context("what `verify --quarantine` does")?;
    if !is_sparse {
        heals(specimen, &trial).context("what `verify --repair-from` does after `--quarantine`")?;
    }
    Ok(())
}

/// From a source that has everything, everything comes back.
fn heals(specimen: &Specimen, trial: &Trial) -> Result<()> {
    trial.run(&["verify", "--repair-from", path_text(&specimen.good())], &[0])?;
    let found = trial.verify(&[0])?;
    if !found.errors.is_empty() || found.notes.iter().any(|(kind, ..)| kind == "sparse") {
        bail!("afterwards verify finds {:?} {:?}", found.errors, found.notes);
    }
    is_whole(trial, specimen)
}

/// No bad blob is left among the good ones, and its bytes are kept.
fn puts_aside(trial: &Trial) -> Result<()> {
    let hash = |bytes: &[u8]| digest::sha256(bytes);
    let before = trial.tree()?;
    trial.run(&["verify", "--quarantine"], &[0, 4])?;
    let after = trial.tree()?;
    for (name, bytes) in before.iter().filter(|(name, _)| name.starts_with("sha256:")) {
        let is_bad = hash(bytes) != *name;
        match (is_bad, after.get(name)) {
            (true, Some(_)) => bail!("{name} is bad and still lies among the blobs"),
            (true, None) => {
                let aside = path(name).replacen("blobs", ".ocirepo/quarantine", 1);
                let kept = fs::read(trial.dir().join(&aside)).with_context(|| format!("reading {aside}"))?;
                if kept != *bytes {
                    bail!("{aside} has not the bytes that the bad blob had");
                }
            }
            (false, kept) if kept != Some(bytes) => bail!("{name} is good and was not left alone"),
            (false, _) => {}
        }
    }
    Ok(())
}
