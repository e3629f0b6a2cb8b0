//! The content of layers: the regular files of this machine's `/usr`, in the order of their paths, and some bytes
//! that do not compress. Real files have the mix of text, machine code and small files that layers have.
//!
//! The same machine gives the same layers as long as nothing is installed or removed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Where files are taken from, in this order; what is missing is passed over. Programs and libraries come first,
/// because most of a large image is those.
const ROOTS: &[&str] = &["/usr/bin", "/usr/lib", "/usr/libexec", "/usr/sbin", "/usr/share"];

/// A file, or the beginning of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) path: PathBuf,
    pub(super) length: u64,
}

/// What goes into one layer.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) files: Vec<Piece>,
    /// So many random bytes, which the seed determines.
    pub(super) noise: u64,
    pub(super) seed: u64,
}

/// An endless row of files.
#[derive(Debug)]
pub(super) struct Corpus {
    files: Vec<Piece>,
    next: usize,
}

impl Corpus {
    /// All files of this machine.
    pub(super) fn new() -> Result<Self> {
        let mut files = Vec::new();
        for root in ROOTS {
            collect(Path::new(root), &mut files);
        }
        Self::of(files)
    }

    fn of(files: Vec<Piece>) -> Result<Self> {
        if files.is_empty() {
            bail!("there are no files in {}", ROOTS.join(", "));
        }
        Ok(Self { files, next: 0 })
    }

    /// Files of that many bytes together, from where the last layer ended; the last one is cut to fit. From the last
    /// file on it starts again.
    pub(super) fn take(&mut self, bytes: u64) -> Vec<Piece> {
        let mut taken = Vec::new();
        let mut left = bytes;
        while left > 0 {
            let file = &self.files[self.next % self.files.len()];
            let length = file.length.min(left);
            taken.push(Piece { path: file.path.clone(), length });
            left -= length;
            self.next += 1;
        }
        taken
    }
}

/// Readable, not empty regular files, directory by directory. What cannot be read is left out.
fn collect(directory: &Path, files: &mut Vec<Piece>) {
    let Ok(listing) = fs::read_dir(directory) else { return };
    let mut entries: Vec<_> = listing.flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            collect(&entry.path(), files);
        } else if metadata.is_file() && metadata.len() > 0 {
            files.push(Piece { path: entry.path(), length: metadata.len() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_have_their_size_and_go_on_where_the_last_one_ended() {
        let piece = |path: &str, length| Piece { path: path.into(), length };
        let mut corpus = Corpus::of(vec![piece("a", 10), piece("b", 20)]).unwrap();
        assert_eq!(corpus.take(15), [piece("a", 10), piece("b", 5)]);
        assert_eq!(corpus.take(12), [piece("a", 10), piece("b", 2)]);
        assert!(Corpus::of(Vec::new()).is_err());
    }
}
