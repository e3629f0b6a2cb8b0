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
    Man::new(command.clone().after_help(Resettable::Reset)).render(&mut page)?;
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
