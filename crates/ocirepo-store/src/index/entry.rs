//! One entry of index.json: the text it is written as, and a lenient view of what it says.
//!
//! The text is the truth. The view never fails: what cannot be understood is `None` or a problem,
//! so that one strange entry can still be listed, kept and removed.

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
#[derive(Debug, Clone)]
pub struct Entry {
    raw: Box<RawValue>,
    view: View,
}

#[derive(Debug, Clone)]
struct View {
    descriptor: Result<Descriptor, String>,
    /// The digest as it is spelled, even if malformed.
    digest_text: Option<String>,
    ref_name: Option<String>,
    image_name: Option<String>,
    name: Option<Name>,
}

impl Entry {
    /// An entry as it is written somewhere, whatever it is.
    #[must_use]
    pub fn new(raw: Box<RawValue>) -> Self {
        let view = View::of(&raw);
        Self { raw, view }
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
        Ok(Self::new(content.apply(&self.raw)?))
    }

    /// This entry for `platform`, if it says none itself.
    ///
    /// # Errors
    /// What is wrong, when the entry is no object.
    pub fn with_platform(&self, platform: &Platform) -> Result<Self, String> {
        let mut object = Object::parse(self.raw.get()).map_err(|_| "it is not an object".to_owned())?;
        if object.get("platform").is_none() {
            object.set("platform", platform.to_raw());
        }
        Ok(Self::new(object.to_raw()))
    }

    /// The entry as it is written.
    #[must_use]
    pub fn json(&self) -> &str {
        self.raw.get()
    }

    /// What the entry describes.
    ///
    /// # Errors
    /// What is wrong, when the entry is not a usable descriptor: such an entry is a broken root.
    pub fn descriptor(&self) -> Result<&Descriptor, &str> {
        self.view.descriptor.as_ref().map_err(String::as_str)
    }

    /// The digest, when the entry is a usable descriptor.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.view.descriptor.as_ref().ok().map(|descriptor| &descriptor.digest)
    }

    /// The digest as it is spelled, malformed or not.
    #[must_use]
    pub fn digest_text(&self) -> Option<&str> {
        self.view.digest_text.as_deref()
    }

    /// The annotation [`REF_NAME`].
    #[must_use]
    pub fn ref_name(&self) -> Option<&str> {
        self.view.ref_name.as_deref()
    }

    /// The annotation [`IMAGE_NAME`].
    #[must_use]
    pub fn image_name(&self) -> Option<&str> {
        self.view.image_name.as_deref()
    }

    /// The name that the annotations give this entry; `None` for a nameless one.
    #[must_use]
    pub fn name(&self) -> Option<&Name> {
        self.view.name.as_ref()
    }

    /// How to call this entry in a message: its name, else its digest, else its position.
    #[must_use]
    pub fn label(&self, position: usize) -> String {
        self.name()
            .map(ToString::to_string)
            .or_else(|| self.view.digest_text.clone())
            .unwrap_or_else(|| format!("entry {position}"))
    }

    /// All annotations that are strings, in the order they are written.
    #[must_use]
    pub fn annotations(&self) -> Vec<(String, String)> {
        annotations_of(&self.raw)
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
        let mut object = Object::parse(self.raw.get()).map_err(|_| "it is not an object".to_owned())?;
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

fn annotations_of(raw: &RawValue) -> Vec<(String, String)> {
    let Some(annotations) = Object::parse(raw.get())
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

impl View {
    fn of(raw: &RawValue) -> Self {
        let object = Object::parse(raw.get());
        let mut ref_name = None;
        let mut image_name = None;
        let mut digest_text = None;
        if let Ok(object) = &object {
            digest_text = object.get("digest").and_then(|value| serde_json::from_str(value.get()).ok());
            for (name, value) in annotations_of(raw) {
                match name.as_str() {
                    REF_NAME => ref_name = Some(value),
                    IMAGE_NAME => image_name = Some(value),
                    _ => {}
                }
            }
        }
        let descriptor = match object {
            Ok(_) => Descriptor::parse(raw),
            Err(_) => Err("it is not a JSON object".to_owned()),
        };
        let name = Name::from_annotations(image_name.as_deref(), ref_name.as_deref());
        Self { descriptor, digest_text, ref_name, image_name, name }
    }
}
