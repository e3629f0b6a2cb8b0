//! index.json as text: what is written in it, member by member, so that "untouched" can be told to the byte.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use ocirepo_tests::descriptor::{IMAGE_NAME, REF_NAME};
use serde_json::value::RawValue;

/// Members of an object in the order they are written, values as they are spelled.
pub(super) type Members = Vec<(String, String)>;

/// The document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    /// Everything but `manifests`.
    pub(super) top: Members,
    /// The entries as they are written.
    pub(super) entries: Vec<String>,
}

/// One entry, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) digest: String,
    pub(super) image_name: Option<String>,
    pub(super) ref_name: Option<String>,
    /// Everything else, annotations included.
    pub(super) rest: Members,
}

impl Index {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let mut top = members(std::str::from_utf8(bytes)?)?;
        let at = top.iter().position(|(key, _)| key == "manifests").context("there are no manifests")?;
        let (_, list) = top.remove(at);
        let entries: Vec<&RawValue> = serde_json::from_str(&list)?;
        Ok(Self { top, entries: entries.iter().map(|entry| entry.get().to_owned()).collect() })
    }

    /// The document as another tool may write it: never byte for byte what ocirepo would.
    pub(super) fn written_by_others(&self) -> String {
        let top: String = self.top.iter().map(|(key, value)| format!("  \"{key}\": {value},\n")).collect();
        format!("{{\n{top}  \"manifests\": [{}]\n}}\n", self.entries.join(", "))
    }
}

impl Parts {
    pub(super) fn parse(entry: &str) -> Result<Self> {
        let mut parts = Self { digest: String::new(), image_name: None, ref_name: None, rest: Vec::new() };
        for (key, value) in members(entry)? {
            if key == "digest" {
                parts.digest = serde_json::from_str(&value)?;
            }
            if key != "annotations" {
                parts.rest.push((key, value));
                continue;
            }
            for (name, text) in members(&value)? {
                match name.as_str() {
                    IMAGE_NAME => parts.image_name = Some(serde_json::from_str(&text)?),
                    REF_NAME => parts.ref_name = Some(serde_json::from_str(&text)?),
                    _ => parts.rest.push((format!("annotation {name}"), text)),
                }
            }
        }
        Ok(parts)
    }
}

/// The members of an object, in the order they stand.
fn members(object: &str) -> Result<Members> {
    let map: BTreeMap<String, &RawValue> =
        serde_json::from_str(object).with_context(|| format!("not an object: {object}"))?;
    let mut members: Vec<(String, &RawValue)> = map.into_iter().collect();
    members.sort_by_key(|(_, value)| value.get().as_ptr());
    Ok(members.into_iter().map(|(key, value)| (key, value.get().to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_an_entry_keeps_its_order_and_spelling() {
        let text = r#"{"z":1.50,"digest":"d","annotations":{"b":"1","org.opencontainers.image.ref.name":"n","a":"2"},"size":7}"#;
        let parts = Parts::parse(text).unwrap();
        assert_eq!(
            (parts.digest.as_str(), parts.ref_name.as_deref(), parts.image_name),
            ("d", Some("n"), None)
        );
        let rest: Vec<String> = parts.rest.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(rest, ["z=1.50", "digest=\"d\"", "annotation b=\"1\"", "annotation a=\"2\"", "size=7"]);
    }

    #[test]
    fn what_others_write_says_the_same() {
        let index = Index::parse(br#"{"x":1e2,"manifests":[{"a":1},42],"y":{}}"#).unwrap();
        assert_eq!(index.entries, [r#"{"a":1}"#, "42"]);
        assert_eq!(Index::parse(index.written_by_others().as_bytes()).unwrap(), index);
    }
}
