//! What an entry is to a runtime: an image that can be run, or something else.

use ocirepo_store::graph::{Class, Descriptor, Link, Platform, is_image_config};
use ocirepo_store::index::Entry;

use crate::error::{Result, escape};
use crate::import::naming;
use crate::import::oci::{Graph, Held, Listed, attested, platform_of_config, reference};

/// A manifest that can be run.
#[derive(Debug, Clone)]
pub(super) struct Runnable {
    pub(super) config: Descriptor,
    /// Its layers, bottom first.
    pub(super) layers: Vec<Descriptor>,
    platform: Option<Platform>,
}

impl Runnable {
    /// What it is for, for a message.
    pub(super) fn platform(&self) -> String {
        self.platform.as_ref().map_or_else(|| "an unknown one".to_owned(), |it| escape(&it.to_string()))
    }
}

/// What stands behind an entry.
#[derive(Debug)]
pub(super) enum Sort {
    /// An image, with what can be run of it; nothing, when all of that is elsewhere.
    Image(Vec<Runnable>),
    /// An image in docker's schema 1.
    Schema1,
    /// A signature, a chart, or whatever else.
    Artifact,
}

/// So deep may indexes be nested.
const MAX_DEPTH: usize = 16;

/// Looks at an entry.
///
/// # Errors
/// When a document is damaged.
pub(super) fn sort(graph: &mut Graph<'_, '_>, image: &Listed) -> Result<Sort> {
    if attested(&image.entry).is_some() || is_fallback(image) || is_nameless_referrer(graph, image)? {
        return Ok(Sort::Artifact);
    }
    let mut found = Found::default();
    look(graph, &image.descriptor, None, 0, &mut found)?;
    Ok(match found {
        Found { runnable, absent, .. } if !runnable.is_empty() || absent => Sort::Image(runnable),
        Found { schema1: true, .. } => Sort::Schema1,
        Found { .. } => Sort::Artifact,
    })
}

/// Whether its name is one of the tags by which signatures and referrers are found. Mirrors tag an
/// image with its own digest, which is no such tag.
fn is_fallback(image: &Listed) -> bool {
    naming::subject(&image.names, None).is_some_and(|subject| subject != image.descriptor.digest)
}

/// Whether it has no name and is about something else, whatever it looks like.
fn is_nameless_referrer(graph: &mut Graph<'_, '_>, image: &Listed) -> Result<bool> {
    let class = Class::of(&image.descriptor.media_type);
    if !image.names.is_empty() || !matches!(class, Class::Image | Class::Index) {
        return Ok(false);
    }
    let label = image.descriptor.digest.to_string();
    let Held::Node(node) = graph.load(&image.descriptor, class, None, &label)? else { return Ok(false) };
    Ok(node.linked(Link::Subject).next().is_some())
}

#[derive(Default)]
struct Found {
    runnable: Vec<Runnable>,
    schema1: bool,
    /// Whether a child is not there that may be an image.
    absent: bool,
}

fn look(
    graph: &mut Graph<'_, '_>,
    descriptor: &Descriptor,
    child: Option<&Entry>,
    depth: usize,
    found: &mut Found,
) -> Result<()> {
    let class = Class::of(&descriptor.media_type);
    let is_unknown = descriptor.platform.as_ref().is_some_and(Platform::is_unknown);
    if class == Class::Schema1 {
        found.schema1 = true;
    }
    if !matches!(class, Class::Image | Class::Index)
        || depth > MAX_DEPTH
        || is_unknown
        || child.is_some_and(|entry| reference(entry).is_some())
    {
        return Ok(());
    }
    let label = descriptor.digest.to_string();
    let node = match graph.load(descriptor, class, None, &label)? {
        Held::Node(node) => node,
        Held::Absent => {
            found.absent |= depth > 0;
            return Ok(());
        }
        Held::Data => return Ok(()),
    };
    if class == Class::Index {
        let bytes = graph.bytes(descriptor, class, &label)?;
        let fail = |reason: String| graph.carrier.bad_image(&label, escape(&reason));
        let index = ocirepo_store::index::Document::parse(&bytes).map_err(fail)?;
        for child in index.entries() {
            let Ok(below) = child.descriptor().cloned() else { continue };
            look(graph, &below, Some(child), depth + 1, found)?;
        }
        return Ok(());
    }
    let Some(config) = node.linked(Link::Config).find(|config| is_image_config(&config.media_type)) else {
        return Ok(());
    };
    let layers: Vec<Descriptor> = node.linked(Link::Layer).cloned().collect();
    if layers.iter().all(|layer| is_layer(&layer.media_type)) {
        let platform = match &descriptor.platform {
            Some(platform) => Some(platform.clone()),
            None => platform_of_config(graph.carrier, &config.digest)?,
        };
        found.runnable.push(Runnable { config: config.clone(), layers, platform });
    }
    Ok(())
}

fn is_layer(media_type: &str) -> bool {
    media_type.contains(".image.layer.") || media_type.contains(".image.rootfs.")
}

/// The one image that stands for all platforms of an index where only one can: that for linux/amd64,
/// else the first for linux, else the first. It does not depend on the machine.
pub(super) fn representative(runnable: &[Runnable]) -> Option<&Runnable> {
    let find = |architecture: Option<&str>| {
        runnable.iter().find(|image| {
            image.platform.as_ref().is_some_and(|platform| {
                platform.os == "linux" && architecture.is_none_or(|wanted| platform.architecture == wanted)
            })
        })
    };
    find(Some("amd64")).or_else(|| find(None)).or_else(|| runnable.first())
}
