//! Writes the archive that a file of `docker_import` means to standard output, to be looked at with
//! `tar -tv` or added with `ocirepo add`.

use std::io::{self, Write as _};

fn main() -> io::Result<()> {
    let path = std::env::args_os().nth(1).ok_or_else(|| io::Error::other("give the file of an input"))?;
    io::stdout().write_all(&ocirepo_fuzz::archive(&std::fs::read(path)?))
}
