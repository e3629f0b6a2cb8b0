//! Every seed and every finding of the fuzz targets `reference` and `index_json`, checked as the
//! targets check them, without a fuzzer. What is checked is in `tests/fuzz/src`.

#[path = "../../../tests/fuzz/src/grammar.rs"]
mod grammar;
#[path = "../../../tests/fuzz/src/index.rs"]
mod index;
#[path = "../../../tests/fuzz/src/members.rs"]
mod members;
#[path = "../../../tests/fuzz/src/names.rs"]
mod names;
#[path = "../../../tests/fuzz/src/replay.rs"]
mod replay;

#[test]
fn references_hold_for_every_seed() {
    replay::each("reference", names::check);
}

#[test]
fn documents_hold_for_every_seed() {
    replay::each("index_json", index::check);
}
