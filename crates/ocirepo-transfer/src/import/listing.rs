//! What an archive holds: the entries that it would become, found out without reading the layers of
//! image layouts.
//!
//! They are those of an import without any options into an empty repository, but for one thing: an
//! entry of index.json that already says its name is as it is there. Images that come without a
//! manifest have theirs made, which takes reading and proving all of their layers. What is not there,
//! or damaged, of an image layout is for others to find.

use ocirepo_store::index::edit::Put;
use ocirepo_store::index::{Document, Entry};
use ocirepo_store::name::RefPolicy;

use super::carrier::Carrier;
use super::layers::{Known, Layering};
use super::naming::{self, Root};
use super::oci::{Graph, Listed, Survey};
use super::options::{ImportOptions, Layers};
use super::plan::{Images, Session};
use super::recognise::Described;
use super::{docker, v1};
use crate::error::{Error, Result};

/// What a layout is called does not matter here.
const FORMAT: &str = "OCI layout";

/// Lists what an archive holds, with what is odd about it. What is made is part of the session.
///
/// # Errors
/// When its documents are damaged, or an image without a manifest is.
pub(crate) fn list(carrier: &Carrier<'_>, described: Described) -> Result<(Document, Vec<String>)> {
    let mut graph = Graph::new(carrier);
    let (images, survey) = Images::read(&mut graph, described)?;
    let known = Known::new(carrier.repository());
    let layering = Layering { policy: Layers::Keep, allow_thin: false, known };
    let mut roots: Vec<Root> = images.listed.into_iter().map(|listed| root(listed, &survey)).collect();
    roots.extend(docker::import(carrier, &images.docker, &layering)?);
    roots.extend(v1::import(carrier, &images.v1, &layering)?);
    if roots.is_empty() {
        let reason = "it holds no images".to_owned();
        return Err(Error::NotAnArchive { archive: carrier.label().to_owned(), reason });
    }
    let mut warnings = carrier.content.warnings().to_vec();
    let puts: Vec<Put> = match plan(&graph, roots.clone(), &survey) {
        Ok(puts) => puts,
        // What cannot be added as it is can be looked at all the same.
        Err(error @ Error::NameTwice { .. }) => {
            warnings.push(error.to_string());
            roots.into_iter().flat_map(every_name).collect()
        }
        Err(error) => return Err(error),
    };
    let mut document = Document::empty();
    document.entries_mut().extend(puts.into_iter().map(entry));
    Ok((document, warnings))
}

fn plan(graph: &Graph<'_, '_>, roots: Vec<Root>, survey: &Survey) -> Result<Vec<Put>> {
    let options = ImportOptions::default();
    let session = Session { graph };
    let planned = naming::plan(&session, roots, &survey.documents, RefPolicy::Full, &options)?;
    Ok(planned.into_iter().map(|planned| planned.put).collect())
}

fn root(listed: Listed, survey: &Survey) -> Root {
    let Listed { entry, descriptor, names, warnings, position } = listed;
    Root {
        entry,
        subject: survey.subjects.get(&descriptor.digest).cloned(),
        config: survey.configs.get(&descriptor.digest).cloned(),
        platform: descriptor.platform,
        digest: descriptor.digest,
        children: Vec::new(),
        position,
        names,
        warnings,
        format: FORMAT,
    }
}

fn every_name(root: Root) -> Vec<Put> {
    let put = |name| Put { entry: root.entry.clone(), name, replace: false };
    match root.names.is_empty() {
        true => vec![put(None)],
        false => root.names.iter().cloned().map(|name| put(Some(name))).collect(),
    }
}

fn entry(put: Put) -> Entry {
    let Put { entry, name, .. } = put;
    if entry.name() == name.as_ref() {
        return entry;
    }
    let image_name = name.as_ref().and_then(|name| name.image_name());
    let ref_name = name.as_ref().and_then(|name| name.ref_name(RefPolicy::Full));
    entry.with_names(image_name.as_deref(), ref_name.as_deref()).unwrap_or(entry)
}
