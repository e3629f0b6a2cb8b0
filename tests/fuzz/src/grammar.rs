//! Image references as the distribution project documents them, for comparison.
//!
//! Written from the published grammar, one function for each production, and on purpose in another
//! way than the store does it: a text fits a production if some way of cutting it up fits.

/// The parts of a reference that docker takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Empty where docker's own parser ends up without one: see [`normalise`].
    pub(crate) domain: String,
    pub(crate) path: String,
    pub(crate) tag: Option<String>,
    pub(crate) digest: Option<String>,
}

/// The longest path in bytes. The domain does not count.
pub(crate) const MAX_PATH: usize = 255;

/// What docker makes of a name that a user typed, `latest` not yet added.
///
/// A first component that looks like a domain, but is none, such as `a_b.c` in `a_b.c/d`, stays
/// part of the path: the result then has no domain at all.
pub(crate) fn normalise(text: &str) -> Option<Parts> {
    let (domain, rest) = split_domain(text);
    let remote = rest.find(':').map_or(rest.as_str(), |colon| &rest[..colon]);
    if remote.to_lowercase() != remote {
        return None;
    }
    reference(&format!("{domain}/{rest}"))
}

/// Whether docker takes the text for the ID of an image.
pub(crate) fn is_identifier(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn split_domain(text: &str) -> (String, String) {
    let Some(slash) = text.find('/') else {
        return ("docker.io".to_owned(), format!("library/{text}"));
    };
    let (first, rest) = (&text[..slash], &text[slash + 1..]);
    let is_domain =
        first == "localhost" || first.contains('.') || first.contains(':') || first.to_lowercase() != first;
    let (domain, rest) = match first {
        "index.docker.io" => ("docker.io", rest),
        _ if is_domain => (first, rest),
        _ => ("docker.io", text),
    };
    let is_familiar = domain == "docker.io" && !rest.contains('/');
    let rest = if is_familiar { format!("library/{rest}") } else { rest.to_owned() };
    (domain.to_owned(), rest)
}

/// `reference := name [ ":" tag ] [ "@" digest ]`
fn reference(text: &str) -> Option<Parts> {
    let cuts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    for end in cuts {
        let rest = &text[end..];
        if !(rest.is_empty() || rest.starts_with([':', '@'])) {
            continue;
        }
        let Some((domain, path)) = name(&text[..end]) else { continue };
        let Some((tag, digest)) = suffix(rest) else { continue };
        if path.len() > MAX_PATH || digest.as_deref().is_some_and(|text| !is_supported_digest(text)) {
            return None;
        }
        return Some(Parts { domain, path, tag, digest });
    }
    None
}

type Suffix = (Option<String>, Option<String>);

fn suffix(text: &str) -> Option<Suffix> {
    let (tag_part, digest_part) = match text.find('@') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let tag = match tag_part.strip_prefix(':') {
        Some(text) => Some(Some(text).filter(|text| is_tag(text))?.to_owned()),
        None if tag_part.is_empty() => None,
        None => return None,
    };
    let digest = match digest_part {
        Some(text) => Some(Some(text).filter(|text| is_digest(text))?.to_owned()),
        None => None,
    };
    Some((tag, digest))
}

/// `name := [ domain "/" ] remote-name`, with a domain where there can be one.
fn name(text: &str) -> Option<(String, String)> {
    let split = text.find('/').map(|slash| (&text[..slash], &text[slash + 1..]));
    if let Some((domain, path)) = split.filter(|(domain, path)| is_domain(domain) && is_remote_name(path)) {
        return Some((domain.to_owned(), path.to_owned()));
    }
    is_remote_name(text).then(|| (String::new(), text.to_owned()))
}

/// `domain := host [ ":" port ]`, `host := domain-name | "[" address "]"`
fn is_domain(text: &str) -> bool {
    let fits = |host: &str, port: Option<&str>| {
        is_host(host)
            && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
    };
    fits(text, None) || text.rfind(':').is_some_and(|colon| fits(&text[..colon], Some(&text[colon + 1..])))
}

fn is_host(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return !address.is_empty()
            && address.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' | b':'));
    }
    text.split('.').all(|component| match component.as_bytes() {
        [one] => one.is_ascii_alphanumeric(),
        [first, middle @ .., last] => {
            first.is_ascii_alphanumeric()
                && last.is_ascii_alphanumeric()
                && middle.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-')
        }
        [] => false,
    })
}

fn is_remote_name(text: &str) -> bool {
    text.split('/').all(is_path_component)
}

/// `path-component := alphanumeric [ separator alphanumeric ]*`
fn is_path_component(text: &str) -> bool {
    let mut rest = text.as_bytes();
    loop {
        let word = rest.iter().take_while(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9')).count();
        if word == 0 {
            return false;
        }
        rest = match &rest[word..] {
            [] => return true,
            [b'_', b'_', after @ ..] | [b'_' | b'.', after @ ..] => after,
            [b'-', ..] => {
                let dashes = rest[word..].iter().take_while(|&&byte| byte == b'-').count();
                &rest[word + dashes..]
            }
            _ => return false,
        };
    }
}

/// `tag := /[\w][\w.-]{0,127}/`
fn is_tag(text: &str) -> bool {
    let mut bytes = text.bytes();
    matches!(bytes.next(), Some(b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_'))
        && bytes.all(|byte| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-'))
        && text.len() <= 128
}

/// `digest := algorithm ":" hex`, with at least 32 digits.
fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    let component = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    algorithm.split(['-', '_', '+', '.']).all(component)
        && hex.len() >= 32
        && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What docker can verify: it refuses every other digest, however well formed.
fn is_supported_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    hex.len() == length && !hex.bytes().any(|byte| byte.is_ascii_uppercase())
}
