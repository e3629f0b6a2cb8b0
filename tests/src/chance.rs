//! Random choices that can be repeated, and numbers that the environment may set.
//!
//! A test that needs random moments prints its seed; `OCIREPO_TEST_SEED` repeats the choices. Moments in the life
//! of a process never repeat exactly, so a seed makes the same failure likely, not certain.

use std::env;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::noise;
use crate::tools::say;

/// A source of choices.
#[derive(Clone, Debug)]
pub struct Chance {
    seed: u64,
    drawn: u64,
}

impl Chance {
    /// From `OCIREPO_TEST_SEED`, or a new seed, which is printed with what it is for.
    pub fn from_env(what: &str) -> Self {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set").as_nanos();
        let seed = number("OCIREPO_TEST_SEED")
            .unwrap_or_else(|| u64::try_from(now() % 1_000_000_007).expect("small"));
        say(&format!("{what}: OCIREPO_TEST_SEED={seed}"));
        Self::new(seed)
    }

    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    /// A number from 0 to `limit - 1`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.drawn += 1;
        let bytes = noise::noise(self.seed.rotate_left(32) ^ self.drawn, 8);
        u64::from_le_bytes(bytes.try_into().expect("8 bytes were asked for")) % limit
    }

    /// A time from nothing up to `longest`.
    pub fn moment(&mut self, longest: Duration) -> Duration {
        let nanos = u64::try_from(longest.as_nanos()).expect("a test does not wait for centuries");
        Duration::from_nanos(self.below(nanos.max(1)))
    }
}

/// A number from the environment; panics if the variable holds anything else.
pub fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}, which is no number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides() {
        let draw = |seed| {
            let mut chance = Chance::new(seed);
            [(); 20].map(|()| chance.below(1000))
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let different: std::collections::BTreeSet<_> = draw(3).into_iter().collect();
        assert!(different.len() > 10, "{different:?}");
        assert!(Chance::new(1).moment(Duration::from_millis(5)) < Duration::from_millis(5));
    }
}
