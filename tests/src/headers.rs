//! The headers of tar members in the dialects that archivers write.
//!
//! A header is made from what it says and not from a file, so that a member of any size can be announced: larger
//! than the memory, larger than the disk, larger than what really follows.

use tar::{EntryType, Header};

/// The dialect of a tar file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// USTAR, as Go writes it until something does not fit; names longer than 100 bytes get a GNU record.
    #[default]
    Ustar,
    /// GNU tar: its own magic, long names in GNU records.
    Gnu,
    /// POSIX: a record of `path`, and of `linkpath` for a link, before every member. Python and Go write one where
    /// USTAR does not suffice; here the plain header has only the beginning of the name, so that a reader that
    /// passes over the record finds nothing.
    Pax,
}

/// How the size of a member is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SizeField {
    /// In octal digits, which end at 8 GiB.
    #[default]
    Octal,
    /// In binary in the same field, as GNU tar and Python write sizes from 8 GiB on.
    Base256,
    /// In a PAX record, with 0 in the field itself, as Go writes sizes from 8 GiB on.
    Pax,
}

/// What a header says.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The name, byte for byte.
    pub name: &'a str,
    /// What the member is.
    pub kind: EntryType,
    /// The target of a link.
    pub target: &'a str,
    /// Permission bits, with or without the bits of the type.
    pub mode: u32,
    /// The size of what follows.
    pub size: u64,
}

impl<'a> Head<'a> {
    /// The head of a regular file of mode 0644.
    pub fn file(name: &'a str, size: u64) -> Self {
        Self { name, kind: EntryType::Regular, target: "", mode: 0o644, size }
    }

    /// The header block, with whatever records must come before it.
    pub fn to_bytes(&self, style: Style, sizes: SizeField) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_records(style, sizes, &mut out);
        let mut header = self.block(style);
        match sizes {
            SizeField::Octal => {
                assert!(self.size < 8 << 30, "{} bytes do not fit into octal digits", self.size);
                header.set_size(self.size);
            }
            SizeField::Base256 => header.as_old_mut().size = base256(self.size),
            SizeField::Pax => header.set_size(0),
        }
        let name = if style == Style::Pax { &self.name[..self.name.len().min(5)] } else { self.name };
        copy_prefix(&mut header.as_old_mut().name, name);
        copy_prefix(&mut header.as_old_mut().linkname, self.target);
        finish(header, &mut out);
        out
    }

    fn write_records(&self, style: Style, sizes: SizeField, out: &mut Vec<u8>) {
        let mut records = Vec::new();
        if style == Style::Pax {
            records.extend([("path", self.name.to_owned()), ("mtime", "0.5".to_owned())]);
            if !self.target.is_empty() {
                records.push(("linkpath", self.target.to_owned()));
            }
        } else {
            write_long(EntryType::GNULongName, self.name, style, out);
            write_long(EntryType::GNULongLink, self.target, style, out);
        }
        if sizes == SizeField::Pax {
            records.push(("size", self.size.to_string()));
        }
        if !records.is_empty() {
            let text: String = records.iter().map(|(key, value)| pax_record(key, value)).collect();
            write_member(EntryType::XHeader, "PaxHeaders.0/member", text.as_bytes(), Style::Pax, out);
        }
    }

    fn block(&self, style: Style) -> Header {
        let mut header = if style == Style::Gnu { Header::new_gnu() } else { Header::new_ustar() };
        header.set_entry_type(self.kind);
        header.set_mode(self.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header
    }
}

/// The zeros that fill the last block of a member of `size` bytes.
pub fn padding(size: u64) -> u64 {
    size.next_multiple_of(512) - size
}

/// The length of a record is part of the record.
fn pax_record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n")
}

fn base256(size: u64) -> [u8; 12] {
    let mut field = [0; 12];
    field[0] = 0x80;
    field[4..].copy_from_slice(&size.to_be_bytes());
    field
}

fn write_long(kind: EntryType, text: &str, style: Style, out: &mut Vec<u8>) {
    if text.len() > 100 {
        write_member(kind, "././@LongLink", &[text.as_bytes(), b"\0"].concat(), style, out);
    }
}

fn write_member(kind: EntryType, name: &str, bytes: &[u8], style: Style, out: &mut Vec<u8>) {
    let head = Head { name, kind, target: "", mode: 0o644, size: bytes.len() as u64 };
    let mut header = head.block(style);
    header.set_size(head.size);
    copy_prefix(&mut header.as_old_mut().name, name);
    finish(header, out);
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(512), 0);
}

fn copy_prefix(field: &mut [u8; 100], text: &str) {
    let len = text.len().min(field.len());
    field[..len].copy_from_slice(&text.as_bytes()[..len]);
}

fn finish(mut header: Header, out: &mut Vec<u8>) {
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_reader_sees_the_size_however_it_is_written() {
        for (style, sizes, size) in [
            (Style::Ustar, SizeField::Octal, 5),
            (Style::Ustar, SizeField::Base256, 5),
            (Style::Gnu, SizeField::Base256, 9 << 30),
            (Style::Ustar, SizeField::Pax, 9 << 30),
            (Style::Pax, SizeField::Pax, 5),
        ] {
            let bytes = Head::file("a/layer.tar", size).to_bytes(style, sizes);
            assert_eq!(bytes.len() % 512, 0);
            let mut archive = tar::Archive::new(bytes.as_slice());
            let entry = archive.entries().unwrap().next().unwrap().unwrap();
            assert_eq!(entry.size(), size, "{style:?} {sizes:?}");
            assert_eq!(&*entry.path_bytes(), b"a/layer.tar", "{style:?} {sizes:?}");
        }
    }

    #[test]
    fn records_count_their_own_length() {
        assert_eq!(pax_record("size", "1"), "9 size=1\n");
        assert_eq!(pax_record("k", "v"), "6 k=v\n");
        let long = pax_record("path", &"x".repeat(91));
        assert!(long.starts_with("101 path=") && long.len() == 101, "{long}");
    }

    #[test]
    fn padding_fills_blocks() {
        assert_eq!([0, 1, 511, 512, 513].map(padding), [0, 511, 1, 0, 511]);
    }
}
