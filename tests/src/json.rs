//! Compact JSON in the key order that container tools write, so that the same document always has the same
//! digest, and the same digest that docker gives it where docker writes the same document.

use std::fmt::Write as _;

use serde_json::Value;

/// Keys in writing order; keys that are not listed follow in alphabetical order.
const ORDER: &[&str] = &[
    "imageLayoutVersion",
    "schemaVersion",
    "mediaType",
    "artifactType",
    "created",
    "author",
    "architecture",
    "os",
    "os.version",
    "variant",
    "config",
    "type",
    "diff_ids",
    "rootfs",
    "history",
    "layers",
    "blobs",
    "manifests",
    "digest",
    "size",
    "urls",
    "subject",
    "annotations",
    "platform",
    // docker's manifest.json
    "Config",
    "RepoTags",
    "Layers",
    "LayerSources",
];

/// `value` as compact JSON.
pub fn compact(value: &Value) -> Vec<u8> {
    let mut text = String::new();
    write(value, &mut text);
    text.into_bytes()
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| (rank(key), key.as_str()));
            out.push('{');
            for (position, (key, value)) in members.into_iter().enumerate() {
                let comma = if position == 0 { "" } else { "," };
                write!(out, "{comma}{}:", Value::from(key.as_str())).expect("a String takes all");
                write(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        scalar => write!(out, "{scalar}").expect("a String takes all"),
    }
}

fn rank(key: &str) -> usize {
    ORDER.iter().position(|known| *known == key).unwrap_or(ORDER.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn known_keys_come_in_order_and_the_rest_alphabetically() {
        let value = json!({"zeta": 1, "size": 2, "digest": "d", "mediaType": "m", "alpha": [null, {"b": "\"", "a": 0}]});
        let expected = r#"{"mediaType":"m","digest":"d","size":2,"alpha":[null,{"a":0,"b":"\""}],"zeta":1}"#;
        assert_eq!(String::from_utf8(compact(&value)).unwrap(), expected);
    }
}
