//! Digests: the names of blobs, and the hashers that prove them.
//!
//! A [`Digest`] is always well formed: the grammar of the image-spec's descriptor page holds, and
//! for the algorithms known here (sha256, sha384, sha512, blake3) the encoded part is lower-case
//! hex of the right length. A digest of an unknown algorithm is passed through: it can be followed
//! but not verified. Because the grammar has no `/` and no leading `.`, a digest is safe as a path.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use sha2::Digest as _;

/// A digest algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Algorithm {
    /// SHA-256, the algorithm every tool must know.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// BLAKE3 with 32 bytes of output.
    Blake3,
}

impl Algorithm {
    pub(crate) const ALL: [Self; 4] = [Self::Sha256, Self::Sha384, Self::Sha512, Self::Blake3];

    /// Every algorithm that can be verified here.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter()
    }

    /// The registered name, which is also the directory below `blobs/`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
            Self::Blake3 => "blake3",
        }
    }

    /// The algorithm of that name, if it is known here.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    const fn hex_length(self) -> usize {
        match self {
            Self::Sha256 | Self::Blake3 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }
}

/// A well-formed digest, `algorithm:encoded`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(Arc<str>);

impl Digest {
    /// The sha256 digest of `bytes`.
    #[must_use]
    pub fn sha256(bytes: &[u8]) -> Self {
        Self::of(Algorithm::Sha256, bytes)
    }

    /// The digest of `bytes` under `algorithm`.
    #[must_use]
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The digest whose blob would be the file `encoded` in the directory `algorithm`.
    ///
    /// # Errors
    /// When the two do not make a well-formed digest.
    pub fn from_parts(algorithm: &str, encoded: &str) -> Result<Self, InvalidDigest> {
        let text = [algorithm, ":", encoded].concat();
        match fault(algorithm, encoded) {
            Some(reason) => Err(InvalidDigest { text, reason }),
            None => Ok(Self(text.into())),
        }
    }

    /// The part before the colon.
    #[must_use]
    pub fn algorithm_name(&self) -> &str {
        self.split().0
    }

    /// The algorithm, if it is one that can be verified here.
    #[must_use]
    pub fn algorithm(&self) -> Option<Algorithm> {
        Algorithm::from_name(self.algorithm_name())
    }

    /// The part after the colon, which is the blob's file name.
    #[must_use]
    pub fn encoded(&self) -> &str {
        self.split().1
    }

    /// The whole digest as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the digest of `content`; never for an unknown algorithm.
    #[must_use]
    pub fn proves(&self, content: &[u8]) -> bool {
        self.algorithm().is_some_and(|algorithm| Self::of(algorithm, content) == *self)
    }

    fn split(&self) -> (&str, &str) {
        // Names of algorithms are short; a search made for long texts takes longer to begin.
        let colon = self.0.bytes().position(|byte| byte == b':');
        let colon = colon.expect("a digest is only made from text with a colon");
        (&self.0[..colon], &self.0[colon + 1..])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed digest {text:?}: {reason}")]
#[non_exhaustive]
pub struct InvalidDigest {
    /// The text that was given.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let refuse = |reason| InvalidDigest { text: text.to_owned(), reason };
        let (name, encoded) = text.split_once(':').ok_or_else(|| refuse("there is no colon"))?;
        match fault(name, encoded) {
            Some(reason) => Err(refuse(reason)),
            None => Ok(Self(text.into())),
        }
    }
}

/// What is wrong with a digest of these two parts, if anything is.
fn fault(name: &str, encoded: &str) -> Option<&'static str> {
    if let Some(algorithm) = Algorithm::from_name(name) {
        if encoded.len() != algorithm.hex_length() {
            return Some("the encoded part has the wrong length for its algorithm");
        }
        // No early exit, so that it is done for many bytes at once.
        let is_hex = encoded.bytes().fold(true, |so_far, b| so_far & matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        return (!is_hex).then_some("the encoded part is not lower-case hex");
    }
    if !is_algorithm(name) {
        return Some("the algorithm is not a valid name");
    }
    if encoded.is_empty() || !encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"=_-".contains(&b)) {
        return Some("the encoded part has characters outside the grammar");
    }
    // 255 bytes is the longest file name that common file systems take.
    (encoded.len() > 255 || name.len() > 255).then_some("it is too long to be a file name")
}

/// Whether `name` follows the algorithm grammar of the image-spec: `[a-z0-9]+([+._-][a-z0-9]+)*`.
fn is_algorithm(name: &str) -> bool {
    name.split(['+', '.', '_', '-'])
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

/// An incremental hasher of one algorithm.
#[derive(Debug, Clone)]
pub struct Hasher(State);

#[derive(Debug, Clone)]
enum State {
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    /// A fresh hasher.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha384 => State::Sha384(sha2::Sha384::new()),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
            Algorithm::Blake3 => State::Blake3(Box::new(blake3::Hasher::new())),
        })
    }

    /// Takes in more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha384(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
            State::Blake3(state) => {
                state.update(bytes);
            }
        }
    }

    /// The digest of everything taken in.
    #[must_use]
    pub fn finish(self) -> Digest {
        let (algorithm, text) = match self.0 {
            State::Sha256(state) => (Algorithm::Sha256, hex(&state.finalize())),
            State::Sha384(state) => (Algorithm::Sha384, hex(&state.finalize())),
            State::Sha512(state) => (Algorithm::Sha512, hex(&state.finalize())),
            State::Blake3(state) => (Algorithm::Blake3, hex(state.finalize().as_bytes())),
        };
        Digest([algorithm.name(), ":", &text].concat().into())
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_algorithms_want_lower_case_hex_of_their_length() {
        let good = Digest::sha256(b"");
        assert_eq!(good.as_str(), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        for bad in [
            "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
            "sha256:e3b0",
            "sha256",
            "sha256:",
            ":abc",
            "sha512:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "sha256:../../../../etc/passwd",
            "../x:abc",
            "a..b:abc",
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn unknown_algorithms_pass_through() {
        let digest: Digest =
            "multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8".parse().unwrap();
        assert_eq!(digest.algorithm(), None);
        assert_eq!(digest.algorithm_name(), "multihash+base58");
    }

    #[test]
    fn every_known_algorithm_round_trips() {
        for algorithm in Algorithm::ALL {
            let digest = Digest::of(algorithm, b"abc");
            assert_eq!(digest.as_str().parse::<Digest>().unwrap(), digest);
            assert_eq!(digest.algorithm(), Some(algorithm));
        }
    }
}
