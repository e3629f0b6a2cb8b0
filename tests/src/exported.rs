//! An archive that ocirepo exported, read by another reader, and held against what every export promises of its form.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::Path;

use serde_json::Value;
use tar::EntryType;

use crate::cli::{Ocirepo, Output};
use crate::compress::Compression;
use crate::digest;

/// The table of contents of an archive.
pub const TOC: &str = "ocirepo-bundle.json";

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The whole name, from a record of its own if it is long.
    pub name: String,
    /// What it is.
    pub kind: EntryType,
    /// Permission bits.
    pub mode: u32,
    /// Where a link leads.
    pub link: Option<String>,
    /// The content of a file.
    pub content: Vec<u8>,
}

/// An archive and what was said when it was written.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The archive, not compressed.
    pub bytes: Vec<u8>,
    /// Its members in order.
    pub members: Vec<Member>,
    /// What `export` printed; null if it could not.
    pub json: Value,
    /// Its warnings.
    pub warnings: Vec<String>,
}

/// `ocirepo export` into a file with these arguments, which must succeed.
#[track_caller]
pub fn export(ocirepo: &Ocirepo, args: &[&str]) -> Exported {
    let path = ocirepo.scratch("exported.tar");
    let output = run(ocirepo, &path, args).ok();
    let bytes = fs::read(&path).expect("the archive is there");
    fs::remove_file(&path).expect("it is our own");
    Exported::of(&bytes, &output)
}

/// `ocirepo export` into a file, with JSON output.
pub fn run(ocirepo: &Ocirepo, path: &Path, args: &[&str]) -> Output {
    let path = path.to_str().expect("test paths are UTF-8");
    ocirepo.run(&[&["export", "--format", "json", "-o", path], args].concat())
}

/// A new repository under these names, and the archive added to it.
#[track_caller]
pub fn add(archive: &[u8], policy: &str) -> Ocirepo {
    let ocirepo = Ocirepo::new();
    ocirepo.run(&["init", "--ref-policy", policy]).ok();
    ocirepo.run_with_stdin(&["add", "-"], archive).ok();
    ocirepo
}

/// The entries of an `index.json`, in an order of their own.
pub fn sorted(entries: &Value) -> Vec<String> {
    let entries = entries.as_array().unwrap_or_else(|| panic!("no list: {entries}"));
    let mut entries: Vec<String> = entries.iter().map(Value::to_string).collect();
    entries.sort();
    entries
}

impl Exported {
    /// Reads an archive, which must be in the one form that exports have.
    #[track_caller]
    pub fn of(bytes: &[u8], output: &Output) -> Self {
        let bytes = Compression::of(bytes).unpack(bytes);
        let members = read(&bytes);
        let json = serde_json::from_str(&output.stdout).unwrap_or_default();
        let warnings = output.stderr.lines().filter(|line| line.starts_with("warning:"));
        Self { members, json, warnings: warnings.map(str::to_owned).collect(), bytes }
    }

    /// The names of the members in order.
    pub fn names(&self) -> Vec<&str> {
        self.members.iter().map(|member| member.name.as_str()).collect()
    }

    /// A member.
    #[track_caller]
    pub fn member(&self, name: &str) -> &Member {
        let member = self.members.iter().find(|member| member.name == name);
        member.unwrap_or_else(|| panic!("no {name} in {:?}", self.names()))
    }

    /// Whether there is a member of that name.
    pub fn has(&self, name: &str) -> bool {
        self.members.iter().any(|member| member.name == name)
    }

    /// A member as JSON.
    #[track_caller]
    pub fn document(&self, name: &str) -> Value {
        serde_json::from_slice(&self.member(name).content).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The entries of index.json.
    #[track_caller]
    pub fn entries(&self) -> Vec<Value> {
        self.document("index.json")["manifests"].as_array().expect("it has manifests").clone()
    }

    /// The items of manifest.json.
    #[track_caller]
    pub fn items(&self) -> Vec<Value> {
        self.document("manifest.json").as_array().expect("it is a list").clone()
    }

    /// The entries that only the table of contents has.
    #[track_caller]
    pub fn artifacts(&self) -> Vec<Value> {
        self.document(TOC)["artifacts"].as_array().expect("it is a list").clone()
    }

    /// The names in docker's part, item by item.
    #[track_caller]
    pub fn repo_tags(&self) -> Vec<Vec<String>> {
        let tags = |item: &Value| item["RepoTags"].as_array().cloned().unwrap_or_default();
        let text = |tag: &Value| tag.as_str().expect("a name is a string").to_owned();
        self.items().iter().map(|item| tags(item).iter().map(text).collect()).collect()
    }

    /// The blobs, by digest. Panics if one is not what its name says.
    #[track_caller]
    pub fn blobs(&self) -> BTreeMap<String, &[u8]> {
        let blobs = self.members.iter().filter_map(|member| {
            let (algorithm, encoded) = member.name.strip_prefix("blobs/")?.split_once('/')?;
            (!encoded.is_empty()).then(|| (format!("{algorithm}:{encoded}"), member.content.as_slice()))
        });
        let blobs: BTreeMap<_, _> = blobs.collect();
        for (digest, content) in &blobs {
            if let Some(actual) = digest::of(digest::split(digest).0, content) {
                assert_eq!(*digest, actual);
            }
        }
        blobs
    }

    /// The digests of the blobs.
    #[track_caller]
    pub fn digests(&self) -> BTreeSet<String> {
        self.blobs().into_keys().collect()
    }

    /// The blobs that the receiver must have.
    #[track_caller]
    pub fn required(&self) -> BTreeMap<String, u64> {
        let required = self.document(TOC)["required"].as_array().expect("it is a list").clone();
        let pair = |blob: &Value| {
            let digest = blob["digest"].as_str().expect("a blob has a digest").to_owned();
            (digest, blob["size"].as_u64().expect("a blob has a size"))
        };
        required.iter().map(pair).collect()
    }

    /// Panics unless a warning has all of these texts in it.
    #[track_caller]
    pub fn warns(&self, texts: &[&str]) {
        let has_all = |line: &String| texts.iter().all(|text| line.contains(text));
        assert!(self.warnings.iter().any(has_all), "no warning of {texts:?}: {:#?}", self.warnings);
    }

    /// Panics if there is a warning.
    #[track_caller]
    pub fn is_silent(&self) {
        assert!(self.warnings.is_empty(), "{:#?}", self.warnings);
    }

    /// Panics unless index.json and the table of contents list exactly what a repository lists, each once, without
    /// a field added or dropped.
    #[track_caller]
    pub fn assert_entries_of(&self, index: &Value) {
        let listed = [self.entries(), self.artifacts()].concat();
        assert_eq!(sorted(&listed.into()), sorted(&index["manifests"]));
    }
}

/// The members of a tar, each once, in the usual modes, of nobody and no time; the end is where it belongs.
#[track_caller]
fn read(bytes: &[u8]) -> Vec<Member> {
    let mut archive = tar::Archive::new(bytes);
    let (mut members, mut seen, mut end) = (Vec::new(), BTreeSet::new(), 0);
    for entry in archive.entries().expect("it is a tar") {
        let mut entry = entry.expect("it is a tar");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("names are UTF-8");
        let name = text(&entry.path_bytes());
        let link = entry.link_name_bytes().map(|target| text(&target));
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("the member is whole");
        end = entry.raw_file_position() + (content.len() as u64).next_multiple_of(512);
        let header = entry.header();
        let (kind, mode) = (header.entry_type(), header.mode().expect("a member has a mode"));
        let owner = [header.uid(), header.gid(), header.mtime()].map(|field| field.expect("it is a number"));
        assert_eq!(owner, [0, 0, 0], "{name}: owner, group and time");
        let names = [header.username_bytes(), header.groupname_bytes()];
        assert!(names.iter().all(|name| name.unwrap_or_default().is_empty()), "{name}: owner");
        let expected = match kind {
            EntryType::Regular => 0o644,
            EntryType::Directory => 0o755,
            EntryType::Symlink => 0o777,
            other => panic!("{name} is a {other:?}"),
        };
        assert_eq!(mode, expected, "{name}: {mode:o}");
        assert_eq!(kind == EntryType::Directory, name.ends_with('/'), "{name}");
        assert!(seen.insert(name.clone()), "{name} is there twice");
        members.push(Member { name, kind, mode, link, content });
    }
    assert_eq!(bytes.len() as u64, end + 1024, "two empty blocks are the end");
    members
}
