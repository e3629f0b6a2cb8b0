//! Writing a tar: the same bytes whenever and wherever it is written.
//!
//! Every member has mode 0644 (folders 0755), owner 0 and time 0. Headers are ustar; what does not
//! fit one, a size above 8 GiB or a long name, stands in a pax record before it.

use std::io::{self, Write};

use tar::{EntryType, Header};

/// The unit in which a tar is written, in bytes.
const BLOCK: u64 = 512;
/// The largest size that eleven octal digits hold.
const MAX_OCTAL: u64 = 0o777_7777_7777;
/// The longest name of a header, in bytes.
const MAX_NAME: usize = 100;

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// A file of so many bytes.
    File(u64),
    Folder,
    /// A symbolic link, with where it leads.
    Link(&'a str),
}

/// The two empty blocks that end a tar.
pub(crate) const END: [u8; 2 * BLOCK as usize] = [0; 2 * BLOCK as usize];

/// The header of a member, with its pax records.
///
/// # Errors
/// When the target of a link is too long.
pub(crate) fn header(name: &str, kind: Kind<'_>) -> io::Result<Vec<u8>> {
    let mut records = Vec::new();
    if name.len() > MAX_NAME {
        records.extend(record("path", name));
    }
    if let Kind::File(size) = kind
        && size > MAX_OCTAL
    {
        records.extend(record("size", &size.to_string()));
    }
    let mut out = Vec::with_capacity(BLOCK as usize);
    if !records.is_empty() {
        // The name of the record itself means nothing, and is the same for all.
        out.extend_from_slice(
            block("PaxHeaders/member", records.len() as u64, EntryType::XHeader).as_bytes(),
        );
        let padding = padding(records.len() as u64);
        out.append(&mut records);
        out.resize(out.len() + padding, 0);
    }
    // Whoever knows no pax records sees the beginning of a name. All names here are ASCII.
    let name = name.get(..MAX_NAME).unwrap_or(name);
    let header = match kind {
        Kind::File(size) => block(name, size, EntryType::Regular),
        Kind::Folder => block(name, 0, EntryType::Directory),
        Kind::Link(target) => {
            let mut header = block(name, 0, EntryType::Symlink);
            header.set_link_name(target)?;
            header.set_cksum();
            header
        }
    };
    out.extend_from_slice(header.as_bytes());
    Ok(out)
}

fn block(name: &str, size: u64, kind: EntryType) -> Header {
    let mut header = Header::new_ustar();
    let bytes = &mut header.as_old_mut().name;
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    header.set_mode(match kind {
        EntryType::Directory => 0o755,
        EntryType::Symlink => 0o777,
        _ => 0o644,
    });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    // Above what octal digits hold this is binary, which readers without pax records know too.
    header.set_size(size);
    header.set_entry_type(kind);
    header.set_cksum();
    header
}

/// A pax record: its length in decimal, which counts itself, then `key=value`.
fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n").into_bytes()
}

/// How many bytes a member takes in the tar.
///
/// # Errors
/// Those of [`header`].
pub(crate) fn size_of(name: &str, kind: Kind<'_>) -> io::Result<u64> {
    let content = if let Kind::File(size) = kind { size } else { 0 };
    Ok(header(name, kind)?.len() as u64 + content + padding(content) as u64)
}

fn padding(size: u64) -> usize {
    usize::try_from(size.next_multiple_of(BLOCK) - size).unwrap_or(0)
}

/// Writes the zeros that fill the last block of a member.
///
/// # Errors
/// When they cannot be written.
pub(crate) fn pad(out: &mut dyn Write, size: u64) -> io::Result<()> {
    out.write_all(&END[..padding(size)])
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_tar_can_be_read_again() {
        let long = format!("blobs/sha512/{}", "a".repeat(128));
        let mut bytes = Vec::new();
        for (name, kind, content) in [
            ("blobs/", Kind::Folder, ""),
            ("blobs/a", Kind::File(5), "hello"),
            (long.as_str(), Kind::File(2), "{}"),
            ("link", Kind::Link("../target"), ""),
        ] {
            let before = bytes.len() as u64;
            bytes.extend(header(name, kind).unwrap());
            bytes.extend(content.as_bytes());
            pad(&mut bytes, content.len() as u64).unwrap();
            assert_eq!(bytes.len() as u64 - before, size_of(name, kind).unwrap(), "{name}");
        }
        bytes.extend(END);
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut found = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            assert_eq!((entry.header().mtime().unwrap(), entry.header().uid().unwrap()), (0, 0));
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            found.push((name, content));
        }
        let expected = [("blobs/", ""), ("blobs/a", "hello"), (long.as_str(), "{}"), ("link", "")];
        assert_eq!(found, expected.map(|(name, content)| (name.to_owned(), content.to_owned())));
    }

    #[test]
    fn sizes_above_8_gib_stand_in_a_record_and_in_the_header() {
        let size = 10 << 30;
        let bytes = header("layer.tar", Kind::File(size)).unwrap();
        assert_eq!(bytes.len(), 3 * 512);
        assert!(bytes[512..].starts_with(b"20 size=10737418240\n"));
        let header = Header::from_byte_slice(&bytes[1024..]);
        assert_eq!(header.entry_size().unwrap(), size);
    }

    #[test]
    fn the_length_of_a_record_counts_itself() {
        for length in [1, 84, 85, 86, 87, 983, 984, 985, 986, 987] {
            let record = record("path", &"x".repeat(length));
            let text = String::from_utf8(record.clone()).unwrap();
            assert_eq!(text.split(' ').next().unwrap(), record.len().to_string(), "{text}");
        }
    }
}
