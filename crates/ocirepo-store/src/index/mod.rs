//! index.json: read leniently entry by entry, edited losslessly, replaced atomically.
//!
//! - [`Document`] is the file as a document that keeps what it does not understand.
//! - [`Entry`] is one descriptor in it; every entry is a root.
//! - `edit` are the pure edits: put a name, take entries out.
//! - `commit` is the one way onto the disk, under `index.lock`.

pub(crate) mod commit;
mod document;
pub mod edit;
mod entry;
pub(crate) mod json;
mod merge;
pub(crate) mod place;

pub use document::{Document, MAX_INDEX_SIZE};
pub use entry::{Entry, IMAGE_NAME, REF_NAME};
pub use json::check as check_json;
