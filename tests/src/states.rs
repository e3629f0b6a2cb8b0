//! A repository in some odd state: what it is before and after a command, and what a garbage collection does.
//!
//! Every collection that a test asks for is run twice, first as a dry run, and both are held against the disk:
//! what they say they sweep, what is gone, and that nothing else changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::{Ocirepo, Output};
use crate::descriptor::Blob;
use crate::image::{Image, ImageSpec};
use crate::layout::Layout;

/// The first name in [`State::two_images`].
pub const A: &str = "docker.io/library/a:1";
/// The second.
pub const B: &str = "docker.io/library/b:2";

/// A layout that ocirepo did not make, and ocirepo to work on it.
#[derive(Debug)]
pub struct State {
    /// Runs in the layout.
    pub ocirepo: Ocirepo,
    /// The layout; it starts empty.
    pub layout: Layout,
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    /// A new layout of no entries.
    pub fn new() -> Self {
        let ocirepo = Ocirepo::new();
        let layout = Layout::create(ocirepo.dir());
        Self { ocirepo, layout }
    }

    /// Images named [`A`] and [`B`], of the seeds `a` and `b`: seven blobs, as both have the base layer.
    pub fn two_images() -> Self {
        let mut state = Self::new();
        state.layout.full_image(&image("a"), A).full_image(&image("b"), B).write_index();
        state
    }

    /// Images with these ref.names and no other annotation, each of the seed that is its position.
    pub fn named(ref_names: &[&str]) -> Self {
        let mut state = Self::new();
        for (seed, name) in ref_names.iter().enumerate() {
            state.layout.image(&image(&seed.to_string()), name);
        }
        state.layout.write_index();
        state
    }

    /// Panics unless the query means the image of that seed.
    #[track_caller]
    pub fn finds(&self, query: &str, seed: usize) {
        assert_eq!(self.json(&["inspect", query])["digest"], seeded(seed), "{query}");
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        self.ocirepo.dir()
    }

    /// Runs a command with JSON output.
    pub fn run(&self, args: &[&str]) -> Output {
        self.ocirepo.run(&[args, &["--format", "json"]].concat())
    }

    /// What a command that must succeed prints.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        self.run(args).json()
    }

    /// Everything on disk.
    pub fn tree(&self) -> Tree {
        Tree::of(self.dir())
    }

    /// The entries of `ls`.
    #[track_caller]
    pub fn ls(&self) -> Vec<Value> {
        self.json(&["ls"]).as_array().expect("ls prints an array").clone()
    }

    /// The references of `ls`, in order, `-` for a nameless entry.
    #[track_caller]
    pub fn names(&self) -> Vec<String> {
        self.ls().iter().map(|row| row["reference"].as_str().unwrap_or("-").to_owned()).collect()
    }

    /// Collects garbage and holds it against the disk; panics unless it succeeds.
    #[track_caller]
    pub fn gc(&self, flags: &[&str]) -> Collected {
        let before = self.tree().without_own();
        let dry = Collected(self.json(&[&["gc", "--dry-run"], flags].concat()));
        self.tree().without_own().assert_is(&before);
        let real = Collected(self.json(&[&["gc"], flags].concat()));
        let after = self.tree().without_own();
        assert_eq!(dry.0["swept"], real.0["swept"], "the dry run said something else");
        assert_eq!(dry.0["kept"], real.0["kept"], "the dry run said something else");
        assert_eq!(real.0["swept"]["blobs"].as_u64(), Some(real.swept().len() as u64));
        let paths =
            real.swept().iter().map(|digest| format!("blobs/{}", digest.replacen(':', "/", 1))).collect();
        assert_eq!(before.gone_in(&after), paths, "what is gone is not what gc says it swept");
        let left = Tree(before.0.into_iter().filter(|(path, _)| !paths.contains(path)).collect());
        let changes_index = flags.contains(&"--prune-referrers");
        let but_index = |tree: Tree| if changes_index { tree.without("index.json") } else { tree };
        but_index(after).assert_is(&but_index(left));
        real
    }

    /// Collects garbage, dry and real; panics unless both are refused with exit code 4 and change nothing.
    #[track_caller]
    pub fn gc_is_refused(&self, flags: &[&str]) -> Collected {
        let before = self.tree().without_own();
        let dry = self.run(&[&["gc", "--dry-run"], flags].concat()).fails_with(4);
        let real = self.run(&[&["gc"], flags].concat()).fails_with(4);
        self.tree().without_own().assert_is(&before);
        let (dry, real) = (Collected(dry.any_json()), Collected(real.any_json()));
        for collected in [&dry, &real] {
            assert!(collected.swept().is_empty(), "refused, yet it says it swept {:?}", collected.swept());
        }
        assert_eq!(dry.0["broken"], real.0["broken"], "the dry run said something else");
        assert_eq!(dry.0["missing"], real.0["missing"], "the dry run said something else");
        real
    }
}

/// What `gc` printed.
#[derive(Debug)]
pub struct Collected(pub Value);

impl Collected {
    /// The digests swept.
    pub fn swept(&self) -> BTreeSet<String> {
        strings(&self.0["swept"]["digests"])
    }

    /// The digests that are missing.
    pub fn missing(&self) -> BTreeSet<String> {
        members(&self.0["missing"], "digest")
    }

    /// The digests that are broken.
    pub fn broken(&self) -> BTreeSet<String> {
        members(&self.0["broken"], "digest")
    }

    /// The images that something missing or broken takes along.
    pub fn images(&self) -> BTreeSet<String> {
        let troubles =
            [&self.0["missing"], &self.0["broken"]].into_iter().filter_map(Value::as_array).flatten();
        troubles.flat_map(|trouble| strings(&trouble["images"])).collect()
    }

    /// The file names of the strangers.
    pub fn strangers(&self) -> BTreeSet<String> {
        let name = |path: &String| path.rsplit('/').next().unwrap_or_default().to_owned();
        members(&self.0["strangers"], "path").iter().map(name).collect()
    }
}

fn strings(list: &Value) -> BTreeSet<String> {
    let items = list.as_array().unwrap_or_else(|| panic!("not an array: {list}"));
    items.iter().map(|item| item.as_str().expect("a string").to_owned()).collect()
}

fn members(list: &Value, key: &str) -> BTreeSet<String> {
    let items = list.as_array().unwrap_or_else(|| panic!("not an array: {list}"));
    items.iter().filter_map(|item| item[key].as_str().map(str::to_owned)).collect()
}

/// The digests of blobs.
pub fn digests<'a>(blobs: impl IntoIterator<Item = &'a Blob>) -> BTreeSet<String> {
    blobs.into_iter().map(|blob| blob.digest.clone()).collect()
}

/// The digest of the image of a seed that is a number.
pub fn seeded(seed: usize) -> String {
    image(&seed.to_string()).manifest.digest
}

/// Strings as a set.
pub fn set(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(|&item| item.to_owned()).collect()
}

/// What `verify` found about a blob; panics if it found nothing.
#[track_caller]
pub fn finding<'a>(report: &'a Value, digest: &str) -> &'a Value {
    let findings = report["findings"].as_array().expect("findings is an array");
    let found = findings.iter().find(|finding| finding["digest"] == digest);
    found.unwrap_or_else(|| panic!("nothing about {digest} in {report}"))
}

/// A small image that shares its base layer with the others of its kind.
pub fn image(seed: &str) -> Image {
    ImageSpec::seeded(seed).build()
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Directory,
    File(Vec<u8>),
    Link(PathBuf),
    Other,
}

/// Everything in a directory, byte for byte: names, kinds and content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree(BTreeMap<String, Node>);

impl Tree {
    /// Takes one.
    pub fn of(dir: &Path) -> Self {
        let mut nodes = BTreeMap::new();
        let mut open = vec![dir.to_owned()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory).expect("the directory can be read") {
                let path = entry.expect("the directory can be read").path();
                let kind = fs::symlink_metadata(&path).expect("what was just listed is there").file_type();
                let node = if kind.is_dir() {
                    open.push(path.clone());
                    Node::Directory
                } else if kind.is_symlink() {
                    Node::Link(fs::read_link(&path).expect("a link can be read"))
                } else if kind.is_file() {
                    Node::File(fs::read(&path).expect("the file can be read"))
                } else {
                    Node::Other
                };
                let name = path.strip_prefix(dir).expect("it was found below").to_string_lossy().into_owned();
                nodes.insert(name, node);
            }
        }
        Self(nodes)
    }

    /// Without ocirepo's own directory, where locks come and go.
    pub fn without_own(self) -> Self {
        Self(self.0.into_iter().filter(|(path, _)| path.split('/').next() != Some(".ocirepo")).collect())
    }

    /// Without one file.
    pub fn without(mut self, path: &str) -> Self {
        self.0.remove(path);
        self
    }

    /// The paths, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The paths that `later` lacks.
    pub fn gone_in(&self, later: &Self) -> BTreeSet<String> {
        self.0.keys().filter(|path| !later.0.contains_key(*path)).cloned().collect()
    }

    /// Panics, naming what differs, unless both are the same.
    #[track_caller]
    pub fn assert_is(&self, expected: &Self) {
        let paths: BTreeSet<_> = self.0.keys().chain(expected.0.keys()).collect();
        let differs = |path: &&&String| self.0.get(**path) != expected.0.get(**path);
        let differing: Vec<_> = paths.iter().filter(differs).collect();
        assert!(differing.is_empty(), "these were changed, made or removed: {differing:?}");
    }
}

/// A digest that nothing has: one hex digit, repeated.
pub fn nowhere(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}
