//! The ref policy of a repository: what ref.name holds, and converting between the two.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::index::{Document, Entry};
use crate::name::Name;

/// What ref.name holds in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RefPolicy {
    /// The whole reference: `docker.io/library/alpine:3.11`.
    #[default]
    Full,
    /// The tag alone: `3.11`.
    Tag,
}

impl RefPolicy {
    /// The policy as it is written in options and files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Tag => "tag",
        }
    }

    /// The policy that a repository without a record of one seems to follow: `tag` if every name
    /// is a bare tag, else `full`.
    #[must_use]
    pub fn infer(document: &Document) -> Self {
        let mut names = document.entries().iter().filter_map(Entry::ref_name).peekable();
        if names.peek().is_some() && names.all(|name| !name.contains(['/', ':', '@'])) {
            Self::Tag
        } else {
            Self::Full
        }
    }
}

impl fmt::Display for RefPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RefPolicy {
    type Err = InvalidRefPolicy;

    fn from_str(text: &str) -> Result<Self, InvalidRefPolicy> {
        match text {
            "full" => Ok(Self::Full),
            "tag" => Ok(Self::Tag),
            _ => Err(InvalidRefPolicy { text: text.to_owned() }),
        }
    }
}

/// A text is not a [`RefPolicy`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a ref policy: use full or tag")]
#[non_exhaustive]
pub struct InvalidRefPolicy {
    /// The text that was given.
    pub text: String,
}

/// Rewrites the ref.name of every named entry for `policy`. Bare tags and names that are no
/// references have no other form and stay; so do entries too strange to be edited.
pub(crate) fn convert(document: &mut Document, policy: RefPolicy) {
    let stays = |name: &&Name| policy == RefPolicy::Tag && !matches!(name, Name::Full(_));
    let mut written: HashSet<String> = document
        .entries()
        .iter()
        .filter_map(Entry::name)
        .filter(stays)
        .filter_map(|name| name.ref_name(policy))
        .collect();
    for entry in document.entries_mut() {
        let Some(name @ Name::Full(_)) = entry.name() else { continue };
        // Two names of one image may share a tag, or one may be that tag; it is written once.
        let is_first = |text: &String| policy == RefPolicy::Full || written.insert(text.clone());
        let ref_name = name.ref_name(policy).filter(is_first);
        if let Ok(renamed) = entry.with_names(name.image_name().as_deref(), ref_name.as_deref()) {
            *entry = renamed;
        }
    }
}

/// Rewrites the ref.name of every named entry for `policy`, as a conversion of the repository does.
///
/// # Errors
/// [`Error::PolicyConflict`] when ref.names would collide; nothing is changed then.
pub fn respell(document: &mut Document, policy: RefPolicy) -> Result<()> {
    let conflicts = tag_conflicts(document, policy);
    if !conflicts.is_empty() {
        let describe = |(tag, holders): (String, Vec<String>)| format!("{tag}: {}", holders.join(", "));
        return Err(Error::PolicyConflict { conflicts: conflicts.into_iter().map(describe).collect() });
    }
    convert(document, policy);
    Ok(())
}

/// The ref.names that would stand for more than one digest under `policy`, each with the
/// `reference@digest` of its claimants.
fn tag_conflicts(document: &Document, policy: RefPolicy) -> Vec<(String, Vec<String>)> {
    let mut claims: BTreeMap<String, Vec<(&str, String)>> = BTreeMap::new();
    for entry in document.entries() {
        let (Some(name), Some(digest)) = (entry.name(), entry.digest_text()) else { continue };
        let Some(ref_name) = name.ref_name(policy) else { continue };
        claims.entry(ref_name).or_default().push((digest, format!("{name}@{digest}")));
    }
    claims
        .into_iter()
        .filter(|(_, claims)| claims.iter().any(|(digest, _)| *digest != claims[0].0))
        .map(|(ref_name, claims)| (ref_name, claims.into_iter().map(|(_, text)| text).collect()))
        .collect()
}
