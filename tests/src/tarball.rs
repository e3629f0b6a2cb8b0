//! Tar files member by member. Headers are deterministic: owner 0, time 0, USTAR unless told otherwise.
//!
//! Names are written exactly as given, so `../escape`, `/absolute` and duplicates can be made. Names and link
//! targets longer than 100 bytes get a record of their own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tar::EntryType;

use crate::headers::{Head, SizeField, Style};

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
    style: Style,
    sizes: SizeField,
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

    /// The same members in another dialect.
    pub fn style(self, style: Style) -> Self {
        Self { style, ..self }
    }

    /// The same members with their sizes written another way.
    pub fn sizes(self, sizes: SizeField) -> Self {
        Self { sizes, ..self }
    }

    /// The same members below a directory, which gets a member of its own.
    pub fn below(self, directory: &str) -> Self {
        let mut moved = self.rename(|name| format!("{directory}/{name}"));
        moved.members.insert(0, Member::dir(format!("{directory}/")));
        moved
    }

    /// Writes the members into a directory on disk, as unpacking would; hard links and hostile names are not
    /// for this.
    pub fn unpack(&self, directory: &Path) {
        fs::create_dir_all(directory).expect("the directory can be made");
        for member in &self.members {
            let path = directory.join(&member.name);
            let parent = if member.kind == Kind::Dir { Some(path.as_path()) } else { path.parent() };
            fs::create_dir_all(parent.expect("it lies in the directory")).expect("the directory can be made");
            match &member.kind {
                Kind::Dir => {}
                Kind::File(bytes) => fs::write(&path, bytes).expect("the file can be written"),
                Kind::Symlink(target) => symlink(target, &path).expect("the link can be made"),
                Kind::Hardlink(_) => panic!("{} is a hard link", member.name),
            }
        }
    }

    /// The tar file, ending in two zero blocks.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for member in &self.members {
            member.write(self.style, self.sizes, &mut out);
        }
        out.extend_from_slice(&[0; 1024]);
        out
    }
}

impl FromIterator<Member> for Tarball {
    fn from_iter<I: IntoIterator<Item = Member>>(members: I) -> Self {
        Self { members: members.into_iter().collect(), ..Self::default() }
    }
}

impl Member {
    fn write(&self, style: Style, sizes: SizeField, out: &mut Vec<u8>) {
        let nothing = Vec::new();
        let (kind, target, bytes) = match &self.kind {
            Kind::File(bytes) => (EntryType::Regular, "", bytes),
            Kind::Dir => (EntryType::Directory, "", &nothing),
            Kind::Symlink(target) => (EntryType::Symlink, target.as_str(), &nothing),
            Kind::Hardlink(target) => (EntryType::Link, target.as_str(), &nothing),
        };
        let head = Head { name: &self.name, kind, target, mode: self.mode, size: bytes.len() as u64 };
        out.extend_from_slice(&head.to_bytes(style, sizes));
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(512), 0);
    }
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
    fn dialects_say_the_same() {
        let long = format!("{}/layer.tar", "d".repeat(150));
        let tarball = Tarball::new().file(&long, "x").with(Member::symlink("link", &long)).file("after", "y");
        for style in [Style::Gnu, Style::Pax] {
            let bytes = tarball.clone().style(style).to_bytes();
            let mut archive = tar::Archive::new(bytes.as_slice());
            let names = archive.entries().unwrap().map(|entry| {
                let entry = entry.unwrap();
                let target =
                    entry.link_name_bytes().map(|name| String::from_utf8(name.into_owned()).unwrap());
                (String::from_utf8(entry.path_bytes().into_owned()).unwrap(), target)
            });
            let expected =
                [(long.clone(), None), ("link".to_owned(), Some(long.clone())), ("after".to_owned(), None)];
            assert_eq!(names.collect::<Vec<_>>(), expected, "{style:?}");
        }
    }

    #[test]
    fn a_tarball_can_be_a_folder() {
        let scratch = tempfile::tempdir().unwrap();
        Tarball::new().dir("a/").file("a/b", "1").file("c", "2").below("top").unpack(scratch.path());
        assert_eq!(fs::read(scratch.path().join("top/a/b")).unwrap(), b"1");
        assert_eq!(fs::read(scratch.path().join("top/c")).unwrap(), b"2");
    }

    #[test]
    fn members_can_be_changed() {
        let tarball = Tarball::new().file("a", "1").file("b", "2").replace("b", "3").first("b").without("a");
        assert_eq!(tarball.members, [Member::file("b", "3")]);
    }
}
