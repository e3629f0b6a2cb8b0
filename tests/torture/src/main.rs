//! Proof that ocirepo loses nothing. `cargo xtask torture` builds this program and runs it on a built
//! ocirepo.
//!
//! Each phase tries what could lose something, and says how much it tried. The first loss ends the run:
//! what was lost, and how to see it again. What a promise is, and which phase watches over it, is in
//! docs/reliability.md.

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "talking to people is what this program is for"
)]

mod context;
mod crash;
mod damage;
mod model;
mod outcome;
mod power;
mod race;
mod scenario;
mod trace;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};

use crate::context::Context;
use crate::outcome::{Outcome, Tally};

/// Try to make ocirepo lose something.
#[derive(Debug, Parser)]
struct Arguments {
    /// The ocirepo to try
    #[arg(long, value_name = "FILE")]
    program: PathBuf,
    /// How long to go on, in seconds, all phases together
    #[arg(long, value_name = "N")]
    seconds: f64,
    /// Repeats the choices of an earlier run
    #[arg(long, value_name = "N")]
    seed: u64,
    /// The phases to run, in this order; all of them if none is named
    #[arg(value_name = "PHASE")]
    phases: Vec<Phase>,
}

/// A way of trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Phase {
    /// One kind of file after the other is damaged
    Damage,
    /// A kill or an error at every system call
    Crash,
    /// What a disk may hold after the power failed
    Power,
    /// Random sequences against a model
    Model,
    /// Many processes at once
    Race,
}

impl Phase {
    /// In how many parts of a hundred of the time this phase has to be done when all run.
    const fn share(self) -> u32 {
        match self {
            Self::Damage => 10,
            Self::Crash => 30,
            Self::Power => 20,
            Self::Model => 15,
            Self::Race => 25,
        }
    }

    fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Damage => damage::run(context),
            Self::Crash => crash::run(context),
            Self::Power => power::run(context),
            Self::Model => model::run(context),
            Self::Race => race::run(context),
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let program = match arguments.program.canonicalize() {
        Ok(program) => program,
        Err(error) => {
            eprintln!("{}: {error}", arguments.program.display());
            return ExitCode::FAILURE;
        }
    };
    let phases =
        if arguments.phases.is_empty() { Phase::value_variants().to_vec() } else { arguments.phases.clone() };
    let whole: u32 = phases.iter().map(|phase| phase.share()).sum();
    println!("seed {}", arguments.seed);
    let mut all = Tally::default();
    for phase in phases {
        let budget = Duration::from_secs_f64(arguments.seconds.max(0.0)) * phase.share() / whole;
        let context = Context::new(&program, arguments.seed, budget);
        let name = format!("{phase:?}").to_lowercase();
        println!("\n==> {name}, up to {} s", budget.as_secs());
        let start = Instant::now();
        match phase.run(&context) {
            Ok(tally) => {
                println!("--> {name}: {tally}, {:.1} s", start.elapsed().as_secs_f64());
                all.add(&tally);
            }
            Err(loss) => {
                eprintln!("\nLOST ({name}): {loss:#}");
                eprintln!(
                    "seed {}; to see it again: cargo xtask torture --seed {} {name}",
                    arguments.seed, arguments.seed
                );
                return ExitCode::FAILURE;
            }
        }
    }
    println!("\nnothing lost: {all}; seed {}", arguments.seed);
    ExitCode::SUCCESS
}
