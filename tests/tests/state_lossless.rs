//! index.json is edited losslessly: what a command does not touch keeps its meaning, order, unknown fields and
//! number spelling, and one strange entry never makes the repository unreadable. Every peer drops or shuffles
//! something, and several cannot even open what is here.

use std::fs;

use ocirepo_tests::checker::check;
use ocirepo_tests::descriptor::{self, Blob};
use ocirepo_tests::states::{State, image, nowhere, set};
use serde_json::{Value, json};

/// A repository whose index.json is written by hand: `top` before the entries, `entries` as they stand.
fn written(top: &str, entries: &[&str]) -> State {
    let state = State::new();
    state.layout.blobs_of(image("a").blobs()).blobs_of(image("b").blobs());
    let text = format!("{{{top}\"schemaVersion\":2, \"manifests\": [\n  {}\n] }}\n", entries.join(",\n  "));
    state.layout.write("index.json", text.as_bytes());
    state
}

fn index_text(state: &State) -> String {
    fs::read_to_string(state.dir().join("index.json")).expect("it is there")
}

/// An entry with everything a writer may add, spelled in unusual ways.
fn decorated(blob: &Blob, name: &str) -> String {
    format!(
        r#"{{ "size": {}, "x-first" : {{"n":1.10, "e":1E+2, "big":123456789012345678901234567890, "esc":"\u0041\/"}},
     "digest":"{}", "annotations": {{"z":"last", "{}":"{name}", "a":"\u00e9"}} , "mediaType":"{}",
     "urls":[], "artifactType":"x/y", "x-null":null }}"#,
        blob.bytes.len(),
        blob.digest,
        descriptor::REF_NAME,
        blob.media_type
    )
}

/// Entries that some tool once wrote and that no strict reader takes.
fn strange() -> Vec<String> {
    let manifest = "application/vnd.oci.image.manifest.v1+json";
    let digest = nowhere('e');
    let upper = format!("sha256:{}", "AB".repeat(32));
    vec![
        "42".into(),
        "null".into(),
        r#""text""#.into(),
        "[]".into(),
        "{}".into(),
        format!(r#"{{"mediaType":"{manifest}","digest":"{digest}","size":-1}}"#),
        format!(r#"{{"mediaType":"{manifest}","digest":"{digest}","size":7.5}}"#),
        format!(r#"{{"mediaType":"{manifest}","digest":"{digest}","size":1e3}}"#),
        format!(r#"{{"mediaType":"{manifest}","digest":"{digest}","size":"7"}}"#),
        format!(r#"{{"mediaType":"{manifest}","digest":"{digest}","size":99999999999999999999}}"#),
        format!(r#"{{"mediaType":"{manifest}","digest":"{digest}"}}"#),
        format!(r#"{{"mediaType":"{manifest}","digest":"{upper}","size":7}}"#),
        format!(r#"{{"mediaType":"{manifest}","digest":"sha256:abc","size":7}}"#),
        format!(r#"{{"mediaType":"{manifest}","digest":7,"size":7}}"#),
        format!(r#"{{"mediaType":"{manifest}","digest":"../../etc/passwd","size":7}}"#),
        format!(r#"{{"mediaType":7,"digest":"{digest}","size":-7,"annotations":7}}"#),
        format!(
            r#"{{"mediaType":"{manifest}","digest":"{digest}","size":-2,"annotations":{{"{}":7}}}}"#,
            descriptor::REF_NAME
        ),
    ]
}

#[test]
fn untouched_entries_and_fields_survive_every_verb_that_writes() {
    let (a, b) = (image("a"), image("b"));
    let decorated = decorated(&a.manifest, "docker.io/library/keep:1");
    let plain = descriptor::ref_named(b.descriptor(), "docker.io/library/b:2").to_string();
    let top = r#""x-top": [1.0, 1e2, {"k" : "\u0041"}], "annotations":{"b":"1","a":"2"}, "#;
    let state = written(top, &[&decorated, &plain]);
    let steps: [&[&str]; 6] = [
        &["tag", "b:2", "c:3"],
        &["tag", "b:2", "z/d:4"],
        &["config", "ref-policy", "full"],
        &["rm", "c:3"],
        &["rm", "b:2"],
        &["gc"],
    ];
    for step in steps {
        state.json(step);
        let text = index_text(&state);
        // Of a conversion's rewrite only the names may be seen.
        if step[0] != "config" {
            assert!(text.contains(r#""x-top":[1.0, 1e2, {"k" : "\u0041"}]"#), "{step:?}: {text}");
            assert!(text.contains(r#""annotations":{"b":"1","a":"2"}"#), "{step:?}: {text}");
        }
        for piece in [
            r#"{"n":1.10, "e":1E+2, "big":123456789012345678901234567890, "esc":"\u0041\/"}"#,
            r#""a":"\u00e9""#,
            r#""x-null":null"#,
            r#""artifactType":"x/y""#,
        ] {
            assert!(text.contains(piece), "{piece} is gone after {step:?}: {text}");
        }
        assert_eq!(state.layout.read_index()["manifests"][0]["digest"], a.digest(), "the order changed");
    }
    assert_eq!(state.names(), ["docker.io/library/keep:1", "docker.io/z/d:4"]);
    check(state.dir()).assert_tidy();
}

#[test]
fn an_untouched_entry_keeps_its_very_bytes() {
    let (a, b) = (image("a"), image("b"));
    let decorated = decorated(&a.manifest, "docker.io/library/keep:1");
    let state = written(
        "",
        &[&descriptor::ref_named(b.descriptor(), "docker.io/library/b:2").to_string(), &decorated],
    );
    state.json(&["tag", "b:2", "c:3"]);
    assert!(index_text(&state).contains(&decorated), "{}", index_text(&state));
    state.json(&["rm", "b:2", "c:3"]);
    assert!(index_text(&state).contains(&decorated), "{}", index_text(&state));
}

#[test]
fn a_new_name_keeps_every_other_field_of_the_entry() {
    let a = image("a");
    let state = written("", &[&decorated(&a.manifest, "docker.io/library/keep:1")]);
    state.json(&["tag", "keep:1", "more:2"]);
    let entries = state.layout.read_index()["manifests"].clone();
    let mut expected = entries[0].clone();
    expected["annotations"][descriptor::REF_NAME] = "docker.io/library/more:2".into();
    expected["annotations"][descriptor::IMAGE_NAME] = "docker.io/library/more:2".into();
    assert_eq!(entries[1], expected);
    assert!(index_text(&state).matches("123456789012345678901234567890").count() == 2);
}

#[test]
fn the_order_of_entries_is_data() {
    let mut state = State::new();
    let names = ["e", "a", "d", "c", "b"].map(|name| format!("docker.io/library/{name}:1"));
    for name in &names {
        state.layout.full_image(&image(name), name);
    }
    state.layout.write_index();
    state.json(&["tag", "d:1", "new:1"]);
    state.json(&["tag", "e:1", "c:1"]);
    state.json(&["rm", "a:1"]);
    let expected = ["e", "d", "c", "b", "new"].map(|name| format!("docker.io/library/{name}:1"));
    assert_eq!(state.names(), expected);
    assert_eq!(
        state.ls()[2]["digest"],
        image(&names[0]).digest(),
        "c:1 moved to e's image and kept its place"
    );
}

#[test]
fn nothing_that_depends_on_the_clock_or_the_machine_is_written() {
    let make = || {
        let mut state = State::new();
        state.layout.image(&image("a"), "docker.io/library/a:1").image(&image("b"), "b").write_index();
        for step in [&["tag", "a:1", "c:3"][..], &["tag", "@1", "d:4"], &["rm", "a:1"]] {
            state.json(step);
        }
        index_text(&state)
    };
    assert_eq!(make(), make());
}

#[test]
fn strange_entries_are_listed_where_they_stand() {
    let b = image("b");
    let good = descriptor::full_named(b.descriptor(), "docker.io/library/b:2").to_string();
    let strange = strange();
    let mut entries: Vec<&str> = strange.iter().map(String::as_str).collect();
    entries.insert(1, &good);
    let state = written("", &entries);
    let rows = state.ls();
    assert_eq!(rows.len(), entries.len());
    assert_eq!(rows[1]["reference"], "docker.io/library/b:2");
    assert_eq!(rows[1]["complete"], true);
    for (position, row) in rows.iter().enumerate().filter(|(position, _)| *position != 1) {
        assert_eq!(row["complete"], false, "@{position} {row}");
        assert!(row["problem"].is_string(), "@{position} {row}");
        assert!(row["reference"].is_null(), "@{position} {row}");
    }
    assert_eq!(state.json(&["inspect", "b:2"])["digest"], b.digest());
    state.ocirepo.run(&["ls"]).ok();
    for position in 0..entries.len() {
        assert_eq!(
            state.json(&["inspect", &format!("@{position}")])["complete"],
            position == 1,
            "@{position}"
        );
    }
}

#[test]
fn strange_entries_survive_commands_about_other_images() {
    let good = descriptor::full_named(image("b").descriptor(), "docker.io/library/b:2").to_string();
    let strange = strange();
    let mut entries: Vec<&str> = strange.iter().map(String::as_str).collect();
    entries.push(&good);
    let state = written("", &entries);
    for step in
        [&["tag", "b:2", "c:3"][..], &["rm", "b:2"], &["config", "ref-policy", "tag"], &["tag", "c:3", "c:4"]]
    {
        state.json(step);
        let text = index_text(&state);
        for entry in &strange {
            assert!(text.contains(entry.as_str()), "{entry} is gone after {step:?}: {text}");
        }
        assert_eq!(state.layout.read_index()["manifests"][0], json!(42));
    }
}

#[test]
fn strange_entries_can_be_removed_by_position_alone() {
    for entry in &strange() {
        let good = descriptor::full_named(image("b").descriptor(), "docker.io/library/b:2").to_string();
        let state = written("", &[&good, entry]);
        state.gc_is_refused(&[]);
        state.gc_is_refused(&["--ignore-missing-roots"]);
        let findings = state.run(&["verify"]).fails_with(4).any_json();
        assert_eq!(findings["findings"][0]["kind"], "broken-entry", "{entry}");
        let removed = state.json(&["rm", "@1"]);
        assert_eq!(removed["removed"].as_array().unwrap().len(), 1, "{entry}");
        assert_eq!(state.names(), ["docker.io/library/b:2"], "{entry}");
        assert_eq!(state.gc(&[]).swept().len(), 3, "{entry}: the rest of image a is garbage now");
        check(state.dir()).assert_tidy();
    }
}

#[test]
fn a_strange_entry_with_a_name_can_be_removed_by_its_name() {
    let named = |size: Value| {
        let mut entry = descriptor::full_named(image("a").descriptor(), "docker.io/library/odd:1");
        entry["size"] = size;
        entry.to_string()
    };
    for size in [json!(-1), json!(7.5), json!("7"), Value::Null] {
        let state = written("", &[&named(size.clone())]);
        assert_eq!(state.names(), ["docker.io/library/odd:1"]);
        state.json(&["rm", "odd:1"]);
        assert_eq!(state.names(), [""; 0], "{size}");
    }
}

#[test]
fn of_two_entries_written_alike_a_position_removes_one() {
    let good = descriptor::full_named(image("b").descriptor(), "docker.io/library/b:2").to_string();
    let state = written("", &["42", &good, "42"]);
    state.json(&["rm", "@2"]);
    let entries = state.layout.read_index()["manifests"].clone();
    assert_eq!(entries.as_array().unwrap().len(), 2, "{entries}");
    assert_eq!(entries[0], json!(42));
}

#[test]
fn a_position_that_is_not_there_is_not_found() {
    let state = written("", &["42"]);
    state.run(&["rm", "@1"]).fails_with(3);
    state.run(&["inspect", "@99999999999999999999"]).fails_with(3);
    state.run(&["inspect", "@-1"]).fails_with(3);
    assert_eq!(state.ls().len(), 1);
}

/// oras cannot open such a store, regclient sweeps it, umoci overlooks it.
#[test]
fn roots_under_other_algorithms_are_carried_along() {
    let b = descriptor::full_named(image("b").descriptor(), "docker.io/library/b:2").to_string();
    let entry = |digest: &str| {
        let value = json!({"mediaType": descriptor::OCI_MANIFEST, "digest": digest, "size": 7});
        descriptor::full_named(value, "docker.io/library/other:1").to_string()
    };
    for digest in [
        format!("blake3:{}", "a".repeat(64)),
        format!("sha512:{}", "b".repeat(128)),
        format!("sha384:{}", "c".repeat(96)),
        "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8".into(),
        "sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564".into(),
    ] {
        let other = entry(&digest);
        let state = written("", &[&other, &b]);
        state.json(&["tag", "b:2", "c:3"]);
        state.json(&["rm", "b:2"]);
        assert!(index_text(&state).contains(&other), "{}", index_text(&state));
        state.json(&["tag", "other:1", "again:1"]);
        assert_eq!(state.ls()[2]["digest"], digest.as_str());
        let refused = state.gc_is_refused(&[]);
        assert_eq!(refused.missing(), set(&[&digest]));
        state.json(&["rm", "other:1"]);
        state.json(&["rm", &digest]);
        assert_eq!(state.gc(&[]).swept().len(), 3);
    }
}
