//! Descriptors and platforms as they are read: leniently, but never guessing.
//!
//! A digest or a size that cannot be right makes a descriptor unusable; anything else that is
//! missing or of the wrong type is taken as absent (image-spec, "descriptor").

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use serde_json::value::RawValue;

use super::media_type::is_nondistributable;
use crate::digest::Digest;
use crate::index::json::{self, Object};

/// A content descriptor: what a blob is, and how it is found and proven.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Descriptor {
    /// The media type; empty when none is given.
    pub media_type: String,
    /// The digest of the content.
    pub digest: Digest,
    /// The size of the content in bytes.
    pub size: u64,
    /// Whether the content may be fetched from elsewhere (`urls`).
    pub has_urls: bool,
    /// The content itself, when the descriptor embeds it and it is what the digest says.
    pub data: Option<Vec<u8>>,
    /// The platform, when one is given.
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// A descriptor with no more than every descriptor has.
    #[must_use]
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Self { media_type: media_type.into(), digest, size, has_urls: false, data: None, platform: None }
    }

    /// Whether the blob may legally be absent: it can be fetched elsewhere, must not be distributed,
    /// or is embedded.
    #[must_use]
    pub fn may_be_absent(&self) -> bool {
        self.has_urls || self.data.is_some() || is_nondistributable(&self.media_type)
    }

    /// Reads a descriptor from its JSON.
    ///
    /// # Errors
    /// What is wrong, when the digest or the size cannot be used.
    pub fn parse(text: &str) -> Result<Self, String> {
        let [media_type, digest, size, urls, data, platform] =
            json::pick(text, ["mediaType", "digest", "size", "urls", "data", "platform"])
                .map_err(|_| "the descriptor is not an object".to_owned())?;
        let digest = digest.and_then(json::text).ok_or_else(|| "the descriptor has no digest".to_owned())?;
        let digest: Digest = digest.parse().map_err(|error| format!("{error}"))?;
        let size =
            size.map(RawValue::get).ok_or_else(|| format!("the descriptor of {digest} has no size"))?;
        let size = size.parse::<u64>().ok().filter(|&size| i64::try_from(size).is_ok()).ok_or_else(|| {
            format!("the size {} of {digest} is not a whole number of bytes", shorten(size))
        })?;
        let has_urls = urls
            .and_then(|value| serde_json::from_str::<Vec<serde::de::IgnoredAny>>(value.get()).ok())
            .is_some_and(|urls| !urls.is_empty());
        let data = data
            .and_then(json::text)
            .and_then(|text| base64::engine::general_purpose::STANDARD.decode(&*text).ok())
            .filter(|data| data.len() as u64 == size && digest.proves(data));
        Ok(Self {
            media_type: media_type.and_then(json::text).unwrap_or_default().into_owned(),
            digest,
            size,
            has_urls,
            data,
            platform: platform.and_then(Platform::parse),
        })
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}

/// The platform an image runs on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Platform {
    /// Operating system, as `GOOS` spells it.
    pub os: String,
    /// Architecture, as `GOARCH` spells it.
    pub architecture: String,
    /// Variant of the architecture, such as `v7` of `arm`.
    pub variant: Option<String>,
    /// Version of the operating system (`os.version`), which matters to Windows.
    pub os_version: Option<String>,
}

impl Platform {
    /// A platform without a variant.
    #[must_use]
    pub fn new(os: impl Into<String>, architecture: impl Into<String>) -> Self {
        Self { os: os.into(), architecture: architecture.into(), variant: None, os_version: None }
    }

    /// Reads the `platform` of a descriptor, or the same members of an image config.
    pub(crate) fn parse(raw: &RawValue) -> Option<Self> {
        let picked = json::pick(raw.get(), ["os", "architecture", "variant", "os.version"]).ok()?;
        let [os, architecture, variant, os_version] =
            picked.map(|value| json::text(value?).filter(|text| !text.is_empty()).map(Cow::into_owned));
        Some(Self { os: os?, architecture: architecture?, variant, os_version })
    }

    /// The platform that an image config is for.
    #[must_use]
    pub fn of_config(bytes: &[u8]) -> Option<Self> {
        Self::parse(serde_json::from_slice::<&RawValue>(bytes).ok()?)
    }

    /// Whether this is the `unknown/unknown` that marks attestations.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.os == "unknown" && self.architecture == "unknown"
    }

    pub(crate) fn to_raw(&self) -> Box<RawValue> {
        let mut object = Object::default();
        object.set("architecture", json::quote(&self.architecture));
        object.set("os", json::quote(&self.os));
        if let Some(version) = &self.os_version {
            object.set("os.version", json::quote(version));
        }
        if let Some(variant) = &self.variant {
            object.set("variant", json::quote(variant));
        }
        object.to_raw()
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if let Some(variant) = &self.variant {
            write!(f, "/{variant}")?;
        }
        Ok(())
    }
}
