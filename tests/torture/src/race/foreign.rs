//! Writers that take no locks: skopeo and umoci, where they are installed, and an emulation of others, which reads
//! index.json, changes an entry, and writes it in place or renames a temporary over it.
//!
//! One at a time. Each has names of its own, and what it wrote there is never lost. What it undoes of ours, because it
//! read index.json before and wrote it after, nobody can prevent: that time is a window, and what ends before it begins
//! is never undone. One gap is known (docs/limits.md): a writer that reads index.json while one of ours is still
//! merging what another one wrote loses that; so each waits for those of ours that were at work when the last one wrote.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use ocirepo_tests::chance::Chance;
use ocirepo_tests::descriptor::{REF_NAME, ref_named};
use ocirepo_tests::tools;
use serde_json::{Value as Json, json};

use super::field::Field;
use super::history::Span;
use super::pool::{Sample, pick, text};
use super::process::Fate;
use crate::outcome::Outcome;

/// The tools that are here.
#[derive(Debug)]
pub(super) struct Tools {
    skopeo: Option<PathBuf>,
    umoci: Option<PathBuf>,
}

impl Tools {
    /// Looks for them, and says which are not there.
    pub(super) fn find() -> Self {
        Self { skopeo: tools::tool("skopeo"), umoci: tools::tool("umoci") }
    }

    /// Whether they read the layout without error. The error is what they say.
    pub(super) fn read(&self, field: &Field<'_>, chance: &mut Chance) -> Outcome<()> {
        let dir = text(field.ocirepo.dir());
        let index = read_index(field.ocirepo.dir())?;
        let entries = index["manifests"].as_array().map_or(&[][..], Vec::as_slice);
        let names: Vec<&str> =
            entries.iter().filter_map(|entry| entry["annotations"][REF_NAME].as_str()).collect();
        if let Some(umoci) = &self.umoci {
            let listed = run(umoci, &["ls", "--layout", &dir])?;
            for name in &names {
                ensure!(listed.lines().any(|line| line == *name), "umoci does not list {name}:\n{listed}");
            }
            field.tally().count("readings by other tools", 1);
        }
        if let Some(skopeo) = &self.skopeo {
            for _ in 0..3 {
                run(skopeo, &["inspect", &format!("oci:{dir}:{}", pick(chance, &names))])?;
            }
            field.tally().count("readings by other tools", 3);
        }
        Ok(())
    }
}

/// What a writer without locks does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    PutInPlace,
    PutByRename,
    RemoveInPlace,
    RemoveByRename,
    Skopeo,
    UmociTag,
    UmociRemove,
}

const DEEDS: [(u64, Deed); 7] = [
    (6, Deed::PutInPlace),
    (6, Deed::PutByRename),
    (2, Deed::RemoveInPlace),
    (2, Deed::RemoveByRename),
    (3, Deed::Skopeo),
    (3, Deed::UmociTag),
    (1, Deed::UmociRemove),
];

/// So many names are its own.
const NAMES: u64 = 6;

/// A writer that takes no locks.
#[derive(Debug)]
pub(super) struct Stranger<'f> {
    field: &'f Field<'f>,
    tools: &'f Tools,
    chance: Chance,
    /// Its names, and what they stand for.
    names: BTreeMap<String, String>,
    /// How many of ours had been killed when it last looked.
    kills: u64,
}

impl<'f> Stranger<'f> {
    pub(super) fn new(field: &'f Field<'f>, tools: &'f Tools, chance: Chance) -> Self {
        Self { field, tools, chance, names: BTreeMap::new(), kills: 0 }
    }

    /// Writes until the round is over. The error is that a tool did not find what it had written.
    pub(super) fn work(mut self) -> Outcome<()> {
        let mut last = Instant::now();
        while !self.field.is_over() {
            while self.field.runs_since_before(last) {
                thread::sleep(Duration::from_millis(1));
            }
            self.have_merges_finished()?;
            let deed = self.draw();
            if let Err(loss) = self.act(deed) {
                self.field.stop();
                return Err(loss.context(format!("a writer without locks ({deed:?})")));
            }
            last = Instant::now();
            thread::sleep(self.chance.moment(Duration::from_millis(40)));
        }
        Ok(())
    }

    /// Where one of ours was killed, what it was merging is merged by the next one, whatever that comes for.
    fn have_merges_finished(&mut self) -> Outcome<()> {
        let kills = self.field.kills();
        if kills != self.kills {
            self.kills = kills;
            let words = ["rm", "docker.io/not/there:1"].map(str::to_owned);
            let ended = self.field.run(&words, false, Fate::Runs)?;
            ensure!(ended.code == Some(3), "{}", ended.tell());
        }
        Ok(())
    }

    fn draw(&mut self) -> Deed {
        let mut left = self.chance.below(DEEDS.iter().map(|(weight, _)| weight).sum());
        let mut deeds = DEEDS.iter();
        let found = deeds.find(|(weight, _)| {
            let is_it = left < *weight;
            left = left.saturating_sub(*weight);
            is_it
        });
        match found.map_or(Deed::PutInPlace, |(_, deed)| *deed) {
            Deed::Skopeo if self.tools.skopeo.is_none() => Deed::PutInPlace,
            Deed::UmociTag | Deed::UmociRemove if self.tools.umoci.is_none() => Deed::PutByRename,
            deed @ (Deed::RemoveInPlace | Deed::UmociTag) if self.names.is_empty() => {
                if deed == Deed::UmociTag { Deed::PutByRename } else { Deed::PutInPlace }
            }
            Deed::RemoveByRename | Deed::UmociRemove if self.names.is_empty() => Deed::PutByRename,
            deed => deed,
        }
    }

    fn act(&mut self, deed: Deed) -> Outcome<()> {
        let pool = self.field.pool;
        let sample = pool.any(&mut self.chance);
        let name = format!("docker.io/foreign/app:f{}", self.chance.below(NAMES));
        let known: Vec<String> = self.names.keys().cloned().collect();
        let known = if known.is_empty() { name.clone() } else { pick(&mut self.chance, &known).clone() };
        let layout = text(self.field.ocirepo.dir());
        let pause = self.chance.moment(Duration::from_millis(30));
        if matches!(deed, Deed::PutInPlace | Deed::PutByRename) {
            self.write_blobs(sample)?;
        }
        self.field.names().open_window();
        let start = Instant::now();
        let (name, digest) = match deed {
            Deed::PutInPlace | Deed::PutByRename => {
                let digest = sample.digest();
                self.emulate(&name, Some(sample), deed == Deed::PutInPlace, pause)?;
                (name, Some(digest))
            }
            Deed::RemoveInPlace | Deed::RemoveByRename => {
                self.emulate(&known, None, deed == Deed::RemoveInPlace, pause)?;
                (known, None)
            }
            Deed::Skopeo => {
                let skopeo = self.tools.skopeo.as_deref().context("skopeo")?;
                let from = format!("oci:{}", sample.layout());
                run(
                    skopeo,
                    &["copy", "--quiet", "--preserve-digests", &from, &format!("oci:{layout}:{name}")],
                )?;
                (name, Some(sample.digest()))
            }
            Deed::UmociTag => {
                let umoci = self.tools.umoci.as_deref().context("umoci")?;
                run(umoci, &["tag", "--image", &format!("{layout}:{known}"), &name])?;
                (name, self.names.get(&known).cloned())
            }
            Deed::UmociRemove => {
                let umoci = self.tools.umoci.as_deref().context("umoci")?;
                run(umoci, &["rm", "--image", &format!("{layout}:{known}")])?;
                (known, None)
            }
        };
        let span = Span { start, end: Instant::now() };
        let mut names = self.field.names();
        names.close_window();
        names.wrote_without_locks(&name, digest.clone(), span, &format!("{deed:?}, without locks"));
        drop(names);
        match digest {
            Some(digest) => self.names.insert(name, digest),
            None => self.names.remove(&name),
        };
        self.field.tally().count("writes without locks", 1);
        Ok(())
    }

    /// Blobs come before the index that names them.
    fn write_blobs(&self, sample: &Sample) -> Outcome<()> {
        let blobs = self.field.ocirepo.dir().join("blobs/sha256");
        for blob in sample.image.blobs() {
            let path = blobs.join(blob.hex());
            if !path.exists() {
                let temporary = blobs.join(format!(".{}.part", blob.hex()));
                fs::write(&temporary, &blob.bytes)?;
                fs::rename(&temporary, &path)?;
            }
        }
        Ok(())
    }

    /// Reads index.json, takes its time, and writes it with the name as it is to be.
    fn emulate(&self, name: &str, sample: Option<&Sample>, in_place: bool, pause: Duration) -> Outcome<()> {
        let dir = self.field.ocirepo.dir();
        let mut index = read_index(dir)?;
        let entries = index["manifests"].as_array_mut().context("index.json has no manifests")?;
        let found = entries.iter().any(|entry| entry["annotations"][REF_NAME] == name);
        let lost = self.names.contains_key(name) && !found;
        ensure!(!lost, "lost reference: {name} is gone, which it had written before");
        entries.retain(|entry| entry["annotations"][REF_NAME] != name);
        entries.extend(sample.map(|sample| ref_named(sample.image.descriptor(), name)));
        thread::sleep(pause);
        let bytes = json!(index).to_string();
        if in_place {
            return fs::write(dir.join("index.json"), bytes).context("index.json in place");
        }
        let temporary = dir.join(".index.json.theirs");
        fs::write(&temporary, bytes)?;
        fs::rename(&temporary, dir.join("index.json")).context("index.json by rename")
    }
}

fn read_index(dir: &Path) -> Outcome<Json> {
    let bytes = fs::read(dir.join("index.json")).context("index.json was lost")?;
    serde_json::from_slice(&bytes).context("index.json is torn")
}

fn run(program: &Path, args: &[&str]) -> Outcome<String> {
    let output =
        Command::new(program).args(args).stdin(Stdio::null()).output().context("it cannot be started")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} {}: {}\n{stderr}", program.display(), args.join(" "), output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
