//! What every job needs: the data, the tools, and places to work in.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::data::store::Store;
use super::data::{Data, files};
use super::suites::commands::Commands;
use crate::shell;

/// One run of the bench.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) data: Data,
    pub(super) commands: Commands,
    pub(super) quick: bool,
    pub(super) rounds: usize,
    /// Everything that is made while measuring; on the file system of the data.
    work: PathBuf,
    /// Locked as long as this is there, because two at once would measure each other and share `work`.
    _lock: File,
}

impl Context {
    pub(super) fn new(directory: &Path, quick: bool, rounds: usize, commands: Commands) -> Result<Self> {
        let data = Data::new(directory, quick)?;
        let work = directory.canonicalize()?.join("work");
        let lock = directory.join("lock");
        let lock = File::create(&lock).with_context(|| lock.display().to_string())?;
        lock.try_lock().with_context(|| format!("another bench runs in {}", directory.display()))?;
        // What an interrupted run left.
        files::remove(&work)?;
        fs::create_dir(&work)?;
        Ok(Self { data, commands, quick, rounds, work, _lock: lock })
    }

    /// Where the work is done.
    pub(super) fn work(&self) -> &Path {
        &self.work
    }

    /// An empty directory, whatever was in it.
    pub(super) fn fresh_scratch(&self, name: &str) -> Result<PathBuf> {
        let scratch = self.work.join(name);
        files::remove(&scratch)?;
        fs::create_dir(&scratch)?;
        Ok(scratch)
    }

    /// A repository of ocirepo with what is in a source; the same for all jobs that ask for that name.
    pub(super) fn repository(&self, name: &str, source: &Path) -> Result<PathBuf> {
        let repository = self.work.join(name);
        if !repository.exists() {
            self.commands.init(&repository)?;
            shell::quiet(&mut self.commands.add(&repository, source, &[]))?;
        }
        Ok(repository)
    }

    /// A copy of a store of which jobs may change the index; a tool has one for itself.
    pub(super) fn store_for(&self, tool: &str, store: &Store) -> Result<PathBuf> {
        let copy = self.work.join(format!("store-{}-{tool}", store.blobs()));
        if !copy.exists() {
            store.copy(&copy)?;
        }
        Ok(copy)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // The next run removes what is left here.
        let _ = fs::remove_dir_all(&self.work);
    }
}

/// ocirepo as it is without settings of whoever runs the bench.
pub(super) fn without_settings(command: &mut Command) {
    for (key, _) in env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("OCIREPO_")) {
        command.env_remove(key);
    }
}
