//! What is recorded: the commands of the scenarios as they are, and the same after something that is not synced.
//! And what must hold for what a power failure leaves of it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, ensure};
use ocirepo_tests::checker::check;
use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::snapshot::debris;

use super::disk::{Disk, Tree};
use super::history::History;
use super::ops::{Kind, Op, ROOT};
use super::record::record;
use super::search::{Found, Search};
use crate::context::Context;
use crate::outcome::Outcome;
use crate::scenario::{Left, Scenario};

/// Where the repository is, below the directory that a scenario is about.
const REPOSITORY: &str = "repo";
const BLOBS: &str = "repo/blobs/sha256/";

/// What begins to be recorded.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    /// The command.
    Plain(Arc<Scenario>),
    /// The command is killed after the first of some steps, and run again. Then comes the next step.
    Again(Arc<Case>, Vec<usize>),
    /// The command is killed after a step, and somebody collects garbage.
    Sweep(Arc<Case>, usize),
    /// Somebody has just written the blobs that the command would bring, and has not synced them.
    Unsynced(Arc<Case>),
}

/// What was recorded.
#[derive(Debug)]
pub(crate) struct Case {
    plan: Plan,
    pub(crate) history: History,
    /// The step that the command begins with.
    from: usize,
}

impl Plan {
    /// Runs and records it, in a directory that is made for it and removed. `None` if there is nothing to learn.
    ///
    /// # Errors
    /// When what it does cannot be followed.
    pub(crate) fn record(&self, context: &Context, copy: &Path) -> Outcome<Option<Case>> {
        let Some(before) = self.begin()? else { return Ok(None) };
        let scenario = self.scenario();
        let in_repository = context.ocirepo().in_dir(copy.join(REPOSITORY));
        let command = match self {
            Self::Sweep(..) => in_repository.command(&["gc"]),
            _ => scenario.command(copy),
        };
        before.now().tree().write_to(copy)?;
        let from = before.ops().len();
        let recorded = record(&command, copy, before).with_context(|| self.describe());
        fs::remove_dir_all(copy)?;
        let (history, ended) = recorded?;
        // What does not succeed promises nothing.
        if Left::of(&ended)? != Left::Done {
            ensure!(!matches!(self, Self::Plain(_)), "{}: {}", self.describe(), ended.stderr);
            return Ok(None);
        }
        Ok(Some(Case { plan: self.clone(), history, from }))
    }

    /// What was before.
    fn begin(&self) -> Outcome<Option<History>> {
        Ok(match self {
            Self::Plain(scenario) => {
                let template = scenario.copy("template-of-power");
                let disk = Disk::read(&template)?;
                fs::remove_dir_all(template)?;
                Some(History::new(disk))
            }
            Self::Again(case, kills) => kills.first().map(|kill| case.history.until(*kill)),
            Self::Sweep(case, kill) if case.has_repository() => Some(case.history.until(*kill)),
            Self::Sweep(..) => None,
            Self::Unsynced(case) => case.after_its_blobs(),
        })
    }

    /// The same with the next step.
    pub(crate) fn rest(&self) -> Option<Self> {
        match self {
            Self::Again(case, kills) if kills.len() > 1 => {
                Some(Self::Again(Arc::clone(case), kills[1..].to_vec()))
            }
            _ => None,
        }
    }

    fn scenario(&self) -> &Arc<Scenario> {
        match self {
            Self::Plain(scenario) => scenario,
            Self::Again(case, _) | Self::Sweep(case, _) | Self::Unsynced(case) => case.plan.scenario(),
        }
    }

    /// What is tried, in words.
    pub(crate) fn describe(&self) -> String {
        let scenario = self.scenario();
        let more = match self {
            Self::Plain(_) => String::new(),
            Self::Again(case, kills) => format!(", killed {} and run again", case.after(kills.first())),
            Self::Sweep(case, kill) => format!(", killed {}, and then `ocirepo gc`", case.after(Some(kill))),
            Self::Unsynced(_) => ", whose blobs somebody else has just written and not synced".to_owned(),
        };
        format!("{}: `{}`{more}", scenario.name(), scenario.line())
    }
}

impl Case {
    /// What is to be recorded next.
    pub(crate) fn then(self: &Arc<Self>) -> Vec<Plan> {
        match &self.plan {
            Plan::Plain(_) => {
                let ops = self.history.ops();
                let is_put = |op: &Op| match op {
                    Op::Exchange { to, .. } | Op::Rename { to, .. } => to.name == "index.json",
                    _ => false,
                };
                let put = ops.iter().rposition(is_put).map(|step| step + 1);
                let before_syncs =
                    (1..ops.len()).filter(|&step| ops[step].kind() == Kind::Sync && Some(step) != put);
                let kills: Vec<usize> = put.into_iter().chain(before_syncs).collect();
                let mut plans = vec![Plan::Unsynced(Arc::clone(self))];
                plans.extend(put.map(|step| Plan::Sweep(Arc::clone(self), step)));
                plans.push(Plan::Again(Arc::clone(self), kills));
                plans
            }
            plan => plan.rest().into_iter().collect(),
        }
    }

    /// The states that a power failure may leave.
    pub(crate) fn search(&self, context: &Context) -> Search {
        let chance = context.chance(&self.plan.describe());
        match self.plan {
            Plan::Plain(_) | Plan::Sweep(..) => Search::new(&self.history, self.from, chance),
            Plan::Again(..) | Plan::Unsynced(_) => Search::at_end(&self.history, chance),
        }
    }

    /// Whether there was a repository in the beginning.
    fn has_repository(&self) -> bool {
        self.history.start().tree().has(&format!("{REPOSITORY}/index.json"))
    }

    fn after(&self, step: Option<&usize>) -> String {
        let last = step.and_then(|step| step.checked_sub(1)).map(|last| self.history.describe(last));
        format!("after {}", last.unwrap_or_default())
    }

    /// The beginning, and then somebody writes the blobs that the command would bring. `None` if it brings none.
    fn after_its_blobs(&self) -> Option<History> {
        let mut history = History::new(self.history.start().clone());
        let (before, after) = (history.now().tree(), self.history.now().tree());
        let brought = after.files().filter(|(path, _)| path.starts_with(BLOBS) && !before.has(path));
        let mut has_any = false;
        for (path, content) in brought {
            let file = history.make_file(history.place(ROOT, path)?);
            history.write(file, 0, content);
            has_any = true;
        }
        has_any.then_some(history)
    }

    /// Checks one state, in a directory that is made for it and removed.
    ///
    /// # Errors
    /// What was lost, and when.
    pub(crate) fn judge(&self, context: &Context, found: &Found, copy: &Path) -> Outcome<()> {
        found.tree.write_to(copy).context("the state cannot be written")?;
        let judged = match self.plan {
            Plan::Sweep(..) => sound(&context.ocirepo().in_dir(copy.join(REPOSITORY))),
            // What the first, killed one left may be there as well.
            Plan::Again(..) => self.lasts(&found.tree).and_then(|()| self.by_scenario(copy, Left::Killed)),
            _ if found.is_end => self.lasts(&found.tree).and_then(|()| self.by_scenario(copy, Left::Done)),
            _ => self.by_scenario(copy, Left::Killed),
        };
        fs::remove_dir_all(copy)?;
        let when = || found.state.describe(&self.history);
        judged.map_err(|loss| anyhow!("{}\n{loss:#}\n{}", self.plan.describe(), when()))
    }

    fn by_scenario(&self, copy: &Path, left: Left) -> Outcome<()> {
        self.plan.scenario().judge(copy, left).map(drop)
    }

    /// What the command made must be there to the last byte.
    fn lasts(&self, tree: &Tree) -> Outcome<()> {
        let lost = self.history.now().tree().lasting().missing_in(tree);
        ensure!(lost.is_empty(), "it said that it was done, and that is lost (then / now): {lost:#?}");
        Ok(())
    }
}

/// Every image that is listed is whole, and gc leaves nothing but them.
fn sound(ocirepo: &Ocirepo) -> Outcome<()> {
    let must = |args: &[&str]| {
        let output = ocirepo.run(args);
        let line = args.join(" ");
        ensure!(
            output.status.success(),
            "`ocirepo {line}`: {}\n{}{}",
            output.status,
            output.stdout,
            output.stderr
        );
        let problems = check(ocirepo.dir()).problems;
        ensure!(problems.is_empty(), "after `ocirepo {line}`: {problems:#?}");
        Ok(())
    };
    must(&["verify"])?;
    must(&["gc"])?;
    let (garbage, debris) = (check(ocirepo.dir()).garbage, debris(ocirepo.dir()));
    ensure!(garbage.is_empty() && debris.is_empty(), "gc has left {garbage:?} {debris:?}");
    Ok(())
}
