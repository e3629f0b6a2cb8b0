//! Every seed and every finding of the fuzz targets `tar_walk` and `docker_import`, imported as a
//! file and as a stream without a fuzzer. What is checked is in `tests/fuzz/src`.
//!
//! The first target walks headers only. Here its archives are imported: the walk is the same, and
//! file and stream must agree on it all the same.

#[path = "../../../tests/fuzz/src/archives.rs"]
mod archives;
#[path = "../../../tests/fuzz/src/bench.rs"]
mod bench;
#[path = "../../../tests/fuzz/src/choices.rs"]
mod choices;
#[path = "../../../tests/fuzz/src/headers.rs"]
mod headers;
#[path = "../../../tests/fuzz/src/images.rs"]
mod images;
#[path = "../../../tests/fuzz/src/import.rs"]
mod import;
#[path = "../../../tests/fuzz/src/input.rs"]
mod input;
#[path = "../../../tests/fuzz/src/json.rs"]
mod json;
#[path = "../../../tests/fuzz/src/replay.rs"]
mod replay;
#[path = "../../../tests/fuzz/src/tarball.rs"]
mod tarball;

#[test]
fn imports_hold_for_every_seed() {
    let mut bench = bench::Bench::new();
    replay::each("docker_import", |bytes| import::check(&mut bench, bytes));
}

#[test]
fn walks_hold_for_every_seed() {
    let mut bench = bench::Bench::new();
    replay::each("tar_walk", |bytes| import::check(&mut bench, &input::archive(bytes, headers::build)));
}
