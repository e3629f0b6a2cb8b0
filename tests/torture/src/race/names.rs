//! The names that are written to, and whose they are.
//!
//! No two of them have a tag in common, so that the `tag` policy lets them all stand side by side; but for a pair that
//! is there to be in its way.

use ocirepo_tests::chance::Chance;

use super::pool::pick;

/// Nobody writes to these: they were there first, and stay.
pub(super) fn kept(number: usize) -> String {
    format!("docker.io/kept/image:k{number}")
}

/// Names of one worker, which alone writes to them.
pub(super) fn own(worker: usize, chance: &mut Chance) -> String {
    own_name(worker, chance.below(OWN))
}

/// How many plain names a worker has.
const OWN: u64 = 3;

fn own_name(worker: usize, number: u64) -> String {
    format!("docker.io/worker{worker}/app{number}:w{worker}-{number}")
}

/// All of these.
pub(super) fn all_own(worker: usize) -> Vec<String> {
    (0..OWN).map(|number| own_name(worker, number)).collect()
}

/// A name of one worker that nobody has used before.
pub(super) fn fresh(worker: usize, number: u64) -> String {
    format!("docker.io/fresh/app:f{worker}-{number}")
}

/// The names in the bundle of one worker.
pub(super) fn bundle_names(worker: usize) -> [String; 2] {
    ["a", "b"].map(|which| format!("docker.io/bundle{worker}/{which}:b{worker}-{which}"))
}

/// A name that everybody writes to.
pub(super) fn shared(chance: &mut Chance) -> String {
    pick(chance, &all_shared()).clone()
}

/// All of these. The last two have the same tag.
pub(super) fn all_shared() -> Vec<String> {
    let names = ["s0:s0", "s1:s1", "s2:s2", "left:clash", "right:clash"];
    names.iter().map(|name| format!("docker.io/shared/{name}")).collect()
}

/// A pattern over the names of one worker.
pub(super) fn own_pattern(worker: usize) -> String {
    format!("docker.io/worker{worker}/*")
}

/// A pattern over the names of everybody.
pub(super) const SHARED_PATTERN: &str = "docker.io/shared/*";

/// Whether it is a name that only this worker gives.
pub(super) fn is_fresh(worker: usize, name: &str) -> bool {
    name.starts_with(&format!("docker.io/fresh/app:f{worker}-"))
}

/// Whether it is a name that was there first.
pub(super) fn is_kept(name: &str) -> bool {
    name.starts_with("docker.io/kept/")
}
