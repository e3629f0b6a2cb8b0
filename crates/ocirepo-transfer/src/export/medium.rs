//! What an archive is written to.

use std::fs::File;
use std::io::{self, PipeWriter, Seek, SeekFrom, Write};

use ocirepo_store::OutputFile;

/// What an archive is written to: mostly from its beginning to its end.
pub trait Medium: Write + Send {
    /// Whether [`Medium::go_to`] can be used.
    fn can_go_back(&self) -> bool {
        false
    }

    /// Goes to a place, counted in bytes from the beginning of the archive, where the next bytes are to
    /// be written; it is never behind the end.
    ///
    /// # Errors
    /// When that cannot be done.
    fn go_to(&mut self, _offset: u64) -> io::Result<()> {
        Err(io::ErrorKind::NotSeekable.into())
    }
}

impl Medium for OutputFile {
    fn can_go_back(&self) -> bool {
        self.is_new_file()
    }

    fn go_to(&mut self, offset: u64) -> io::Result<()> {
        self.as_file().seek(SeekFrom::Start(offset)).map(|_| ())
    }
}

/// An open file may have begun before the archive does.
impl Medium for File {}

impl Medium for PipeWriter {}
