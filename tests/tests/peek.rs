//! `ls`, `inspect` and `verify` look into a bundle or any other archive where it lies: what they say is what adding it
//! would give, nothing is written, and damage is found with its member and its image.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ocirepo_tests::archive;
use ocirepo_tests::artifact::artifact;
use ocirepo_tests::cli::{Ocirepo, Output};
use ocirepo_tests::compress::Packing;
use ocirepo_tests::descriptor;
use ocirepo_tests::digest;
use ocirepo_tests::exported::{TOC, export};
use ocirepo_tests::image::ImageSpec;
use ocirepo_tests::json::compact;
use ocirepo_tests::layout::Layout;
use ocirepo_tests::producers::{self, Sample};
use ocirepo_tests::snapshot::tree;
use ocirepo_tests::tarball::{Kind, Tarball};
use ocirepo_tests::volumes::{Bundle, flipped, read, write};
use serde_json::{Value, json};

/// Runs in a directory that is no repository, and panics if anything is written there or left in `TMPDIR`.
struct Bystander {
    ocirepo: Ocirepo,
}

impl Bystander {
    fn new() -> Self {
        Self { ocirepo: Ocirepo::new() }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.ocirepo.scratch(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> Output {
        self.watch(|ocirepo| ocirepo.run(args))
    }

    #[track_caller]
    fn run_with_stdin(&self, args: &[&str], bytes: &[u8]) -> Output {
        self.watch(|ocirepo| ocirepo.run_with_stdin(args, bytes))
    }

    #[track_caller]
    fn watch(&self, run: impl FnOnce(&Ocirepo) -> Output) -> Output {
        let before = tree(self.ocirepo.dir());
        let output = run(&self.ocirepo);
        assert_eq!(before, tree(self.ocirepo.dir()), "something was written");
        let left: Vec<_> = fs::read_dir(self.ocirepo.scratch("tmp")).unwrap().collect();
        assert!(left.is_empty(), "left behind: {left:?}");
        output
    }

    #[track_caller]
    fn list(&self, source: &str) -> Value {
        self.run(&["ls", source, "--format", "json"]).json()
    }

    #[track_caller]
    fn verify(&self, source: &str, code: i32) -> Value {
        self.run(&["verify", source, "--format", "json"]).fails_with(code).any_json()
    }
}

/// What adding must not change.
fn facts(rows: &Value) -> Vec<Value> {
    let keys = ["reference", "digest", "mediaType", "size", "totalSize", "platforms", "complete"];
    let fact = |row: &Value| keys.iter().map(|&key| row[key].clone()).collect();
    rows.as_array().unwrap().iter().map(fact).collect()
}

fn added(bytes: &[u8]) -> Ocirepo {
    let ocirepo = Ocirepo::new();
    ocirepo.run(&["init"]).ok();
    ocirepo.run_with_stdin(&["add", "-"], bytes).ok();
    ocirepo
}

/// The kinds of all findings that are errors.
fn errors(report: &Value) -> BTreeSet<&str> {
    let findings = report["findings"].as_array().unwrap().iter();
    let errors = findings.filter(|finding| finding["severity"] == "error");
    errors.map(|finding| finding["kind"].as_str().unwrap()).collect()
}

fn finding<'r>(report: &'r Value, kind: &str) -> &'r Value {
    let mut findings = report["findings"].as_array().unwrap().iter();
    findings.find(|finding| finding["kind"] == kind).unwrap_or_else(|| panic!("no {kind}: {report:#}"))
}

/// However it lies there, an archive lists what adding it would list.
#[track_caller]
fn lists_what_adding_gives(sample: &Sample) {
    let bytes = sample.tarball().to_bytes();
    let there = Bystander::new();
    let repository = added(&bytes);
    let expected = facts(&repository.run(&["ls", "--format", "json"]).json());
    let file = there.file("archive", &bytes);
    assert_eq!(facts(&there.list(&file)), expected, "a file");
    let piped = there.run_with_stdin(&["ls", "-", "--format", "json"], &bytes).json();
    assert_eq!(facts(&piped), expected, "a pipe");
    let packed = there.file("packed", &Packing::Zstd.pack(&bytes));
    assert_eq!(facts(&there.list(&packed)), expected, "packed");
    if !sample.tarball().members.iter().any(|member| matches!(member.kind, Kind::Hardlink(_))) {
        let folder = there.ocirepo.scratch("folder");
        sample.tarball().unpack(&folder);
        let before = tree(&folder);
        let folder = folder.to_str().unwrap();
        let listed = facts(&there.list(folder));
        let found = there.verify(folder, 0);
        assert_eq!(errors(&found), BTreeSet::new(), "a folder: {found:#}");
        assert_eq!(before, tree(Path::new(folder)), "the folder");
        assert_eq!(listed, expected, "a folder");
    }
    for source in [&file, &packed] {
        let report = there.verify(source, 0);
        assert_eq!(errors(&report), BTreeSet::new(), "{report:#}");
        assert!(report["bytes"].as_u64() > Some(0), "{report:#}");
    }
}

macro_rules! producers {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                lists_what_adding_gives(&producers::$name());
            }
        )*
    };
}

ocirepo_tests::each_producer!(producers);

const APP: &str = "docker.io/library/app:1";
const SHOP: &str = "registry.example/shop/web:2";

/// A repository of two images and a signature.
fn shop() -> Ocirepo {
    let ocirepo = Ocirepo::new();
    let app = ImageSpec::seeded("app").noise_layer(1, 50_000).build();
    let shop = ImageSpec::seeded("shop").noise_layer(1, 50_000).build();
    let mut layout = Layout::create(ocirepo.dir());
    layout.full_image(&app, APP).full_image(&shop, SHOP);
    layout.artifact(&artifact("application/vnd.test.signature", b"signed", Some(&app.manifest)));
    layout.write_index();
    ocirepo
}

#[test]
fn a_hybrid_bundle_lists_its_artifacts_too_and_an_image_of_it_is_inspected() {
    let bundle = export(&shop(), &[]);
    let there = Bystander::new();
    let file = there.file("b.tar", &bundle.bytes);
    let listed = there.list(&file);
    let expected = added(&bundle.bytes).run(&["ls", "--format", "json"]).json();
    assert_eq!(facts(&listed), facts(&expected));
    assert_eq!(listed.as_array().map(Vec::len), Some(3), "{listed:#}");
    let names = there.run(&["ls", "--names", &file]).ok();
    assert_eq!(names.stdout, format!("{APP}\n{SHOP}\n"));

    let inspect = |args: &[&str]| there.run(&[&["inspect", "--format", "json"], args].concat());
    let app = inspect(&["app:1", "--in", &file]).json();
    assert_eq!((&app["reference"], &app["complete"]), (&json!(APP), &json!(true)));
    assert_eq!(app["digest"], listed[0]["digest"]);
    inspect(&["gone:1", "--in", &file]).fails_with(3);
    inspect(&[&file]).fails_with(2).says("--in").says(&format!("{APP}, {SHOP}"));
    let raw = there.run(&["inspect", "--raw", "app:1", "--in", &file]).ok();
    assert_eq!(digest::sha256(&raw.bytes), app["digest"].as_str().unwrap());
    assert_eq!(errors(&there.verify(&file, 0)), BTreeSet::new());
}

#[test]
fn the_one_image_of_an_archive_needs_no_name_and_the_repository_comes_first() {
    let sample = producers::docker_save_by_id();
    let there = Bystander::new();
    let file = there.file("image.tar", &sample.tarball().to_bytes());
    let image = there.run(&["inspect", &file, "--format", "json"]).json();
    assert_eq!(image["reference"], Value::Null);
    let piped = there.run_with_stdin(&["inspect", "-", "--format", "json"], &sample.tarball().to_bytes());
    assert_eq!(piped.json(), image);

    let repository = shop();
    fs::write(repository.dir().join("app"), sample.tarball().to_bytes()).unwrap();
    let inspect = |word: &str| repository.run(&["inspect", word, "--format", "json"]);
    assert_eq!(inspect("app").json()["digest"], image["digest"], "app:latest is not in the repository");
    repository.run(&["tag", "app:1", "app:latest"]).ok();
    assert_ne!(inspect("app").json()["digest"], image["digest"]);
    inspect("nowhere.tar").fails_with(3);
}

#[test]
fn what_is_no_archive_is_said_to_be_none() {
    let there = Bystander::new();
    let text = there.file("text", b"hello");
    for verb in ["ls", "inspect", "verify"] {
        there.run(&[verb, &text]).one_clear_error(1, &["is not an image archive"]);
        there.run(&[verb, "-"]).fails_with(1);
    }
    there.run(&["ls", "gone.tar"]).one_clear_error(1, &["cannot read gone.tar"]);
    let repository = shop();
    repository.run(&["verify", "app:1", &text]).fails_with(2);
}

#[test]
fn another_repository_is_looked_at_as_it_is() {
    let (other, there) = (shop(), Bystander::new());
    let path = other.dir().to_str().unwrap();
    let before = tree(other.dir());
    let expected = there.run(&["-C", path, "ls", "--format", "json"]).json();
    assert_eq!(there.list(path), expected);
    let inspected = there.run(&["inspect", "app:1", "--in", path]).ok().stdout;
    assert_eq!(inspected, there.run(&["-C", path, "inspect", "app:1"]).ok().stdout);
    assert_eq!(there.verify(path, 0)["findings"], json!([]));
    assert_eq!(before, tree(other.dir()));
}

/// A delta lists whole images, and says what it leaves to its receiver.
#[test]
fn a_delta_is_incomplete_and_sound() {
    let (shop, there) = (shop(), Bystander::new());
    let app = there.ocirepo.scratch("app");
    shop.run(&["export", "app:1", "--type", "oci", "-o", app.to_str().unwrap()]).ok();
    let delta = export(&shop, &["--have", app.to_str().unwrap()]);
    let file = there.file("delta.tar", &delta.bytes);
    let output = there.run(&["ls", &file, "--format", "json"]).ok().says("to its receiver");
    let rows = output.any_json();
    assert_eq!(rows.as_array().map(Vec::len), Some(3), "{rows:#}");
    assert!(rows.as_array().unwrap().iter().any(|row| row["reference"] == SHOP && row["complete"] == false));
    let lacking = rows.as_array().unwrap().iter().filter(|row| row["complete"] == false).count();
    let text = there.run(&["ls", &file]).ok().stdout;
    let with_base = text.lines().filter(|line| line.ends_with(" its base")).count();
    assert_eq!(with_base, lacking, "{text}");
    let report = there.verify(&file, 0);
    let required = delta.document(TOC)["required"].as_array().unwrap().clone();
    let notes = report["findings"].as_array().unwrap().iter().filter(|note| note["kind"] == "required");
    assert_eq!(notes.count(), required.len(), "{report:#}");
    assert_eq!(finding(&report, "required")["path"], json!(file));
    assert_eq!(errors(&report), BTreeSet::new(), "{report:#}");
}

#[test]
fn every_volume_lists_the_whole_bundle_and_is_verified_by_itself() {
    let (bundle, there) = (Bundle::new(), Bystander::new());
    for path in &bundle.volumes {
        let path = path.to_str().unwrap();
        assert_eq!(there.list(path).as_array().map(Vec::len), Some(4));
        let report = there.verify(path, 0);
        assert_eq!(errors(&report), BTreeSet::new(), "{report:#}");
        assert_eq!(finding(&report, "other-volumes")["digest"], json!(bundle.id));
    }
    let all: Vec<&str> = bundle.volumes.iter().map(|path| path.to_str().unwrap()).collect();
    there.run(&[&["verify"], &all[..]].concat()).ok();
    there.run(&[&["verify", "--quick"], &all[..]].concat()).ok();
}

#[test]
fn a_damaged_volume_is_named_with_the_member() {
    let (bundle, there) = (Bundle::new(), Bystander::new());
    for folder in ["blobs/", "ocirepo-parts/"] {
        let (number, member) = bundle.find(folder);
        let path = there.file("v.tar", &flipped(bundle.volume(number), &member));
        let report = there.verify(&path, 4);
        let damaged = finding(&report, "damaged")["message"].as_str().unwrap();
        assert!(damaged.contains(&member) && damaged.contains(&format!("volume {number}")), "{damaged}");
        assert_eq!(errors(&report).contains("corrupt"), folder == "blobs/", "{report:#}");
        assert_eq!(errors(&there.verify(&path, 4)), errors(&report));
        there.run(&["verify", "--quick", &path]).ok();
        let cut = read(bundle.volume(number)).into_iter().filter(|(name, _)| *name != member);
        let path = there.file("v.tar", &write(&cut.collect::<Vec<_>>()));
        assert!(errors(&there.verify(&path, 4)).contains("damaged"));
    }
}

/// Damage of every kind, in an image layout and in the archives of docker.
#[test]
fn damage_is_found_with_its_member_and_image() {
    let there = Bystander::new();
    let app = ImageSpec::seeded("app").noise_layer(1, 5_000).build();
    let layer = app.layers.last().unwrap().digest.clone();
    let name = format!("blobs/sha256/{}", digest::encoded(&layer));
    let whole = archive::oci_archive(&[(&app, &[APP])], descriptor::full_named);
    let file = there.file("a.tar", &whole.to_bytes());

    let corrupt = there.file("corrupt.tar", &flipped(&file, &name));
    let report = there.verify(&corrupt, 4);
    assert_eq!(errors(&report), BTreeSet::from(["corrupt"]));
    let found = finding(&report, "corrupt");
    assert_eq!((&found["digest"], &found["path"]), (&json!(layer), &json!(corrupt)));
    assert_eq!(found["images"], json!([APP]));
    assert!(found["message"].as_str().unwrap().contains(&name), "{found}");
    let text = there.run(&["verify", &corrupt]).fails_with(4);
    assert!(text.stdout.contains(&name) && text.stdout.contains(APP), "{}", text.stdout);
    // What only lists does not read layers, and the quick look neither.
    assert_eq!(facts(&there.list(&corrupt)), facts(&there.list(&file)));
    there.run(&["verify", "--quick", &corrupt]).ok();

    let mut lacking = whole.clone();
    lacking.members.retain(|member| member.name != name);
    let lacking = there.file("lacking.tar", &lacking.to_bytes());
    assert_eq!(there.list(&lacking)[0]["complete"], json!(false));
    assert_eq!(finding(&there.verify(&lacking, 4), "missing")["images"], json!([APP]));

    let bytes = whole.to_bytes();
    let cut = there.file("cut.tar", &bytes[..bytes.len() / 2]);
    assert_eq!(errors(&there.verify(&cut, 4)), BTreeSet::from(["damaged"]));
    there.run(&["ls", &cut]).fails_with(4);

    let docker = there.file("d.tar", &archive::docker_save(&[(&app, &["app:1"])]).to_bytes());
    let layer = read(&docker).into_iter().find(|(name, _)| name.ends_with("layer.tar")).unwrap().0;
    let corrupt = there.file("d-corrupt.tar", &flipped(&docker, &layer));
    let report = there.verify(&corrupt, 4);
    let found = finding(&report, "corrupt");
    assert!(found["message"].as_str().unwrap().contains(&layer), "{found}");
    assert_eq!(found["images"], json!(["app:1"]), "{found}");
}

#[test]
fn a_table_of_contents_that_lies_is_found() {
    let there = Bystander::new();
    let bundle = export(&shop(), &["--type", "oci"]);
    let mut tarball = Tarball::new();
    for member in bundle.members.iter().filter(|member| member.kind.is_file()) {
        let content = match member.name.as_str() {
            "index.json" => {
                let mut index: Value = serde_json::from_slice(&member.content).unwrap();
                index["manifests"].as_array_mut().unwrap().remove(0);
                compact(&index)
            }
            _ => member.content.clone(),
        };
        tarball = tarball.file(&member.name, content);
    }
    let file = there.file("b.tar", &tarball.to_bytes());
    let report = there.verify(&file, 4);
    assert!(finding(&report, "damaged")["message"].as_str().unwrap().contains("index.json"), "{report:#}");
}

/// A layer of 4 GiB whose content is not even what its name says: listing it does not read it.
#[test]
fn listing_reads_no_layers() {
    const SIZE: u64 = 4 << 30;
    let there = Bystander::new();
    let config = compact(&json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers"}}));
    let layer = digest::sha256(b"something else");
    let manifest = compact(&json!({
        "schemaVersion": 2,
        "mediaType": descriptor::OCI_MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest::sha256(&config),
            "size": config.len(),
        },
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": SIZE}],
    }));
    let entry = json!({"mediaType": descriptor::OCI_MANIFEST, "digest": digest::sha256(&manifest), "size": manifest.len()});
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", digest::encoded(&digest::sha256(bytes)));
    let documents = Tarball::new()
        .file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#)
        .file("index.json", compact(&json!({"schemaVersion": 2, "manifests": [entry]})))
        .file(blob(&config), config.clone())
        .file(blob(&manifest), manifest.clone())
        .to_bytes();
    let mut header = tar::Header::new_gnu();
    header.set_path(format!("blobs/sha256/{}", digest::encoded(&layer))).unwrap();
    header.set_size(SIZE);
    header.set_mode(0o644);
    header.set_cksum();
    let end = documents.iter().rposition(|&byte| byte != 0).unwrap() / 512 * 512 + 512;
    let bytes = [&documents[..end], header.as_bytes()].concat();
    let path = there.file("large.tar", &bytes);
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(bytes.len() as u64 + SIZE + 1024)
        .unwrap();

    let began = std::time::Instant::now();
    let rows = there.list(&path);
    assert!(began.elapsed() < std::time::Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!((&rows[0]["complete"], &rows[0]["platforms"]), (&json!(true), &json!(["linux/amd64"])));
    assert_eq!(rows[0]["totalSize"], json!(SIZE + (config.len() + manifest.len()) as u64));
    there.run(&["inspect", &path]).ok();
    there.run(&["verify", "--quick", &path]).ok();
}
