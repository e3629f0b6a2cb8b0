//! What looks like an image archive and is none is refused by its name: one message that says what it is and
//! what to do, exit code 1, and a repository as it was.

use std::fs;

use ocirepo_tests::archive;
use ocirepo_tests::cli::{Ocirepo, Output};
use ocirepo_tests::compress::{Compression, Packing};
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::snapshot::Snapshot;
use ocirepo_tests::tarball::Tarball;

const NAME: &str = "registry.example/shop/app:1";

fn image() -> Image {
    ImageSpec::seeded("app").packed(Compression::Gzip).build()
}

/// A repository with one image, at which nothing may change.
fn repository() -> Ocirepo {
    let ocirepo = Ocirepo::new();
    ocirepo.run(&["init"]).ok();
    let other = ImageSpec::seeded("other").build();
    let bytes = archive::docker_save(&[(&other, &["docker.io/test/other:1"])]).to_bytes();
    ocirepo.run_with_stdin(&["add", "-"], bytes).ok();
    ocirepo
}

#[track_caller]
fn refuses(ocirepo: &Ocirepo, source: &str, texts: &[&str], add: impl FnOnce() -> Output) {
    let before = Snapshot::of(ocirepo.dir());
    let output = add();
    before.assert_same(ocirepo.dir(), source);
    let texts: Vec<_> = texts.iter().copied().chain([source]).collect();
    output.one_clear_error(1, &texts);
}

/// As a file and on stdin.
#[track_caller]
fn refuses_bytes(bytes: &[u8], texts: &[&str]) {
    let ocirepo = repository();
    let path = ocirepo.scratch("what-is-this");
    fs::write(&path, bytes).expect("the file can be written");
    let path = path.to_str().expect("test paths are UTF-8");
    refuses(&ocirepo, "what-is-this", texts, || ocirepo.run(&["add", path]));
    refuses(&ocirepo, "standard input", texts, || ocirepo.run_with_stdin(&["add", "-"], bytes));
}

/// As a tar, plain and packed.
#[track_caller]
fn refuses_tar(tarball: &Tarball, texts: &[&str]) {
    let bytes = tarball.to_bytes();
    refuses_bytes(&bytes, texts);
    for packing in [Packing::Gzip, Packing::Zstd] {
        refuses_bytes(&packing.pack(&bytes), texts);
    }
}

#[track_caller]
fn refuses_folder(tarball: &Tarball, texts: &[&str]) {
    let ocirepo = repository();
    let path = ocirepo.scratch("what-is-this");
    tarball.unpack(&path);
    let path = path.to_str().expect("test paths are UTF-8");
    refuses(&ocirepo, "what-is-this", texts, || ocirepo.run(&["add", path]));
}

#[test]
fn imgpkg() {
    let tarball = archive::imgpkg(&image(), NAME);
    refuses_tar(&tarball, &["imgpkg"]);
    refuses_folder(&tarball, &["imgpkg"]);
}

#[test]
fn the_storage_of_a_registry() {
    let storage = archive::registry_storage(&image(), NAME);
    refuses_tar(&storage, &["storage of a registry"]);
    refuses_folder(&storage, &["storage of a registry"]);
}

/// `/var/lib/registry` packed from inside, from one folder up, and from one and two folders down.
#[test]
fn the_storage_of_a_registry_from_other_places() {
    let storage = archive::registry_storage(&image(), NAME);
    let cut = |prefix: &'static str| {
        storage.clone().rename(|name| name.strip_prefix(prefix).expect("all have it").to_owned())
    };
    let places = [
        storage.clone().rename(|name| format!("./{name}")),
        storage.clone().below("registry"),
        cut("docker/"),
    ];
    for storage in places.iter().chain([&cut("docker/registry/")]) {
        refuses_bytes(&storage.to_bytes(), &["storage of a registry"]);
        refuses_folder(storage, &["storage of a registry"]);
    }
}

#[test]
fn the_files_of_a_container() {
    refuses_tar(&archive::docker_export(), &["root file system"]);
    refuses_folder(&archive::docker_export(), &["root file system"]);
    let dotted = archive::docker_export().rename(|name| format!("./{name}"));
    refuses_bytes(&dotted.to_bytes(), &["root file system"]);
}

/// A layer is a tar as well, and so is a layer as registries have it, packed.
#[test]
fn a_single_layer() {
    for layer in [
        Tarball::new().dir("app/").file("app/main", "x"),
        Tarball::new().dir("etc/").file("etc/passwd", "root").file("etc/.wh.shadow", ""),
        Tarball::new().dir("./").file("./app", "x"),
        Tarball::new().dir("/nix/").dir("/nix/store/").file("/nix/store/abc-hello/bin/hello", "x"),
    ] {
        refuses_tar(&layer, &["layer"]);
    }
}

#[test]
fn zip() {
    refuses_bytes(&archive::zip("image.tar", &Tarball::new().file("app", "x").to_bytes()), &["zip"]);
    refuses_bytes(&archive::zip("empty", b""), &["zip"]);
}

/// k3s takes these, so people have them.
#[test]
fn lz4() {
    let bytes = archive::docker_save(&[(&image(), &[NAME])]).to_bytes();
    refuses_bytes(&archive::lz4(&bytes), &["lz4"]);
}

/// Packed twice, whatever is inside.
#[test]
fn packed_twice() {
    let bytes = archive::docker_save(&[(&image(), &[NAME])]).to_bytes();
    refuses_bytes(&Packing::Gzip.pack(&Packing::Zstd.pack(&bytes)), &["twice"]);
    refuses_bytes(&Packing::Gzip.pack(&Packing::Gzip.pack(&bytes)), &["twice"]);
}
