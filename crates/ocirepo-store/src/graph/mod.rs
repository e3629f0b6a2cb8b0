//! The graph of descriptors: which documents name which blobs, from the roots down.
//!
//! [`Node`] parses one document; a walk follows all of them from a set of roots and gives a
//! [`Graph`] that knows every blob reached, in which roles, from where, and what was missing or
//! broken on the way. It decides nothing: what may be swept is for `gc`.

mod closure;
mod descriptor;
mod known;
mod load;
mod media_type;
mod node;
mod parents;
mod referrers;
mod rewrite;
mod unlisted;
mod walk;

pub use closure::{Closure, REFERENCE_DIGEST, closure};
pub use descriptor::{Descriptor, Platform};
pub use load::{Documents, Loaded, Wanted};
pub use media_type::{Class, is_image_config, is_nondistributable};
pub use node::{Edge, Link, MAX_MANIFEST_SIZE, Node, class_by_shape, own_media_type};
pub use referrers::{Referrer, Referrers};
pub use rewrite::{Replacement, with_layers};
pub(crate) use unlisted::Unlisted;
pub(crate) use walk::Walk;
pub use walk::{Ancestry, Blob, BlobId, Fault, Graph, Root, walk};
