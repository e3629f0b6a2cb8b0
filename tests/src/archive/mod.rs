//! The archives that container tools write, member by member as each tool orders and names them.
//!
//! Every writer returns a [`Tarball`], so that a test can damage it before it takes the bytes. Names are written
//! as given: real docker shortens those of Docker Hub, podman writes them in full, so pass what the case needs.
//! [`crate::producers`] has one archive of each kind with what an importer must make of it.
//!
//! ```
//! use ocirepo_tests::{archive, compress::Compression, image::ImageSpec};
//!
//! let image = ImageSpec::seeded("a").build();
//! let tarball = archive::docker_save(&[(&image, &["docker.io/library/a:1"])]);
//! let packed = Compression::Gzip.pack(&tarball.to_bytes());
//! assert!(packed.starts_with(&[0x1f, 0x8b]));
//! ```

mod airgap;
mod bazel;
mod containerd;
mod crane;
mod dir;
mod docker;
mod docker25;
mod foreign;
mod jib;
mod nix;
mod oci;
mod regctl;
mod v1;

pub use airgap::{HaulerEntry, hauler_store, helm_chart, zarf_package};
pub use bazel::{rules_docker, rules_oci, rules_oci_docker};
pub use containerd::{buildx_docker, buildx_oci, ctr_export, ctr_export_of, with_attestation};
pub use crane::{crane_legacy, crane_pull};
pub use dir::{dir_of_image, dir_of_index};
pub use docker::{docker_save, podman_save};
pub use docker25::{docker25_0_save, docker25_save, docker25_save_by_digest, docker25_save_untagged};
pub use foreign::{docker_export, imgpkg, lz4, registry_storage, zip};
pub use jib::{jib_docker, jib_oci};
pub use nix::{nix_build_image, nix_stream_layered_image};
pub use oci::{Naming, oci_archive, oci_archive_of};
pub use regctl::regctl_export;
pub use v1::{V1Archive, docker_v1_save};

use serde_json::{Map, Value, json};

use crate::descriptor::split_reference;
use crate::image::Image;
use crate::tarball::Tarball;

/// An image and the references under which it is saved; none if it is untagged.
pub type Item<'a> = (&'a Image, &'a [&'a str]);

/// One item of docker's `manifest.json`; no names become `null`, as docker writes them.
fn manifest_item(config: String, names: &[&str], layers: Vec<String>) -> Value {
    let names = if names.is_empty() { Value::Null } else { json!(names) };
    json!({"Config": config, "RepoTags": names, "Layers": layers})
}

/// docker's `repositories`: repository, then tag, then the ID of the top layer.
fn repositories<N: IntoIterator<Item: AsRef<str>>>(tops: impl IntoIterator<Item = (N, String)>) -> Value {
    let mut repositories = Map::new();
    for (names, top) in tops {
        for name in names {
            let (repository, tag) = split_reference(name.as_ref());
            let tags = repositories.entry(repository).or_insert_with(|| json!({}));
            tags[tag] = top.clone().into();
        }
    }
    repositories.into()
}
