//! A tool that writes index.json in place is killed half-way, and then ocirepo comes: it says so and changes nothing.

use std::fs;

use anyhow::{Context as _, ensure};

use super::words_of;
use crate::outcome::{Outcome, Tally};
use crate::scenario::{self, Scenario};

/// Tries it with every command that finds a repository.
pub(super) fn run(scenarios: &[Scenario]) -> Outcome {
    let mut tally = Tally::default();
    for scenario in scenarios.iter().filter(|scenario| scenario.begins_with_a_repository()) {
        let what = || format!("{}: `{}` over half an index.json", scenario.name(), scenario.line());
        try_once(scenario).with_context(what)?;
        tally.count("torn index.json", 1);
    }
    Ok(tally)
}

fn try_once(scenario: &Scenario) -> Outcome<()> {
    let copy = scenario.copy("torn");
    let index = scenario.index(&copy);
    let mut bytes = fs::read(&index)?;
    bytes.truncate(bytes.len() / 2);
    fs::write(&index, &bytes)?;
    let blobs = scenario.blobs(&copy)?;
    let output = scenario.command(&copy).output()?;
    ensure!(fs::read(&index)? == bytes, "index.json is not as it was:\n{}", words_of(&output));
    let lost: Vec<_> = blobs.difference(&scenario.blobs(&copy)?).cloned().collect();
    ensure!(lost.is_empty(), "blobs are gone: {lost:?}\n{}", words_of(&output));
    let code = output.status.code();
    ensure!(code == Some(4), "it ends with {code:?}, not 4:\n{}", words_of(&output));
    scenario::remove(&copy)
}
