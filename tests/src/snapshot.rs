//! A repository as it is at one moment, to be compared with what a command made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What may lie in `.ocirepo` when no command runs.
const OWN_FILES: [&str; 10] = [
    "cache",
    "config.json",
    "gate",
    "index.lock",
    "index.prev",
    "last-index",
    "lock",
    "pending",
    "quarantine",
    "tmp",
];

/// A repository at one moment: the documents byte for byte, the blobs by name, size and inode, and what unfinished
/// work has left. What ocirepo records about itself (policy, locks, the previous index) is not part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The content of `oci-layout` and `index.json`, where they are there.
    pub documents: BTreeMap<String, String>,
    /// Size and inode of everything below `blobs`, by path.
    pub blobs: BTreeMap<String, (u64, u64)>,
    /// Everything that lies below `.ocirepo` only while a command works.
    pub debris: BTreeSet<String>,
}

impl Snapshot {
    /// Looks at the directory.
    pub fn of(dir: impl AsRef<Path>) -> Self {
        let dir = dir.as_ref();
        let mut documents = BTreeMap::new();
        for name in ["oci-layout", "index.json"] {
            if let Ok(bytes) = fs::read(dir.join(name)) {
                documents.insert(name.to_owned(), String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        let mut blobs = BTreeMap::new();
        walk(dir, "blobs", &mut |path, metadata| {
            if !metadata.is_dir() {
                blobs.insert(path.to_owned(), (metadata.len(), metadata.ino()));
            }
        });
        Self { documents, blobs, debris: debris(dir) }
    }

    /// Panics unless the directory is as it was; `what` was done meanwhile.
    #[track_caller]
    pub fn assert_same(&self, dir: impl AsRef<Path>, what: &str) {
        let now = Self::of(dir);
        assert_eq!(self.debris, now.debris, "{what}: left behind in .ocirepo");
        let only = |a: &Self, b: &Self| -> Vec<_> {
            a.blobs
                .iter()
                .filter(|(path, stat)| b.blobs.get(*path) != Some(stat))
                .map(|(path, _)| path.clone())
                .collect()
        };
        assert_eq!((only(self, &now), only(&now, self)), Default::default(), "{what}: blobs lost and gained");
        assert_eq!(self.documents, now.documents, "{what}");
    }
}

/// Every file and directory below a directory, with mode, size, inode and the time of its last change: whoever
/// writes anything at all, even what is gone again, changes this.
pub fn tree(dir: &Path) -> BTreeMap<String, (u32, u64, u64, (i64, i64))> {
    let mut tree = BTreeMap::new();
    let mut take = |path: &str, metadata: &fs::Metadata| {
        let times = (metadata.mtime(), metadata.mtime_nsec());
        tree.insert(path.to_owned(), (metadata.mode(), metadata.len(), metadata.ino(), times));
    };
    take("", &fs::metadata(dir).expect("the directory is there"));
    walk(dir, ".", &mut take);
    tree
}

/// Everything that lies below `.ocirepo` only while a command works, or because one was killed.
pub fn debris(dir: &Path) -> BTreeSet<String> {
    let mut debris = BTreeSet::new();
    walk(dir, ".ocirepo", &mut |path, _| {
        let mut parts = path.split('/').skip(1);
        let first = parts.next().expect("it lies below .ocirepo");
        if !OWN_FILES.contains(&first) || (first == "tmp" && parts.next().is_some()) {
            debris.insert(path.to_owned());
        }
    });
    debris
}

/// Copies a directory with all that is in it; files become files of their own.
pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the directory can be made");
    for entry in fs::read_dir(from).expect("the directory can be read") {
        let entry = entry.expect("the directory can be read");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).expect("the file can be copied");
        }
    }
}

fn walk(dir: &Path, below: &str, visit: &mut dyn FnMut(&str, &fs::Metadata)) {
    let Ok(entries) = fs::read_dir(dir.join(below)) else { return };
    for entry in entries {
        let entry = entry.expect("the directory can be read");
        let path = format!("{below}/{}", entry.file_name().to_string_lossy());
        // A living process may remove it meanwhile.
        let Ok(metadata) = fs::symlink_metadata(entry.path()) else { continue };
        visit(&path, &metadata);
        if metadata.is_dir() {
            walk(dir, &path, visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;

    #[test]
    fn every_change_shows() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("a");
        let layout = Layout::create(&dir);
        layout.blob(b"one");
        let before = Snapshot::of(&dir);
        assert_eq!(before, Snapshot::of(&dir));
        let copy = scratch.path().join("b");
        copy_tree(&dir, &copy);
        assert_eq!(Snapshot::of(&copy).documents, before.documents);
        let two = layout.blob(b"two");
        assert_ne!(before, Snapshot::of(&dir));
        layout.delete(&two);
        assert_eq!(before, Snapshot::of(&dir));
        fs::create_dir_all(dir.join(".ocirepo/tmp/session-1")).unwrap();
        layout.write(".ocirepo/lock", b"");
        layout.write(".ocirepo/index.next", b"{}");
        let (after, tree_before) = (Snapshot::of(&dir), tree(&dir));
        // Times of files go in steps of some milliseconds.
        std::thread::sleep(std::time::Duration::from_millis(50));
        layout.write(".ocirepo/passing", b"");
        fs::remove_file(dir.join(".ocirepo/passing")).unwrap();
        assert_ne!(tree_before, tree(&dir));
        let expected = [".ocirepo/index.next", ".ocirepo/tmp/session-1"].map(str::to_owned);
        assert_eq!(after.debris, BTreeSet::from(expected));
    }
}
