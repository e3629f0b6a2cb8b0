//! Holding what was counted against the limits, and showing both.

use std::fmt::Write as _;

use anyhow::{Result, bail};

use super::count::Count;
use super::jobs::Figure;
use super::limits::Limits;

/// A figure may be so many percent above what was accepted: other compilers of the last years stay below that.
const MARGIN: u64 = 10;
/// A figure that is so many percent below has a limit that guards nothing.
const LOOSE: u64 = 30;

/// How to move limits.
const ACCEPT: &str = "cargo xtask instructions --accept";

/// One of the two parts of a figure.
struct Part {
    name: &'static str,
    of: fn(&Count) -> u64,
}

const PARTS: [Part; 2] =
    [Part { name: "hashing", of: |count| count.hashing }, Part { name: "the rest", of: |count| count.rest }];

/// What a figure is beside what was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Within,
    /// Above the limit, which is this.
    Above(u64),
    FarBelow,
}

fn verdict(now: u64, accepted: u64, slack: u64) -> Verdict {
    let limit = accepted + accepted * MARGIN / 100 + slack;
    if now > limit {
        Verdict::Above(limit)
    } else if now + slack < accepted - accepted * LOOSE / 100 {
        Verdict::FarBelow
    } else {
        Verdict::Within
    }
}

/// An error unless all figures are within their limits. Limits that have become loose are told and are no error.
pub(super) fn judge(figures: &[Figure], limits: &Limits, origin: &str) -> Result<()> {
    let (mut complaints, mut loose) = (Vec::new(), Vec::new());
    for Figure { job, count, .. } in figures {
        let (name, unit) = (job.name, job.unit.name());
        let Some(accepted) = limits.counts.get(name) else {
            complaints.push(format!("{name}: has no limit"));
            continue;
        };
        for Part { name: part, of } in PARTS {
            let (now, accepted) = (of(count), of(accepted));
            let change = change(now, accepted);
            match verdict(now, accepted, job.unit.slack()) {
                Verdict::Within => {}
                Verdict::Above(limit) => complaints.push(format!(
                    "{name}: {part} takes {} instructions for each {unit}, {change}; at most {} are allowed",
                    grouped(now),
                    grouped(limit),
                )),
                Verdict::FarBelow => loose.push(format!("{name}: {part}, {change}")),
            }
        }
    }
    if !loose.is_empty() {
        println!("these limits can be lowered, with `{ACCEPT}`:\n{}", loose.join("\n"));
    }
    if complaints.is_empty() {
        return Ok(());
    }
    let compilers = if limits.origin == origin {
        String::new()
    } else {
        format!("\nThe limits are from {}; this is {origin}, which may be the reason.", limits.origin)
    };
    bail!(
        "too many instructions\n{}{compilers}\n\
         If there is a good reason, say it in the commit and move the limits: `{ACCEPT} 'NAME OF THE JOB'`",
        complaints.join("\n")
    )
}

/// What was counted, and how that has changed.
pub(super) fn table(figures: &[Figure], limits: &Limits) -> String {
    let mut text = String::from(
        "instructions                      for each         hashing                  the rest\n",
    );
    for Figure { job, count, apart } in figures {
        let accepted = limits.counts.get(job.name);
        write!(text, "{:<34}{:<8}", job.name, job.unit.name()).expect("a String takes all");
        for Part { of, .. } in PARTS {
            let change = accepted.map_or_else(|| "new".into(), |accepted| change(of(count), of(accepted)));
            write!(text, "{:>16} {change:>8}", grouped(of(count))).expect("a String takes all");
        }
        if *apart != Count::default() {
            let (hashing, rest) = (grouped(apart.hashing), grouped(apart.rest));
            write!(text, "   apart by {hashing} and {rest}").expect("a String takes all");
        }
        text.push('\n');
    }
    text
}

/// `+1.5 %`.
fn change(now: u64, accepted: u64) -> String {
    if accepted == 0 {
        return if now == 0 { "+0.0 %".into() } else { "from 0".into() };
    }
    format!("{:+.1} %", (now as f64 / accepted as f64 - 1.0) * 100.0)
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.char_indices() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::jobs::JOBS;
    use super::*;

    fn figure(hashing: u64, rest: u64) -> Figure {
        Figure::median(&JOBS[1], &[Count { hashing, rest }])
    }

    fn limits(hashing: u64, rest: u64) -> Limits {
        let counts = [(JOBS[1].name.to_owned(), Count { hashing, rest })].into();
        Limits { counts, origin: "rustc 1".into() }
    }

    fn complaint(figure: Figure, limits: &Limits) -> String {
        judge(&[figure], limits, "rustc 1").unwrap_err().to_string()
    }

    #[test]
    fn a_tenth_more_and_the_slack_are_allowed_and_one_instruction_more_is_not() {
        assert_eq!(verdict(1_150, 1_000, 50), Verdict::Within);
        assert_eq!(verdict(1_151, 1_000, 50), Verdict::Above(1_150));
        assert_eq!(verdict(50, 0, 50), Verdict::Within);
        assert_eq!(verdict(51, 0, 50), Verdict::Above(50));
    }

    #[test]
    fn a_limit_is_loose_when_it_is_far_above_what_is_counted() {
        assert_eq!(verdict(650, 1_000, 50), Verdict::Within);
        assert_eq!(verdict(649, 1_000, 50), Verdict::FarBelow);
        assert_eq!(verdict(0, 0, 50), Verdict::Within);
        assert!(judge(&[figure(1, 1)], &limits(20_000_000, 20_000_000), "rustc 1").is_ok());
    }

    #[test]
    fn each_part_is_held_against_its_own_limit() {
        let limits = limits(20_000_000, 1_000_000);
        assert!(judge(&[figure(21_000_000, 1_050_000)], &limits, "rustc 1").is_ok());
        let twice = complaint(figure(40_000_000, 1_000_000), &limits);
        assert!(twice.contains("add docker archive: hashing takes 40,000,000 instructions"), "{twice}");
        assert!(twice.contains("+100.0 %; at most 22,020,000 are allowed"), "{twice}");
        assert!(!twice.contains("the rest takes"), "{twice}");
        let rest = complaint(figure(20_000_000, 2_000_000), &limits);
        assert!(rest.contains("the rest takes 2,000,000") && !rest.contains("hashing takes"), "{rest}");
    }

    #[test]
    fn whoever_is_refused_is_told_how_to_move_the_limit() {
        let told = complaint(figure(2_000_000, 0), &limits(1_000_000, 0));
        assert!(told.contains("cargo xtask instructions --accept"), "{told}");
        assert!(!told.contains("rustc"), "{told}");
        let other = judge(&[figure(2_000_000, 0)], &limits(1_000_000, 0), "rustc 2").unwrap_err().to_string();
        assert!(other.contains("The limits are from rustc 1; this is rustc 2"), "{other}");
    }

    #[test]
    fn a_job_without_a_limit_is_refused() {
        let told = complaint(figure(1, 1), &Limits::default());
        assert!(told.contains("add docker archive: has no limit"), "{told}");
    }

    #[test]
    fn the_table_shows_what_has_changed() {
        let table = table(&[figure(1_234_567, 90)], &limits(1_000_000, 100));
        for text in ["1,234,567", "+23.5 %", "90", "-10.0 %"] {
            assert!(table.contains(text), "{table}");
        }
        assert!(!table.contains("apart"), "{table}");
    }
}
