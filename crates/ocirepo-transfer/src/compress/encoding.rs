//! What layers can be compressed to, as the user says it and as the repository remembers it.

use std::fmt;
use std::str::FromStr;

use super::{gzip, zstd};

/// How a layer is compressed anew: `gzip`, `gzip:9`, `zstd`, `zstd:3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// gzip, which every tool reads.
    Gzip(GzipLevel),
    /// zstd, which is smaller and faster, and which older tools do not read.
    Zstd(ZstdLevel),
}

impl Encoding {
    /// Which compression it is, without its level.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip(_) => "gzip",
            Self::Zstd(_) => "zstd",
        }
    }

    /// A short word for the encoder and its settings, such as `gzip-1.3`: encoding, level and the
    /// revision of the encoder. As long as the word is the same, equal content gives equal bytes;
    /// whatever changes the bytes, be it a new version of a dependency, changes the revision.
    #[must_use]
    pub fn recipe(&self) -> String {
        match self {
            Self::Gzip(level) => format!("gzip-{}.{}", level.get(), gzip::REVISION),
            Self::Zstd(level) => format!("zstd-{}.{}", level.get(), zstd::REVISION),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gzip(level) => write!(f, "gzip:{}", level.get()),
            Self::Zstd(level) => write!(f, "zstd:{}", level.get()),
        }
    }
}

impl FromStr for Encoding {
    type Err = InvalidEncoding;

    fn from_str(text: &str) -> Result<Self, InvalidEncoding> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(number(level))),
            None => (text, None),
        };
        let encoding = match (name, level) {
            ("gzip", None) => Some(Self::Gzip(GzipLevel::default())),
            ("zstd", None) => Some(Self::Zstd(ZstdLevel::default())),
            ("gzip", Some(level)) => level.and_then(GzipLevel::new).map(Self::Gzip),
            ("zstd", Some(level)) => level.and_then(ZstdLevel::new).map(Self::Zstd),
            _ => None,
        };
        encoding.ok_or_else(|| InvalidEncoding { text: text.to_owned() })
    }
}

/// A number as people write it: no sign, no zeros in front.
fn number(text: &str) -> Option<u8> {
    text.parse().ok().filter(|number: &u8| number.to_string() == text)
}

/// A level of gzip, 1 to 9; 1 if nothing is said, which is about as small as level 5 of zlib.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GzipLevel(u8);

impl GzipLevel {
    /// The level of that number, if there is one.
    #[must_use]
    pub const fn new(level: u8) -> Option<Self> {
        if matches!(level, 1..=9) { Some(Self(level)) } else { None }
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for GzipLevel {
    fn default() -> Self {
        Self(1)
    }
}

/// A level of zstd, 1 to 19; 2 if nothing is said, which is within 1 % of the size of level 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZstdLevel(u8);

impl ZstdLevel {
    /// The level of that number, if there is one.
    #[must_use]
    pub const fn new(level: u8) -> Option<Self> {
        if matches!(level, 1..=19) { Some(Self(level)) } else { None }
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for ZstdLevel {
    fn default() -> Self {
        Self(2)
    }
}

/// A text is not an [`Encoding`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no compression: gzip, gzip:1 to gzip:9, zstd, and zstd:1 to zstd:19 are possible")]
#[non_exhaustive]
pub struct InvalidEncoding {
    /// The text that was given.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_told_with_and_without_a_level() {
        for (text, shown, recipe) in [
            ("gzip", "gzip:1", "gzip-1.3"),
            ("gzip:1", "gzip:1", "gzip-1.3"),
            ("gzip:9", "gzip:9", "gzip-9.3"),
            ("zstd", "zstd:2", "zstd-2.2"),
            ("zstd:19", "zstd:19", "zstd-19.2"),
        ] {
            let encoding: Encoding = text.parse().unwrap();
            assert_eq!((encoding.to_string().as_str(), encoding.recipe().as_str()), (shown, recipe));
            assert_eq!(shown.parse(), Ok(encoding));
        }
    }

    #[test]
    fn anything_else_is_told_what_is_possible() {
        for text in [
            "", "xz", "GZIP", "gzip:", "gzip:0", "gzip:10", "gzip:+6", "gzip:06", "zstd:20", "zstd:-1",
            "zstd:3:3",
        ] {
            let error = text.parse::<Encoding>().unwrap_err().to_string();
            let possible = "gzip, gzip:1 to gzip:9, zstd, and zstd:1 to zstd:19 are possible";
            assert_eq!(error, format!("{text:?} is no compression: {possible}"));
        }
    }
}
