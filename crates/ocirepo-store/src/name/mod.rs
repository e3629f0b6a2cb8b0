//! Names of entries: what the annotations say, and what to write under each ref policy.
//!
//! Two annotations carry a name: containerd's image name, always the full normalised reference,
//! and the image-spec's ref.name, which holds what the repository's [`RefPolicy`] says. Because
//! the first is always written, the `tag` policy loses nothing and can be converted back.

mod pattern;
pub(crate) mod policy;
mod reference;
mod resolve;
mod similar;
mod word;

use std::fmt;

pub use pattern::{InvalidPattern, Pattern};
pub(crate) use policy::convert;
pub use policy::{InvalidRefPolicy, RefPolicy, respell};
pub use reference::Reference;
pub(crate) use reference::is_tag;
pub use resolve::{Found, resolve, resolve_glob};
pub(crate) use word::Word;

use crate::digest::Digest;
use crate::error::Error;

/// The name of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// A full reference, normalised, with a tag or a digest.
    Full(Reference),
    /// A bare tag that has no full form.
    Tag(String),
    /// Anything else, kept as it was written.
    Verbatim(String),
}

impl Name {
    /// The name that a user typed.
    ///
    /// # Errors
    /// When it is not a reference that docker would take.
    pub fn parse(text: &str) -> crate::Result<Self> {
        // docker refuses both as well: nobody could tell such a name from a digest.
        let hex = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if hex || text.parse::<Digest>().is_ok_and(|digest| digest.algorithm().is_some()) {
            return Err(Error::InvalidReference { text: text.to_owned(), reason: "it is a digest" });
        }
        Ok(Self::Full(text.parse::<Reference>()?.or_latest()))
    }

    /// The name that a pair of annotations gives, the image name first.
    #[must_use]
    pub fn from_annotations(image_name: Option<&str>, ref_name: Option<&str>) -> Option<Self> {
        if let Some(reference) = image_name.filter(|text| text.contains(['/', ':', '@'])).and_then(parse_full)
        {
            return Some(Self::Full(reference));
        }
        let text = ref_name.filter(|text| is_name(text))?;
        Some(if text.contains(['/', ':', '@']) {
            parse_full(text).map_or_else(|| Self::Verbatim(text.to_owned()), Self::Full)
        } else if is_tag(text) {
            Self::Tag(text.to_owned())
        } else {
            Self::Verbatim(text.to_owned())
        })
    }

    /// Whether [`Self::from_annotations`] gives a name. Cheaper than to make it.
    pub(crate) fn is_in_annotations(image_name: Option<&str>, ref_name: Option<&str>) -> bool {
        ref_name.is_some_and(is_name) || Self::from_annotations(image_name, None).is_some()
    }

    /// What to write into the image name annotation.
    #[must_use]
    pub fn image_name(&self) -> Option<String> {
        match self {
            Self::Full(reference) => Some(reference.to_string()),
            Self::Tag(_) | Self::Verbatim(_) => None,
        }
    }

    /// What to write into ref.name under `policy`. A reference by digest alone has no tag to write.
    #[must_use]
    pub fn ref_name(&self, policy: RefPolicy) -> Option<String> {
        match (self, policy) {
            (Self::Full(reference), RefPolicy::Full) => Some(reference.to_string()),
            (Self::Full(reference), RefPolicy::Tag) => reference.tag().map(str::to_owned),
            (Self::Tag(text) | Self::Verbatim(text), _) => Some(text.clone()),
        }
    }

    /// Why some tools will not be able to address this name, if so: it is outside the grammar that
    /// the image-spec gives for ref.name, which skopeo and umoci enforce.
    #[must_use]
    pub fn warning(&self, policy: RefPolicy) -> Option<String> {
        let text = self.ref_name(policy)?;
        (!is_ref_name(&text)).then(|| {
            format!("{text} is outside the OCI grammar for ref.name; it is kept, but skopeo and umoci cannot address it")
        })
    }
}

/// Whether a ref.name names something. A digest there is how some tools write "nameless".
fn is_name(text: &str) -> bool {
    let digest = text.strip_prefix('@').unwrap_or(text).parse::<Digest>();
    !text.is_empty() && !digest.is_ok_and(|digest| digest.algorithm().is_some())
}

fn parse_full(text: &str) -> Option<Reference> {
    text.parse::<Reference>().ok().map(Reference::or_latest)
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        match name {
            Name::Full(reference) => reference.into(),
            Name::Tag(text) | Name::Verbatim(text) => text,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(reference) => reference.fmt(f),
            Self::Tag(text) | Self::Verbatim(text) => f.write_str(text),
        }
    }
}

/// `component ("/" component)*`, a component being runs of alphanumerics joined by one of
/// `- . _ : @ +` or `--` (image-spec, "annotations").
fn is_ref_name(text: &str) -> bool {
    text.split('/').all(|component| {
        let joined_well = component
            .split(|c: char| c.is_ascii_alphanumeric())
            .all(|separator| matches!(separator, "" | "-" | "." | "_" | ":" | "@" | "+" | "--"));
        let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        joined_well && edge(component.bytes().next()) && edge(component.bytes().last())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(image_name: Option<&str>, ref_name: Option<&str>) -> Option<String> {
        let name = Name::from_annotations(image_name, ref_name);
        let is_named = Name::is_in_annotations(image_name, ref_name);
        assert_eq!(name.is_some(), is_named, "{image_name:?} and {ref_name:?}");
        name.map(|name| name.to_string())
    }

    #[test]
    fn the_image_name_goes_before_ref_name() {
        assert_eq!(
            name(Some("alpine:3.11"), Some("other:1")).as_deref(),
            Some("docker.io/library/alpine:3.11")
        );
        assert_eq!(name(Some("not_a_name"), Some("3.11")).as_deref(), Some("3.11"));
        assert_eq!(name(Some("ocidir://x:1"), Some("v1")).as_deref(), Some("v1"));
        assert_eq!(name(None, Some("ocidir://x:1")).as_deref(), Some("ocidir://x:1"));
        assert_eq!(name(None, Some("quay.io/a/b")).as_deref(), Some("quay.io/a/b:latest"));
    }

    #[test]
    fn digests_are_not_names() {
        let digest = Digest::sha256(b"x");
        assert_eq!(name(None, Some(digest.as_str())), None);
        assert_eq!(name(None, Some(&format!("@{digest}"))), None);
        assert_eq!(name(None, Some("")), None);
        assert_eq!(name(Some("alpine"), Some(digest.as_str())), None);
        assert!(name(Some("alpine:3.11"), Some(digest.as_str())).is_some());
        assert!(Name::parse(digest.as_str()).is_err() && Name::parse(digest.encoded()).is_err());
        let fallback = format!("sha256-{}", digest.encoded());
        assert_eq!(Name::from_annotations(None, Some(&fallback)), Some(Name::Tag(fallback)));
    }

    #[test]
    fn names_outside_the_oci_grammar_are_pointed_out() {
        for (text, warns) in [
            ("alpine:3.11", false),
            ("foo__bar:1", true),
            ("[::1]:5000/a:1", true),
            ("a--b:1", false),
            ("a:v1_", true),
        ] {
            assert_eq!(Name::parse(text).unwrap().warning(RefPolicy::Full).is_some(), warns, "{text}");
        }
    }
}
