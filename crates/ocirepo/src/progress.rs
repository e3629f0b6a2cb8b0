//! Showing how far the work is, on stderr.

use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use ocirepo_store::Unit;

use crate::options::Progress;
use crate::render;

/// Lines in a pipe come no closer together than this.
const INTERVAL: Duration = Duration::from_secs(2);

/// Shows progress in one of the ways a user can choose.
#[derive(Debug)]
pub(crate) struct Reporter {
    how: How,
    task: Mutex<Option<Task>>,
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
    done: u64,
    started: Instant,
    told: Instant,
    bar: Option<ProgressBar>,
}

impl Reporter {
    pub(crate) fn new(choice: Progress) -> Self {
        let how = match choice {
            Progress::Auto if std::io::stderr().is_terminal() => How::Bar,
            Progress::Auto | Progress::Plain => How::Lines,
            Progress::Json => How::Json,
            Progress::None => How::Nothing,
        };
        Self { how, task: Mutex::new(None) }
    }

    fn task(&self) -> MutexGuard<'_, Option<Task>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ocirepo_store::Progress for Reporter {
    fn begin(&self, name: &str, unit: Unit, total: Option<u64>) {
        if self.how == How::Nothing {
            return;
        }
        let name = render::safe(name);
        let bar = (self.how == How::Bar).then(|| bar(&name, unit, total));
        let now = Instant::now();
        *self.task() = Some(Task { name, unit, total, done: 0, started: now, told: now, bar });
    }

    fn advance(&self, amount: u64) {
        if self.how == How::Nothing {
            return;
        }
        let mut task = self.task();
        let Some(task) = task.as_mut() else { return };
        task.done += amount;
        if let Some(bar) = &task.bar {
            bar.inc(amount);
        } else if task.told.elapsed() >= INTERVAL {
            task.told = Instant::now();
            task.tell(self.how, false);
        }
    }

    fn end(&self) {
        if let Some(task) = self.task().take() {
            if let Some(bar) = &task.bar {
                bar.finish_and_clear();
            } else if task.done > 0 {
                task.tell(self.how, true);
            }
        }
    }
}

impl Task {
    fn tell(&self, how: How, finished: bool) {
        let amount = |n| match self.unit {
            Unit::Bytes => render::size(n),
            Unit::Items => n.to_string(),
        };
        if how == How::Json {
            let unit = if self.unit == Unit::Bytes { "bytes" } else { "items" };
            let value = serde_json::json!({
                "task": self.name, "unit": unit, "done": self.done, "total": self.total, "finished": finished,
            });
            render::line_to_stderr(&value.to_string());
        } else if finished {
            let seconds = self.started.elapsed().as_secs_f64();
            render::line_to_stderr(&format!("{}: {} in {seconds:.1} s", self.name, amount(self.done)));
        } else if let Some(total) = self.total.filter(|&total| total > 0) {
            let percent = self.done.saturating_mul(100) / total;
            render::line_to_stderr(&format!(
                "{}: {percent} %, {} of {}",
                self.name,
                amount(self.done),
                amount(total)
            ));
        } else {
            render::line_to_stderr(&format!("{}: {}", self.name, amount(self.done)));
        }
    }
}

fn bar(name: &str, unit: Unit, total: Option<u64>) -> ProgressBar {
    let template = match (unit, total) {
        (Unit::Bytes, Some(_)) => "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        (Unit::Bytes, None) => "{msg} {spinner} {bytes} {bytes_per_sec}",
        (Unit::Items, Some(_)) => "{msg} [{bar:30}] {pos}/{len} {eta}",
        (Unit::Items, None) => "{msg} {spinner} {pos}",
    };
    let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new).with_message(name.to_owned());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
