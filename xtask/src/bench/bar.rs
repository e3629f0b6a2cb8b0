//! How fast ocirepo must be, and whether it is.

use super::cost::{median, ratio, slowest};
use super::runner::{Measured, Outcome};

/// A promise about one job.
#[derive(Clone, Debug)]
pub(super) enum Bar {
    /// At least `times` as fast as a peer.
    Faster { than: &'static str, times: f64 },
    /// At most `times` as long as the slower of these, and `plus` seconds.
    Within { of: &'static [&'static str], times: f64, plus: f64 },
    /// At most so many seconds.
    Seconds(f64),
    /// At most so much memory in any run.
    Memory { mib: f64 },
    /// A result that is at most so much larger than that of a peer.
    Larger { than: &'static str, percent: f64 },
    /// A unit of the largest takes at most `times` as long as one of the second largest.
    Linear { times: f64 },
}

/// What came of a bar.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    Met(String),
    NotMet(String),
    /// Somebody it takes did not run.
    Open(String),
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Met(found) => write!(formatter, "**met**: {found}"),
            Self::NotMet(found) => write!(formatter, "**not met**: {found}"),
            Self::Open(why) => write!(formatter, "not judged: {why}"),
        }
    }
}

impl Bar {
    /// What is promised, in words.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Faster { than, times } => format!("at least {times}× as fast as {than}"),
            Self::Within { of, times, plus } => {
                let (of, slower) = (of.join(" and "), if of.len() > 1 { "the slower of " } else { "" });
                let times = if *times == 1.0 { String::new() } else { format!("{times}× ") };
                let plus = if *plus > 0.0 { format!(" and {:.0} ms", plus * 1e3) } else { String::new() };
                format!("at most {times}{slower}{of}{plus}")
            }
            Self::Seconds(seconds) if *seconds < 0.1 => format!("at most {:.0} ms", seconds * 1e3),
            Self::Seconds(seconds) => format!("at most {seconds} s"),
            Self::Memory { mib } => format!("at most {mib} MiB of memory"),
            Self::Larger { than, percent } => format!("at most {percent} % larger than what {than} makes"),
            Self::Linear { times } => {
                format!("of the most, each takes at most {times}× as long as each of the second most")
            }
        }
    }

    /// Judges what was measured.
    pub(super) fn judge(&self, outcome: &Outcome) -> Verdict {
        self.measure(outcome).unwrap_or_else(Verdict::Open)
    }

    fn measure(&self, outcome: &Outcome) -> Result<Verdict, String> {
        let ours = outcome.ours().ok_or("ocirepo did not run")?;
        if let Some(failure) = &ours.failure {
            return Ok(Verdict::NotMet(failure.clone()));
        }
        let nothing = || "nothing was measured".to_owned();
        match self {
            Self::Faster { than, times } => {
                let theirs = ran(outcome, than)?;
                let found = ratio(&theirs.walls(), &ours.walls()).ok_or_else(nothing)?;
                Ok(verdict(found >= *times, format!("{found:.2}×")))
            }
            Self::Within { of, times, plus } => {
                let limits = of.iter().map(|key| ran(outcome, key).map(Measured::walls));
                let limit = slowest(&limits.collect::<Result<Vec<_>, _>>()?);
                let less = |wall: Option<f64>| wall.map(|wall| (wall - plus).max(0.0));
                let walls: Vec<_> = ours.walls().into_iter().map(less).collect();
                let found = ratio(&walls, &limit).ok_or_else(nothing)?;
                let beyond = if *plus > 0.0 { ", without that" } else { "" };
                Ok(verdict(found <= *times, format!("{found:.2}×{beyond}")))
            }
            Self::Seconds(most) => {
                let found = median(ours.walls().into_iter().flatten()).ok_or_else(nothing)?;
                Ok(verdict(found <= *most, format!("{found:.3} s")))
            }
            Self::Memory { mib } => {
                let all = outcome.measured.iter().filter(|measured| measured.is_ours());
                let found = all.filter_map(Measured::peak_mib).reduce(f64::max).ok_or_else(nothing)?;
                Ok(verdict(found <= *mib, format!("{found:.0} MiB")))
            }
            Self::Larger { than, percent } => {
                let (ours, theirs) = (ours.size(), ran(outcome, than)?.size());
                let (ours, theirs) = ours.zip(theirs).ok_or_else(nothing)?;
                let found = (ours as f64 / theirs as f64 - 1.0) * 100.0;
                Ok(verdict(found <= *percent, format!("{found:+.1} %")))
            }
            Self::Linear { times } => {
                let mut all: Vec<_> = outcome.measured.iter().filter(|measured| measured.is_ours()).collect();
                all.sort_by_key(|measured| measured.units);
                let [.., second, most] = all.as_slice() else { return Err(nothing()) };
                let found = ratio(&most.per_unit(), &second.per_unit()).ok_or_else(nothing)?;
                Ok(verdict(found <= *times, format!("{found:.2}×")))
            }
        }
    }
}

fn ran<'a>(outcome: &'a Outcome, key: &str) -> Result<&'a Measured, String> {
    let measured = outcome.measured.iter().find(|measured| measured.key == key);
    let measured = measured.ok_or_else(|| format!("{key} is not there"))?;
    if measured.failure.is_some() { Err(format!("{key} failed")) } else { Ok(measured) }
}

fn verdict(met: bool, found: String) -> Verdict {
    if met { Verdict::Met(found) } else { Verdict::NotMet(found) }
}

#[cfg(test)]
mod tests {
    use super::super::cost::Cost;
    use super::super::job::{Manner, Role};
    use super::super::runner::Run;
    use super::*;

    fn measured(key: &'static str, role: Role, walls: &[f64], size: u64) -> Measured {
        let cost = |wall: &f64| Cost { wall: *wall, sync: 0.0, cpu: 0.0, peak_kib: 10 << 10, disk: 0 };
        let runs = walls.iter().map(|wall| Some(Run { cost: cost(wall), size: Some(size) })).collect();
        Measured { key, label: key.into(), role, units: None, runs, failure: None }
    }

    fn outcome(measured: Vec<Measured>) -> Outcome {
        Outcome { title: String::new(), manner: Manner::Writes, measured, bars: Vec::new() }
    }

    fn three() -> Outcome {
        outcome(vec![
            measured("ocirepo", Role::Ours, &[1.0, 2.0, 1.0], 103),
            measured("skopeo", Role::Peer, &[1.5, 3.0, 1.4], 100),
            measured("cat", Role::Limit, &[0.5, 1.6, 0.8], 0),
            measured("openssl", Role::Limit, &[0.8, 1.0, 0.5], 0),
        ])
    }

    #[test]
    fn a_peer_must_be_beaten_by_the_factor() {
        assert_eq!(Bar::Faster { than: "skopeo", times: 1.4 }.judge(&three()), Verdict::Met("1.50×".into()));
        assert_eq!(
            Bar::Faster { than: "skopeo", times: 1.6 }.judge(&three()),
            Verdict::NotMet("1.50×".into())
        );
    }

    #[test]
    fn a_limit_is_the_slower_one_of_each_round() {
        let of: &[_] = &["cat", "openssl"];
        let bar = |times, plus| Bar::Within { of, times, plus }.judge(&three());
        assert_eq!(bar(1.25, 0.0), Verdict::Met("1.25×".into()));
        assert_eq!(bar(1.2, 0.0), Verdict::NotMet("1.25×".into()));
        assert_eq!(bar(1.0, 0.2), Verdict::Met("1.00×, without that".into()));
    }

    #[test]
    fn sizes_seconds_and_memory_have_limits() {
        let judge = |bar: Bar| matches!(bar.judge(&three()), Verdict::Met(_));
        assert!(judge(Bar::Larger { than: "skopeo", percent: 3.01 }));
        assert!(!judge(Bar::Larger { than: "skopeo", percent: 2.0 }));
        assert!(judge(Bar::Seconds(1.0)) && !judge(Bar::Seconds(0.9)));
        assert!(judge(Bar::Memory { mib: 10.0 }) && !judge(Bar::Memory { mib: 9.0 }));
    }

    #[test]
    fn nobody_is_beaten_who_did_not_run() {
        let bar = Bar::Faster { than: "oras", times: 1.1 };
        assert_eq!(bar.judge(&three()), Verdict::Open("oras is not there".into()));
        let mut failed = three();
        failed.measured[1].failure = Some("no space".into());
        assert!(matches!(Bar::Faster { than: "skopeo", times: 1.0 }.judge(&failed), Verdict::Open(_)));
        failed.measured[0].failure = Some("no space".into());
        assert_eq!(Bar::Seconds(9.0).judge(&failed), Verdict::NotMet("no space".into()));
    }

    #[test]
    fn growth_is_judged_by_what_one_more_costs() {
        let sized =
            |wall: f64, units| Measured { units: Some(units), ..measured("o", Role::Ours, &[wall], 0) };
        let of = |most: f64| outcome(vec![sized(1.0, 1000), sized(2.0, 10_000), sized(most, 50_000)]);
        assert_eq!(Bar::Linear { times: 1.2 }.judge(&of(12.0)), Verdict::Met("1.20×".into()));
        assert_eq!(Bar::Linear { times: 1.2 }.judge(&of(20.0)), Verdict::NotMet("2.00×".into()));
    }
}
