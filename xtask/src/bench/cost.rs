//! What a run cost, and what can be said of several runs: medians, and ratios of runs of the same round.

use serde::{Deserialize, Serialize};

/// What one run cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Cost {
    /// Seconds from the start to the end, the sync included if it counts.
    pub(super) wall: f64,
    /// The part of `wall` that a sync of the file system took afterwards.
    pub(super) sync: f64,
    /// Seconds of processor time, of the process and of all that it started and waited for.
    pub(super) cpu: f64,
    /// The largest resident set of any of these processes.
    pub(super) peak_kib: u64,
    /// How far the free space of the file system sank, in bytes.
    pub(super) disk: u64,
}

/// The median; of an even number of values, the mean of the two in the middle. `None` of no values.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[half]),
        _ => Some(f64::midpoint(values[half - 1], values[half])),
    }
}

/// The median of `a / b` over the rounds that both took part in.
pub(super) fn ratio(a: &[Option<f64>], b: &[Option<f64>]) -> Option<f64> {
    median(a.iter().zip(b).filter_map(|(a, b)| Some((*a)? / (*b)?)))
}

/// Round by round, the largest of several; `None` where one is missing.
pub(super) fn slowest(all: &[Vec<Option<f64>>]) -> Vec<Option<f64>> {
    let rounds = all.iter().map(Vec::len).min().unwrap_or(0);
    let largest =
        |round: usize| all.iter().map(|one| one[round]).try_fold(0.0, |most: f64, one| Some(most.max(one?)));
    (0..rounds).map(largest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_however_the_values_come() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([]), None);
    }

    /// A slow second round of both must not change how they compare.
    #[test]
    fn ratios_are_those_of_the_same_round() {
        let (ours, theirs) = ([Some(1.0), Some(10.0), Some(1.0)], [Some(2.0), Some(20.0), Some(3.0)]);
        assert_eq!(ratio(&theirs, &ours), Some(2.0));
        assert_eq!(ratio(&theirs, &[None, Some(5.0), None]), Some(4.0));
        assert_eq!(ratio(&theirs, &[]), None);
    }

    #[test]
    fn the_slowest_is_chosen_in_each_round_anew() {
        let all = [vec![Some(1.0), Some(5.0), Some(1.0)], vec![Some(2.0), Some(4.0), None]];
        assert_eq!(slowest(&all), [Some(2.0), Some(5.0), None]);
        assert!(slowest(&[]).is_empty());
    }
}
