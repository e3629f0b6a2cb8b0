//! containerd's exporter under its users' names: ctr, nerdctl, docker with the containerd store.

use super::{Sample, pulled, pulled_oci};
use crate::archive;
use crate::artifact::index_of;
use crate::descriptor::Blob;

const APP: &str = "docker.io/library/app:1";
const SHOP: &str = "registry.example:5000/shop/web:2.1";

/// `ctr images export` and `nerdctl save` of several images.
pub fn ctr_export() -> Sample {
    let (app, shop) = (pulled("app"), pulled_oci("shop", "linux/amd64"));
    Sample::of(archive::ctr_export(&[(&app, &[APP]), (&shop, &[SHOP])]))
        .image(APP, app.digest())
        .image(SHOP, shop.digest())
}

/// `ctr images export` of a name with a digest, of which the ref.name keeps `@sha256:…`.
pub fn ctr_export_by_digest() -> Sample {
    let app = pulled("app");
    let name = format!("registry.example/shop/app@{}", app.digest());
    Sample::of(archive::ctr_export(&[(&app, &[&name])])).image(&name, app.digest())
}

/// `ctr images export --all-platforms`, and docker's save of a multi-platform image.
pub fn ctr_export_index() -> Sample {
    let (amd64, arm64) = (pulled_oci("app", "linux/amd64"), pulled_oci("app", "linux/arm64/v8"));
    let index = index_of(&[(&amd64, "linux/amd64"), (&arm64, "linux/arm64/v8")]);
    let blobs = amd64.blobs().chain(arm64.blobs()).chain([&index]);
    Sample::of(archive::ctr_export_of(blobs, &index, APP)).image(APP, &index.digest)
}

/// `docker save` with the containerd store after a pull: the index is whole, of its children one is there.
pub fn ctr_export_sparse() -> Sample {
    let (amd64, arm64) = (pulled_oci("app", "linux/amd64"), pulled_oci("app", "linux/arm64/v8"));
    let s390x = pulled_oci("app", "linux/s390x");
    let index = index_of(&[(&arm64, "linux/arm64/v8"), (&amd64, "linux/amd64"), (&s390x, "linux/s390x")]);
    let blobs: Vec<&Blob> = amd64.blobs().chain([&index]).collect();
    Sample::of(archive::ctr_export_of(blobs, &index, APP))
        .image(APP, &index.digest)
        .warns("linux/arm64/v8, linux/s390x")
        .notes("sparse")
}
