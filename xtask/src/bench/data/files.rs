//! Counting, measuring and copying directories.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Removes a directory with all that is in it, if there is one.
pub(in crate::bench) fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.with_context(|| directory.display().to_string()),
    }
}

/// Bytes of all files in a directory, or of the file.
pub(in crate::bench) fn size(path: &Path) -> Result<u64> {
    let metadata = fs::symlink_metadata(path).with_context(|| path.display().to_string())?;
    if !metadata.is_dir() {
        return Ok(metadata.size());
    }
    let mut total = 0;
    for entry in fs::read_dir(path)? {
        total += size(&entry?.path())?;
    }
    Ok(total)
}

/// How many blobs a layout holds.
pub(in crate::bench) fn blobs(layout: &Path) -> Result<usize> {
    let blobs = layout.join("blobs/sha256");
    Ok(fs::read_dir(&blobs).with_context(|| blobs.display().to_string())?.count())
}

/// Copies a layout: blobs that `copied` names byte by byte, all others as hard links.
pub(in crate::bench) fn copy_layout(from: &Path, to: &Path, copied: impl Fn(&str) -> bool) -> Result<()> {
    let (source, target) = (from.join("blobs/sha256"), to.join("blobs/sha256"));
    fs::create_dir_all(&target)?;
    for blob in fs::read_dir(&source).with_context(|| source.display().to_string())? {
        let blob = blob?;
        let name = blob.file_name();
        if name.to_str().is_some_and(&copied) {
            fs::copy(blob.path(), target.join(&name))?;
        } else {
            fs::hard_link(blob.path(), target.join(&name))?;
        }
    }
    for name in ["index.json", "oci-layout"] {
        fs::copy(from.join(name), to.join(name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_is_another_file_and_the_rest_is_linked() {
        let scratch = tempfile::tempdir().unwrap();
        let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
        fs::create_dir_all(from.join("blobs/sha256")).unwrap();
        for (name, content) in [("a", "aa"), ("b", "b")] {
            fs::write(from.join("blobs/sha256").join(name), content).unwrap();
        }
        fs::write(from.join("index.json"), "{}").unwrap();
        fs::write(from.join("oci-layout"), "").unwrap();
        copy_layout(&from, &to, |name| name == "a").unwrap();
        let links = |name: &str| fs::metadata(to.join("blobs/sha256").join(name)).unwrap().nlink();
        assert_eq!((links("a"), links("b")), (1, 2));
        assert_eq!((blobs(&to).unwrap(), size(&to).unwrap()), (2, 5));
    }
}
