//! Doing one thing to many items on a few scoped threads.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::progress::Progress;

/// Fewer small items than this are not worth a thread, nor to be handed out by themselves.
const WORTH_A_THREAD: usize = 32;

/// A thread takes about as long to start as it does to look at so many entries of index.json.
const MANY: usize = 1024;

/// Applies `work` to every item on up to `jobs` threads; results are in the order of the items.
pub fn in_parallel<T: Sync, R: Send>(items: &[T], jobs: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let done = in_runs(items, jobs, |run| run.iter().map(&work).collect::<Vec<R>>());
    done.into_iter().flatten().collect()
}

/// [`in_parallel`], counting each item that is done.
pub(crate) fn in_parallel_counted<T: Sync, R: Send>(
    items: &[T],
    jobs: usize,
    progress: &dyn Progress,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    in_parallel(items, jobs, |item| {
        let done = work(item);
        progress.advance(1);
        done
    })
}

/// Applies `work` to short runs of items on up to `jobs` threads; results are in the order of the items.
pub(crate) fn in_runs<T: Sync, R: Send>(items: &[T], jobs: usize, work: impl Fn(&[T]) -> R + Sync) -> Vec<R> {
    let runs: Vec<&[T]> = items.chunks(WORTH_A_THREAD).collect();
    on_threads(&runs, jobs.min(items.len() / WORTH_A_THREAD), |run| work(run))
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
    if threads < 2 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(n) else { return done };
            done.push((n, work(item)));
        }
    };
    let done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    in_order(done)
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
