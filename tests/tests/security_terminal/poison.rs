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

/// A label in front of a line may be painted, and nothing else.
#[track_caller]
fn painted(ocirepo: &Ocirepo, args: &[&str]) {
    let output = ocirepo.run(&[&["--color", "always"], args].concat());
    judge(&without_labels(output), &format!("in colour {args:?}"));
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
