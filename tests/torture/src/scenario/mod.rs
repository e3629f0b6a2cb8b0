//! Commands that change something, each with directories to run it in, and what must hold when one did not come to
//! its end: the repository opens, every listed image is whole, the index is the old one or the new one, the command
//! can be repeated, and gc leaves nothing behind.

mod bundles;
mod changes;
mod judge;
mod stage;
mod state;

use std::collections::BTreeSet;
use std::fs;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::snapshot::copy_tree;

pub(crate) use judge::{Found, Left};
use state::State;

use crate::context::Context;
use crate::outcome::Outcome;

/// The repository that a command is run in, below the directory that is copied for it.
const REPO: &str = "repo";
/// Another repository, that an export writes to.
const OTHER: &str = "other";
/// Where exports write files.
const OUT: &str = "out";

/// A command that changes something, what it is run on, and what it makes of it.
#[derive(Debug)]
pub(crate) struct Scenario {
    name: &'static str,
    ocirepo: Ocirepo,
    template: PathBuf,
    args: Vec<String>,
    old: State,
    new: State,
    /// How the command ends over what it has made itself.
    again: i32,
    /// Whether the command takes entries out and leaves what it cannot read: no loss, and not quite the new state.
    may_keep_more: bool,
}

/// Sets the stage for a scenario.
type Maker = fn(&Context) -> Outcome<Scenario>;

/// Every scenario.
///
/// # Errors
/// When a command fails that nobody disturbs.
pub(crate) fn all(context: &Context) -> Outcome<Vec<Scenario>> {
    let makers: Vec<Maker> = changes::MAKERS.iter().chain(&bundles::MAKERS).copied().collect();
    // Most of the time goes into waiting for commands.
    thread::scope(|scope| {
        let makers = makers.chunks(makers.len().div_ceil(4));
        let making = makers.map(|some| scope.spawn(|| some.iter().map(|make| make(context)).collect()));
        let making: Vec<_> = making.collect();
        let made =
            making.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        let made: Outcome<Vec<Vec<_>>> = made.collect();
        Ok(made?.into_iter().flatten().collect())
    })
}

impl Scenario {
    /// A name for people.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// What is run, as one would write it.
    pub(crate) fn line(&self) -> String {
        format!("ocirepo {}", self.args.join(" "))
    }

    /// A new copy of what the command is run on: a directory with the repository and whatever else it changes. It
    /// lies below [`Scenario::home`].
    pub(crate) fn copy(&self, name: &str) -> PathBuf {
        let dir = self.ocirepo.scratch(name);
        copy_tree(&self.template, &dir);
        dir
    }

    /// The directory below which lies everything that the command reads and writes.
    pub(crate) fn home(&self) -> &Path {
        self.template.parent().unwrap_or(&self.template)
    }

    /// The command, in the repository of a copy.
    pub(crate) fn command(&self, copy: &Path) -> Command {
        self.ocirepo_in(copy, REPO).command(&self.args)
    }

    /// Whether there is a repository before the command, and not only after.
    pub(crate) fn begins_with_a_repository(&self) -> bool {
        self.template.join(REPO).join("index.json").exists()
    }

    /// index.json of a copy.
    pub(crate) fn index(&self, copy: &Path) -> PathBuf {
        copy.join(REPO).join("index.json")
    }

    /// The names of the blobs of a copy.
    pub(crate) fn blobs(&self, copy: &Path) -> Outcome<BTreeSet<String>> {
        Ok(state::list(&copy.join(REPO).join("blobs/sha256"))?.into_iter().collect())
    }

    fn may_keep_more(self) -> Self {
        Self { may_keep_more: true, ..self }
    }

    /// Any ocirepo in a copy's repository.
    fn ocirepo_in(&self, copy: &Path, repo: &str) -> Ocirepo {
        self.ocirepo.in_dir(copy.join(repo))
    }

    /// Whether the command is there to delete blobs.
    fn is_sweep(&self) -> bool {
        self.args[0] == "gc"
    }
}

/// Removes a copy that is not needed any more.
pub(crate) fn remove(copy: &Path) -> Outcome<()> {
    Ok(fs::remove_dir_all(copy)?)
}
