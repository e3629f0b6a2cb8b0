//! What the libraries have to say, on stderr: lines like our own, such as `warning: …`.
//!
//! Events quote paths, names and the command lines of other processes. Each becomes one line, with
//! nothing in it that a terminal would obey.

use std::{fmt, io};

use anstyle::AnsiColor;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::{render, terminal};

/// Has events of `level` and above printed to stderr.
pub(crate) fn start(level: Level, color: bool) {
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(|| Stderr)
        .event_format(Line { color })
        .init();
}

/// Takes whole lines, so that they do not end up behind one that is drawn.
struct Stderr;

impl io::Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        terminal::line(String::from_utf8_lossy(bytes).trim_end_matches('\n'));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One event as a line.
struct Line {
    color: bool,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (label, paint) = match *event.metadata().level() {
            Level::ERROR => ("error:", AnsiColor::Red),
            Level::WARN => ("warning:", AnsiColor::Yellow),
            Level::INFO => ("info:", AnsiColor::Cyan),
            Level::DEBUG => ("debug:", AnsiColor::Cyan),
            Level::TRACE => ("trace:", AnsiColor::Cyan),
        };
        let mut text = String::new();
        context.format_fields(Writer::new(&mut text), event)?;
        writeln!(writer, "{} {}", render::paint(label, paint, self.color), render::safe(&text))
    }
}
