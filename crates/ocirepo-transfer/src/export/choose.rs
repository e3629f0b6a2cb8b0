//! Which entries are exported: those that were asked for, what is about them, and of each only the
//! platforms that were asked for.

use std::collections::{BTreeSet, HashMap};

use ocirepo_store::Repository;
use ocirepo_store::graph::{Class, Graph as Reached, closure};
use ocirepo_store::index::{Document, Entry};

use super::ExportOptions;
use crate::error::{Error, Result, escape};
use crate::import::companions::{companions, leave_strays};
use crate::import::oci::{Graph, Listed, Survey};
use crate::import::platform;

/// The entries of a bundle, and everything that they lead to.
pub(super) struct Choice {
    pub(super) listed: Vec<Listed>,
    pub(super) reached: Reached,
    pub(super) warnings: Vec<String>,
}

/// Chooses the entries at the positions `wanted`.
///
/// # Errors
/// When an entry cannot be used, and when there is nothing of it for a platform.
pub(super) fn choose(
    repository: &Repository,
    document: &Document,
    graph: &mut Graph<'_, '_>,
    wanted: &[usize],
    options: &ExportOptions,
) -> Result<Choice> {
    let mut chosen: BTreeSet<usize> = wanted.iter().copied().collect();
    if !options.referrers {
        leave_referrers(repository, document, graph, &mut chosen)?;
    }
    let roots: Vec<Entry> = chosen.iter().map(|&position| document.entries()[position].clone()).collect();
    let found = closure(repository, document, &roots, options.referrers)?;
    let positions: BTreeSet<usize> = chosen.into_iter().chain(found.companions).collect();
    let mut listed = positions
        .into_iter()
        .map(|position| list(repository, &document.entries()[position], position))
        .collect::<Result<Vec<_>>>()?;
    let mut warnings = Vec::new();
    if options.platforms.is_empty() {
        return Ok(Choice { listed, reached: found.graph, warnings });
    }

    let about = companions(graph, &listed);
    let before: HashMap<usize, Entry> =
        listed.iter().map(|image| (image.position, image.entry.clone())).collect();
    let none = (&mut Vec::new(), &mut Vec::new());
    platform::keep(graph, &options.platforms, &about, &mut listed, none.0, none.1, &mut warnings)?;
    leave_strays(graph, &mut listed, &about, &mut warnings);
    for image in &mut listed {
        let old = &before[&image.position];
        keep_names(image, old)?;
        let label = image.entry.label(image.position);
        warnings.extend(image.warnings.drain(..).map(|warning| format!("{label}: {warning}")));
    }
    // An index that was cut is nowhere in the repository, but what is left of its children is.
    let mut roots = Vec::new();
    for image in &listed {
        match graph.made().get(&image.descriptor.digest) {
            Some(bytes) => roots.extend(children(graph, bytes)?),
            None => roots.push(image.entry.clone()),
        }
    }
    let reached = closure(repository, document, &roots, options.referrers)?.graph;
    Ok(Choice { listed, reached, warnings })
}

/// Gives what is left of an image the names of the image.
fn keep_names(image: &mut Listed, old: &Entry) -> Result<()> {
    let named = image.entry.with_names(old.image_name(), old.ref_name());
    image.entry = named.map_err(|reason| Error::NoForm {
        image: old.label(image.position),
        format: "bundle",
        reason: escape(&reason),
    })?;
    Ok(())
}

/// Leaves what is about another one of those that are chosen, and what is about that.
fn leave_referrers(
    repository: &Repository,
    document: &Document,
    graph: &mut Graph<'_, '_>,
    chosen: &mut BTreeSet<usize>,
) -> Result<()> {
    let listed = chosen
        .iter()
        .map(|&position| list(repository, &document.entries()[position], position))
        .collect::<Result<Vec<_>>>()?;
    let about = companions(graph, &listed);
    let (mut open, own): (Vec<&Listed>, Vec<&Listed>) =
        listed.iter().partition(|image| about.contains_key(&image.position));
    let mut reached = Survey::of(graph, own.into_iter().map(|image| &image.descriptor));
    loop {
        let (left, rest): (Vec<&Listed>, Vec<&Listed>) =
            open.into_iter().partition(|image| reached.documents.contains(&about[&image.position]));
        if left.is_empty() {
            return Ok(());
        }
        reached.follow(graph, left.iter().map(|image| &image.descriptor));
        left.iter().for_each(|image| {
            chosen.remove(&image.position);
        });
        open = rest;
    }
}

/// The children of an index that was made here; of those that were made as well, theirs.
fn children(graph: &Graph<'_, '_>, index: &[u8]) -> Result<Vec<Entry>> {
    let mut open = vec![index.to_owned()];
    let mut children = Vec::new();
    while let Some(bytes) = open.pop() {
        let index = Document::parse(&bytes)
            .map_err(|reason| graph.carrier.bad_image("an index that was cut", escape(&reason)))?;
        for child in index.entries() {
            let is_index = child.descriptor().is_ok_and(|it| Class::of(&it.media_type) == Class::Index);
            match child.digest().and_then(|digest| graph.made().get(digest)).filter(|_| is_index) {
                Some(bytes) => open.push(bytes.clone()),
                None => children.push(child.clone()),
            }
        }
    }
    Ok(children)
}

fn list(repository: &Repository, entry: &Entry, position: usize) -> Result<Listed> {
    let descriptor = entry.descriptor().map_err(|reason| Error::BadStored {
        repository: repository.path().display().to_string(),
        image: escape(&entry.label(position)),
        reason: escape(reason),
    })?;
    Ok(Listed {
        descriptor: descriptor.clone(),
        entry: entry.clone(),
        names: entry.name().cloned().into_iter().collect(),
        warnings: Vec::new(),
        position,
    })
}
