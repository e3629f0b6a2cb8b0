//! The ref policy: both annotations are always written, so a repository converts both ways without loss; what
//! would collide is refused, and what has no other form stays.

use std::fs;

use ocirepo_tests::checker::check;
use ocirepo_tests::descriptor::{self, IMAGE_NAME, REF_NAME};
use ocirepo_tests::layout::Layout;
use ocirepo_tests::states::{State, image, nowhere, seeded};
use serde_json::{Value, json};

fn annotations(state: &State) -> Vec<(Value, Value)> {
    let entries = state.layout.read_index()["manifests"].clone();
    let names =
        |entry: &Value| (entry["annotations"][IMAGE_NAME].clone(), entry["annotations"][REF_NAME].clone());
    entries.as_array().expect("a list").iter().map(names).collect()
}

#[test]
fn both_annotations_are_written_under_both_policies() {
    for (policy, ref_name) in [("full", "quay.io/team/app:1.2"), ("tag", "1.2")] {
        let state = State::new();
        fs::remove_dir_all(state.dir()).unwrap();
        fs::create_dir(state.dir()).unwrap();
        state.ocirepo.run(&["init", "--ref-policy", policy]).ok();
        let mut layout = Layout::open(state.dir());
        layout.blobs_of(image("0").blobs()).blobs_of(image("1").blobs());
        layout.entry(image("0").descriptor()).entry(image("1").descriptor()).write_index();
        state.json(&["tag", "@0", "quay.io/team/app:1.2"]);
        assert_eq!(annotations(&state)[0], (json!("quay.io/team/app:1.2"), json!(ref_name)));
        assert_eq!(state.ls()[0]["refName"], ref_name);
        // By digest alone there is no tag, and a ref.name is never a digest.
        let by_digest = format!("quay.io/team/app@{}", seeded(1));
        state.json(&["tag", "@1", &by_digest]);
        let (image_name, ref_name) = &annotations(&state)[1];
        assert_eq!(*image_name, json!(by_digest));
        assert!(*ref_name == Value::Null || *ref_name == json!(by_digest), "{ref_name}");
        state.finds(&by_digest, 1);
        assert_eq!(state.json(&["config", "ref-policy"])["refPolicy"], policy);
        check(state.dir()).assert_sound();
    }
}

#[test]
fn a_ref_name_is_never_a_digest() {
    let state = State::named(&["docker.io/library/a:1"]);
    for policy in ["full", "tag"] {
        state.json(&["config", "ref-policy", policy]);
        for name in [nowhere('5'), nowhere('5')[7..].to_owned(), format!("@{}", nowhere('5'))] {
            // Refused or read as a repository called sha256: never written as it is.
            state.run(&["tag", "a:1", &name]);
            for (_, ref_name) in annotations(&state) {
                let ref_name = ref_name.as_str().unwrap_or_default().to_owned();
                assert!(!ref_name.trim_start_matches('@').starts_with("sha256:"), "{ref_name} was written");
            }
        }
    }
}

#[test]
fn the_policy_of_a_foreign_layout_is_inferred_and_recorded_at_the_first_write() {
    let cases: [(&[&str], &str); 6] = [
        (&["1", "v2"], "tag"),
        (&["docker.io/library/a:1"], "full"),
        (&["1", "quay.io/b:2"], "full"),
        (&["quay.io/b"], "full"),
        (&[], "full"),
        (&["latest", "sha256-abc.sig"], "tag"),
    ];
    for (names, policy) in cases {
        let state = State::named(names);
        assert_eq!(state.json(&["config", "ref-policy"])["refPolicy"], policy, "{names:?}");
        assert!(!state.dir().join(".ocirepo").exists(), "reading writes nothing");
        if names.is_empty() {
            continue;
        }
        state.json(&["tag", "@0", "registry.example/new:9"]);
        let written = annotations(&state).pop().unwrap();
        let ref_name = if policy == "tag" { "9" } else { "registry.example/new:9" };
        assert_eq!(written, (json!("registry.example/new:9"), json!(ref_name)), "{names:?}");
        // From now on it stays, whatever the names look like.
        for _ in 0..names.len() {
            state.json(&["rm", "@0"]);
        }
        assert_eq!(state.json(&["config", "ref-policy"])["refPolicy"], policy, "{names:?}");
    }
}

#[test]
fn conversion_goes_both_ways_and_loses_nothing() {
    let mut state = State::new();
    let names = [
        "docker.io/library/alpine:3.11",
        "quay.io/team/app:1.2",
        "[::1]:5000/a:1",
        "docker.io/u/foo__bar:v1_",
    ];
    for name in names {
        let entry = descriptor::full_named(image(name).descriptor(), name);
        let entry = descriptor::annotated(entry, "x-mine", "kept");
        state.layout.blobs_of(image(name).blobs());
        state.layout.entry(entry);
    }
    state.layout.entry(image("nameless").descriptor()).blobs_of(image("nameless").blobs());
    state.layout.write_index();
    let first = fs::read(state.dir().join("index.json")).unwrap();
    let converted = state.json(&["config", "ref-policy", "tag"]);
    assert_eq!((&converted["previous"], &converted["renamed"]), (&json!("full"), &json!(4)));
    let tags: Vec<_> = annotations(&state).into_iter().map(|(_, ref_name)| ref_name).collect();
    assert_eq!(tags, [json!("3.11"), json!("1.2"), json!("1"), json!("v1_"), Value::Null]);
    assert_eq!(state.names()[..4], names);
    finds_by_name(&state, &names);
    check(state.dir()).assert_tidy();
    assert_eq!(state.json(&["config", "ref-policy", "full"])["renamed"], 4);
    assert_eq!(fs::read(state.dir().join("index.json")).unwrap(), first);
    assert_eq!(state.json(&["config", "ref-policy", "full"])["renamed"], 0);
}

#[track_caller]
fn finds_by_name(state: &State, names: &[&str]) {
    for name in names {
        assert_eq!(state.json(&["inspect", name])["digest"], image(name).digest(), "{name}");
    }
}

#[test]
fn a_conversion_that_would_collide_is_refused_with_the_list_and_changes_nothing() {
    let state = State::named(&[
        "docker.io/library/alpine:3.11",
        "quay.io/x:1",
        "docker.io/library/busybox:3.11",
        "quay.io/y:1",
    ]);
    state.json(&["config", "ref-policy", "full"]);
    let before = state.tree();
    let refused = state.run(&["config", "ref-policy", "tag"]).fails_with(9);
    let refused = refused.says("alpine:3.11").says("busybox:3.11").says("quay.io/x:1").says("quay.io/y:1");
    assert!(refused.stderr.contains(&seeded(0)) && refused.stderr.contains(&seeded(3)), "{}", refused.stderr);
    let locks = |path: &str| path.ends_with("lock") || path.ends_with("gate");
    for path in before.paths().filter(|path| !locks(path)).map(str::to_owned).collect::<Vec<_>>() {
        let (now, then) = (state.tree(), before.clone());
        assert_eq!(now.clone().without(&path) == now, then.clone().without(&path) == then, "{path}");
    }
    let own = |name: &str| fs::read(state.dir().join(".ocirepo").join(name)).unwrap();
    let config = String::from_utf8(own("config.json")).unwrap();
    assert!(config.contains("full") && !config.contains("tag"), "{config}");
    state.tree().without_own().assert_is(&before.without_own());
    assert_eq!(state.json(&["config", "ref-policy"])["refPolicy"], "full");
}

/// One digest under one tag twice is one image.
#[test]
fn a_conversion_of_two_names_of_one_image_is_no_collision() {
    let mut state = State::new();
    let a = image("0");
    let names = ["docker.io/library/a:1", "quay.io/mirror/a:1"];
    state.layout.full_image(&a, names[0]).full_image(&a, names[1]).write_index();
    state.json(&["config", "ref-policy", "tag"]);
    assert_eq!(state.names(), names);
    state.json(&["config", "ref-policy", "full"]);
    assert_eq!(annotations(&state), names.map(|name| (json!(name), json!(name))));
}

#[test]
fn bare_tags_have_no_full_form_stay_and_are_listed() {
    let state = State::named(&["1.0", "docker.io/library/a:1", "sha256-abc.sig"]);
    for policy in ["tag", "full", "tag"] {
        let converted = state.run(&["config", "ref-policy", policy]).ok().says("1.0").says("sha256-abc.sig");
        assert_eq!(converted.any_json()["unchanged"], json!(["1.0", "sha256-abc.sig"]));
        let names = annotations(&state);
        assert_eq!(names[0], (Value::Null, json!("1.0")));
        assert_eq!(names[2], (Value::Null, json!("sha256-abc.sig")));
        state.finds("1.0", 0);
        state.finds("a:1", 1);
    }
    assert_eq!(annotations(&state)[1], (json!("docker.io/library/a:1"), json!("1")));
}

#[test]
fn under_the_tag_policy_one_tag_on_two_images_is_a_conflict_that_shows_both() {
    let state = State::named(&["docker.io/library/alpine:3.11", "docker.io/library/busybox:1"]);
    state.json(&["config", "ref-policy", "tag"]);
    let before = state.tree().without_own();
    let refused = state.run(&["tag", "busybox:1", "busybox:3.11"]).fails_with(9);
    let refused = refused.says("alpine:3.11").says("busybox:3.11").says("--replace");
    assert!(refused.stderr.contains(&seeded(0)) && refused.stderr.contains(&seeded(1)), "{}", refused.stderr);
    state.tree().without_own().assert_is(&before);
    // Another name for the same image under the same tag is no conflict.
    state.json(&["tag", "alpine:3.11", "mirror.example/alpine:3.11"]);
    let replaced = state.json(&["tag", "busybox:1", "busybox:3.11", "--replace"]);
    assert!(!replaced["tagged"][0]["displaced"].as_array().unwrap().is_empty(), "{replaced}");
    let holders: Vec<_> = state.ls().into_iter().filter(|row| row["refName"] == "3.11").collect();
    assert_eq!(holders.len(), 1, "{holders:?}");
    assert_eq!(holders[0]["digest"], seeded(1));
    assert!(!state.names().contains(&"-".to_owned()), "nothing nameless is left: {:?}", state.names());
}
