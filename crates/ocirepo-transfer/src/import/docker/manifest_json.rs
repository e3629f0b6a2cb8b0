//! `manifest.json`: the list of images of a docker archive, or another file of that name.

use std::collections::BTreeMap;

use ocirepo_store::index::check_json;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::Result;

/// One item of `manifest.json`.
#[derive(Debug, Deserialize)]
pub(crate) struct Item {
    #[serde(rename = "Config")]
    pub(super) config: Option<String>,
    #[serde(rename = "RepoTags")]
    pub(super) repo_tags: Option<Vec<String>>,
    #[serde(rename = "Layers")]
    pub(super) layers: Option<Vec<String>>,
    /// diffID to the descriptor under which a registry has the layer. Later dockers list every
    /// layer here; only those that must not be distributed mean anything.
    #[serde(rename = "LayerSources")]
    pub(super) sources: Option<BTreeMap<String, Source>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Source {
    #[serde(rename = "mediaType", default)]
    pub(super) media_type: String,
    pub(super) digest: Option<String>,
    pub(super) size: Option<u64>,
    pub(super) urls: Option<Vec<String>>,
}

/// What a `manifest.json` turned out to be.
#[derive(Debug)]
pub(crate) enum ManifestJson {
    Docker(Vec<Item>),
    Null,
    /// The manifest of a `dir:` directory.
    RegistryManifest,
    Imgpkg,
}

/// Reads a `manifest.json`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(bytes: &[u8]) -> Result<ManifestJson, String> {
    check_json(bytes)?;
    let raw: &RawValue = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    match raw.get().trim_start().as_bytes().first() {
        Some(b'n') => return Ok(ManifestJson::Null),
        Some(b'{') => return Ok(ManifestJson::RegistryManifest),
        _ => {}
    }
    let items: Vec<BTreeMap<String, &RawValue>> =
        serde_json::from_slice(bytes).map_err(|_| "it is not a list of images".to_owned())?;
    if items.iter().any(|item| item.contains_key("Image") || item.contains_key("ImageIndex")) {
        return Ok(ManifestJson::Imgpkg);
    }
    serde_json::from_slice(bytes).map(ManifestJson::Docker).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_called_manifest_json_are_told_apart() {
        assert!(matches!(parse(b" null"), Ok(ManifestJson::Null)));
        assert!(matches!(parse(br#"{"schemaVersion":2}"#), Ok(ManifestJson::RegistryManifest)));
        assert!(matches!(parse(br#"[{"Image":{"Refs":[]}}]"#), Ok(ManifestJson::Imgpkg)));
        assert!(
            matches!(parse(br#"[{"Config":"c","Layers":null}]"#), Ok(ManifestJson::Docker(items)) if items.len() == 1)
        );
        for bad in ["", "3", "[1]", r#"[{"Config":1}]"#, r#"[{"Config":"a","Config":"b"}]"#] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
