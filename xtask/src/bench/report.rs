//! Figures as a Markdown table, on the screen and in `docs/benchmarks.md`.

use std::fmt::Write as _;
use std::fs;
use std::thread;

use anyhow::{Context as _, Result};

use super::measure::Cost;
use crate::shell;

/// A table of costs. The last row is the yardstick of the ratios.
pub(super) fn table(rows: &[(String, Cost)]) -> String {
    let yardstick = rows.last().map_or(1.0, |(_, cost)| cost.wall.as_secs_f64());
    let mut text = String::from("| command | wall s | ratio | peak MiB |\n| --- | ---: | ---: | ---: |\n");
    for (name, cost) in rows {
        let wall = cost.wall.as_secs_f64();
        let peak = cost.peak_kib.map_or_else(|| "?".into(), |kib| format!("{:.0}", kib as f64 / 1024.0));
        writeln!(text, "| {name} | {wall:.3} | {:.2} | {peak} |", wall / yardstick)
            .expect("a String takes all");
    }
    text
}

/// The machine in a few words, as far as it can be told.
pub(super) fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    format!("{model}, {cores} cores, {}", std::env::consts::OS)
}

/// Replaces what stands between `<!-- name:begin -->` and `<!-- name:end -->` in `docs/benchmarks.md`.
pub(super) fn update(name: &str, section: &str) -> Result<()> {
    let path = shell::root().join("docs/benchmarks.md");
    let old = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let new = replaced(&old, name, section)
        .with_context(|| format!("{}: no section marked {name}:begin and {name}:end", path.display()))?;
    fs::write(&path, new)?;
    println!("{} is updated", path.display());
    Ok(())
}

fn replaced(text: &str, name: &str, section: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name}:begin -->"), format!("<!-- {name}:end -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{section}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_marked_section_changes() {
        let text = "a\n<!-- gc:begin -->\nold\n<!-- gc:end -->\nb\n";
        let expected = "a\n<!-- gc:begin -->\nnew\n<!-- gc:end -->\nb\n";
        assert_eq!(replaced(text, "gc", "new\n").as_deref(), Some(expected));
        assert_eq!(replaced(text, "add", "new\n"), None);
    }
}
