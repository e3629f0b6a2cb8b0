//! Missing: a child, a layer or a config that is not there makes a sparse image, which is legal; a root that is
//! not there means that nobody can know what it needs, so nothing is swept until somebody decides.

use ocirepo_tests::artifact::{index_of, index_of_descriptors};
use ocirepo_tests::checker::check;
use ocirepo_tests::descriptor::{self, Blob};
use ocirepo_tests::json::compact;
use ocirepo_tests::states::{A, B, State, image, set};
use serde_json::json;

const MULTI: &str = "docker.io/library/multi:3";

#[test]
fn a_missing_root_sweeps_nothing_and_is_named() {
    let (state, a) = (State::two_images(), image("a"));
    let garbage = state.layout.blob(b"garbage");
    state.layout.delete(a.digest());
    let refused = state.gc_is_refused(&[]);
    assert_eq!(refused.missing(), set(&[a.digest()]));
    assert_eq!(refused.images(), set(&[A]));
    assert_eq!(refused.0["missing"][0]["root"], true);
    state.ocirepo.run(&["gc"]).fails_with(4).says(a.digest()).says(A).says("--ignore-missing-roots");
    assert_eq!(state.ls()[0]["complete"], false);

    let own = [&a.config.digest, &a.layers[1].digest, &garbage].into_iter().cloned().collect();
    assert_eq!(state.gc(&["--ignore-missing-roots"]).swept(), own, "the shared layer stays for b");
    assert_eq!(state.names(), [A, B], "the entry stays");
}

/// An interrupted copy of the whole repository looks like this.
#[test]
fn a_missing_root_that_comes_back_has_lost_nothing() {
    let (state, a) = (State::two_images(), image("a"));
    let garbage = state.layout.blob(b"garbage");
    state.layout.delete(a.digest());
    state.gc_is_refused(&[]);
    state.layout.blobs_of([&a.manifest]);
    assert_eq!(state.gc(&[]).swept(), [garbage].into());
    check(state.dir()).assert_tidy();
}

#[test]
fn removing_a_missing_root_cures() {
    let (state, a) = (State::two_images(), image("a"));
    state.layout.delete(a.digest());
    state.json(&["rm", "a:1"]);
    assert_eq!(state.gc(&[]).swept().len(), 2);
    check(state.dir()).assert_tidy();
}

/// umoci and crane stop here; a sparse image is legal.
#[test]
fn a_sparse_index_is_swept_around_with_a_warning() {
    let mut state = State::new();
    let (here, there) = (image("here"), image("there"));
    let index = index_of(&[(&here, "linux/amd64"), (&there, "linux/arm64")]);
    state.layout.blobs_of(here.blobs().chain([&index]));
    state.layout.entry(descriptor::full_named(index.descriptor(), MULTI)).write_index();
    let garbage = state.layout.blob(b"garbage");
    let collected = state.gc(&[]);
    assert_eq!(collected.swept(), [garbage].into());
    assert_eq!(collected.missing(), set(&[there.digest()]));
    assert_eq!(collected.images(), set(&[MULTI]));
    assert_eq!(collected.0["missing"][0]["root"], false);
    state.ocirepo.run(&["gc"]).ok().says(there.digest()).says(MULTI);
    assert_eq!(state.ls()[0]["complete"], false);
    let report = state.json(&["verify"]);
    assert_eq!(report["findings"][0]["kind"], "sparse");
    assert_eq!(report["findings"][0]["severity"], "note");
    assert_eq!(check(state.dir()).assert_sound().sparse, set(&[there.digest()]));
}

#[test]
fn a_child_index_that_is_missing_is_sparse_as_well() {
    let mut state = State::new();
    let inner = index_of(&[(&image("x"), "linux/amd64")]);
    let outer = index_of_descriptors([inner.descriptor()]);
    state.layout.blobs_of([&outer]).blobs_of(image("x").blobs());
    state.layout.entry(descriptor::full_named(outer.descriptor(), MULTI)).write_index();
    assert_eq!(state.gc(&[]).missing(), set(&[&inner.digest]));
}

#[test]
fn a_missing_layer_or_config_is_reported_and_swept_around() {
    let (state, a) = (State::two_images(), image("a"));
    let garbage = state.layout.blob(b"garbage");
    state.layout.delete(&a.layers[1].digest);
    state.layout.delete(&a.config.digest);
    let collected = state.gc(&[]);
    assert_eq!(collected.swept(), [garbage].into());
    assert_eq!(collected.missing(), set(&[&a.layers[1].digest, &a.config.digest]));
    assert_eq!(collected.images(), set(&[A]));
    let report = state.run(&["verify"]).fails_with(4).any_json();
    let kinds: Vec<_> =
        report["findings"].as_array().unwrap().iter().map(|finding| &finding["kind"]).collect();
    assert_eq!(kinds, ["missing", "missing"]);
    assert_eq!(state.ls()[0]["complete"], false);
    assert_eq!(state.ls()[1]["complete"], true);
}

#[test]
fn a_layer_that_may_be_fetched_elsewhere_is_not_missing() {
    let mut state = State::new();
    let a = image("a");
    let mut foreign = a.layers[0].descriptor();
    foreign["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip".into();
    foreign["urls"] = json!(["https://example.test/layer"]);
    let manifest = Blob::new(
        descriptor::OCI_MANIFEST,
        compact(&json!({
            "schemaVersion": 2, "config": a.config.descriptor(), "layers": [foreign],
        })),
    );
    state.layout.blobs_of([&a.config, &manifest]);
    state.layout.entry(descriptor::full_named(manifest.descriptor(), A)).write_index();
    assert!(state.gc(&[]).missing().is_empty());
    let report = state.json(&["verify"]);
    assert_eq!(report["findings"][0]["kind"], "absent");
    assert_eq!(report["findings"].as_array().unwrap().len(), 1);
    assert_eq!(state.ls()[0]["complete"], true);
}
