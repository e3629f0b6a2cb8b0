//! What must hold after a command, however it ended.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::state::{Repo, State};
use super::{REPO, Scenario};
use crate::outcome::Outcome;
use crate::trace::{End, Ended};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// Not by itself.
    Killed,
    /// It said that it failed.
    Failed,
    /// It said that it was done.
    Done,
}

/// What a command left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Old,
    New,
    /// Several things change one after the other, such as the volumes of a bundle, and only some have.
    Between,
}

impl Left {
    /// How a command ended, if it was a proper end.
    ///
    /// # Errors
    /// When it panicked, or ended by another signal than what we send, or failed without a word.
    pub(crate) fn of(ended: &Ended) -> Outcome<Self> {
        match ended.end {
            End::Exit(0) => Ok(Self::Done),
            End::Exit(101) => bail!("it panicked:\n{}", ended.stderr),
            End::Exit(_) if ended.stderr.lines().any(|line| line.starts_with("error:")) => Ok(Self::Failed),
            End::Exit(code) => bail!("it ended with exit code {code} and no error:\n{}", ended.stderr),
            End::Signal(_) if ended.is_killed() => Ok(Self::Killed),
            End::Signal(signal) => bail!("it ended by {signal}:\n{}", ended.stderr),
        }
    }
}

impl Scenario {
    /// What must hold in a copy when the command has ended like this; then when it was repeated, unless all was done;
    /// and then after gc. Nothing else may be running there. The copy is not as it was afterwards.
    ///
    /// # Errors
    /// What was lost.
    pub(crate) fn judge(&self, copy: &Path, left: Left) -> Outcome<Found> {
        let found = self.compare(copy, left)?;
        if left != Left::Done || found != Found::New {
            self.repeat(copy, found).context("then the command was repeated")?;
        }
        self.clean_up(copy).context("then, after gc")?;
        Ok(found)
    }

    /// What a failed command left that has changed nothing: nothing, unless cleaning up was what failed.
    ///
    /// # Errors
    /// What was left.
    pub(crate) fn is_clean(&self, copy: &Path) -> Outcome<()> {
        let state = State::look(self, copy)?;
        if state != self.old {
            return Ok(());
        }
        ensure!(state.hidden.is_empty(), "left behind where files are exported: {:?}", state.hidden);
        for (name, repo) in &state.repos {
            let old = self.old.repos.get(name).map(|repo| &repo.debris);
            let is_new = |path: &&String| !old.is_some_and(|debris| debris.contains(*path));
            let debris: Vec<_> = repo.debris.iter().filter(is_new).collect();
            ensure!(debris.is_empty(), "left behind in {name}: {debris:?}");
        }
        Ok(())
    }

    fn compare(&self, copy: &Path, left: Left) -> Outcome<Found> {
        let state = State::look(self, copy)?;
        for (name, repo) in &state.repos {
            let nothing = Repo::default();
            let [old, new] = [&self.old, &self.new].map(|state| state.repos.get(name).unwrap_or(&nothing));
            self.compare_repo(repo, old, new, left).with_context(|| format!("the repository `{name}`"))?;
        }
        self.compare_files(&state, left)?;
        let is_new = state == self.new;
        ensure!(
            left != Left::Done || self.is_as_good_as_new(&state, true),
            "it said that it was done, and it is not: {}",
            state.against(&self.new)
        );
        Ok(if is_new {
            Found::New
        } else if state == self.old {
            Found::Old
        } else {
            Found::Between
        })
    }

    /// Whether it comes to the new state. Some things may differ: the policy of a repository that came from another
    /// tool is on record from our first write on, but that may wait; what could not be read may have been kept; and
    /// with `leftovers` a bundle that has all gone in may still wait, until it is added to once more.
    fn is_as_good_as_new(&self, state: &State, leftovers: bool) -> bool {
        let nothing = Repo::default();
        let is_good = |(name, new): (&&str, &Repo)| {
            let old = self.old.repos.get(name).unwrap_or(&nothing);
            state.repos.get(name).is_some_and(|repo| {
                let is_in = leftovers && old.entries != new.entries && new.pending.is_empty();
                (repo.entries == new.entries || self.keeps_more(repo, old, new))
                    && (repo.policy == new.policy || (old.policy.is_none() && repo.policy.is_none()))
                    && (repo.pending == new.pending || is_in)
            })
        };
        self.new.repos.iter().all(is_good) && state.files == self.new.files
    }

    /// Whether all that is to stay is there, and besides only entries without a name that were there.
    fn keeps_more(&self, repo: &Repo, old: &Repo, new: &Repo) -> bool {
        let list = |repo: &Repo| repo.entries.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
        let (found, old, new) = (list(repo), list(old), list(new));
        self.may_keep_more
            && new.iter().all(|entry| found.contains(entry))
            && found
                .iter()
                .all(|it| new.contains(it) || (old.contains(it) && it.get("annotations").is_none()))
    }

    fn compare_repo(&self, repo: &Repo, old: &Repo, new: &Repo, left: Left) -> Outcome<()> {
        let is_new = (&repo.entries, &repo.policy) == (&new.entries, &new.policy);
        let is_old = (&repo.entries, &repo.policy) == (&old.entries, &old.policy);
        // A repository that nobody has written to yet gets its policy on record as well, after the index or before.
        let is_unrecorded = old.policy.is_none() && (repo.policy.is_none() || repo.policy == new.policy);
        let is_between = is_unrecorded && (repo.entries == old.entries || repo.entries == new.entries);
        // What was no repository becomes an empty one first.
        let is_begun = old.entries.is_none() && repo.entries == Some(Value::Array(Vec::new()));
        if !is_new && !is_old && !is_between && !is_begun && !self.keeps_more(repo, old, new) {
            let (entries, policy) = (serde_json::to_string_pretty(&repo.entries)?, &repo.policy);
            bail!("index.json is neither the old one nor the new one, under policy {policy:?}: {entries}");
        }
        let Some(entries) = &repo.entries else {
            ensure!(old.entries.is_none(), "index.json is gone");
            ensure!(repo.blobs.is_superset(&old.blobs), "blobs are gone: {:?}", repo.blobs);
            return Ok(());
        };
        // What was wrong before may still be, as long as nothing has changed.
        let may_be_wrong = old.entries.as_ref() == Some(entries) && new.entries.as_ref() != Some(entries);
        let (code, words) = &repo.verify;
        ensure!(
            *code == Some(0) || (may_be_wrong && *code == old.verify.0),
            "verify ends with {code:?}:\n{words}"
        );
        let is_known = |problem: &&String| may_be_wrong && old.report.problems.contains(problem);
        let problems: Vec<_> = repo.report.problems.iter().filter(|problem| !is_known(problem)).collect();
        ensure!(problems.is_empty(), "{problems:#?}");
        let stays = if self.is_sweep() { &new.blobs } else { &old.blobs };
        let lost: Vec<_> = stays.difference(&repo.blobs).collect();
        ensure!(lost.is_empty(), "blobs are gone that nobody wanted to be swept: {lost:?}");
        if left == Left::Done {
            let garbage: Vec<_> = repo.report.garbage.difference(&new.report.garbage).collect();
            ensure!(garbage.is_empty(), "it left garbage: {garbage:?}");
        }
        compare_pending(repo, old, new)
    }

    fn compare_files(&self, state: &State, left: Left) -> Outcome<()> {
        ensure!(left == Left::Killed || state.hidden.is_empty(), "left behind: {:?}", state.hidden);
        for (name, digest) in &state.files {
            let is_whole = [&self.old, &self.new].iter().any(|known| known.files.get(name) == Some(digest));
            ensure!(is_whole, "the exported file `{name}` is neither as it was nor as it is to be");
        }
        for name in self.old.files.keys() {
            ensure!(state.files.contains_key(name), "the file `{name}` is gone");
        }
        Ok(())
    }

    fn repeat(&self, copy: &Path, found: Found) -> Outcome<()> {
        let output = self.ocirepo_in(copy, REPO).run(&self.args);
        let expected = if found == Found::Old { 0 } else { self.again };
        let code = output.status.code();
        let is_expected = code == Some(expected) || (found == Found::Between && code == Some(0));
        ensure!(is_expected, "it ends with {code:?}, not {expected}:\n{}", output.stderr);
        Ok(())
    }

    /// After gc everything is as the command makes it, nothing is wrong, and nothing is left over.
    fn clean_up(&self, copy: &Path) -> Outcome<()> {
        for name in self.new.repos.keys() {
            let gc = self.ocirepo_in(copy, name).run(&["gc"]);
            ensure!(
                gc.status.success(),
                "`ocirepo gc` in `{name}`: {}:\n{}{}",
                gc.status,
                gc.stdout,
                gc.stderr
            );
        }
        let state = State::look(self, copy)?;
        for (name, Repo { verify: (code, words), report, debris, .. }) in &state.repos {
            ensure!(*code == Some(0), "verify of `{name}` ends with {code:?}:\n{words}");
            ensure!(report.problems.is_empty(), "`{name}`: {:#?}", report.problems);
            ensure!(report.garbage.is_empty(), "gc left garbage in `{name}`: {:?}", report.garbage);
            ensure!(debris.is_empty(), "gc left in `{name}`: {debris:?}");
        }
        ensure!(
            self.is_as_good_as_new(&state, false),
            "it is not as it should be: {}",
            state.against(&self.new)
        );
        Ok(())
    }
}

/// A bundle is there with all that was there of it, or it has moved into the repository, or was given up.
fn compare_pending(repo: &Repo, old: &Repo, new: &Repo) -> Outcome<()> {
    for (bundle, files) in &repo.pending {
        let was = old.pending.get(bundle);
        ensure!(
            was.is_some() || new.pending.contains_key(bundle),
            "bundle {bundle} waits, and nobody knows why"
        );
        let lost: Vec<_> = was.map(|was| was.difference(files).collect()).unwrap_or_default();
        ensure!(lost.is_empty(), "of what waits of bundle {bundle} there is no more {lost:?}");
    }
    for bundle in old.pending.keys().filter(|bundle| !repo.pending.contains_key(*bundle)) {
        let is_done = !new.pending.contains_key(bundle) && repo.entries == new.entries;
        ensure!(is_done, "bundle {bundle} waited, and is gone");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::Signal;

    use super::*;

    fn left(end: End, stderr: &str) -> Result<Left, String> {
        let ended = Ended { end, stdout: String::new(), stderr: stderr.to_owned() };
        Left::of(&ended).map_err(|error| error.to_string())
    }

    #[test]
    fn a_proper_end_is_a_kill_a_success_or_an_error_with_words() {
        assert_eq!(left(End::Exit(0), ""), Ok(Left::Done));
        assert_eq!(left(End::Exit(1), "adding\nerror: no room\n"), Ok(Left::Failed));
        assert_eq!(left(End::Signal(Signal::SIGKILL), ""), Ok(Left::Killed));
    }

    #[test]
    fn a_panic_another_signal_and_a_silent_failure_are_losses() {
        assert!(left(End::Exit(101), "error: no room").unwrap_err().contains("panicked"));
        assert!(left(End::Signal(Signal::SIGBUS), "").unwrap_err().contains("SIGBUS"));
        assert!(left(End::Exit(1), "oh").unwrap_err().contains("no error"));
    }
}
