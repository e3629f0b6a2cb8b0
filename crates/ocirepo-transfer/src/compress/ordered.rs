//! Work on several threads whose results come out in the order of what went in.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// How many items wait for a thread, so that none is idle while the caller is busy.
const AHEAD: usize = 2;

/// Does `work` on every item, on up to `jobs` threads, and gives the results to `each` in order.
/// Items are asked for and results are given on the thread of the caller; with one job, all is
/// done there. At most `jobs + 2` items are held, worked on or done, besides the one just asked for.
///
/// # Errors
/// The first of an item or of `each`. No work is begun after it.
///
/// # Panics
/// When `work` does, with what it panicked with.
pub(super) fn in_order<T: Send, R: Send, E>(
    items: impl Iterator<Item = Result<T, E>>,
    jobs: usize,
    work: impl Fn(T) -> R + Sync,
    mut each: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    if jobs <= 1 {
        for item in items {
            each(work(item?))?;
        }
        return Ok(());
    }
    let (queue, tasks) = channel::<(T, SyncSender<R>)>();
    let (tasks, stopped) = (&Mutex::new(tasks), &AtomicBool::new(false));
    let worker = || work_off(tasks, stopped, &work);
    thread::scope(|scope| {
        // Inside, so that a panic here lets go of the queue, and with it of the threads.
        let queue = queue;
        let mut threads = Vec::new();
        let mut waiting = VecDeque::new();
        let feed = || {
            for item in items {
                let item = item?;
                if waiting.len() >= jobs + AHEAD && !take(&mut waiting, &mut each)? {
                    return Ok(());
                }
                let (answer, result) = sync_channel(1);
                // The receiver outlives this scope, so nothing is ever refused.
                let _ = queue.send((item, answer));
                waiting.push_back(result);
                if threads.len() < jobs {
                    threads.push(scope.spawn(worker));
                }
            }
            while take(&mut waiting, &mut each)? {}
            Ok(())
        };
        let fed = feed();
        stopped.store(fed.is_err(), Ordering::Relaxed);
        drop(queue);
        for thread in threads {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
        fed
    })
}

/// Gives the oldest result to `each`; whether there was one. There is none for an item whose thread
/// panicked: the items before it were taken off the queue before it, so no result is waited for
/// in vain.
fn take<R, E>(
    waiting: &mut VecDeque<Receiver<R>>,
    each: &mut impl FnMut(R) -> Result<(), E>,
) -> Result<bool, E> {
    match waiting.pop_front().map(|result| result.recv()) {
        Some(Ok(result)) => each(result).map(|()| true),
        Some(Err(_)) | None => Ok(false),
    }
}

/// One thread: takes tasks off the queue until there are no more to come.
fn work_off<T, R>(
    tasks: &Mutex<Receiver<(T, SyncSender<R>)>>,
    stopped: &AtomicBool,
    work: &(impl Fn(T) -> R + Sync),
) {
    loop {
        let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((item, answer)) = task else { return };
        if stopped.load(Ordering::Relaxed) {
            return;
        }
        // Nobody waits for the answer any more once something has failed.
        let _ = answer.send(work(item));
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;

    fn numbers(n: u64) -> impl Iterator<Item = Result<u64, String>> {
        (0..n).map(Ok)
    }

    #[test]
    fn results_come_in_order_whoever_is_first() {
        for jobs in [0, 1, 2, 3, 8] {
            for n in [0, 1, 2, 5, 50] {
                let mut results = Vec::new();
                let uneven = |i: u64| {
                    thread::sleep(Duration::from_millis((i * 7) % 3));
                    i * i
                };
                in_order(numbers(n), jobs, uneven, |result| {
                    results.push(result);
                    Ok(())
                })
                .unwrap();
                assert_eq!(results, (0..n).map(|i| i * i).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn the_first_error_stops_the_rest() {
        for jobs in [1, 2, 8] {
            let asked = AtomicUsize::new(0);
            let items = numbers(1000).inspect(|_| _ = asked.fetch_add(1, Ordering::Relaxed));
            let result =
                in_order(items, jobs, |i| i, |i| if i == 5 { Err(format!("no {i}")) } else { Ok(()) });
            assert_eq!(result, Err("no 5".to_owned()));
            assert!(asked.into_inner() <= 6 + jobs + AHEAD);
        }
    }

    #[test]
    fn nothing_comes_out_from_behind_a_bad_item() {
        for jobs in [1, 2, 8] {
            let seventh = |i| if i == 7 { Err("seven".to_owned()) } else { Ok(i) };
            let items = numbers(9).map(|item| item.and_then(seventh));
            let mut given = Vec::new();
            let keep = |i| {
                given.push(i);
                Ok(())
            };
            assert_eq!(in_order(items, jobs, |i| i, keep), Err("seven".to_owned()));
            assert!(given.len() <= 7 && given.iter().copied().eq(0..given.len() as u64));
        }
    }

    #[test]
    fn a_panic_comes_out_and_nothing_hangs() {
        for (jobs, bad) in [(1, 0), (2, 0), (2, 40), (3, 99), (8, 3)] {
            let work = |i| if i >= bad { panic!("bad {bad}") } else { i };
            let run = || in_order(numbers(100), jobs, work, |_| Ok(()));
            let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
            assert_eq!(panic.downcast_ref::<String>(), Some(&format!("bad {bad}")));
            let run =
                || in_order(numbers(100), jobs, |i| i, |i| if i == bad { panic!("each") } else { Ok(()) });
            assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        }
    }
}
