//! Tables that fit the terminal.
//!
//! In a pipe nothing is cut. On a terminal that is too narrow columns give way, each in its own
//! manner; the first one, which has the names, never does: a name that is too long for its column
//! has a line of its own, whole, and the rest of its row comes below.

use std::io;

use unicode_width::UnicodeWidthStr;

use super::{Cell, Screen, beginning, end, safe, short, write_lines};

/// How a column gives way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    /// A digest becomes a short one.
    Digest,
    /// Of a media type the end tells more.
    Tail,
    /// Of a list with commas the first are shown and the others counted.
    List,
    /// A sentence loses its end.
    End,
    /// It does not.
    Whole,
}

/// A table without lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table<const N: usize> {
    header: [&'static str; N],
    fits: [Fit; N],
    right: [bool; N],
}

/// Between two columns of a table.
const GAP: usize = 2;

/// A column is not cut to less than this.
const MIN_WIDTH: usize = 14;

/// A column of names that is narrower than this is none.
const MIN_NAMES: usize = 20;

impl<const N: usize> Table<N> {
    pub(crate) const fn new(header: [&'static str; N]) -> Self {
        Self { header, fits: [Fit::Whole; N], right: [false; N] }
    }

    /// The column gives way like this.
    pub(crate) const fn fit(mut self, column: usize, fit: Fit) -> Self {
        self.fits[column] = fit;
        self
    }

    /// The column has numbers, which stand on the right.
    pub(crate) const fn right(mut self, column: usize) -> Self {
        self.right[column] = true;
        self
    }

    /// Writes the table to stdout.
    pub(crate) fn print<C: Into<Cell>>(
        &self,
        screen: Screen,
        rows: impl IntoIterator<Item = [C; N]>,
    ) -> io::Result<()> {
        write_lines(self.lines(screen, rows))
    }

    fn lines<C: Into<Cell>>(&self, screen: Screen, rows: impl IntoIterator<Item = [C; N]>) -> Vec<String> {
        let safe_cell = |cell: C| {
            let mut cell = cell.into();
            cell.text = safe(&cell.text);
            cell
        };
        let rows = rows.into_iter().map(|row| row.map(safe_cell));
        let rows: Vec<[Cell; N]> = std::iter::once(self.header.map(Cell::from)).chain(rows).collect();
        let widths = self.widths(screen, &rows);
        rows.iter().flat_map(|row| self.row(screen, row, &widths)).collect()
    }

    /// How wide each column may be.
    fn widths(&self, screen: Screen, rows: &[[Cell; N]]) -> [usize; N] {
        let widest = |column: usize| rows.iter().map(|row| row[column].text.width()).max().unwrap_or(0);
        let widest: [usize; N] = std::array::from_fn(widest);
        let Some(width) = screen.width else { return widest };
        let widths = self.give_way(width, rows, widest);
        if widths[0] >= widest[0].min(MIN_NAMES) {
            return widths;
        }
        // Hardly a name would fit: all of them have a line of their own.
        let mut stacked = widest;
        stacked[0] = 0;
        self.give_way(width, rows, stacked)
    }

    /// Takes from the columns what is too much, as far as they give it.
    fn give_way(&self, width: usize, rows: &[[Cell; N]], mut widths: [usize; N]) -> [usize; N] {
        let mut over = (widths.iter().sum::<usize>() + GAP * (N - 1)).saturating_sub(width);
        let mut order: Vec<usize> = (1..N).filter(|&column| self.fits[column] != Fit::Whole).collect();
        order.sort_by_key(|&column| self.fits[column]);
        for column in order.into_iter().chain([0]) {
            let shortest = |row: &[Cell; N]| shorten(&row[column].text, self.fits[column], 0).width();
            let least = match self.fits[column] {
                Fit::Whole => self.header[column].width(),
                Fit::Digest | Fit::List => rows.iter().map(shortest).max().unwrap_or(0),
                Fit::Tail | Fit::End => MIN_WIDTH,
            };
            let given = over.min(widths[column].saturating_sub(least));
            let given =
                if self.fits[column] == Fit::Digest && given > 0 { widths[column] - least } else { given };
            widths[column] -= given;
            over = over.saturating_sub(given);
        }
        widths
    }

    fn row(&self, screen: Screen, row: &[Cell; N], widths: &[usize; N]) -> Vec<String> {
        let is_too_long = row[0].text.width() > widths[0];
        let mut lines = Vec::new();
        let mut line = String::new();
        if is_too_long {
            lines.push(row[0].paint(&row[0].text, screen));
        }
        // Spaces are written once something comes behind them.
        let mut spaces = 0;
        for (column, cell) in row.iter().enumerate() {
            let text = match column {
                0 if is_too_long => String::new(),
                0 => cell.text.clone(),
                _ => shorten(&cell.text, self.fits[column], widths[column]),
            };
            let rest = widths[column].saturating_sub(text.width());
            spaces += if self.right[column] { rest } else { 0 };
            if !text.is_empty() {
                line.extend(std::iter::repeat_n(' ', spaces));
                line.push_str(&cell.paint(&text, screen));
                spaces = 0;
            }
            spaces += GAP + if self.right[column] { 0 } else { rest };
        }
        if !line.is_empty() || !is_too_long {
            lines.push(line);
        }
        lines
    }
}

/// A text that is no wider than that, if it can be.
fn shorten(text: &str, fit: Fit, width: usize) -> String {
    if text.width() <= width || text.is_empty() {
        return text.to_owned();
    }
    match fit {
        Fit::Whole => text.to_owned(),
        Fit::Digest if text.contains(':') => short(text),
        Fit::Digest => text.to_owned(),
        Fit::List => first_of(text, width),
        Fit::End => beginning(text, width),
        Fit::Tail => end(text, width),
    }
}

/// The first of a list, at least one, and how many there are more.
fn first_of(list: &str, width: usize) -> String {
    let items: Vec<&str> = list.split(',').collect();
    let shown = |count: usize| match items.len() - count {
        0 => items.join(","),
        more => format!("{} +{more}", items[..count].join(",")),
    };
    let fitting = (1..=items.len()).rev().map(shown).find(|text| text.width() <= width);
    fitting.unwrap_or_else(|| shown(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Look;

    const NAME: &str = "registry.example:5000/team/service:1.2.3";
    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn at(width: Option<usize>, color: bool) -> Vec<String> {
        let table = Table::new(["REFERENCE", "DIGEST", "SIZE", "PLATFORMS", "STATE"]);
        let table = table.fit(1, Fit::Digest).right(2).fit(3, Fit::List).fit(4, Fit::End);
        let row = |name: &str, state: &str| {
            let platforms = "linux/amd64,linux/arm64/v8,linux/s390x";
            let state = Cell::new(state, Look::Bad);
            [name.into(), Cell::new(DIGEST, Look::Dim), "1.5 MB".into(), platforms.into(), state]
        };
        let rows =
            [row("a:1", "complete"), row(NAME, "its config is not there, and was moved aside\u{1b}[2J")];
        table.lines(Screen { width, color }, rows)
    }

    #[test]
    fn in_a_pipe_nothing_is_cut() {
        let lines = at(None, false);
        assert_eq!(lines.len(), 3);
        for text in [NAME, DIGEST, "linux/amd64,linux/arm64/v8,linux/s390x", "and was moved aside\\u{1b}[2J"]
        {
            assert!(lines[2].contains(text), "{text}: {lines:#?}");
        }
    }

    #[test]
    fn names_are_whole_at_any_width_and_lines_fit() {
        for width in [60, 66, 80, 100, 120, 160, 200, 400] {
            let lines = at(Some(width), false);
            assert!(lines.iter().all(|line| line.width() <= width), "{width}: {lines:#?}");
            assert!(lines.iter().any(|line| line.starts_with(NAME)), "{width}: {lines:#?}");
            assert!(lines.iter().all(|line| !line.ends_with(' ')), "{width}: {lines:#?}");
            assert!(lines.iter().any(|line| line.contains("linux/amd64")), "{width}: {lines:#?}");
        }
    }

    #[test]
    fn columns_stay_below_their_headings() {
        for width in [Some(70), Some(120), None] {
            let lines = at(width, false);
            let header = lines.iter().find(|line| line.contains("DIGEST")).unwrap();
            let column = |line: &str, text: &str| line.split(text).next().map(UnicodeWidthStr::width);
            for line in lines.iter().filter(|line| line.contains("e3b0c44298fc")) {
                let digest = if line.contains("sha256:") { "sha256:" } else { "e3b0" };
                assert_eq!(column(header, "DIGEST"), column(line, digest), "{lines:#?}");
                assert_eq!(column(header, "PLATFORMS"), column(line, "linux/"), "{lines:#?}");
            }
        }
    }

    #[test]
    fn colours_are_ours_alone() {
        assert!(at(Some(80), true).concat().contains("\u{1b}[31m"));
        assert!(!at(Some(80), true).concat().contains("\u{1b}[2J"));
        assert!(!at(Some(80), false).concat().contains('\u{1b}'));
    }

    #[test]
    fn texts_give_way_in_their_own_manner() {
        assert_eq!(shorten("a,b,c", Fit::List, 4), "a +2");
        assert_eq!(shorten("a,b,c", Fit::List, 0), "a +2");
        assert_eq!(shorten("aa,b,c,d", Fit::List, 7), "aa,b +2");
        assert_eq!(shorten("a sentence", Fit::End, 5), "a se…");
        assert_eq!(shorten("layer.tar+gzip", Fit::Tail, 6), "…+gzip");
        assert_eq!(shorten(DIGEST, Fit::Digest, 20), "e3b0c44298fc");
        assert_eq!(shorten("漢字漢字", Fit::End, 5), "漢字…");
    }
}
