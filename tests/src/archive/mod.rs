//! The archives that container tools write, member by member as each tool orders and names them.
//!
//! Every writer returns a [`Tarball`], so that a test can damage it before it takes the bytes. Names are written
//! as given: real docker shortens those of Docker Hub, podman writes them in full, so pass what the case needs.
//!
//! ```
//! use ocirepo_tests::{archive, compress::Compression, image::ImageSpec};
//!
//! let image = ImageSpec::seeded("a").build();
//! let tarball = archive::docker_save(&[(&image, &["docker.io/library/a:1"])]);
//! let packed = Compression::Gzip.pack(&tarball.to_bytes());
//! assert!(packed.starts_with(&[0x1f, 0x8b]));
//! ```

mod docker;
mod oci;

pub use docker::{crane_pull, docker_save, docker_v1_save, podman_save};
pub use oci::{Naming, docker25_save, oci_archive, oci_archive_of};

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
fn repositories<'a>(tops: impl IntoIterator<Item = (&'a [&'a str], String)>) -> Value {
    let mut repositories = Map::new();
    for (names, top) in tops {
        for (repository, tag) in names.iter().map(|name| split_reference(name)) {
            let tags = repositories.entry(repository).or_insert_with(|| json!({}));
            tags[tag] = top.clone().into();
        }
    }
    repositories.into()
}
