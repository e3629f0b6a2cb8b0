//! One fact, and how it is written: `<size> <blob> <diffID> [<recipe>] ;`.
//!
//! A line that was cut short anywhere has lost its `;`, which stands nowhere else, so it can never
//! be read as another fact. A line is read only if it is spelled as it would be written.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;

/// Ends a line. It is outside the grammars of digests, sizes and recipes.
const END: &str = ";";

/// The stored blob `blob` unpacks to the content `diff_id`.
///
/// Facts are ordered by diffID, then smallest blob first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Fact {
    /// The digest of the layer unpacked.
    pub diff_id: Digest,
    /// The size of the blob in bytes.
    pub size: u64,
    /// The digest of the layer as it is stored; the same as `diff_id` when that is plain.
    pub blob: Digest,
    /// The pinned encoder that made the blob from its content, if one of ours did.
    pub made_by: Option<Recipe>,
}

impl Fact {
    /// A fact, proven by the caller.
    #[must_use]
    pub const fn new(diff_id: Digest, blob: Digest, size: u64, made_by: Option<Recipe>) -> Self {
        Self { diff_id, size, blob, made_by }
    }

    /// Whether there can be proof of it: not for a digest that cannot be verified.
    pub(super) fn is_provable(&self) -> bool {
        self.diff_id.algorithm().is_some() && self.blob.algorithm().is_some()
    }

    /// Reads a line, without its newline.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split(' ').collect();
        let (size, blob, diff_id, recipe) = match fields.as_slice() {
            [size, blob, diff_id, END] => (size, blob, diff_id, None),
            [size, blob, diff_id, recipe, END] => (size, blob, diff_id, Some(recipe)),
            _ => return None,
        };
        let made_by = recipe.map(|text| text.parse()).transpose().ok()?;
        let fact = Self::new(diff_id.parse().ok()?, blob.parse().ok()?, size.parse().ok()?, made_by);
        (fact.is_provable() && fact.to_string() == line).then_some(fact)
    }
}

/// The fact as a line, without its newline.
impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ", self.size, self.blob, self.diff_id)?;
        if let Some(recipe) = &self.made_by {
            write!(f, "{recipe} ")?;
        }
        f.write_str(END)
    }
}

/// A short word for a pinned encoder and its settings, such as `gzip-6.1`: whoever says it again
/// for the same content gets the same bytes. `[a-z0-9.:-]`, 1 to 32 of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recipe(String);

impl Recipe {
    const MAX_LENGTH: usize = 32;

    /// The word itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Recipe {
    type Err = InvalidRecipe;

    fn from_str(text: &str) -> Result<Self, InvalidRecipe> {
        let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".:-".contains(&byte);
        if text.is_empty() || text.len() > Self::MAX_LENGTH || !text.bytes().all(is_good) {
            return Err(InvalidRecipe { text: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text is not a [`Recipe`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not the name of an encoder: 1 to 32 of a-z, 0-9, '.', ':' and '-'")]
#[non_exhaustive]
pub struct InvalidRecipe {
    /// The text that was given.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(recipe: Option<&str>) -> Fact {
        let recipe = recipe.map(|text| text.parse().unwrap());
        Fact::new(Digest::sha256(b"content"), Digest::sha256(b"blob"), 1234, recipe)
    }

    #[test]
    fn a_line_cut_short_anywhere_is_no_fact() {
        for fact in [fact(None), fact(Some("gzip-6.1")), fact(Some("-")), fact(Some(&"z".repeat(32)))] {
            let line = fact.to_string();
            assert_eq!(Fact::parse(&line), Some(fact));
            for length in 0..line.len() {
                assert_eq!(Fact::parse(&line[..length]), None, "{}", &line[..length]);
            }
        }
    }

    #[test]
    fn a_line_is_spelled_in_one_way() {
        let line = fact(Some("gzip-6.1")).to_string();
        let (blob, diff_id) = (Digest::sha256(b"blob"), Digest::sha256(b"content"));
        for bad in [
            format!("0{line}"),
            format!("+{line}"),
            format!(" {line}"),
            format!("{line} "),
            format!("{line}\r"),
            format!("{line} {line}"),
            line.replace("1234", "-1"),
            line.replace("1234", "99999999999999999999"),
            line.replace("gzip-6.1", "Gzip"),
            line.replace("gzip-6.1", "gzip 6"),
            line.replace("gzip-6.1", ""),
            format!("1 {blob} md5:d41d8cd98f00b204e9800998ecf8427e ;"),
            format!("1 other:abc {diff_id} ;"),
            format!("{blob} {diff_id} ;"),
        ] {
            assert_eq!(Fact::parse(&bad), None, "{bad:?}");
        }
    }

    #[test]
    fn recipes_are_short_plain_words() {
        for bad in ["", "GZIP", "a b", "a;", "a\n", "é", &"z".repeat(33)] {
            assert!(bad.parse::<Recipe>().is_err(), "{bad:?} was taken");
        }
        assert_eq!("zstd:3-1.5.7".parse::<Recipe>().unwrap().as_str(), "zstd:3-1.5.7");
    }
}
