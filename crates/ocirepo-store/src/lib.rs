//! An OCI image layout directory as a **repository** of many container images.
//!
//! ```text
//! oci-layout  index.json  blobs/<algorithm>/<encoded>   the image layout, as the image-spec has it
//! .ocirepo/config.json                                  ref policy, format version
//! .ocirepo/gate, lock, index.lock                       locks; never renamed, never deleted
//! .ocirepo/last-index                                   which index.json files were ours
//! .ocirepo/index.prev                                   the index.json before the last change
//! .ocirepo/tmp/<session>/                               staging of running ingests
//! .ocirepo/pending/<bundle>/                            what came of bundles that are not complete
//! .ocirepo/cache/layers                                 which blob unpacks to which diffID
//! ```
//!
//! # What it promises
//! | promise | kept by |
//! |---|---|
//! | index.json is edited losslessly, and a bad one is never "empty" | [`index`] |
//! | blobs are durable before the index that names them | [`ingest`], `index::commit` |
//! | parallel writers keep every reference, and a sweep waits for all of them | [`lock`] |
//! | tools that ignore our locks are noticed before their work is overwritten | `index::commit` |
//! | only what no root needs is swept, and nothing when in doubt | [`gc`] |
//! | what is known of layers was proven, and can be forgotten | [`layers`] |
//! | a bundle that comes in volumes loses none, and comes in whole | [`pending`] |
//! | what is damaged is found, with the images it breaks | [`verify`] |
//! | what a removal would free is known before it | [`usage`] |
//! | names are exact, and survive a change of policy | [`name`] |
//!
//! # Example
//! ```
//! use ocirepo_store::index::edit::Put;
//! use ocirepo_store::index::Entry;
//! use ocirepo_store::name::Name;
//! use ocirepo_store::{InitOptions, Repository, Settings};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! let (repository, _) = Repository::init(dir.path(), InitOptions::default(), Settings::default())?;
//! let lock = repository.lock_shared()?;
//! let ingest = lock.ingest()?;
//! let manifest = br#"{"schemaVersion":2,"layers":[]}"#;
//! let digest = ingest.put_bytes(manifest)?;
//! let media_type = "application/vnd.oci.image.manifest.v1+json";
//! let entry = Entry::for_descriptor(media_type, &digest, manifest.len() as u64, None);
//! ingest.commit(&[Put { entry, name: Some(Name::parse("alpine:3.11")?), replace: false }])?;
//!
//! let index = repository.index()?;
//! assert_eq!(index.entries()[0].image_name(), Some("docker.io/library/alpine:3.11"));
//! # Ok(())
//! # }
//! ```
//!
//! This crate knows no archive format, prints nothing, and reads neither the environment nor a
//! configuration of its user. Its errors name paths and digests; see [`Error`]. All sizes are in bytes.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod blob;
pub mod digest;
mod disk;
mod error;
pub mod gc;
pub mod graph;
mod hashing;
pub mod image;
pub mod index;
pub mod ingest;
mod inventory;
pub mod layers;
pub mod lock;
pub mod name;
mod naming;
#[doc(hidden)]
pub mod parallel;
pub mod pending;
mod progress;
pub mod remove;
mod repository;
mod sabotage;
mod stop;
pub mod usage;
pub mod verify;

pub use digest::{Algorithm, Digest, Hasher};
pub use disk::{OutputFile, SealedFile};
pub use error::{Error, ErrorKind, Result};
pub use hashing::PipelinedHasher;
pub use lock::Waiting;
pub use naming::{Converted, Tagged, rehearse_set_policy, rehearse_tag, set_policy, tag};
pub use progress::{Item, Progress, Silent, Unit};
pub use repository::{InitOptions, Initialised, OCI_LAYOUT_CONTENT, Repository, Scratch, Settings};
pub use stop::{Hold, Stop, Stopped};
