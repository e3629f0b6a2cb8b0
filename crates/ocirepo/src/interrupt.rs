//! Being told to end: SIGINT, SIGTERM and SIGHUP.
//!
//! A change of the repository that is under way runs to its end, what was staged is removed, one line
//! says what state things are in, and the process dies of the signal, as shells expect. Told a second
//! time, it dies at once: nothing is lost by that, and the next command that writes cleans up.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ocirepo_store::Stop;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::{flag, low_level};

use crate::terminal;

/// Set when nothing may be printed any more: what is read then is taken away, and errors come of that.
static ENDING: AtomicBool = AtomicBool::new(false);

/// What has ended by then need not be told of.
const PATIENCE: Duration = Duration::from_millis(300);

/// What to say of the state that things are in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct State {
    /// When nothing was changed for good.
    pub(crate) before: &'static str,
    /// When something was.
    pub(crate) after: &'static str,
}

/// Whether the process is about to die.
pub(crate) fn is_ending() -> bool {
    ENDING.load(Ordering::Acquire)
}

/// Does not return when the process is about to die.
pub(crate) fn wait_if_ending() {
    while is_ending() {
        std::thread::park();
    }
}

/// Catches the signals that tell a program to end.
///
/// # Errors
/// When the system has no room for that.
pub(crate) fn catch(stop: Stop, state: State) -> io::Result<()> {
    let ignored = ignored();
    let signals = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !ignored(*signal));
    let told = Arc::new(AtomicBool::new(false));
    let signals: Vec<i32> = signals.collect();
    for &signal in &signals {
        // In this order: the first time is not the second.
        flag::register_conditional_default(signal, Arc::clone(&told))?;
        flag::register(signal, Arc::clone(&told))?;
    }
    let mut signals = Signals::new(signals)?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if let Some(signal) = signals.forever().next() {
            end(&stop, state, signal);
        }
    })?;
    Ok(())
}

fn end(stop: &Stop, state: State, signal: i32) {
    let begin = Instant::now();
    while stop.is_held() && begin.elapsed() < PATIENCE {
        std::thread::sleep(PATIENCE / 30);
    }
    if stop.is_held() {
        terminal::line("interrupted: the change that is under way is brought to its end");
    }
    let stopped = stop.now();
    ENDING.store(true, Ordering::Release);
    let state = if stopped.has_changed() { state.after } else { state.before };
    let rest = if stopped.clean_up() { "" } else { "; the next command that writes removes what was staged" };
    terminal::line(&format!("interrupted: {state}{rest}"));
    // Shells tell a program that died of a signal from one that only says so. The first process of a
    // container cannot.
    if std::process::id() != 1 {
        let _ = low_level::emulate_default_handler(signal);
    }
    low_level::exit(128 + signal);
}

/// Which signals are ignored, as `nohup` has it: they are to stay so.
fn ignored() -> impl Fn(i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    move |signal| mask & (1 << (signal - 1)) != 0
}
