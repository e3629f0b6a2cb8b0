//! What every phase is given: the program, a seed, and how long it may take.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ocirepo_tests::chance::Chance;
use ocirepo_tests::cli::Ocirepo;

/// The circumstances of one phase.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    program: PathBuf,
    seed: u64,
    start: Instant,
    budget: Duration,
}

impl Context {
    pub(crate) fn new(program: &Path, seed: u64, budget: Duration) -> Self {
        Self { program: program.to_owned(), seed, start: Instant::now(), budget }
    }

    /// ocirepo in a new, empty directory of its own.
    pub(crate) fn ocirepo(&self) -> Ocirepo {
        Ocirepo::with_program(&self.program)
    }

    /// Choices that the seed and `what` they are for decide.
    pub(crate) fn chance(&self, what: &str) -> Chance {
        let mixed =
            what.bytes().fold(self.seed, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        Chance::new(mixed)
    }

    /// Whether it is time to stop.
    pub(crate) fn is_over(&self) -> bool {
        self.start.elapsed() >= self.budget
    }

    /// How much of that is left.
    pub(crate) fn left(&self) -> Duration {
        self.budget.saturating_sub(self.start.elapsed())
    }
}
