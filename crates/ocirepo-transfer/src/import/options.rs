//! What to take of a source, and how.

use std::fmt;
use std::str::FromStr;

use ocirepo_store::graph::Platform;
use ocirepo_store::name::Name;

use crate::compress::{Encoding, InvalidEncoding};

/// How to import. Fill it with `..ImportOptions::default()`, which is what `ocirepo add` does when no
/// option is given: any release may add fields.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// The name for the one image in the source, in place of the names it carries.
    pub reference: Option<Name>,
    /// Whether a ref.name that another image holds is taken from it (`tag` policy).
    pub replace: bool,
    /// Which images to take; empty for all. What refers to one of them comes along.
    pub select: Vec<Select>,
    /// What becomes of images without a name.
    pub untagged: Untagged,
    /// Which platforms to take; empty for all.
    pub platforms: Vec<PlatformPattern>,
    /// Whether an image that lacks a platform it lists is refused.
    pub require_complete: bool,
    /// Whether an image whose name is taken joins the image that has it, as another platform.
    pub merge_platforms: bool,
    /// How layers are stored.
    pub layers: Layers,
    /// Whether layers that a docker archive leaves out may come from the repository.
    pub allow_thin: bool,
    /// Whether the layers of OCI images are unpacked to see that they are what the config says.
    pub verify_diff_ids: bool,
    /// Whether the blobs that a bundle leaves to the repository are read, to see that they are sound.
    pub verify_base: bool,
}

/// What becomes of images without a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Untagged {
    /// They are added, and known by their digest.
    #[default]
    Keep,
    /// They are left out.
    Skip,
}

/// How layers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Layers {
    /// As they come.
    #[default]
    Keep,
    /// Compressed anew, unless they come in that compression.
    Encode(Encoding),
    /// As they come, unless the repository has the same layer in another compression.
    Reuse,
}

/// A text does not say how layers are stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; keep and reuse are possible as well")]
pub struct InvalidLayers(InvalidEncoding);

impl FromStr for Layers {
    type Err = InvalidLayers;

    fn from_str(text: &str) -> Result<Self, InvalidLayers> {
        match text {
            "keep" => Ok(Self::Keep),
            "reuse" => Ok(Self::Reuse),
            _ => text.parse().map(Self::Encode).map_err(InvalidLayers),
        }
    }
}

/// One image of a source, as a user points at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    text: String,
}

/// The shortest beginning of a digest that is taken, in hex digits.
const MIN_PREFIX: usize = 7;

impl Select {
    /// `@N` is the position in the source, from 0; anything else a name, the digest of a manifest
    /// or of a config, or at least 7 hex digits that begin one.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }

    /// The position, if it is one.
    pub(crate) fn position(&self) -> Option<usize> {
        self.text.strip_prefix('@')?.parse().ok()
    }

    /// Those of the names that are meant, after normalising both sides.
    pub(crate) fn among(&self, names: &[Name]) -> Vec<Name> {
        let full = Name::parse(&self.text).ok();
        let literal = Name::from_annotations(None, Some(&self.text));
        let is_meant = |name: &&Name| Some(*name) == full.as_ref() || Some(*name) == literal.as_ref();
        names.iter().filter(is_meant).cloned().collect()
    }

    /// What a digest has to begin with to be meant.
    pub(crate) fn digest_prefix(&self) -> Option<&str> {
        let prefix = self.text.strip_prefix("sha256:").unwrap_or(&self.text);
        let is_hex = prefix.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (is_hex && prefix.len() >= MIN_PREFIX).then_some(prefix)
    }
}

impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `os/architecture`, with or without a variant: the platforms that are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformPattern {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl PlatformPattern {
    /// Whether a platform is meant. Without a variant all are, and `arm64` is `arm64/v8`.
    #[must_use]
    pub fn fits(&self, platform: &Platform) -> bool {
        let usual = (platform.architecture == "arm64").then_some("v8");
        self.os == platform.os
            && self.architecture == platform.architecture
            && self
                .variant
                .as_deref()
                .is_none_or(|variant| Some(variant) == platform.variant.as_deref().or(usual))
    }
}

/// A text is not a [`PlatformPattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no platform; one looks like linux/amd64 or linux/arm/v7")]
#[non_exhaustive]
pub struct InvalidPlatform {
    /// The text that was given.
    pub text: String,
}

impl FromStr for PlatformPattern {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Self, InvalidPlatform> {
        let wrong = || InvalidPlatform { text: text.to_owned() };
        let parts: Vec<&str> = text.split('/').collect();
        let is_word = |part: &&str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        if !parts.iter().all(is_word) {
            return Err(wrong());
        }
        // The names that `uname -m` gives are not those of the image-spec.
        let architecture = |name: &str| match name {
            "x86_64" => "amd64".to_owned(),
            "aarch64" => "arm64".to_owned(),
            _ => name.to_owned(),
        };
        let (os, name, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant.to_owned())),
            _ => return Err(wrong()),
        };
        Ok(Self { os: os.to_owned(), architecture: architecture(name), variant })
    }
}

impl fmt::Display for PlatformPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, platform: &str) -> bool {
        let parts = platform.split('/').map(str::to_owned).collect::<Vec<_>>();
        let mut platform = Platform::new(&parts[0], &parts[1]);
        platform.variant = parts.get(2).cloned();
        pattern.parse::<PlatformPattern>().unwrap().fits(&platform)
    }

    #[test]
    fn a_platform_without_a_variant_means_all_of_them() {
        assert!(fits("linux/arm", "linux/arm/v7") && fits("linux/arm/v7", "linux/arm/v7"));
        assert!(!fits("linux/arm/v6", "linux/arm/v7") && !fits("linux/arm/v6", "linux/arm"));
        assert!(fits("linux/arm64/v8", "linux/arm64") && fits("linux/arm64", "linux/arm64/v8"));
        assert!(fits("linux/x86_64", "linux/amd64") && !fits("linux/amd64", "windows/amd64"));
        for bad in ["linux", "linux/", "a/b/c/d", "", "linux/amd 64"] {
            assert!(bad.parse::<PlatformPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn images_are_selected_by_name_position_and_digest() {
        let names = [Name::parse("alpine:3.11").unwrap(), Name::from_annotations(None, Some("v1")).unwrap()];
        assert_eq!(Select::new("docker.io/library/alpine:3.11").among(&names), names[..1]);
        assert_eq!(Select::new("v1").among(&names), names[1..]);
        assert!(Select::new("3.11").among(&names).is_empty());
        assert_eq!(Select::new("@2").position(), Some(2));
        assert_eq!(Select::new("sha256:0123456").digest_prefix(), Some("0123456"));
        assert_eq!(Select::new("alpine").digest_prefix(), None);
    }
}
