//! What is planted, and how it is found again.

use ocirepo_tests::cli::{Ocirepo, Output};

/// What a terminal, or the eye, would take for something else than text: it may stand in file names, too.
pub(crate) const POISON: &str =
    "x\u{1b}[31m\u{9b}31m\u{1b}]0;title\u{7}\r\nFORGED line\u{202e}\u{2066}\u{200f}\u{2028}\u{7f}\u{8}y";

/// A name with the poison in front of its tag, and in it.
pub(crate) fn name(of: &str) -> String {
    format!("docker.io/test/{of}{POISON}:1{POISON}")
}

/// Panics if any of the poison came out as it is.
#[track_caller]
pub(crate) fn judge(output: &Output, what: &str) {
    for (stream, text) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        let turns =
            |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let found: Vec<char> = text.chars().filter(|&c| (c.is_control() && c != '\n') || turns(c)).collect();
        assert!(found.is_empty(), "{what}: {found:?} on {stream}:\n{text:?}");
        let forged = text.lines().find(|line| line.trim_start().starts_with("FORGED"));
        assert!(forged.is_none(), "{what}: a line of its own on {stream}:\n{text}");
        assert!(!text.contains("panicked"), "{what}:\n{text}");
    }
}

/// Runs a command in every way of output and judges each; gives what it printed as a table.
#[track_caller]
pub(crate) fn run(ocirepo: &Ocirepo, args: &[&str]) -> Output {
    let what = format!("{args:?}");
    for more in
        [&["--format", "json"][..], &["-vvv", "--progress", "plain"], &["-q"], &["--progress", "json"]]
    {
        judge(&ocirepo.run(&[more, args].concat()), &format!("{more:?} {what}"));
    }
    painted(ocirepo, args);
    let output = ocirepo.run(args);
    judge(&output, &what);
    output
}

/// A label in front of a line may be painted, and in a result whole pieces of text, and nothing else.
#[track_caller]
fn painted(ocirepo: &Ocirepo, args: &[&str]) {
    let mut output = without_labels(ocirepo.run(&[&["--color", "always"], args].concat()));
    output.stdout = without_pieces(&output.stdout);
    judge(&output, &format!("in colour {args:?}"));
}

/// A result without the colours that begin before a piece of text, and end behind it. Poison does not end, and is
/// found inside of a piece as well as outside.
fn without_pieces(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, painted)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        let colours = ["[2m", "[31m", "[33m"];
        let piece = colours.into_iter().find_map(|colour| painted.strip_prefix(colour)?.split_once('\u{1b}'));
        match piece.and_then(|(piece, end)| Some((piece, end.strip_prefix("[0m")?))) {
            Some((piece, behind)) => {
                plain.push_str(piece);
                rest = behind;
            }
            None => {
                plain.push('\u{1b}');
                rest = painted;
            }
        }
    }
    plain + rest
}

#[test]
fn colours_of_ours_are_told_from_poison() {
    assert_eq!(without_pieces("a \u{1b}[2mb\u{1b}[0m \u{1b}[31mc\u{1b}[0m"), "a b c");
    for bad in ["\u{1b}[2ma\u{1b}[31mb\u{1b}[0m", "\u{1b}[31ma", "\u{1b}[1ma\u{1b}[0m", "\u{1b}]0;a"] {
        assert!(without_pieces(bad).contains('\u{1b}'), "{bad:?}");
    }
}

/// The output without the colours of its labels.
pub(crate) fn without_labels(mut output: Output) -> Output {
    let without = |text: &str| {
        let lines = text.split('\n').map(|line| {
            let label = line.strip_prefix("\u{1b}[1m").and_then(|line| line.split_once("\u{1b}[0m"));
            match label.and_then(|(label, rest)| Some((label.get(5..)?, rest))) {
                Some((label @ ("error:" | "warning:" | "hint:" | "note:"), rest)) => format!("{label}{rest}"),
                _ => line.to_owned(),
            }
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    output.stdout = without(&output.stdout);
    output.stderr = without(&output.stderr);
    output
}
