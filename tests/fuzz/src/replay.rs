//! The committed inputs of a target, one after the other.

use std::fs;
use std::path::{Path, PathBuf};

/// Checks every seed of a target and every finding, all of them mended. The name of the one that fails
/// is printed.
///
/// # Panics
/// When there are no seeds, and when `check` does.
pub(crate) fn each(target: &str, mut check: impl FnMut(&[u8])) {
    let seeds = files("seeds", target);
    assert!(!seeds.is_empty(), "there are no seeds for {target}");
    for path in seeds.into_iter().chain(files("findings", target)) {
        let name = Name(&path);
        check(&read(&path));
        std::mem::forget(name);
    }
}

/// Says its name when a check fails.
struct Name<'a>(&'a Path);

impl Drop for Name<'_> {
    #[expect(clippy::print_stderr, reason = "a test that fails says where")]
    fn drop(&mut self) {
        eprintln!("while replaying {}", self.0.display());
    }
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).expect("a committed file can be read")
}

fn files(directory: &str, target: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz");
    let entries = fs::read_dir(root.join(directory).join(target)).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}
