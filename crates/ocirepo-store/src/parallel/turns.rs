//! So many at a time, while others wait.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A number of turns. Whoever takes one does what only so many may do at once.
#[derive(Debug)]
pub struct Turns {
    free: Mutex<usize>,
    given_back: Condvar,
}

/// A turn, which is given back when it is dropped.
#[derive(Debug)]
#[must_use = "it is given back when it is dropped"]
pub struct Turn<'t>(&'t Turns);

impl Turns {
    /// So many turns; one at least.
    #[must_use]
    pub fn new(number: usize) -> Self {
        Self { free: Mutex::new(number.max(1)), given_back: Condvar::new() }
    }

    /// Takes a turn, once there is one.
    pub fn take(&self) -> Turn<'_> {
        let mut free = self.free();
        while *free == 0 {
            free = self.given_back.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Turn(self)
    }

    /// Takes a turn, if there is one.
    pub fn try_take(&self) -> Option<Turn<'_>> {
        let mut free = self.free();
        *free = free.checked_sub(1)?;
        Some(Turn(self))
    }

    fn free(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.free() += 1;
        self.0.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_more_than_so_many_have_a_turn_and_everybody_gets_one() {
        let (turns, now, most) = (Turns::new(3), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    let _turn = turns.take();
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(2));
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert!((2..=3).contains(&most.into_inner()));
    }

    #[test]
    fn one_who_does_not_wait_gets_a_turn_only_if_there_is_one() {
        let turns = Turns::new(0);
        let turn = turns.try_take();
        assert!(turn.is_some() && turns.try_take().is_none());
        drop(turn);
        assert!(turns.try_take().is_some());
    }
}
