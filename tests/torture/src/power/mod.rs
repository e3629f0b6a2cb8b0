//! What a disk may hold after the power failed: commands are recorded, the states that a power failure may leave of
//! them are made, and each is judged like what a crash leaves. And success means durable: once a command has ended
//! with exit code 0, nothing that it did may be lost, whatever else is.
//!
//! # What is assumed of a file system
//! - What a template directory holds is durable when the command begins. From there on:
//! - fsync or fdatasync of a file makes its content and its size durable, and not its name.
//! - fsync of a directory makes durable what was done to the names in it: new ones, links, removals, renames. It does
//!   not make the content of files durable, nor the name of the directory itself. `sync_file_range` makes nothing
//!   durable.
//! - A name changes in one step: it leads to the old or to the new. A rename, of a directory too, and an exchange are
//!   one step in two directories, and durable once either of these was synced: a directory that was synced does not
//!   have a name again that was moved away from it, and what was moved away is not gone. ext4, xfs and btrfs go
//!   further, and make all of a journal durable.
//! - Everything else may be there or not. Each write on its own: dropped; cut in the middle; or there as zeros, since
//!   the size of a file may be durable before its blocks are. Each name on its own, too. What file systems with a
//!   journal (ext4, xfs, btrfs) do, names persist in the order in which they were made, is one part of this, and is
//!   tried of its own; a loss says whether it takes a file system that does not keep that order.
//! - What cannot be, as a name in a directory that is not there, is not there either.
//! - Disks that lie about what they have written, symbolic links, owners, modes and times are left out.
//!
//! # What is tried
//! At each step of each recorded command: everything dropped that was not synced; only names or only content there;
//! each single step dropped, and each alone there; names in order up to each one; each file torn; random choices.
//! Then what was not synced before a command began: the command is killed after a step and run again, or somebody
//! collects garbage after it; or another tool has just written the blobs that it would bring.

mod case;
mod disk;
mod history;
mod ops;
mod record;
mod search;
mod states;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::anyhow;

use self::case::{Case, Plan};
use self::search::Search;
use crate::context::Context;
use crate::outcome::{Outcome, Tally};
use crate::{scenario, trace};

const THREADS: usize = 2;

/// So many states of a case are looked at before others are made of it.
const TELLING: usize = 4;

/// Goes on until the time is over, something was lost, or there is nothing left to try.
pub(crate) fn run(context: &Context) -> Outcome {
    if let Err(reason) = trace::available() {
        println!("skipped: {reason}");
        return Ok(Tally::default());
    }
    let plans =
        scenario::all(context)?.into_iter().map(|scenario| Task::Record(Plan::Plain(Arc::new(scenario))));
    let work = Mutex::new(Work { tasks: plans.collect(), ..Work::default() });
    let ocirepo = context.ocirepo();
    thread::scope(|scope| {
        for number in 0..THREADS {
            let worker = Worker { context, work: &work };
            let copy = ocirepo.scratch(&format!("copy{number}"));
            scope.spawn(move || worker.run(&copy));
        }
    });
    let work = work.into_inner().unwrap_or_else(PoisonError::into_inner);
    work.loss.map_or(Ok(work.tally), Err)
}

/// What is left to do, in turns, and what has come of it.
#[derive(Debug, Default)]
struct Work {
    tasks: VecDeque<Task>,
    tally: Tally,
    loss: Option<anyhow::Error>,
}

#[derive(Debug)]
enum Task {
    /// A command is to be recorded.
    Record(Plan),
    /// The next state of one that was recorded is to be judged.
    Judge(Arc<Case>, Box<Search>),
}

/// One of the threads.
#[derive(Debug, Clone, Copy)]
struct Worker<'w> {
    context: &'w Context,
    work: &'w Mutex<Work>,
}

impl Worker<'_> {
    fn run(self, copy: &Path) {
        while !self.context.is_over() && self.lock().loss.is_none() {
            let Some(task) = self.lock().tasks.pop_front() else { return };
            // The testkit panics where a command hangs or a directory cannot be read.
            let done = catch_unwind(AssertUnwindSafe(|| self.take(task, copy)));
            if let Err(loss) = done.unwrap_or_else(|panic| Err(said(&*panic))) {
                self.lock().loss.get_or_insert(loss);
            }
        }
    }

    fn take(self, task: Task, copy: &Path) -> Outcome<()> {
        match task {
            Task::Record(plan) => {
                let Some(case) = plan.record(self.context, copy)? else {
                    self.lock().tasks.extend(plan.rest().map(Task::Record));
                    return Ok(());
                };
                let search = Box::new(case.search(self.context));
                let mut work = self.lock();
                work.tally.count("recorded commands", 1);
                // What is most telling comes first, and so at once.
                work.tasks.push_front(Task::Judge(Arc::new(case), search));
                Ok(())
            }
            Task::Judge(case, mut search) => {
                let next = search.next(&case.history);
                let mut work = self.lock();
                if search.found() == TELLING || next.is_none() && search.found() < TELLING {
                    work.tasks.extend(case.then().into_iter().map(Task::Record));
                }
                let Some(found) = next else { return Ok(()) };
                work.tasks.push_back(Task::Judge(Arc::clone(&case), search));
                drop(work);
                case.judge(self.context, &found, copy)?;
                self.lock().tally.count("disk states", 1);
                Ok(())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> anyhow::Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    anyhow!("{}", text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked"))
}
