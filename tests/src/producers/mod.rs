//! One archive of each kind that people have, and what an importer must make of it.
//!
//! The digests are computed here, from the images the archives are made of, and never by ocirepo.

mod build;
mod containerd;
mod docker;
mod field;
mod registry;
mod sample;

pub use build::*;
pub use containerd::*;
pub use docker::*;
pub use field::*;
pub use registry::*;
pub use sample::{Sample, Way};

use crate::compress::Compression;
use crate::image::{Flavor, Image, ImageSpec};
use crate::tarball::Tarball;

/// An image as a build leaves it: two raw layers, the first of them shared by all.
fn built(seed: &str) -> Image {
    ImageSpec::seeded(seed).run("Cmd", serde_json::json!(["/app"])).build()
}

/// An image as a registry has it: docker's types, gzip layers.
fn pulled(seed: &str) -> Image {
    ImageSpec::seeded(seed).packed(Compression::Gzip).flavor(Flavor::Docker).build()
}

/// An image of OCI types and gzip layers for a platform.
fn pulled_oci(seed: &str, platform: &str) -> Image {
    ImageSpec::seeded(seed).packed(Compression::Gzip).platform(platform).build()
}

/// An image that has one layer in two places.
fn with_a_layer_twice(compression: Compression) -> Image {
    let twice = Tarball::new().file("twice", "x");
    let between = Tarball::new().file("between", "y");
    ImageSpec::new().layer(twice.clone()).layer(between).layer(twice).packed(compression).build()
}
