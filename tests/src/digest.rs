//! Digests of bytes, as the strings that manifests and file names use.

use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// `sha256:<hex>` of `bytes`.
pub fn sha256(bytes: &[u8]) -> String {
    of("sha256", bytes).expect("sha256 is known")
}

/// `sha512:<hex>` of `bytes`.
pub fn sha512(bytes: &[u8]) -> String {
    of("sha512", bytes).expect("sha512 is known")
}

/// The digest of `bytes` under a named algorithm; `None` if this testkit cannot compute it.
pub fn of(algorithm: &str, bytes: &[u8]) -> Option<String> {
    let hash = match algorithm {
        "sha256" => Sha256::digest(bytes).to_vec(),
        "sha384" => Sha384::digest(bytes).to_vec(),
        "sha512" => Sha512::digest(bytes).to_vec(),
        _ => return None,
    };
    Some(format!("{algorithm}:{}", to_hex(&hash)))
}

/// The part of a digest after the colon.
pub fn encoded(digest: &str) -> &str {
    split(digest).1
}

/// Algorithm and encoded part of a digest.
pub fn split(digest: &str) -> (&str, &str) {
    digest.split_once(':').unwrap_or_else(|| panic!("{digest:?} is not a digest"))
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        hex.push(DIGITS[usize::from(byte >> 4)].into());
        hex.push(DIGITS[usize::from(byte & 15)].into());
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published test vectors of the empty message.
    #[test]
    fn known_digests() {
        assert_eq!(sha256(b""), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert!(sha512(b"").starts_with("sha512:cf83e1357eefb8bdf1542850d66d8007"));
        assert_eq!(of("md5", b""), None);
        assert_eq!(split("sha256:ab"), ("sha256", "ab"));
    }
}
