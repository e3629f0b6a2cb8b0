//! How long it takes to start and to do nothing.

use anyhow::Result;

use super::super::bar::Bar;
use super::super::context::Context;
use super::super::job::{Contender, Job, Manner, Role};
use super::commands::sh;

pub(super) fn jobs(context: &Context) -> Result<Vec<Job>> {
    let commands = &context.commands;
    let version = |tool: &'static str, word: &'static str| {
        commands.peer(tool, format!("{tool} {word}"), move |commands, _| {
            let mut command = commands.peers.command(tool)?;
            command.arg(word);
            Ok(command)
        })
    };
    let job = Job::new("Print the version", Manner::Reads)
        .rounds(4)
        .with(commands.ours("ocirepo --version", |commands, _| {
            let mut command = std::process::Command::new(&commands.ocirepo);
            command.arg("--version");
            command
        }))
        .with(version("skopeo", "--version"))
        .with(version("umoci", "--version"))
        .with(version("oras", "version"))
        .with(Contender::new(Role::Limit, "sh", "sh -c true", |_| Ok(sh::<&str>("true", []))));
    Ok(vec![job.bar(Bar::Seconds(0.005))])
}
