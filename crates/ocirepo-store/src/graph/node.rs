//! One document of the graph: which blobs it names, and in which role.
//!
//! Known documents are parsed strictly: duplicate names, content of another class than the
//! descriptor says, or a descriptor that cannot be used make the document broken, because what it
//! keeps alive cannot be known. Documents of unknown types are read the other way round:
//! everything in them that looks like a descriptor counts, because keeping too much is safe.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::value::RawValue;

use super::descriptor::Descriptor;
use super::media_type::Class;
use crate::digest::Digest;
use crate::index::json::{self, Object};

/// The largest document that is opened, in bytes. Registries have the same limit.
pub const MAX_MANIFEST_SIZE: u64 = 4 << 20;

/// How one document names another blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Link {
    /// From `manifests` of an index.
    Manifest,
    /// `config` of an image manifest.
    Config,
    /// From `layers`, `blobs` or `fsLayers`.
    Layer,
    /// `subject`: what the document is about.
    Subject,
    /// Looks like a descriptor in a document of an unknown type.
    Guess,
    /// Against the arrow: a document whose `subject` this is.
    Referrer,
}

impl Link {
    /// The link in a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Config => "config",
            Self::Layer => "layer",
            Self::Subject => "subject",
            Self::Guess => "descriptor",
            Self::Referrer => "referrer",
        }
    }
}

/// A blob that a document names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Edge {
    /// How it is named.
    pub link: Link,
    /// What it is.
    pub descriptor: Descriptor,
    /// Whether its size is stated; schema 1 does not state sizes.
    pub sized: bool,
}

impl Edge {
    /// The class of the blob in the role that the edge gives it: what stands as a config or a
    /// layer is data whatever its type says, and what stands where a manifest may stand is opened
    /// unless its type is known to be data.
    #[must_use]
    pub fn class(&self) -> Class {
        match self.link {
            Link::Config | Link::Layer => Class::Data,
            _ => Class::of(&self.descriptor.media_type),
        }
    }
}

/// A parsed document.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Node {
    /// Everything it names, in document order.
    pub edges: Vec<Edge>,
    /// Its `artifactType`.
    pub artifact_type: Option<String>,
}

impl Node {
    /// The document that this one is about.
    #[must_use]
    pub fn subject(&self) -> Option<&Descriptor> {
        self.edges.iter().find(|edge| edge.link == Link::Subject).map(|edge| &edge.descriptor)
    }

    /// The descriptors under one kind of link.
    pub fn linked(&self, link: Link) -> impl Iterator<Item = &Descriptor> {
        self.edges.iter().filter(move |edge| edge.link == link).map(|edge| &edge.descriptor)
    }

    /// Parses a document that was declared as `class`.
    ///
    /// # Errors
    /// What is wrong, when the document is broken. Unknown types never are.
    pub fn parse(bytes: &[u8], class: Class) -> Result<Self, String> {
        match class {
            Class::Data => Ok(Self { edges: Vec::new(), artifact_type: None }),
            Class::Unknown => Ok(Self::by_shape(bytes)),
            Class::Index | Class::Image | Class::Artifact | Class::Schema1 => Self::parse_known(bytes, class),
        }
    }

    fn parse_known(bytes: &[u8], class: Class) -> Result<Self, String> {
        json::check(bytes)?;
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        let members = Members::of(text).ok_or_else(|| "it is not a JSON object".to_owned())?;
        if let Some(own) = members.own_class()
            && own != class
            && own.is_document()
            && own != Class::Unknown
        {
            return Err(format!("it says of itself that it is {own:?}, its descriptor says {class:?}"));
        }
        let Members { manifests, config, layers, fs_layers, blobs, subject, .. } = members;
        let has = |member: Option<&RawValue>| member.is_some();
        let fits = match class {
            Class::Index => has(manifests) && !has(config) && !has(layers),
            Class::Image => !has(manifests) && (has(config) || has(layers)),
            Class::Artifact => !has(manifests) && !has(layers),
            _ => !has(manifests) && has(fs_layers),
        };
        if !fits {
            return Err(format!(
                "its content is not that of an {class:?} manifest, which its type says it is"
            ));
        }
        let mut edges = Vec::new();
        match class {
            Class::Index => take(&mut edges, Link::Manifest, list(manifests, "manifests")?)?,
            Class::Image => {
                take(&mut edges, Link::Config, one(config))?;
                take(&mut edges, Link::Layer, list(layers, "layers")?)?;
            }
            Class::Artifact => take(&mut edges, Link::Layer, list(blobs, "blobs")?)?,
            _ => edges = schema1_layers(fs_layers)?,
        }
        if class != Class::Schema1 {
            take(&mut edges, Link::Subject, one(subject))?;
        }
        let artifact_type = members.artifact_type.and_then(json::text).map(Cow::into_owned);
        Ok(Self { edges, artifact_type })
    }

    /// A document of no or an unknown type: what its shape says, and whatever else looks like a
    /// descriptor.
    fn by_shape(bytes: &[u8]) -> Self {
        let guessed = Self::guess(bytes);
        let Some(known) = class_by_shape(bytes).and_then(|class| Self::parse_known(bytes, class).ok()) else {
            return guessed;
        };
        let mut node = known;
        let named: HashSet<Digest> = node.edges.iter().map(|edge| edge.descriptor.digest.clone()).collect();
        node.edges.extend(guessed.edges.into_iter().filter(|edge| !named.contains(&edge.descriptor.digest)));
        node
    }

    /// Everything in an unknown document that looks like a descriptor.
    fn guess(bytes: &[u8]) -> Self {
        let mut edges = Vec::new();
        if let Ok(raw) = serde_json::from_slice::<&RawValue>(bytes) {
            collect(raw, 0, &mut edges);
        }
        Self { edges, artifact_type: None }
    }
}

/// Reads descriptors that stand in one role.
fn take(edges: &mut Vec<Edge>, link: Link, items: Vec<&RawValue>) -> Result<(), String> {
    edges.reserve(items.len());
    for item in items {
        edges.push(Edge { link, descriptor: Descriptor::parse(item.get())?, sized: true });
    }
    Ok(())
}

/// What a member lists; nothing if it is absent or null.
fn list<'a>(member: Option<&'a RawValue>, name: &str) -> Result<Vec<&'a RawValue>, String> {
    let Some(value) = present(member) else { return Ok(Vec::new()) };
    serde_json::from_str(value.get()).map_err(|_| format!("its {name} are not a list"))
}

/// A member that is a descriptor itself.
fn one(member: Option<&RawValue>) -> Vec<&RawValue> {
    present(member).into_iter().collect()
}

/// Go programs write null for what is not there.
fn present(member: Option<&RawValue>) -> Option<&RawValue> {
    member.filter(|value| value.get() != "null")
}

/// The members by which documents name others, and by which they can be told apart.
struct Members<'a> {
    media_type: Option<&'a RawValue>,
    manifests: Option<&'a RawValue>,
    config: Option<&'a RawValue>,
    layers: Option<&'a RawValue>,
    fs_layers: Option<&'a RawValue>,
    blobs: Option<&'a RawValue>,
    subject: Option<&'a RawValue>,
    artifact_type: Option<&'a RawValue>,
}

impl<'a> Members<'a> {
    /// Those of a document; `None` if it is not a JSON object.
    fn of(text: &'a str) -> Option<Self> {
        const NAMES: [&str; 8] =
            ["mediaType", "manifests", "config", "layers", "fsLayers", "blobs", "subject", "artifactType"];
        let [media_type, manifests, config, layers, fs_layers, blobs, subject, artifact_type] =
            json::pick(text, NAMES).ok()?;
        Some(Self { media_type, manifests, config, layers, fs_layers, blobs, subject, artifact_type })
    }

    /// What the document says of itself that it is.
    fn own_class(&self) -> Option<Class> {
        self.media_type.and_then(json::text).map(|text| Class::of(&text))
    }
}

/// The class that a document without a trustworthy media type has by its shape.
#[must_use]
pub fn class_by_shape(bytes: &[u8]) -> Option<Class> {
    let members = Members::of(std::str::from_utf8(bytes).ok()?)?;
    if let Some(class) = members.own_class()
        && class.is_document()
        && class != Class::Unknown
    {
        return Some(class);
    }
    let Members { manifests, config, layers, fs_layers, .. } = members;
    match (manifests.is_some(), config.is_some() && layers.is_some(), fs_layers.is_some()) {
        (true, false, false) => Some(Class::Index),
        (false, true, false) => Some(Class::Image),
        (false, false, true) => Some(Class::Schema1),
        _ => None,
    }
}

/// The media type that a document gives itself.
#[must_use]
pub fn own_media_type(bytes: &[u8]) -> Option<String> {
    let members = Members::of(std::str::from_utf8(bytes).ok()?)?;
    members.media_type.and_then(json::text).map(Cow::into_owned)
}

/// Schema 1 names its layers by digest alone, and repeats the empty one.
fn schema1_layers(list: Option<&RawValue>) -> Result<Vec<Edge>, String> {
    #[derive(serde::Deserialize)]
    struct FsLayer {
        #[serde(rename = "blobSum")]
        blob_sum: String,
    }
    let list = list.map_or("null", RawValue::get);
    let layers: Option<Vec<FsLayer>> =
        serde_json::from_str(list).map_err(|_| "its fsLayers cannot be read".to_owned())?;
    layers
        .unwrap_or_default()
        .into_iter()
        .map(|layer| {
            let digest: Digest = layer.blob_sum.parse().map_err(|error| format!("{error}"))?;
            Ok(Edge { link: Link::Layer, sized: false, descriptor: unsized_descriptor(digest) })
        })
        .collect()
}

fn unsized_descriptor(digest: Digest) -> Descriptor {
    Descriptor { media_type: String::new(), digest, size: 0, has_urls: false, data: None, platform: None }
}

/// Unknown documents are taken apart this deep. What lies deeper is searched as text.
const MAX_DEPTH: usize = 100;

fn collect(raw: &RawValue, depth: usize, edges: &mut Vec<Edge>) {
    if depth > MAX_DEPTH {
        let digests = raw.get().split('"').filter_map(|text| text.parse::<Digest>().ok());
        edges.extend(digests.map(|digest| Edge {
            link: Link::Guess,
            descriptor: unsized_descriptor(digest),
            sized: false,
        }));
        return;
    }
    if let Ok(object) = Object::parse(raw.get()) {
        if let Some(digest) =
            object.get("digest").and_then(json::text).and_then(|text| text.parse::<Digest>().ok())
        {
            let (descriptor, sized) = match Descriptor::parse(raw.get()) {
                Ok(descriptor) => (descriptor, true),
                Err(_) => (unsized_descriptor(digest), false),
            };
            edges.push(Edge { link: Link::Guess, descriptor, sized });
        }
        for (_, value) in object.members() {
            collect(value, depth + 1, edges);
        }
    } else if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) {
        for item in items {
            collect(item, depth + 1, edges);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn descriptor() -> String {
        format!(r#"{{"mediaType":"a/b","digest":"{D}","size":0}}"#)
    }

    #[test]
    fn content_of_another_class_than_declared_is_broken() {
        let image = format!(r#"{{"config":{0},"layers":[{0}]}}"#, descriptor());
        let index = format!(r#"{{"manifests":[{0}]}}"#, descriptor());
        let both = format!(r#"{{"manifests":[{0}],"config":{0},"layers":[]}}"#, descriptor());
        assert!(Node::parse(image.as_bytes(), Class::Image).is_ok());
        assert!(Node::parse(index.as_bytes(), Class::Index).is_ok());
        for (bytes, class) in
            [(&image, Class::Index), (&index, Class::Image), (&both, Class::Image), (&both, Class::Index)]
        {
            assert!(Node::parse(bytes.as_bytes(), class).is_err(), "{bytes} as {class:?}");
        }
    }

    #[test]
    fn nulls_that_go_writes_for_empty_lists_are_empty() {
        let image = format!(r#"{{"config":{},"layers":null}}"#, descriptor());
        assert_eq!(Node::parse(image.as_bytes(), Class::Image).unwrap().edges.len(), 1);
        assert!(Node::parse(br#"{"manifests":null}"#, Class::Index).unwrap().edges.is_empty());
    }

    #[test]
    fn unknown_documents_keep_everything_that_looks_like_a_descriptor() {
        let text = format!(r#"{{"x":[{{"deep":{0}}},{{"digest":"{D}"}}],"digest":"not one"}}"#, descriptor());
        let edges = Node::parse(text.as_bytes(), Class::Unknown).unwrap().edges;
        assert_eq!(edges.len(), 2);
        assert!(Node::parse(b"\x1f\x8bnot json", Class::Unknown).unwrap().edges.is_empty());
    }
}
