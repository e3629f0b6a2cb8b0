//! How far a task is, as one line of text or as JSON.

use std::time::Duration;

use ocirepo_store::Unit;
use unicode_width::UnicodeWidthStr as _;

use crate::render::{beginning, end, safe, safe_json, size};

/// How far a task is at one moment.
pub(super) struct State<'t> {
    pub(super) task: &'t str,
    pub(super) unit: Unit,
    pub(super) total: Option<u64>,
    pub(super) done: u64,
    pub(super) elapsed: Duration,
    /// How much is done in a second.
    pub(super) rate: f64,
    /// What is worked on, the longest first.
    pub(super) items: &'t [String],
    pub(super) finished: bool,
}

/// An item is shown if it has so many columns.
const ITEM: usize = 16;
/// A graph is drawn if there is room for it.
const GRAPH: usize = 20;

impl State<'_> {
    /// Whether something was done, and all of it.
    pub(super) fn is_complete(&self) -> bool {
        self.done > 0 && self.total.is_none_or(|total| self.done >= total)
    }

    /// A line that stays.
    pub(super) fn line(&self) -> String {
        let task = safe(self.task);
        if self.finished {
            let seconds = self.elapsed.as_secs_f64();
            let rate = self.rate().map_or_else(String::new, |rate| format!(", {rate}"));
            return format!("{task}: {} in {seconds:.1} s{rate}", self.amount(self.done));
        }
        let mut facts = Vec::new();
        match self.total() {
            Some(total) => {
                facts.push(format!("{} %", self.percent(total)));
                facts.push(format!("{} of {}", self.amount(self.done), self.amount(total)));
            }
            None if self.done > 0 => facts.push(self.amount(self.done)),
            None => facts.push(format!("for {}", clock(self.elapsed.as_secs()))),
        }
        facts.extend(self.rate());
        facts.extend(self.eta().map(|eta| format!("eta {}", clock(eta))));
        facts.extend(self.item());
        format!("{task}: {}", facts.join(", "))
    }

    /// A line for a terminal of `width` columns that is drawn over the one before, so that columns stay
    /// where they are.
    pub(super) fn bar(&self, width: usize) -> String {
        // The terminal writes `^C` behind it.
        let width = width.saturating_sub(3);
        let eta = self.eta().map_or_else(String::new, clock);
        // What is counted in items has no rate.
        let rate = match self.unit {
            Unit::Bytes => format!(" {:>10}", self.rate().unwrap_or_default()),
            Unit::Items => String::new(),
        };
        let facts = match self.total() {
            Some(total) if width < 50 => format!("{:>3} % {eta:>7}", self.percent(total)),
            Some(total) => {
                let amounts = format!("{}/{}", self.amount(self.done), self.amount(total));
                format!("{:>3} % {amounts:>17}{rate} {eta:>7}", self.percent(total))
            }
            None => {
                let amount = if self.done > 0 { self.amount(self.done) } else { String::new() };
                format!("{amount:>8}{rate} {:>7}", clock(self.elapsed.as_secs()))
            }
        };
        let room = width.saturating_sub(facts.width() + 1);
        let has_item = self.unit == Unit::Bytes || !self.items.is_empty();
        let for_item = if has_item && room >= 2 * ITEM - 6 { ITEM + 1 } else { 0 };
        let task = fit_task(&safe(self.task), (room - for_item).min(60));
        let mut left = room - task.width();
        let mut line = format!("{task} {facts}");
        if let Some(total) = self.total().filter(|_| left > ITEM + GRAPH + 4) {
            let full = usize::try_from(self.percent(total)).unwrap_or(0) * GRAPH / 100;
            line = format!("{task} [{:<GRAPH$}] {facts}", "=".repeat(full));
            left -= GRAPH + 3;
        }
        if let Some(item) = self.item().filter(|_| left > ITEM) {
            line.push(' ');
            line.push_str(&beginning(&item, left - 1));
        }
        beginning(&line, width)
    }

    /// One JSON object on a line.
    pub(super) fn event(&self) -> String {
        let is_bytes = self.unit == Unit::Bytes;
        let event = serde_json::json!({
            "task": self.task,
            "item": self.items.first(),
            "unit": if is_bytes { "bytes" } else { "items" },
            "done": self.done,
            "total": self.total,
            "bytesPerSecond": is_bytes.then_some(self.rate as u64),
            "etaSeconds": if self.finished { None } else { self.eta() },
            "finished": self.finished,
        });
        safe_json(&event.to_string())
    }

    fn total(&self) -> Option<u64> {
        self.total.filter(|&total| total > 0)
    }

    /// Rounded down, so that 100 means all.
    fn percent(&self, total: u64) -> u64 {
        (u128::from(self.done) * 100 / u128::from(total)).min(100) as u64
    }

    fn amount(&self, amount: u64) -> String {
        match self.unit {
            Unit::Bytes => size(amount),
            Unit::Items => amount.to_string(),
        }
    }

    fn rate(&self) -> Option<String> {
        (self.unit == Unit::Bytes && self.done > 0).then(|| format!("{}/s", size(self.rate as u64)))
    }

    /// Seconds to go. Nobody knows while nothing moves.
    fn eta(&self) -> Option<u64> {
        let left = self.total()?.saturating_sub(self.done);
        (self.rate >= 1.0).then(|| (left as f64 / self.rate).ceil() as u64)
    }

    /// What is worked on for the longest, and how much besides.
    fn item(&self) -> Option<String> {
        let first = short(self.items.first()?);
        let others = self.items.len() - 1;
        Some(if others > 0 { format!("{first} +{others}") } else { first })
    }
}

/// The name of a member or a blob, with digests cut to what tells them apart.
fn short(item: &str) -> String {
    let item = item.rsplit_once("blobs/").map_or(item, |(_, blob)| blob);
    let item =
        ["sha256:", "sha256/"].iter().find_map(|algorithm| item.strip_prefix(algorithm)).unwrap_or(item);
    let mut out = String::new();
    let mut digits = 0_usize;
    let is_digest = item.split(|c: char| !c.is_ascii_hexdigit()).any(|run| run.len() >= 40);
    for c in item.chars() {
        digits = if c.is_ascii_hexdigit() { digits + 1 } else { 0 };
        if !is_digest || digits <= 12 {
            out.push(c);
        }
    }
    safe(&out)
}

/// `0:07`, `12:00`, `1:02:03`.
fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        1..100 => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => "days".to_owned(),
    }
}

/// A task in so many columns: without its verb, or with the end of the rest only, where the name of a
/// file is.
fn fit_task(task: &str, columns: usize) -> String {
    let (verb, rest) = task.split_once(' ').unwrap_or(("", task));
    let verb = if verb.width() + 10 < columns { format!("{verb} ") } else { String::new() };
    let room = columns - verb.width();
    if task.width() <= columns { task.to_owned() } else { format!("{verb}{}", end(rest, room)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYER: &str = "blobs/sha256/9ea8a9ff093fa1bff265901d8559259f609a38d6b8390e6cbed054403cbf9f41";

    fn state<'t>(task: &'t str, total: Option<u64>, done: u64, items: &'t [String]) -> State<'t> {
        let (unit, elapsed) = (Unit::Bytes, Duration::from_secs(4));
        State { task, unit, total, done, elapsed, rate: 128e6, items, finished: false }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let items = [LAYER.to_owned(), "名前".repeat(30)];
        for task in
            ["verifying", "adding /a/very/long/path/to/images/image.tar", "adding 画像のとても長い名前.tar"]
        {
            for (total, done) in
                [(Some(1_234_567_890), 987_654_321), (Some(u64::MAX), 1), (None, 12), (None, 0)]
            {
                for width in 0..250 {
                    let bar = state(task, total, done, &items).bar(width);
                    assert!(bar.width() <= width.saturating_sub(3), "{width}: {bar}");
                }
            }
        }
    }

    #[test]
    fn columns_stay_where_they_are() {
        let items = [LAYER.to_owned()];
        for width in [60, 80, 120, 200] {
            let bar = |done, items| state("adding a.tar", Some(1_100_000_000), done, items).bar(width);
            let percent = |bar: String| bar.find(" % ").unwrap();
            assert_eq!(percent(bar(1_000, &items)), percent(bar(999_900_000, &[])), "{width}");
        }
    }

    #[test]
    fn what_is_counted_keeps_its_verb_at_60_columns() {
        let state = State { unit: Unit::Items, ..state("marking manifests", Some(50_000), 1_200, &[]) };
        assert_eq!(state.bar(60), "marking manifests   2 %        1200/50000    0:01");
        let state = State { total: None, ..state };
        assert_eq!(state.bar(60), "marking manifests     1200    0:04");
    }

    #[test]
    fn what_is_known_is_said() {
        let items = [LAYER.to_owned(), "layer.tar".to_owned()];
        let it = state("adding a.tar", Some(1_100_000_000), 512_000_000, &items);
        assert_eq!(
            it.line(),
            "adding a.tar: 46 %, 512.0 MB of 1.1 GB, 128.0 MB/s, eta 0:05, 9ea8a9ff093f +1"
        );
        let wide =
            "adding a.tar [=========           ]  46 %   512.0 MB/1.1 GB 128.0 MB/s    0:05 9ea8a9ff093f +1";
        assert_eq!(it.bar(120), wide);
        assert_eq!(it.bar(60), "adding a.tar  46 %   512.0 MB/1.1 GB 128.0 MB/s    0:05");
        assert_eq!(fit_task("writing all.tar.zst", 15), "all.tar.zst");
        assert_eq!(fit_task("writing /srv/bundles/all.tar.zst", 15), "…es/all.tar.zst");
        assert_eq!(fit_task("writing /srv/bundles/all.tar.zst", 24), "writing …les/all.tar.zst");
        assert_eq!(state("reading -", None, 512, &[]).line(), "reading -: 512 B, 128.0 MB/s");
        assert_eq!(state("syncing", None, 0, &[]).line(), "syncing: for 0:04");
        let event: serde_json::Value = serde_json::from_str(&it.event()).unwrap();
        let expected = serde_json::json!({
            "task": "adding a.tar", "item": LAYER, "unit": "bytes", "done": 512_000_000, "total": 1_100_000_000,
            "bytesPerSecond": 128_000_000, "etaSeconds": 5, "finished": false,
        });
        assert_eq!(event, expected);
    }

    #[test]
    fn all_is_100_percent_and_nothing_else_is() {
        let percent = |done| state("a", Some(1_000), done, &[]).percent(1_000);
        assert_eq!([0, 9, 999, 1_000, 2_000].map(percent), [0, 0, 99, 100, 100]);
    }

    #[test]
    fn names_are_cut_to_what_tells_them_apart() {
        assert_eq!(
            short("sha256:9ea8a9ff093fa1bff265901d8559259f609a38d6b8390e6cbed054403cbf9f41"),
            "9ea8a9ff093f"
        );
        let layer = "9ea8a9ff093fa1bff265901d8559259f609a38d6b8390e6cbed054403cbf9f41/layer.tar";
        assert_eq!(short(layer), "9ea8a9ff093f/layer.tar");
        assert_eq!(short("rootfs/facade.tar"), "rootfs/facade.tar");
    }
}
