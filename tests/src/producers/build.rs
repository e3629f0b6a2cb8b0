//! Builders that write archives without a daemon: jib, Nix, Bazel, buildx.

use super::{Sample, built, pulled, pulled_oci, with_a_layer_twice};
use crate::archive;
use crate::compress::Compression;
use crate::descriptor::Blob;
use crate::image::{Flavor, ImageSpec};
use crate::tarball::Tarball;

const APP: &str = "registry.example/shop/app:1";

/// jib's docker tar, with a layer twice.
pub fn jib_docker() -> Sample {
    let app = with_a_layer_twice(Compression::Gzip);
    Sample::of(archive::jib_docker(&app, &[APP])).image(APP, app.repacked().digest())
}

/// jib's OCI tar, with a layer twice.
pub fn jib_oci() -> Sample {
    let app = with_a_layer_twice(Compression::Gzip);
    Sample::of(archive::jib_oci(&app, APP)).image(APP, app.digest())
}

/// Nix's streamLayeredImage: absolute names in the layers.
pub fn nix_stream() -> Sample {
    let store = Tarball::new().dir("/nix/").dir("/nix/store/").file("/nix/store/abc-hello/bin/hello", "x");
    let app = ImageSpec::seeded("app").layer(store).build();
    let tarball = archive::nix_stream_layered_image(&app, "app:1gxb5wd");
    Sample::of(tarball).image("docker.io/library/app:1gxb5wd", app.unpacked().digest())
}

/// Nix's buildImage.
pub fn nix_build() -> Sample {
    let app = built("app");
    let tarball = archive::nix_build_image(&app, "app:latest");
    Sample::of(tarball).image("docker.io/library/app:latest", app.unpacked().digest())
}

/// rules_docker.
pub fn rules_docker() -> Sample {
    let (app, other) = (built("app"), built("other"));
    Sample::of(archive::rules_docker(&[(&app, &["bazel/shop:app"]), (&other, &["bazel/shop:other"])]))
        .image("docker.io/bazel/shop:app", app.unpacked().digest())
        .image("docker.io/bazel/shop:other", other.unpacked().digest())
}

/// rules_docker with a name that lacks its tag.
pub fn rules_docker_without_tag() -> Sample {
    let app = built("app");
    Sample::of(archive::rules_docker(&[(&app, &["test_image_1"])]))
        .image("docker.io/library/test_image_1:latest", app.unpacked().digest())
        .warns("latest")
}

/// rules_oci in docker's format: a raw layer goes by `.tar.gz` as well.
pub fn rules_oci_docker() -> Sample {
    let file = |name: &str| Tarball::new().file(name, name);
    let app = ImageSpec::new().layer(file("raw")).gzip_layer(file("gzip")).build();
    Sample::of(archive::rules_oci_docker(&app, &[APP, "app:latest"]))
        .image(APP, app.repacked().digest())
        .image("docker.io/library/app:latest", app.repacked().digest())
}

/// rules_oci in its own format, under two names.
pub fn rules_oci() -> Sample {
    let app = pulled_oci("app", "linux/amd64");
    Sample::of(archive::rules_oci(&app, &[APP, "docker.io/library/app:latest"]))
        .image(APP, app.digest())
        .image("docker.io/library/app:latest", app.digest())
}

/// buildx type=oci: an index with an attestation, under two names.
pub fn buildx_oci() -> Sample {
    let app = pulled_oci("app", "linux/amd64");
    let (index, attestation) = archive::with_attestation(&app, "linux/amd64");
    let blobs: Vec<&Blob> = app.blobs().chain(attestation.blobs()).chain([&index]).collect();
    Sample::of(archive::buildx_oci(blobs, &index, &[APP, "docker.io/library/app:latest"], None))
        .image(APP, &index.digest)
        .image("docker.io/library/app:latest", &index.digest)
}

/// buildx type=oci without a name.
pub fn buildx_oci_unnamed() -> Sample {
    let app = pulled_oci("app", "linux/amd64");
    Sample::of(archive::buildx_oci(app.blobs(), &app.manifest, &[], None)).nameless(app.digest())
}

/// buildx type=oci of 2021, whose `manifest.json` has no names: still one image of one name.
pub fn buildx_oci_old() -> Sample {
    let app = pulled_oci("app", "linux/amd64");
    Sample::of(archive::buildx_oci(app.blobs(), &app.manifest, &[APP], Some(&app))).image(APP, app.digest())
}

/// buildx type=docker.
pub fn buildx_docker() -> Sample {
    let app = pulled("app");
    Sample::of(archive::buildx_docker(&app, &[APP])).image(APP, app.digest())
}

/// buildx type=docker from nothing: no layers at all.
pub fn buildx_docker_scratch() -> Sample {
    let app = ImageSpec::new().flavor(Flavor::Docker).build();
    Sample::of(archive::buildx_docker(&app, &[APP])).image(APP, app.digest())
}
