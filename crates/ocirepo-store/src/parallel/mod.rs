//! Doing one thing to many items on a few scoped threads.
//!
//! Work that computes runs on as many threads as it may: [`on_threads`], [`largest_first`]. Small
//! looks at the disk run on as many as keep that many processors busy: [`in_parallel`]. What only
//! so many threads may do at once, they do in [`Turns`].

mod turns;

use std::cmp::Reverse;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

pub use turns::{Turn, Turns};

use crate::error::Result;
use crate::progress::Progress;

/// Fewer small items than this are not worth a thread, nor to be handed out by themselves.
const WORTH_A_THREAD: usize = 32;

/// A thread takes about as long to start as it does to look at so many entries of index.json.
const MANY: usize = 1024;

/// Where threads wait for the disk, there come to be so many for each that may work. A disk answers
/// many at once, and each of a lone pair of threads waits for its own answer. With twice as many, a virtual
/// disk of flash is no faster, and each takes room of its own for what it reads.
const MOST_PER_JOB: usize = 8;

/// So often is looked whether threads wait.
const LOOK: Duration = Duration::from_millis(5);

/// Applies `work`, which looks at the disk, to every item; results are in the order of the items. It
/// begins with `jobs` threads. There come to be up to 8 for each of them while they wait more than
/// they work, as on a disk whose content is not in memory.
pub fn in_parallel<T: Sync, R: Send>(items: &[T], jobs: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let runs = in_runs(items, jobs, |run| run.iter().map(&work).collect::<Vec<R>>());
    // With room for all, and a run freed once it is taken: there may be very many.
    let mut done = Vec::with_capacity(items.len());
    runs.into_iter().for_each(|run| done.extend(run));
    done
}

/// [`in_parallel`], by short runs of items, each counted when it is done: for what comes to less than a
/// result for each item.
pub(crate) fn in_runs_counted<T: Sync, R: Send>(
    items: &[T],
    jobs: usize,
    progress: &dyn Progress,
    work: impl Fn(&[T]) -> R + Sync,
) -> Vec<R> {
    in_runs(items, jobs, |run| {
        let done = work(run);
        progress.advance(run.len() as u64);
        done
    })
}

/// [`in_parallel`] for work that may fail, counting what is done. The first error in the order of the items
/// is given; of what stands behind it in its run nothing is done.
pub(crate) fn try_in_parallel_counted<T: Sync, R: Send>(
    items: &[T],
    jobs: usize,
    progress: &dyn Progress,
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let runs =
        in_runs_counted(items, jobs, progress, |run| run.iter().map(&work).collect::<Result<Vec<R>>>());
    let mut done = Vec::with_capacity(items.len());
    for run in runs {
        done.extend(run?);
    }
    Ok(done)
}

fn in_runs<T: Sync, R: Send>(items: &[T], jobs: usize, work: impl Fn(&[T]) -> R + Sync) -> Vec<R> {
    let runs: Vec<&[T]> = items.chunks(WORTH_A_THREAD).collect();
    let worth = items.len() / WORTH_A_THREAD;
    let most = jobs.saturating_mul(MOST_PER_JOB).min(worth);
    spread(&runs, Threads { first: jobs.min(worth), most }, |run| work(run))
}

/// Does two things, side by side if that is worth a thread.
pub(crate) fn beside<A: Send, B>(
    is_worth_it: bool,
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B,
) -> (A, B) {
    if !is_worth_it {
        return (one(), other());
    }
    std::thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        (one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), other)
    })
}

/// Lets go of something large, aside: to free so many small pieces takes a moment that nobody need wait for.
pub(crate) fn let_go<T: Send + 'static>(large: T) {
    // If there can be no other thread, what the closure holds is dropped here.
    drop(std::thread::Builder::new().spawn(move || drop(large)));
}

/// Applies a little work to each of very many items, a long stretch of them on each of up to `jobs`
/// threads; results are in the order of the items.
pub(crate) fn in_stretches<T: Sync, R: Send>(
    items: &[T],
    jobs: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let jobs = jobs.min(items.len() / MANY).max(1);
    let mut stretches = items.chunks(items.len().div_ceil(jobs).max(1));
    let first = stretches.next().unwrap_or_default();
    let mut done = Vec::with_capacity(items.len());
    std::thread::scope(|scope| {
        let others: Vec<_> =
            stretches.map(|stretch| scope.spawn(|| stretch.iter().map(&work).collect::<Vec<R>>())).collect();
        done.extend(first.iter().map(&work));
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    });
    done
}

/// Applies `work` to every item on exactly so many threads, for work worth it however few items
/// there are; results are in the order of the items.
pub fn on_threads<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = threads.min(items.len());
    spread(items, Threads { first: threads, most: threads }, work)
}

/// How many threads there are at first, and may come to be.
struct Threads {
    first: usize,
    most: usize,
}

fn spread<T: Sync, R: Send>(items: &[T], threads: Threads, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if threads.most < 2 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let run = |_ended: Ended| {
        let mut done = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(n) else { return done };
            done.push((n, work(item)));
        }
    };
    let run = &run;
    let done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let (ended, an_end) = mpsc::channel();
        let start = || {
            let ended = Ended(ended.clone());
            scope.spawn(move || run(ended))
        };
        let mut workers: Vec<_> = (0..threads.first.max(1)).map(|_| start()).collect();
        // Where one has found nothing left to do, another would not either.
        let mut watch = Watch::start();
        while workers.len() < threads.most && an_end.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            if watch.busy() < threads.first as f64 * ENOUGH {
                let more = workers.len().min(threads.most - workers.len());
                workers.extend((0..more).map(|_| start()));
            }
        }
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    in_order(done)
}

/// Tells that a thread ends, also by a panic.
struct Ended(Sender<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        // Nobody listens when there are enough threads.
        let _ = self.0.send(());
    }
}

/// A processor that is used for so much of the time is busy.
const ENOUGH: f64 = 0.7;

/// Sees how many processors this process keeps busy.
struct Watch {
    at: Instant,
    used: Duration,
}

impl Watch {
    fn start() -> Self {
        Self { at: Instant::now(), used: used() }
    }

    /// How many were busy since this was asked last.
    fn busy(&mut self) -> f64 {
        let now = Self::start();
        let busy = now.used.saturating_sub(self.used).as_secs_f64() / (now.at - self.at).as_secs_f64();
        *self = now;
        busy
    }
}

/// The time that processors have spent on this process; none where that cannot be told, as if all waited.
fn used() -> Duration {
    let micros = getrusage(UsageWho::RUSAGE_SELF)
        .map_or(0, |usage| (usage.user_time() + usage.system_time()).num_microseconds());
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// [`on_threads`], with the largest items first, so that no thread is left with one at the end.
pub fn largest_first<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    size: impl Fn(&T) -> u64,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|&n| Reverse(size(&items[n])));
    in_order(on_threads(&order, threads, |&n| (n, work(&items[n]))))
}

/// Results in the order of their numbers.
fn in_order<R>(mut done: Vec<(usize, R)>) -> Vec<R> {
    done.sort_unstable_by_key(|(n, _)| *n);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many items were worked on at once at most.
    #[derive(Default)]
    struct AtOnce {
        now: AtomicUsize,
        most: AtomicUsize,
    }

    impl AtOnce {
        fn nap(&self, item: usize) -> usize {
            self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(1));
            self.now.fetch_sub(1, Ordering::SeqCst);
            item
        }
    }

    #[test]
    fn work_that_waits_gets_more_threads_and_stays_in_order() {
        let items: Vec<usize> = (0..2000).collect();
        let at_once = AtOnce::default();
        let done = in_parallel(&items, 2, |&item| at_once.nap(item));
        assert_eq!(done, items);
        let most = at_once.most.into_inner();
        assert!((3..=2 * MOST_PER_JOB).contains(&most), "{most} at once");
    }

    #[test]
    fn work_that_computes_gets_the_threads_it_asked_for() {
        let items: Vec<usize> = (0..64).collect();
        let at_once = AtOnce::default();
        let done = on_threads(&items, 2, |&item| at_once.nap(item));
        assert_eq!((done, at_once.most.into_inner()), (items, 2));
    }

    #[test]
    #[should_panic(expected = "this very item")]
    fn a_panic_is_passed_on() {
        let items: Vec<usize> = (0..2000).collect();
        in_parallel(&items, 2, |&n| assert!(n != 1000, "this very item"));
    }
}
