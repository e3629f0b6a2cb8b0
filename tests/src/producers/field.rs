//! What closed networks are fed with: k3s and rke2, hauler, zarf.

use super::{Sample, built, pulled, pulled_oci};
use crate::archive::{self, HaulerEntry};
use crate::artifact::index_of;
use crate::descriptor::Blob;
use crate::image::Image;

/// k3s' and rke2's airgap archive: many images in one docker save, most of them on shared layers.
pub fn k3s_airgap() -> Sample {
    let names: Vec<_> = (0..8).map(|n| format!("rancher/component-{n}:v1.{n}")).collect();
    let images: Vec<Image> = names.iter().map(|name| built(name)).collect();
    let references: Vec<_> = names.iter().map(|name| [name.as_str()]).collect();
    let items: Vec<archive::Item<'_>> =
        images.iter().zip(&references).map(|(image, names)| (image, names.as_slice())).collect();
    let sample = Sample::of(archive::docker_save(&items));
    images.iter().zip(&names).fold(sample, |sample, (image, name)| {
        sample.image(&format!("docker.io/{name}"), image.unpacked().digest())
    })
}

/// hauler's store: an image of Docker Hub, one of two platforms, a chart, a signature.
pub fn hauler() -> Sample {
    hauler_store(false)
}

/// hauler's store for containerd: the same without `oci-layout`.
pub fn hauler_for_containerd() -> Sample {
    hauler_store(true)
}

fn hauler_store(for_containerd: bool) -> Sample {
    const MULTI: &str = "registry.example/shop/multi:1";
    const CHART: &str = "registry.example/charts/app:1.0.0";
    let app = pulled("app");
    let (amd64, arm64) = (pulled_oci("multi", "linux/amd64"), pulled_oci("multi", "linux/arm64"));
    let index = index_of(&[(&amd64, "linux/amd64"), (&arm64, "linux/arm64")]);
    let chart = archive::helm_chart("app");
    let entry = |manifest, name, kind| HaulerEntry { manifest, name, kind };
    let entries = [
        entry(&app.manifest, "index.docker.io/library/app:1", "image"),
        entry(&index, MULTI, "imageIndex"),
        entry(&chart.manifest, CHART, "image"),
    ];
    let images = [(&app, "index.docker.io/library/app:1"), (&amd64, MULTI), (&arm64, MULTI)];
    let blobs: Vec<&Blob> = [&app, &amd64, &arm64]
        .into_iter()
        .flat_map(Image::blobs)
        .chain([&index])
        .chain(chart.blobs())
        .collect();
    Sample::of(archive::hauler_store(blobs, &entries, &images, for_containerd))
        .image("docker.io/library/app:1", app.digest())
        .image(MULTI, &index.digest)
        .image(CHART, &chart.manifest.digest)
}

/// A zarf package.
pub fn zarf() -> Sample {
    zarf_package(false)
}

/// A zarf package of old, where the name stands in the annotation that elsewhere names the base image.
pub fn zarf_old() -> Sample {
    zarf_package(true)
}

fn zarf_package(is_old: bool) -> Sample {
    let (app, other) = (pulled("app"), pulled_oci("other", "linux/amd64"));
    let names = ["docker.io/library/app:1", "registry.example/shop/other:2"];
    Sample::of(archive::zarf_package(&[(&app, names[0]), (&other, names[1])], is_old))
        .image(names[0], app.digest())
        .image(names[1], other.digest())
}
