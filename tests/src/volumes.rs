//! A bundle in volumes, what it must come to, and ways to damage one volume.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::artifact::{artifact, index_of};
use crate::checker::check;
use crate::cli::{Ocirepo, Output};
use crate::descriptor::full_named;
use crate::digest;
use crate::exported::TOC;
use crate::image::ImageSpec;
use crate::layout::Layout;
use crate::snapshot::debris;
use crate::tarball::Tarball;

/// The member that says which volume it is in.
pub const VOLUME: &str = "ocirepo-volume.json";
/// The member that has the checksums of all before it.
pub const SUMS: &str = "ocirepo-volume.sums";

/// How many volumes the bundle has.
pub const VOLUMES: u32 = 7;

/// A bundle on its media, and the same in one piece.
#[derive(Debug)]
pub struct Bundle {
    /// The repository that it came from.
    pub source: Ocirepo,
    /// The volumes in their order.
    pub volumes: Vec<PathBuf>,
    /// What it goes by.
    pub id: String,
    /// What a repository lists and holds that took it in one piece.
    pub expected: (Value, BTreeSet<String>),
}

impl Default for Bundle {
    fn default() -> Self {
        Self::new()
    }
}

impl Bundle {
    /// Three images, one of them for two platforms, with a signature; one layer is larger than a volume.
    pub fn new() -> Self {
        let source = Ocirepo::new();
        let small = ImageSpec::seeded("small").noise_layer(1, 150_000).noise_layer(5, 230_000).build();
        let large = ImageSpec::seeded("large").noise_layer(2, 850_000).noise_layer(3, 200_000).build();
        let arm = ImageSpec::seeded("arm").platform("linux/arm64").noise_layer(4, 270_000).build();
        let index = index_of(&[(&small, "linux/amd64"), (&arm, "linux/arm64")]);
        let signature = artifact("application/vnd.test.signature", b"signed", Some(&large.manifest));
        let mut layout = Layout::create(source.dir());
        layout.full_image(&small, "docker.io/test/small:1").full_image(&large, "docker.io/test/large:1");
        layout.blobs_of(arm.blobs()).blobs_of([&index]);
        layout.artifact(&signature);
        layout.entry(full_named(index.descriptor(), "docker.io/test/both:1")).write_index();
        Self::of(source, "300kB", &[])
    }

    /// What `export` makes of a repository with these arguments, in volumes of that size and in one piece.
    #[track_caller]
    pub fn of(source: Ocirepo, size: &str, args: &[&str]) -> Self {
        fs::create_dir_all(source.scratch("out")).expect("a directory can be made");
        let out = |name: &str| source.scratch("out").join(name).to_str().expect("UTF-8").to_owned();
        let export = |more: &[&str]| source.run(&[&["export", "--type", "oci"], more, args].concat()).ok();
        export(&["-o", &out("b.tar"), "--volume-size", size]);
        export(&["-o", &out("whole.tar")]);
        let mut volumes: Vec<PathBuf> = fs::read_dir(source.scratch("out"))
            .expect("the directory can be read")
            .map(|entry| entry.expect("the directory can be read").path())
            .filter(|path| !path.ends_with("whole.tar"))
            .collect();
        volumes.sort();
        let toc = read(&volumes[0]).into_iter().find(|(name, _)| name == TOC).expect("there is a table").1;
        let toc: Value = serde_json::from_slice(&toc).expect("the table is JSON");
        let id = toc["id"].as_str().expect("a bundle has an id").to_owned();
        let whole = out("whole.tar");
        Self { volumes, id, expected: Default::default(), source }.settle(&whole)
    }

    /// What the bundle comes to in one piece, if it needs no base.
    fn settle(mut self, whole: &str) -> Self {
        let ocirepo = repository();
        if ocirepo.run(&["add", whole]).status.success() {
            self.expected = contents(&ocirepo);
        }
        self
    }

    /// The path of a volume, counted from 1.
    pub fn volume(&self, number: u32) -> &str {
        self.volumes[number as usize - 1].to_str().expect("test paths are UTF-8")
    }

    /// `ocirepo add` of a volume.
    pub fn add(&self, ocirepo: &Ocirepo, number: u32) -> Output {
        ocirepo.run(&["add", "--format", "json", self.volume(number)])
    }

    /// Panics unless the repository is what the bundle in one piece would have made of it, and nothing waits.
    #[track_caller]
    pub fn assert_complete(&self, ocirepo: &Ocirepo) {
        assert_eq!(contents(ocirepo), self.expected);
        assert_eq!(pending(ocirepo), Value::Array(Vec::new()));
        assert_eq!(debris(ocirepo.dir()), BTreeSet::new());
        check(ocirepo.dir()).assert_tidy();
    }

    /// Panics unless exactly these volumes are needed, in what `ls --pending` says.
    #[track_caller]
    pub fn assert_needed(&self, ocirepo: &Ocirepo, needed: &BTreeSet<u32>) {
        let pending = pending(ocirepo);
        assert_eq!(pending.as_array().map(Vec::len), Some(1), "{pending:#}");
        assert_eq!(pending[0]["bundle"], self.id.as_str());
        assert_eq!(numbers(&pending[0]["needed"]), *needed);
    }

    /// The number of a volume that holds a whole blob of some size, and of one that holds a part; and the member.
    pub fn find(&self, folder: &str) -> (u32, String) {
        for (number, path) in (1..).zip(&self.volumes) {
            let members = read(path).into_iter();
            let mut large = members.filter(|(name, bytes)| name.starts_with(folder) && bytes.len() > 10_000);
            if let Some((name, _)) = large.next() {
                return (number, name);
            }
        }
        panic!("no volume has {folder}");
    }
}

/// A new repository.
pub fn repository() -> Ocirepo {
    let ocirepo = Ocirepo::new();
    ocirepo.run(&["init"]).ok();
    ocirepo
}

/// What a repository lists, and the blobs that it has.
pub fn contents(ocirepo: &Ocirepo) -> (Value, BTreeSet<String>) {
    let layout = Layout::open(ocirepo.dir());
    (layout.read_index(), layout.blobs())
}

/// What `ls --pending` says.
#[track_caller]
pub fn pending(ocirepo: &Ocirepo) -> Value {
    ocirepo.run(&["ls", "--pending", "--format", "json"]).json()
}

/// A list of numbers.
#[track_caller]
pub fn numbers(list: &Value) -> BTreeSet<u32> {
    let number = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok()).expect("a number");
    list.as_array().unwrap_or_else(|| panic!("no list: {list}")).iter().map(number).collect()
}

/// The files in a volume, in order.
pub fn read(path: impl AsRef<std::path::Path>) -> Vec<(String, Vec<u8>)> {
    let bytes = fs::read(path).expect("the volume can be read");
    let mut archive = tar::Archive::new(bytes.as_slice());
    let mut files = Vec::new();
    for entry in archive.entries().expect("it is a tar") {
        let mut entry = entry.expect("it is a tar");
        if entry.header().entry_type().is_file() {
            let name = String::from_utf8(entry.path_bytes().to_vec()).expect("names are UTF-8");
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut content).expect("the member is whole");
            files.push((name, content));
        }
    }
    files
}

/// A volume of these files. The checksums are made anew, as whoever writes a volume does it.
pub fn write(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tarball = Tarball::new();
    let mut sums = String::new();
    for (name, content) in files.iter().filter(|(name, _)| name != SUMS) {
        tarball = tarball.file(name, content.clone());
        sums.push_str(&format!("{}  {name}\n", digest::encoded(&digest::sha256(content))));
    }
    tarball.file(SUMS, sums).to_bytes()
}

/// The volume with one byte in the middle of a member changed, and nothing else.
pub fn flipped(path: impl AsRef<std::path::Path>, member: &str) -> Vec<u8> {
    let mut bytes = fs::read(path).expect("the volume can be read");
    let mut archive = tar::Archive::new(bytes.as_slice());
    let entries = archive.entries().expect("it is a tar").map(|entry| entry.expect("it is a tar"));
    let mut found = entries.filter(|entry| *entry.path_bytes() == *member.as_bytes());
    let found = found.next().unwrap_or_else(|| panic!("no {member}"));
    let at = found.raw_file_position() + found.size() / 2;
    bytes[usize::try_from(at).expect("it is small")] ^= 0x20;
    bytes
}
