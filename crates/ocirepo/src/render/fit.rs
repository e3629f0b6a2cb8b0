//! Cutting a text to so many columns, with an ellipsis for what is gone.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The beginning of a text, if it has more columns than there are.
pub(crate) fn beginning(text: &str, columns: usize) -> String {
    if text.width() <= columns { text.to_owned() } else { cut(text.chars(), columns).into_iter().collect() }
}

/// The end of a text likewise.
pub(crate) fn end(text: &str, columns: usize) -> String {
    match text.width() <= columns {
        true => text.to_owned(),
        false => cut(text.chars().rev(), columns).into_iter().rev().collect(),
    }
}

/// As many characters as fit, and an ellipsis in the last column.
fn cut(chars: impl Iterator<Item = char>, columns: usize) -> Vec<char> {
    let mut left = columns.saturating_sub(1);
    let fits = |c: &char| {
        let width = c.width().unwrap_or(0);
        let fits = width <= left;
        left -= if fits { width } else { 0 };
        fits
    };
    let mut out: Vec<char> = chars.take_while(fits).collect();
    out.extend((columns > 0).then_some('…'));
    out
}
