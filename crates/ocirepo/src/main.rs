//! `ocirepo`: many container images in one plain OCI image layout directory.
//!
//! This crate is the command line and nothing else: it parses words, calls the libraries, renders
//! what they return and chooses an exit code. Results go to stdout, everything else to stderr.

#![forbid(unsafe_code)]

mod commands;
mod context;
mod exit;
mod hints;
mod interrupt;
mod logging;
mod options;
mod progress;
mod render;
mod terminal;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match options::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let context = context::Context::new(&cli.global, cli.command.verb());
    if let Err(error) = interrupt::catch(context.stop().clone(), cli.command.interrupted()) {
        tracing::debug!("signals are not caught: {error}");
    }
    let code = commands::run(&cli.command, &context).unwrap_or_else(|error| exit::report(&error, &context));
    interrupt::wait_if_ending();
    code.into()
}
