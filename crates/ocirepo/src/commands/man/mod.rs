//! `ocirepo man`

mod markdown;
mod page;

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Command, CommandFactory as _};

use crate::exit::Code;
use crate::options::Cli;

/// Print the manual page, or write one for each verb
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ocirepo man | man -l -
  ocirepo man -o /usr/local/share/man/man1       # ocirepo.1, ocirepo-add.1 and the others")]
pub(crate) struct Args {
    /// The directory to write all pages to, made if need be
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print verbs and options for docs/commands.md
    #[arg(long, hide = true, conflicts_with = "output")]
    markdown: bool,
}

pub(crate) fn run(args: &Args) -> Result<Code> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    if let Some(directory) = &args.output {
        let cannot = || format!("cannot write manual pages to {}", directory.display());
        fs::create_dir_all(directory).with_context(cannot)?;
        page::write_all(&command, directory).with_context(cannot)?;
        return Ok(Code::Ok);
    }
    let page = if args.markdown { markdown::reference(&command).into_bytes() } else { page::page(&command)? };
    io::stdout().lock().write_all(&page)?;
    Ok(Code::Ok)
}

/// What stands behind the options of a command, such as examples: titles, each with its lines.
fn parts(command: &Command) -> Vec<(String, Vec<String>)> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let part = |part: &str| {
        let (title, lines) = part.split_once(":\n")?;
        let lines = lines.lines().map(|line| line.strip_prefix("  ").unwrap_or(line).to_owned());
        Some((title.to_owned(), lines.collect()))
    };
    help.split("\n\n").filter_map(part).collect()
}
