//! What an archive is, told by the documents at its top, or what it is instead.

use ocirepo_store::Digest;
use ocirepo_store::graph::{Class, MAX_MANIFEST_SIZE, class_by_shape, own_media_type};
use ocirepo_store::index::{Document, Entry, check_json};
use serde::Deserialize;

use super::carrier::BlobNames;
use super::docker::{self, Item, ManifestJson};
use super::naming::Carriers;
use crate::archive::limits::MAX_INDEX;
use crate::archive::{Content, read_whole};
use crate::bundle::{TOC, Toc};
use crate::error::{Error, Result, escape};

/// An archive that holds images.
#[derive(Debug)]
pub(crate) struct Recognised {
    /// The folder that the images lie in, with its slash; empty for the top.
    pub(crate) prefix: String,
    /// Its table of contents, if it is a bundle. What the table lists beside index.json is in the
    /// layout as well.
    pub(crate) toc: Option<Toc>,
    /// How blobs are named in it.
    pub(crate) blobs: BlobNames,
    /// How its images are described.
    pub(crate) described: Described,
}

/// How the images of an archive are described.
#[derive(Debug)]
pub(crate) struct Described {
    /// Its index.json, if it is an image layout.
    pub(crate) layout: Option<Document>,
    /// The items of its manifest.json, if it is a docker archive.
    pub(crate) items: Vec<Item>,
    /// Whether it is an archive of docker before 1.10.
    pub(crate) is_v1: bool,
    /// Which annotations carry names.
    pub(crate) carriers: Carriers,
}

impl Recognised {
    /// Whether it is what skopeo calls a `dir:`.
    pub(crate) fn is_dir(&self) -> bool {
        matches!(self.blobs, BlobNames::Dir { .. })
    }
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
    let carriers = if prefix == ZARF_IMAGES && content.find(ZARF_PACKAGE)?.is_some() {
        Carriers::Zarf
    } else {
        Carriers::Usual
    };
    let mut recognised = Recognised {
        prefix: prefix.clone(),
        toc: None,
        blobs: BlobNames::Layout,
        described: Described { layout, items: Vec::new(), is_v1: false, carriers },
    };
    let described = &mut recognised.described;
    if let (Some(layout), Some(bytes)) = (&mut described.layout, read(content, &at(TOC))?) {
        let fail = |reason: String| Error::member(content.label(), &at(TOC), escape(&reason));
        let toc = Toc::parse(&bytes).map_err(fail)?;
        layout.entries_mut().extend_from_slice(&toc.artifacts);
        recognised.toc = Some(toc);
    }
    let manifest = read(content, &at(MANIFEST))?;
    let is_docker = match &manifest {
        None => false,
        Some(bytes) => {
            let fail = |reason: String| Error::member(content.label(), &at(MANIFEST), escape(&reason));
            match docker::parse(bytes).map_err(fail)? {
                ManifestJson::Docker(items) => {
                    described.items = items;
                    true
                }
                // Beside an image layout, a manifest.json of another kind says nothing.
                _ if described.layout.is_some() => false,
                ManifestJson::RegistryManifest => {
                    let (index, manifest) = dir_index(bytes).map_err(fail)?;
                    described.layout = Some(index);
                    recognised.blobs = BlobNames::Dir { manifest };
                    return Ok(recognised);
                }
                other => return Err(refuse_manifest(content.label(), &other)),
            }
        }
    };
    if described.layout.is_none() && !is_docker {
        if !has(REPOSITORIES)? && !is_v1(content, &recognised.prefix)? {
            return Err(other(content, &recognised.prefix, has(INDEX)?));
        }
        described.is_v1 = true;
        return Ok(recognised);
    }
    if described.items.is_empty()
        && described.layout.as_ref().is_none_or(|layout| layout.entries().is_empty())
    {
        return Err(not_an_archive(content, "it holds no images"));
    }
    Ok(recognised)
}

/// A zarf package keeps an image layout in this folder, beside its own description.
const ZARF_IMAGES: &str = "images/";
const ZARF_PACKAGE: &str = "zarf.yaml";

/// The one nameless entry that the manifest of a `dir:` stands for, as an index; and its digest.
fn dir_index(manifest: &[u8]) -> Result<(Document, Digest), String> {
    let media_type = match own_media_type(manifest) {
        Some(own) if Class::of(&own).is_document() => own,
        _ => match class_by_shape(manifest) {
            Some(Class::Image) => "application/vnd.oci.image.manifest.v1+json".to_owned(),
            Some(Class::Index) => "application/vnd.oci.image.index.v1+json".to_owned(),
            Some(Class::Schema1) => "application/vnd.docker.distribution.manifest.v1+prettyjws".to_owned(),
            _ => return Err("it is an object, but not the manifest of an image".to_owned()),
        },
    };
    let digest = Digest::sha256(manifest);
    let mut index = Document::empty();
    let entry = Entry::for_descriptor(&media_type, &digest, manifest.len() as u64, None);
    index.entries_mut().push(entry);
    Ok((index, digest))
}

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
        if has(&at(MANIFEST))? || has(&at(REPOSITORIES))? || (has(&at(INDEX))? && has(&at(LAYOUT))?) {
            wrapped.push(folder);
        }
    }
    match wrapped.as_slice() {
        [] => Ok(String::new()),
        [folder] => Ok(format!("{folder}/")),
        _ => {
            let folders: Vec<String> = wrapped.iter().map(|folder| escape(folder)).collect();
            let reason =
                format!("several folders in it hold images, add them one by one: {}", folders.join(", "));
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

fn refuse_manifest(label: &str, manifest: &ManifestJson) -> Error {
    if matches!(manifest, ManifestJson::Imgpkg) {
        return Error::Unsupported { archive: label.to_owned(), what: "an imgpkg archive" };
    }
    Error::member(label, MANIFEST, "it is null, where a list of images should be")
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
    } else if is_registry(content) {
        unsupported(content, "the storage of a registry")
    } else if has_index {
        not_an_archive(content, "it has an index.json, but neither oci-layout nor blobs")
    } else if below("blobs") {
        not_an_archive(content, "it has blobs, but no index.json")
    } else if ["etc", "usr", "proc", "bin"].into_iter().any(below) {
        unsupported(content, "a root file system, as docker export writes it, or a single layer")
    } else if content.is_directory() {
        let reason =
            "the directory has neither index.json nor manifest.json; archives in it are added by their names";
        not_an_archive(content, reason)
    } else {
        not_an_archive(content, "it has neither index.json nor manifest.json; it may be a single layer")
    }
}

/// The storage of a registry, packed from wherever.
fn is_registry(content: &dyn Content) -> bool {
    let storages = ["docker/registry/v2", "registry/v2", "v2/repositories"];
    let folders = content.folders();
    storages.into_iter().any(|storage| {
        content.has_below(storage)
            || folders.iter().any(|folder| content.has_below(&format!("{folder}/{storage}")))
    })
}

fn not_an_archive(content: &dyn Content, reason: impl Into<String>) -> Error {
    Error::NotAnArchive { archive: content.label().to_owned(), reason: reason.into() }
}

fn unsupported(content: &dyn Content, what: &'static str) -> Error {
    Error::Unsupported { archive: content.label().to_owned(), what }
}
