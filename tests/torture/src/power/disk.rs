//! Files and directories in memory: what a disk holds after some steps, and the same on a real file system.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::ops::{NodeId, Op, Place, ROOT};

/// Files that are there to be locked.
const LOCKS: [&str; 3] = [".ocirepo/gate", ".ocirepo/lock", ".ocirepo/index.lock"];

/// A file or a directory.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    File(Arc<Vec<u8>>),
    Dir(BTreeMap<String, NodeId>),
}

impl Node {
    pub(crate) fn empty_file() -> Self {
        Self::File(Arc::default())
    }

    pub(crate) const fn empty_dir() -> Self {
        Self::Dir(BTreeMap::new())
    }
}

/// All files and directories there are, also those that have no name (yet, or any more).
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    nodes: Vec<Node>,
    /// For a directory that has a name: the directory which that is in.
    parents: Vec<Option<NodeId>>,
}

impl Disk {
    /// An empty directory.
    pub(crate) fn empty() -> Self {
        Self { nodes: vec![Node::empty_dir()], parents: vec![None] }
    }

    /// What a real directory holds.
    ///
    /// # Errors
    /// When it cannot be read, and when there is anything else in it than files and directories.
    pub(crate) fn read(dir: &Path) -> io::Result<Self> {
        let mut disk = Self::empty();
        disk.read_into(dir, ROOT)?;
        Ok(disk)
    }

    fn read_into(&mut self, path: &Path, dir: NodeId) -> io::Result<()> {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let (kind, path) = (entry.file_type()?, entry.path());
            let node = if kind.is_dir() {
                Node::empty_dir()
            } else if kind.is_file() {
                Node::File(Arc::new(fs::read(&path)?))
            } else {
                return Err(io::Error::other(format!("{}: neither a file nor a directory", path.display())));
            };
            let node = self.add(node);
            self.set(&Place::new(dir, entry.file_name().to_string_lossy()), node);
            if kind.is_dir() {
                self.read_into(&path, node)?;
            }
        }
        Ok(())
    }

    /// A new file or directory, which has no name yet.
    pub(crate) fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.parents.push(None);
        self.nodes.len() - 1
    }

    /// What has a name.
    pub(crate) fn get(&self, at: &Place) -> Option<NodeId> {
        match &self.nodes[at.dir] {
            Node::Dir(names) => names.get(&at.name).copied(),
            Node::File(_) => None,
        }
    }

    /// A name of something.
    pub(crate) fn name_of(&self, node: NodeId) -> Option<Place> {
        self.nodes.iter().enumerate().find_map(|(dir, it)| match it {
            Node::Dir(names) => {
                names.iter().find(|(_, it)| **it == node).map(|(name, _)| Place::new(dir, name.as_str()))
            }
            Node::File(_) => None,
        })
    }

    /// The directory that a directory lies in; the topmost one lies in itself.
    pub(crate) fn parent(&self, dir: NodeId) -> Option<NodeId> {
        if dir == ROOT { Some(ROOT) } else { self.parents[dir] }
    }

    /// How many files and directories there are.
    pub(crate) const fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn is_dir(&self, node: NodeId) -> bool {
        matches!(self.nodes[node], Node::Dir(_))
    }

    /// The content of a file; nothing for a directory.
    pub(crate) fn content(&self, node: NodeId) -> &[u8] {
        match &self.nodes[node] {
            Node::File(bytes) => bytes,
            Node::Dir(_) => &[],
        }
    }

    /// Takes a step.
    pub(crate) fn apply(&mut self, op: &Op) {
        match op {
            Op::Write { file, offset, bytes } => self.write(*file, *offset, bytes),
            Op::Resize { file, size } => self.edit(*file, |content| content.resize(*size, 0)),
            Op::Link { at, node } => self.set(at, *node),
            Op::Unlink { at, node } => self.clear(at, *node),
            Op::Rename { from, to, node } => {
                self.clear(from, *node);
                self.set(to, *node);
            }
            Op::Exchange { from, to, nodes } => {
                self.put(from, nodes.1);
                self.put(to, nodes.0);
            }
            Op::Sync { .. } => {}
        }
    }

    /// Whether a step can be taken: the directories are there that it needs, and so is what it renames.
    pub(crate) fn allows(&self, op: &Op) -> bool {
        match op {
            Op::Write { .. } | Op::Resize { .. } | Op::Sync { .. } => true,
            Op::Link { at, .. } => self.is_there(at.dir),
            Op::Unlink { at, node } => self.is_there(at.dir) && self.get(at) == Some(*node),
            Op::Rename { from, to, node } => {
                self.is_there(from.dir) && self.is_there(to.dir) && self.get(from) == Some(*node)
            }
            Op::Exchange { from, to, nodes } => {
                self.is_there(from.dir)
                    && self.is_there(to.dir)
                    && self.get(from) == Some(nodes.0)
                    && self.get(to) == Some(nodes.1)
            }
        }
    }

    /// Whether a directory can be reached from the top.
    fn is_there(&self, dir: NodeId) -> bool {
        let mut at = dir;
        // A directory that two steps put into each other would go round for ever.
        for _ in 0..self.nodes.len() {
            match (at, self.parents[at]) {
                (ROOT, _) => return true,
                (_, Some(parent)) => at = parent,
                (_, None) => return false,
            }
        }
        false
    }

    fn set(&mut self, at: &Place, node: NodeId) {
        if let Some(before) = self.get(at) {
            self.clear(at, before);
        }
        self.put(at, node);
    }

    fn put(&mut self, at: &Place, node: NodeId) {
        if let Node::Dir(names) = &mut self.nodes[at.dir] {
            names.insert(at.name.clone(), node);
        }
        if self.is_dir(node) {
            self.parents[node] = Some(at.dir);
        }
    }

    /// Takes a name away, unless it is something else's by now.
    fn clear(&mut self, at: &Place, node: NodeId) {
        if self.get(at) != Some(node) {
            return;
        }
        if let Node::Dir(names) = &mut self.nodes[at.dir] {
            names.remove(&at.name);
        }
        self.parents[node] = None;
    }

    fn write(&mut self, file: NodeId, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        self.edit(file, |content| {
            if content.len() < end {
                content.resize(end, 0);
            }
            content[offset..end].copy_from_slice(bytes);
        });
    }

    fn edit(&mut self, file: NodeId, change: impl FnOnce(&mut Vec<u8>)) {
        if let Node::File(content) = &mut self.nodes[file] {
            change(Arc::make_mut(content));
        }
    }

    /// Everything that has a name, by its path.
    pub(crate) fn tree(&self) -> Tree {
        let mut tree = Tree::default();
        self.collect(ROOT, "", &mut tree);
        tree
    }

    fn collect(&self, dir: NodeId, path: &str, tree: &mut Tree) {
        let Node::Dir(names) = &self.nodes[dir] else { return };
        for (name, node) in names {
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            match &self.nodes[*node] {
                Node::File(content) => {
                    tree.0.insert(path, Some(Arc::clone(content)));
                }
                Node::Dir(_) => {
                    tree.0.insert(path.clone(), None);
                    self.collect(*node, &path, tree);
                }
            }
        }
    }
}

/// Paths with the content of files, and with nothing for directories.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tree(BTreeMap<String, Option<Arc<Vec<u8>>>>);

impl Tree {
    /// The files, with their content.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().filter_map(|(path, content)| Some((path.as_str(), content.as_ref()?.as_slice())))
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    /// What of it a command answers for: not locks, unfinished work, and what can be found out again.
    pub(crate) fn lasting(&self) -> Self {
        let is_lasting = |path: &str| match path.split_once("/.ocirepo/") {
            Some((_, own)) => own == "config.json" || own.starts_with("pending/"),
            None => !path.contains("/."),
        };
        Self(
            self.0
                .iter()
                .filter(|(path, _)| is_lasting(path))
                .map(|(path, it)| (path.clone(), it.clone()))
                .collect(),
        )
    }

    /// A number that another tree hardly has. What lock files say is for people, and is left out.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (path, content) in &self.0 {
            let is_lock = LOCKS.iter().any(|lock| path.ends_with(lock));
            (path, content.as_ref().filter(|_| !is_lock), content.is_some()).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Makes all of it below a real directory, which need not be there.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn write_to(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)?;
        // In the order of paths a directory comes before what is in it.
        for (path, content) in &self.0 {
            match content {
                Some(content) => fs::write(dir.join(path), content.as_slice())?,
                None => fs::create_dir(dir.join(path))?,
            }
        }
        Ok(())
    }

    /// The first few paths at which two trees differ, and how; empty when they do not.
    pub(crate) fn difference(&self, other: &Self) -> Vec<String> {
        let paths: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        self.differing(paths.into_iter(), other)
    }

    /// The same of paths that are in this tree; there may be others in the other.
    pub(crate) fn missing_in(&self, other: &Self) -> Vec<String> {
        self.differing(self.0.keys(), other)
    }

    fn differing<'p>(&self, paths: impl Iterator<Item = &'p String>, other: &Self) -> Vec<String> {
        let say = |tree: &Self, path| match tree.0.get(path) {
            None => "nothing".to_owned(),
            Some(None) => "a directory".to_owned(),
            Some(Some(content)) => format!("a file of {} bytes", content.len()),
        };
        let differing = paths.filter(|path| self.0.get(*path) != other.0.get(*path));
        differing.map(|path| format!("{path}: {} / {}", say(self, path), say(other, path))).take(8).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_read_and_written_as_it_is() {
        let scratch = tempfile::tempdir().unwrap();
        let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
        fs::create_dir_all(from.join("a/b")).unwrap();
        fs::create_dir(from.join("empty")).unwrap();
        fs::write(from.join("a/b/c"), "see").unwrap();
        fs::write(from.join("a.d"), "").unwrap();
        let tree = Disk::read(&from).unwrap().tree();
        tree.write_to(&to).unwrap();
        let copy = Disk::read(&to).unwrap().tree();
        assert_eq!(tree.difference(&copy), Vec::<String>::new());
        assert_eq!(tree.fingerprint(), copy.fingerprint());
        fs::write(to.join("a/b/c"), "sea").unwrap();
        let other = Disk::read(&to).unwrap().tree();
        assert_eq!(tree.difference(&other), ["a/b/c: a file of 3 bytes / a file of 3 bytes"]);
        assert_ne!(tree.fingerprint(), other.fingerprint());
    }

    #[test]
    fn what_is_below_a_directory_without_a_name_is_not_there() {
        let mut disk = Disk::empty();
        let (outer, inner) = (disk.add(Node::empty_dir()), disk.add(Node::empty_dir()));
        let link = |dir, name: &str, node| Op::Link { at: Place::new(dir, name), node };
        assert!(!disk.allows(&link(outer, "inner", inner)));
        disk.apply(&link(outer, "inner", inner));
        assert_eq!(disk.tree(), Tree::default());
        disk.apply(&link(ROOT, "outer", outer));
        let file = disk.add(Node::empty_file());
        assert!(disk.allows(&link(inner, "file", file)));
        disk.apply(&link(inner, "file", file));
        disk.apply(&Op::Write { file, offset: 2, bytes: Arc::from(&b"x"[..]) });
        assert_eq!(disk.tree().files().collect::<Vec<_>>(), [("outer/inner/file", &b"\0\0x"[..])]);
        disk.apply(&Op::Unlink { at: Place::new(ROOT, "outer"), node: outer });
        assert!(!disk.allows(&link(inner, "another", file)));
    }
}
