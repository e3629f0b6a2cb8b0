//! Every entry of index.json is a root, named or not, of whatever type, and keeps all that it names.

use ocirepo_tests::artifact::{self, artifact, index_of_descriptors, manifest_list, schema1};
use ocirepo_tests::checker::check;
use ocirepo_tests::descriptor::{self, Blob};
use ocirepo_tests::digest;
use ocirepo_tests::image::{Flavor, Image, ImageSpec};
use ocirepo_tests::json::compact;
use ocirepo_tests::states::{State, digests, image};
use serde_json::{Value, json};

const GARBAGE: &[u8] = b"garbage";

/// Writes the index, adds one blob of garbage, and expects a collection to sweep that and keep everything else,
/// twice over: once nothing is left to do, and on a second run as well.
#[track_caller]
fn keeps_all(state: &State) {
    state.layout.write_index();
    let all = state.layout.blobs();
    let garbage = state.layout.blob(GARBAGE);
    assert_eq!(state.gc(&[]).swept(), [garbage].into());
    assert_eq!(state.layout.blobs(), all);
    assert!(state.gc(&[]).swept().is_empty());
}

fn stored(blob: &Blob, state: &State) -> Value {
    state.layout.blobs_of([blob]);
    blob.descriptor()
}

/// oras sweeps these, and then fails for ever; zot drops them by default.
#[test]
fn untagged_roots_are_roots() {
    let mut state = State::new();
    let (a, b) = (image("a"), image("b"));
    state.layout.image(&a, "1").blobs_of(b.blobs());
    state.layout.entry(b.descriptor());
    keeps_all(&state);
    assert_eq!(state.names(), ["1", "-"]);
    check(state.dir()).assert_tidy();
    state.json(&["rm", "--untagged"]);
    assert_eq!(state.gc(&[]).swept().len(), 3);
    assert_eq!(state.layout.blobs(), digests(a.blobs()));
}

/// oras takes such an entry for a nameless one and sweeps it.
#[test]
fn a_ref_name_equal_to_the_digest_is_no_reason_to_sweep() {
    let mut state = State::new();
    let a = image("a");
    state.layout.image(&a, a.digest());
    keeps_all(&state);
    assert_eq!(state.json(&["inspect", a.digest()])["digest"], a.digest());
    check(state.dir()).assert_tidy();
}

/// umoci keeps the manifest and sweeps the rest.
#[test]
fn docker_manifests_keep_their_config_and_layers() {
    let mut state = State::new();
    let docker = ImageSpec::seeded("docker").flavor(Flavor::Docker).build();
    state.layout.full_image(&docker, "docker.io/library/docker:1");
    keeps_all(&state);
    assert_eq!(state.ls()[0]["complete"], true);
    check(state.dir()).assert_tidy();
}

/// umoci sweeps eight of nine blobs.
#[test]
fn docker_lists_keep_their_children() {
    let mut state = State::new();
    let platform = |seed: &str| ImageSpec::seeded(seed).flavor(Flavor::Docker).build();
    let (a, b) = (platform("amd64"), platform("arm64"));
    let list = manifest_list(
        descriptor::DOCKER_LIST,
        [
            descriptor::on_platform(a.descriptor(), "linux/amd64"),
            descriptor::on_platform(b.descriptor(), "linux/arm64"),
        ],
    );
    state.layout.blobs_of(a.blobs().chain(b.blobs()).chain([&list]));
    state.layout.entry(descriptor::full_named(list.descriptor(), "docker.io/library/list:1"));
    keeps_all(&state);
    assert_eq!(state.ls()[0]["platforms"], json!(["linux/amd64", "linux/arm64"]));
    check(state.dir()).assert_tidy();
}

#[test]
fn artifact_manifests_keep_their_blobs() {
    let mut state = State::new();
    let a = image("a");
    let old = artifact::old_artifact("application/x.sbom", b"an old sbom", &a.manifest);
    state.layout.image(&a, "1").artifact(&old);
    keeps_all(&state);
    check(state.dir()).assert_tidy();
}

#[test]
fn docker_schema_1_keeps_its_layers() {
    let mut state = State::new();
    let old = schema1("library/old", "1", &image("a"));
    state.layout.blobs_of(old.blobs());
    state.layout.entry(descriptor::full_named(old.manifest.descriptor(), "docker.io/library/old:1"));
    keeps_all(&state);
    check(state.dir()).assert_tidy();
    state.run(&["verify"]).ok();
    state.json(&["rm", "old:1"]);
    assert_eq!(state.gc(&[]).swept(), digests(old.blobs()));
}

#[test]
fn helm_charts_and_other_artifacts_keep_their_parts() {
    let mut state = State::new();
    let config = Blob::new("application/vnd.cncf.helm.config.v1+json", r#"{"name":"chart","digest":"x"}"#);
    let chart = Blob::new("application/vnd.cncf.helm.chart.content.v1.tar+gzip", "chart");
    let provenance = Blob::new("application/vnd.cncf.helm.chart.provenance.v1.prov", "{provenance");
    let manifest = Blob::new(
        descriptor::OCI_MANIFEST,
        compact(&json!({
            "schemaVersion": 2,
            "config": config.descriptor(),
            "layers": [chart.descriptor(), provenance.descriptor()],
        })),
    );
    state.layout.blobs_of([&config, &chart, &provenance, &manifest]);
    state.layout.entry(descriptor::ref_named(manifest.descriptor(), "0.1.0"));
    state.layout.artifact(&artifact("application/x.wasm", b"\0asm", None));
    keeps_all(&state);
    check(state.dir()).assert_tidy();
}

/// The specification's own example; oras deletes it, crane fails, zot takes it off the list.
#[test]
fn a_root_of_an_unknown_type_that_is_not_json_is_kept() {
    let mut state = State::new();
    let xml = Blob::new("application/xml", "<root/>");
    let descriptor = stored(&xml, &state);
    state.layout.entry(descriptor);
    keeps_all(&state);
    state.json(&["rm", &xml.digest]);
    assert_eq!(state.gc(&[]).swept(), [xml.digest].into());
}

/// A future index type: umoci, oras and regclient keep the root and sweep what it names.
#[test]
fn a_root_of_an_unknown_type_keeps_everything_in_it_that_looks_like_a_descriptor() {
    let mut state = State::new();
    let a = image("a");
    let odd = Blob::new("application/x", "no size given");
    let deep = Blob::new("application/y", "deep inside");
    state.layout.blobs_of(a.blobs().chain([&odd, &deep]));
    let future = Blob::new(
        "application/vnd.future.index.v9+json",
        compact(&json!({
            "nodes": {"primary": a.descriptor()},
            "others": [[{"digest": odd.digest}], 7, "text", {"x": {"y": [deep.descriptor()]}}],
            "digest": "not a digest",
        })),
    );
    let descriptor = stored(&future, &state);
    state.layout.entry(descriptor);
    keeps_all(&state);
    check(state.dir()).assert_sound();
}

#[test]
fn a_root_of_an_unknown_type_may_be_a_json_array() {
    let mut state = State::new();
    let a = image("a");
    state.layout.blobs_of(a.blobs());
    let list = Blob::new("application/vnd.future.list+json", compact(&json!([a.descriptor()])));
    let descriptor = stored(&list, &state);
    state.layout.entry(descriptor);
    keeps_all(&state);
}

/// However deep: either it is followed, or the sweep is refused.
#[test]
fn a_root_of_an_unknown_type_may_be_nested_deeply() {
    for depth in [99, 101, 127, 129, 500] {
        let mut state = State::new();
        let hidden = Blob::new("application/x", "hidden deep");
        let inner = format!(
            r#"{{"digest":"{}","size":{}}}"#,
            stored(&hidden, &state)["digest"].as_str().unwrap(),
            11
        );
        let text = format!("{{\"x\":{}{inner}{}}}", "[".repeat(depth), "]".repeat(depth));
        let descriptor = stored(&Blob::new("application/vnd.future.deep+json", text), &state);
        state.layout.entry(descriptor).write_index();
        state.run(&["gc"]);
        assert!(state.layout.blobs().contains(&hidden.digest), "swept at depth {depth}");
    }
}

#[test]
fn a_child_of_an_unknown_type_is_followed_as_well() {
    let mut state = State::new();
    let a = image("a");
    state.layout.blobs_of(a.blobs());
    let future = Blob::new("application/vnd.future.image+json", compact(&json!({"image": a.descriptor()})));
    let child = stored(&future, &state);
    let index = stored(&index_of_descriptors([child]), &state);
    state.layout.entry(index);
    keeps_all(&state);
    check(state.dir()).assert_tidy();
}

/// Configs and layers are never opened, whatever is in them.
#[test]
fn what_a_config_or_a_layer_seems_to_name_is_garbage() {
    let mut state = State::new();
    let (a, bait) = (image("a"), Blob::new("application/x", "bait"));
    let named =
        compact(&json!({"manifests": [a.descriptor(), bait.descriptor()], "layers": [bait.descriptor()]}));
    let config = Blob::new("application/vnd.unknown.config+json", named.clone());
    let layer = Blob::new(descriptor::OCI_INDEX, [named, b" ".to_vec()].concat());
    let manifest = Blob::new(
        descriptor::OCI_MANIFEST,
        compact(&json!({
            "schemaVersion": 2, "config": config.descriptor(), "layers": [layer.descriptor()],
        })),
    );
    state.layout.blobs_of([&config, &layer, &manifest, &bait]).blobs_of(a.blobs());
    state.layout.entry(manifest.descriptor()).write_index();
    let mut expected = digests(a.blobs());
    expected.insert(bait.digest);
    assert_eq!(state.gc(&[]).swept(), expected);
    check(state.dir()).assert_tidy();
}

/// Two roots that name one digest, once as a part and once as a document: whichever comes first, it is opened.
#[track_caller]
fn aliased(a: &Image, as_part: Value, as_document: Value, parts: &[&Blob]) {
    for swap in [false, true] {
        let mut state = State::new();
        state.layout.blobs_of(a.blobs()).blobs_of(parts.iter().copied());
        let mut roots = vec![as_part.clone(), as_document.clone()];
        if swap {
            roots.reverse();
        }
        for root in roots {
            state.layout.entry(root);
        }
        keeps_all(&state);
    }
}

/// umoci, oras and regclient lose config and layers here.
#[test]
fn a_manifest_that_is_also_a_layer_is_still_a_manifest() {
    let a = image("a");
    let mut layer = a.descriptor();
    layer["mediaType"] = descriptor::OCI_LAYER.into();
    let config = Blob::new(descriptor::OCI_EMPTY, "{}");
    let outer = Blob::new(
        descriptor::OCI_MANIFEST,
        compact(&json!({
            "schemaVersion": 2, "config": config.descriptor(), "layers": [layer],
        })),
    );
    aliased(&a, outer.descriptor(), a.descriptor(), &[&config, &outer]);
}

#[test]
fn a_manifest_that_is_also_a_config_is_still_a_manifest() {
    let a = image("a");
    let outer = Blob::new(
        descriptor::OCI_MANIFEST,
        compact(&json!({
            "schemaVersion": 2, "config": a.descriptor(), "layers": [],
        })),
    );
    aliased(&a, outer.descriptor(), a.descriptor(), &[&outer]);
}

#[test]
fn one_digest_as_roots_of_two_media_types_keeps_what_either_keeps() {
    let a = image("a");
    for other in [
        "application/octet-stream",
        descriptor::OCI_LAYER,
        descriptor::OCI_CONFIG,
        descriptor::DOCKER_MANIFEST,
    ] {
        let mut aliasing = a.descriptor();
        aliasing["mediaType"] = other.into();
        aliased(&a, aliasing, a.descriptor(), &[]);
    }
}

/// oras keys its graph by type and deletes the blob while another entry still needs it.
#[test]
fn removing_one_of_two_types_of_a_digest_keeps_the_other() {
    let mut state = State::new();
    let a = image("a");
    let mut aliasing = descriptor::ref_named(a.descriptor(), "odd");
    aliasing["mediaType"] = "application/octet-stream".into();
    state.layout.image(&a, "good").entry(aliasing).write_index();
    state.json(&["rm", "odd"]);
    assert!(state.gc(&[]).swept().is_empty());
    assert_eq!(state.names(), ["good"]);
    check(state.dir()).assert_tidy();
}

/// buildkit writes the layers of a cache, and its config, into `manifests`.
#[test]
fn a_cache_index_that_lists_layers_keeps_them() {
    let mut state = State::new();
    let layers = ["one", "two"].map(|text| Blob::new(format!("{}+gzip", descriptor::OCI_LAYER), text));
    let config = Blob::new(
        "application/vnd.buildkit.cacheconfig.v0",
        compact(&json!({
            "layers": [{"blob": layers[0].digest, "parent": -1}], "records": [{"digest": digest::sha256(b"a key")}],
        })),
    );
    let cache = index_of_descriptors(layers.iter().chain([&config]).map(Blob::descriptor));
    state.layout.blobs_of(layers.iter().chain([&config, &cache]));
    state.layout.entry(descriptor::ref_named(cache.descriptor(), "buildcache"));
    keeps_all(&state);
    // The digest of a record is the key of a cache, not of a blob: nothing is missing.
    let collected = state.gc(&[]);
    assert!(collected.missing().is_empty(), "{}", collected.0);
    assert_eq!(state.json(&["verify"])["findings"], json!([]));
    assert_eq!(state.ls()[0]["complete"], true);
}

/// zot once collected these.
#[test]
fn an_index_of_nothing_is_a_root_like_any_other() {
    let mut state = State::new();
    let nothing = index_of_descriptors([]);
    let null = Blob::new(descriptor::OCI_INDEX, r#"{"schemaVersion":2,"manifests":null}"#);
    for blob in [&nothing, &null] {
        let descriptor = stored(blob, &state);
        state.layout.entry(descriptor);
    }
    keeps_all(&state);
    check(state.dir()).assert_tidy();
}

/// Content in the descriptor itself stands for the blob.
#[test]
fn embedded_content_is_followed_though_the_blob_is_not_there() {
    const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = State::new();
    let a = image("a");
    let mut data = String::new();
    for chunk in a.manifest.bytes.chunks(3) {
        let word =
            chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let index = usize::try_from(word >> (18 - 6 * place) & 63).unwrap();
            data.push(if place > chunk.len() { '=' } else { char::from(BASE64[index]) });
        }
    }
    state.layout.blobs_of(a.blobs());
    state.layout.delete(a.digest());
    let mut entry = descriptor::ref_named(a.descriptor(), "1");
    entry["data"] = data.into();
    state.layout.entry(entry);
    keeps_all(&state);
}
