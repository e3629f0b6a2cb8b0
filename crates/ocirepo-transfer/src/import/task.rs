//! A task that is shown while it lasts.

use std::io::{self, Read};

use ocirepo_store::{Progress, Unit};

/// Ends when dropped, so that an error ends it too.
pub(crate) struct Task<'p>(&'p dyn Progress);

impl<'p> Task<'p> {
    pub(crate) fn begin(progress: &'p dyn Progress, label: &str, unit: Unit, total: Option<u64>) -> Self {
        progress.begin(&format!("adding {label}"), unit, total);
        Self(progress)
    }

    /// What was brought in is made durable: the disk may have taken it faster than it writes.
    pub(crate) fn syncing(progress: &'p dyn Progress, label: &str) -> Self {
        progress.begin(&format!("adding {label}, syncing"), Unit::Items, None);
        Self(progress)
    }

    /// A source that has to be read to its end before anything is known about it.
    pub(crate) fn reading(progress: &'p dyn Progress, label: &str, total: Option<u64>) -> Self {
        progress.begin(&format!("reading {label}"), Unit::Bytes, total);
        Self(progress)
    }
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Tells how much of a stream was read: as it is, because nobody knows how much is packed in it.
pub(crate) struct Counted<'p, R> {
    pub(crate) stream: R,
    pub(crate) progress: &'p dyn Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.progress.advance(read as u64);
        Ok(read)
    }
}
