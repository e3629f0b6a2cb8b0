//! A round: everybody works at the same time for a while, then all is quiet and the verdict comes.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::bail;
use ocirepo_tests::chance::Chance;

use super::action::{Kind, Weights};
use super::field::Field;
use super::foreign::{Stranger, Tools};
use super::judge::{Others, judge};
use super::worker::{Role, Worker};
use crate::outcome::Outcome;

/// Who works in a round.
#[derive(Debug)]
pub(super) struct Cast {
    /// What it is called in reports.
    pub(super) name: &'static str,
    pub(super) roles: Vec<Role>,
}

/// A role whose processes may be killed or stopped until `latest`, in milliseconds.
const fn role(weights: Weights, killed: u64, stopped: u64, latest: u64) -> Role {
    let latest = Duration::from_millis(latest);
    Role { weights, killed, stopped, latest, pause: Duration::from_millis(8), goes_on: false }
}

/// A role that does nothing but to hurry, whatever happens.
const fn hasty(role: Role) -> Role {
    Role { pause: Duration::from_millis(1), goes_on: true, ..role }
}

/// Small commands that all want to replace index.json at the same moment. Adds publish blobs between making the new
/// index and putting it in place, and stops make that time longer.
const NAMER: Role = hasty(role(
    &[(5, Kind::AddFresh), (4, Kind::TagFresh), (2, Kind::TagOwn), (1, Kind::RemoveOwn)],
    0,
    12,
    60,
));

/// What one removes another adds again a moment later: blobs become garbage and are reused all the time. Stops make the
/// time long between the decision to reuse a blob and the commit.
const REUSER: Role = hasty(role(
    &[(6, Kind::AddOwn), (5, Kind::RemoveOwn), (1, Kind::RemoveAllOwn), (2, Kind::InspectOwn)],
    2,
    40,
    60,
));

const COLLECTOR: Role = hasty(role(&[(1, Kind::Collect)], 0, 0, 1));

/// Everything there is.
const ANYBODY: Role = role(
    &[
        (10, Kind::AddOwn),
        (5, Kind::AddShared),
        (5, Kind::AddVolume),
        (4, Kind::TagOwn),
        (4, Kind::TagShared),
        (4, Kind::TakeShared),
        (5, Kind::RemoveOwn),
        (2, Kind::RemoveShared),
        (1, Kind::RemoveAllOwn),
        (1, Kind::RemoveAllShared),
        (5, Kind::Collect),
        (1, Kind::RehearseCollect),
        (1, Kind::CollectSecond),
        (2, Kind::ExportOwn),
        (1, Kind::ExportAll),
        (2, Kind::Copy),
        (3, Kind::List),
        (3, Kind::InspectOwn),
        (2, Kind::InspectShared),
        (2, Kind::Verify),
        (1, Kind::Inventory),
        (1, Kind::Pending),
        (3, Kind::Policy),
    ],
    12,
    8,
    60,
);

/// What can be done beside writers without locks. The policy stays, since those writers know nothing of it.
const NEIGHBOUR: Role = role(
    &[
        (6, Kind::AddOwn),
        (2, Kind::AddShared),
        (6, Kind::TagOwn),
        (3, Kind::TagFresh),
        (2, Kind::TagShared),
        (3, Kind::RemoveOwn),
        (1, Kind::RemoveAllOwn),
        (1, Kind::CollectYoung),
        (1, Kind::ExportOwn),
        (2, Kind::List),
        (2, Kind::InspectOwn),
        (1, Kind::Verify),
    ],
    8,
    5,
    40,
);

/// Many writers of index.json.
pub(super) fn namers() -> Cast {
    Cast { name: "names", roles: vec![NAMER; 8] }
}

/// Sweeps beside those who reuse.
pub(super) fn reusers() -> Cast {
    Cast { name: "reuse", roles: vec![REUSER, REUSER, REUSER, COLLECTOR] }
}

/// Everything at once.
pub(super) fn anybody(workers: usize) -> Cast {
    Cast { name: "mixed", roles: vec![ANYBODY; workers] }
}

/// Those who have a neighbour without locks.
pub(super) fn neighbours() -> Cast {
    Cast { name: "foreign", roles: vec![NEIGHBOUR; 4] }
}

/// What there is beside the workers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Beside<'t> {
    /// Slows down the moment in which some of the workers' commands replace index.json.
    pub(super) strace: Option<&'t Path>,
    /// With these somebody writes who takes no locks.
    pub(super) tools: Option<&'t Tools>,
}

/// Has everybody work at the same time; then judges. The error is what was lost.
pub(super) fn play(field: &Field<'_>, cast: &Cast, chance: &mut Chance, beside: Beside<'_>) -> Outcome<()> {
    let mut broken: Vec<String> = thread::scope(|scope| {
        let worker = |(me, role): (usize, &Role)| {
            let chance = Chance::new(chance.below(u64::MAX));
            let worker = Worker { field, me, role: *role, chance, strace: beside.strace };
            scope.spawn(move || worker.work())
        };
        let mut workers: Vec<_> = cast.roles.iter().enumerate().map(worker).collect();
        if let Some(tools) = beside.tools {
            let stranger = Stranger::new(field, tools, Chance::new(chance.below(u64::MAX)));
            workers.push(scope.spawn(move || stranger.work()));
        }
        let ends = workers.into_iter().map(|worker| worker.join());
        // A panic is a mistake in this program, or in what it uses to look at files.
        let told = |end: thread::Result<Outcome<()>>| match end {
            Ok(done) => done.err().map(|loss| format!("{loss:#}")),
            Err(_) => Some("a worker of this program panicked, see above".to_owned()),
        };
        ends.filter_map(told).collect()
    });
    field.tally().count("rounds", 1);
    let others = if beside.tools.is_some() { Others::LeaveNameless } else { Others::None };
    let mut lost = judge(&field.ocirepo, &field.names(), others)?;
    let second = judge(&field.second, &field.second_names(), Others::None)?;
    lost.extend(second.into_iter().map(|loss| format!("in the repository that was exported to: {loss}")));
    lost.append(&mut broken);
    if let Some(tools) = beside.tools.filter(|_| lost.is_empty()) {
        tools.read(field, chance)?;
    }
    if lost.is_empty() {
        return Ok(());
    }
    let more = lost.len().saturating_sub(6);
    lost.truncate(6);
    let more = if more > 0 { format!("\n- and {more} more") } else { String::new() };
    bail!("{} round:\n- {}{more}", cast.name, lost.join("\n- "))
}
