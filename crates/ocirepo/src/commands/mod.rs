//! The verbs, one file each: its words, what it calls, and how the result is shown.

pub(crate) mod add;
mod attached;
pub(crate) mod completion;
pub(crate) mod config;
pub(crate) mod diff;
pub(crate) mod du;
pub(crate) mod export;
pub(crate) mod gc;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod inventory;
mod look;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod rm;
mod summary;
pub(crate) mod tag;
pub(crate) mod verify;
pub(crate) mod why;

use anyhow::Result;

use crate::context::Context;
use crate::exit::Code;
use crate::options::Command;

/// Runs one verb.
pub(crate) fn run(command: &Command, context: &Context) -> Result<Code> {
    match command {
        Command::Init(args) => init::run(args, context),
        Command::Add(args) => add::run(args, context),
        Command::Export(args) => export::run(args, context),
        Command::Inventory(args) => inventory::run(args, context),
        Command::Diff(args) => diff::run(args, context),
        Command::Ls(args) => ls::run(args, context),
        Command::Du(args) => du::run(args, context),
        Command::Inspect(args) => inspect::run(args, context),
        Command::Tag(args) => tag::run(args, context),
        Command::Rm(args) => rm::run(args, context),
        Command::Gc(args) => gc::run(args, context),
        Command::Why(args) => why::run(args, context),
        Command::Verify(args) => verify::run(args, context),
        Command::Config(args) => config::run(args, context),
        Command::Completion(args) => completion::run(args),
        Command::Man(args) => man::run(args),
    }
}
