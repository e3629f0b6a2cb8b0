//! Images of a source that are one image for several platforms.
//!
//! An archive may give one name to an image for each platform, as hauler does, or list such images
//! without names. They are joined into an index, which then has the name.

use std::collections::{HashMap, HashSet};

use ocirepo_store::Digest;
use ocirepo_store::graph::Class;
use ocirepo_store::index::{Document, Entry};
use ocirepo_store::name::Name;

use super::join::{Child, INDEX, are_distinct, merge, write};
use super::naming::{Root, Surroundings, spell};
use crate::error::{Error, Result, escape};

/// Makes sure that the platform of an image is known, if anybody says it.
pub(super) fn find_platform(surroundings: &dyn Surroundings, root: &mut Root) -> Result<()> {
    if root.platform.is_none()
        && let Some(config) = &root.config
    {
        root.platform = surroundings.platform(config)?;
    }
    Ok(())
}

/// What an index of several platforms would list in place of a root.
pub(super) fn children_of(surroundings: &dyn Surroundings, root: &mut Root) -> Result<Vec<Child>> {
    if !root.children.is_empty() {
        return Ok(root.children.clone());
    }
    find_platform(surroundings, root)?;
    match root.class() {
        Some(Class::Index) => listed_in(surroundings, &root.entry, 0),
        _ => Ok(root.child().into_iter().collect()),
    }
}

/// So deep may indexes be nested.
const MAX_DEPTH: usize = 16;

/// What an index of the source lists, those that it nests included.
fn listed_in(surroundings: &dyn Surroundings, index: &Entry, depth: usize) -> Result<Vec<Child>> {
    let Some(index) = surroundings.index(index)? else { return Ok(Vec::new()) };
    let mut children = Vec::with_capacity(index.entries().len());
    for entry in index.entries() {
        let Ok(descriptor) = entry.descriptor() else { continue };
        match (&descriptor.platform, Class::of(&descriptor.media_type)) {
            (_, Class::Index) if depth < MAX_DEPTH => {
                children.extend(listed_in(surroundings, entry, depth + 1)?);
            }
            (None, Class::Image) => {
                let platform = surroundings.platform_of(entry)?;
                children.extend(Child::new(entry, platform).ok());
            }
            (platform, _) => children.extend(Child::new(entry, platform.clone()).ok()),
        }
    }
    Ok(children)
}

/// Where one name stands for several images, each for another platform, makes an index of them.
pub(super) fn join_platforms(surroundings: &dyn Surroundings, roots: &mut Vec<Root>) -> Result<()> {
    let mut holders: HashMap<Name, (HashSet<&Digest>, Vec<usize>)> = HashMap::new();
    for (position, root) in roots.iter().enumerate() {
        for name in &root.names {
            let (digests, holders): &mut (HashSet<&Digest>, Vec<usize>) =
                holders.entry(name.clone()).or_default();
            if digests.insert(&root.digest) {
                holders.push(position);
            }
        }
    }
    let mut shared: Vec<(Vec<usize>, Name)> =
        holders.into_iter().filter(|(_, (_, at))| at.len() > 1).map(|(name, (_, at))| (at, name)).collect();
    shared.sort_unstable();
    let mut made: Vec<(usize, Root)> = Vec::new();
    let mut gone: HashSet<usize> = HashSet::new();
    for (positions, name) in shared {
        let mut joined = join(surroundings, roots, &positions, &name)?;
        let digests: Vec<Digest> = positions.iter().map(|&position| roots[position].digest.clone()).collect();
        let members: HashSet<Digest> = digests.iter().cloned().collect();
        for (position, root) in
            roots.iter_mut().enumerate().filter(|(_, root)| members.contains(&root.digest))
        {
            let had_names = !root.names.is_empty();
            root.names.retain(|held| *held != name);
            if had_names && root.names.is_empty() {
                // What has become part of an index needs no entry of its own.
                gone.insert(position);
                joined.warnings.append(&mut root.warnings);
            }
        }
        let attestations = roots.iter().enumerate();
        let attestations =
            attestations.filter(|(_, root)| root.attested().is_some_and(|image| members.contains(&image)));
        gone.extend(attestations.map(|(position, _)| position));
        match made.iter_mut().find(|(_, root)| root.digest == joined.digest) {
            Some((_, same)) => same.names.push(name),
            None => made.push((positions[0], joined)),
        }
    }
    let mut made = made.into_iter().peekable();
    for (position, root) in std::mem::take(roots).into_iter().enumerate() {
        while let Some((_, joined)) = made.next_if(|(at, _)| *at == position) {
            roots.push(joined);
        }
        if !gone.contains(&position) {
            roots.push(root);
        }
    }
    Ok(())
}

/// An index of several images, each for another platform.
fn join(
    surroundings: &dyn Surroundings,
    roots: &mut [Root],
    positions: &[usize],
    name: &Name,
) -> Result<Root> {
    let mut children: Vec<Child> = Vec::new();
    for &position in positions {
        find_platform(surroundings, &mut roots[position])?;
        children.extend(roots[position].child());
    }
    if children.len() != positions.len() || !are_distinct(&children) {
        return Err(Error::NameTwice {
            archive: surroundings.archive().to_owned(),
            name: spell(name),
            first: roots[positions[0]].digest.clone(),
            second: roots[positions[1]].digest.clone(),
        });
    }
    let platforms: Vec<String> =
        children.iter().filter_map(|child| child.platform.as_ref()).map(ToString::to_string).collect();
    let platforms = escape(&platforms.join(" and "));
    let members: HashSet<Digest> = positions.iter().map(|&position| roots[position].digest.clone()).collect();
    let attestations =
        roots.iter().filter(|root| root.attested().is_some_and(|image| members.contains(&image)));
    children.extend(attestations.filter_map(|root| Child::new(&root.entry, None).ok()));
    let children = merge(Vec::new(), children);
    let bytes = write(Document::empty(), children.clone()).map_err(|reason| Error::BadImage {
        archive: surroundings.archive().to_owned(),
        image: spell(name),
        reason,
    })?;
    let digest = surroundings.put(&bytes)?;
    Ok(Root {
        entry: Entry::for_descriptor(INDEX, &digest, bytes.len() as u64, None),
        digest,
        position: roots[positions[0]].position,
        names: vec![name.clone()],
        subject: None,
        config: None,
        platform: None,
        children,
        warnings: vec![format!("its images for {platforms} were joined into an index")],
        format: roots[positions[0]].format,
    })
}

/// Whether several images are each for another platform.
pub(super) fn are_platforms(
    surroundings: &dyn Surroundings,
    roots: &mut [Root],
    images: &[usize],
) -> Result<bool> {
    let mut children: Vec<Child> = Vec::new();
    for &image in images {
        find_platform(surroundings, &mut roots[image])?;
        children.extend(roots[image].child());
    }
    Ok(!children.is_empty() && children.len() == images.len() && are_distinct(&children))
}
