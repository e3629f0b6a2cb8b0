//! Where an archive goes: files that appear whole or not at all, or standard output.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ocirepo_store::{Algorithm, OutputFile, PipelinedHasher, Progress, SealedFile, Stop, Unit};
use ocirepo_transfer::{Encoding, Error, Export, Medium};

/// A file that was written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) path: PathBuf,
    /// Its size in bytes.
    pub(super) bytes: u64,
    /// The checksum of all of it in hex, if it was asked for.
    pub(super) sha256: Option<String>,
}

/// How to write.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output<'a> {
    pub(super) path: &'a Path,
    pub(super) compress: Option<Encoding>,
    pub(super) sums: bool,
    /// Whether there may be several files.
    pub(super) is_split: bool,
}

/// Writes an archive, and its checksum beside it.
pub(super) fn write(
    export: &Export<'_>,
    output: &Output<'_>,
    progress: &dyn Progress,
    stop: &Stop,
) -> Result<Vec<Written>> {
    if is_stdout(output.path) {
        return write_stdout(export, output, progress);
    }
    // All files get their names at the end, so that a failure leaves none of them.
    let mut files: Vec<(SealedFile, Written)> = Vec::new();
    export.write(
        output.compress,
        progress,
        &mut |number| {
            let path = output.file(number);
            let label = path.display().to_string();
            let file = OutputFile::create(&path)?.removed_by(stop);
            Ok((Counting::new(file, output.sums), label))
        },
        &mut |number, out| -> Result<()> {
            let (file, bytes, sha256) = out.finish();
            let path = output.file(number);
            progress.begin(&format!("writing {}, syncing", path.display()), Unit::Items, None);
            let sealed = file.seal();
            progress.end();
            files.push((sealed?, Written { path, bytes, sha256 }));
            Ok(())
        },
    )?;
    let (files, written): (Vec<SealedFile>, Vec<Written>) = files.into_iter().unzip();
    let sums = if output.sums { Some(sums_of(&written, &output.sums_path(), stop)?.seal()?) } else { None };
    // All of them get their names, or none.
    let _hold = stop.hold();
    stop.note_change();
    for file in files.into_iter().chain(sums) {
        file.commit()?;
    }
    Ok(written)
}

/// Whether standard output is meant, by whatever name.
pub(super) fn is_stdout(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].iter().any(|name| path == Path::new(name))
}

fn write_stdout(export: &Export<'_>, output: &Output<'_>, progress: &dyn Progress) -> Result<Vec<Written>> {
    // What is binary has no lines to wait for, as the usual handle does.
    let stdout = io::stdout().as_fd().try_clone_to_owned().context("cannot write standard output")?;
    let mut stdout = Some(File::from(stdout));
    let mut written = Vec::new();
    export.write(
        output.compress,
        progress,
        &mut |_| -> Result<_> {
            let stdout = stdout.take().context("standard output takes one archive")?;
            Ok((Counting::new(stdout, false), "standard output".to_owned()))
        },
        &mut |_, out| {
            let (file, bytes, sha256) = out.finish();
            // Pipes cannot be synced; a file behind a redirection can.
            if let Err(error) = file.sync_all()
                && !matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
            {
                return Err(anyhow::Error::new(error).context("cannot write standard output"));
            }
            written.push(Written { path: output.path.to_owned(), bytes, sha256 });
            Ok(())
        },
    )?;
    Ok(written)
}

/// A file of checksums, as sha256sum writes it, that has not got its name yet.
fn sums_of(written: &[Written], path: &Path, stop: &Stop) -> Result<OutputFile> {
    let mut file = OutputFile::create(path)?.removed_by(stop);
    for Written { path: named, sha256, .. } in written {
        let Some(sum) = sha256 else { continue };
        let name = named.file_name().unwrap_or(named.as_os_str()).to_string_lossy();
        // sha256sum marks lines with names that cannot stand in one as they are.
        let (mark, name) = match name.contains(['\\', '\n', '\r']) {
            true => ("\\", name.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")),
            false => ("", name.into_owned()),
        };
        let refused = |source| Error::Write { output: path.display().to_string(), source };
        writeln!(file, "{mark}{sum}  {name}").map_err(refused)?;
    }
    Ok(file)
}

impl Output<'_> {
    /// `b.tar` is split into `b.001.tar`, `b.002.tar` and so on.
    pub(super) fn file(&self, number: u32) -> PathBuf {
        if !self.is_split {
            return self.path.to_owned();
        }
        let mut name = OsString::from(self.path.file_stem().unwrap_or_default());
        name.push(format!(".{number:03}"));
        if let Some(extension) = self.path.extension() {
            name.push(".");
            name.push(extension);
        }
        self.path.with_file_name(name)
    }

    /// `images.tar` has its checksum in `images.tar.sha256`; the volumes of `b.tar` have theirs in
    /// `b.sha256`, so that `b.*tar*` means the volumes alone.
    pub(super) fn sums_path(&self) -> PathBuf {
        if self.is_split {
            return self.path.with_extension("sha256");
        }
        let mut name = OsString::from(self.path.as_os_str());
        name.push(".sha256");
        name.into()
    }
}

/// Knows how far what is written goes, and hashes it where that is asked for: it takes time.
struct Counting<W> {
    inner: W,
    hasher: Option<PipelinedHasher>,
    bytes: u64,
}

impl<W: Write> Counting<W> {
    fn new(inner: W, sums: bool) -> Self {
        Self { inner, hasher: sums.then(|| PipelinedHasher::new(Algorithm::Sha256)), bytes: 0 }
    }

    fn finish(self) -> (W, u64, Option<String>) {
        let sha256 = self.hasher.map(|hasher| hasher.finish().encoded().to_owned());
        (self.inner, self.bytes, sha256)
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

impl<W: Medium> Medium for Counting<W> {
    fn can_go_back(&self) -> bool {
        // A checksum takes bytes in their order.
        self.hasher.is_none() && self.inner.can_go_back()
    }

    fn go_to(&mut self, offset: u64) -> io::Result<()> {
        self.inner.go_to(offset)?;
        self.bytes = offset;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_numbered_before_the_extension() {
        let output = |path, is_split| Output { path, compress: None, sums: false, is_split };
        let split = output(Path::new("/media/b.tar"), true);
        assert_eq!(split.file(1), Path::new("/media/b.001.tar"));
        assert_eq!(split.file(1000), Path::new("/media/b.1000.tar"));
        assert_eq!(split.sums_path(), Path::new("/media/b.sha256"));
        assert_eq!(output(Path::new("b"), true).file(2), Path::new("b.002"));
        let whole = output(Path::new("b.tar"), false);
        assert_eq!((whole.file(1), whole.sums_path()), ("b.tar".into(), "b.tar.sha256".into()));
    }
}
