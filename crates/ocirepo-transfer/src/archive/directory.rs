//! A directory as a source: an image layout, or an archive that somebody unpacked.
//!
//! Names are looked up below the directory. Links inside it are followed, since unpacked archives
//! and shared blob stores have them; a link that leads out of it is refused, except on the way to
//! a blob, whose content is proven by its name.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::below::{Below, file_at};
use super::{Content, Member, Place, paths};
use crate::error::{Error, Result};

/// A directory of members.
#[derive(Debug)]
pub(crate) struct Directory {
    label: String,
    root: PathBuf,
    below: Below,
}

impl Directory {
    pub(crate) fn open(path: &Path, label: String) -> Result<Self> {
        let fail = |source| Error::Read { archive: label.clone(), source };
        let root = fs::canonicalize(path).map_err(fail)?;
        let below = Below::open(&root).map_err(fail)?;
        Ok(Self { label, root, below })
    }

    /// The directory itself, without links in its path.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn read_error(&self, source: io::Error) -> Error {
        Error::Read { archive: self.label.clone(), source }
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

impl Content for Directory {
    fn label(&self) -> &str {
        &self.label
    }

    fn find(&self, name: &str) -> Result<Option<Member>> {
        let Some(name) = paths::clean(name) else {
            return Err(Error::member(&self.label, name, "its name is not usable"));
        };
        let path = match fs::canonicalize(self.root.join(&name)) {
            Ok(path) => path,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(self.read_error(error)),
        };
        let inside = path.strip_prefix(&self.root).ok();
        if inside.is_none() && paths::blob_digest(&name).is_none() {
            return Err(Error::member(&self.label, &name, "it is a link out of the directory"));
        }
        let metadata = fs::metadata(&path).map_err(|error| self.read_error(error))?;
        // A tar has no content under the name of a folder either.
        if metadata.is_dir() {
            return Ok(None);
        }
        if !metadata.is_file() {
            return Err(Error::member(&self.label, &name, "it is not a regular file"));
        }
        let own = inside.map_or(name, |path| path.to_string_lossy().into_owned());
        Ok(Some(Member { name: own, size: metadata.len(), place: Place::Path(path) }))
    }

    fn open<'a>(&'a self, member: &Member) -> Result<Box<dyn Read + Send + 'a>> {
        let Place::Path(path) = &member.place else {
            return Err(Error::member(&self.label, &member.name, "it is not in the directory"));
        };
        let file = match path.strip_prefix(&self.root) {
            Ok(inside) => self.below.file(inside),
            // A blob, and proven by its name.
            Err(_) => file_at(path),
        };
        Ok(Box::new(file.map_err(|error| self.read_error(error))?))
    }

    fn folders(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.root) else { return Vec::new() };
        let mut folders: Vec<String> = entries
            .filter_map(|entry| entry.ok())
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        folders.sort_unstable();
        folders
    }

    fn has_below(&self, folder: &str) -> bool {
        fs::read_dir(self.root.join(folder)).is_ok_and(|mut entries| entries.next().is_some())
    }

    fn below(&self, folder: &str) -> Vec<String> {
        let mut names = Vec::new();
        let mut open = vec![folder.to_owned()];
        while let Some(folder) = open.pop() {
            let Ok(entries) = fs::read_dir(self.root.join(&folder)) else { continue };
            for entry in entries.filter_map(|entry| entry.ok()) {
                let Ok(name) = entry.file_name().into_string() else { continue };
                let name = format!("{folder}/{name}");
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => open.push(name),
                    _ => names.push(name),
                }
            }
        }
        names.sort_unstable();
        names
    }

    fn is_empty(&self) -> bool {
        !self.has_below("")
    }

    fn is_directory(&self) -> bool {
        true
    }

    fn warnings(&self) -> &[String] {
        &[]
    }
}
