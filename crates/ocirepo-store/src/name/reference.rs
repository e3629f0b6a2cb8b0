//! Image references, normalised as docker and every tool around it does.
//!
//! The grammar is that of the distribution project's reference page:
//! `[registry/]path[:tag][@digest]`. A first component is a registry only if it has a dot, a
//! colon or an upper-case letter in it, or is `localhost`; otherwise the registry is `docker.io`,
//! where single names live under `library/`.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;
use crate::error::Error;

/// A normalised image reference.
///
/// It is kept as the text it is written as, which stands for one reference only: there are many of
/// them, and most are compared or printed, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    text: String,
    /// Where in the text the registry ends, and the repository after it.
    registry: usize,
    repository: usize,
    /// Where the tag ends, if there is one.
    tag: Option<usize>,
    digest: Option<Digest>,
}

/// The longest repository name, registry included, in bytes.
const MAX_NAME: usize = 255;

impl Reference {
    /// The registry, such as `docker.io`.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.text[..self.registry]
    }

    /// The repository with its registry, such as `docker.io/library/alpine`.
    #[must_use]
    pub fn repository(&self) -> String {
        self.text[..self.repository].to_owned()
    }

    /// The tag, if there is one.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.map(|end| &self.text[self.repository + 1..end])
    }

    /// The digest, if there is one.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// All of it, as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// This reference with the tag `latest` where docker would add it: where there is neither a
    /// tag nor a digest.
    #[must_use]
    pub fn or_latest(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.text.push_str(":latest");
            self.tag = Some(self.text.len());
        }
        self
    }

    /// This reference without its digest.
    #[must_use]
    pub fn without_digest(mut self) -> Self {
        self.digest = None;
        self.text.truncate(self.tag.unwrap_or(self.repository));
        self
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.text
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |reason| Error::InvalidReference { text: text.to_owned(), reason };
        if text.contains(char::is_whitespace) {
            return Err(refuse("there is a space in it"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                (rest, Some(digest.parse().map_err(|_| refuse("what follows the @ is not a digest"))?))
            }
            None => (text, None),
        };
        // The last colon starts a tag unless a slash follows: then it belongs to a port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') && !tag.contains(']') => (name, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(refuse("the tag is not valid"));
        }
        let (registry, path) = split_registry(name);
        if !is_registry(registry) {
            return Err(refuse("the registry is not valid"));
        }
        let library = if registry == DOCKER_HUB && !path.contains('/') { "library/" } else { "" };
        if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(refuse("the repository must be lower case"));
        }
        if !path.split('/').all(is_path_component) {
            return Err(refuse("the repository is not valid"));
        }
        let repository = registry.len() + 1 + library.len() + path.len();
        if repository > MAX_NAME {
            return Err(refuse("the repository is longer than 255 characters"));
        }
        let mut text = String::with_capacity(repository + ":latest".len().max(rest.len() - name.len()));
        for part in [registry, "/", library, path] {
            text.push_str(part);
        }
        let tag = tag.map(|tag| {
            text.push(':');
            text.push_str(tag);
            text.len()
        });
        if let Some(digest) = &digest {
            text.push('@');
            text.push_str(Digest::as_str(digest));
        }
        Ok(Self { text, registry: registry.len(), repository, tag, digest })
    }
}

const DOCKER_HUB: &str = "docker.io";

fn split_registry(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((first, rest))
            if first == "localhost"
                || first.contains(['.', ':'])
                || first.bytes().any(|byte| byte.is_ascii_uppercase()) =>
        {
            (if first == "index.docker.io" { DOCKER_HUB } else { first }, rest)
        }
        _ => (DOCKER_HUB, name),
    }
}

/// `host[:port]`, where the host is made of name components or is an IPv6 address in brackets.
fn is_registry(text: &str) -> bool {
    let (host, port) = if let Some(inner) = text.strip_prefix('[') {
        let Some((address, rest)) = inner.split_once(']') else { return false };
        if address.is_empty() || !address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':') {
            return false;
        }
        match rest.strip_prefix(':') {
            Some(port) => ("", Some(port)),
            None if rest.is_empty() => ("", None),
            None => return false,
        }
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if port.is_some_and(|port| port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit())) {
        return false;
    }
    text.starts_with('[')
        || host.split('.').all(|part| {
            !part.is_empty()
                && !part.starts_with('-')
                && !part.ends_with('-')
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(text: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(is_word)
        && bytes.last().is_some_and(is_word)
        && bytes.chunk_by(|a, b| is_word(a) == is_word(b)).all(|run| {
            is_word(&run[0]) || matches!(run, b"." | b"_" | b"__") || run.iter().all(|byte| *byte == b'-')
        })
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
pub(crate) fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_normalise_as_docker_does() {
        for (text, full) in [
            ("alpine", "docker.io/library/alpine"),
            ("alpine:3.11", "docker.io/library/alpine:3.11"),
            ("index.docker.io/library/alpine:3.11", "docker.io/library/alpine:3.11"),
            ("docker.io/alpine", "docker.io/library/alpine"),
            ("me/app", "docker.io/me/app"),
            ("localhost/app:1", "localhost/app:1"),
            ("localhost:5000/app", "localhost:5000/app"),
            ("quay.io/a/b/c:v1", "quay.io/a/b/c:v1"),
            ("Host/app", "Host/app"),
            ("foo__bar:1", "docker.io/library/foo__bar:1"),
            ("a---b:1", "docker.io/library/a---b:1"),
            ("[::1]:5000/a:1", "[::1]:5000/a:1"),
            ("[fe80::1]/a", "[fe80::1]/a"),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), full);
            assert_eq!(full.parse::<Reference>().unwrap(), reference, "{full} is not stable");
        }
    }

    #[test]
    fn what_docker_refuses_is_refused() {
        for bad in [
            "",
            ":",
            "UPPER",
            "a/UPPER",
            "a//b",
            "a/",
            "/a",
            "a:",
            "a:-x",
            "a___b",
            "a._b",
            "-a",
            "a-",
            "a b",
            "a@sha256:1",
            "host:port/a",
            "[::1/a",
            "[]/a",
            "ocidir://x:1",
            "a\u{1b}[31m",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad:?} was taken");
        }
        assert!("a".repeat(300).parse::<Reference>().is_err());
    }

    #[test]
    fn latest_is_added_only_where_docker_adds_it() {
        let digest = Digest::sha256(b"");
        for (text, full) in [
            ("alpine", "docker.io/library/alpine:latest".to_owned()),
            ("alpine:3", "docker.io/library/alpine:3".to_owned()),
            (&format!("alpine@{digest}"), format!("docker.io/library/alpine@{digest}")),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().or_latest().to_string(), full);
        }
    }
}
