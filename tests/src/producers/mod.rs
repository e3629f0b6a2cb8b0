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

/// Calls a macro with the names of all functions here that give a [`Sample`].
#[macro_export]
macro_rules! each_producer {
    ($callback:ident) => {
        $callback!(
            docker_v1,
            docker_v1_odd_layers,
            docker_save,
            docker_save_by_id,
            docker25,
            docker25_0,
            docker25_by_digest,
            docker25_untagged,
            podman_docker_archive,
            skopeo_docker_archive_untagged,
            oci_archive,
            oci_archive_by_tag,
            oci_archive_unnamed,
            oci_layout_in_a_folder,
            dir,
            dir_packed,
            dir_mislabelled,
            dir_of_index,
            crane,
            crane_mixed,
            crane_by_digest,
            crane_legacy,
            crane_oci,
            regctl,
            regctl_ocidir,
            jib_docker,
            jib_oci,
            nix_stream,
            nix_build,
            rules_docker,
            rules_docker_without_tag,
            rules_oci_docker,
            rules_oci,
            buildx_oci,
            buildx_oci_unnamed,
            buildx_oci_old,
            buildx_docker,
            buildx_docker_scratch,
            ctr_export,
            ctr_export_by_digest,
            ctr_export_index,
            ctr_export_sparse,
            k3s_airgap,
            hauler,
            hauler_for_containerd,
            zarf,
            zarf_old,
        );
    };
}
