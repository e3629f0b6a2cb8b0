//! Turning results into text: tables and JSON on stdout, lines on stderr, and nothing that an
//! image name could use to play with a terminal.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use bytesize::ByteSize;
use comfy_table::{Table, TableStyle};
use serde::Serialize;

/// Writes a line to stdout. A reader that has seen enough is no reason to stop half-way: the rest
/// of the work is done, and its exit code is what it would have been.
pub(crate) fn line(text: &str) -> io::Result<()> {
    unless_closed(writeln!(io::stdout().lock(), "{text}"))
}

fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes a value to stdout as JSON.
pub(crate) fn json(value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    // JSON leaves some characters as they are that a terminal would obey.
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && (c.is_control() || turns(c)) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    unless_closed(writeln!(io::stdout().lock(), "{out}"))
}

/// Writes a line to stderr. Nobody is left to be told if that fails.
pub(crate) fn line_to_stderr(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Text from outside, made safe for a terminal: control characters are shown as escapes, as are
/// the characters that turn the direction of writing.
pub(crate) fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || turns(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether a character turns the direction of writing, or starts a line of its own.
fn turns(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A number of bytes for people, in powers of 1000.
pub(crate) fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().si().to_string()
}

/// `1 blob`, `2 blobs`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// Numbers in a list, runs of them as one: `1, 3-7`.
pub(crate) fn numbers(sorted: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for &number in sorted {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let texts: Vec<String> = runs
        .iter()
        .map(|&(first, last)| match last - first {
            0 => first.to_string(),
            1 => format!("{first}, {last}"),
            _ => format!("{first}-{last}"),
        })
        .collect();
    texts.join(", ")
}

/// The beginning of a digest, enough for people to tell images apart.
pub(crate) fn short(digest: &str) -> String {
    let (algorithm, encoded) = digest.split_once(':').unwrap_or(("", digest));
    let encoded: String = encoded.chars().take(12).collect();
    safe(&if algorithm == "sha256" { encoded } else { format!("{algorithm}:{encoded}") })
}

/// Writes a table without lines to stdout.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_header(header.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| safe(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for text in table.lines() {
        line(text.trim_end())?;
    }
    Ok(())
}

/// Text in a colour, if colours are wanted.
pub(crate) fn paint(text: &str, color: AnsiColor, enabled: bool) -> String {
    if !enabled {
        return text.to_owned();
    }
    let style = Style::new().bold().fg_color(Some(color.into()));
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_play_with_the_terminal() {
        assert_eq!(safe("a\u{1b}[31mb\rc\u{202e}"), "a\\u{1b}[31mb\\u{d}c\\u{202e}");
        assert_eq!(safe("plain ünïcode\nline"), "plain ünïcode\\u{a}line");
    }

    #[test]
    fn runs_of_numbers_are_short() {
        assert_eq!(numbers(&[1, 3, 4, 6, 7, 8, 9, 11]), "1, 3, 4, 6-9, 11");
        assert_eq!(numbers(&[]), "");
    }

    #[test]
    fn sizes_are_in_powers_of_1000() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1_500_000), "1.5 MB");
    }
}
