//! `ocirepo completion`

use std::io::{self, Write as _};

use anyhow::Result;
use clap::{CommandFactory as _, ValueEnum};
use clap_complete::Shell as Known;

use crate::exit::Code;
use crate::options::Cli;

/// Print what a shell needs to complete verbs and options
///
/// The script is made from the same words as --help, so make it again after an update.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ocirepo completion bash > /etc/bash_completion.d/ocirepo
  ocirepo completion zsh > /usr/local/share/zsh/site-functions/_ocirepo
  ocirepo completion fish > ~/.config/fish/completions/ocirepo.fish")]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// The shells for which CI sees whether the scripts are good.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub(crate) fn run(args: &Args) -> Result<Code> {
    let shell = match args.shell {
        Shell::Bash => Known::Bash,
        Shell::Zsh => Known::Zsh,
        Shell::Fish => Known::Fish,
    };
    // Into memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ocirepo", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(Code::Ok)
}
