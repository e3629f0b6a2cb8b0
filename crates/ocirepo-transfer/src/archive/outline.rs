//! What a tar holds, by its headers and the few documents at its top: nothing else is read where
//! that can be helped, and nothing is kept.

use std::collections::BTreeMap;
use std::io;

use ocirepo_store::Digest;

use super::headers::{Fault, Header, Headers, Kind};
use super::input::{Input, Stream};
use super::limits::MAX_INDEX;
use super::paths;
use super::tar_file::fault_of;
use crate::error::{Error, Result, escape};

/// Which blobs a tar holds, and the documents that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    /// Every member that lies where an image layout keeps its blobs, with its size in bytes.
    pub(crate) blobs: BTreeMap<Digest, u64>,
    /// The documents at the top, by name.
    top: BTreeMap<String, Vec<u8>>,
    /// The documents in a folder at the top, by name.
    inside: BTreeMap<String, Inside>,
    /// How large the documents are that are kept, in bytes.
    kept: u64,
}

/// A document that may stand in one folder only: of two, neither is meant.
#[derive(Debug)]
enum Inside {
    One { folder: String, bytes: Vec<u8> },
    Several,
}

/// The largest that all documents may be together, in bytes: an index and a table of contents at
/// their largest.
const MAX_DOCUMENTS: u64 = 2 * MAX_INDEX;

/// Whether bytes begin a tar. They are the first block, or everything there is.
pub(crate) fn is_tar(head: &[u8]) -> bool {
    !head.is_empty() && !matches!(Headers::new(Stream::new(head)).next(), Err(Fault::NotTar))
}

/// The outline of a tar that is read from its beginning to its end, with the documents of these names.
///
/// # Errors
/// When it is no tar, or one that ends too early, and when a blob or a document is in it twice and
/// differs.
pub(crate) fn outline_of_stream(reader: impl io::Read, label: &str, wanted: &[&str]) -> Result<Outline> {
    outline(Stream::new(reader), label, wanted)
}

/// The same of a tar in a file, whose contents are passed over.
///
/// # Errors
/// As [`outline_of_stream`].
pub(crate) fn outline_of_file(file: &std::fs::File, label: &str, wanted: &[&str]) -> Result<Outline> {
    outline(file, label, wanted)
}

fn outline<I: Input>(input: I, label: &str, wanted: &[&str]) -> Result<Outline> {
    let mut headers = Headers::new(input);
    let mut outline = Outline::default();
    while let Some(header) = headers.next().map_err(|fault| fault_of(label, fault))? {
        let name = (header.kind == Kind::File).then(|| paths::clean(&header.name)).flatten();
        match name.as_deref().filter(|name| is_wanted(name, wanted)) {
            Some(name) if outline.keeps(name) => {
                outline.make_room(&header, label)?;
                let bytes = content(headers.input(), &header, label)?;
                outline.put_document(name, bytes, label)?;
            }
            _ => see_end(headers.input(), &header, label)?,
        }
        if let Some(digest) = name.as_deref().and_then(paths::blob_digest) {
            outline.put_blob(digest, &header, label)?;
        }
    }
    headers.trailing(true).map_err(|error| Error::read(label, error))?;
    Ok(outline)
}

/// At the top, or in a folder there.
fn is_wanted(name: &str, wanted: &[&str]) -> bool {
    wanted.contains(&in_folder(name).map_or(name, |(_, last)| last))
}

/// The folder and the name in it.
fn in_folder(name: &str) -> Option<(&str, &str)> {
    name.split_once('/')
}

impl Outline {
    /// A document at the top, or else in the only folder that has one of that name.
    pub(crate) fn document(&self, name: &str) -> Option<&[u8]> {
        let inside = || match self.inside.get(name)? {
            Inside::One { bytes, .. } => Some(bytes),
            Inside::Several => None,
        };
        self.top.get(name).or_else(inside).map(Vec::as_slice)
    }

    /// Whether a document has to be read: not that of a second folder, which is never the one that is
    /// meant, however many there are. It makes the first one ambiguous.
    fn keeps(&mut self, name: &str) -> bool {
        let Some((folder, last)) = in_folder(name) else { return true };
        match self.inside.get(last) {
            None => true,
            Some(Inside::One { folder: first, .. }) if first == folder => true,
            Some(Inside::One { bytes, .. }) => {
                self.kept -= bytes.len() as u64;
                self.inside.insert(last.to_owned(), Inside::Several);
                false
            }
            Some(Inside::Several) => false,
        }
    }

    /// Sees that a document may be kept beside the others.
    fn make_room(&self, header: &Header, label: &str) -> Result<()> {
        if self.kept.saturating_add(header.size) <= MAX_DOCUMENTS || header.size > MAX_INDEX {
            return Ok(());
        }
        let reason = format!("with the documents before it, it is more than {} MiB", MAX_DOCUMENTS >> 20);
        Err(Error::member(label, &header.name, reason))
    }

    /// Keeps a document, or sees that it is the one that is kept.
    fn put_document(&mut self, name: &str, bytes: Vec<u8>, label: &str) -> Result<()> {
        let before = match in_folder(name) {
            None => self.top.get(name),
            Some((_, last)) => match self.inside.get(last) {
                Some(Inside::One { bytes, .. }) => Some(bytes),
                Some(Inside::Several) | None => None,
            },
        };
        match before {
            Some(before) if *before != bytes => return Err(differs(label, name)),
            Some(_) => return Ok(()),
            None => self.kept += bytes.len() as u64,
        }
        match in_folder(name) {
            None => drop(self.top.insert(name.to_owned(), bytes)),
            Some((folder, last)) => {
                let one = Inside::One { folder: folder.to_owned(), bytes };
                self.inside.insert(last.to_owned(), one);
            }
        }
        Ok(())
    }

    fn put_blob(&mut self, digest: Digest, header: &Header, label: &str) -> Result<()> {
        match self.blobs.insert(digest, header.size) {
            Some(other) if other != header.size => Err(differs(label, &header.name)),
            _ => Ok(()),
        }
    }
}

fn differs(label: &str, name: &str) -> Error {
    Error::member(label, name, "it is in the archive twice, with different content")
}

fn content(input: &mut impl Input, header: &Header, label: &str) -> Result<Vec<u8>> {
    if header.size > MAX_INDEX {
        let reason = format!("it is {} bytes, more than {} MiB", header.size, MAX_INDEX >> 20);
        return Err(Error::member(label, &header.name, reason));
    }
    // No larger than what is there, whatever the header says.
    let mut bytes = Vec::new();
    let mut chunk = vec![0; super::buffer_for(header.size)];
    while (bytes.len() as u64) < header.size {
        let missing = usize::try_from(header.size).unwrap_or(usize::MAX) - bytes.len();
        let length = missing.min(chunk.len());
        let offset = header.offset + bytes.len() as u64;
        let read =
            input.read_from(offset, &mut chunk[..length]).map_err(|error| Error::read(label, error))?;
        if read < length {
            return Err(cut_off(label, header));
        }
        bytes.extend_from_slice(&chunk[..read]);
    }
    Ok(bytes)
}

/// Passes over a content, and sees that it is there to its last byte.
fn see_end(input: &mut impl Input, header: &Header, label: &str) -> Result<()> {
    let Some(last) = header.size.checked_sub(1) else { return Ok(()) };
    let mut byte = [0];
    let read = input.read_from(header.offset + last, &mut byte).map_err(|error| Error::read(label, error))?;
    if read == 0 { Err(cut_off(label, header)) } else { Ok(()) }
}

fn cut_off(label: &str, header: &Header) -> Error {
    Error::Damaged {
        archive: label.to_owned(),
        reason: format!("it ends inside the member {}", escape(&header.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, name, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    /// The same from a stream and from a file.
    fn read(bytes: &[u8]) -> Result<Outline> {
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, bytes).unwrap();
        let wanted = ["index.json", "toc"];
        let (stream, file) = (outline_of_stream(bytes, "x", &wanted), outline_of_file(&file, "x", &wanted));
        assert_eq!(format!("{stream:?}"), format!("{file:?}"));
        stream
    }

    fn blob(content: &[u8]) -> (Digest, String) {
        let digest = Digest::sha256(content);
        let name = paths::blob_name(&digest);
        (digest, name)
    }

    #[test]
    fn blobs_are_found_by_name_and_documents_are_read() {
        let (digest, name) = blob(b"abc");
        let bytes =
            tar(&[("toc", b"t"), (&name, b"abc"), ("blobs/sha256/short", b"x"), ("index.json", b"{}")]);
        let outline = read(&bytes).unwrap();
        assert_eq!(outline.blobs, BTreeMap::from([(digest, 3)]));
        assert_eq!(outline.document("toc"), Some(&b"t"[..]));
        assert_eq!(outline.document("index.json"), Some(&b"{}"[..]));
        assert_eq!(outline.document("manifest.json"), None);
    }

    #[test]
    fn a_folder_around_it_all_makes_no_difference() {
        let (_, name) = blob(b"abc");
        let wrapped = read(&tar(&[("a/index.json", b"{}"), (&format!("a/{name}"), b"abc")])).unwrap();
        assert_eq!((wrapped.document("index.json"), wrapped.blobs.len()), (Some(&b"{}"[..]), 1));
        let two = read(&tar(&[("a/index.json", b"{}"), ("b/index.json", b"{}")])).unwrap();
        assert_eq!(two.document("index.json"), None);
        let deep = read(&tar(&[("a/b/index.json", b"{}")])).unwrap();
        assert_eq!(deep.document("index.json"), None);
    }

    #[test]
    fn one_folder_has_its_document_kept_however_many_there_are() {
        let names: Vec<String> = (0..100).map(|number| format!("{number}/index.json")).collect();
        let members: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"{}"[..])).collect();
        let many = read(&tar(&members)).unwrap();
        assert_eq!((many.document("index.json"), many.kept), (None, 0));
        let again = read(&tar(&[("a/toc", b"1"), ("a/toc", b"1"), ("b/index.json", b"{}")])).unwrap();
        assert_eq!((again.document("toc"), again.kept), (Some(&b"1"[..]), 3));
        assert!(read(&tar(&[("a/toc", b"1"), ("a/toc", b"2")])).is_err());
    }

    #[test]
    fn documents_are_bounded_together() {
        let large = vec![b' '; usize::try_from(MAX_INDEX).unwrap()];
        let two = [("a/toc", &large[..]), ("index.json", &large)];
        assert!(outline_of_stream(&tar(&two)[..], "x", &["toc", "index.json"]).is_ok());
        let three = tar(&[two[0], two[1], ("toc", b"{}")]);
        let error = outline_of_stream(&three[..], "x", &["toc", "index.json"]).unwrap_err().to_string();
        assert!(error.contains("128 MiB"), "{error}");
    }

    #[test]
    fn what_is_cut_off_or_in_it_twice_is_an_error() {
        let (_, name) = blob(b"abc");
        let large = vec![7; 3000];
        let whole = tar(&[("toc", b"{}"), (&name, &large)]);
        for length in [513, 1100, 1600, 4000] {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
        for members in [[(name.as_str(), &b"abc"[..]), (&name, b"ab")], [("toc", b"1"), ("./toc", b"2")]] {
            let error = read(&tar(&members)).unwrap_err().to_string();
            assert!(error.contains("twice"), "{error}");
        }
        assert!(read(&tar(&[("toc", b"1"), ("toc", b"1")])).is_ok());
    }

    #[test]
    fn a_tar_is_told_by_its_first_block() {
        let long = format!("{}/x", "d".repeat(200));
        for bytes in [tar(&[("a", b"")]), tar(&[(&long, b"")]), vec![0; 1024]] {
            assert!(is_tar(&bytes[..512]));
        }
        for text in [&b""[..], b"sha256:", b"{}", &[b'a'; 512]] {
            assert!(!is_tar(text));
        }
    }
}
