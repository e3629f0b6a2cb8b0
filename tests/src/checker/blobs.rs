//! The files under `blobs/`: their names, kinds and content.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::Report;
use crate::digest;

/// A blob that is there.
pub(super) struct BlobFile {
    pub(super) path: PathBuf,
    pub(super) size: u64,
}

/// The blobs that are there, by digest.
pub(super) struct BlobFiles(BTreeMap<String, BlobFile>);

impl BlobFiles {
    pub(super) fn get(&self, digest: &str) -> Option<&BlobFile> {
        self.0.get(digest)
    }

    pub(super) fn digests(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &BlobFile)> {
        self.0.iter()
    }
}

/// Lists and hashes every blob. Content under an algorithm this testkit cannot compute is taken on trust.
pub(super) fn read(dir: &Path, report: &mut Report) -> BlobFiles {
    let mut blobs = BTreeMap::new();
    for (algorithm, path) in list(&dir.join("blobs"), report) {
        if !path.is_dir() {
            report.problem(format!("blobs/{algorithm}: not a directory"));
            continue;
        }
        for (encoded, path) in list(&path, report) {
            let digest = format!("{algorithm}:{encoded}");
            if let Some(file) = read_one(&algorithm, &digest, path, report) {
                blobs.insert(digest, file);
            }
        }
    }
    BlobFiles(blobs)
}

fn read_one(algorithm: &str, digest: &str, path: PathBuf, report: &mut Report) -> Option<BlobFile> {
    let metadata = fs::symlink_metadata(&path).expect("a file just listed can be looked at");
    if !is_digest(digest) {
        report.problem(format!("{}: the name is not a digest", path.display()));
        return None;
    }
    if !metadata.is_file() {
        report.problem(format!("{digest}: not a regular file"));
        return None;
    }
    match fs::read(&path) {
        Ok(bytes) => {
            if let Some(actual) = digest::of(algorithm, &bytes).filter(|actual| actual != digest) {
                report.problem(format!("{digest}: the content hashes to {actual}"));
            }
        }
        Err(error) => report.problem(format!("{digest}: {error}")),
    }
    Some(BlobFile { path, size: metadata.len() })
}

/// Whether a string is a digest by the specification's grammar, of the right length if the algorithm is known.
pub(super) fn is_digest(text: &str) -> bool {
    let Some((algorithm, encoded)) = text.split_once(':') else { return false };
    let component = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let hex =
        |len| encoded.len() == len && encoded.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    algorithm.split(['+', '.', '_', '-']).all(component)
        && match algorithm {
            "sha256" | "blake3" => hex(64),
            "sha384" => hex(96),
            "sha512" => hex(128),
            _ => {
                let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"=_-".contains(&byte);
                !encoded.is_empty() && encoded.bytes().all(allowed)
            }
        }
}

fn list(directory: &Path, report: &mut Report) -> Vec<(String, PathBuf)> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            report.problem(format!("{}: {error}", directory.display()));
            return Vec::new();
        }
    };
    let pair = |path: PathBuf| {
        let name = path.file_name().expect("a listed file has a name").to_string_lossy().into_owned();
        (name, path)
    };
    let mut files: Vec<_> =
        entries.map(|entry| pair(entry.expect("the directory can be read").path())).collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_grammar() {
        let hex = "a".repeat(64);
        for good in
            [format!("sha256:{hex}"), format!("blake3:{hex}"), "sha256+b64u:Ab_-=".into(), "x:1".into()]
        {
            assert!(is_digest(&good), "{good}");
        }
        let upper = format!("sha256:{}", "A".repeat(64));
        for bad in [upper.as_str(), "sha256:ab", "sha256", "x:", "X:1", "+a:1", "x:a/b", "x:.."] {
            assert!(!is_digest(bad), "{bad}");
        }
    }
}
