//! What is exported, in the hands of the runtimes: the right names, and the digests that the format keeps.
//!
//! podman, containerd, dockerd, skopeo and umoci are witnesses where they are installed; each test says so when it
//! is skipped, and prints a line for docs/interop.md when it is not.

mod layouts;
mod peers;
mod two;

use std::collections::BTreeMap;
use std::path::Path;

use ocirepo_tests::artifact::index_of;
use ocirepo_tests::checker::check;
use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::descriptor::full_named;
use ocirepo_tests::image::{Flavor, Image};
use ocirepo_tests::layout::Layout;
use ocirepo_tests::tools;
use peers::{Peer, came_out, program, unpack};
use serde_json::Value;
use two::{ALPINE, APP, config, export, image, text, two_images};

const PODMAN_IMAGES: [&str; 4] = ["images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"];
const DOCKER_IMAGES: [&str; 4] = PODMAN_IMAGES;

/// The images that containerd has, with the digests of their manifests.
fn ctr_images(ctr: &Peer) -> BTreeMap<String, String> {
    let lines = ctr.run(&["images", "ls"]);
    let columns = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[0].to_owned(), words[2].to_owned())
    };
    lines.lines().skip(1).map(columns).collect()
}

/// What containerd keeps when nothing is left to sweep. It sweeps in the background after an import.
fn ctr_content(ctr: &Peer) -> Vec<String> {
    ctr.run(&["content", "prune", "references"]);
    ctr.run(&["content", "ls", "-q"]).lines().map(str::to_owned).collect()
}

#[test]
fn podman_loads_both_images_under_their_full_names() {
    let Some(podman) = Peer::podman() else { return };
    let two = two_images(Flavor::Oci);
    for (kind, args) in [
        ("hybrid", &[][..]),
        ("docker", &["--type", "docker"]),
        ("docker, --layers gzip", &["--type", "docker", "--layers", "gzip"]),
        ("docker-legacy", &["--type", "docker-legacy"]),
    ] {
        podman.run(&["load", "--quiet", "--input", text(&two.export(args))]);
        assert_eq!(podman.list(&PODMAN_IMAGES), two.names(config), "{kind}");
        came_out(&podman.label, kind, "full names, image IDs");
        podman.run(&["rmi", "--all", "--force"]);
    }
}

#[test]
fn podman_keeps_the_digest_of_a_single_image() {
    let Some(podman) = Peer::podman() else { return };
    let two = two_images(Flavor::Oci);
    let list = ["images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.Digest}}"];
    for kind in ["hybrid", "oci"] {
        podman.run(&["load", "--quiet", "--input", text(&two.export(&["alpine:3.11", "--type", kind]))]);
        assert_eq!(
            podman.list(&list),
            [(ALPINE.to_owned(), two.alpine.digest().to_owned())].into(),
            "{kind}"
        );
        came_out(&podman.label, &format!("{kind}, one image"), "full name, manifest digest");
        podman.run(&["rmi", "--all", "--force"]);
    }
    let refusal = podman.fails(&["load", "--input", text(&two.export(&["--type", "oci"]))]);
    assert!(refusal.contains("more than one image in oci"), "{refusal}");
    came_out(&podman.label, "oci, two images", "refused: more than one image in oci");
}

#[test]
fn containerd_imports_both_images_under_their_full_names() {
    let Some(ctr) = Peer::containerd() else { return };
    let two = two_images(Flavor::Oci);
    for kind in ["hybrid", "oci"] {
        ctr.run(&["images", "import", "--snapshotter", "native", text(&two.export(&["--type", kind]))]);
        assert_eq!(ctr_images(&ctr), two.names(Image::digest), "{kind}");
        came_out(&ctr.label, kind, "full names, manifest digests, unpacked");
        ctr.run(&["images", "rm", "--sync", ALPINE, APP]);
    }
    for kind in ["docker", "docker-legacy"] {
        ctr.run(&["images", "import", "--snapshotter", "native", text(&two.export(&["--type", kind]))]);
        assert!(ctr_images(&ctr).keys().eq(two.names(config).keys()), "{kind}");
        came_out(&ctr.label, kind, "full names, manifests made anew");
        ctr.run(&["images", "rm", "--sync", ALPINE, APP]);
    }
}

#[test]
fn docker_loads_both_images_under_their_names() {
    let Some(docker) = Peer::docker() else { return };
    let two = two_images(Flavor::Oci);
    for (kind, args) in [
        ("hybrid", &[][..]),
        ("docker", &["--type", "docker"]),
        ("docker, --layers gzip", &["--type", "docker", "--layers", "gzip"]),
        ("docker-legacy", &["--type", "docker-legacy"]),
    ] {
        docker.run(&["load", "--quiet", "--input", text(&two.export(args))]);
        assert_eq!(docker.list(&DOCKER_IMAGES), two.familiar(), "{kind}");
        came_out(&docker.label, kind, "names, image IDs");
        docker.run(&["image", "prune", "--all", "--force"]);
    }
}

#[test]
fn docker_reads_the_old_part_of_docker_legacy_as_ocirepo_does() {
    let Some(docker) = Peer::docker() else { return };
    let two = two_images(Flavor::Oci);
    let folder = two.ocirepo.scratch("old");
    unpack(&two.export(&["--type", "docker-legacy"]), &folder);
    std::fs::remove_file(folder.join("manifest.json")).expect("it is there");
    let archive = two.ocirepo.scratch("old.tar");
    tools::run(Path::new("tar"), &["-C", text(&folder), "-cf", text(&archive), "."]);
    docker.run(&["load", "--quiet", "--input", text(&archive)]);
    let loaded = docker.list(&DOCKER_IMAGES);
    assert!(loaded.keys().eq(two.familiar().keys()), "{loaded:?}");
    came_out(&docker.label, "docker-legacy, read as docker 1.9 did", "names; IDs made anew");

    let again = two.ocirepo.in_dir(two.ocirepo.scratch("again"));
    std::fs::create_dir(again.dir()).expect("a directory can be made");
    again.run(&["init"]).ok();
    again.run(&["add", text(&archive)]).ok();
    for (name, id) in loaded {
        let inspected = again.run(&["inspect", &name, "--format", "json"]).json();
        assert_eq!(inspected["manifests"][0]["digest"], inspected["digest"]);
        let manifest = Layout::open(again.dir()).read_blob(inspected["digest"].as_str().expect("a digest"));
        let manifest: Value = serde_json::from_slice(&manifest).expect("a manifest is JSON");
        assert_eq!(manifest["config"]["digest"], id, "{name}");
    }
}

#[test]
fn a_pipe_loads_as_a_file_does() {
    let two = two_images(Flavor::Oci);
    let mut export = two.ocirepo.command(&["--quiet", "export", "--output", "-"]);
    if let Some(podman) = Peer::podman() {
        podman.run_on(&["load", "--quiet"], &mut export);
        assert_eq!(podman.list(&PODMAN_IMAGES), two.names(config));
        came_out(&podman.label, "hybrid through a pipe", "full names, image IDs");
    }
    if let Some(ctr) = Peer::containerd() {
        ctr.run_on(&["images", "import", "--snapshotter", "native", "-"], &mut export);
        assert_eq!(ctr_images(&ctr), two.names(Image::digest));
        came_out(&ctr.label, "hybrid through a pipe", "full names, manifest digests, unpacked");
    }
    if let Some(docker) = Peer::docker() {
        docker.run_on(&["load", "--quiet"], &mut export);
        assert_eq!(docker.list(&DOCKER_IMAGES), two.familiar());
        came_out(&docker.label, "hybrid through a pipe", "names, image IDs");
    }
}

#[test]
fn runtimes_see_nothing_of_signatures_and_charts_in_a_hybrid() {
    let two = two_images(Flavor::Oci).with_artifacts();
    let archive = two.export(&[]);
    let live = check(two.ocirepo.dir()).assert_tidy().live.clone();
    let carried = two.ocirepo.scratch("carried");
    unpack(&archive, &carried);
    assert_eq!(Layout::open(&carried).blobs(), live, "everything is in the tar");
    let what = "hybrid with a signature, an SBOM and a chart";
    if let Some(podman) = Peer::podman() {
        podman.run(&["load", "--quiet", "--input", text(&archive)]);
        assert_eq!(podman.list(&PODMAN_IMAGES), two.names(config));
        came_out(&podman.label, what, "the two images and nothing else");
    }
    if let Some(docker) = Peer::docker() {
        docker.run(&["load", "--quiet", "--input", text(&archive)]);
        assert_eq!(docker.list(&DOCKER_IMAGES), two.familiar());
        came_out(&docker.label, what, "the two images and nothing else");
    }
    if let Some(ctr) = Peer::containerd() {
        ctr.run(&["images", "import", "--snapshotter", "native", text(&archive)]);
        assert_eq!(ctr_images(&ctr), two.names(Image::digest));
        let images: Vec<&str> =
            two.alpine.blobs().chain(two.app.blobs()).map(|it| it.digest.as_str()).collect();
        let content = ctr_content(&ctr);
        assert!(content.iter().all(|digest| images.contains(&digest.as_str())), "{content:?}");
        came_out(&ctr.label, what, "the two images; the other blobs and ocirepo-bundle.json are swept");
        // In an oci archive everything is listed, which containerd cannot unpack.
        let refusal = ctr.fails(&["images", "import", text(&two.export(&["--type", "oci"]))]);
        assert!(refusal.contains("mismatched image rootfs"), "{refusal}");
        came_out(
            &ctr.label,
            "oci with a signature, an SBOM and a chart",
            "names, then refuses to unpack them",
        );
    }
}

#[test]
fn ocirepo_restores_what_runtimes_did_not_see() {
    let two = two_images(Flavor::Oci).with_artifacts();
    let archive = two.export(&[]);
    let far = two.ocirepo.in_dir(two.ocirepo.scratch("far"));
    std::fs::create_dir(far.dir()).expect("a directory can be made");
    far.run(&["init"]).ok();
    far.run(&["add", text(&archive)]).ok();
    assert_eq!(check(far.dir()).assert_tidy().live, check(two.ocirepo.dir()).live);
    let first = std::fs::read(&archive).expect("the archive is there");
    assert_eq!(
        first,
        std::fs::read(export(&far, &[])).expect("the archive is there"),
        "the same bytes again"
    );
}

#[test]
fn an_image_of_two_platforms_is_what_each_runtime_can_take() {
    let ocirepo = Ocirepo::new();
    let platforms = ["linux/amd64", "linux/arm64"];
    let images = platforms.map(|platform| image(platform, platform, Flavor::Oci));
    let index = index_of(&[(&images[0], platforms[0]), (&images[1], platforms[1])]);
    let mut layout = Layout::create(ocirepo.dir());
    layout.blobs_of(images.iter().flat_map(Image::blobs)).blobs_of([&index]);
    layout.entry(full_named(index.descriptor(), APP)).write_index();
    let archive = export(&ocirepo, &[]);
    let what = "hybrid, amd64 and arm64 in one image";
    if let Some(ctr) = Peer::containerd() {
        for platforms in [&[][..], &["--all-platforms"]] {
            let args =
                [&["images", "import", "--snapshotter", "native"], platforms, &[text(&archive)]].concat();
            ctr.run(&args);
            assert_eq!(ctr_images(&ctr), [(APP.to_owned(), index.digest.clone())].into());
            ctr.run(&["images", "rm", "--sync", APP]);
        }
        came_out(&ctr.label, what, "full name, digest of the index, also with --all-platforms");
    }
    if let Some(podman) = Peer::podman() {
        podman.run(&["load", "--quiet", "--input", text(&archive)]);
        let mut names = podman.list(&PODMAN_IMAGES);
        let host = if cfg!(target_arch = "aarch64") { 1 } else { 0 };
        assert_eq!(names.remove(APP).as_deref(), Some(config(&images[host])), "{names:?}");
        came_out(&podman.label, what, "full name, ID of the image for this machine");
    }
    if let Some(docker) = Peer::docker() {
        docker.run(&["load", "--quiet", "--input", text(&archive)]);
        assert_eq!(docker.list(&DOCKER_IMAGES), [(APP.to_owned(), config(&images[0]).to_owned())].into());
        came_out(&docker.label, what, "name, ID of the linux/amd64 image");
    }
    if let Some((skopeo, label)) = program("skopeo") {
        let raw =
            tools::run(&skopeo, &["inspect", "--raw", &format!("oci-archive:{}:{APP}", text(&archive))]);
        assert_eq!(raw.as_bytes(), index.bytes);
        came_out(&label, what, "the index, byte for byte");
    }
}

#[test]
fn docker_types_load_as_well_and_keep_their_digests() {
    let two = two_images(Flavor::Docker);
    let archive = two.export(&[]);
    let what = "hybrid, docker's media types";
    if let Some(podman) = Peer::podman() {
        podman.run(&["load", "--quiet", "--input", text(&archive)]);
        assert_eq!(podman.list(&PODMAN_IMAGES), two.names(config));
        came_out(&podman.label, what, "full names, image IDs");
    }
    if let Some(ctr) = Peer::containerd() {
        ctr.run(&["images", "import", "--snapshotter", "native", text(&archive)]);
        assert_eq!(ctr_images(&ctr), two.names(Image::digest));
        came_out(&ctr.label, what, "full names, manifest digests, unpacked");
    }
    if let Some(docker) = Peer::docker() {
        docker.run(&["load", "--quiet", "--input", text(&archive)]);
        assert_eq!(docker.list(&DOCKER_IMAGES), two.familiar());
        came_out(&docker.label, what, "names, image IDs");
    }
}

#[test]
fn a_compressed_archive_loads_whole_or_not_at_all() {
    let two = two_images(Flavor::Oci);
    let peers = [
        (Peer::podman(), &["load", "--quiet", "--input"][..]),
        (Peer::containerd(), &["images", "import", "--snapshotter", "native"]),
        (Peer::docker(), &["load", "--quiet", "--input"]),
    ];
    for (peer, load) in peers {
        let Some(peer) = peer else { continue };
        for how in ["gzip", "zstd"] {
            let archive = two.export(&["--compress", how]);
            let what = format!("hybrid, --compress {how}");
            match peer.attempt(&[load, &[text(&archive)]].concat()) {
                Ok(_) if load.contains(&"import") => assert_eq!(ctr_images(&peer), two.names(Image::digest)),
                Ok(_) => assert_eq!(peer.list(&PODMAN_IMAGES).len(), 2),
                // What a runtime can unpack is its own affair, and changes with its version.
                Err(refusal) => {
                    let is_about_it =
                        ["invalid tar header", "more than one image", "unrecognized image format"];
                    assert!(is_about_it.iter().any(|text| refusal.contains(text)), "{refusal}");
                    came_out(&peer.label, &what, "refused: it does not take this compression");
                    continue;
                }
            }
            came_out(&peer.label, &what, "names and images");
        }
    }
}
