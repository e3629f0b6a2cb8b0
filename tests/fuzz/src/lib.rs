//! What the fuzz targets check, and how they make their inputs.
//!
//! Each target takes a file and checks it; what it checks is a module here. The same modules are
//! compiled into `tests/fuzz_seeds.rs` of the crates they judge, where plain `cargo test` replays
//! every seed and every finding. `cargo xtask fuzz` runs the targets.
//!
//! | target | module | judges |
//! |---|---|---|
//! | `tar_walk` | `walk`, `headers` | the walk through the headers of a tar |
//! | `docker_import` | `import`, `bench`, `archives`, `images`, `json` | imports |
//! | `index_json` | `index`, `members` | the document that index.json is to the store |
//! | `reference` | `names`, `grammar` | references and names of the store |

use std::cell::RefCell;

mod archives;
mod bench;
mod choices;
mod grammar;
mod headers;
mod images;
mod import;
mod index;
mod input;
mod json;
mod members;
mod memory;
mod names;
mod seeds;
mod tarball;
#[cfg(fuzzing)]
mod walk;

pub use seeds::{Seed, all as seeds};

/// The `tar_walk` target: an archive, as it is or by one of the two bytes in `input`.
#[cfg(fuzzing)]
pub fn tar_walk(bytes: &[u8]) {
    walk::check(bytes);
}

/// The `docker_import` target: an archive, as it is or by one of the two bytes in `input`.
pub fn docker_import(bytes: &[u8]) {
    thread_local!(static BENCH: RefCell<bench::Bench> = RefCell::new(bench::Bench::new()));
    BENCH.with_borrow_mut(|bench| import::check(bench, bytes));
}

/// The archive that an input of `docker_import` means.
pub fn archive(bytes: &[u8]) -> Vec<u8> {
    import::Case::read(bytes).archive.into_owned()
}

/// The `index_json` target: any text.
pub fn index_json(bytes: &[u8]) {
    index::check(bytes);
}

/// The `reference` target: any text.
pub fn reference(bytes: &[u8]) {
    names::check(bytes);
}
