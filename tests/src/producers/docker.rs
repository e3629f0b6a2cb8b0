//! docker through its ages, and podman where it writes docker's format.

use super::{Sample, built, with_a_layer_twice};
use crate::archive::{self, V1Archive};
use crate::compress::Compression;
use crate::image::{Image, ImageSpec};
use crate::tarball::{Kind, Tarball};

const APP: &str = "docker.io/library/app:1";
const SHOP: &str = "registry.example:5000/shop/web:2.1";

/// docker before 1.10: two chains that part above a shared base, a step without files, two tags on one image
/// and one on a layer below it, and a leaf without a tag.
pub fn docker_v1() -> Sample {
    let file = |name: &str| Tarball::new().file(name, name).to_bytes();
    let mut archive = V1Archive::new();
    let base = archive.layer(None, "#(nop) ADD file:base in /", file("base"));
    let label = archive.layer(Some(&base), "#(nop) MAINTAINER The Testkit", []);
    let top = archive.layer(Some(&label), "make install", file("top"));
    let other = archive.layer(Some(&label), "make test", file("other"));
    let leaf = archive.layer(Some(&base), "make clean", file("leaf"));
    archive.tag("app:1", &top).tag("registry.example:5000/shop/app:1", &top);
    archive.tag("app:test", &other).tag("base:latest", &base);
    Sample::of(archive.to_tarball())
        .image(APP, archive.image(&top).digest())
        .image("registry.example:5000/shop/app:1", archive.image(&top).digest())
        .image("docker.io/library/app:test", archive.image(&other).digest())
        .image("docker.io/library/base:latest", archive.image(&base).digest())
        .nameless(archive.image(&leaf).digest())
}

/// docker before 1.10, one image: layers of 0 bytes and of 512 zero bytes, neither of which is a tar.
pub fn docker_v1_odd_layers() -> Sample {
    let mut archive = V1Archive::new();
    let base = archive.layer(None, "#(nop) ADD file:empty in /", [0; 512]);
    let label = archive.layer(Some(&base), "#(nop) MAINTAINER The Testkit", []);
    let top = archive.layer(Some(&label), "make install", Tarball::new().file("top", "x").to_bytes());
    archive.tag("app:1", &top);
    Sample::of(archive.to_tarball()).image(APP, archive.image(&top).digest())
}

/// `docker save` up to 24 of three images, one without a tag: layers that come again are links to where they came
/// first, and at least one such link stands before its target.
pub fn docker_save() -> Sample {
    let (app, shop, other) = (with_a_layer_twice(Compression::None), built("shop"), built("other"));
    let save = |app: &Image| {
        archive::docker_save(&[(app, &["app:1", "app:latest"]), (&shop, &[SHOP]), (&other, &[])])
    };
    // IDs are hashes, so another label may put the link on the other side of its target.
    let (app, tarball) = (0..20)
        .map(|n| ImageSpec::of(&app).run("Label", n.into()).build())
        .map(|app| (app.clone(), save(&app)))
        .find(|(_, tarball)| has_a_link_before_its_target(tarball))
        .expect("one in two has it");
    Sample::of(tarball)
        .image(APP, app.unpacked().digest())
        .image("docker.io/library/app:latest", app.unpacked().digest())
        .image(SHOP, shop.unpacked().digest())
        .nameless(other.unpacked().digest())
}

fn has_a_link_before_its_target(tarball: &Tarball) -> bool {
    tarball.members.iter().enumerate().any(|(position, member)| match &member.kind {
        Kind::Symlink(target) => {
            let target = target.trim_start_matches("../");
            tarball.members[position..].iter().any(|later| later.name == target)
        }
        _ => false,
    })
}

/// `docker save` up to 24 of an image ID: `RepoTags` is null, `repositories` is not there.
pub fn docker_save_by_id() -> Sample {
    let app = built("app");
    Sample::of(archive::docker_save(&[(&app, &[])])).nameless(app.unpacked().digest())
}

/// `docker save` from 25 on, of an image with two tags and another.
pub fn docker25() -> Sample {
    let (app, shop) = (built("app"), built("shop"));
    let two = ["docker.io/library/app:1", "docker.io/library/app:latest"];
    Sample::of(archive::docker25_save(&[(&app, &two), (&shop, &[SHOP])]))
        .image(two[0], app.unpacked().digest())
        .image(two[1], app.unpacked().digest())
        .image(SHOP, shop.unpacked().digest())
}

/// docker 25.0.0: the OCI manifest has the layers in the wrong order, `manifest.json` in the right one.
pub fn docker25_0() -> Sample {
    let app = built("app");
    Sample::of(archive::docker25_0_save(&[(&app, &[APP])]))
        .image(APP, app.unpacked().digest())
        .warns("wrong order")
}

/// docker 25.0.0 to 25.0.2 by digest: index.json lists null.
pub fn docker25_by_digest() -> Sample {
    let app = built("app");
    Sample::of(archive::docker25_save_by_digest(&app)).nameless(app.unpacked().digest())
}

/// docker from 25 on with an untagged image after a tagged one, which index.json then lacks.
pub fn docker25_untagged() -> Sample {
    let (app, other) = (built("app"), built("other"));
    Sample::of(archive::docker25_save_untagged(&[(&app, &[APP]), (&other, &[])]))
        .image(APP, app.unpacked().digest())
        .nameless(other.unpacked().digest())
}

/// `podman save` and skopeo's `docker-archive:` of several images, names in full.
pub fn podman_docker_archive() -> Sample {
    let (app, shop) = (with_a_layer_twice(Compression::None), built("shop"));
    Sample::of(archive::podman_save(&[(&app, &[APP]), (&shop, &[SHOP, "localhost/web:latest"])]))
        .image(APP, app.unpacked().digest())
        .image(SHOP, shop.unpacked().digest())
        .image("localhost/web:latest", shop.unpacked().digest())
}

/// skopeo's `docker-archive:` without a name: `RepoTags` and `repositories` are there and empty.
pub fn skopeo_docker_archive_untagged() -> Sample {
    let app = built("app");
    Sample::of(archive::podman_save(&[(&app, &[])])).nameless(app.unpacked().digest())
}
