//! A damaged file of ocirepo's own: images are never the price.
//!
//! Most of these files carry no promise: without them, everything works as before. The configuration says what
//! ref.name holds; who needs to know refuses while it cannot be read, and it may be deleted.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use ocirepo_tests::checker::check;

use super::blobs::is_whole;
use super::harm::Harm;
use super::specimen::Specimen;
use super::trial::{Trial, path_text};

const CONFIG: &str = ".ocirepo/config.json";

/// The files, each with another that it may change places with.
pub(super) const FILES: [(&str, &str); 7] = [
    (CONFIG, ".ocirepo/last-index"),
    (".ocirepo/last-index", ".ocirepo/cache/layers"),
    (".ocirepo/index.prev", ".ocirepo/last-index"),
    (".ocirepo/cache/layers", ".ocirepo/index.prev"),
    (".ocirepo/lock", ".ocirepo/index.lock"),
    (".ocirepo/index.lock", ".ocirepo/gate"),
    (".ocirepo/gate", ".ocirepo/lock"),
];

/// Damages a file and goes on working.
pub(super) fn attempt(specimen: &Specimen, file: &str, harm: &Harm) -> Result<()> {
    let trial = Trial::of(&specimen.ocirepo);
    harm.apply(trial.dir(), file)?;
    let may_refuse = file == CONFIG || matches!(harm, Harm::Swap(other) if other == CONFIG);
    works(specimen, &trial, if may_refuse { &[0, 4] } else { &[0] })?;
    if may_refuse {
        let path = trial.dir().join(CONFIG);
        if path.exists() {
            std::fs::remove_file(path)?;
        }
        works(specimen, &trial, &[0]).context("after the configuration was deleted")?;
    }
    Ok(())
}

fn works(specimen: &Specimen, trial: &Trial, codes: &[i32]) -> Result<()> {
    let blobs = trial.blobs()?;
    let garbage = check(trial.dir()).garbage;
    let output = trial.output("out.tar")?;
    for args in [&["ls"][..], &["verify"], &["inspect", "docker.io/test/both:1"], &["inventory"]] {
        trial.run(args, codes)?;
    }
    trial.run(&["export", "-o", &output], codes)?;
    let collected = trial.run(&["gc"], codes)?;
    let left = trial.blobs()?;
    let gone: BTreeSet<String> = blobs.difference(&left).cloned().collect();
    if gone != if collected.status.success() { garbage } else { BTreeSet::new() } {
        bail!("gc has swept {gone:?}");
    }
    let before = trial.tree()?;
    let saved = specimen.ocirepo.scratch("saved.tar");
    let name = specimen.news_name;
    let changes: [&[&str]; 4] = [
        &["add", "--layers", "reuse", path_text(&saved)],
        &["add", path_text(&specimen.news)],
        &["tag", name, "docker.io/test/more:1"],
        &["rm", name, "docker.io/test/more:1"],
    ];
    for args in changes {
        // What was not added is not there to be tagged or removed.
        let missing = if codes.contains(&4) { &[0, 4, 3][..] } else { codes };
        if !trial.run(args, missing)?.status.success() {
            trial.is_untouched(&before, &format!("`ocirepo {}`, which failed,", args.join(" ")))?;
        }
    }
    if codes.contains(&4) {
        return Ok(());
    }
    trial.run(&["gc"], &[0])?;
    trial.run(&["verify"], &[0])?;
    is_whole(trial, specimen)
}
