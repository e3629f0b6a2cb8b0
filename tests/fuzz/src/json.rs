//! JSON documents with something wrong in them.

use serde_json::{Value, json};

use super::choices::Choices;

const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const STRINGS: &[&str] = &[
    "",
    "alpine:3.11",
    "docker.io/library/alpine:3.11",
    "3.11",
    "foo__bar:1",
    "A b\u{1b}[31m\u{202e}",
    EMPTY,
    "sha256:00",
    "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8",
    "../../etc/passwd",
    "manifest.json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "layers",
    "amd64",
];
const NAMES: &[&str] = &[
    "mediaType",
    "digest",
    "size",
    "layers",
    "manifests",
    "config",
    "subject",
    "Config",
    "Layers",
    "RepoTags",
    "LayerSources",
    "Parent",
    "parent",
    "id",
    "urls",
    "data",
    "annotations",
    "platform",
    "rootfs",
    "diff_ids",
    "schemaVersion",
    "artifactType",
];
const TEXTS: &[&str] = &["\"size\":1,", "{", "}", "null,", "\u{feff}", "\\u0000", "1e400", "[[[[[[[[", ","];

/// The document as text, in most cases changed once or twice.
pub(crate) fn spoil(mut document: Value, choices: &mut Choices<'_>) -> Vec<u8> {
    for _ in 0..choices.below(3) {
        let mut at = choices.below(40);
        change(&mut document, &mut at, choices);
    }
    let mut text = document.to_string();
    if choices.one_in(16) {
        let at = (0..=choices.word() % (text.len() + 1)).rev().find(|&at| text.is_char_boundary(at));
        text.insert_str(at.unwrap_or_default(), choices.pick(TEXTS));
    }
    text.into_bytes()
}

/// Changes the value that comes `at` when the document is read from the front.
fn change(value: &mut Value, at: &mut usize, choices: &mut Choices<'_>) -> bool {
    if *at == 0 {
        replace(value, choices);
        return true;
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| change(item, at, choices)),
        Value::Object(members) => members.values_mut().any(|member| change(member, at, choices)),
        _ => false,
    }
}

fn replace(value: &mut Value, choices: &mut Choices<'_>) {
    match (choices.below(12), &mut *value) {
        (0, _) => *value = Value::Null,
        (1, _) => *value = json!([]),
        (2, _) => *value = json!({}),
        (3, _) => *value = json!(choices.word()),
        (4, _) => *value = json!(-1),
        (5 | 6, Value::Array(items)) => {
            let item = items.get(choices.below(items.len().max(1))).cloned();
            items.extend(item);
        }
        (7, Value::Array(items)) => drop(items.pop()),
        (8, Value::Array(items)) => items.reverse(),
        (5 | 6, Value::Object(members)) => {
            let inner = Value::Object(members.clone());
            members.insert(choices.pick(NAMES).to_owned(), inner);
        }
        (7 | 8, Value::Object(members)) => drop(members.remove(choices.pick(NAMES))),
        (5, Value::Number(number)) => *value = json!(number.as_u64().unwrap_or_default() + 1),
        (9, _) => *value = json!([value.clone()]),
        _ => *value = json!(choices.pick(STRINGS)),
    }
}
