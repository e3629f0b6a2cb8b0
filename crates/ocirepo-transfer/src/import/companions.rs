//! Images that are about other images: signatures, attestations and the like.

use std::collections::{HashMap, HashSet};

use ocirepo_store::Digest;

use super::naming;
use super::oci::{self, Graph, Listed, Survey};

/// The images that are about another one of those that are left, by position: signatures and
/// the like. To be asked before any of them becomes another one.
pub(crate) fn companions(graph: &mut Graph<'_, '_>, listed: &[Listed]) -> HashMap<usize, Digest> {
    let survey = Survey::of(graph, listed.iter().map(|image| &image.descriptor));
    let about = |image: &Listed| Some((image.position, about(image, &survey)?));
    let companions = listed.iter().filter_map(about);
    companions.filter(|(_, subject)| survey.documents.contains(subject)).collect()
}

/// Leaves out what is about an image that is another one now: a signature of a digest that is
/// gone signs nothing, and would bring in what was not wanted.
pub(crate) fn leave_strays(
    graph: &mut Graph<'_, '_>,
    listed: &mut Vec<Listed>,
    companions: &HashMap<usize, Digest>,
    warnings: &mut Vec<String>,
) {
    let is_own = |image: &&Listed| !companions.contains_key(&image.position);
    let mut reached = Survey::of(graph, listed.iter().filter(is_own).map(|image| &image.descriptor));
    let mut open: Vec<&Listed> = listed.iter().filter(|image| !is_own(image)).collect();
    let mut strays: HashSet<usize> = HashSet::new();
    while !open.is_empty() {
        let (taken, rest): (Vec<&Listed>, Vec<&Listed>) =
            open.into_iter().partition(|image| reached.documents.contains(&companions[&image.position]));
        if taken.is_empty() {
            strays = rest.iter().map(|image| image.position).collect();
            break;
        }
        reached.follow(graph, taken.into_iter().map(|image| &image.descriptor));
        open = rest;
    }
    for stray in listed.iter().filter(|image| strays.contains(&image.position)) {
        let digest = &stray.descriptor.digest;
        let name = stray.names.first().map(|name| format!(" ({})", naming::spell(name)));
        warnings.push(format!(
            "{digest}{} was left out: it is about {}, which was not taken as it is",
            name.unwrap_or_default(),
            companions[&stray.position]
        ));
    }
    listed.retain(|image| !strays.contains(&image.position));
}

/// What an image is about, if that is another one.
pub(crate) fn about(image: &Listed, survey: &Survey) -> Option<Digest> {
    let digest = &image.descriptor.digest;
    naming::subject(&image.names, survey.subjects.get(digest))
        .or_else(|| oci::attested(&image.entry))
        // Mirrors tag an image with its own digest.
        .filter(|subject| subject != digest)
}
