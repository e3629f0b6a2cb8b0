//! How far the work is: the library tells, the program shows.

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Things, such as blobs.
    Items,
}

/// Told about long work as it goes on, from any thread.
pub trait Progress: Sync {
    /// A task begins; `total` is how much there is to do, when that is known.
    fn begin(&self, task: &str, unit: Unit, total: Option<u64>);
    /// So much more of the current task is done.
    fn advance(&self, amount: u64);
    /// The current task has ended.
    fn end(&self);
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: Unit, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
}
