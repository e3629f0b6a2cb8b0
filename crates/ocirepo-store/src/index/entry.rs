//! One entry of index.json: the text it is written as, and a lenient view of what it says.
//!
//! The text is the truth. The view never fails: what cannot be understood is `None` or a problem,
//! so that one strange entry can still be listed, kept and removed.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde_json::value::RawValue;

use super::json::{self, Object};
use crate::digest::Digest;
use crate::graph::{Descriptor, Platform, Replacement};
use crate::name::Name;

/// The annotation of the image-spec that names an entry of index.json.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// containerd's annotation for the full reference of an image.
pub const IMAGE_NAME: &str = "io.containerd.image.name";

/// An entry of index.json, that is, a root.
///
/// There may be a hundred thousand of them, and most commands care for a few: an entry is a place in
/// the text that was read, and more is made of it only when somebody asks.
#[derive(Clone)]
pub struct Entry {
    /// The text that the entry was read from, alone or together with others.
    source: Arc<String>,
    place: Place,
    /// The digest as it is spelled, even if malformed.
    digest_text: Option<Spelled>,
    ref_name: Option<Spelled>,
    image_name: Option<Spelled>,
    name: OnceLock<Option<Box<Name>>>,
    descriptor: OnceLock<Box<Result<Descriptor, String>>>,
}

/// Where a part stands in a text of up to 4 GiB, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    start: u32,
    length: u32,
}

impl Place {
    /// Where `part`, which was borrowed from `whole`, stands in it.
    pub(super) fn of(part: &str, whole: &str) -> Self {
        let offset = part.as_ptr().addr() - whole.as_ptr().addr();
        let [start, length] = [offset, part.len()]
            .map(|bytes| u32::try_from(bytes).expect("no index.json or manifest that is read has 4 GiB"));
        Self { start, length }
    }

    fn get(self, whole: &str) -> &str {
        &whole[self.start as usize..][..self.length as usize]
    }
}

/// A text that stands in an entry.
#[derive(Debug, Clone)]
enum Spelled {
    /// Where in the entry.
    Plain(Place),
    /// What it means, if it is written with escapes.
    #[expect(
        clippy::box_collection,
        reason = "hardly any is, and each of very many entries has room for three"
    )]
    Escaped(Box<String>),
}

impl Spelled {
    fn read(entry: &str, value: &RawValue) -> Option<Self> {
        Some(match json::text(value)? {
            Cow::Borrowed(plain) => Self::Plain(Place::of(plain, entry)),
            Cow::Owned(meaning) => Self::Escaped(Box::new(meaning)),
        })
    }

    fn get<'a>(&'a self, entry: &'a str) -> &'a str {
        match self {
            Self::Plain(place) => place.get(entry),
            Self::Escaped(meaning) => meaning,
        }
    }
}

impl Entry {
    /// An entry as it is written somewhere: any JSON value, be it no descriptor at all.
    ///
    /// # Errors
    /// What is wrong, when it is no JSON, or larger than 4 GiB.
    pub fn parse(json: &str) -> Result<Self, String> {
        if u32::try_from(json.len()).is_err() {
            return Err("it is larger than 4 GiB".to_owned());
        }
        RawValue::from_string(json.to_owned()).map(Self::new).map_err(|error| error.to_string())
    }

    pub(crate) fn new(raw: Box<RawValue>) -> Self {
        let text = String::from(Box::<str>::from(raw));
        let place = Place::of(&text, &text);
        Self::read(&Arc::new(text), place)
    }

    /// The entry that stands at `place` in a text.
    pub(super) fn read(source: &Arc<String>, place: Place) -> Self {
        let text = place.get(source);
        let entry = Self {
            source: Arc::clone(source),
            place,
            digest_text: None,
            ref_name: None,
            image_name: None,
            name: OnceLock::new(),
            descriptor: OnceLock::new(),
        };
        let Ok([digest, annotations]) = json::pick(text, ["digest", "annotations"]) else { return entry };
        let names = annotations.and_then(|value| json::pick(value.get(), [REF_NAME, IMAGE_NAME]).ok());
        let [ref_name, image_name] = names.unwrap_or_default();
        let [digest_text, ref_name, image_name] =
            [digest, ref_name, image_name].map(|value| Spelled::read(text, value?));
        Self { digest_text, ref_name, image_name, ..entry }
    }

    /// A fresh entry for `descriptor`, without annotations.
    #[must_use]
    pub fn for_descriptor(media_type: &str, digest: &Digest, size: u64, platform: Option<&Platform>) -> Self {
        let mut object = Object::default();
        object.set("mediaType", json::quote(media_type));
        object.set("digest", json::quote(digest.as_str()));
        object.set("size", json::raw(size.to_string()));
        if let Some(platform) = platform {
            object.set("platform", platform.to_raw());
        }
        Self::new(object.to_raw())
    }

    /// This entry with another content, everything else untouched.
    ///
    /// # Errors
    /// What is wrong, when the entry is no object.
    pub fn with_content(&self, content: &Replacement) -> Result<Self, String> {
        Ok(Self::new(content.apply(self.json())?))
    }

    /// This entry for `platform`, if it says none itself.
    ///
    /// # Errors
    /// What is wrong, when the entry is no object.
    pub fn with_platform(&self, platform: &Platform) -> Result<Self, String> {
        let mut object = Object::parse(self.json()).map_err(|_| "it is not an object".to_owned())?;
        if object.get("platform").is_none() {
            object.set("platform", platform.to_raw());
        }
        Ok(Self::new(object.to_raw()))
    }

    /// The entry as it is written.
    #[must_use]
    pub fn json(&self) -> &str {
        self.place.get(&self.source)
    }

    /// What the entry describes.
    ///
    /// # Errors
    /// What is wrong, when the entry is not a usable descriptor: such an entry is a broken root.
    pub fn descriptor(&self) -> Result<&Descriptor, &str> {
        let read = self.descriptor.get_or_init(|| Box::new(self.read_descriptor()));
        (**read).as_ref().map_err(String::as_str)
    }

    /// [`Entry::descriptor`] for those who ask once: nothing is kept of it.
    pub(crate) fn read_descriptor(&self) -> Result<Descriptor, String> {
        if !self.json().starts_with('{') {
            return Err("it is not a JSON object".to_owned());
        }
        Descriptor::parse(self.json())
    }

    /// The digest, when the entry is a usable descriptor.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.descriptor().ok().map(|descriptor| &descriptor.digest)
    }

    /// The digest as it is spelled, malformed or not.
    #[must_use]
    pub fn digest_text(&self) -> Option<&str> {
        self.digest_text.as_ref().map(|text| text.get(self.json()))
    }

    /// The annotation [`REF_NAME`].
    #[must_use]
    pub fn ref_name(&self) -> Option<&str> {
        self.ref_name.as_ref().map(|text| text.get(self.json()))
    }

    /// The annotation [`IMAGE_NAME`].
    #[must_use]
    pub fn image_name(&self) -> Option<&str> {
        self.image_name.as_ref().map(|text| text.get(self.json()))
    }

    /// The name that the annotations give this entry; `None` for a nameless one.
    #[must_use]
    pub fn name(&self) -> Option<&Name> {
        self.name.get_or_init(|| self.read_name().map(Box::new)).as_deref()
    }

    /// Whether it has a [`Entry::name`].
    #[must_use]
    pub fn is_named(&self) -> bool {
        Name::is_in_annotations(self.image_name(), self.ref_name())
    }

    /// [`Entry::name`] for those who ask once: nothing is kept of it.
    fn read_name(&self) -> Option<Name> {
        Name::from_annotations(self.image_name(), self.ref_name())
    }

    /// How to call this entry in a message: its name, else its digest, else its position.
    #[must_use]
    pub fn label(&self, position: usize) -> String {
        self.read_name()
            .map(String::from)
            .or_else(|| self.digest_text().map(str::to_owned))
            .unwrap_or_else(|| format!("entry {position}"))
    }

    /// All annotations that are strings, in the order they are written.
    #[must_use]
    pub fn annotations(&self) -> Vec<(String, String)> {
        annotations_of(self.json())
    }

    /// This entry under other names, everything else untouched.
    ///
    /// # Errors
    /// What is wrong, when the entry is too strange to carry annotations.
    pub fn with_names(&self, image_name: Option<&str>, ref_name: Option<&str>) -> Result<Self, String> {
        if self.image_name() == image_name && self.ref_name() == ref_name {
            return Ok(self.clone());
        }
        self.with_annotations(&[(IMAGE_NAME, image_name), (REF_NAME, ref_name)])
    }

    /// This entry with some annotations set, or taken away where there is no value; everything else
    /// untouched.
    ///
    /// # Errors
    /// What is wrong, when the entry is too strange to carry annotations.
    pub fn with_annotations(&self, changes: &[(&str, Option<&str>)]) -> Result<Self, String> {
        let mut object = Object::parse(self.json()).map_err(|_| "it is not an object".to_owned())?;
        let mut annotations = match object.get("annotations").map(RawValue::get) {
            None | Some("null") => Object::default(),
            Some(text) => Object::parse(text).map_err(|_| "its annotations are not an object".to_owned())?,
        };
        for (key, value) in changes {
            match value {
                Some(value) => annotations.set(key, json::quote(value)),
                None => annotations.remove(key),
            }
        }
        if annotations.is_empty() {
            object.remove("annotations");
        } else {
            object.set("annotations", annotations.to_raw());
        }
        Ok(Self::new(object.to_raw()))
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Entry").field(&self.json()).finish()
    }
}

fn annotations_of(text: &str) -> Vec<(String, String)> {
    let Some(annotations) = Object::parse(text)
        .ok()
        .and_then(|object| object.get("annotations").and_then(|value| Object::parse(value.get()).ok()))
    else {
        return Vec::new();
    };
    annotations
        .members()
        .filter_map(|(name, value)| Some((name.to_owned(), serde_json::from_str(value.get()).ok()?)))
        .collect()
}
