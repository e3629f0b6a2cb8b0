//! Image archives into and out of a repository.
//!
//! This crate knows the formats: what `docker save`, `podman save`, `skopeo copy`, `crane pull`,
//! `ctr images export` and their kin write. How a repository lies on disk is the business of
//! `ocirepo-store`, through whose ingest everything here goes.
//!
//! | module | what it knows |
//! |---|---|
//! | `source` | what the input is: file, directory or stream, and its outer compression |
//! | `archive` | members by name, whether they lie in a directory, a tar file or a spooled stream |
//! | `import` | what the members mean: OCI layouts, docker archives, and both in one |
//! | `export` | what is written: hybrids, OCI and docker archives, volumes, copies of a repository |
//! | `repair` | nothing of its own: it takes from all of these what a repository has lost |
//! | `bundle` | the table of contents of what is written, inventories, and what differs |
//! | `moby` | how docker made IDs, before 1.10 and for those who still read that |
//! | `compress` | encoders whose output does not depend on the machine |
//!
//! A further input format is a module beside `import::docker` that turns members into roots; a
//! further output format is one beside `export::docker` that turns images into members.
//!
//! # What it promises
//! - One source is all or nothing: what fails leaves the repository as it was.
//! - Every blob is proven, by size and then by digest, before it is part of anything.
//! - A file and the same bytes as a stream give the same result.
//! - Memory stays flat however large a layer is.
//! - Names inside an archive never become paths, and links are followed in a table only.
//!
//! All sizes are in bytes, and volumes and parts are counted from 1.
//!
//! # Example
//! ```no_run
//! use ocirepo_store::{Repository, Settings, Silent};
//! use ocirepo_transfer::{ImportOptions, Source, import};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let repository = Repository::open("images".as_ref(), Settings::default())?;
//! let lock = repository.lock_shared()?;
//! let imported = import(lock.ingest()?, &Source::parse("alpine.tar"), &ImportOptions::default(), &Silent)?;
//! for image in imported.images {
//!     println!("{} {}", image.digest, image.reference.unwrap_or_default());
//! }
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod archive;
mod bundle;
mod compress;
mod error;
mod export;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod import;
mod moby;
mod peek;
mod repair;
mod source;

pub use bundle::{
    Difference, Have, Holdings, ImageChanges, Moved, Part, Required, Toc, TocBlob, TocImage, diff,
    write_inventory,
};
pub use compress::{Encoding, GzipLevel, InvalidEncoding, ZstdLevel};
pub use error::{Error, Result};
pub use export::{
    ArchiveType, Copied, CopyOptions, CopyPlan, Export, ExportOptions, ExportedImage, LayerForm, Medium,
    plan_copy, plan_export,
};
pub use import::{
    ImportOptions, Imported, ImportedImage, InvalidLayers, InvalidPlatform, Layers, PendingVolumes,
    PlatformPattern, Select, Untagged, WaitingBundle, complete_waiting, find_waiting, import, import_stream,
    waiting_bundles,
};
pub use peek::{PeekOptions, Peeked, PeekedVolume, peek, verify_source};
pub use repair::{Healed, Repaired, repair};
pub use source::Source;
