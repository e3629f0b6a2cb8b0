//! Bundles: what is exported as image layouts, with a table of contents.

mod toc;

pub(crate) use toc::TOC;
pub use toc::{Part, Required, Toc, TocBlob, TocImage};
