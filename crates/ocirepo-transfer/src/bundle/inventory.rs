//! Inventories: the list of blobs that somebody has, as text or as JSON.
//!
//! As text, one blob a line, `digest size`, sorted; blank lines and lines that begin with `#` say
//! nothing, and lines may end as they do on Windows. As JSON, an object with `blobs`, a list of
//! objects with `digest` and `size`, and whatever else.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};

use ocirepo_store::Digest;
use ocirepo_store::index::check_json;
use serde::Deserialize;

use crate::error::{Error, Result, escape};

/// The largest inventory, in bytes: that of some million blobs.
const MAX_SIZE: u64 = 256 << 20;

/// The longest line, in bytes: a digest, a size, and room for more than that.
const MAX_LINE: u64 = 4096;

/// The mark that some editors put at the beginning of a file.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Writes an inventory as text, by digest.
///
/// # Errors
/// When `out` cannot be written to.
pub fn write_inventory(blobs: &[(Digest, u64)], out: &mut impl Write) -> io::Result<()> {
    let mut sorted: Vec<&(Digest, u64)> = blobs.iter().collect();
    sorted.sort_unstable();
    sorted.into_iter().try_for_each(|(digest, size)| writeln!(out, "{digest} {size}"))
}

/// Reads an inventory, told by how it begins.
///
/// # Errors
/// [`Error::BadInventory`], and when it cannot be read.
pub(crate) fn read_inventory(mut reader: impl BufRead, label: &str) -> Result<BTreeMap<Digest, u64>> {
    let fail = |error| Error::read(label, error);
    let mut head = Vec::new();
    (&mut reader).take(MARK.len() as u64).read_to_end(&mut head).map_err(fail)?;
    let mut reader = head.strip_prefix(MARK).unwrap_or(&head).chain(reader);
    let first = loop {
        let buffer = reader.fill_buf().map_err(fail)?;
        let space = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        match buffer.get(space) {
            Some(&byte) => break Some((byte, space)),
            None if buffer.is_empty() => break None,
            // No line is lost to the count but blank ones at the very beginning of a long file.
            None => reader.consume(space),
        }
    };
    match first {
        None => Ok(BTreeMap::new()),
        Some((b'{', _)) => read_json(reader, label),
        Some(_) => read_text(reader, label, MAX_SIZE),
    }
}

fn read_json(reader: impl Read, label: &str) -> Result<BTreeMap<Digest, u64>> {
    #[derive(Deserialize)]
    struct Inventory {
        blobs: Vec<Blob>,
    }
    #[derive(Deserialize)]
    struct Blob {
        digest: Digest,
        size: u64,
    }
    let mut bytes = Vec::new();
    reader.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(|error| Error::read(label, error))?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(too_large(label, MAX_SIZE));
    }
    check_json(&bytes).map_err(|reason| bad(label, None, escape(&reason)))?;
    let inventory: Inventory =
        serde_json::from_slice(&bytes).map_err(|error| bad(label, None, escape(&error.to_string())))?;
    let mut blobs = BTreeMap::new();
    for Blob { digest, size } in inventory.blobs {
        put(&mut blobs, digest, size).map_err(|reason| bad(label, None, reason))?;
    }
    Ok(blobs)
}

fn read_text(mut reader: impl BufRead, label: &str, most: u64) -> Result<BTreeMap<Digest, u64>> {
    let mut blobs = BTreeMap::new();
    let mut line = Vec::new();
    let mut left = most;
    for number in 1.. {
        line.clear();
        let mut limited = (&mut reader).take(MAX_LINE);
        if limited.read_until(b'\n', &mut line).map_err(|error| Error::read(label, error))? == 0 {
            break;
        }
        left = left.checked_sub(line.len() as u64).ok_or_else(|| too_large(label, most))?;
        if let Some((digest, size)) = read_line(&line).map_err(|reason| bad(label, Some(number), reason))? {
            put(&mut blobs, digest, size).map_err(|reason| bad(label, Some(number), reason))?;
        }
    }
    Ok(blobs)
}

/// What a line says; nothing when it is blank or a comment.
fn read_line(line: &[u8]) -> Result<Option<(Digest, u64)>, String> {
    let is_whole = line.len() < usize::try_from(MAX_LINE).unwrap_or(usize::MAX);
    if line.trim_ascii_start().starts_with(b"#") && is_whole {
        return Ok(None);
    }
    if line.contains(&0) {
        return Err("it is not plain text; PowerShell writes UTF-16, which has to be made UTF-8".to_owned());
    }
    let text = std::str::from_utf8(line).ok().filter(|_| is_whole).ok_or("it is not a line of text")?;
    let mut words = text.split_ascii_whitespace();
    let Some(digest) = words.next() else { return Ok(None) };
    let (Some(size), None) = (words.next(), words.next()) else {
        return Err(format!("it should be a digest and a size: {}", escape(text.trim_ascii())));
    };
    let digest: Digest = digest.parse().map_err(|_| format!("{} is not a digest", escape(digest)))?;
    // A number with a sign is one to the parser.
    let size = size
        .parse()
        .ok()
        .filter(|_| size.bytes().all(|byte| byte.is_ascii_digit()))
        .ok_or_else(|| format!("{} is not a size in bytes", escape(size)))?;
    Ok(Some((digest, size)))
}

fn put(blobs: &mut BTreeMap<Digest, u64>, digest: Digest, size: u64) -> Result<(), String> {
    match blobs.insert(digest.clone(), size) {
        Some(other) if other != size => {
            Err(format!("{digest} stands in it with two sizes, {other} and {size}"))
        }
        _ => Ok(()),
    }
}

fn too_large(label: &str, most: u64) -> Error {
    bad(label, None, format!("it is more than {} MiB", most >> 20))
}

fn bad(label: &str, line: Option<u64>, reason: String) -> Error {
    Error::BadInventory { file: label.to_owned(), line, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<BTreeMap<Digest, u64>> {
        // A small buffer, so that borders fall everywhere.
        read_inventory(io::BufReader::with_capacity(5, text), "have.txt")
    }

    fn blobs() -> Vec<(Digest, u64)> {
        let mut blobs: Vec<_> = [7, 0, u64::MAX]
            .into_iter()
            .map(|size: u64| (Digest::sha256(&size.to_le_bytes()), size))
            .collect();
        blobs.sort();
        blobs
    }

    #[test]
    fn what_is_written_is_sorted_and_is_read_again() {
        let mut shuffled = blobs();
        shuffled.reverse();
        let mut text = Vec::new();
        write_inventory(&shuffled, &mut text).unwrap();
        let lines: Vec<String> = blobs().iter().map(|(digest, size)| format!("{digest} {size}\n")).collect();
        assert_eq!(String::from_utf8(text.clone()).unwrap(), lines.concat());
        assert_eq!(read(&text).unwrap().into_iter().collect::<Vec<_>>(), blobs());
    }

    #[test]
    fn comments_blank_lines_and_the_ways_of_windows_change_nothing() {
        let expected = blobs();
        let (a, b) = (&expected[0], &expected[1]);
        for text in [
            format!("# from the far side\n\n{} {}\n\t\n{} {}", a.0, a.1, b.0, b.1),
            format!("{} {}\r\n{}\t{}\r\n\r\n", a.0, a.1, b.0, b.1),
            format!("\u{feff}{}  {} \r\n {} {}\n{} {}\n", a.0, a.1, b.0, b.1, a.0, a.1),
            format!("\n\n\n\n\n\n\n\n{} {}\n{} {}\n", a.0, a.1, b.0, b.1),
        ] {
            assert_eq!(
                read(text.as_bytes()).unwrap().into_iter().collect::<Vec<_>>(),
                expected[..2],
                "{text}"
            );
        }
        for nothing in [&b""[..], b"\n", b"# none\n", b"\xef\xbb\xbf"] {
            assert!(read(nothing).unwrap().is_empty());
        }
    }

    #[test]
    fn a_list_without_end_is_not_read_to_it() {
        let endless = || io::BufReader::new(io::repeat(b'\n'));
        let error = read_text(endless(), "have.txt", 1 << 20).unwrap_err().to_string();
        assert!(error.contains("have.txt: it is more than 1 MiB"), "{error}");
        assert!(read_text(&[b'\n'; 64][..], "have.txt", 64).is_ok());
        assert!(read_text(&[b'\n'; 65][..], "have.txt", 64).is_err());
    }

    #[test]
    fn json_may_say_more_than_it_has_to() {
        let (digest, size) = &blobs()[0];
        for json in [
            format!(r#"{{"blobs":[{{"digest":"{digest}","size":{size}}}]}}"#),
            format!(
                "\n {{ \"count\": 1, \"blobs\": [{{\"size\": {size}, \"digest\": \"{digest}\", \"x\": null}}] }}\n"
            ),
        ] {
            assert_eq!(
                read(json.as_bytes()).unwrap().into_iter().collect::<Vec<_>>(),
                blobs()[..1],
                "{json}"
            );
        }
    }

    #[test]
    fn errors_name_the_file_the_line_and_what_stands_there() {
        let digest = Digest::sha256(b"x");
        for (text, message) in [
            (format!("{digest} 1\n{digest}\n"), "have.txt, line 2: it should be a digest and a size"),
            (format!("{digest} 1 2\n"), "have.txt, line 1: it should be"),
            ("sha256:abc 1\n".to_owned(), "have.txt, line 1: sha256:abc is not a digest"),
            ("hello world\n".to_owned(), "hello is not a digest"),
            (format!("{digest} -1\n"), "-1 is not a size"),
            (format!("{digest} +1\n"), "+1 is not a size"),
            (format!("{digest} 18446744073709551616\n"), "is not a size"),
            (format!("{digest} 1\n#\n{digest} 2\n"), "line 3: "),
            (format!("{digest} 1\n{}\n", "x".repeat(5000)), "line 2: it is not a line of text"),
            ("s\0h\0a\0".to_owned(), "UTF-16"),
            ("{".to_owned(), "EOF"),
            ("{}".to_owned(), "missing field `blobs`"),
            (r#"{"blobs":[{"digest":"sha256:abc","size":1}]}"#.to_owned(), "have.txt: "),
            (format!(r#"{{"blobs":[{{"digest":"{digest}","size":-1}}]}}"#), "line 1"),
            (
                format!(r#"{{"blobs":[{{"digest":"{digest}","size":1}},{{"digest":"{digest}","size":2}}]}}"#),
                "two sizes",
            ),
            (r#"{"blobs":[],"blobs":[]}"#.to_owned(), "twice"),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(matches!(error, Error::BadInventory { .. }), "{error:?}");
            assert!(error.to_string().contains(message), "{error} should contain {message}");
        }
    }
}
