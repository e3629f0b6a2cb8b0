//! Archives that were made to write, read or remove something else than blobs: names and links that lead out, devices,
//! digests that are paths. Whatever comes of each, nothing outside of the repository changes, and in it there are
//! blobs under their digests and nothing else.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use ocirepo_tests::archive;
use ocirepo_tests::checker::check;
use ocirepo_tests::cli::{Ocirepo, Output};
use ocirepo_tests::compress::Packing;
use ocirepo_tests::descriptor::{Blob, OCI_MANIFEST, full_named};
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::json::compact;
use ocirepo_tests::layout::Layout;
use ocirepo_tests::snapshot::{Snapshot, tree};
use ocirepo_tests::states::State;
use ocirepo_tests::tarball::{Member, Tarball};
use ocirepo_tests::tools;
use serde_json::{Value, json};

const NAME: &str = "docker.io/test/a:1";

/// An image of one layer.
fn image() -> Image {
    ImageSpec::new().layer(Tarball::new().file("seed", "a")).build()
}

/// A repository with something around it that is not to change.
struct Target {
    state: State,
    around: Vec<(String, Vec<u8>)>,
}

impl Target {
    fn new() -> Self {
        let state = State::two_images();
        fs::create_dir(state.ocirepo.scratch("outside")).unwrap();
        fs::write(state.ocirepo.scratch("outside/file"), "a file of somebody else").unwrap();
        let around = around(&state.ocirepo);
        Self { state, around }
    }

    /// Adds it in every way there is, and sees that nothing else than blobs came of it.
    #[track_caller]
    fn takes(tarball: &Tarball, what: &str) -> Vec<Output> {
        let bytes = tarball.to_bytes();
        let mut outputs = Vec::new();
        for way in ["file", "stream", "packed", "dry", "listed"] {
            let target = Self::new();
            let ocirepo = target.state.ocirepo.clone().time_limit(Duration::from_secs(60));
            let path = ocirepo.scratch("in.tar");
            fs::write(&path, if way == "packed" { Packing::Gzip.pack(&bytes) } else { bytes.clone() })
                .unwrap();
            let source = path.to_str().unwrap();
            let output = match way {
                "stream" => ocirepo.run_with_stdin(&["add", "-"], bytes.clone()),
                "dry" => ocirepo.run(&["add", "-n", source]),
                "listed" => ocirepo.run(&["verify", source]),
                _ => ocirepo.run(&["add", source]),
            };
            fs::remove_file(path).unwrap();
            target.is_sound(&format!("{what}, {way}"));
            outputs.push(output);
        }
        outputs
    }

    #[track_caller]
    fn is_sound(&self, what: &str) {
        assert_eq!(around(&self.state.ocirepo), self.around, "{what}");
        check(self.state.dir()).assert_sound();
        for path in tree(self.state.dir()).keys().filter(|path| path.starts_with("./blobs/sha256/")) {
            let name = path.rsplit('/').next().unwrap();
            assert!(name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{what}: {path}");
        }
        let known = ["", "./blobs", "./blobs/sha256", "./index.json", "./oci-layout", "./.ocirepo"];
        for path in tree(self.state.dir()).keys() {
            let is_known = known.contains(&path.as_str());
            assert!(
                is_known || path.starts_with("./blobs/sha256/") || path.starts_with("./.ocirepo/"),
                "{what}: {path}"
            );
        }
    }
}

/// Panics unless one of these is why: another reason would prove nothing.
#[track_caller]
fn says(output: &Output, reasons: &[&str]) {
    let told = format!("{}{}", output.stdout, output.stderr);
    assert!(reasons.iter().any(|reason| told.contains(reason)), "{reasons:?}: {told}");
}

/// Everything beside the repository, with its content.
fn around(ocirepo: &Ocirepo) -> Vec<(String, Vec<u8>)> {
    let root = ocirepo.scratch("");
    let paths = tree(&root).into_keys().filter(|path| !path.starts_with("./repo"));
    paths.map(|path| (path.clone(), fs::read(root.join(&path)).unwrap_or_default())).collect()
}

/// Names that would lead out, were they paths.
const NAMES: [&str; 9] = [
    "../outside/file",
    "../../../../../../../../tmp/ocirepo-was-here",
    "/tmp/ocirepo-was-here",
    "//tmp/ocirepo-was-here",
    "blobs/sha256/../../../outside/file",
    "blobs/../../outside/file",
    ".ocirepo/config.json",
    "a/./../../outside/file",
    "..",
];

#[test]
fn names_that_lead_out() {
    let image = image();
    for name in NAMES {
        // Beside what is needed, it is passed over.
        let beside = archive::oci_archive(&[(&image, &[NAME])], full_named).file(name, "evil");
        for output in Target::takes(&beside, name) {
            output.ok();
        }
        // Needed, it is refused or not found.
        let item =
            |config: &str, layer: &str| json!([{"Config": config, "RepoTags": [NAME], "Layers": [layer]}]);
        for (config, layer) in [("c", name), (name, "l")] {
            let needed = Tarball::new()
                .file("c", image.config.bytes.clone())
                .file("l", image.tars[0].clone())
                .file(name, "evil")
                .file("manifest.json", compact(&item(config, layer)));
            for output in Target::takes(&needed, name) {
                says(
                    &output.fails_with(4),
                    &["not in the archive", "name is not usable", "unpacks to", "usable as a config"],
                );
            }
        }
    }
    assert!(!Path::new("/tmp/ocirepo-was-here").exists());
}

#[test]
fn links_that_lead_out() {
    let image = image();
    for target in NAMES.into_iter().chain(["/etc/passwd", "/proc/self/environ", "layer.tar"]) {
        for link in [Member::symlink("layer.tar", target), Member::hardlink("layer.tar", target)] {
            let item = json!([{"Config": "c", "RepoTags": [NAME], "Layers": ["layer.tar"]}]);
            let tarball = Tarball::new()
                .file("c", image.config.bytes.clone())
                .with(link)
                .file("manifest.json", compact(&item));
            for output in Target::takes(&tarball, target) {
                says(&output.fails_with(4), &["layer.tar"]);
            }
        }
        // A document that is a link, and a folder that is one: unpacked, what follows would be written through it.
        let through = archive::oci_archive(&[(&image, &[NAME])], full_named)
            .with(Member::symlink("evil", target))
            .file("evil/file", "evil")
            .first("evil");
        for output in Target::takes(&through, target) {
            output.ok();
        }
        let layout = archive::oci_archive(&[(&image, &[NAME])], full_named).without("index.json");
        for output in Target::takes(&layout.with(Member::symlink("index.json", target)), target) {
            assert!(matches!(output.status.code(), Some(1 | 4)), "{target}: {}", output.stderr);
        }
    }
}

/// Devices and fifos have no content, and are not made.
#[test]
fn devices_and_fifos() {
    let image = image();
    for kind in [b'3', b'4', b'6', b'7', b'S', b'V', b'D', b'x' + 1] {
        let item = json!([{"Config": "c", "RepoTags": [NAME], "Layers": ["device"]}]);
        let device = Tarball::new().file("device", "").to_bytes();
        let mut header = device[..512].to_vec();
        header[156] = kind;
        let rest = Tarball::new().file("c", image.config.bytes.clone()).file("manifest.json", compact(&item));
        let bytes = [with_checksum(header), rest.to_bytes()].concat();
        let target = Target::new();
        says(&target.state.ocirepo.run_with_stdin(&["add", "-"], bytes).fails_with(4), &["device"]);
        target.is_sound("a device");
    }
}

fn with_checksum(mut header: Vec<u8>) -> Vec<u8> {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// Digests that are paths are no digests, wherever one may stand.
#[test]
fn digests_that_are_paths() {
    let image = image();
    let paths = [
        "sha256:../../../outside/file",
        "sha256:/etc/passwd",
        "../outside:file",
        "..:..",
        "sha256:..",
        "sha256:",
        ":",
        "",
        "sha256",
        "x:../file",
        "sha256:\0",
        &format!("sha256:{}", "A".repeat(64)),
        &format!("sha256:{}", "a".repeat(63)),
        &format!("x:{}", "a".repeat(256)),
    ];
    let mut wanted: Vec<Value> = paths.iter().map(|path| json!(path)).collect();
    wanted.extend([json!(null), json!(1), json!(["sha256:a"]), json!({"sha256": "a"})]);
    for digest in wanted {
        let mut entry = full_named(image.descriptor(), NAME);
        entry["digest"] = digest.clone();
        let roots = archive::oci_archive_of(image.blobs(), [entry])
            .file("blobs/sha256/../../../outside/file", "evil");
        let mut manifest: Value = serde_json::from_slice(&image.manifest.bytes).unwrap();
        manifest["layers"][0]["digest"] = digest.clone();
        let manifest = Blob::new(OCI_MANIFEST, compact(&manifest));
        let layers = archive::oci_archive_of(
            image.blobs().chain([&manifest]),
            [full_named(manifest.descriptor(), NAME)],
        );
        for tarball in [roots, layers] {
            for output in Target::takes(&tarball, &digest.to_string()) {
                assert!(matches!(output.status.code(), Some(1 | 4)), "{digest}: {}", output.stderr);
            }
        }
    }
}

/// What stands in `data` is proven like a blob, and is no way around the proof.
#[test]
fn embedded_content_that_is_something_else() {
    let (image, other) = (image(), ImageSpec::seeded("other").build());
    for data in ["bm90IHRoZSBjb250ZW50", "%%%", "", &"A".repeat(8 << 20)] {
        let mut entry = full_named(other.descriptor(), NAME);
        entry["data"] = data.into();
        // The manifest itself is not in the archive.
        for output in Target::takes(&archive::oci_archive_of(image.blobs(), [entry]), "data") {
            output.fails_with(4);
        }
    }
}

/// A directory as a source, prepared by somebody: links out of it, fifos, and itself a link.
#[test]
fn directories_with_links_and_fifos() {
    let image = image();
    let unpacked = |target: &Target| {
        let folder = target.state.ocirepo.scratch("outside/source");
        let item = json!([{"Config": "c", "RepoTags": [NAME], "Layers": ["l"]}]);
        let tarball = Tarball::new()
            .file("c", image.config.bytes.clone())
            .file("l", image.tars[0].clone())
            .file("manifest.json", compact(&item));
        tarball.unpack(&folder);
        folder
    };
    for file in ["c", "l", "manifest.json"] {
        let mut target = Target::new();
        let folder = unpacked(&target);
        let elsewhere = target.state.ocirepo.scratch("outside/elsewhere");
        fs::rename(folder.join(file), &elsewhere).unwrap();
        symlink(&elsewhere, folder.join(file)).unwrap();
        target.around = around(&target.state.ocirepo);
        target.state.ocirepo.run(&["add", folder.to_str().unwrap()]).fails_with(4).says("link out");
        target.is_sound(file);
        fs::remove_file(folder.join(file)).unwrap();
        let Some(mkfifo) = tools::find("mkfifo") else { continue };
        tools::run(&mkfifo, &[folder.join(file).to_str().unwrap()]);
        let ocirepo = target.state.ocirepo.clone().time_limit(Duration::from_secs(40));
        for verb in ["add", "ls", "verify"] {
            let output = ocirepo.run(&[verb, folder.to_str().unwrap()]).fails_with(4);
            let told = format!("{}{}", output.stdout, output.stderr);
            assert!(told.contains("not a regular file"), "{verb} {file}: {told}");
        }
    }
    // Blobs may be links to a pool elsewhere, since they are proven; what is no blob is not taken for one.
    let mut target = Target::new();
    let folder = target.state.ocirepo.scratch("outside/layout");
    Layout::create(&folder).full_image(&image, NAME).write_index();
    let layer = folder.join("blobs/sha256").join(image.layers[0].hex());
    fs::remove_file(&layer).unwrap();
    symlink("/etc/passwd", &layer).unwrap();
    target.around = around(&target.state.ocirepo);
    let before = Snapshot::of(target.state.dir());
    target.state.ocirepo.run(&["add", folder.to_str().unwrap()]).fails_with(4);
    before.assert_same(target.state.dir(), "a blob that is a link to something else");
    target.is_sound("a blob that is a link to something else");
}
