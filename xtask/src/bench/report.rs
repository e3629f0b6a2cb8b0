//! What was measured as Markdown, on the screen and in `docs/benchmarks.md`.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result};

use super::context::Context;
use super::cost::{median, ratio};
use super::job::{Manner, Role};
use super::runner::{Measured, Outcome};
use crate::shell;

/// All jobs of a suite.
pub(super) fn suite(name: &str, outcomes: &[Outcome], context: &Context) -> String {
    let size = if context.quick { " --quick" } else { "" };
    let rounds = context.rounds;
    let mut text = format!(
        "`cargo xtask bench{size} {name}`, medians of {rounds} rounds, more for what takes a moment.\n\n"
    );
    for outcome in outcomes {
        text.push_str(&job(outcome));
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

/// A job: its table, and what came of its bars.
pub(super) fn job(outcome: &Outcome) -> String {
    let columns = columns(outcome);
    let mut text = format!("### {}\n\n| |", outcome.title);
    for column in &columns {
        write!(text, " {} |", column.head()).expect("a String takes all");
    }
    text.push_str("\n| --- |");
    text.push_str(&" ---: |".repeat(columns.len()));
    text.push('\n');
    for measured in &outcome.measured {
        text.push_str(&row(measured, outcome, &columns));
    }
    if !outcome.bars.is_empty() {
        text.push('\n');
    }
    for bar in &outcome.bars {
        writeln!(text, "- {}: {}", bar.text(), bar.judge(outcome)).expect("a String takes all");
    }
    text
}

fn row(measured: &Measured, outcome: &Outcome, columns: &[Column]) -> String {
    let label = match measured.role {
        Role::Ours => format!("**{}**", measured.label),
        Role::Peer => measured.label.clone(),
        Role::Limit => format!("*{}*", measured.label),
    };
    let cell = |column: &Column| column.cell(measured, outcome).unwrap_or_else(|| "–".into());
    let cells: Vec<_> = match &measured.failure {
        Some(failure) => vec![format!("failed: {}", failure.replace('|', "/"))],
        None => columns.iter().map(cell).collect(),
    };
    let missing = " |".repeat(columns.len() - cells.len());
    format!("| {label} | {} |{missing}\n", cells.join(" | "))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Wall,
    Sync,
    Cpu,
    Memory,
    Disk,
    Size,
    Each,
    Ratio,
}

fn columns(outcome: &Outcome) -> Vec<Column> {
    let mut columns = vec![Column::Wall];
    if outcome.manner != Manner::Reads {
        columns.push(Column::Sync);
    }
    columns.extend([Column::Cpu, Column::Memory]);
    if outcome.manner == Manner::Writes {
        columns.push(Column::Disk);
    }
    if outcome.measured.iter().any(|measured| measured.size().is_some()) {
        columns.push(Column::Size);
    }
    let several = outcome.measured.iter().filter(|measured| measured.is_ours()).count() > 1;
    if outcome.measured.iter().any(|measured| measured.units.is_some()) {
        columns.push(Column::Each);
    } else if outcome.ours().is_some() && !several {
        columns.push(Column::Ratio);
    }
    columns
}

impl Column {
    fn head(self) -> &'static str {
        match self {
            Self::Wall => "wall s",
            Self::Sync => "of it sync",
            Self::Cpu => "cpu s",
            Self::Memory => "peak MiB",
            Self::Disk => "peak disk MB",
            Self::Size => "result MB",
            Self::Each => "µs each",
            Self::Ratio => "ocirepo = 1",
        }
    }

    fn cell(self, measured: &Measured, outcome: &Outcome) -> Option<String> {
        let seconds = |seconds: f64| format!("{seconds:.3}");
        let megabytes = |bytes: f64| format!("{:.1}", bytes / 1e6);
        Some(match self {
            Self::Wall => seconds(measured.median(|cost| cost.wall)?),
            Self::Sync => seconds(measured.median(|cost| cost.sync)?),
            Self::Cpu => seconds(measured.median(|cost| cost.cpu)?),
            Self::Memory => format!("{:.0}", measured.peak_mib()?),
            Self::Disk => megabytes(measured.median(|cost| cost.disk as f64)?),
            Self::Size => megabytes(measured.size()? as f64),
            Self::Each => format!("{:.1}", median(measured.per_unit().into_iter().flatten())? * 1e6),
            Self::Ratio => format!("{:.2}", ratio(&measured.walls(), &outcome.ours()?.walls())?),
        })
    }
}

/// Replaces what stands between `<!-- name:begin -->` and `<!-- name:end -->` in `docs/benchmarks.md`.
pub(super) fn update(name: &str, section: &str) -> Result<()> {
    let path = shell::root().join("docs/benchmarks.md");
    let old = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let new = replaced(&old, name, section)
        .with_context(|| format!("{}: no section marked {name}:begin and {name}:end", path.display()))?;
    fs::write(&path, new).with_context(|| path.display().to_string())
}

fn replaced(text: &str, name: &str, section: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name}:begin -->"), format!("<!-- {name}:end -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{section}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::super::bar::Bar;
    use super::super::cost::Cost;
    use super::super::runner::Run;
    use super::*;

    #[test]
    fn only_the_marked_section_changes() {
        let text = "a\n<!-- gc:begin -->\nold\n<!-- gc:end -->\nb\n";
        let expected = "a\n<!-- gc:begin -->\nnew\n<!-- gc:end -->\nb\n";
        assert_eq!(replaced(text, "gc", "new\n").as_deref(), Some(expected));
        assert_eq!(replaced(text, "add", "new\n"), None);
    }

    #[test]
    fn a_job_is_a_table_with_its_bars_and_with_what_failed() {
        let cost = |wall| Cost { wall, sync: 0.5, cpu: 2.0, peak_kib: 2048, disk: 3_000_000 };
        let run = |wall| Some(Run { cost: cost(wall), size: Some(1_500_000) });
        let measured = |key: &'static str, role, wall, failure: Option<&str>| Measured {
            key,
            label: key.into(),
            role,
            units: None,
            runs: vec![if failure.is_none() { run(wall) } else { None }],
            failure: failure.map(str::to_owned),
        };
        let measured = vec![
            measured("ocirepo", Role::Ours, 1.0, None),
            measured("skopeo", Role::Peer, 2.0, None),
            measured("oras", Role::Peer, 0.0, Some("no | luck")),
        ];
        let bars = vec![Bar::Faster { than: "skopeo", times: 3.0 }];
        let text = job(&Outcome { title: "Add".into(), manner: Manner::Writes, measured, bars });
        let expected = "\
### Add

| | wall s | of it sync | cpu s | peak MiB | peak disk MB | result MB | ocirepo = 1 |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| **ocirepo** | 1.000 | 0.500 | 2.000 | 2 | 3.0 | 1.5 | 1.00 |
| skopeo | 2.000 | 0.500 | 2.000 | 2 | 3.0 | 1.5 | 2.00 |
| oras | failed: no / luck | | | | | | |

- at least 3× as fast as skopeo: **not met**: 2.00×
";
        assert_eq!(text, expected);
    }
}
