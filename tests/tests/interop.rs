//! Other people's tools and ocirepo on the same directories: what they wrote goes in, what ocirepo wrote they read.
//!
//! skopeo, umoci and podman are witnesses where they are installed; each test says so when it is skipped.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ocirepo_tests::archive;
use ocirepo_tests::checker::check;
use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::layout::Layout;
use ocirepo_tests::tools;
use serde_json::{Value, json};

const FULL: &str = "docker.io/library/alpine:3.11";
const MIRROR: &str = "mirror.corp/base/alpine:3.11";

/// An archive in podman's form of one image, in the working directory of `ocirepo`.
fn podman_archive(ocirepo: &Ocirepo, image: &Image, name: &str) -> PathBuf {
    let path = ocirepo.scratch("image.tar");
    let items = [(image, &[name][..])];
    std::fs::write(&path, archive::podman_save(&items).to_bytes()).expect("the archive can be written");
    path
}

fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}

fn names(ocirepo: &Ocirepo) -> Vec<String> {
    let names = ocirepo.run(&["ls", "--names"]).ok();
    names.stdout.lines().map(str::to_owned).collect()
}

/// The main job on what skopeo wrote, judged by skopeo and umoci at each step.
fn main_job_with(policy: &str, source: &str) {
    let (Some(skopeo), Some(umoci)) = (tools::tool("skopeo"), tools::tool("umoci")) else { return };
    let ocirepo = Ocirepo::new();
    let image = ImageSpec::seeded("main").build();
    let made = podman_archive(&ocirepo, &image, FULL);
    let archive = ocirepo.scratch("by-skopeo.tar");
    let target = format!("{source}:{}:{FULL}", text(&archive));
    tools::run(&skopeo, &["copy", "--quiet", &format!("docker-archive:{}", text(&made)), &target]);

    ocirepo.run(&["init", "--ref-policy", policy]).ok();
    ocirepo.run(&["add", text(&archive), "--ref", FULL]).ok();
    ocirepo.run(&["tag", "alpine:3.11", MIRROR]).ok();
    assert_eq!(names(&ocirepo), [FULL, MIRROR]);
    ocirepo.run(&["inspect", "alpine:3.11"]).ok();
    ocirepo.run(&["verify"]).ok();

    let ref_name = if policy == "full" { FULL } else { "3.11" };
    let dir = text(ocirepo.dir());
    let inspected: Value =
        serde_json::from_str(&tools::run(&skopeo, &["inspect", &format!("oci:{dir}:{ref_name}")]))
            .expect("skopeo prints JSON");
    let digest = ocirepo.run(&["inspect", FULL, "--format", "json"]).json()["digest"].clone();
    assert_eq!(inspected["Digest"], digest);
    assert!(tools::run(&umoci, &["ls", "--layout", dir]).lines().any(|line| line == ref_name));
    let copy = ocirepo.scratch("copy");
    let to = format!("oci:{}:x", text(&copy));
    tools::run(&skopeo, &["copy", "--quiet", &format!("oci:{dir}:{ref_name}"), &to]);
    check(&copy).assert_sound();

    ocirepo.run(&["rm", "alpine:3.11"]).ok();
    let kept = ocirepo.run(&["gc", "--dry-run", "--format", "json"]).json();
    assert_eq!(kept["swept"]["blobs"], 0, "the other name keeps the image");
    ocirepo.run(&["rm", MIRROR]).ok();
    let planned = ocirepo.run(&["gc", "--dry-run", "--format", "json"]).json();
    let swept = ocirepo.run(&["gc", "--format", "json"]).json();
    assert_eq!(planned["swept"], swept["swept"]);
    assert!(Layout::open(ocirepo.dir()).blobs().is_empty());
    ocirepo.run(&["verify"]).ok();
    assert!(tools::run(&umoci, &["ls", "--layout", dir]).is_empty());
}

#[test]
fn the_main_job_on_a_docker_archive_of_skopeo_under_full_names() {
    main_job_with("full", "docker-archive");
}

#[test]
fn the_main_job_on_a_docker_archive_of_skopeo_under_tags() {
    main_job_with("tag", "docker-archive");
}

#[test]
fn the_main_job_on_an_oci_archive_of_skopeo_under_full_names() {
    main_job_with("full", "oci-archive");
}

#[test]
fn the_main_job_on_an_oci_archive_of_skopeo_under_tags() {
    main_job_with("tag", "oci-archive");
}

#[test]
fn a_layout_of_skopeo_and_umoci_takes_an_add_and_keeps_every_unknown_field() {
    let (Some(skopeo), Some(umoci)) = (tools::tool("skopeo"), tools::tool("umoci")) else { return };
    let ocirepo = Ocirepo::new();
    let (theirs, ours) = (ImageSpec::seeded("theirs").build(), ImageSpec::seeded("ours").build());
    let archive = podman_archive(&ocirepo, &theirs, "localhost/theirs:1");
    let dir = ocirepo.scratch("layout");
    let dir = text(&dir);
    tools::run(&umoci, &["init", "--layout", dir]);
    let to = format!("oci:{dir}:localhost/theirs:1");
    tools::run(&skopeo, &["copy", "--quiet", &format!("docker-archive:{}", text(&archive)), &to]);
    tools::run(&umoci, &["tag", "--image", &format!("{dir}:localhost/theirs:1"), "stable"]);
    let layout = Layout::open(dir);
    let mut index = layout.read_index();
    index["x-vendor"] = json!({"kept": 1});
    index["manifests"][0]["x-entry"] = json!(["kept"]);
    layout.write("index.json", index.to_string().as_bytes());

    std::fs::write(&archive, archive::docker_save(&[(&ours, &["ours:1"][..])]).to_bytes()).expect("write");
    let ocirepo = ocirepo.in_dir(layout.path());
    ocirepo.run(&["add", text(&archive)]).ok();
    assert_eq!(names(&ocirepo), ["localhost/theirs:1", "stable", "docker.io/library/ours:1"]);
    let after = layout.read_index();
    assert_eq!(after["x-vendor"], index["x-vendor"]);
    for position in 0..2 {
        assert_eq!(
            after["manifests"][position], index["manifests"][position],
            "entry {position} was touched"
        );
    }

    let theirs: BTreeSet<String> = check(layout.path()).assert_sound().live.clone();
    layout.blob(b"garbage");
    let swept = ocirepo.run(&["gc", "--format", "json"]).json();
    assert_eq!(swept["swept"]["blobs"], 1);
    assert_eq!(layout.blobs(), theirs, "exactly the garbage went");
    check(layout.path()).assert_tidy();
    tools::run(&umoci, &["gc", "--layout", dir]);
    assert_eq!(layout.blobs(), theirs, "umoci sees no garbage either");
    ocirepo.run(&["verify"]).ok();
}

#[test]
fn podman_writes_archives_that_go_in() {
    let Some(podman) = tools::tool("podman") else { return };
    let ocirepo = Ocirepo::new();
    let image = ImageSpec::seeded("podman").build();
    let archive = podman_archive(&ocirepo, &image, FULL);
    let store = ocirepo.scratch("podman");
    let own = [
        "--root",
        &format!("{}/root", text(&store)),
        "--runroot",
        &format!("{}/run", text(&store)),
        "--storage-driver",
        "vfs",
    ];
    let run = |args: &[&str]| {
        let args: Vec<&str> = own.iter().copied().chain(args.iter().copied()).collect();
        tools::run(&podman, &args)
    };
    run(&["load", "--quiet", "--input", text(&archive)]);
    ocirepo.run(&["init"]).ok();
    let mut digests = BTreeSet::new();
    for format in ["docker-archive", "oci-archive"] {
        let saved = ocirepo.scratch(format);
        run(&["save", "--quiet", "--format", format, "--output", text(&saved), FULL]);
        let added = ocirepo.run(&["add", text(&saved), "--format", "json"]).json();
        assert_eq!(added["images"][0]["reference"], FULL, "{format}");
        digests.insert(added["images"][0]["digest"].to_string());
        ocirepo.run(&["verify"]).ok();
    }
    assert_eq!(digests.len(), 2, "podman packs the layers of an oci-archive");
    assert_eq!(names(&ocirepo), [FULL]);
}
