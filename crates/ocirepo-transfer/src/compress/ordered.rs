//! Work on several threads whose results come out in the order of what went in.

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use ocirepo_store::parallel::{Turn, Turns};

/// How many items wait for a thread, so that none is idle while the caller is busy.
const AHEAD: usize = 2;

/// What those share who are at work like this at the same time.
#[derive(Debug)]
pub(super) struct Limits {
    /// How many threads work at once.
    working: Turns,
    /// How many items are held: asked for, waiting, worked on or done.
    held: Turns,
    jobs: usize,
}

impl Limits {
    /// Up to `jobs` threads work at once; `jobs + 3` items are held at most.
    pub(super) fn new(jobs: usize) -> Self {
        Self { working: Turns::new(jobs), held: Turns::new(jobs + AHEAD + 1), jobs }
    }
}

/// Does `work` on every item, and gives the results to `each` in order. Items are asked for and results
/// are given on the thread of the caller; with one job, all is done there.
///
/// Several may do so at once under the same limits, unless one waits for what another gives to `each`.
/// Where the end of one, or its slow reader, leaves threads without work, another goes on.
///
/// # Errors
/// The first of an item or of `each`. No work is begun after it.
///
/// # Panics
/// When `work` does, with what it panicked with.
pub(super) fn in_order<T: Send, R: Send, E>(
    mut items: impl Iterator<Item = Result<T, E>>,
    limits: &Limits,
    work: impl Fn(T) -> R + Sync,
    mut each: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let Limits { working, held, jobs } = limits;
    if *jobs <= 1 {
        for item in items {
            each(work(item?))?;
        }
        return Ok(());
    }
    let (queue, tasks) = channel::<(T, SyncSender<R>)>();
    let (tasks, stopped) = (&Mutex::new(tasks), &AtomicBool::new(false));
    let work = |item| {
        let _turn = working.take();
        work(item)
    };
    let worker = || work_off(tasks, stopped, &work);
    thread::scope(|scope| {
        // Inside, so that a panic here lets go of the queue, and with it of the threads.
        let queue = queue;
        let mut threads = Vec::new();
        let mut waiting = Waiting { results: VecDeque::new(), each: &mut each };
        let mut feed = || {
            loop {
                let Some(place) = waiting.place(held)? else { return Ok(()) };
                let Some(item) = items.next() else { break };
                let (answer, result) = sync_channel(1);
                // The receiver outlives this scope, so nothing is ever refused.
                let _ = queue.send((item?, answer));
                waiting.results.push_back((result, place));
                if threads.len() < *jobs {
                    threads.push(scope.spawn(worker));
                }
            }
            while waiting.give_oldest()? {}
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

/// Results that are to come, in order, and who gets them.
struct Waiting<'w, R, F> {
    results: VecDeque<(Receiver<R>, Turn<'w>)>,
    each: F,
}

impl<'w, R, E, F: FnMut(R) -> Result<(), E>> Waiting<'w, R, F> {
    /// A place for another item, once there is one; meanwhile, results are given. `None` where one is
    /// missing, as [`Self::give_oldest`] says.
    fn place(&mut self, held: &'w Turns) -> Result<Option<Turn<'w>>, E> {
        loop {
            self.give_finished()?;
            if let Some(place) = held.try_take() {
                return Ok(Some(place));
            }
            // Others have all of them. They do not wait for us: what they hold is worked on.
            if self.results.is_empty() {
                return Ok(Some(held.take()));
            }
            if !self.give_oldest()? {
                return Ok(None);
            }
        }
    }

    /// Waits for the oldest result and gives it to `each`; whether there was one. There is none for an
    /// item whose thread panicked: the items before it were taken off the queue before it, so no result
    /// is waited for in vain.
    fn give_oldest(&mut self) -> Result<bool, E> {
        let Some((result, _place)) = self.results.pop_front() else { return Ok(false) };
        result.recv().map_or(Ok(false), |result| (self.each)(result).map(|()| true))
    }

    /// Gives what can be given without waiting, so that nobody waits for its places.
    fn give_finished(&mut self) -> Result<(), E> {
        while let Some((result, _)) = self.results.front()
            && let Ok(result) = result.try_recv()
        {
            (self.each)(result)?;
            self.results.pop_front();
        }
        Ok(())
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
                in_order(numbers(n), &Limits::new(jobs), uneven, |result| {
                    results.push(result);
                    Ok(())
                })
                .unwrap();
                assert_eq!(results, (0..n).map(|i| i * i).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn several_at_once_keep_to_the_limits_and_all_get_on() {
        let limits = Limits::new(2);
        let [held, working, most_held, most_working] = [const { AtomicUsize::new(0) }; 4];
        let most = |most: &AtomicUsize, now: &AtomicUsize| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        };
        thread::scope(|scope| {
            for call in 0..4 {
                let (limits, most) = (&limits, &most);
                let [held, working, most_held, most_working] = [&held, &working, &most_held, &most_working];
                scope.spawn(move || {
                    let items = numbers(30).inspect(|_| most(most_held, held));
                    let work = |i| {
                        most(most_working, working);
                        thread::sleep(Duration::from_micros(300 * ((i + call) % 3)));
                        working.fetch_sub(1, Ordering::SeqCst);
                        i
                    };
                    let mut given = Vec::new();
                    in_order(items, limits, work, |i| {
                        given.push(i);
                        held.fetch_sub(1, Ordering::SeqCst);
                        Ok::<(), String>(())
                    })
                    .unwrap();
                    assert!(given.into_iter().eq(0..30));
                });
            }
        });
        assert!((1..=2).contains(&most_working.into_inner()));
        assert!((2..=2 + AHEAD + 1).contains(&most_held.into_inner()));
    }

    #[test]
    fn one_that_fails_or_panics_leaves_its_places_to_the_others() {
        let limits = Limits::new(2);
        for bad in 0..6 {
            let panics = |i| if i >= bad { panic!("bad") } else { i };
            let run = || in_order(numbers(20), &limits, panics, |_| Ok(()));
            assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
            let fails = |i| if i >= bad { Err("full".to_owned()) } else { Ok(()) };
            assert!(in_order(numbers(20), &limits, |i| i, fails).is_err());
        }
        let places: Vec<_> = std::iter::from_fn(|| limits.held.try_take()).collect();
        assert_eq!(places.len(), 2 + AHEAD + 1);
        assert!(limits.working.try_take().is_some());
    }

    #[test]
    fn the_first_error_stops_the_rest() {
        for jobs in [1, 2, 8] {
            let asked = AtomicUsize::new(0);
            let items = numbers(1000).inspect(|_| _ = asked.fetch_add(1, Ordering::Relaxed));
            let result = in_order(
                items,
                &Limits::new(jobs),
                |i| i,
                |i| if i == 5 { Err(format!("no {i}")) } else { Ok(()) },
            );
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
            assert_eq!(in_order(items, &Limits::new(jobs), |i| i, keep), Err("seven".to_owned()));
            assert!(given.len() <= 7 && given.iter().copied().eq(0..given.len() as u64));
        }
    }

    #[test]
    fn a_panic_comes_out_and_nothing_hangs() {
        for (jobs, bad) in [(1, 0), (2, 0), (2, 40), (3, 99), (8, 3)] {
            let work = |i| if i >= bad { panic!("bad {bad}") } else { i };
            let run = || in_order(numbers(100), &Limits::new(jobs), work, |_| Ok(()));
            let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
            assert_eq!(panic.downcast_ref::<String>(), Some(&format!("bad {bad}")));
            let run = || {
                in_order(
                    numbers(100),
                    &Limits::new(jobs),
                    |i| i,
                    |i| if i == bad { panic!("each") } else { Ok(()) },
                )
            };
            assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        }
    }
}
