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
    /// Work on a part of the task begins: a blob by its digest, or a member of an archive by its name.
    /// Several may be under way at once.
    fn begin_item(&self, _item: &str) {}
    /// Work on that part has ended.
    fn end_item(&self, _item: &str) {}
}

/// A part of a task that is shown while it lasts. It ends when dropped, so that an error ends it too.
#[must_use = "the part ends when this is dropped"]
pub struct Item<'p> {
    progress: &'p dyn Progress,
    item: &'p str,
}

impl<'p> Item<'p> {
    /// Begins it.
    pub fn begin(progress: &'p dyn Progress, item: &'p str) -> Self {
        progress.begin_item(item);
        Self { progress, item }
    }
}

impl Drop for Item<'_> {
    fn drop(&mut self) {
        self.progress.end_item(self.item);
    }
}

impl std::fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Item").field(&self.item).finish()
    }
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: Unit, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
}
