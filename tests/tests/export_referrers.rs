//! What is about an image travels with it: signatures, attestations and the like are in a hybrid, but runtimes do not
//! see them, and `add` puts them back where they were.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::collections::BTreeSet;

use ocirepo_tests::archive::{helm_chart, with_attestation};
use ocirepo_tests::artifact::{Artifact, artifact, index_of_descriptors, old_artifact};
use ocirepo_tests::descriptor::{self, Blob, annotated, full_named, on_platform};
use ocirepo_tests::exported::{Exported, add, export, sorted};
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::layout::Layout;
use ocirepo_tests::states::{A, B, State, digests, image};
use serde_json::{Value, json};

/// The same entries and blobs are there when an archive has been added to an empty repository.
#[track_caller]
fn is_restored(state: &State, exported: &Exported) {
    let again = add(&exported.bytes, "full");
    let layout = Layout::open(again.dir());
    assert_eq!(sorted(&layout.read_index()["manifests"]), sorted(&state.layout.read_index()["manifests"]));
    assert_eq!(layout.blobs(), state.layout.blobs());
    again.run(&["verify"]).ok();
}

#[track_caller]
fn digests_of(entries: &[Value]) -> BTreeSet<String> {
    entries.iter().map(|entry| entry["digest"].as_str().expect("an entry has a digest").to_owned()).collect()
}

/// An image with all that can be about one, and another with a signature of its own.
struct Signed {
    state: State,
    a: Image,
    /// What has an entry, but for the images.
    entries: Vec<Blob>,
    /// All of it, without the images.
    blobs: BTreeSet<String>,
    of_b: Artifact,
}

fn signed() -> Signed {
    let mut state = State::two_images();
    let (a, b) = (image("a"), image("b"));
    let signature = artifact("application/x.signature", b"signed", Some(&a.manifest));
    let old = old_artifact("application/x.old", b"old", &a.manifest);
    let of_signature = artifact("application/x.stamp", b"stamped", Some(&signature.manifest));
    let cosign = cosign(b"payload");
    let attached = artifact("application/x.attached", b"attached", Some(&a.manifest));
    let fallback = index_of_descriptors([attached.manifest.descriptor()]);
    let of_b = artifact("application/x.signature", b"of b", Some(&b.manifest));
    let tag = |suffix: &str| format!("docker.io/library/a:sha256-{}{suffix}", a.manifest.hex());

    state.layout.artifact(&signature).artifact(&of_signature).artifact(&old).artifact(&of_b);
    state.layout.blobs_of(cosign.blobs().chain(attached.blobs()).chain([&fallback]));
    state.layout.entry(full_named(cosign.manifest.descriptor(), &tag(".sig")));
    state.layout.entry(full_named(fallback.descriptor(), &tag(""))).write_index();
    let parts = [&signature, &old, &of_signature, &cosign, &attached];
    let blobs = digests(parts.into_iter().flat_map(Artifact::blobs).chain([&fallback]));
    let entries = vec![signature.manifest, of_signature.manifest, old.manifest, cosign.manifest, fallback];
    Signed { state, a, entries, blobs, of_b }
}

/// A signature as cosign stores it: an image by its config, but its layer is none.
fn cosign(payload: &[u8]) -> Artifact {
    let mut signature = artifact("application/vnd.dev.cosign.simplesigning.v1+json", payload, None);
    let config = Blob::new(descriptor::OCI_CONFIG, r#"{"rootfs":{"type":"layers","diff_ids":[]}}"#);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": descriptor::OCI_MANIFEST,
        "config": config.descriptor(),
        "layers": [signature.parts[1].descriptor()],
    });
    signature.manifest = Blob::new(descriptor::OCI_MANIFEST, manifest.to_string());
    signature.parts[0] = config;
    signature
}

#[test]
fn signatures_travel_and_runtimes_do_not_see_them() {
    let Signed { state, a, entries, blobs, of_b } = signed();
    let exported = export(&state.ocirepo, &["a:1"]);
    assert_eq!(exported.entries(), [full_named(a.descriptor(), A)]);
    assert_eq!(exported.repo_tags(), [[A]]);
    assert_eq!(digests_of(&exported.artifacts()), digests(&entries));
    assert_eq!(exported.digests(), &blobs | &digests(a.blobs()));
    exported.is_silent();

    let again = add(&exported.bytes, "full");
    let layout = Layout::open(again.dir());
    assert_eq!(layout.blobs(), &blobs | &digests(a.blobs()));
    let listed = digests_of(layout.read_index()["manifests"].as_array().unwrap());
    assert_eq!(listed, &digests(&entries) | &[a.digest().to_owned()].into());
    assert!(export(&again, &[]).bytes == exported.bytes);

    let all = export(&state.ocirepo, &[]);
    assert_eq!(all.entries().len(), 2);
    assert_eq!(digests_of(&all.artifacts()), &digests(&entries) | &[of_b.manifest.digest].into());
    is_restored(&state, &all);
}

#[test]
fn an_oci_archive_lists_them() {
    let Signed { state, a, entries, blobs, .. } = signed();
    let exported = export(&state.ocirepo, &["a:1", "--type", "oci"]);
    assert_eq!(digests_of(&exported.entries()), &digests(&entries) | &[a.digest().to_owned()].into());
    assert_eq!(exported.artifacts(), [] as [Value; 0]);
    assert_eq!(exported.digests(), &blobs | &digests(a.blobs()));
    let all = export(&state.ocirepo, &["--type", "oci"]);
    all.assert_entries_of(&state.layout.read_index());
    is_restored(&state, &all);
}

#[test]
fn signatures_stay_behind_if_told_so() {
    let Signed { state, a, .. } = signed();
    for form in ["hybrid", "oci"] {
        let exported = export(&state.ocirepo, &["a:1", "--type", form, "--referrers", "none"]);
        assert_eq!(exported.entries(), [full_named(a.descriptor(), A)], "{form}");
        assert_eq!(exported.artifacts(), [] as [Value; 0], "{form}");
        assert_eq!(exported.digests(), digests(a.blobs()), "{form}");
    }
}

/// What the far side of a copy has without an entry, as registries do.
fn unlisted() -> (State, BTreeSet<String>) {
    let mut state = State::two_images();
    let a = image("a");
    let listed = artifact("application/x.signature", b"signed", Some(&a.manifest));
    let sbom = artifact("application/x.sbom", b"unlisted", Some(&a.manifest));
    let old = old_artifact("application/x.old", b"old", &a.manifest);
    let of_sbom = artifact("application/x.stamp", b"of the sbom", Some(&sbom.manifest));
    let of_listed = artifact("application/x.stamp", b"of the signature", Some(&listed.manifest));
    let of_b = artifact("application/x.sbom", b"of b", Some(&image("b").manifest));
    state.layout.artifact(&listed).write_index();
    state.layout.blobs_of([&sbom, &old, &of_sbom, &of_listed, &of_b].into_iter().flat_map(Artifact::blobs));
    let about_a = [&listed, &sbom, &old, &of_sbom, &of_listed].into_iter().flat_map(Artifact::blobs);
    (state, digests(about_a.chain(a.blobs())))
}

#[test]
fn unlisted_referrers_are_carried() {
    let (state, about_a) = unlisted();
    for form in ["hybrid", "oci"] {
        assert_eq!(export(&state.ocirepo, &[A, "--type", form]).digests(), about_a, "{form}");
        assert_eq!(export(&state.ocirepo, &["--type", form]).digests(), state.layout.blobs(), "{form}");
        let none = export(&state.ocirepo, &[A, "--type", form, "--referrers", "none"]);
        assert_eq!(none.digests(), digests(image("a").blobs()), "{form}");
    }
}

#[test]
fn unlisted_referrers_are_restored() {
    let (state, about_a) = unlisted();
    for form in ["hybrid", "oci"] {
        let exported = export(&state.ocirepo, &["--type", form]);
        is_restored(&state, &exported);
        let again = add(&export(&state.ocirepo, &[A, "--type", form]).bytes, "full");
        assert_eq!(Layout::open(again.dir()).blobs(), about_a, "{form}");
    }
}

/// Without a name every image is meant, and a signature is none.
#[test]
fn signatures_stay_behind_if_told_so_when_everything_is_exported() {
    let Signed { state, a, .. } = signed();
    let exported = export(&state.ocirepo, &["--referrers", "none"]);
    let b = image("b");
    assert_eq!(
        digests_of(&[exported.entries(), exported.artifacts()].concat()),
        digests([&a.manifest, &b.manifest])
    );
    assert_eq!(exported.digests(), digests(a.blobs().chain(b.blobs())));
}

/// An image may be about another one, and yet nothing that anybody runs by itself.
#[test]
fn a_nameless_image_that_is_about_another_is_not_listed() {
    let mut state = State::two_images();
    let about = ImageSpec::seeded("about").subject(&image("a").manifest).build();
    state.layout.blobs_of(about.blobs());
    state.layout.entry(about.descriptor()).write_index();
    let exported = export(&state.ocirepo, &[]);
    assert_eq!(exported.repo_tags(), [[A], [B]]);
    assert_eq!(digests_of(&exported.artifacts()), [about.digest().to_owned()].into());
    is_restored(&state, &exported);
}

/// Mirrors tag images with their own digest.
#[test]
fn an_image_tagged_with_its_own_digest_is_an_image() {
    let mut state = State::new();
    let a = image("a");
    let name = format!("quay.io/mirror/a:sha256-{}", a.manifest.hex());
    state.layout.full_image(&a, &name).write_index();
    let exported = export(&state.ocirepo, &[]);
    assert_eq!(exported.repo_tags(), [[name]]);
    assert_eq!(exported.artifacts(), [] as [Value; 0]);
}

/// What buildx attests stands in the index, which is kept; the same in an entry of its own is hidden.
#[test]
fn attestations_travel_inside_their_index_and_beside_it() {
    let app = ImageSpec::seeded("app").build();
    let (index, attestation) = with_attestation(&app, "linux/amd64");
    let mut state = State::new();
    state.layout.blobs_of(app.blobs().chain(attestation.blobs()).chain([&index]));
    state.layout.entry(full_named(index.descriptor(), A)).write_index();
    let exported = export(&state.ocirepo, &[]);
    assert_eq!(exported.repo_tags(), [[A]]);
    assert!(exported.items()[0]["Config"].to_string().contains(app.config.hex()));
    exported.is_silent();
    is_restored(&state, &exported);

    let mut state = State::new();
    let entry = on_platform(attestation.manifest.descriptor(), "unknown/unknown");
    let entry = annotated(entry, "vnd.docker.reference.digest", app.digest());
    let entry = annotated(entry, "vnd.docker.reference.type", "attestation-manifest");
    state.layout.blobs_of(attestation.blobs());
    state.layout.full_image(&app, A).entry(entry.clone()).write_index();
    let exported = export(&state.ocirepo, &[A]);
    assert_eq!(exported.entries(), [full_named(app.descriptor(), A)]);
    assert_eq!(exported.artifacts(), [entry]);
    is_restored(&state, &exported);
}

/// A chart is for helm and oras; ctr would choke on it.
#[test]
fn charts_travel_hidden() {
    const CHART: &str = "registry.example/charts/app:1.0.0";
    let chart = helm_chart("app");
    let mut state = State::two_images();
    state.layout.blobs_of(chart.blobs());
    state.layout.entry(full_named(chart.manifest.descriptor(), CHART)).write_index();
    let exported = export(&state.ocirepo, &[]);
    assert_eq!(exported.repo_tags(), [[A], [B]]);
    assert_eq!(exported.artifacts(), [full_named(chart.manifest.descriptor(), CHART)]);
    is_restored(&state, &exported);

    let alone = export(&state.ocirepo, &[CHART]);
    assert_eq!(alone.digests(), digests(chart.blobs()));
    let again = add(&alone.bytes, "full");
    assert_eq!(again.run(&["ls", "--names"]).ok().stdout.trim(), CHART);
}
