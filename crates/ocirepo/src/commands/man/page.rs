//! Manual pages, from the words of the command line. Examples stand in them line by line, as `--help` has them.

use std::fs;
use std::io;
use std::path::Path;

use clap::Command;
use clap::builder::Resettable;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::parts;

/// The page of a command that was built.
pub(super) fn page(command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    // The examples come line by line below.
    let man = Man::new(command.clone().after_help(Resettable::Reset));
    let man = man.source(format!("ocirepo {}", env!("CARGO_PKG_VERSION")));
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    // As --help has it: a list of all options without what they take tells nobody how to call the verb.
    let usage = command.clone().render_usage().to_string();
    let usage = roman(usage.trim_start_matches("Usage: ").trim());
    Roff::new().control("SH", ["SYNOPSIS"]).text([usage]).to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    for (title, lines) in parts(command) {
        let mut roff = Roff::new();
        roff.control("SH", [title.to_uppercase().as_str()]).control("nf", []);
        for line in lines {
            roff.text([roman(line)]);
        }
        roff.control("fi", []).to_writer(&mut page)?;
    }
    Ok(page)
}

/// Writes the page of a command that was built, and those of all commands in it.
pub(super) fn write_all(command: &Command, directory: &Path) -> io::Result<()> {
    for nested in command.get_subcommands() {
        write_all(nested, directory)?;
    }
    fs::write(directory.join(Man::new(command.clone()).get_filename()), page(command)?)
}
