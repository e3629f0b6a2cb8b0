//! How a phase ends: with a count of what it tried, or with what was lost.

use std::collections::BTreeMap;
use std::fmt;

/// What was tried, or, as an error, what was lost and how to see it again.
pub(crate) type Outcome<T = Tally> = anyhow::Result<T>;

/// How often what was tried: "kills", "disk states", "sequences".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally(BTreeMap<String, u64>);

impl Tally {
    pub(crate) fn count(&mut self, what: &str, times: u64) {
        *self.0.entry(what.to_owned()).or_default() += times;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (what, times) in &other.0 {
            self.count(what, *times);
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(|(what, times)| format!("{times} {what}")).collect();
        f.write_str(&if texts.is_empty() { "nothing was tried".to_owned() } else { texts.join(", ") })
    }
}
