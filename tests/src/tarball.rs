//! Tar files member by member. Headers are deterministic: owner 0, time 0, USTAR.
//!
//! Names are written exactly as given, so `../escape`, `/absolute` and duplicates can be made. Names and link
//! targets longer than 100 bytes get a GNU long-name member.

use std::io::Write as _;

use tar::{EntryType, Header};

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file with this content.
    File(Vec<u8>),
    /// A directory.
    Dir,
    /// A symbolic link to this target.
    Symlink(String),
    /// A hard link to this member.
    Hardlink(String),
}

/// One member of a tar file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The name, byte for byte as it stands in the header.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
}

impl Member {
    /// A regular file of mode 0644.
    pub fn file(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), kind: Kind::File(bytes.into()), mode: 0o644 }
    }

    /// A directory of mode 0755. Give the name its final slash, as tar files do.
    pub fn dir(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: Kind::Dir, mode: 0o755 }
    }

    /// A symbolic link.
    pub fn symlink(name: impl Into<String>, target: impl Into<String>) -> Self {
        Self { name: name.into(), kind: Kind::Symlink(target.into()), mode: 0o777 }
    }

    /// A hard link.
    pub fn hardlink(name: impl Into<String>, target: impl Into<String>) -> Self {
        Self { name: name.into(), kind: Kind::Hardlink(target.into()), mode: 0o644 }
    }

    /// The same member with other permission bits.
    pub fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }
}

/// A tar file as a list of members, to be changed freely before it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tarball {
    /// The members in order.
    pub members: Vec<Member>,
}

impl Tarball {
    /// An empty tar file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a member.
    pub fn with(mut self, member: Member) -> Self {
        self.members.push(member);
        self
    }

    /// Appends a regular file.
    pub fn file(self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.with(Member::file(name, bytes))
    }

    /// Appends a directory.
    pub fn dir(self, name: impl Into<String>) -> Self {
        self.with(Member::dir(name))
    }

    /// Appends a member unless one of that name is there already.
    pub fn push_once(&mut self, member: Member) {
        if self.get(&member.name).is_none() {
            self.members.push(member);
        }
    }

    /// The first member of that name.
    pub fn get(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// Drops every member of that name; panics if there is none, so that a test cannot miss its target.
    pub fn without(mut self, name: &str) -> Self {
        let before = self.members.len();
        self.members.retain(|member| member.name != name);
        assert!(self.members.len() < before, "no member is called {name:?}");
        self
    }

    /// Gives the first member of that name other content.
    pub fn replace(mut self, name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let member = self.members.iter_mut().find(|member| member.name == name);
        member.unwrap_or_else(|| panic!("no member is called {name:?}")).kind = Kind::File(bytes.into());
        self
    }

    /// Moves the members of that name to the front.
    pub fn first(mut self, name: &str) -> Self {
        self.members.sort_by_key(|member| member.name != name);
        self
    }

    /// The same members under other names: put them in a directory, give them `./`.
    pub fn rename(mut self, name: impl Fn(&str) -> String) -> Self {
        for member in &mut self.members {
            member.name = name(&member.name);
        }
        self
    }

    /// The tar file, ending in two zero blocks.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for member in &self.members {
            member.write(&mut out);
        }
        out.extend_from_slice(&[0; 1024]);
        out
    }
}

impl FromIterator<Member> for Tarball {
    fn from_iter<I: IntoIterator<Item = Member>>(members: I) -> Self {
        Self { members: members.into_iter().collect() }
    }
}

impl Member {
    fn write(&self, out: &mut Vec<u8>) {
        let nothing = Vec::new();
        let (kind, target, bytes) = match &self.kind {
            Kind::File(bytes) => (EntryType::Regular, "", bytes),
            Kind::Dir => (EntryType::Directory, "", &nothing),
            Kind::Symlink(target) => (EntryType::Symlink, target.as_str(), &nothing),
            Kind::Hardlink(target) => (EntryType::Link, target.as_str(), &nothing),
        };
        write_long(EntryType::GNULongName, &self.name, out);
        write_long(EntryType::GNULongLink, target, out);
        let mut header = header(kind, self.mode, bytes.len());
        copy_prefix(&mut header.as_old_mut().name, &self.name);
        copy_prefix(&mut header.as_old_mut().linkname, target);
        write_block(header, bytes, out);
    }
}

fn header(kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size as u64);
    header
}

fn write_long(kind: EntryType, text: &str, out: &mut Vec<u8>) {
    if text.len() > 100 {
        let mut header = header(kind, 0o644, text.len() + 1);
        copy_prefix(&mut header.as_old_mut().name, "././@LongLink");
        write_block(header, &[text.as_bytes(), b"\0"].concat(), out);
    }
}

fn copy_prefix(field: &mut [u8; 100], text: &str) {
    let len = text.len().min(field.len());
    field[..len].copy_from_slice(&text.as_bytes()[..len]);
}

fn write_block(mut header: Header, bytes: &[u8], out: &mut Vec<u8>) {
    header.set_cksum();
    out.write_all(header.as_bytes()).expect("memory takes all");
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(512), 0);
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn another_reader_sees_what_was_written() {
        let long = format!("{}/layer.tar", "d".repeat(150));
        let tarball = Tarball::new()
            .dir("etc/")
            .file("etc/passwd", "root")
            .with(Member::symlink("link", &long))
            .with(Member::hardlink("hard", "etc/passwd"))
            .file(&long, vec![7; 513])
            .file("../escape", "");
        let bytes = tarball.to_bytes();
        assert_eq!(bytes.len() % 512, 0);
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            let link = entry.link_name_bytes().map(|target| String::from_utf8(target.into_owned()).unwrap());
            assert_eq!(entry.header().mtime().unwrap(), 0);
            seen.push((name, link, content.len()));
        }
        let expected = [
            ("etc/", None, 0),
            ("etc/passwd", None, 4),
            ("link", Some(long.as_str()), 0),
            ("hard", Some("etc/passwd"), 0),
            (&long, None, 513),
            ("../escape", None, 0),
        ];
        let expected = expected.map(|(name, link, size)| (name.to_owned(), link.map(str::to_owned), size));
        assert_eq!(seen, expected);
    }

    #[test]
    fn members_can_be_changed() {
        let tarball = Tarball::new().file("a", "1").file("b", "2").replace("b", "3").first("b").without("a");
        assert_eq!(tarball.members, [Member::file("b", "3")]);
    }
}
