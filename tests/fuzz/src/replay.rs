//! The committed inputs of a target, one after the other.

use std::fs;
use std::path::{Path, PathBuf};

/// Checks every seed and every finding of a target. The name of the one that fails is printed.
///
/// # Panics
/// When there are no seeds, and when `check` does.
pub(crate) fn each(target: &str, mut check: impl FnMut(&[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz");
    let seeds = files(&root.join("seeds").join(target));
    assert!(!seeds.is_empty(), "there are no seeds for {target}");
    for path in seeds.into_iter().chain(files(&root.join("findings").join(target))) {
        let name = Name(&path);
        check(&fs::read(&path).expect("a committed file can be read"));
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

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}
