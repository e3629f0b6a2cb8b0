//! What the simplest tools take for the same bytes: nobody who hashes and stores them can be much faster.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::super::job::{Contender, Role};
use super::commands::{Commands, sh};

/// One process that hashes these files.
pub(super) const OPENSSL: &str = "openssl";
/// Two that share them.
pub(super) const OPENSSL_2: &str = "openssl ×2";
/// One copy.
pub(super) const CAT: &str = "cat";

pub(super) fn openssl(commands: &Commands, files: Vec<PathBuf>) -> Option<Contender> {
    commands.limit(OPENSSL, "openssl", "openssl dgst -sha256", move |commands, _| {
        let mut command = commands.peers.command("openssl")?;
        command.args(["dgst", "-sha256"]).args(&files);
        Ok(command)
    })
}

pub(super) fn openssl_2(commands: &Commands, files: Vec<PathBuf>) -> Option<Contender> {
    commands.limit(OPENSSL_2, "openssl", "openssl dgst -sha256, two at once", move |commands, _| {
        let openssl = commands.peers.shell_words("openssl")?;
        let script = format!("printf '%s\\0' \"$@\" | xargs -0 -n 1 -P 2 {openssl} dgst -sha256");
        Ok(sh(&script, [Path::new("sh")].into_iter().chain(files.iter().map(PathBuf::as_path))))
    })
}

pub(super) fn cat(files: Vec<PathBuf>) -> Contender {
    Contender::new(Role::Limit, CAT, "cat > FILE", move |place| {
        let out = place.out();
        let words = [out.as_path()].into_iter().chain(files.iter().map(PathBuf::as_path));
        Ok(sh("cat \"$@\" > \"$0\"", words))
    })
}

/// The blobs of a layout, largest first, so that two who share them end together.
pub(super) fn blobs(layout: &Path) -> Result<Vec<PathBuf>> {
    let directory = layout.join("blobs/sha256");
    let mut blobs = Vec::new();
    for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
        let entry = entry?;
        blobs.push((entry.metadata()?.len(), entry.path()));
    }
    blobs.sort();
    Ok(blobs.into_iter().rev().map(|(_, path)| path).collect())
}
