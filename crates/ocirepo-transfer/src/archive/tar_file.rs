//! A plain tar file: its headers are walked once, and content is read where it lies.
//!
//! Only what an image needs is read, each thread at its own offset of the one open file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, PoisonError};

use ocirepo_store::Digest;

use super::headers::{Fault, Headers, Kind};
use super::table::{DIFFER, Lookup, Table};
use super::{Content, Member, Place, paths, pour};
use crate::error::{Error, Result, escape};

/// Where the content of a member lies.
#[derive(Debug, PartialEq, Eq)]
struct Region {
    offset: u64,
    size: u64,
}

/// A tar file and its table of members.
#[derive(Debug)]
pub(crate) struct TarFile {
    label: String,
    file: File,
    table: Table<Region>,
    /// Names with several contents, and whether those turned out to be the same.
    compared: Mutex<HashMap<String, bool>>,
    warnings: Vec<String>,
}

impl TarFile {
    /// Walks the headers of `file`. What comes before the first fault is there also when it is no
    /// tar, or one that ends too early.
    pub(crate) fn scan(file: File, label: String) -> (Self, Result<()>) {
        let (table, compared, warnings) = (Table::new(), Mutex::default(), Vec::new());
        let mut tar = Self { label, file, table, compared, warnings };
        let scanned = tar.walk();
        (tar, scanned)
    }

    fn walk(&mut self) -> Result<()> {
        let Self { label, file, table, warnings, .. } = self;
        let length = file.metadata().map_err(|error| Error::read(label, error))?.len();
        let mut headers = Headers::new(&*file);
        while let Some(header) = headers.next().map_err(|fault| fault_of(label, fault))? {
            if header.offset.saturating_add(header.size) > length {
                return Err(Error::Damaged {
                    archive: label.clone(),
                    reason: format!("it ends inside the member {}", escape(&header.name)),
                });
            }
            if header.kind != Kind::Other {
                table.insert(&header, Region { offset: header.offset, size: header.size });
            }
        }
        if headers.seen() == 0 {
            return Err(Error::NotAnArchive { archive: label.clone(), reason: NO_MEMBERS.to_owned() });
        }
        if headers.trailing(false).map_err(|error| Error::read(label, error))? {
            warnings.push(trailing_warning(label));
        }
        Ok(())
    }

    fn member(&self, name: &str, region: &Region) -> Member {
        Member { name: name.to_owned(), size: region.size, place: Place::Region(region.offset) }
    }

    fn hash(&self, member: &Member) -> Result<Digest> {
        let mut hasher = ocirepo_store::Hasher::new(ocirepo_store::Algorithm::Sha256);
        pour(self, member, &mut |chunk| {
            hasher.update(chunk);
            Ok(())
        })?;
        Ok(hasher.finish())
    }

    /// Whether several contents under one name are the same, as some writers repeat a layer.
    fn are_same(&self, name: &str, regions: &[&Region]) -> Result<bool> {
        let mut compared = self.compared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&same) = compared.get(name) {
            return Ok(same);
        }
        let same = self.compare(name, regions)?;
        compared.insert(name.to_owned(), same);
        Ok(same)
    }

    fn compare(&self, name: &str, regions: &[&Region]) -> Result<bool> {
        if regions.iter().any(|region| region.size != regions[0].size) {
            return Ok(false);
        }
        let first = self.hash(&self.member(name, regions[0]))?;
        for region in &regions[1..] {
            if self.hash(&self.member(name, region))? != first {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Content for TarFile {
    fn label(&self) -> &str {
        &self.label
    }

    fn find(&self, name: &str) -> Result<Option<Member>> {
        let Some(cleaned) = paths::clean(name) else {
            return Err(Error::member(&self.label, name, "its name is not usable"));
        };
        match self.table.find(&cleaned) {
            Lookup::Absent => Ok(None),
            Lookup::Unusable(reason) => Err(Error::member(&self.label, &cleaned, reason)),
            Lookup::Found { name, places } => {
                if places.len() > 1 && !self.are_same(name, &places)? {
                    return Err(Error::member(&self.label, name, DIFFER));
                }
                Ok(Some(self.member(name, places[0])))
            }
        }
    }

    fn open<'a>(&'a self, member: &Member) -> Result<Box<dyn Read + Send + 'a>> {
        let Place::Region(offset) = member.place else {
            return Err(Error::member(&self.label, &member.name, "it is not in the file"));
        };
        Ok(Box::new(RegionReader { file: &self.file, at: offset, left: member.size }))
    }

    fn folders(&self) -> Vec<String> {
        self.table.folders()
    }

    fn has_below(&self, folder: &str) -> bool {
        self.table.has_below(folder)
    }

    fn below(&self, folder: &str) -> Vec<String> {
        self.table.below(folder)
    }

    fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

struct RegionReader<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for RegionReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(&mut buffer[..wanted], self.at)?;
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

pub(super) const NO_MEMBERS: &str = "it is empty";

pub(super) fn trailing_warning(label: &str) -> String {
    format!("{label} goes on after its end-of-archive marker; what comes there was not looked at")
}

pub(super) fn fault_of(label: &str, fault: Fault) -> Error {
    let archive = label.to_owned();
    match fault {
        Fault::Io(error) => Error::read(label, error),
        Fault::NotTar => Error::NotAnArchive { archive, reason: "it is no tar".to_owned() },
        Fault::Damaged(reason) => Error::Damaged { archive, reason },
    }
}
