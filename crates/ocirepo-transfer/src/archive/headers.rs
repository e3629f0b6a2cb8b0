//! Walking the headers of a tar, alike for a file that can be read anywhere and for a stream.
//!
//! The `tar` crate decodes the fields. The walk is our own for three reasons: that crate reads
//! extension records into memory whatever their size, takes a member that is cut off for a whole
//! one, and expands some sparse files but not others. Here an extension record is bounded, a
//! cut-off archive is an error, and a sparse file is marked as one so that nobody takes its map
//! for its content.

use std::io;

use tar::{EntryType, GnuExtSparseHeader, PaxExtensions};

use super::input::Input;
use super::limits::{BUFFER, MAX_EXTENSION, MAX_MEMBERS};
use crate::error::escape;

const BLOCK: u64 = 512;

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    /// With its target as it is written.
    Symlink(String),
    /// With its target as it is written.
    HardLink(String),
    /// A file whose stored bytes are not its content.
    Sparse,
    /// A directory, a device and whatever else has no content.
    Other,
}

/// One member.
#[derive(Debug)]
pub(crate) struct Header {
    /// Its name; what is not UTF-8 in it is replaced, as nothing can need such a name.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Where its content begins.
    pub(crate) offset: u64,
    /// How long its content is.
    pub(crate) size: u64,
}

/// Why a walk ended before the end.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The input cannot be read.
    Io(io::Error),
    /// Not even the first header is one.
    NotTar,
    /// It is a tar, but damaged.
    Damaged(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn damaged<T>(reason: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Damaged(reason.into()))
}

/// The walk.
#[derive(Debug)]
pub(crate) struct Headers<I> {
    input: I,
    next: u64,
    seen: u64,
    at_end: bool,
}

/// What extension records say about the member after them.
#[derive(Default)]
struct Extension {
    any: bool,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    is_sparse: bool,
}

impl<I: Input> Headers<I> {
    pub(crate) fn new(input: I) -> Self {
        Self { input, next: 0, seen: 0, at_end: false }
    }

    /// The input, to read the content of the member that came last.
    pub(crate) fn input(&mut self) -> &mut I {
        &mut self.input
    }

    /// How many headers there were, extension records included.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// The next member; `None` at the end of the archive.
    pub(crate) fn next(&mut self) -> Result<Option<Header>, Fault> {
        let mut extension = Extension::default();
        while let Some(block) = self.block()? {
            let header = tar::Header::from_byte_slice(&block);
            let kind = header.entry_type();
            let offset = self.next + BLOCK;
            let mut size = header.entry_size().or_else(|_| damaged("a header has no valid size"))?;
            match kind {
                EntryType::GNULongName => extension.name = Some(self.text(offset, size)?),
                EntryType::GNULongLink => extension.link = Some(self.text(offset, size)?),
                EntryType::XHeader => self.pax(offset, size, &mut extension)?,
                EntryType::XGlobalHeader => {}
                _ => {
                    size = extension.size.unwrap_or(size);
                    return self.member(header, extension, offset, size).map(Some);
                }
            }
            extension.any |= kind != EntryType::XGlobalHeader;
            self.advance(offset, size)?;
        }
        if extension.any {
            return damaged("it ends after a record about a member that never comes");
        }
        self.at_end = true;
        Ok(None)
    }

    /// Looks at what comes after the end-of-archive marker: whether there is more than zeros. A
    /// stream is to be read to its end, for its checksum and for whoever writes it.
    pub(crate) fn trailing(mut self, read_all: bool) -> io::Result<bool> {
        debug_assert!(self.at_end, "the walk has not reached the end");
        let mut buffer = vec![0; BUFFER];
        let mut found = false;
        loop {
            let read = self.input.read_from(self.next, &mut buffer)?;
            self.next += read as u64;
            found |= buffer[..read].iter().any(|&byte| byte != 0);
            if read < buffer.len() || (found && !read_all) {
                return Ok(found);
            }
        }
    }

    /// The next header block, checked; `None` at a block of zeros and where the input ends.
    fn block(&mut self) -> Result<Option<[u8; 512]>, Fault> {
        let mut block = [0; 512];
        let read = self.input.read_from(self.next, &mut block)?;
        if block[..read].iter().all(|&byte| byte == 0) {
            self.next += read as u64;
            return Ok(None);
        }
        if read < block.len() {
            return if self.seen == 0 { Err(Fault::NotTar) } else { damaged("it ends inside a header") };
        }
        if !has_checksum(&block) {
            return if self.seen == 0 {
                Err(Fault::NotTar)
            } else {
                damaged(format!("what should be a header at offset {} is none", self.next))
            };
        }
        self.seen += 1;
        if self.seen > MAX_MEMBERS {
            return damaged(format!("it has more than {MAX_MEMBERS} members"));
        }
        Ok(Some(block))
    }

    fn member(
        &mut self,
        header: &tar::Header,
        extension: Extension,
        offset: u64,
        size: u64,
    ) -> Result<Header, Fault> {
        let name = extension.name.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = extension.link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
        let link = || String::from_utf8_lossy(link.as_deref().unwrap_or_default()).into_owned();
        let mut offset = offset;
        let mut kind = match header.entry_type() {
            // Before POSIX, a directory was a file whose name ends with a slash.
            EntryType::Regular | EntryType::Continuous if !name.ends_with(b"/") => Kind::File,
            EntryType::Symlink => Kind::Symlink(link()),
            EntryType::Link => Kind::HardLink(link()),
            EntryType::GNUSparse => {
                if header.as_gnu().is_some_and(tar::GnuHeader::is_extended) {
                    offset = self.skip_sparse_map(offset)?;
                }
                Kind::Sparse
            }
            _ => Kind::Other,
        };
        if extension.is_sparse && kind == Kind::File {
            kind = Kind::Sparse;
        }
        // Kinds without content have none, whatever their size field says; Go's reader agrees.
        let is_empty = matches!(
            header.entry_type(),
            EntryType::Link
                | EntryType::Symlink
                | EntryType::Char
                | EntryType::Block
                | EntryType::Directory
                | EntryType::Fifo
        );
        let size = if is_empty { 0 } else { size };
        self.advance(offset, size)?;
        Ok(Header { name: String::from_utf8_lossy(&name).into_owned(), kind, offset, size })
    }

    fn advance(&mut self, offset: u64, size: u64) -> Result<(), Fault> {
        let end = size.checked_next_multiple_of(BLOCK).and_then(|size| offset.checked_add(size));
        match end.filter(|&end| i64::try_from(end).is_ok()) {
            Some(end) => {
                self.next = end;
                Ok(())
            }
            None => damaged("a member has an impossible size"),
        }
    }

    /// The blocks after a sparse header that go on with its map do not count as content.
    fn skip_sparse_map(&mut self, mut offset: u64) -> Result<u64, Fault> {
        loop {
            let mut map = GnuExtSparseHeader::new();
            if self.input.read_from(offset, map.as_mut_bytes())? < map.as_bytes().len() {
                return damaged("it ends inside the map of a sparse file");
            }
            offset += BLOCK;
            if !map.is_extended() {
                return Ok(offset);
            }
        }
    }

    fn record(&mut self, offset: u64, size: u64) -> Result<Vec<u8>, Fault> {
        if size > MAX_EXTENSION {
            return damaged(format!("an extension record of {size} bytes is too large"));
        }
        let mut bytes = vec![0; usize::try_from(size).or_else(|_| damaged("a record is too large"))?];
        if self.input.read_from(offset, &mut bytes)? < bytes.len() {
            return damaged("it ends inside an extension record");
        }
        Ok(bytes)
    }

    fn text(&mut self, offset: u64, size: u64) -> Result<Vec<u8>, Fault> {
        let mut bytes = self.record(offset, size)?;
        let length = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        bytes.truncate(length);
        Ok(bytes)
    }

    fn pax(&mut self, offset: u64, size: u64, extension: &mut Extension) -> Result<(), Fault> {
        let bytes = self.record(offset, size)?;
        for record in PaxExtensions::new(&bytes) {
            let record = record.or_else(|_| damaged("a PAX header cannot be read"))?;
            let value = record.value_bytes();
            match record.key_bytes() {
                key if key.starts_with(b"GNU.sparse.") => extension.is_sparse = true,
                // An empty value takes an earlier one back.
                _ if value.is_empty() => {}
                // A GNU record is the more specific one where both are there.
                b"path" if extension.name.is_none() => extension.name = Some(value.to_vec()),
                b"linkpath" if extension.link.is_none() => extension.link = Some(value.to_vec()),
                b"size" => {
                    let text = String::from_utf8_lossy(value);
                    let size = text.parse();
                    extension.size =
                        Some(size.or_else(|_| {
                            damaged(format!("a PAX header gives the size {}", escape(&text)))
                        })?);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether the checksum of a header is right. Some old writers added the bytes as signed ones.
fn has_checksum(block: &[u8; 512]) -> bool {
    let Ok(stored) = tar::Header::from_byte_slice(block).cksum() else { return false };
    let fields = || block[..148].iter().chain(&block[156..]);
    let unsigned: u32 = fields().map(|&byte| u32::from(byte)).sum::<u32>() + 8 * 32;
    let signed: i32 = fields().map(|&byte| i32::from(byte.cast_signed())).sum::<i32>() + 8 * 32;
    stored == unsigned || i64::from(stored) == i64::from(signed)
}

#[cfg(test)]
mod tests {
    use super::super::input::Stream;
    use super::*;

    fn names(bytes: &[u8]) -> Result<Vec<(String, Kind, u64)>, Fault> {
        let mut headers = Headers::new(Stream::new(bytes));
        let mut names = Vec::new();
        while let Some(header) = headers.next()? {
            names.push((header.name, header.kind, header.size));
        }
        Ok(names)
    }

    fn tar(build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        build(&mut builder);
        builder.into_inner().unwrap()
    }

    fn add(builder: &mut tar::Builder<Vec<u8>>, kind: EntryType, name: &str, data: &[u8]) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(data.len() as u64);
        builder.append_data(&mut header, name, data).unwrap();
    }

    #[test]
    fn long_names_and_pax_names_belong_to_the_member_after_them() {
        let long = format!("{}/layer.tar", "d".repeat(150));
        let bytes = tar(|builder| {
            add(builder, EntryType::Regular, &long, b"abc");
            builder.append_pax_extensions([("path", b"named-by-pax".as_slice()), ("size", b"4")]).unwrap();
            add(builder, EntryType::Regular, "x", b"four");
            add(builder, EntryType::XGlobalHeader, "pax_global_header", b"52 comment=x\n");
            add(builder, EntryType::Regular, "last", b"");
        });
        let file = |name: &str, size| (name.to_owned(), Kind::File, size);
        assert_eq!(names(&bytes).unwrap(), [file(&long, 3), file("named-by-pax", 4), file("last", 0)]);
    }

    #[test]
    fn sparse_members_are_marked_and_stepped_over() {
        let bytes = tar(|builder| {
            builder.append_pax_extensions([("GNU.sparse.major", b"1".as_slice())]).unwrap();
            add(builder, EntryType::Regular, "GNUSparseFile.1/x", b"map");
            add(builder, EntryType::GNUSparse, "old", b"");
            add(builder, EntryType::Regular, "plain", b"1");
        });
        let kinds: Vec<Kind> = names(&bytes).unwrap().into_iter().map(|(_, kind, _)| kind).collect();
        assert_eq!(kinds, [Kind::Sparse, Kind::Sparse, Kind::File]);
    }

    #[test]
    fn huge_extension_records_are_refused_unread() {
        let bytes = tar(|builder| {
            add(builder, EntryType::XHeader, "x", &vec![b'a'; 2 << 20]);
            add(builder, EntryType::Regular, "plain", b"1");
        });
        assert!(matches!(names(&bytes), Err(Fault::Damaged(reason)) if reason.contains("too large")));
    }

    #[test]
    fn only_missing_end_markers_are_forgiven() {
        let bytes = tar(|builder| add(builder, EntryType::Regular, "a", b"1"));
        assert_eq!(names(&bytes[..1024]).unwrap().len(), 1);
        assert_eq!(names(&bytes[..513]).unwrap().len(), 1);
        let two = tar(|builder| {
            add(builder, EntryType::Regular, "a", b"1");
            add(builder, EntryType::Regular, "b", b"2");
        });
        assert!(matches!(names(&two[..1300]), Err(Fault::Damaged(_))));
        assert!(matches!(names(b"hello world"), Err(Fault::NotTar)));
        assert!(matches!(names(&[7; 1024]), Err(Fault::NotTar)));
        assert_eq!(names(b"").unwrap().len(), 0);
    }
}
