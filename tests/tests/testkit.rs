//! The testkit judged: the checker finds each kind of damage, and other people's tools read what the builder
//! writes.

use ocirepo_tests::artifact::{
    artifact, index_of, index_of_descriptors, manifest_list, old_artifact, schema1,
};
use ocirepo_tests::checker::{Report, check};
use ocirepo_tests::compress::Compression;
use ocirepo_tests::descriptor::{self, Blob};
use ocirepo_tests::image::{Flavor, Image, ImageSpec};
use ocirepo_tests::layout::Layout;
use ocirepo_tests::tarball::{Kind, Tarball};
use ocirepo_tests::{archive, digest, tools};
use serde_json::json;
use tempfile::TempDir;

const A: &str = "docker.io/library/a:1";
const B: &str = "registry.example/team/b:2";

fn temp() -> TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

fn image(seed: &str) -> Image {
    ImageSpec::seeded(seed).build()
}

/// A layout of two images that share a layer.
fn two_images() -> (TempDir, Layout, Image, Image) {
    let dir = temp();
    let (a, b) = (image("a"), image("b"));
    let mut layout = Layout::create(dir.path());
    layout.full_image(&a, A).image(&b, B).write_index();
    (dir, layout, a, b)
}

fn assert_problem(report: &Report, part: &str) {
    assert!(report.problems.iter().any(|problem| problem.contains(part)), "{part:?} not in {report:#?}");
}

#[test]
fn a_sound_layout_has_no_problems() {
    let (_dir, layout, a, b) = two_images();
    let report = check(layout.path());
    report.assert_tidy();
    assert_eq!(report.names, [A, B]);
    assert_eq!(report.image_names, [A]);
    // Two manifests, two configs, one shared layer and one of each image's own.
    assert_eq!(layout.blobs().len(), 7);
    assert_eq!(report.live, layout.blobs());
    assert!(report.live.contains(a.digest()) && report.live.contains(b.digest()));
    check(Layout::create(temp().path()).path()).assert_tidy();
}

#[test]
fn damaged_blobs_are_found() {
    type Damage = fn(&Layout, &Image);
    let cases: [(&str, Damage); 7] = [
        ("hashes to", |layout, a| layout.corrupt(&a.layers[1].digest)),
        ("hashes to", |layout, a| layout.truncate(&a.config.digest, 5)),
        ("bytes, but", |layout, a| layout.truncate(&a.layers[0].digest, 0)),
        ("missing, needed by", |layout, a| layout.delete(&a.config.digest)),
        ("missing, needed by index.json entry 0", |layout, a| layout.delete(a.digest())),
        ("the name is not a digest", |layout, _| layout.blob_as("sha256", "leftover.tmp", b"")),
        ("hashes to", |layout, _| layout.blob_as("sha512", &"0".repeat(128), b"")),
    ];
    for (expected, damage) in cases {
        let (_dir, layout, a, _) = two_images();
        damage(&layout, &a);
        assert_problem(&check(layout.path()), expected);
    }
}

#[test]
fn links_and_folders_among_blobs_are_found() {
    let (_dir, layout, a, _) = two_images();
    let path = layout.blob_path(&a.layers[0].digest);
    std::fs::rename(&path, layout.path().join("moved")).unwrap();
    std::os::unix::fs::symlink("../../moved", &path).unwrap();
    std::fs::create_dir(layout.blob_path(&format!("sha256:{}", "0".repeat(64)))).unwrap();
    std::fs::write(layout.path().join("blobs/stray"), "").unwrap();
    let report = check(layout.path());
    assert_eq!(report.problems.iter().filter(|problem| problem.contains("not a regular file")).count(), 2);
    assert_problem(&report, "blobs/stray: not a directory");
}

#[test]
fn damaged_documents_are_found() {
    let cases = [
        ("oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#, "imageLayoutVersion is"),
        ("oci-layout", "", "oci-layout: EOF"),
        ("index.json", "{", "index.json: EOF"),
        ("index.json", "[]", "index.json: not an object"),
        ("index.json", r#"{"schemaVersion":2,"manifests":null}"#, "manifests is not an array"),
        ("index.json", r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#, "duplicate key \"manifests\""),
        ("index.json", r#"{"schemaVersion":1,"manifests":[]}"#, "schemaVersion is not 2"),
        ("index.json", r#"{"schemaVersion":2,"mediaType":"x","manifests":[]}"#, "mediaType is \"x\""),
        ("index.json", r#"{"schemaVersion":2,"manifests":[7]}"#, "entry 0: not a descriptor"),
    ];
    for (name, text, expected) in cases {
        let (_dir, layout, ..) = two_images();
        layout.write(name, text.as_bytes());
        assert_problem(&check(layout.path()), expected);
    }
    let (_dir, layout, ..) = two_images();
    std::fs::remove_file(layout.path().join("index.json")).unwrap();
    assert_problem(&check(layout.path()), "index.json: No such file");
}

#[test]
fn entries_that_do_not_fit_their_blobs_are_found() {
    let dir = temp();
    let a = image("a");
    let mut layout = Layout::create(dir.path());
    layout.blobs_of(a.blobs());
    let mut wrong_size = a.descriptor();
    wrong_size["size"] = 1.into();
    let mut wrong_type = a.descriptor();
    wrong_type["mediaType"] = descriptor::OCI_INDEX.into();
    let mut fraction = a.descriptor();
    fraction["size"] = json!(1.5);
    layout.entry(wrong_size).entry(wrong_type).entry(fraction).write_index();
    let report = check(layout.path());
    for expected in
        ["entry 0 says 1", "entry 1 says application/vnd.oci.image.index", "entry 2: not a descriptor"]
    {
        assert_problem(&report, expected);
    }
}

#[test]
fn garbage_sparse_children_and_staging_are_told() {
    let (_dir, mut layout, a, b) = two_images();
    let stray = layout.blob(b"nobody needs this");
    let absent = image("absent");
    let index = index_of(&[(&a, "linux/amd64"), (&absent, "linux/arm64")]);
    layout.blob(&index.bytes);
    layout.entry(index.descriptor()).write_index();
    let staging = layout.path().join(".ocirepo/tmp/1");
    std::fs::create_dir_all(&staging).unwrap();
    std::fs::write(staging.join("part"), "").unwrap();
    let report = check(layout.path());
    report.assert_sound();
    assert_eq!(report.garbage, [stray].into());
    assert_eq!(report.sparse, [absent.digest().to_owned()].into());
    assert_eq!(report.staging.len(), 1);
    assert!(report.live.contains(b.digest()));
}

#[test]
fn everything_a_manifest_can_point_at_is_followed() {
    let (a, b) = (image("a"), ImageSpec::seeded("b").flavor(Flavor::Docker).platform("linux/arm/v7").build());
    let inner = index_of(&[(&a, "linux/amd64"), (&b, "linux/arm/v7")]);
    let outer = index_of_descriptors([inner.descriptor()]);
    let list = manifest_list(descriptor::DOCKER_LIST, [b.descriptor()]);
    let signature = artifact("application/x-signature", b"signed", Some(&inner));
    let note = old_artifact("application/x-note", b"a note", &signature.manifest);
    let old = schema1("library/a", "1", &a);
    let unknown = Blob::new("application/x-list", json!({"things": [a.descriptor()]}).to_string());

    let dir = temp();
    let mut layout = Layout::create(dir.path());
    layout.blobs_of(a.blobs()).blobs_of(b.blobs()).blobs_of([&inner, &outer, &list, &unknown]);
    // The referrers have no entry of their own.
    layout.blobs_of(signature.blobs()).blobs_of(note.blobs()).blobs_of(old.blobs());
    layout.entry(outer.descriptor()).write_index();
    let report = check(layout.path());
    report.assert_sound();
    assert_eq!(report.garbage.len(), 3, "the list, the unknown thing and the schema 1 manifest: {report:#?}");

    layout
        .entry(list.descriptor())
        .entry(unknown.descriptor())
        .entry(old.manifest.descriptor())
        .write_index();
    check(layout.path()).assert_tidy();
    layout.delete(&a.layers[0].digest);
    assert_problem(&check(layout.path()), "missing");
}

#[test]
fn an_opened_layout_keeps_its_entries() {
    let (_dir, layout, ..) = two_images();
    let mut again = Layout::open(layout.path());
    let names = ["latest"];
    again.image(&image("c"), names[0]).write_index();
    assert_eq!(check(layout.path()).names, [A, B, "latest"]);
}

/// All writers over the same two images.
fn archives(a: &Image, b: &Image) -> Vec<(&'static str, Tarball)> {
    let items: &[archive::Item<'_>] = &[(a, &[A, "docker.io/library/a:latest"]), (b, &[B])];
    vec![
        ("podman", archive::podman_save(items)),
        ("docker", archive::docker_save(items)),
        ("docker25", archive::docker25_save(items)),
        ("crane", archive::crane_pull(items)),
        ("v1", archive::docker_v1_save(items)),
        ("oci", archive::oci_archive(items, descriptor::ref_named)),
    ]
}

#[test]
fn archives_are_deterministic_and_have_no_duplicate_members() {
    let (a, b) = (image("a"), image("b"));
    for ((name, first), (_, second)) in archives(&a, &b).into_iter().zip(archives(&a, &b)) {
        assert_eq!(first.to_bytes(), second.to_bytes(), "{name}");
        let mut names: Vec<_> = first.members.iter().map(|member| &member.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), first.members.len(), "{name}");
    }
}

#[test]
fn a_docker_save_shares_a_layer_by_a_link() {
    // The same layer twice in one image, so that its second place has another ID.
    let twice = Tarball::new().file("f", "x");
    let image = ImageSpec::new().layer(twice.clone()).layer(twice).build();
    let tarball = archive::docker_save(&[(&image, &[A])]);
    let links: Vec<_> =
        tarball.members.iter().filter(|member| matches!(member.kind, Kind::Symlink(_))).collect();
    assert_eq!(links.len(), 1, "{links:?}");
    let Kind::Symlink(target) = &links[0].kind else { unreachable!() };
    assert!(tarball.get(target.strip_prefix("../").unwrap()).is_some());
}

#[test]
fn docker25_stores_the_manifest_that_is_expected_of_an_importer() {
    let image = ImageSpec::new().gzip_layer(Tarball::new().file("f", "x")).build();
    let tarball = archive::docker25_save(&[(&image, &[A])]);
    let manifest = image.unpacked().manifest;
    assert!(tarball.get(&format!("blobs/sha256/{}", manifest.hex())).is_some());
    assert_ne!(manifest.digest, image.manifest.digest);
    assert_eq!(digest::sha256(&manifest.bytes), manifest.digest);
}

#[test]
fn skopeo_reads_layouts() {
    let Some(skopeo) = tools::tool("skopeo") else { return };
    let (_dir, layout, a, b) = two_images();
    for (reference, image) in [(A, a), (B, b)] {
        let source = format!("oci:{}:{reference}", layout.path().display());
        let text = tools::run(&skopeo, &["inspect", &source]);
        let told: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(told["Digest"], image.digest());
        assert_eq!(told["Layers"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn skopeo_copies_archives_with_every_layer() {
    let Some(skopeo) = tools::tool("skopeo") else { return };
    let (a, b) = (image("a"), image("b"));
    for (name, tarball) in archives(&a, &b) {
        let transport = match name {
            "v1" => continue, // no tool but an old docker reads these
            "oci" => "oci-archive",
            _ => "docker-archive",
        };
        let dir = temp();
        let file = dir.path().join("archive.tar");
        std::fs::write(&file, tarball.to_bytes()).unwrap();
        let source = format!("{transport}:{}:{B}", file.display());
        let target = format!("dir:{}", dir.path().join("out").display());
        tools::run(&skopeo, &["copy", "--quiet", "--insecure-policy", &source, &target]);
        for layer in &b.layers {
            assert!(dir.path().join("out").join(layer.hex()).is_file(), "{name}: {}", layer.digest);
        }
    }
}

#[test]
fn the_judge_accepts_what_skopeo_writes() {
    let Some(skopeo) = tools::tool("skopeo") else { return };
    let dir = temp();
    let a = image("a");
    let index = index_of(&[(&a, "linux/amd64"), (&image("arm"), "linux/arm64")]);
    let mut layout = Layout::create(dir.path().join("from"));
    layout.blobs_of(a.blobs()).blobs_of(image("arm").blobs()).blobs_of([&index]);
    layout.entry(descriptor::ref_named(index.descriptor(), A)).write_index();
    let [from, to] = ["from", "to"].map(|name| format!("oci:{}:{A}", dir.path().join(name).display()));
    tools::run(&skopeo, &["copy", "--quiet", "--insecure-policy", "--all", &from, &to]);
    let report = check(dir.path().join("to"));
    report.assert_tidy();
    // skopeo compresses the layers, so digests differ.
    assert_eq!(
        (report.names.as_slice(), report.live.len()),
        ([A.to_owned()].as_slice(), layout.blobs().len())
    );
}

#[test]
fn umoci_lists_layouts() {
    let Some(umoci) = tools::tool("umoci") else { return };
    let (_dir, layout, ..) = two_images();
    let listed = tools::run(&umoci, &["ls", "--layout", layout.path().to_str().unwrap()]);
    assert_eq!(listed.lines().collect::<Vec<_>>(), [A, B]);
}

#[test]
fn packed_archives_unpack_with_the_usual_tools() {
    let bytes = archive::docker_save(&[(&image("a"), &[A])]).to_bytes();
    let dir = temp();
    for (compression, program) in [(Compression::Gzip, "gzip"), (Compression::Zstd, "zstd")] {
        let Some(program) = tools::tool(program) else { continue };
        let file = dir.path().join(format!("a.tar{}", compression.suffix()));
        std::fs::write(&file, compression.pack(&bytes)).unwrap();
        tools::run(&program, &["-d", "-k", "-f", file.to_str().unwrap()]);
        assert_eq!(std::fs::read(dir.path().join("a.tar")).unwrap(), bytes);
    }
}
