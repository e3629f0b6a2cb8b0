//! One of those who work at the same time: runs one command after the other, says what each must have done, and holds
//! every answer against what it knows.
//!
//! What a worker knows for sure are its own names, which only it writes to. Of the others it learns nothing before all
//! is quiet.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail, ensure};
use ocirepo_tests::chance::Chance;
use serde_json::Value as Json;

use super::action::{Action, Weights, draw};
use super::field::Field;
use super::history::Value;
use super::names;
use super::pool::text;
use super::process::{Ended, Fate};
use crate::outcome::Outcome;

/// What kind of life a worker has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Role {
    pub(super) weights: Weights,
    /// How many of a hundred processes are killed, and how many are stopped for a while.
    pub(super) killed: u64,
    pub(super) stopped: u64,
    /// The latest moment in the life of a process at which that happens.
    pub(super) latest: Duration,
    /// The longest time between two processes.
    pub(super) pause: Duration,
    /// Goes on after a command that ended in an illegal way, so that what was lost is seen as well.
    pub(super) goes_on: bool,
}

/// A worker.
#[derive(Debug)]
pub(super) struct Worker<'f> {
    pub(super) field: &'f Field<'f>,
    pub(super) me: usize,
    pub(super) role: Role,
    pub(super) chance: Chance,
    /// Slows the moment down in which index.json is replaced, for those who do that.
    pub(super) strace: Option<&'f Path>,
}

impl Worker<'_> {
    /// Works until the round is over. The error is a promise that was broken.
    pub(super) fn work(mut self) -> Outcome<()> {
        let mut count = 0;
        let mut all = Ok(());
        while !self.field.is_over() {
            let action = draw(self.role.weights, &mut self.chance, self.field.pool, self.me, count);
            count += 1;
            let done = self.act(&action);
            if done.is_err() && !self.role.goes_on {
                self.field.stop();
                return done;
            }
            all = all.and(done);
            thread::sleep(self.chance.moment(self.role.pause));
        }
        all
    }

    fn act(&mut self, action: &Action) -> Outcome<()> {
        let fate = self.fate();
        let out = self.field.ocirepo.scratch(&format!("out-{}.tar", self.me));
        let words = action.words(&text(&out), &text(self.field.second.dir()));
        let in_second = matches!(action, Action::Plain { in_second: true, .. });
        let slowed = self.strace.filter(|_| is_edit(action) && self.chance.below(3) == 0);
        let ended = match slowed {
            Some(strace) => {
                let delay = Duration::from_millis(1) + self.chance.moment(Duration::from_millis(30));
                // It takes longer, so it may be killed later.
                let fate =
                    if let Fate::Killed(after) = fate { Fate::Killed(after + 4 * delay) } else { fate };
                self.field.run_slowly(strace, delay, &words, fate)?
            }
            None => self.field.run(&words, in_second, fate)?,
        };
        let settled = self.settle(action, &ended).and_then(|()| self.read_again(action, &out, &ended));
        settled.map_err(|loss| {
            self.may_have_done(action, &ended);
            let now = Instant::now();
            let names = self.field.names();
            let history = names_in(action).iter().map(|name| names.tell(name, now)).collect::<Vec<_>>();
            let history = history.join("\n");
            anyhow!(
                "{loss:#}: worker {}, {}\n  what was done to these names:\n{history}",
                self.me,
                ended.tell()
            )
        })
    }

    fn fate(&mut self) -> Fate {
        let draw = self.chance.below(100);
        let after = self.chance.moment(self.role.latest);
        if draw < self.role.killed {
            Fate::Killed(after)
        } else if draw < self.role.killed + self.role.stopped {
            Fate::Stopped(after, Duration::from_millis(20) + self.chance.moment(Duration::from_millis(200)))
        } else {
            Fate::Runs
        }
    }

    /// Judges how a command ended and writes down what it did.
    fn settle(&self, action: &Action, ended: &Ended) -> Outcome<()> {
        let Some(code) = ended.code else {
            self.may_have_done(action, ended);
            return Ok(());
        };
        if code == 4 && ended.stderr.contains("index.json") && self.field.names().is_disturbed(ended.span) {
            // Somebody without locks was writing it in place, and took a break.
            return Ok(());
        }
        match action {
            Action::Add { name, digest, .. } => {
                self.expect(ended, &[0], 9, || !self.is_mine(name))?;
                let added = self.take_images(ended)?;
                let is_it = |(it, what): &(String, String)| it == name && what == digest;
                ensure!(code != 0 || added.iter().any(is_it), "it does not say that {name} was added");
            }
            Action::AddVolume { .. } => {
                self.expect(ended, &[0], 0, || true)?;
                self.take_images(ended)?;
            }
            Action::Tag { from, to } => self.settle_tag(from, to, ended)?,
            Action::Remove { name } => {
                self.expect_presence(name, ended)?;
                self.wrote(name, None, ended);
            }
            Action::RemoveAll { names, .. } => {
                self.expect(ended, &[0], 3, || names.iter().all(|name| self.may_be_absent(name)))?;
                names.iter().for_each(|name| self.wrote(name, None, ended));
            }
            Action::Plain { .. } => self.expect(ended, &[0], 0, || true)?,
            Action::Export { names, .. } => {
                self.expect(ended, &[0], 3, || names.iter().any(|name| self.may_be_absent(name)))?;
            }
            Action::Copy => self.settle_copy(ended)?,
            Action::List => {
                self.expect(ended, &[0], 0, || true)?;
                self.settle_list(&ended.json()?)?;
            }
            Action::Inspect { name } => {
                self.expect_presence(name, ended)?;
                if code == 0 {
                    self.settle_image(name, &ended.json()?)?;
                }
            }
            Action::Policy { policy } => self.expect(ended, &[0], 9, || *policy == "tag")?,
        }
        Ok(())
    }

    /// Of a process that was killed nobody knows what it did.
    fn may_have_done(&self, action: &Action, ended: &Ended) {
        let mut writes: Vec<(&String, BTreeSet<Value>)> = Vec::new();
        match action {
            Action::Add { name, digest, .. } => writes.push((name, BTreeSet::from([Some(digest.clone())]))),
            Action::Tag { from, to } => {
                let digests: BTreeSet<Value> =
                    if self.is_mine(from) { self.field.legal(from) } else { self.any_digest().collect() };
                writes.push((to, digests.into_iter().filter(Option::is_some).collect()));
            }
            Action::Remove { name } => writes.push((name, BTreeSet::from([None]))),
            Action::RemoveAll { names, .. } => {
                writes.extend(names.iter().map(|name| (name, BTreeSet::from([None]))));
            }
            Action::Copy => {
                let names: Vec<String> = self.field.names().names().cloned().collect();
                let digests: BTreeSet<Value> = self.any_digest().collect();
                let mut second = self.field.second_names();
                for name in names {
                    second.may_have_written(&name, digests.clone(), ended.span, &ended.line);
                }
            }
            _ => {}
        }
        if matches!(action, Action::Add { .. } | Action::AddVolume { .. }) {
            // An add may complete a bundle that waits.
            let images = self.field.pool.bundles.iter().flat_map(|bundle| &bundle.images);
            writes.extend(images.map(|(name, digest)| (name, BTreeSet::from([Some(digest.clone())]))));
        }
        let mut names = self.field.names();
        for (name, values) in writes {
            names.may_have_written(name, values, ended.span, &format!("{} (did not end well)", ended.line));
        }
    }

    /// Writes down what `add` says that it added.
    fn take_images(&self, ended: &Ended) -> Outcome<Vec<(String, String)>> {
        if ended.code != Some(0) {
            return Ok(Vec::new());
        }
        let images = images(&ended.json()?["images"])?;
        for (name, digest) in &images {
            self.wrote(name, Some(digest.clone()), ended);
        }
        Ok(images)
    }

    fn settle_tag(&self, from: &str, to: &str, ended: &Ended) -> Outcome<()> {
        let code = ended.code.unwrap_or_default();
        if code == 9 && !self.is_mine(to) {
            return Ok(());
        }
        self.expect_presence(from, ended)?;
        if code == 0 {
            let tagged = ended.json()?["tagged"][0]["digest"].as_str().unwrap_or_default().to_owned();
            self.check_digest(from, &tagged)?;
            self.wrote(to, Some(tagged), ended);
        }
        Ok(())
    }

    fn settle_copy(&self, ended: &Ended) -> Outcome<()> {
        self.expect(ended, &[0], 0, || true)?;
        let images = images(&ended.json()?["images"])?;
        let mut second = self.field.second_names();
        for (name, digest) in images {
            second.wrote(&name, Some(digest), ended.span, &ended.line);
        }
        Ok(())
    }

    /// In a list, every name of mine stands once, if it has to, and is whole.
    fn settle_list(&self, rows: &Json) -> Outcome<()> {
        let rows = rows.as_array().map_or(&[][..], Vec::as_slice);
        for name in names::all_own(self.me) {
            let mine: Vec<&Json> = rows.iter().filter(|row| row["reference"] == name.as_str()).collect();
            match mine.as_slice() {
                [] => ensure!(self.may_be_absent(&name), "{name} was lost: it is not listed"),
                [row] => self.settle_image(&name, row)?,
                _ => bail!("{name} is listed {} times", mine.len()),
            }
        }
        Ok(())
    }

    /// What is said about a name of mine is what I know, and the image is whole.
    fn settle_image(&self, name: &str, row: &Json) -> Outcome<()> {
        self.check_digest(name, row["digest"].as_str().unwrap_or_default())?;
        let is_whole = row["complete"] == true || !self.is_mine(name);
        ensure!(is_whole, "{name}: a blob of a listed image was lost: {}", row["problem"]);
        Ok(())
    }

    /// A file that is there after an export is whole, even if the export was killed.
    fn read_again(&self, action: &Action, out: &Path, ended: &Ended) -> Outcome<()> {
        if !matches!(action, Action::Export { .. }) {
            return Ok(());
        }
        if out.exists() {
            let words = ["verify".to_owned(), text(out)];
            let verified = self.field.run(&words, false, Fate::Runs)?;
            ensure!(verified.code == Some(0), "an export is incomplete: {}", verified.tell());
            fs::remove_file(out)?;
        } else {
            ensure!(ended.code != Some(0), "there is no export");
        }
        Ok(())
    }

    /// One of the codes that are always legal, or `other` where that is.
    fn expect(
        &self,
        ended: &Ended,
        codes: &[i32],
        other: i32,
        is_legal: impl FnOnce() -> bool,
    ) -> Outcome<()> {
        let code = ended.code.unwrap_or_default();
        if codes.contains(&code) || (code == other && is_legal()) {
            return Ok(());
        }
        let is_gone = |line: &&str| line.contains("is missing") || line.contains("is not there");
        match ended.stderr.lines().find(is_gone) {
            Some(line) => bail!("lost blob: {line}"),
            None => bail!("exit code {code} is not legal here"),
        }
    }

    /// A name of mine is found when it is there and not found when it is not.
    fn expect_presence(&self, name: &str, ended: &Ended) -> Outcome<()> {
        self.expect(ended, &[0, 3], 0, || true)?;
        if ended.code == Some(0) {
            ensure!(
                !self.is_mine(name) || self.field.legal(name).iter().any(Option::is_some),
                "{name} came back: it was removed"
            );
        } else {
            ensure!(self.may_be_absent(name), "{name} was lost: it is not found");
        }
        Ok(())
    }

    fn check_digest(&self, name: &str, digest: &str) -> Outcome<()> {
        let legal = self.field.legal(name);
        let is_known = !self.is_mine(name) || legal.contains(&Some(digest.to_owned()));
        ensure!(is_known, "{name} is {digest}, and should be {}", tell(&legal));
        Ok(())
    }

    fn may_be_absent(&self, name: &str) -> bool {
        !self.is_mine(name) || self.field.legal(name).contains(&None)
    }

    /// Whether nobody but me writes to a name, or nobody at all.
    fn is_mine(&self, name: &str) -> bool {
        let is_own = names::all_own(self.me).iter().any(|own| own == name);
        is_own || names::is_fresh(self.me, name) || names::is_kept(name)
    }

    fn wrote(&self, name: &str, value: Value, ended: &Ended) {
        self.field.names().wrote(name, value, ended.span, &ended.line);
    }

    fn any_digest(&self) -> impl Iterator<Item = Value> {
        self.field.pool.digests().map(Some)
    }
}

/// `images` as `add` and `export --type dir` print them: names and digests.
fn images(list: &Json) -> Outcome<Vec<(String, String)>> {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let list = list.as_array().map_or(&[][..], Vec::as_slice);
    let images: Vec<_> =
        list.iter().map(|image| (text(&image["reference"]), text(&image["digest"]))).collect();
    ensure!(images.iter().all(|(name, _)| !name.is_empty()), "an image without a name: {list:?}");
    Ok(images)
}

/// Values for people.
pub(super) fn tell(values: &BTreeSet<Value>) -> String {
    let value = |value: &Value| value.clone().unwrap_or_else(|| "gone".to_owned());
    values.iter().map(value).collect::<Vec<_>>().join(" or ")
}

fn is_edit(action: &Action) -> bool {
    matches!(
        action,
        Action::Add { .. } | Action::Tag { .. } | Action::Remove { .. } | Action::RemoveAll { .. }
    )
}

fn names_in(action: &Action) -> Vec<String> {
    match action {
        Action::Add { name, .. } | Action::Remove { name } | Action::Inspect { name } => vec![name.clone()],
        Action::Tag { from, to } => vec![from.clone(), to.clone()],
        Action::RemoveAll { names, .. } | Action::Export { names, .. } => names.clone(),
        _ => Vec::new(),
    }
}
