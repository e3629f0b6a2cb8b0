//! Turning results into text: tables and JSON on stdout, lines on stderr, and nothing that an
//! image name could use to play with a terminal.

mod fit;
mod screen;
mod table;
mod tree;

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};

use anstyle::{AnsiColor, Style};
use bytesize::ByteSize;
pub(crate) use fit::{beginning, end};
pub(crate) use screen::{Cell, Look, Screen, wants_color};
use serde::Serialize;
pub(crate) use table::{Fit, Table};
pub(crate) use tree::{Branch, tree};

use crate::{interrupt, terminal};

/// Writes a line to stdout, made safe for a terminal whatever is in it. A reader that has seen
/// enough is no reason to stop half-way: the rest of the work is done, and its exit code is what it
/// would have been.
pub(crate) fn line(text: &str) -> io::Result<()> {
    lines([text])
}

/// [`line()`] for many at once.
pub(crate) fn lines<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> io::Result<()> {
    write_lines(lines.into_iter().map(|line| safe_but_label(line.as_ref()).into_owned()))
}

/// Writes lines that are safe to stdout.
fn write_lines(lines: impl IntoIterator<Item = String>) -> io::Result<()> {
    interrupt::wait_if_ending();
    let mut out = BufWriter::new(io::stdout().lock());
    let written = lines.into_iter().try_for_each(|line| writeln!(out, "{line}"));
    unless_closed(written.and_then(|()| out.flush()))
}

/// Writes pieces of text to stdout as one line.
pub(crate) fn cells(screen: Screen, cells: &[Cell]) -> io::Result<()> {
    let texts = cells.iter().map(|cell| cell.show(screen));
    write_lines([texts.collect::<Vec<_>>().join(" ")])
}

fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes a value to stdout as JSON.
pub(crate) fn json(value: &impl Serialize) -> io::Result<()> {
    interrupt::wait_if_ending();
    unless_closed(writeln!(io::stdout().lock(), "{}", safe_json(&serde_json::to_string_pretty(value)?)))
}

/// JSON leaves some characters as they are that a terminal would obey. Outside of strings there are
/// none but the ends of lines.
pub(crate) fn safe_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && fools(c) {
            let units =
                c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>();
            out.push_str(&units);
        } else {
            out.push(c);
        }
    }
    out
}

/// Writes a line to stderr, made safe for a terminal whatever is in it. Nobody is left to be told if
/// that fails.
pub(crate) fn line_to_stderr(text: &str) {
    interrupt::wait_if_ending();
    terminal::line(&safe_but_label(text));
}

/// Text from outside, made safe for a terminal: control characters are shown as escapes, as are
/// the characters that turn the direction of writing or cannot be seen. What is safe stays as it is,
/// so it does no harm to ask twice.
pub(crate) fn safe(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if fools(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether a text is nothing but printable ASCII, as nearly all are.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// [`safe`] for what may begin with a label that [`paint`] has painted, which stays.
fn safe_but_label(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    for color in PAINTS {
        let style = style(color);
        let label = text.strip_prefix(&style.render().to_string());
        if let Some((label, rest)) = label.and_then(|label| label.split_once(&format!("{style:#}"))) {
            return Cow::Owned(format!("{style}{}{style:#}{}", safe(label), safe(rest)));
        }
    }
    Cow::Owned(safe(text))
}

/// Whether a terminal, or the eye, would take a character for something else than text: it controls,
/// turns the direction of writing, begins a line of its own, or cannot be seen. The two joiners that
/// some scripts are written with are text.
fn fools(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// A number of bytes for people, in powers of 1000.
pub(crate) fn size(bytes: u64) -> String {
    ByteSize::b(bytes).display().si().to_string()
}

/// The name of an image, which may have none.
pub(crate) fn name(reference: Option<&str>) -> &str {
    reference.unwrap_or("<none>")
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

/// The colours that labels are painted in.
const PAINTS: [AnsiColor; 4] = [AnsiColor::Red, AnsiColor::Yellow, AnsiColor::Green, AnsiColor::Cyan];

/// A label in one of the colours of [`PAINTS`], if colours are wanted. Only at the beginning of a line
/// it keeps them.
pub(crate) fn paint(label: &str, color: AnsiColor, enabled: bool) -> String {
    debug_assert!(PAINTS.contains(&color), "a line in another colour loses it");
    if !enabled {
        return label.to_owned();
    }
    let style = style(color);
    format!("{style}{label}{style:#}")
}

fn style(color: AnsiColor) -> Style {
    Style::new().bold().fg_color(Some(color.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_play_with_the_terminal() {
        assert_eq!(safe("a\u{1b}[31mb\rc\u{202e}"), "a\\u{1b}[31mb\\u{d}c\\u{202e}");
        assert_eq!(safe("plain ünïcode\nline"), "plain ünïcode\\u{a}line");
        for c in ['\u{7f}', '\u{9b}', '\u{61c}', '\u{200b}', '\u{2028}', '\u{2066}', '\u{feff}', '\u{e0041}']
        {
            let shown = safe(&c.to_string());
            assert!(shown.starts_with("\\u{") && safe(&shown) == shown, "{shown}");
            let json = safe_json(&serde_json::to_string(&c).unwrap());
            assert!(json.is_ascii(), "{json}");
            assert_eq!(serde_json::from_str::<char>(&json).unwrap(), c);
        }
        assert_eq!(safe("می\u{200c}خواهم 👩\u{200d}🚀"), "می\u{200c}خواهم 👩\u{200d}🚀");
    }

    #[test]
    fn a_line_keeps_the_colour_of_its_label_and_no_other() {
        let label = paint("error:", AnsiColor::Red, true);
        assert_ne!(label, "error:");
        assert_eq!(safe_but_label(&format!("{label} text")), format!("{label} text"));
        assert_eq!(safe_but_label(&format!("{label} {label}")), format!("{label} {}", safe(&label)));
        assert_eq!(safe_but_label(&format!("text {label}")), format!("text {}", safe(&label)));
        let forged = paint("a\u{1b}[2J\n", AnsiColor::Red, true);
        assert_eq!(safe_but_label(&forged), paint("a\\u{1b}[2J\\u{a}", AnsiColor::Red, true));
        assert_eq!(safe_but_label("\u{1b}[1m\u{1b}[31mno end"), safe("\u{1b}[1m\u{1b}[31mno end"));
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
