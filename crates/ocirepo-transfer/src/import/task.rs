//! A task that is shown while it lasts.

use ocirepo_store::{Progress, Unit};

/// Ends when dropped, so that an error ends it too.
pub(crate) struct Task<'p>(&'p dyn Progress);

impl<'p> Task<'p> {
    pub(crate) fn begin(progress: &'p dyn Progress, label: &str, unit: Unit, total: Option<u64>) -> Self {
        progress.begin(&format!("adding {label}"), unit, total);
        Self(progress)
    }
}

impl Drop for Task<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}
