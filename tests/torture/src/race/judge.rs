//! The verdict when all is quiet: every name that has to be there is there, once and with a legal digest, nothing else
//! is, every image is whole, and after gc nothing is left over.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use ocirepo_tests::checker::check;
use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::descriptor::{IMAGE_NAME, REF_NAME};
use ocirepo_tests::snapshot::debris;
use serde_json::Value as Json;

use super::history::{History, Value};
use super::worker::tell;
use crate::outcome::Outcome;

/// What other tools may have left that ours would not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    None,
    /// Entries that lost their name to another one, as skopeo leaves them.
    LeaveNameless,
}

/// An entry of index.json, read by nobody's code but ours.
#[derive(Debug)]
struct Entry {
    name: Option<String>,
    ref_name: Option<String>,
    is_full: bool,
    digest: String,
}

/// Everything that is wrong with a repository, the worst first.
pub(super) fn judge(ocirepo: &Ocirepo, names: &History, others: Others) -> Outcome<Vec<String>> {
    let mut wrong = Vec::new();
    // Whoever comes first finishes what a killed conversion left half-way.
    expect_well(ocirepo, &["ls", "--format", "json"], &mut wrong);
    let entries = entries(ocirepo.dir())?;
    wrong.extend(wrong_names(&entries, names, others));
    wrong.extend(
        check(ocirepo.dir()).problems.into_iter().map(|problem| format!("a broken layout: {problem}")),
    );
    expect_well(ocirepo, &["verify"], &mut wrong);
    wrong.extend(wrong_policy(ocirepo, &entries)?);
    if !wrong.is_empty() {
        return Ok(wrong);
    }
    expect_well(ocirepo, &["gc"], &mut wrong);
    expect_well(ocirepo, &["verify"], &mut wrong);
    wrong.extend(wrong_names(&self::entries(ocirepo.dir())?, names, others));
    let report = check(ocirepo.dir());
    wrong.extend(report.problems.iter().map(|problem| format!("broken by gc: {problem}")));
    let leftovers =
        [(&report.garbage, "garbage"), (&report.staging, "staging"), (&report.sparse, "a missing child")];
    for (which, what) in leftovers {
        wrong.extend(which.iter().map(|it| format!("{what} after gc: {it}")));
    }
    wrong.extend(debris(ocirepo.dir()).into_iter().map(|path| format!("debris after gc: {path}")));
    Ok(wrong)
}

fn expect_well(ocirepo: &Ocirepo, args: &[&str], wrong: &mut Vec<String>) {
    let output = ocirepo.run(args);
    if output.status.code() != Some(0) {
        let said = output.stdout.lines().filter(|line| line.starts_with("error")).take(5).collect::<Vec<_>>();
        let (args, said) = (args.join(" "), said.join("\n"));
        wrong.push(format!("`ocirepo {args}`: {}\n{}{said}", output.status, output.stderr));
    }
}

/// The entries of index.json as they stand.
fn entries(dir: &Path) -> Outcome<Vec<Entry>> {
    let bytes = fs::read(dir.join("index.json")).context("index.json was lost")?;
    let index: Json = serde_json::from_slice(&bytes).context("index.json is torn")?;
    let entry = |entry: &Json| {
        let annotation = |key: &str| entry["annotations"][key].as_str().map(str::to_owned);
        let (full, ref_name) = (annotation(IMAGE_NAME), annotation(REF_NAME));
        let digest = entry["digest"].as_str().unwrap_or_default().to_owned();
        Entry { is_full: full.is_some(), name: full.or_else(|| ref_name.clone()), ref_name, digest }
    };
    Ok(index["manifests"].as_array().map_or(&[][..], Vec::as_slice).iter().map(entry).collect())
}

fn wrong_names(entries: &[Entry], names: &History, others: Others) -> Vec<String> {
    let mut there: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for entry in entries {
        match &entry.name {
            Some(name) => there.entry(name).or_default().push(&entry.digest),
            None if others == Others::LeaveNameless => {}
            None => wrong.push(format!("an entry without a name: {}", entry.digest)),
        }
    }
    let now = Instant::now();
    let known: BTreeSet<&str> = names.names().map(String::as_str).collect();
    for &name in &known {
        let legal = names.legal(name);
        let story = || format!("; what was done:\n{}", names.tell(name, now));
        match there.get(name).map_or(&[][..], Vec::as_slice) {
            [] if !legal.contains(&None) => {
                wrong.push(format!(
                    "lost reference: {name} is gone, and should be {}{}",
                    tell(&legal),
                    story()
                ));
            }
            [digest] if !legal.contains(&Value::Some((*digest).to_owned())) => {
                let legal = tell(&legal);
                wrong.push(format!("wrong reference: {name} is {digest}, and should be {legal}{}", story()));
            }
            [_, _, ..] => wrong.push(format!("{name} stands more than once: {:?}{}", there[name], story())),
            _ => {}
        }
    }
    let unknown = there.keys().filter(|name| !known.contains(**name));
    wrong.extend(unknown.map(|name| format!("nobody gave the name {name}")));
    wrong
}

/// Whether every ref.name is what the policy wants.
fn wrong_policy(ocirepo: &Ocirepo, entries: &[Entry]) -> Outcome<Vec<String>> {
    let output = ocirepo.run(&["config", "ref-policy", "--format", "json"]);
    let policy: Json = serde_json::from_str(&output.stdout).context("the ref policy")?;
    let is_tag = policy["refPolicy"] == "tag";
    let is_right = |entry: &&Entry| {
        let Some(name) = entry.name.as_ref().filter(|_| entry.is_full) else { return true };
        let wanted = if is_tag { name.rsplit(':').next().unwrap_or(name) } else { name.as_str() };
        // A ref.name stands once: of two names with one tag, the other goes without.
        let stands_elsewhere = |other: &Entry| other.ref_name.as_deref() == Some(wanted);
        entry.ref_name.as_deref() == Some(wanted)
            || (entry.ref_name.is_none() && is_tag && entries.iter().any(stands_elsewhere))
    };
    let wrong = entries.iter().filter(|entry| !is_right(entry));
    Ok(wrong.map(|entry| format!("not as the policy {policy} wants it: {entry:?}")).collect())
}
