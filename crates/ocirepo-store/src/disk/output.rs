//! A file outside the repository that appears whole or not at all: what an export writes.

use std::fs::{File, FileType};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

use super::{Dir, Syncer};
use crate::error::{Error, Result};
use crate::stop::{Stop, Temporary};

/// A file that is being written beside the place where it will be.
///
/// Until [`OutputFile::commit`] it has a hidden name of its own in the same directory, and goes when
/// it is dropped; what stood under its path before stays until then. Fifos, devices and standard
/// output are written as they are: there is nothing to put in their place.
#[derive(Debug)]
#[must_use = "the file goes when this is dropped before `commit`"]
pub struct OutputFile {
    path: PathBuf,
    to: To,
    /// How much was written, in bytes.
    written: u64,
    syncer: Syncer,
    stopping: Option<Temporary>,
}

#[derive(Debug)]
enum To {
    /// A new file, to be moved to the path, which leads through no link in its last part.
    File(NamedTempFile, PathBuf),
    /// Something that is written as it is.
    Direct(File),
}

impl OutputFile {
    /// Begins a file that is to be at `path`. A link there is followed, and stays.
    ///
    /// # Errors
    /// When no file can be made beside it, and when something else than a file is there, such as a
    /// directory.
    pub fn create(path: &Path) -> Result<Self> {
        let fail = |error| Error::io("write", path, error);
        let to = match std::fs::metadata(path) {
            Ok(metadata) if is_direct(path, metadata.file_type()) => {
                let file = open(path).map_err(fail)?;
                // By now something else may have the name.
                if !is_direct(path, file.metadata().map_err(fail)?.file_type()) {
                    return Err(fail(io::Error::other("it has just been replaced by another file")));
                }
                To::Direct(file)
            }
            Ok(metadata) if metadata.is_file() => {
                Self::beside(path, &std::fs::canonicalize(path).map_err(fail)?)?
            }
            Ok(metadata) if metadata.is_dir() => return Err(fail(io::ErrorKind::IsADirectory.into())),
            Ok(_) => return Err(fail(io::Error::other("it is not a regular file"))),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
            Err(_) if path.is_symlink() => {
                return Err(fail(io::Error::other("it is a link that leads to nothing")));
            }
            Err(_) => Self::beside(path, path)?,
        };
        Ok(Self { path: path.to_owned(), to, written: 0, syncer: Syncer::new(), stopping: None })
    }

    fn beside(path: &Path, target: &Path) -> Result<To> {
        let fail = |error| Error::io("create", path, error);
        let name = target.file_name().ok_or_else(|| fail(io::ErrorKind::InvalidFilename.into()))?;
        // File names end at 255 bytes, and a character may be several.
        let name: String = name.to_string_lossy().chars().take(50).collect();
        let file = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            // Opened here, because errors of tempfile have lost what the system said.
            .make_in(parent(target), |path| {
                File::options().read(true).write(true).create_new(true).mode(0o666).open(path)
            })
            .map_err(fail)?;
        Ok(To::File(file, target.to_owned()))
    }

    /// Has the hidden file removed when the program is stopped.
    pub fn removed_by(self, stop: &Stop) -> Self {
        let stopping = match &self.to {
            To::File(file, _) => Some(stop.removes(file.path())),
            To::Direct(_) => None,
        };
        Self { stopping, ..self }
    }

    /// The path that was asked for.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is a new file, all of which is written through this: no fifo, device or open file.
    #[must_use]
    pub fn is_new_file(&self) -> bool {
        matches!(self.to, To::File(..))
    }

    /// What is written to: the hidden file, or the device.
    #[must_use]
    pub fn as_file(&self) -> &File {
        match &self.to {
            To::File(file, _) => file.as_file(),
            To::Direct(file) => file,
        }
    }

    fn grow(&mut self, length: usize) {
        let before = self.written;
        self.written += length as u64;
        if let To::File(file, _) = &self.to {
            self.syncer.grows(file.as_file(), || self.path.clone(), before, self.written);
        }
    }

    /// [`OutputFile::seal`] and [`SealedFile::commit`].
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn commit(self) -> Result<()> {
        self.seal()?.commit()
    }

    /// Makes the content durable and closes the file, which still is not at its path.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn seal(self) -> Result<SealedFile> {
        let Self { path, to, syncer, stopping, .. } = self;
        match to {
            To::Direct(file) => match file.sync_all() {
                // Neither fifos nor terminals can be synced; disks and tapes can.
                Err(error)
                    if !matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) =>
                {
                    Err(Error::io("sync", path, error))
                }
                _ => Ok(SealedFile { path, hidden: None, _stopping: None }),
            },
            To::File(file, target) => {
                syncer.wait()?;
                file.as_file().sync_all().map_err(|error| Error::io("sync", &path, error))?;
                let hidden = Some((file.into_temp_path(), target));
                Ok(SealedFile { path, hidden, _stopping: stopping })
            }
        }
    }
}

/// A file that is all there, and not at its path yet. Many of them cost no open files.
#[derive(Debug)]
#[must_use = "the file goes when this is dropped before `commit`"]
pub struct SealedFile {
    path: PathBuf,
    /// Where it is, and where it is to be; `None` for what was written as it stands.
    hidden: Option<(TempPath, PathBuf)>,
    _stopping: Option<Temporary>,
}

impl SealedFile {
    /// Puts the file at its path in one step and makes that durable.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn commit(self) -> Result<()> {
        let Some((file, target)) = self.hidden else { return Ok(()) };
        file.persist(&target).map_err(|error| Error::io("create", &self.path, error.error))?;
        let dir = parent(&target);
        Dir::open(dir).map_err(|error| Error::io("open", dir, error))?.sync()
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.as_file().write(bytes)?;
        self.grow(written);
        Ok(written)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.as_file().write_all(bytes)?;
        self.grow(bytes.len());
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.as_file().flush()
    }
}

/// Names of open files: what they lead to is written where it stands, even if it is a file.
const OPEN_FILES: [&str; 4] = [STDOUT, "/dev/stderr", "/dev/fd", "/proc/self/fd"];
const STDOUT: &str = "/dev/stdout";

fn is_direct(path: &Path, kind: FileType) -> bool {
    kind.is_fifo()
        || kind.is_char_device()
        || kind.is_block_device()
        || OPEN_FILES.iter().any(|name| path.starts_with(name))
}

fn open(path: &Path) -> io::Result<File> {
    if path == Path::new(STDOUT) {
        // Opened by its name, a file would be written from its beginning again.
        return io::stdout().as_fd().try_clone_to_owned().map(File::from);
    }
    File::options().append(true).open(path)
}

/// The directory that the last part of a path is a name in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
