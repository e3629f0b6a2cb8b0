//! stderr, shared by lines that stay and by the one line that is drawn over and over.

use std::io::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::interrupt;

/// Whether a line that does not stay is on the terminal.
static DRAWN: Mutex<bool> = Mutex::new(false);

/// Writes a line that stays. Nobody is left to be told if that fails.
pub(crate) fn line(text: &str) {
    let mut drawn = drawn();
    let erase = if std::mem::take(&mut *drawn) { ERASE } else { "" };
    let _ = writeln!(io::stderr().lock(), "{erase}{text}");
}

/// Draws a line over the one that was drawn before.
pub(crate) fn draw(text: &str) {
    let mut drawn = drawn();
    if interrupt::is_ending() {
        return;
    }
    *drawn = true;
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "\r{text}\u{1b}[K").and_then(|()| stderr.flush());
}

/// Takes away what was drawn.
pub(crate) fn erase() {
    if std::mem::take(&mut *drawn()) {
        let _ = write!(io::stderr().lock(), "{ERASE}");
    }
}

/// How wide the terminal is.
pub(crate) fn width() -> usize {
    terminal_size::terminal_size_of(io::stderr()).map_or(80, |(width, _)| usize::from(width.0))
}

/// Whether the terminal can do no more than write one line below the other.
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

const ERASE: &str = "\r\u{1b}[K";

fn drawn() -> MutexGuard<'static, bool> {
    DRAWN.lock().unwrap_or_else(PoisonError::into_inner)
}
