//! What names are, as design and documentation have them: the full reference, or a tag that stands alone.

/// What ref.name holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    Full,
    Tag,
}

/// A name of the scripts: as it is typed, as it is kept, and its tag.
pub(super) struct Known {
    pub(super) typed: &'static str,
    /// The full reference; `None` for a tag that stands alone.
    pub(super) full: Option<&'static str>,
    pub(super) tag: &'static str,
}

const fn full(typed: &'static str, full: &'static str, tag: &'static str) -> Known {
    Known { typed, full: Some(full), tag }
}

const fn bare(tag: &'static str) -> Known {
    Known { typed: tag, full: None, tag }
}

/// Few names, so that they meet: three share a tag, and two of the tags stand alone as well.
pub(super) const NAMES: [Known; 7] = [
    full("alpine:1", "docker.io/library/alpine:1", "1"),
    full("index.docker.io/busybox:1", "docker.io/library/busybox:1", "1"),
    full("quay.io/acme/app:2", "quay.io/acme/app:2", "2"),
    full("localhost:5000/a/b:1", "localhost:5000/a/b:1", "1"),
    full("docker.io/library/alpine", "docker.io/library/alpine:latest", "latest"),
    bare("1"),
    bare("2"),
];

/// The name of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    Full(String),
    Bare(String),
}

impl Name {
    pub(super) fn known(number: usize) -> Self {
        let known = &NAMES[number % NAMES.len()];
        known.full.map_or_else(|| Self::Bare(known.tag.to_owned()), |full| Self::Full(full.to_owned()))
    }

    /// The name that the two annotations give: the image name first, then ref.name, and a digest is none.
    pub(super) fn read(image_name: Option<&str>, ref_name: Option<&str>) -> Option<Self> {
        if let Some(full) = image_name {
            return Some(Self::Full(normalised(full)));
        }
        let text = ref_name.filter(|text| !text.starts_with("sha256:"))?;
        Some(if text.contains(['/', ':']) {
            Self::Full(normalised(text))
        } else {
            Self::Bare(text.to_owned())
        })
    }

    /// What the image name annotation holds.
    pub(super) fn image_name(&self) -> Option<&str> {
        match self {
            Self::Full(text) => Some(text),
            Self::Bare(_) => None,
        }
    }

    /// What ref.name holds.
    pub(super) fn ref_name(&self, policy: Policy) -> &str {
        match (self, policy) {
            (Self::Full(text), Policy::Full) | (Self::Bare(text), _) => text,
            (Self::Full(text), Policy::Tag) => text.rsplit_once(':').map_or(text, |(_, tag)| tag),
        }
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::Full(text) | Self::Bare(text) => text,
        }
    }
}

/// The scripts know no other names, so a list is all it takes.
fn normalised(text: &str) -> String {
    let known = NAMES.iter().find(|known| known.typed == text).and_then(|known| known.full);
    known.unwrap_or(text).to_owned()
}
