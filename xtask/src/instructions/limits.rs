//! The limits on disk: what was accepted for one kind of processor, in `limits/<processor>.json`.
//!
//! What is in the file is what was counted; how far above it a figure may be is [`super::judge`]'s.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

use super::count::Count;
use super::jobs::{Figure, JOBS};
use crate::shell;

/// What was accepted, by job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) counts: BTreeMap<String, Count>,
    /// The compiler and the valgrind of that.
    pub(super) origin: String,
}

impl Limits {
    /// The limits for a processor; `None` if nothing was ever accepted for it.
    pub(super) fn read(processor: &str) -> Result<Option<Self>> {
        let path = path(processor);
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => {
                let limits = read.map_err(Into::into).and_then(|bytes| Self::parse(&bytes));
                limits.map(Some).with_context(|| path.display().to_string())
            }
        }
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let document: Value = serde_json::from_slice(bytes)?;
        let origin = document["origin"].as_str().context("there is no \"origin\"")?.to_owned();
        let jobs = document["jobs"].as_object().context("there are no \"jobs\"")?;
        let count = |(name, count): (&String, &Value)| {
            let part = |part: &str| count[part].as_u64().with_context(|| format!("{name:?} has no {part:?}"));
            Ok((name.clone(), Count { hashing: part("hashing")?, rest: part("rest")? }))
        };
        Ok(Self { counts: jobs.iter().map(count).collect::<Result<_>>()?, origin })
    }

    /// These limits with what was counted now. What has moved by less than a hundredth stays, so that the change
    /// to the file shows what has changed; what is the limit of no job any more goes.
    pub(super) fn accept(mut self, figures: &[Figure], origin: String) -> Self {
        self.counts.retain(|name, _| JOBS.iter().any(|job| job.name == name));
        for figure in figures {
            let old = self.counts.entry(figure.job.name.to_owned()).or_insert(figure.count);
            let slack = figure.job.unit.slack();
            let moved = |old: u64, new: u64| old.abs_diff(new) > slack.max(old / 100);
            if moved(old.hashing, figure.count.hashing) || moved(old.rest, figure.count.rest) {
                *old = figure.count;
            }
        }
        Self { origin, ..self }
    }

    /// Writes the file.
    pub(super) fn write(&self, processor: &str) -> Result<()> {
        let path = path(processor);
        fs::create_dir_all(path.parent().context("limits lie in a directory")?)?;
        fs::write(&path, self.to_text()?).with_context(|| path.display().to_string())?;
        println!("{} has the limits: say in the commit why they have moved", path.display());
        Ok(())
    }

    fn to_text(&self) -> Result<String> {
        let job = |(name, count): (&String, &Count)| {
            (name.clone(), json!({"hashing": count.hashing, "rest": count.rest}))
        };
        let jobs: Map<_, _> = self.counts.iter().map(job).collect();
        Ok(serde_json::to_string_pretty(&json!({"jobs": jobs, "origin": self.origin}))? + "\n")
    }
}

fn path(processor: &str) -> PathBuf {
    shell::root().join("xtask/src/instructions/limits").join(processor).with_extension("json")
}

/// What else a count depends on: the compiler, and a little the valgrind.
pub(super) fn origin() -> Result<String> {
    let version = |program: &str| -> Result<String> {
        let output = Command::new(program).arg("--version").output().with_context(|| program.to_owned())?;
        ensure!(output.status.success(), "`{program} --version` failed: {}", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    Ok(format!("{}, {}", version(&rustc)?, version("valgrind")?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn limits<const N: usize>(counts: [(&str, u64, u64); N]) -> Limits {
        let count = |(name, hashing, rest): (&str, u64, u64)| (name.to_owned(), Count { hashing, rest });
        Limits { counts: counts.into_iter().map(count).collect(), origin: "rustc 1".into() }
    }

    #[test]
    fn every_job_has_a_limit_and_every_limit_a_job() {
        let limits = Limits::read("x86_64").unwrap().unwrap();
        let names: BTreeSet<_> = JOBS.iter().map(|job| job.name).collect();
        assert_eq!(names.len(), JOBS.len(), "a name comes twice");
        assert_eq!(limits.counts.keys().map(String::as_str).collect::<BTreeSet<_>>(), names);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let limits = limits([("a", 1, 2), ("b", 0, 3)]);
        assert_eq!(Limits::parse(limits.to_text().unwrap().as_bytes()).unwrap(), limits);
    }

    #[test]
    fn a_file_that_lacks_something_is_refused() {
        let whole = r#"{"jobs": {"a": {"hashing": 1, "rest": 2}}, "origin": ""}"#;
        assert!(Limits::parse(whole.as_bytes()).is_ok());
        for damage in [("1", "-1"), ("rest", "rust"), ("jobs", "job"), ("origin", "o"), ("}}", "}")] {
            let damaged = whole.replace(damage.0, damage.1);
            assert!(Limits::parse(damaged.as_bytes()).is_err(), "{damaged}");
        }
    }

    #[test]
    fn accepting_moves_what_has_moved_and_drops_what_is_no_job() {
        let (one, two, three) = (&JOBS[1], &JOBS[2], &JOBS[3]);
        let old = limits([(one.name, 5_000_000, 0), (two.name, 5_000_000, 0), ("knitting", 1, 1)]);
        let figure = |job, hashing, rest| Figure::median(job, &[Count { hashing, rest }]);
        let figures = [figure(one, 5_040_000, 19_000), figure(two, 5_040_000, 21_000), figure(three, 7, 8)];
        let new = old.accept(&figures, "rustc 2".into());
        let mut expected =
            limits([(one.name, 5_000_000, 0), (two.name, 5_040_000, 21_000), (three.name, 7, 8)]);
        expected.origin = "rustc 2".into();
        assert_eq!(new, expected);
    }

    #[test]
    fn what_was_not_counted_keeps_its_limit() {
        let old = limits([(JOBS[1].name, 5, 6)]);
        assert_eq!(old.clone().accept(&[], "rustc 1".into()), old);
    }
}
