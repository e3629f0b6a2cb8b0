//! Waiting for what must come soon.

use std::thread;
use std::time::{Duration, Instant};

/// Whoever has not come to something by then never will.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until it is so; panics if it never is.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came to this: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
