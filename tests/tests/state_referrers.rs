//! Referrers (signatures, SBOMs, attestations) live as long as what they are about, listed or not, and leave
//! with it, and only then.

use std::time::Duration;

use ocirepo_tests::artifact::{Artifact, artifact, index_of, index_of_descriptors, old_artifact};
use ocirepo_tests::checker::check;
use ocirepo_tests::descriptor::{self, Blob};
use ocirepo_tests::image::ImageSpec;
use ocirepo_tests::json::compact;
use ocirepo_tests::states::{State, digests, image};
use serde_json::{Value, json};

const SIGNATURE: &str = "application/x.signature";

fn signature(content: &str, subject: &Blob) -> Artifact {
    artifact(SIGNATURE, content.as_bytes(), Some(subject))
}

/// The digests that `rm` took, and for those that went along, their subject.
#[track_caller]
fn removed(state: &State, args: &[&str]) -> Vec<(String, Option<String>)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let before = state.tree().without_own();
    let dry = state.json(&[&["rm", "--dry-run"], args].concat());
    state.tree().without_own().assert_is(&before);
    let removed = state.json(&[&["rm"], args].concat());
    assert_eq!(dry["removed"], removed["removed"], "the dry run said something else");
    let rows = removed["removed"].as_array().expect("a list");
    rows.iter().map(|row| (text(&row["digest"]).expect("a digest"), text(&row["subject"]))).collect()
}

/// All that is still listed, by digest.
fn listed(state: &State) -> Vec<String> {
    state.ls().iter().map(|row| row["digest"].as_str().expect("a digest").to_owned()).collect()
}

/// Four peers delete these.
#[test]
fn unlisted_referrers_of_live_images_survive_with_all_they_name() {
    let mut state = State::new();
    let a = image("a");
    let signature = signature("signed", &a.manifest);
    let old = old_artifact("application/x.sbom", b"an sbom", &a.manifest);
    state.layout.image(&a, "1").blobs_of(signature.blobs()).blobs_of(old.blobs()).write_index();
    let all = state.layout.blobs();
    let garbage = state.layout.blob(b"{\"subject\":\"nothing\"}");
    assert_eq!(state.gc(&[]).swept(), [garbage].into());
    assert_eq!(state.layout.blobs(), all);
    check(state.dir()).assert_tidy();
}

#[test]
fn unlisted_referrers_of_referrers_survive_whatever_their_order() {
    let mut state = State::new();
    let a = image("a");
    state.layout.image(&a, "1").write_index();
    let mut subject = a.manifest;
    for depth in 0..20 {
        let next = signature(&format!("{depth}"), &subject);
        state.layout.blobs_of(next.blobs());
        subject = next.manifest;
    }
    assert!(state.gc(&[]).swept().is_empty());
    check(state.dir()).assert_tidy();
}

#[test]
fn an_unlisted_referrer_that_is_an_index_keeps_its_children() {
    let mut state = State::new();
    let (a, inner) = (image("a"), image("inner"));
    let index = Blob::new(
        descriptor::OCI_INDEX,
        compact(&json!({
            "schemaVersion": 2, "mediaType": descriptor::OCI_INDEX,
            "manifests": [inner.descriptor()], "subject": a.descriptor(),
        })),
    );
    state.layout.image(&a, "1").blobs_of(inner.blobs().chain([&index])).write_index();
    assert!(state.gc(&[]).swept().is_empty());
}

/// A referrer need not say its own type, and its own type need not be one we know.
#[test]
fn an_unlisted_referrer_of_no_or_unknown_type_keeps_what_it_names() {
    for media_type in [Value::Null, json!("application/vnd.future.thing+json")] {
        let mut state = State::new();
        let a = image("a");
        let part = Blob::new("application/x", "a part");
        let mut future = json!({"parts": [part.descriptor()], "subject": a.descriptor()});
        let mut silent = json!({"config": part.descriptor(), "layers": [], "subject": a.descriptor()});
        if media_type.is_string() {
            future["mediaType"] = media_type.clone();
            silent["mediaType"] = media_type;
        }
        let (future, silent) = (Blob::new("", compact(&future)), Blob::new("", compact(&silent)));
        state.layout.image(&a, "1").blobs_of([&future, &silent, &part]).write_index();
        assert!(state.gc(&[]).swept().is_empty());
    }
}

#[test]
fn an_unlisted_referrer_of_4_mib_is_found() {
    let mut state = State::new();
    let a = image("a");
    let part = Blob::new("application/x", "a part");
    let mut large = compact(&json!({"config": part.descriptor(), "layers": [], "subject": a.descriptor()}));
    large.resize(4 << 20, b' ');
    state.layout.image(&a, "1").blobs_of([&part]).write_index();
    state.layout.blob(&large);
    assert!(state.gc(&[]).swept().is_empty());
}

/// What it names cannot be known, and it is needed.
#[test]
fn a_damaged_unlisted_referrer_does_not_cost_its_parts() {
    let mut state = State::new();
    let a = image("a");
    let signature = signature("signed", &a.manifest);
    state.layout.image(&a, "1").blobs_of(signature.blobs()).write_index();
    let text =
        String::from_utf8(signature.manifest.bytes.clone()).unwrap().replacen("signature", "signaturE", 1);
    std::fs::write(state.layout.blob_path(&signature.manifest.digest), text).unwrap();
    state.run(&["gc"]);
    assert!(state.layout.blobs().is_superset(&digests(signature.blobs())), "a signature lost a part");
}

#[test]
fn unlisted_referrers_go_with_their_image() {
    let mut state = State::new();
    let (a, b) = (image("a"), image("b"));
    let (of_a, of_b) = (signature("a", &a.manifest), signature("b", &b.manifest));
    let of_signature = signature("deeper", &of_a.manifest);
    state.layout.image(&a, "1").image(&b, "2").write_index();
    state.layout.blobs_of(of_a.blobs().chain(of_b.blobs()).chain(of_signature.blobs()));
    assert_eq!(removed(&state, &["@0"]), [(a.digest().to_owned(), None)]);
    state.gc(&[]);
    assert_eq!(state.layout.blobs(), digests(b.blobs().chain(of_b.blobs())));
    check(state.dir()).assert_tidy();
}

/// crane sweeps four blobs here.
#[test]
fn a_tagged_signature_keeps_its_untagged_subject() {
    let mut state = State::new();
    let a = image("a");
    let signature = signature("signed", &a.manifest);
    state.layout.blobs_of(a.blobs().chain(signature.blobs()));
    state.layout.entry(descriptor::ref_named(signature.manifest.descriptor(), "sig")).write_index();
    assert!(state.gc(&[]).swept().is_empty());
}

/// oras never comes back from this.
#[test]
fn an_untagged_referrer_of_something_unreachable_ends_and_keeps_it() {
    let mut state = State::new();
    state.ocirepo = state.ocirepo.clone().time_limit(Duration::from_secs(20));
    let (a, gone) = (image("a"), image("gone"));
    state.layout.image(&a, "1");
    state.layout.artifact(&signature("x", &gone.manifest)).write_index();
    let collected = state.gc(&[]);
    assert!(collected.swept().is_empty() && collected.missing().is_empty(), "{}", collected.0);
    let report = state.json(&["verify"]);
    assert_eq!(report["findings"][0]["kind"], "missing-subject");
    check(state.dir()).assert_tidy();
}

#[test]
fn rm_takes_the_nameless_referrers_of_what_it_removes_and_says_so() {
    let mut state = State::new();
    let (a, b) = (image("a"), image("b"));
    let (of_a, of_b) = (signature("a", &a.manifest), signature("b", &b.manifest));
    let deeper = signature("deeper", &of_a.manifest);
    let named = signature("named", &a.manifest);
    state.layout.artifact(&deeper).image(&a, "1").artifact(&of_b).artifact(&of_a).image(&b, "2");
    state.layout.blobs_of(named.blobs());
    state.layout.entry(descriptor::ref_named(named.manifest.descriptor(), "keep")).write_index();
    let digest = |artifact: &Artifact| artifact.manifest.digest.clone();
    let gone = removed(&state, &["1"]);
    assert_eq!(
        gone,
        [
            (digest(&deeper), Some(digest(&of_a))),
            (a.digest().to_owned(), None),
            (digest(&of_a), Some(a.digest().to_owned())),
        ]
    );
    assert_eq!(listed(&state), [digest(&of_b), b.digest().to_owned(), digest(&named)]);
    let said = state.ocirepo.run(&["rm", "2"]).ok().stdout;
    assert!(said.contains(&digest(&of_b)) && said.contains(&format!("refers to {}", b.digest())), "{said}");
}

#[test]
fn keep_referrers_leaves_them_and_they_keep_their_subject() {
    let mut state = State::new();
    let a = image("a");
    let signature = signature("signed", &a.manifest);
    state.layout.image(&a, "1").artifact(&signature).write_index();
    assert_eq!(removed(&state, &["1", "--keep-referrers"]), [(a.digest().to_owned(), None)]);
    assert_eq!(listed(&state), [signature.manifest.digest.as_str()]);
    assert!(state.gc(&[]).swept().is_empty());
    let collected = state.gc(&["--prune-referrers"]);
    assert_eq!(collected.swept(), digests(a.blobs().chain(signature.blobs())));
    assert_eq!(state.names(), [""; 0]);
}

/// The signature is about the digest, not about the name.
#[test]
fn two_names_on_one_digest_keep_the_signature_until_the_last_goes() {
    let mut state = State::new();
    let a = image("a");
    let signature = signature("signed", &a.manifest);
    state.layout.full_image(&a, "docker.io/library/a:1").full_image(&a, "docker.io/library/a:2");
    state.layout.artifact(&signature).write_index();
    assert_eq!(removed(&state, &["a:1"]).len(), 1);
    assert_eq!(listed(&state), [a.digest(), &signature.manifest.digest]);
    assert!(state.gc(&[]).swept().is_empty());
    check(state.dir()).assert_tidy();
    assert_eq!(removed(&state, &["a:2"]).len(), 2);
    assert_eq!(state.gc(&[]).swept(), digests(a.blobs().chain(signature.blobs())));
}

#[test]
fn referrers_of_the_children_of_a_removed_index_go_along() {
    let mut state = State::new();
    let (only, shared) = (image("only"), image("shared"));
    let inner = index_of(&[(&only, "linux/amd64")]);
    let index = index_of_descriptors([inner.descriptor(), shared.descriptor()]);
    let other = index_of(&[(&shared, "linux/amd64")]);
    let signatures = [("1", &only.manifest), ("2", &shared.manifest), ("3", &inner), ("4", &index)]
        .map(|(text, subject)| signature(text, subject));
    state.layout.blobs_of(only.blobs().chain(shared.blobs()).chain([&inner, &index, &other]));
    state.layout.entry(descriptor::ref_named(index.descriptor(), "1"));
    state.layout.entry(descriptor::ref_named(other.descriptor(), "2"));
    signatures.iter().for_each(|signature| {
        state.layout.artifact(signature);
    });
    state.layout.write_index();
    assert_eq!(removed(&state, &["1"]).len(), 4, "the index and three signatures");
    assert_eq!(listed(&state), [other.digest.as_str(), signatures[1].manifest.digest.as_str()]);
    state.gc(&[]);
    check(state.dir()).assert_tidy();
    assert_eq!(state.layout.blobs(), digests(shared.blobs().chain([&other]).chain(signatures[1].blobs())));
}

/// A remaining entry that has the subject as its own subject does not keep it on the list: only `manifests` do.
#[test]
fn a_named_referrer_that_stays_does_not_hold_back_the_nameless_ones() {
    let mut state = State::new();
    let a = image("a");
    let (nameless, named) = (signature("nameless", &a.manifest), signature("named", &a.manifest));
    state.layout.image(&a, "1").artifact(&nameless).blobs_of(named.blobs());
    state.layout.entry(descriptor::ref_named(named.manifest.descriptor(), "keep")).write_index();
    assert_eq!(removed(&state, &["1"]).len(), 2);
    assert_eq!(listed(&state), [named.manifest.digest]);
}

/// What a remaining index reaches is then unknown, so every referrer stays.
#[test]
fn an_unreadable_remaining_index_keeps_all_referrers() {
    let mut state = State::new();
    let a = image("a");
    let signature = signature("signed", &a.manifest);
    let other = index_of(&[(&a, "linux/amd64")]);
    state.layout.image(&a, "1").artifact(&signature).blobs_of([&other]);
    state.layout.entry(descriptor::ref_named(other.descriptor(), "2")).write_index();
    state.layout.corrupt(&other.digest);
    assert_eq!(removed(&state, &["1"]), [(a.digest().to_owned(), None)]);
    assert_eq!(listed(&state), [signature.manifest.digest.as_str(), other.digest.as_str()]);
}

#[test]
fn referrers_of_other_images_are_never_touched() {
    let mut state = State::new();
    let (a, b) = (image("a"), image("b"));
    let about_nothing = signature("nothing", &image("nowhere").manifest);
    state
        .layout
        .image(&a, "1")
        .image(&b, "2")
        .artifact(&signature("b", &b.manifest))
        .artifact(&about_nothing);
    let plain = artifact("application/x.plain", b"no subject", None);
    state.layout.artifact(&plain).write_index();
    assert_eq!(removed(&state, &["1"]).len(), 1);
    assert_eq!(listed(&state).len(), 4);
}

#[test]
fn rm_untagged_takes_every_nameless_entry_and_a_live_image_keeps_its_signature() {
    let mut state = State::new();
    let (a, b) = (image("a"), image("b"));
    let (of_a, of_b) = (signature("a", &a.manifest), signature("b", &b.manifest));
    state.layout.image(&a, "1").blobs_of(b.blobs());
    state.layout.entry(b.descriptor());
    state.layout.artifact(&of_a).artifact(&of_b).write_index();
    assert_eq!(removed(&state, &["--untagged"]).len(), 3);
    assert_eq!(listed(&state), [a.digest()]);
    state.gc(&[]);
    assert_eq!(state.layout.blobs(), digests(a.blobs().chain(of_a.blobs())));
    check(state.dir()).assert_tidy();
}

#[test]
fn prune_referrers_drops_only_those_whose_subject_nothing_else_keeps() {
    let mut state = State::new();
    let (a, b, child) = (image("a"), image("b"), image("child"));
    let index = index_of(&[(&child, "linux/amd64")]);
    let kept = [signature("a", &a.manifest), signature("child", &child.manifest)];
    let named = signature("named", &b.manifest);
    // Nothing but signatures keeps `lost`; the second is about the first.
    let lost = image("lost");
    let first = signature("first", &lost.manifest);
    let second = signature("second", &first.manifest);
    // Kept: a named referrer keeps its subject, and that keeps the nameless one.
    let of_b = signature("b", &b.manifest);
    state.layout.image(&a, "1").blobs_of(child.blobs().chain([&index]).chain(b.blobs()).chain(lost.blobs()));
    state.layout.entry(descriptor::ref_named(index.descriptor(), "2")).blobs_of(named.blobs());
    state.layout.entry(descriptor::ref_named(named.manifest.descriptor(), "3"));
    for nameless in [&second, &first, &kept[0], &kept[1], &of_b] {
        state.layout.artifact(nameless);
    }
    state.layout.write_index();
    let swept = state.gc(&["--prune-referrers"]);
    assert_eq!(swept.0["prunedReferrers"].as_array().unwrap().len(), 2, "{}", swept.0);
    assert!(!listed(&state).contains(&first.manifest.digest));
    assert_eq!(listed(&state).len(), 6);
    check(state.dir()).assert_tidy();
    assert!(!state.layout.blobs().contains(lost.digest()));
}

/// They are ordinary tags, roots in their own right, and stay until somebody removes them.
#[test]
fn fallback_tags_stay_tags() {
    let mut state = State::new();
    let a = image("a");
    let signature = signature("signed", &a.manifest);
    let fallback = index_of_descriptors([signature.manifest.descriptor()]);
    let tag = a.digest().replacen(':', "-", 1);
    let cosign = ImageSpec::seeded("cosign").build();
    state.layout.full_image(&a, "docker.io/library/a:1").blobs_of(signature.blobs()).blobs_of([&fallback]);
    state.layout.entry(descriptor::ref_named(fallback.descriptor(), &tag));
    state.layout.image(&cosign, &format!("{tag}.sig")).write_index();
    let names = ["docker.io/library/a:1".to_owned(), tag.clone(), format!("{tag}.sig")];
    assert_eq!(state.names(), names);
    assert!(state.gc(&[]).swept().is_empty());
    assert_eq!(state.json(&["inspect", &tag])["digest"], fallback.digest.as_str());
    assert_eq!(removed(&state, &["a:1"]).len(), 1);
    assert_eq!(state.names(), names[1..]);
    state.gc(&["--prune-referrers"]);
    assert!(
        state
            .layout
            .blobs()
            .is_superset(&digests(signature.blobs().chain([&fallback]).chain(cosign.blobs())))
    );
    removed(&state, &[tag.as_str(), names[2].as_str()]);
    state.gc(&[]);
    assert!(state.layout.blobs().is_empty());
}
