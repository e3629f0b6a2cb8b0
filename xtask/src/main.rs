//! Every developer chore is one `cargo xtask …`: `cargo xtask --help` lists them.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "talking to the developer is what this program is for"
)]

mod bench;
mod ci;
mod demo;
mod deny;
mod docs;
mod fixtures;
mod fuzz;
mod instructions;
mod interop;
mod large;
mod shell;
mod test;
mod torture;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer chores of ocirepo.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Show the main job on a real image: init, add, ls, inspect, tag, rm, gc, verify
    Demo,
    /// Build everything and run every test
    Test(test::Arguments),
    /// Run what a change must pass before it is merged
    Ci,
    /// Build real images and write them as archives to target/fixtures
    Fixtures(fixtures::Arguments),
    // What it is for stands with its arguments.
    Bench(bench::Arguments),
    /// Hold the licences and the origin of all dependencies against deny.toml (needs cargo-deny)
    Deny(deny::Arguments),
    /// Bring the pages up to date: verbs and options, and what commands print
    Docs(docs::Arguments),
    /// Run the fuzz targets for a while (needs cargo-fuzz)
    Fuzz(fuzz::Arguments),
    /// Count the instructions of the main jobs, and hold them against limits (needs valgrind)
    Instructions(instructions::Arguments),
    /// Run the tests against other tools
    Interop(interop::Arguments),
    /// Put a layer of 10 GiB through every way in and measure the memory; needs 12 GB of free disk and some minutes
    Large(large::Arguments),
    /// Try to make ocirepo lose something: crashes, power loss, races, random sequences, damage
    Torture(torture::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Demo => demo::run(),
        Task::Test(arguments) => test::run(&arguments),
        Task::Ci => ci::run(),
        Task::Fixtures(arguments) => fixtures::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Deny(arguments) => deny::run(&arguments),
        Task::Docs(arguments) => docs::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Instructions(arguments) => instructions::run(&arguments),
        Task::Interop(arguments) => interop::run(&arguments),
        Task::Large(arguments) => large::run(&arguments),
        Task::Torture(arguments) => torture::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
