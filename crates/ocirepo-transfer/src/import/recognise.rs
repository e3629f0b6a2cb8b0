//! What an archive is, told by the documents at its top, or what it is instead.

use ocirepo_store::graph::MAX_MANIFEST_SIZE;
use ocirepo_store::index::{Document, check_json};
use serde::Deserialize;

use super::docker::{self, Item, ManifestJson};
use crate::archive::limits::MAX_INDEX;
use crate::archive::{Content, read_whole};
use crate::error::{Error, Result, escape};

/// An archive that holds images.
#[derive(Debug)]
pub(crate) struct Recognised {
    /// The folder that the images lie in, with its slash; empty for the top.
    pub(crate) prefix: String,
    /// Its index.json, if it is an image layout.
    pub(crate) layout: Option<Document>,
    /// The items of its manifest.json, if it is a docker archive.
    pub(crate) items: Vec<Item>,
}

const LAYOUT: &str = "oci-layout";
const INDEX: &str = "index.json";
const MANIFEST: &str = "manifest.json";
const REPOSITORIES: &str = "repositories";

/// Recognises an archive.
///
/// # Errors
/// [`Error::NotAnArchive`] and [`Error::Unsupported`], which say what it is instead, and when one
/// of the documents is damaged.
pub(crate) fn recognise(content: &dyn Content) -> Result<Recognised> {
    let prefix = prefix(content)?;
    let at = |name: &str| format!("{prefix}{name}");
    let has = |name: &str| content.find(&at(name)).map(|found| found.is_some());

    let layout =
        if has(LAYOUT)? || content.has_below(&at("blobs")) { read_layout(content, &prefix)? } else { None };
    let mut items = Vec::new();
    let manifest = read(content, &at(MANIFEST))?;
    let is_docker = match &manifest {
        None => false,
        Some(bytes) => {
            let parsed = docker::parse(bytes)
                .map_err(|reason| Error::member(content.label(), &at(MANIFEST), escape(&reason)))?;
            match parsed {
                ManifestJson::Docker(found) => {
                    items = found;
                    true
                }
                // Beside an image layout, a manifest.json of another kind says nothing.
                _ if layout.is_some() => false,
                other => return Err(refuse_manifest(content.label(), &other, has("version")?)),
            }
        }
    };
    if layout.is_none() && !is_docker {
        if has(REPOSITORIES)? || is_v1(content, &prefix)? {
            return Err(unsupported(content, V1, true));
        }
        return Err(other(content, &prefix, has(INDEX)?));
    }
    if items.is_empty() && layout.as_ref().is_none_or(|layout| layout.entries().is_empty()) {
        return Err(not_an_archive(content, "it holds no images"));
    }
    Ok(Recognised { prefix, layout, items })
}

const V1: &str = "an image in the format of docker before 1.10, without a manifest.json";

/// The folder in which the documents lie: the top, or the only folder that has them.
fn prefix(content: &dyn Content) -> Result<String> {
    let has = |name: &str| content.find(name).map(|found| found.is_some());
    for marker in [INDEX, MANIFEST, LAYOUT, REPOSITORIES] {
        if has(marker)? {
            return Ok(String::new());
        }
    }
    let mut wrapped = Vec::new();
    for folder in content.folders() {
        let at = |name: &str| format!("{folder}/{name}");
        if has(&at(MANIFEST))? || (has(&at(INDEX))? && has(&at(LAYOUT))?) {
            wrapped.push(folder);
        }
    }
    match wrapped.as_slice() {
        [] => Ok(String::new()),
        [folder] => Ok(format!("{folder}/")),
        _ => {
            let folders: Vec<String> = wrapped.iter().map(|folder| escape(folder)).collect();
            let reason = format!("several folders in it hold images: {}", folders.join(", "));
            Err(not_an_archive(content, reason))
        }
    }
}

fn read_layout(content: &dyn Content, prefix: &str) -> Result<Option<Document>> {
    #[derive(Deserialize)]
    struct Layout {
        #[serde(rename = "imageLayoutVersion")]
        version: String,
    }
    if let Some(member) = content.find(&format!("{prefix}{LAYOUT}"))? {
        let bytes = read_whole(content, &member, MAX_MANIFEST_SIZE)?;
        let fail = |reason: String| Error::member(content.label(), &member.name, escape(&reason));
        check_json(&bytes).map_err(fail)?;
        let layout: Layout = serde_json::from_slice(&bytes).map_err(|error| fail(error.to_string()))?;
        if layout.version != "1.0" && !layout.version.starts_with("1.0.") {
            return Err(fail(format!("it has version {:?}, which is not supported", layout.version)));
        }
    }
    let name = format!("{prefix}{INDEX}");
    let Some(bytes) = read(content, &name)? else { return Ok(None) };
    let document =
        Document::parse(&bytes).map_err(|reason| Error::member(content.label(), &name, escape(&reason)))?;
    Ok(Some(document))
}

fn read(content: &dyn Content, name: &str) -> Result<Option<Vec<u8>>> {
    content.find(name)?.map(|member| read_whole(content, &member, MAX_INDEX)).transpose()
}

fn refuse_manifest(label: &str, manifest: &ManifestJson, has_version: bool) -> Error {
    let archive = label.to_owned();
    let (what, later) = match manifest {
        ManifestJson::Imgpkg => ("an imgpkg archive", false),
        ManifestJson::RegistryManifest if has_version => ("what skopeo calls a dir:", true),
        ManifestJson::RegistryManifest => ("a registry manifest with its blobs beside it", true),
        ManifestJson::Null | ManifestJson::Docker(_) => {
            return Error::member(label, MANIFEST, "it is null, where a list of images should be");
        }
    };
    Error::Unsupported { archive, what, later }
}

/// Folders with `json` and `VERSION` in them are layers as docker kept them before 1.10.
fn is_v1(content: &dyn Content, prefix: &str) -> Result<bool> {
    if !prefix.is_empty() {
        return Ok(false);
    }
    for folder in content.folders().into_iter().take(16) {
        let has = |name: &str| content.find(&format!("{folder}/{name}")).map(|found| found.is_some());
        if has("json")? && has("VERSION")? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is none of the formats is often something that looks like one.
fn other(content: &dyn Content, prefix: &str, has_index: bool) -> Error {
    let below = |folder: &str| content.has_below(&format!("{prefix}{folder}"));
    if content.is_empty() {
        not_an_archive(content, "it is empty")
    } else if ["docker/registry/v2", "registry/v2", "v2/repositories"].into_iter().any(below) {
        unsupported(content, "the storage of a registry", false)
    } else if has_index {
        not_an_archive(content, "it has an index.json, but neither oci-layout nor blobs")
    } else if below("blobs") {
        not_an_archive(content, "it has blobs, but no index.json")
    } else if ["etc", "usr", "proc", "bin"].into_iter().any(below) {
        unsupported(content, "a root file system, as docker export writes it, or a single layer", false)
    } else {
        not_an_archive(content, "it has neither index.json nor manifest.json; it may be a single layer")
    }
}

fn not_an_archive(content: &dyn Content, reason: impl Into<String>) -> Error {
    Error::NotAnArchive { archive: content.label().to_owned(), reason: reason.into() }
}

fn unsupported(content: &dyn Content, what: &'static str, later: bool) -> Error {
    Error::Unsupported { archive: content.label().to_owned(), what, later }
}
