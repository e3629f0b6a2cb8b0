//! `cargo xtask bench`: synthetic repositories and measurements. Every figure stands beside a peer and beside the
//! least work that could be done, in the same run.

mod bare;
mod export;
mod gc;
mod measure;
mod report;
mod store;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};

/// Generate large repositories and measure.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write a synthetic image layout
    GenStore {
        #[command(flatten)]
        shape: store::Shape,
        /// Where; must not exist
        directory: PathBuf,
    },
    /// Measure garbage collection
    Gc(gc::Arguments),
    /// Measure export
    Export(export::Arguments),
    /// The yardstick of `gc`: mark and sweep without locks, checks or fsync
    #[command(hide = true)]
    BareGc { directory: PathBuf },
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.what {
        What::GenStore { shape, directory } => {
            let summary = store::generate(shape, directory)?;
            println!("{}: {summary}", directory.display());
            Ok(())
        }
        What::Gc(arguments) => gc::run(arguments),
        What::Export(arguments) => export::run(arguments),
        What::BareGc { directory } => bare::gc(directory),
    }
}
