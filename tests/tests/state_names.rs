//! Names: look-ups are exact after normalising both sides, never by suffix; ambiguity is an error that lists the
//! candidates; names move without leaving anything behind.

use ocirepo_tests::checker::check;
use ocirepo_tests::descriptor;
use ocirepo_tests::states::{State, image, nowhere, seeded};
use serde_json::{Value, json};

#[track_caller]
fn finds_nothing(state: &State, queries: &[&str]) {
    let before = state.tree().without_own();
    for query in queries {
        for verb in [&["inspect", query][..], &["rm", query], &["verify", query]] {
            state.run(verb).fails_with(3).says(query);
        }
        state.run(&["tag", query, "new:1"]).fails_with(3);
    }
    state.tree().without_own().assert_is(&before);
}

#[test]
fn look_ups_normalise_what_was_typed_and_what_is_written() {
    // As docker, crane, skopeo and people write them.
    let state = State::named(&[
        "docker.io/library/alpine:3.11",
        "index.docker.io/library/busybox:1",
        "user/app",
        "localhost/x:1",
        "r.example:5000/y:2",
        "debian",
    ]);
    for query in
        ["alpine:3.11", "library/alpine:3.11", "docker.io/alpine:3.11", "index.docker.io/library/alpine:3.11"]
    {
        state.finds(query, 0);
    }
    for query in ["busybox:1", "docker.io/library/busybox:1", "index.docker.io/busybox:1"] {
        state.finds(query, 1);
    }
    for query in ["user/app", "user/app:latest", "docker.io/user/app:latest"] {
        state.finds(query, 2);
    }
    state.finds("localhost/x:1", 3);
    state.finds("r.example:5000/y:2", 4);
    state.finds("debian", 5);
    finds_nothing(
        &state,
        &["debian:12", "debian:latest:x", "docker.io/library/user/app", "x:1", "y:2", "localhost:5000/x:1"],
    );
}

/// regclient finds the first entry that ends so.
#[test]
fn look_ups_never_match_a_suffix_a_prefix_or_a_part() {
    let state = State::named(&["registry.example/team/alpine:3.11", "docker.io/library/ubuntu:3.11"]);
    finds_nothing(
        &state,
        &[
            "alpine:3.11",
            "team/alpine:3.11",
            ":3.11",
            "3.11",
            "registry.example/team/alpine",
            "registry.example/team/alpine:3.1",
            "registry.example/team/alpine:3.11x",
            "registry.example/team/alpin",
            "*",
            "registry.example/team/*",
            "",
        ],
    );
}

#[test]
fn digests_and_their_beginnings_name_images() {
    let state = State::named(&["docker.io/library/a:1", "docker.io/library/b:2"]);
    let digest = seeded(1);
    let hex = digest.strip_prefix("sha256:").unwrap();
    for query in [&digest[..], hex, &hex[..7], &hex[..12], &digest[..14], &digest[..30]] {
        state.finds(query, 1);
    }
    state.finds(&format!("b:2@{digest}"), 1);
    state.finds(&format!("docker.io/library/b@{digest}"), 1);
    finds_nothing(
        &state,
        &[
            &hex[..6],
            &digest[..13],
            &hex[1..20],
            &format!("a:1@{digest}"),
            &format!("sha512:{hex}"),
            &nowhere('0'),
            &format!("{hex}0"),
        ],
    );
}

/// A blob that is no image is not one, whatever begins so.
#[test]
fn digests_of_layers_and_children_are_no_images() {
    let state = State::named(&["docker.io/library/a:1"]);
    finds_nothing(&state, &[&image("0").config.digest, &image("0").layers[0].digest]);
}

#[test]
fn an_ambiguous_beginning_lists_the_candidates() {
    let mut state = State::new();
    let entry = |last: &str| {
        let digest = format!("sha256:{}{last}", "a".repeat(63));
        json!({"mediaType": descriptor::OCI_MANIFEST, "digest": digest, "size": 7})
    };
    state.layout.entry(descriptor::ref_named(entry("1"), "docker.io/library/a:1"));
    state.layout.entry(descriptor::ref_named(entry("2"), "docker.io/library/b:2")).write_index();
    let refused = state.run(&["inspect", "aaaaaaaaaa"]).fails_with(9);
    refused.says("docker.io/library/a:1").says("docker.io/library/b:2").says("aaa1").says("aaa2");
    state.run(&["rm", "aaaaaaaaaa"]).fails_with(9);
    assert_eq!(state.names().len(), 2);
}

/// oras takes the last and sweeps the other's blobs; regclient removes one of two.
#[test]
fn a_name_on_two_digests_is_ambiguous_and_loses_nothing() {
    let state = State::named(&["docker.io/library/a:1", "docker.io/library/a:1", "docker.io/library/b:2"]);
    let before = state.tree().without_own();
    for verb in [&["inspect", "a:1"][..], &["rm", "a:1"], &["tag", "a:1", "c:3"], &["verify", "a:1"]] {
        state.run(verb).fails_with(9).says(&seeded(0)).says(&seeded(1)).says("@0").says("@1");
    }
    assert!(state.gc(&[]).swept().is_empty());
    state.tree().without_own().assert_is(&before);
    let report = state.json(&["verify"]);
    assert_eq!(report["findings"][0]["kind"], "ambiguous-name");
    state.json(&["rm", "@1"]);
    state.finds("a:1", 0);
    assert_eq!(state.names().len(), 2);
    assert_eq!(state.gc(&[]).swept().len(), 3);
    check(state.dir()).assert_tidy();
}

#[test]
fn platforms_of_one_name_are_told_apart_in_the_message() {
    let mut state = State::new();
    for platform in ["linux/amd64", "linux/arm64"] {
        let image = image(platform);
        state.layout.blobs_of(image.blobs());
        let entry = descriptor::on_platform(image.descriptor(), platform);
        state.layout.entry(descriptor::ref_named(entry, "docker.io/library/a:1"));
    }
    state.layout.write_index();
    state.run(&["inspect", "a:1"]).fails_with(9).says("linux/amd64").says("linux/arm64");
}

#[test]
fn one_digest_under_one_name_twice_is_not_ambiguous() {
    let mut state = State::new();
    let a = image("0");
    state.layout.image(&a, "docker.io/library/a:1").image(&a, "docker.io/library/a:1").write_index();
    state.finds("a:1", 0);
    state.json(&["rm", "a:1"]);
    assert_eq!(state.names(), [""; 0], "both are that name");
}

/// Which name to remove is not said.
#[test]
fn removing_a_digest_of_two_names_asks_which() {
    let mut state = State::new();
    let a = image("0");
    state.layout.image(&a, "docker.io/library/a:1").image(&a, "docker.io/library/b:2").write_index();
    state.finds(a.digest(), 0);
    state.run(&["rm", a.digest()]).fails_with(9).says("a:1").says("b:2");
    state.json(&["rm", "b:2"]);
    assert_eq!(state.names(), ["docker.io/library/a:1"]);
    state.json(&["rm", a.digest()]);
    assert_eq!(state.names(), [""; 0]);
}

/// What `docker save a:latest b:latest` gives: one ref.name on two images.
#[test]
fn docker_saves_of_one_tag_are_told_apart_by_the_image_name() {
    let mut state = State::new();
    for (seed, name) in [("0", "docker.io/library/a:latest"), ("1", "docker.io/library/b:latest")] {
        state.layout.blobs_of(image(seed).blobs());
        state.layout.entry(descriptor::tag_named(image(seed).descriptor(), name));
    }
    state.layout.write_index();
    assert_eq!(state.names(), ["docker.io/library/a:latest", "docker.io/library/b:latest"]);
    state.finds("a", 0);
    state.finds("b:latest", 1);
    state.run(&["inspect", "latest"]).fails_with(9).says("a:latest").says("b:latest");
    state.json(&["rm", "a"]);
    assert_eq!(state.names(), ["docker.io/library/b:latest"]);
}

/// regclient once deleted the first name of a digest with the second.
#[test]
fn a_second_name_is_a_second_entry_and_goes_alone() {
    let state = State::named(&["docker.io/library/a:1"]);
    let tagged = state.json(&["tag", "a:1", "mirror.example/a:1"]);
    assert_eq!(tagged["tagged"][0]["digest"], seeded(0));
    assert_eq!(tagged["tagged"][0]["previous"], Value::Null);
    assert_eq!(state.names(), ["docker.io/library/a:1", "mirror.example/a:1"]);
    state.json(&["rm", "a:1"]);
    assert!(state.gc(&[]).swept().is_empty());
    state.finds("mirror.example/a:1", 0);
    check(state.dir()).assert_tidy();
}

/// skopeo strips the name from the old entry and keeps that for ever.
#[test]
fn a_name_that_moves_says_so_and_leaves_nothing_nameless() {
    let state = State::named(&["docker.io/library/a:1", "docker.io/library/b:2"]);
    let moved = state.json(&["tag", "b:2", "a:1"]);
    assert_eq!(moved["tagged"][0]["previous"], seeded(0));
    assert_eq!(moved["tagged"][0]["digest"], seeded(1));
    assert_eq!(state.names(), ["docker.io/library/a:1", "docker.io/library/b:2"]);
    state.finds("a:1", 1);
    assert_eq!(state.gc(&[]).swept().len(), 3);
    check(state.dir()).assert_tidy();
}

#[test]
fn the_name_an_image_has_already_changes_not_a_byte() {
    let mut state = State::new();
    state.layout.full_image(&image("0"), "docker.io/library/a:1").write_index();
    let before = state.tree().without_own();
    state.json(&["tag", "a:1", "a:1"]);
    state.json(&["tag", "a:1", "docker.io/library/a:1"]);
    state.tree().without_own().assert_is(&before);
}

#[test]
fn the_first_name_of_a_nameless_entry_is_given_to_that_entry() {
    let mut state = State::new();
    let a = image("0");
    state.layout.blobs_of(a.blobs());
    let mut entry = descriptor::on_platform(a.descriptor(), "linux/amd64");
    entry["x-mine"] = 7.into();
    state.layout.entry(entry.clone()).write_index();
    state.json(&["tag", "@0", "a:1"]);
    let entries = state.layout.read_index()["manifests"].clone();
    assert_eq!(entries, json!([descriptor::full_named(entry, "docker.io/library/a:1")]));
}

/// umoci cannot edit such a layout, skopeo not address it, hauler drops the entries.
#[test]
fn names_outside_the_grammar_are_kept_verbatim_with_a_warning() {
    let state = State::named(&["docker.io/library/a:1"]);
    for name in ["foo__bar:1", "[::1]:5000/a:1", "a---b:1", "x:v1_", "x:_y"] {
        state.run(&["tag", "a:1", name]).ok().says("warning");
        state.finds(name, 0);
    }
    let verbatim = ["ocidir://x:1", "UPPER/Case:1", "a b", "ünïcode", "x:1:2", "//", "@"];
    let foreign = State::named(&verbatim);
    assert_eq!(foreign.names(), verbatim);
    for (seed, name) in verbatim.iter().enumerate() {
        foreign.finds(name, seed);
    }
    let other = image("other");
    foreign.layout.blobs_of(other.blobs());
    foreign.json(&["tag", "@0", "good:1"]);
    foreign.json(&["config", "ref-policy", "tag"]);
    assert_eq!(foreign.names()[..verbatim.len()], verbatim);
    for name in verbatim {
        foreign.json(&["rm", name]);
    }
    assert_eq!(foreign.names(), ["docker.io/library/good:1"]);
}

#[test]
fn names_cannot_play_with_a_terminal() {
    let state = State::named(&["\u{1b}[31mred\u{7}:1", "a\nb"]);
    for verb in [&["ls"][..], &["ls", "--names"], &["verify"], &["inspect", "@0"], &["rm", "@0", "--dry-run"]]
    {
        let output = state.ocirepo.run(verb).ok();
        let all = format!("{}{}", output.stdout, output.stderr);
        assert!(!all.contains(['\u{1b}', '\u{7}']), "{verb:?}: {all:?}");
        assert!(!all.contains("a\nb"), "{verb:?}: {all:?}");
    }
    assert_eq!(state.ls()[1]["refName"], "a\nb");
}

#[test]
fn rm_takes_names_exactly_and_patterns_only_when_asked() {
    let state = State::named(&[
        "docker.io/library/a:1",
        "docker.io/library/a:10",
        "quay.io/a:1",
        "docker.io/library/b:1",
    ]);
    state.json(&["rm", "a:1"]);
    assert_eq!(state.names().len(), 3);
    state.run(&["rm", "a:*"]).fails_with(3);
    state.run(&["rm", "a:10", "nothing:1"]).fails_with(3);
    assert_eq!(state.names().len(), 3, "all or nothing");
    state.run(&["rm", "--glob", "nothing*"]).fails_with(3);
    state.run(&["rm", "--glob", "[a"]).fails_with(2);
    state.json(&["rm", "--glob", "quay.io/*", "a:*"]);
    assert_eq!(state.names(), ["docker.io/library/b:1"]);
}
