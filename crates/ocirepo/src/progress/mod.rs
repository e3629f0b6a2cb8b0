//! Showing how far the work is, on stderr: a line that is drawn over and over, lines that stay, or JSON.
//!
//! Whoever works only counts. A thread of its own looks every now and then and tells, so that work
//! that has come to a stand is seen to stand. What is over in no time is not told of.

mod line;

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ocirepo_store::{Progress as _, Unit};

use crate::options::Progress;
use crate::{interrupt, terminal};
use line::State;

/// How often it is looked at.
const TICK: Duration = Duration::from_millis(100);
/// What is over by then is not told of.
const SHORT: Duration = Duration::from_millis(500);
/// Lines come no closer together than this, and events.
const LINES: Duration = Duration::from_secs(2);
const EVENTS: Duration = Duration::from_secs(1);
/// The speed is that of so much of the past.
const WINDOW: Duration = Duration::from_secs(5);

/// Shows progress in one of the ways a user can choose. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Reporter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    how: How,
    done: AtomicU64,
    task: Mutex<Option<Task>>,
    begun: Condvar,
    ticker: std::sync::Once,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Bar,
    Lines,
    Json,
    Nothing,
}

#[derive(Debug)]
struct Task {
    name: String,
    unit: Unit,
    total: Option<u64>,
    started: Instant,
    told: Instant,
    is_told: bool,
    /// How much was done when.
    past: VecDeque<(Instant, u64)>,
    /// What is worked on, in the order in which it was begun.
    items: Vec<String>,
}

impl Reporter {
    pub(crate) fn new(choice: Progress) -> Self {
        let how = match choice {
            Progress::Auto if std::io::stderr().is_terminal() && !terminal::is_dumb() => How::Bar,
            Progress::Auto | Progress::Plain => How::Lines,
            Progress::Json => How::Json,
            Progress::None => How::Nothing,
        };
        let (done, task) = (AtomicU64::new(0), Mutex::new(None));
        Self(Arc::new(Shared { how, done, task, begun: Condvar::new(), ticker: std::sync::Once::new() }))
    }

    /// Shows that something goes on of which nobody knows how far it is.
    pub(crate) fn during<R>(&self, task: &str, work: impl FnOnce() -> R) -> R {
        self.begin(task, Unit::Items, None);
        let done = work();
        self.end();
        done
    }

    fn task(&self) -> MutexGuard<'_, Option<Task>> {
        self.0.task()
    }
}

impl ocirepo_store::Progress for Reporter {
    fn begin(&self, name: &str, unit: Unit, total: Option<u64>) {
        if self.0.how == How::Nothing {
            return;
        }
        self.0.ticker.call_once(|| {
            let shared = Arc::clone(&self.0);
            // Without a thread for it, nothing is shown until a task has ended.
            let _ = std::thread::Builder::new().name("progress".to_owned()).spawn(move || shared.tick());
        });
        let (name, now) = (name.to_owned(), Instant::now());
        let (past, items) = (VecDeque::from([(now, 0)]), Vec::new());
        let mut task = self.task();
        self.0.done.store(0, Ordering::Relaxed);
        *task = Some(Task { name, unit, total, started: now, told: now, is_told: false, past, items });
        self.0.begun.notify_one();
    }

    fn advance(&self, amount: u64) {
        self.0.done.fetch_add(amount, Ordering::Relaxed);
    }

    fn end(&self) {
        if let Some(task) = self.task().take() {
            task.end(self.0.how, self.0.done.load(Ordering::Relaxed));
        }
    }

    fn begin_item(&self, item: &str) {
        if let Some(task) = &mut *self.task() {
            task.items.push(item.to_owned());
        }
    }

    fn end_item(&self, item: &str) {
        if let Some(task) = &mut *self.task()
            && let Some(position) = task.items.iter().position(|other| other == item)
        {
            task.items.remove(position);
        }
    }
}

impl Shared {
    fn task(&self) -> MutexGuard<'_, Option<Task>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of every task until the program ends.
    fn tick(&self) {
        let mut guard = self.task();
        while !interrupt::is_ending() {
            if let Some(task) = &mut *guard {
                task.tick(self.how, self.done.load(Ordering::Relaxed));
                guard = self.begun.wait_timeout(guard, TICK).unwrap_or_else(PoisonError::into_inner).0;
            } else {
                guard = self.begun.wait(guard).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl Task {
    fn tick(&mut self, how: How, done: u64) {
        let now = Instant::now();
        if now - self.started < SHORT {
            return;
        }
        while self.past.len() > 1 && self.past.front().is_some_and(|(then, _)| now - *then > WINDOW) {
            self.past.pop_front();
        }
        let interval = match how {
            How::Bar => Duration::ZERO,
            How::Json => EVENTS,
            How::Lines | How::Nothing => LINES,
        };
        if now - self.told >= interval {
            (self.told, self.is_told) = (now, true);
            let state = self.state(now, done, false);
            match how {
                How::Bar => terminal::draw(&state.bar(terminal::width())),
                How::Lines => terminal::line(&state.line()),
                How::Json => terminal::line(&state.event()),
                How::Nothing => {}
            }
        }
        self.past.push_back((now, done));
    }

    fn end(&self, how: How, done: u64) {
        let now = Instant::now();
        let state = self.state(now, done, true);
        match how {
            How::Bar => terminal::erase(),
            // What was not done to its end is told of by the error that ended it.
            How::Lines if now - self.started >= SHORT && state.is_complete() => {
                terminal::line(&state.line());
            }
            How::Json if done > 0 || self.is_told => terminal::line(&state.event()),
            How::Lines | How::Json | How::Nothing => {}
        }
    }

    fn state(&self, now: Instant, done: u64, finished: bool) -> State<'_> {
        let (then, before) = match self.past.front() {
            Some(past) if !finished => *past,
            _ => (self.started, 0),
        };
        let seconds = (now - then).as_secs_f64();
        State {
            task: &self.name,
            unit: self.unit,
            total: self.total,
            done,
            elapsed: now - self.started,
            rate: if seconds > 0.0 { done.saturating_sub(before) as f64 / seconds } else { 0.0 },
            items: &self.items,
            finished,
        }
    }
}
