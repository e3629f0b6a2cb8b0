//! Where an archive goes: a file that appears whole or not at all, or standard output.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use ocirepo_store::{Algorithm, Hasher, OutputFile, Progress};
use ocirepo_transfer::{Encoding, Export};

/// What was written.
#[derive(Debug)]
pub(super) struct Written {
    /// Its size in bytes.
    pub(super) bytes: u64,
    /// The checksum of all of it in hex, if it was asked for.
    pub(super) sha256: Option<String>,
}

/// Writes an archive, and its checksum beside it if `sums` is set.
pub(super) fn write(
    export: &Export<'_>,
    path: &Path,
    compress: Option<Encoding>,
    sums: bool,
    progress: &dyn Progress,
) -> Result<Written> {
    let label = path.display().to_string();
    if path.as_os_str() == "-" {
        // What is binary has no lines to wait for, as the usual handle does.
        let stdout = io::stdout().as_fd().try_clone_to_owned().context("cannot write standard output")?;
        let mut out = Counting::new(File::from(stdout), sums);
        export.write(&mut out, compress, "standard output", progress)?;
        return Ok(out.finish().1);
    }
    let mut out = Counting::new(OutputFile::create(path)?, sums);
    export.write(&mut out, compress, &label, progress)?;
    let (file, written) = out.finish();
    file.commit()?;
    if let Some(sum) = &written.sha256 {
        let beside = sums_path(path);
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let mut file = OutputFile::create(&beside)?;
        // As sha256sum marks names that a line cannot hold as they are.
        let is_odd = name.contains(['\\', '\n', '\r']);
        let (mark, name) = match is_odd {
            true => ("\\", name.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")),
            false => ("", name.into_owned()),
        };
        writeln!(file, "{mark}{sum}  {name}")
            .with_context(|| format!("cannot write {}", beside.display()))?;
        file.commit()?;
    }
    Ok(written)
}

/// `images.tar` has its checksum in `images.tar.sha256`.
fn sums_path(path: &Path) -> std::path::PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(".sha256");
    name.into()
}

/// Counts what is written, and hashes it where that is asked for: it takes time.
struct Counting<W> {
    inner: W,
    hasher: Option<Hasher>,
    bytes: u64,
}

impl<W: Write> Counting<W> {
    fn new(inner: W, sums: bool) -> Self {
        Self { inner, hasher: sums.then(|| Hasher::new(Algorithm::Sha256)), bytes: 0 }
    }

    fn finish(self) -> (W, Written) {
        let sha256 = self.hasher.map(|hasher| hasher.finish().encoded().to_owned());
        (self.inner, Written { bytes: self.bytes, sha256 })
    }
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&bytes[..written]);
        }
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
