//! Nobody starves: beside a stream of adds that overlap, so that at every moment one of them holds the shared lock, gc
//! gets its turn, and so do the adds that queue behind it.

use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use ocirepo_tests::cli::{Ocirepo, Running};

use super::field::Field;
use super::history::Span;
use super::judge::{Others, judge};
use super::process::ends_within;
use super::slow::SlowAdd;
use crate::outcome::Outcome;

/// Every so often an add begins, and it ends once so many others have begun after it: the whole stream would have to
/// stand still for a second before nobody holds the lock.
const EVERY: Duration = Duration::from_millis(250);
const OVERLAP: usize = 4;
/// It waits for those that run when it comes, so a second or two; more where all is slow.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often gc comes.
const COLLECTIONS: usize = 2;

/// Plays it. The error is who starved, or what was lost.
pub(super) fn play(field: &Field<'_>) -> Outcome<()> {
    let mut stream = Stream { ocirepo: &field.ocirepo, field, adds: VecDeque::new(), begun: 0 };
    for _ in 0..OVERLAP {
        stream.go_on()?;
    }
    for _ in 0..COLLECTIONS {
        let start = Instant::now();
        let gc = field.ocirepo.spawn(&["gc", "--lock-timeout", "90"]);
        let mut collection = Some(gc);
        while let Some(gc) = collection.take() {
            stream.go_on()?;
            collection = still_waits(gc, start)?;
        }
    }
    while !stream.adds.is_empty() {
        stream.end_one()?;
    }
    let mut tally = field.tally();
    tally.count("processes", stream.begun + COLLECTIONS as u64);
    tally.count("rounds", 1);
    drop(tally);
    let lost = judge(&field.ocirepo, &field.names(), Others::None)?;
    ensure!(lost.is_empty(), "queue round:\n- {}", lost.join("\n- "));
    Ok(())
}

fn still_waits(mut gc: Running, start: Instant) -> Outcome<Option<Running>> {
    if !ends_within(&mut gc, Duration::ZERO) {
        let waited = start.elapsed();
        if waited > PATIENCE {
            bail!(
                "gc starved: beside adds that overlap, it had not had its turn after {:.1} s",
                waited.as_secs_f64()
            );
        }
        return Ok(Some(gc));
    }
    let output = gc.wait();
    ensure!(output.status.success(), "gc beside adds: {}\n{}", output.status, output.stderr);
    Ok(None)
}

/// Adds that overlap.
struct Stream<'f> {
    ocirepo: &'f Ocirepo,
    field: &'f Field<'f>,
    adds: VecDeque<SlowAdd>,
    begun: u64,
}

impl Stream<'_> {
    /// Begins one more, and ends the oldest if there are enough.
    fn go_on(&mut self) -> Outcome<()> {
        self.adds.push_back(SlowAdd::start(self.ocirepo, self.begun));
        self.begun += 1;
        thread::sleep(EVERY);
        if self.adds.len() > OVERLAP { self.end_one() } else { Ok(()) }
    }

    /// Ends the oldest. One that queues behind gc has its turn as soon as gc has had it.
    fn end_one(&mut self) -> Outcome<()> {
        let Some(add) = self.adds.pop_front() else { return Ok(()) };
        let (name, digest) = (add.name.clone(), add.digest.clone());
        let asked = Instant::now();
        let Span { start, end } = add.finish()?.span;
        let waited = end - asked;
        ensure!(waited < 2 * PATIENCE, "{name} starved behind gc: it took {:.1} s", waited.as_secs_f64());
        self.field.names().wrote(&name, Some(digest), Span { start, end }, "a slow add");
        Ok(())
    }
}
