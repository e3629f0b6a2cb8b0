//! Which images `ls` shows.

use std::str::FromStr;

use ocirepo_store::image::Image;
use ocirepo_store::index::Entry;
use ocirepo_store::name::Pattern;
use ocirepo_transfer::PlatformPattern;

/// What an image has to be.
#[derive(Debug, Clone)]
pub(super) enum Filter {
    /// Any of these fits its name.
    Reference(Vec<Pattern>),
    /// The beginning of its digest.
    Digest(String),
    Platform(PlatformPattern),
    /// Whether all of it is there.
    Complete(bool),
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').unwrap_or(("reference", text));
        match (key, value) {
            (_, "") => Err(format!("{key}= what? See the filters in `ocirepo ls --help`")),
            ("reference", _) => patterns(value).map(Self::Reference),
            ("digest", _) => Ok(Self::Digest(value.to_ascii_lowercase())),
            ("platform", _) => value.parse().map(Self::Platform).map_err(|error| format!("{error}")),
            ("state", "complete") => Ok(Self::Complete(true)),
            ("state", "incomplete") => Ok(Self::Complete(false)),
            ("state", _) => Err("a state is complete or incomplete".to_owned()),
            _ => Err(format!("there is no filter {key}, only reference, digest, platform and state")),
        }
    }
}

/// A name without its tag stands for all of its tags, as docker has it.
fn patterns(text: &str) -> Result<Vec<Pattern>, String> {
    let texts = [text.to_owned(), format!("{text}:*"), format!("{text}@*")];
    let is_pattern = text.contains(['*', '?', '[']);
    let read = |text: &String| Pattern::new(text).map_err(|error| format!("{text} is no pattern: {error}"));
    texts.iter().take(if is_pattern { 1 } else { 3 }).map(read).collect()
}

impl Filter {
    /// Whether the entry alone does not tell.
    pub(super) const fn needs_image(&self) -> bool {
        matches!(self, Self::Platform(_) | Self::Complete(_))
    }

    /// Whether an image fits, as far as is known of it.
    fn fits(&self, entry: &Entry, image: Option<&Image>) -> bool {
        match self {
            Self::Reference(patterns) => patterns.iter().any(|pattern| pattern.matches(entry)),
            Self::Digest(wanted) => entry.digest_text().is_some_and(|digest| {
                let encoded = digest.split_once(':').map_or(digest, |(_, encoded)| encoded);
                digest.starts_with(wanted.as_str()) || encoded.starts_with(wanted.as_str())
            }),
            Self::Platform(wanted) => {
                image.is_none_or(|image| image.platforms().iter().any(|platform| wanted.fits(platform)))
            }
            Self::Complete(wanted) => image.is_none_or(|image| image.is_complete == *wanted),
        }
    }
}

/// Whether an image fits: of every kind of filter that there is, one of them.
pub(super) fn fits(filters: &[Filter], entry: &Entry, image: Option<&Image>) -> bool {
    filters.iter().all(|filter| {
        let kind = std::mem::discriminant(filter);
        let mut same = filters.iter().filter(|other| std::mem::discriminant(*other) == kind);
        same.any(|filter| filter.fits(entry, image))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocirepo_store::Digest;

    #[test]
    fn a_name_stands_for_its_tags_and_for_nothing_else() {
        let named = |name: &str| {
            let entry = Entry::for_descriptor("", &Digest::sha256(name.as_bytes()), 1, None);
            entry.with_names(Some(name), None).unwrap()
        };
        let entries =
            ["docker.io/library/alpine:3.11", "docker.io/library/alpine-x:1", "r.io/alpine:2"].map(named);
        for (filter, count) in [
            ("alpine", 1),
            ("reference=alpine:3.11", 1),
            ("alpine*", 2),
            ("*alpine*", 3),
            ("r.io/alpine", 1),
            ("alp", 0),
            ("docker.io/library/alpine", 1),
        ] {
            let filter = [filter.parse::<Filter>().unwrap()];
            let found = entries.iter().filter(|entry| fits(&filter, entry, None)).count();
            assert_eq!(found, count, "{filter:?}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for bad in ["", "platform=", "state=odd", "label=a", "platform=linux", "reference=[", "[z-a]=x"] {
            assert!(bad.parse::<Filter>().is_err(), "{bad:?}");
        }
    }
}
