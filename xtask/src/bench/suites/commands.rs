//! The command lines of ocirepo and of its peers.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use anyhow::Result;

use super::super::context::without_settings;
use super::super::job::{Contender, Place, Role};
use super::super::peers::Peers;
use crate::shell;

/// How to start ocirepo and its peers.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Commands {
    pub(in crate::bench) ocirepo: PathBuf,
    pub(in crate::bench) peers: Rc<Peers>,
}

impl Commands {
    /// `ocirepo -C REPOSITORY …`
    pub(in crate::bench) fn ocirepo<S: AsRef<OsStr>>(
        &self,
        repository: &Path,
        words: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = Command::new(&self.ocirepo);
        without_settings(&mut command);
        command.arg("-C").arg(repository).arg("-q").args(words);
        command
    }

    pub(in crate::bench) fn add(&self, repository: &Path, source: &Path, options: &[&str]) -> Command {
        let mut command = self.ocirepo(repository, ["add"]);
        command.args(options).arg(source);
        command
    }

    /// Makes an empty repository.
    pub(in crate::bench) fn init(&self, repository: &Path) -> Result<()> {
        shell::quiet(&mut self.ocirepo(repository, ["init"]))
    }

    /// `skopeo copy … FROM TO`
    pub(super) fn skopeo(&self, place: &Place, options: &[&str], from: &str, to: &str) -> Result<Command> {
        let mut command = self.peers.command("skopeo")?;
        command.arg("--insecure-policy").arg("--tmpdir").arg(place.tmp());
        command.args(["copy", "-q"]).args(options).args([from, to]);
        Ok(command)
    }

    /// `oras cp` from one layout, directory or tar, into a directory; the tag is 1 in both.
    pub(super) fn oras(&self, from: &Path, to: &Path) -> Result<Command> {
        let mut command = self.peers.command("oras")?;
        command.args(["cp", "--no-tty"]);
        command.arg("--from-oci-layout").arg(format!("{}:1", from.display()));
        command.arg("--to-oci-layout").arg(format!("{}:1", to.display()));
        Ok(command)
    }

    /// A contender that takes part if its tool is there; the tool is its key.
    pub(super) fn peer(
        &self,
        tool: &'static str,
        label: impl Into<String>,
        command: impl Fn(&Commands, &Place) -> Result<Command> + 'static,
    ) -> Option<Contender> {
        self.takes_part(Role::Peer, tool, tool, label, command)
    }

    /// A yardstick that takes part if its tool is there.
    pub(super) fn limit(
        &self,
        key: &'static str,
        tool: &str,
        label: impl Into<String>,
        command: impl Fn(&Commands, &Place) -> Result<Command> + 'static,
    ) -> Option<Contender> {
        self.takes_part(Role::Limit, key, tool, label, command)
    }

    fn takes_part(
        &self,
        role: Role,
        key: &'static str,
        tool: &str,
        label: impl Into<String>,
        command: impl Fn(&Commands, &Place) -> Result<Command> + 'static,
    ) -> Option<Contender> {
        let commands = self.clone();
        let there = self.peers.has(tool);
        there.then(|| Contender::new(role, key, label, move |place| command(&commands, place)))
    }

    /// ocirepo as a contender.
    pub(super) fn ours(
        &self,
        label: impl Into<String>,
        command: impl Fn(&Commands, &Place) -> Command + 'static,
    ) -> Contender {
        let commands = self.clone();
        Contender::new(Role::Ours, "ocirepo", label, move |place| Ok(command(&commands, place)))
    }

    /// The same, into an empty repository.
    pub(super) fn ours_into_new(
        &self,
        label: impl Into<String>,
        command: impl Fn(&Commands, &Place) -> Command + 'static,
    ) -> Contender {
        let commands = self.clone();
        self.ours(label, command).prepared(move |place| commands.init(&place.out()))
    }
}

/// `sh -c SCRIPT` with `$0`, `$1`, … as given.
pub(super) fn sh<S: AsRef<OsStr>>(script: &str, words: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).args(words);
    command
}
