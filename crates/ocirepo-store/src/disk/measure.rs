//! How much a directory holds.

use super::{Dir, Kind};
use crate::error::Result;

impl Dir {
    /// The sizes of all files in the directory `name` and below, in bytes; none if it is not there. Links are not
    /// followed, and what is removed meanwhile does not count.
    pub(crate) fn bytes_in(&self, name: &str) -> Result<u64> {
        let mut open: Vec<Self> = self.open_own_dir(name)?.into_iter().collect();
        let mut bytes = 0;
        while let Some(dir) = open.pop() {
            for found in dir.list()? {
                match found.kind {
                    Kind::Directory => open.extend(dir.open_own_dir(&found.name)?),
                    _ => bytes += dir.stat(&found.name)?.map_or(0, |stat| stat.size),
                }
            }
        }
        Ok(bytes)
    }
}
