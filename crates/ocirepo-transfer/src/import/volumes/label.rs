//! What a volume says of itself: which one it is, and the checksums of what is in it.

use std::collections::BTreeMap;

use ocirepo_store::Digest;
use ocirepo_store::graph::MAX_MANIFEST_SIZE;
use ocirepo_store::index::check_json;
use serde::Deserialize;

use crate::archive::limits::MAX_INDEX;
use crate::archive::{Content, read_whole};
use crate::bundle::{SUMS, VOLUME};
use crate::error::{Error, Result, escape};

/// Which volume of which bundle this is.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Label {
    pub(super) bundle: Digest,
    pub(super) volume: u32,
    pub(super) volumes: u32,
}

impl Label {
    /// Reads the label of a volume in the folder `prefix`; `None` when there is none.
    pub(super) fn read(content: &dyn Content, prefix: &str) -> Result<Option<Self>> {
        let name = format!("{prefix}{VOLUME}");
        let Some(member) = content.find(&name)? else { return Ok(None) };
        let fail = |reason: String| Error::member(content.label(), &name, escape(&reason));
        let bytes = read_whole(content, &member, MAX_MANIFEST_SIZE)?;
        check_json(&bytes).map_err(fail)?;
        serde_json::from_slice(&bytes).map(Some).map_err(|error| fail(error.to_string()))
    }

    /// An error of this volume, which came from `archive`.
    pub(super) fn bad(&self, archive: &str, reason: impl Into<String>) -> Error {
        Error::BadVolume {
            archive: archive.to_owned(),
            bundle: self.bundle.clone(),
            volume: self.volume,
            reason: reason.into(),
        }
    }

    /// An error that another copy of this volume need not have.
    pub(super) fn damaged(&self, archive: &str, what: &str) -> Error {
        self.bad(archive, format!("{what}; copy this volume again"))
    }
}

/// The checksums of a volume: what every member before them hashes to, by name.
#[derive(Debug)]
pub(super) struct Sums(BTreeMap<String, Digest>);

impl Sums {
    /// Reads the checksums of a volume; `None` when it has none.
    pub(super) fn read(content: &dyn Content, prefix: &str) -> Result<Option<Self>> {
        let name = format!("{prefix}{SUMS}");
        let Some(member) = content.find(&name)? else { return Ok(None) };
        let sums = Self::parse(&read_whole(content, &member, MAX_INDEX)?);
        sums.map(Some).map_err(|reason| Error::member(content.label(), &name, reason))
    }

    /// The form of `sha256sum`: the hash, two spaces, the name.
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        let mut sums = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let sum = line
                .split_once("  ")
                .and_then(|(hex, name)| Some((name.to_owned(), Digest::from_parts("sha256", hex).ok()?)));
            let (name, digest) = sum.ok_or_else(|| format!("it cannot be read in line {number}"))?;
            if sums.insert(name, digest).is_some() {
                return Err(format!("it has a member twice, in line {number}"));
            }
        }
        Ok(Self(sums))
    }

    pub(super) fn of(&self, name: &str) -> Option<&Digest> {
        self.0.get(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Digest)> {
        self.0.iter().map(|(name, digest)| (name.as_str(), digest))
    }
}

/// Folders that a volume may lie in are looked for so far.
const MAX_FOLDERS: usize = 16;

/// An error of reading an archive, which names the volume if it is one: whoever carries seven disks
/// wants to know which of them to burn again.
pub(crate) fn blame(content: &dyn Content, error: Error) -> Error {
    let (member, reason) = match &error {
        Error::Damaged { reason, .. } => (None, reason.clone()),
        Error::BadMember { member, reason, .. } => (Some(member), format!("{member}: {reason}")),
        Error::BadBlob { member, .. } => (Some(member), format!("{member} is damaged")),
        Error::BadSize { member, expected, found, .. } => {
            (Some(member), format!("{member} should be {expected} bytes, but there are {found}"))
        }
        _ => return error,
    };
    let folders = content.folders().into_iter().take(MAX_FOLDERS).map(|folder| format!("{folder}/"));
    for prefix in std::iter::once(String::new()).chain(folders) {
        let Ok(Some(label)) = Label::read(content, &prefix) else { continue };
        let name = member.and_then(|member| member.strip_prefix(prefix.as_str()));
        // What is as it was written has no better copy.
        if name.is_some_and(|name| is_as_written(content, &prefix, name)) {
            return error;
        }
        return label.damaged(content.label(), &reason);
    }
    error
}

fn is_as_written(content: &dyn Content, prefix: &str, name: &str) -> bool {
    let (Ok(Some(sums)), Ok(Some(member))) =
        (Sums::read(content, prefix), content.find(&format!("{prefix}{name}")))
    else {
        return false;
    };
    let bytes = read_whole(content, &member, MAX_INDEX);
    sums.of(name).zip(bytes.ok()).is_some_and(|(digest, bytes)| digest.proves(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_read_as_sha256sum_writes_them() {
        let digest = Digest::sha256(b"x");
        let line = format!("{}  a b\n", digest.encoded());
        let sums = Sums::parse(line.as_bytes()).unwrap();
        assert_eq!((sums.of("a b"), sums.of("a")), (Some(&digest), None));
        for bad in [format!("{line}{line}"), "abc  x\n".to_owned(), line.replace("  ", " "), "\n".to_owned()]
        {
            assert!(Sums::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
