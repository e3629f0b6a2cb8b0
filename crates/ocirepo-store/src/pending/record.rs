//! What is on record of a pending bundle: its table of contents, and the blobs it needs.

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::disk::{self, Dir, Owner};
use crate::error::{Error, Result};

const TOC: &str = "toc";
const NEEDS: &str = "needs";

/// The largest record that is read, in bytes: more than two million blobs.
const MAX_SIZE: u64 = 256 << 20;

/// The record of one bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) toc: Vec<u8>,
    pub(super) needs: BTreeMap<Digest, u64>,
}

impl Record {
    /// Reads a record.
    ///
    /// # Errors
    /// What is wrong with it. Half a record is none: what a bundle needs must be known for certain.
    pub(super) fn read(dir: &Dir) -> Result<Self, String> {
        let read = |name: &str| match dir.read(name, MAX_SIZE) {
            Ok(Some((bytes, _))) => Ok(bytes),
            Ok(None) => Err(format!("it has no {name}")),
            Err(error) => Err(error.with_cause()),
        };
        let (toc, needs) = (read(TOC)?, read(NEEDS)?);
        if toc.is_empty() {
            return Err(format!("its {TOC} is empty"));
        }
        Ok(Self { toc, needs: parse(&needs).map_err(|reason| format!("its {NEEDS} {reason}"))? })
    }

    /// Writes a record into a directory that is not at its place yet, and makes it durable.
    pub(super) fn write(&self, dir: &Dir, owner: Owner) -> Result<()> {
        let needs: String = self.needs.iter().map(|(digest, size)| format!("{digest} {size}\n")).collect();
        for (name, bytes) in [(TOC, self.toc.as_slice()), (NEEDS, needs.as_bytes())] {
            if bytes.is_empty() || bytes.len() as u64 > MAX_SIZE {
                let reason = format!("its {name} would be {} bytes", bytes.len());
                return Err(Error::Damaged { path: dir.path().to_owned(), reason });
            }
            disk::write_synced(dir, name, bytes, owner)?;
        }
        dir.sync()
    }
}

fn parse(bytes: &[u8]) -> Result<BTreeMap<Digest, u64>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    if !text.ends_with('\n') {
        return Err("has no end".to_owned());
    }
    let mut needs = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let bad = || format!("cannot be read in line {number}");
        let (digest, size) = line.split_once(' ').ok_or_else(bad)?;
        let digest: Digest = digest.parse().map_err(|_| bad())?;
        let size: u64 = size.parse().map_err(|_| bad())?;
        if needs.insert(digest, size).is_some() {
            return Err(format!("has a blob twice, in line {number}"));
        }
    }
    Ok(needs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_list_of_needs_is_an_error() {
        let digest = Digest::sha256(b"x");
        let line = format!("{digest} 1\n");
        assert_eq!(parse(line.as_bytes()).unwrap(), BTreeMap::from([(digest.clone(), 1)]));
        for bad in [
            String::new(),
            format!("{digest} 1"),
            format!("{digest}\n"),
            format!("{digest} 1 \n"),
            format!("{digest} -1\n"),
            format!("{line}{line}"),
            format!("{line}\n"),
            "\0\0\0\n".to_owned(),
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?} was taken");
        }
    }
}
