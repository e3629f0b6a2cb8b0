//! Bundles: what is exported as image layouts, with a table of contents.

mod diff;
mod have;
mod holdings;
mod inventory;
mod toc;

pub use diff::{Difference, ImageChanges, Moved, diff};
pub use have::Have;
pub use holdings::Holdings;
pub use inventory::write_inventory;
pub use toc::{Part, Required, Toc, TocBlob, TocImage};
pub(crate) use toc::{SUMS, TOC, VOLUME, part_name};
