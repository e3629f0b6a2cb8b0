//! What a name may stand for after many have written to it at once.
//!
//! A name is a register: whoever gives it a digest or takes it away writes to it. A write that is certain took effect
//! somewhere between its start and its end. Of a process that was killed, and of one whose work a writer without locks
//! may have undone, nobody knows whether its write took effect. So when all is quiet, the last effect was that of a
//! write after whose end no certain write began; and if no write is certain, it may be that nothing ever took effect.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// The digest that a name stands for, if it is there.
pub(super) type Value = Option<String>;

/// From the start of a process to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: Instant,
    pub(super) end: Instant,
}

/// When somebody without locks is or was at work.
#[derive(Debug, Clone, Copy)]
struct Window {
    start: Instant,
    end: Option<Instant>,
}

/// Something that gave a name a digest or took it away.
#[derive(Debug, Clone)]
struct Write {
    span: Span,
    /// One of these, if it took effect at all.
    values: BTreeSet<Value>,
    is_certain: bool,
    /// Whether one of those wrote it who take no locks: nobody may undo that.
    is_foreign: bool,
    what: String,
}

/// What was done to all names of one repository.
#[derive(Debug, Default)]
pub(super) struct History {
    writes: BTreeMap<String, Vec<Write>>,
    windows: Vec<Window>,
}

impl History {
    /// A write that took effect.
    pub(super) fn wrote(&mut self, name: &str, value: Value, span: Span, what: &str) {
        let values = BTreeSet::from([value]);
        self.push(name, Write { span, values, is_certain: true, is_foreign: false, what: what.to_owned() });
    }

    /// A write that may have taken effect.
    pub(super) fn may_have_written(&mut self, name: &str, values: BTreeSet<Value>, span: Span, what: &str) {
        self.push(name, Write { span, values, is_certain: false, is_foreign: false, what: what.to_owned() });
    }

    /// A write by somebody without locks, to a name of its own.
    pub(super) fn wrote_without_locks(&mut self, name: &str, value: Value, span: Span, what: &str) {
        let values = BTreeSet::from([value]);
        self.push(name, Write { span, values, is_certain: true, is_foreign: true, what: what.to_owned() });
    }

    /// Somebody without locks begins, who may undo what others do meanwhile.
    pub(super) fn open_window(&mut self) {
        self.windows.push(Window { start: Instant::now(), end: None });
    }

    /// The one who began last has ended.
    pub(super) fn close_window(&mut self) {
        if let Some(window) = self.windows.last_mut() {
            window.end = Some(Instant::now());
        }
    }

    /// Whether somebody without locks was at work at some moment of this time.
    pub(super) fn is_disturbed(&self, span: Span) -> bool {
        let overlaps =
            |window: &Window| window.start <= span.end && window.end.is_none_or(|end| span.start <= end);
        self.windows.iter().any(overlaps)
    }

    /// What the name may stand for now. It is exact when nobody writes to it at the moment.
    pub(super) fn legal(&self, name: &str) -> BTreeSet<Value> {
        let writes = self.writes.get(name).map_or(&[][..], Vec::as_slice);
        let certain: Vec<&Write> = writes.iter().filter(|write| self.is_certain(write)).collect();
        let comes_after =
            |other: &Write, write: &Write| other.span.start >= write.span.end && !std::ptr::eq(other, write);
        let may_be_last = |write: &&Write| !certain.iter().any(|other| comes_after(other, write));
        let mut legal: BTreeSet<Value> =
            writes.iter().filter(may_be_last).flat_map(|write| write.values.iter().cloned()).collect();
        if certain.is_empty() {
            legal.insert(None);
        }
        legal
    }

    /// Every name that was ever written to.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.writes.keys()
    }

    /// The last writes to a name, for people: when each began and ended, in milliseconds before `now`.
    pub(super) fn tell(&self, name: &str, now: Instant) -> String {
        let writes = self.writes.get(name).map_or(&[][..], Vec::as_slice);
        let ago = |moment: Instant| now.saturating_duration_since(moment).as_millis();
        let line = |write: &Write| {
            let sure = if self.is_certain(write) { "" } else { "perhaps " };
            let Span { start, end } = write.span;
            format!("    {} to {} ms before: {sure}{}", ago(start), ago(end), write.what)
        };
        let first = writes.len().saturating_sub(8);
        writes[first..].iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn is_certain(&self, write: &Write) -> bool {
        write.is_certain && (write.is_foreign || !self.is_disturbed(write.span))
    }

    fn push(&mut self, name: &str, write: Write) {
        self.writes.entry(name.to_owned()).or_default().push(write);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A history of one name "n": each write is its start and end, its value (`-` is none), and whether it is certain.
    fn legal(writes: &[(u64, u64, &str, bool)], windows: &[(u64, u64)]) -> Vec<String> {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let value = |text: &str| (text != "-").then(|| text.to_owned());
        let mut history = History::default();
        for &(start, end, text, is_certain) in writes {
            let span = Span { start: at(start), end: at(end) };
            if is_certain {
                history.wrote("n", value(text), span, "w");
            } else {
                history.may_have_written("n", BTreeSet::from([value(text)]), span, "w");
            }
        }
        history.windows =
            windows.iter().map(|&(start, end)| Window { start: at(start), end: Some(at(end)) }).collect();
        history.legal("n").into_iter().map(|value| value.unwrap_or_else(|| "-".to_owned())).collect()
    }

    #[test]
    fn one_after_the_other_the_last_decides() {
        assert_eq!(legal(&[], &[]), ["-"]);
        assert_eq!(legal(&[(0, 1, "a", true), (2, 3, "b", true)], &[]), ["b"]);
        assert_eq!(legal(&[(0, 1, "a", true), (2, 3, "-", true)], &[]), ["-"]);
    }

    #[test]
    fn of_those_at_the_same_time_any_may_be_last() {
        assert_eq!(legal(&[(0, 5, "a", true), (1, 6, "b", true), (7, 8, "c", true)], &[]), ["c"]);
        assert_eq!(legal(&[(0, 5, "a", true), (1, 6, "-", true)], &[]), ["-", "a"]);
        // "a" had not ended when "b" ended, so it may have come after it.
        assert_eq!(legal(&[(0, 9, "a", true), (1, 2, "b", true), (3, 4, "c", true)], &[]), ["a", "c"]);
    }

    #[test]
    fn a_killed_one_leaves_before_or_after() {
        assert_eq!(legal(&[(0, 1, "a", false)], &[]), ["-", "a"]);
        assert_eq!(legal(&[(0, 1, "a", true), (2, 3, "b", false)], &[]), ["a", "b"]);
        assert_eq!(legal(&[(0, 1, "a", false), (2, 3, "b", true)], &[]), ["b"]);
    }

    #[test]
    fn only_what_happens_beside_a_writer_without_locks_may_be_undone() {
        let writes = [(0, 1, "a", true), (4, 6, "b", true)];
        assert_eq!(legal(&writes, &[(5, 9)]), ["a", "b"]);
        assert_eq!(legal(&writes, &[(7, 9)]), ["b"]);
        assert_eq!(legal(&writes, &[(2, 3)]), ["b"]);
    }
}
