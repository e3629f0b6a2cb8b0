//! The least that a garbage collection can do: read the index and the manifests, list the blobs, unlink the rest.
//! Good only for the repositories that [`super::store`] generates.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

pub(super) fn gc(directory: &Path) -> Result<()> {
    let blobs = directory.join("blobs/sha256");
    let index: Value = serde_json::from_slice(&fs::read(directory.join("index.json"))?)?;
    let mut live = HashSet::new();
    for entry in items(&index["manifests"]) {
        let hex = hex(entry)?;
        let manifest: Value = serde_json::from_slice(&fs::read(blobs.join(hex))?)?;
        live.insert(hex.to_owned());
        live.insert(self::hex(&manifest["config"])?.to_owned());
        for layer in items(&manifest["layers"]) {
            live.insert(self::hex(layer)?.to_owned());
        }
    }
    for file in fs::read_dir(&blobs)? {
        let file = file?;
        if !file.file_name().to_str().is_some_and(|name| live.contains(name)) {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn hex(descriptor: &Value) -> Result<&str> {
    let digest = descriptor["digest"].as_str().context("a descriptor without a digest")?;
    digest.strip_prefix("sha256:").context("a digest that is not sha256")
}
