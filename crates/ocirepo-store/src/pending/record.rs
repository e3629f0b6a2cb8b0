//! What is on record of a pending bundle: its table of contents, and the blobs it needs.

use std::collections::BTreeMap;

use crate::digest::{Algorithm, Digest, Hasher};
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
        let needs = prove(&toc, &needs).and_then(parse).map_err(|reason| format!("its {NEEDS} {reason}"))?;
        Ok(Self { toc, needs })
    }

    /// Writes a record into a directory that is not at its place yet, and makes it durable.
    pub(super) fn write(&self, dir: &Dir, owner: Owner) -> Result<()> {
        let mut needs: String =
            self.needs.iter().map(|(digest, size)| format!("{digest} {size}\n")).collect();
        needs.push_str(&format!("{END}{}\n", sum(&self.toc, needs.as_bytes())));
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

/// What the last line of the needs begins with. It holds the digest of the table and the lines above.
const END: &str = "end ";

fn sum(toc: &[u8], needs: &[u8]) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(toc);
    hasher.update(needs);
    hasher.finish()
}

/// The lines of the needs without the last, which proves them and the table. A bit that flips in
/// either could have a blob forgotten that is needed.
fn prove<'n>(toc: &[u8], needs: &'n [u8]) -> Result<&'n [u8], String> {
    let text = needs.strip_suffix(b"\n").ok_or("has no end")?;
    let start = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let (lines, end) = text.split_at(start);
    match end.strip_prefix(END.as_bytes()) {
        None => Err("has no end".to_owned()),
        Some(found) if found == sum(toc, lines).as_str().as_bytes() => Ok(lines),
        Some(_) => Err(format!("or its {TOC} is not what was written")),
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
    fn every_flipped_bit_of_a_record_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Dir::open(dir.path()).unwrap();
        let owner = dir.owner().unwrap();
        let record = Record { toc: b"{}".to_vec(), needs: BTreeMap::from([(Digest::sha256(b"x"), 1)]) };
        record.write(&dir, owner).unwrap();
        assert_eq!(Record::read(&dir).unwrap(), record);
        for name in [TOC, NEEDS] {
            let (good, _) = dir.read(name, MAX_SIZE).unwrap().unwrap();
            for bit in 0..good.len() * 8 {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                disk::write_synced(&dir, name, &bad, owner).unwrap();
                assert!(Record::read(&dir).is_err(), "bit {bit} of {name}");
            }
            disk::write_synced(&dir, name, &good, owner).unwrap();
        }
    }

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
