//! Finding a name among very many entries without making a name of each.

use super::Name;
use crate::index::Entry;

/// What stands in the annotations of an entry that has a name, however the name is written there.
#[derive(Debug)]
pub(crate) struct Word(String);

impl Word {
    /// The word of a name: defaults are added before and behind it.
    pub(crate) fn of(name: &Name) -> Self {
        match name {
            Name::Full(reference) => {
                let repository = reference.repository();
                let last = repository.rsplit('/').next().unwrap_or_default();
                let tag = reference.tag().filter(|tag| *tag != "latest").map(|tag| format!(":{tag}"));
                Self(format!("{last}{}", tag.unwrap_or_default()))
            }
            Name::Tag(text) | Name::Verbatim(text) => Self(text.clone()),
        }
    }

    /// Whether an entry can have the name. Cheap, and mostly right.
    pub(crate) fn is_in(&self, entry: &Entry) -> bool {
        [entry.image_name(), entry.ref_name()].into_iter().flatten().any(|text| text.contains(&self.0))
    }
}
