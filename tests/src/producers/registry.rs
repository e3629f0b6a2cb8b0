//! What is copied out of registries: OCI archives, `dir:` folders, crane's tarballs, regctl's exports.

use super::{Sample, built, pulled, pulled_oci};
use crate::archive;
use crate::artifact::index_of;
use crate::compress::Compression;
use crate::descriptor::ref_named;
use crate::image::{Image, ImageSpec};
use crate::tarball::Tarball;

const APP: &str = "registry.example/shop/app:1";

/// podman's and skopeo's OCI archive under a full name; modes with the bits of the type in them.
pub fn oci_archive() -> Sample {
    let app = pulled_oci("app", "linux/amd64");
    let mut tarball = archive::oci_archive(&[(&app, &[APP])], ref_named);
    for member in &mut tarball.members {
        member.mode |= if member.name.ends_with('/') { 0o040_000 } else { 0o100_000 };
    }
    Sample::of(tarball).image(APP, app.digest())
}

/// An OCI archive of several images by tag alone, as `skopeo copy … oci-archive:FILE:TAG` and umoci name them.
pub fn oci_archive_by_tag() -> Sample {
    let (app, other) = (pulled_oci("app", "linux/amd64"), built("other"));
    Sample::of(archive::oci_archive(&[(&app, &["v1"]), (&other, &["v2"])], ref_named))
        .image("v1", app.digest())
        .image("v2", other.digest())
}

/// `podman save --format oci-archive` by ID.
pub fn oci_archive_unnamed() -> Sample {
    let app = pulled_oci("app", "linux/amd64");
    Sample::of(archive::oci_archive(&[(&app, &[])], ref_named)).nameless(app.digest())
}

/// A tar of a layout's folder, in that folder.
pub fn oci_layout_in_a_folder() -> Sample {
    let app = pulled_oci("app", "linux/amd64");
    let tarball = archive::oci_archive(&[(&app, &[APP])], ref_named).below("layout");
    Sample::of(tarball).image(APP, app.digest())
}

/// skopeo's `dir:`.
pub fn dir() -> Sample {
    let app = pulled("app");
    Sample::of(archive::dir_of_image(&app)).nameless(app.digest())
}

/// skopeo's `dir:` as `tar -c .` packs it.
pub fn dir_packed() -> Sample {
    let app = pulled("app");
    let tarball = archive::dir_of_image(&app).rename(|name| format!("./{name}"));
    let tarball = Tarball::new().dir("./").members.into_iter().chain(tarball.members).collect();
    Sample::of(tarball).nameless(app.digest())
}

/// skopeo's `dir:` from a docker archive: raw layers that the manifest calls gzip.
pub fn dir_mislabelled() -> Sample {
    let app = built("app").mislabelled();
    Sample::of(archive::dir_of_image(&app)).nameless(app.digest())
}

/// skopeo's `dir:` of all platforms.
pub fn dir_of_index() -> Sample {
    let (amd64, arm64) = (pulled_oci("app", "linux/amd64"), pulled_oci("app", "linux/arm64"));
    let index = index_of(&[(&amd64, "linux/amd64"), (&arm64, "linux/arm64")]);
    Sample::of(archive::dir_of_index(&index, &[&amd64, &arm64])).nameless(&index.digest)
}

/// `crane pull` of two images that share a layer: gzip as the registry has them, so the manifest is made anew.
pub fn crane() -> Sample {
    let (app, other) = (pulled("app"), pulled("other"));
    let items: &[archive::Item<'_>] = &[(&app, &["app:latest", APP]), (&other, &["other:1"])];
    Sample::of(archive::crane_pull(items))
        .image("docker.io/library/app:latest", app.repacked().digest())
        .image(APP, app.repacked().digest())
        .image("docker.io/library/other:1", other.repacked().digest())
}

/// crane and kaniko where the layers of one image are packed in different ways.
pub fn crane_mixed() -> Sample {
    let file = |name: &str| Tarball::new().file(name, name);
    let spec = ImageSpec::new().layer(file("raw")).gzip_layer(file("gzip")).zstd_layer(file("zstd"));
    let app = spec.build();
    Sample::of(archive::crane_pull(&[(&app, &[APP])])).image(APP, app.repacked().digest())
}

/// `crane pull NAME@DIGEST`: a tag that stands for none.
pub fn crane_by_digest() -> Sample {
    let app = pulled("app");
    let tarball = archive::crane_pull(&[(&app, &["registry.example/shop/app:i-was-a-digest"])]);
    Sample::of(tarball).nameless(app.repacked().digest())
}

/// `crane pull --format=legacy`.
pub fn crane_legacy() -> Sample {
    let app = pulled("app");
    Sample::of(archive::crane_legacy(&[(&app, &["app:1"])]))
        .image("docker.io/library/app:1", app.unpacked().digest())
}

/// `crane pull --format=oci --annotate-ref`: Docker Hub under its other name.
pub fn crane_oci() -> Sample {
    let app = pulled("app");
    let name = "index.docker.io/library/app:1";
    Sample::of(archive::oci_archive(&[(&app, &[name])], ref_named))
        .image("docker.io/library/app:1", app.digest())
}

/// `regctl image export`.
pub fn regctl() -> Sample {
    let app = with_zstd();
    Sample::of(archive::regctl_export(&app, APP)).image(APP, app.digest())
}

/// `regctl image export` of a layout: the image name is no reference.
pub fn regctl_ocidir() -> Sample {
    let app = with_zstd();
    Sample::of(archive::regctl_export(&app, "ocidir://shop/app:v1"))
        .image("v1", app.digest())
        .warns("ocidir://shop/app:v1")
}

fn with_zstd() -> Image {
    ImageSpec::seeded("app").packed(Compression::Zstd).build()
}
