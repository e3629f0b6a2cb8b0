//! What skopeo and umoci make of the archives: they read each image by its name.

use std::process::Command;

use ocirepo_tests::checker::check;
use ocirepo_tests::image::Flavor;
use ocirepo_tests::tools;
use serde_json::Value;

use crate::peers::{came_out, program, unpack};
use crate::two::{ALPINE, APP, text, two_images};

#[test]
fn skopeo_finds_each_image_by_its_name_in_both_lists() {
    let Some((skopeo, label)) = program("skopeo") else { return };
    let two = two_images(Flavor::Oci);
    for kind in ["hybrid", "oci", "docker", "docker-legacy"] {
        let archive = two.export(&["--type", kind]);
        let archive = text(&archive);
        for (name, image) in [(ALPINE, &two.alpine), (APP, &two.app)] {
            let copy = two.ocirepo.scratch(&format!("{kind}-{}", image.config.hex()));
            if matches!(kind, "hybrid" | "oci") {
                let source = format!("oci-archive:{archive}:{name}");
                let to = format!("dir:{}", text(&copy));
                tools::run(&skopeo, &["copy", "--quiet", "--preserve-digests", &source, &to]);
                let manifest = std::fs::read(copy.join("manifest.json")).expect("skopeo wrote it");
                assert_eq!(manifest, image.manifest.bytes, "{kind}");
                let inspected = tools::run(&skopeo, &["inspect", &source]);
                let inspected: Value = serde_json::from_str(&inspected).expect("skopeo prints JSON");
                assert_eq!(inspected["Digest"], image.digest());
            }
            if kind != "oci" {
                let source = format!("docker-archive:{archive}:{name}");
                let to = format!("dir:{}-docker", text(&copy));
                tools::run(&skopeo, &["copy", "--quiet", &source, &to]);
                let config = tools::run(&skopeo, &["inspect", "--config", "--raw", &source]);
                assert_eq!(config.as_bytes(), image.config.bytes, "{kind}");
            }
        }
        let result = match kind {
            "hybrid" => "`oci-archive:` full names, manifest digests; `docker-archive:` full names, configs",
            "oci" => "`oci-archive:` full names, manifest digests",
            _ => "`docker-archive:` full names, configs",
        };
        came_out(&label, kind, result);
    }
    let archive = two.export(&["alpine:3.11", "--type", "oci", "--names", "tag"]);
    tools::run(&skopeo, &["inspect", &format!("oci-archive:{}:3.11", text(&archive))]);
    came_out(&label, "oci, --names tag", "`oci-archive:FILE:TAG`");
}

#[test]
fn umoci_unpacks_the_images_of_an_extracted_layout() {
    let Some((umoci, label)) = program("umoci") else { return };
    let two = two_images(Flavor::Oci);
    for kind in ["hybrid", "oci"] {
        let layout = two.ocirepo.scratch(kind);
        unpack(&two.export(&["--type", kind]), &layout);
        check(&layout).assert_tidy();
        let listed = tools::run(&umoci, &["ls", "--layout", text(&layout)]);
        assert_eq!(listed.lines().collect::<Vec<_>>(), [ALPINE, APP]);
        let bundle = two.ocirepo.scratch(&format!("{kind}-bundle"));
        let image = format!("{}:{APP}", text(&layout));
        tools::run(&umoci, &["unpack", "--rootless", "--image", &image, text(&bundle)]);
        assert_eq!(std::fs::read(bundle.join("rootfs/seed")).expect("a file of the layer"), b"app");
        came_out(&label, &format!("{kind}, extracted"), "full names, unpacked");
    }
}

#[test]
fn skopeo_finds_images_of_docker_types_in_the_docker_list_alone() {
    let Some((skopeo, label)) = program("skopeo") else { return };
    let two = two_images(Flavor::Docker);
    let archive = two.export(&[]);
    let what = "hybrid, docker's media types";
    let source = format!("docker-archive:{}:{APP}", text(&archive));
    let config = tools::run(&skopeo, &["inspect", "--config", "--raw", &source]);
    assert_eq!(config.as_bytes(), two.app.config.bytes);
    came_out(&label, what, "`docker-archive:` full names, configs");
    let source = format!("oci-archive:{}:{APP}", text(&archive));
    let output = Command::new(skopeo).args(["inspect", &source]).output().expect("it can be started");
    let refusal = String::from_utf8_lossy(&output.stderr);
    if refusal.contains("no descriptor found for reference") {
        came_out(&label, what, "`oci-archive:` refused: it looks among OCI types only");
    } else {
        assert!(output.status.success(), "{refusal}");
        came_out(&label, what, "`oci-archive:` full names, manifest digests");
    }
}

#[test]
fn a_copied_repository_is_a_layout_to_skopeo_and_umoci() {
    let two = two_images(Flavor::Oci);
    let copy = two.ocirepo.scratch("copy");
    two.ocirepo.run(&["export", "--type", "dir", "--output", text(&copy)]).ok();
    check(&copy).assert_tidy();
    if let Some((skopeo, label)) = program("skopeo") {
        for image in [(ALPINE, &two.alpine), (APP, &two.app)] {
            let source = format!("oci:{}:{}", text(&copy), image.0);
            let raw = tools::run(&skopeo, &["inspect", "--raw", &source]);
            assert_eq!(raw.as_bytes(), image.1.manifest.bytes);
        }
        came_out(&label, "dir", "`oci:DIR:NAME` full names, manifest digests");
    }
    if let Some((umoci, label)) = program("umoci") {
        let listed = tools::run(&umoci, &["ls", "--layout", text(&copy)]);
        assert_eq!(listed.lines().collect::<Vec<_>>(), [ALPINE, APP]);
        came_out(&label, "dir", "full names");
    }
}
