//! `verify --repair-from`: what was lost comes back from anything that still has it, byte for byte, and nothing else
//! comes in.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::fs;
use std::path::PathBuf;

use ocirepo_tests::archive::{docker_save, docker25_save, oci_archive, podman_save};
use ocirepo_tests::artifact::index_of;
use ocirepo_tests::checker::check;
use ocirepo_tests::cli::{Ocirepo, Output};
use ocirepo_tests::compress::Packing;
use ocirepo_tests::descriptor::full_named;
use ocirepo_tests::digest;
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::layout::Layout;
use ocirepo_tests::producers;
use ocirepo_tests::snapshot::{Snapshot, copy_tree, debris};
use ocirepo_tests::states::{State, Tree, finding, nowhere};
use ocirepo_tests::tarball::Tarball;
use ocirepo_tests::volumes::{self, Bundle, flipped};
use serde_json::{Value, json};

const APP: &str = "docker.io/test/app:1";
const MULTI: &str = "docker.io/test/multi:1";

fn app() -> Image {
    ImageSpec::seeded("app").noise_layer(1, 40_000).build()
}

fn arm() -> Image {
    let files = Tarball::new().file("arm", "arm".repeat(200));
    ImageSpec::seeded("arm").platform("linux/arm64").gzip_layer(files).build()
}

/// What a damage is found as, and the damage.
type Damage = (&'static str, fn(&Layout, &str));

/// Ways to damage a blob.
const DAMAGES: [Damage; 3] = [
    ("corrupt", |layout, blob| layout.corrupt(blob)),
    ("wrong-size", |layout, blob| layout.truncate(blob, 20)),
    ("missing", |layout, blob| layout.delete(blob)),
];

/// A repository of an image and an index over two, and what it was when it was sound.
struct Shop {
    state: State,
    before: Tree,
    /// A sound copy of it.
    good: PathBuf,
}

impl Shop {
    fn new() -> Self {
        let mut state = State::new();
        let index = index_of(&[(&app(), "linux/amd64"), (&arm(), "linux/arm64")]);
        state.layout.full_image(&app(), APP).blobs_of(arm().blobs().chain([&index]));
        state.layout.entry(full_named(index.descriptor(), MULTI)).write_index();
        let good = state.ocirepo.scratch("good");
        copy_tree(state.dir(), &good);
        Self { before: state.tree().without_own(), state, good }
    }

    fn index(&self) -> String {
        index_of(&[(&app(), "linux/amd64"), (&arm(), "linux/arm64")]).digest
    }

    fn good(&self) -> &str {
        self.good.to_str().unwrap()
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.state.ocirepo.scratch(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// What `export` makes of the sound copy.
    fn export(&self, name: &str, args: &[&str]) -> String {
        let path = self.state.ocirepo.scratch(name).to_str().unwrap().to_owned();
        let good = self.state.ocirepo.in_dir(&self.good);
        good.run(&[&["export", "-o", &path], args].concat()).ok();
        path
    }

    fn repair(&self, sources: &[&str]) -> Output {
        let flags = sources.iter().flat_map(|source| ["--repair-from", source]);
        self.state.run(&["verify"].into_iter().chain(flags).collect::<Vec<_>>())
    }

    /// Repairs, and panics unless everything is as it was before the damage.
    #[track_caller]
    fn is_healed_from(&self, sources: &[&str]) -> Value {
        let report = self.repair(sources).json();
        self.is_as_before();
        report
    }

    #[track_caller]
    fn is_as_before(&self) {
        self.state.tree().without_own().assert_is(&self.before);
        check(self.state.dir()).assert_tidy();
        assert_eq!(debris(self.state.dir()), Default::default());
        self.state.run(&["verify"]).ok();
    }

    /// Every kind of damage to every one of `blobs` by itself, healed from `source`.
    #[track_caller]
    fn each_damage_is_healed(&self, blobs: &[&str], mut repair: impl FnMut(&Self) -> Value) {
        for blob in blobs {
            for (kind, damage) in DAMAGES {
                damage(&self.state.layout, blob);
                let report = repair(self);
                let repaired = report["repaired"].as_array().unwrap();
                assert_eq!(repaired.len(), 1, "{kind} {blob}: {report:#}");
                assert_eq!(repaired[0]["digest"], json!(blob));
                let is_root = *blob == app().digest() || *blob == self.index();
                let kind = if kind == "missing" && is_root { "missing-root" } else { kind };
                assert_eq!(repaired[0]["kind"], kind);
                assert_eq!((&report["findings"], &report["quarantined"]), (&json!([]), &json!([])));
                self.is_as_before();
            }
        }
    }
}

/// A layer, a config, a root manifest, a root index: what may not be absent.
fn needed(shop: &Shop) -> Vec<String> {
    let (app, arm) = (app(), arm());
    [&app.layers[2].digest, &app.config.digest, &app.manifest.digest, &arm.layers[2].digest, &shop.index()]
        .map(String::clone)
        .to_vec()
}

#[test]
fn another_repository_heals_every_kind_of_damage() {
    let shop = Shop::new();
    let needed = needed(&shop);
    let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
    shop.each_damage_is_healed(&needed, |shop| {
        let report = shop.is_healed_from(&[shop.good()]);
        let repaired = &report["repaired"][0];
        assert_eq!(repaired["source"], shop.good());
        assert!(repaired["path"].as_str().unwrap().contains("blobs/sha256/"), "{repaired}");
        assert!(!repaired["images"].as_array().unwrap().is_empty(), "{repaired}");
        report
    });
}

#[test]
fn a_bundle_an_oci_archive_and_standard_input_heal_every_kind_of_damage() {
    let shop = Shop::new();
    let needed = needed(&shop);
    let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
    let bundle = shop.export("bundle.tar", &[]);
    shop.each_damage_is_healed(&needed, |shop| shop.is_healed_from(&[&bundle]));
    let packed = shop.export("packed.tar.zst", &["--type", "oci", "--compress", "zstd"]);
    shop.each_damage_is_healed(&needed[..3], |shop| shop.is_healed_from(&[&packed]));
    let bytes = fs::read(&bundle).unwrap();
    shop.each_damage_is_healed(&needed, |shop| {
        let args = ["verify", "--format", "json", "--repair-from", "-"];
        let report = shop.state.ocirepo.run_with_stdin(&args, bytes.clone()).json();
        assert_eq!(report["repaired"][0]["source"], "standard input");
        report
    });
}

/// Such an archive has neither manifests nor names that say what its members hash to.
#[test]
fn docker_archives_heal_what_they_would_have_become() {
    let shop = Shop::new();
    let app = app();
    let needed = [app.layers[2].digest.as_str(), &app.config.digest, &app.manifest.digest];
    for (name, tarball) in [
        ("podman.tar", podman_save(&[(&app, &[APP])])),
        ("docker.tar", docker_save(&[(&app, &[APP])])),
        ("docker25.tar", docker25_save(&[(&app, &[APP])])),
    ] {
        let file = shop.file(name, tarball.to_bytes());
        shop.each_damage_is_healed(&needed, |shop| shop.is_healed_from(&[&file]));
        let packed = shop.file(name, Packing::Gzip.pack(&tarball.to_bytes()));
        shop.each_damage_is_healed(&needed[..1], |shop| shop.is_healed_from(&[&packed]));
        let folder = shop.state.ocirepo.scratch("folder");
        if name == "podman.tar" {
            tarball.unpack(&folder);
            shop.each_damage_is_healed(&needed, |shop| shop.is_healed_from(&[folder.to_str().unwrap()]));
        }
    }
}

/// What is sound of an archive heals, whatever is wrong with the rest of it.
#[test]
fn an_archive_that_is_damaged_itself_still_heals_what_it_has() {
    let shop = Shop::new();
    let app = app();
    let (lost, other) = (&app.layers[2].digest, &app.layers[1].digest);
    let docker = shop.file("podman.tar", podman_save(&[(&app, &[APP])]).to_bytes());
    let member = format!("{}.tar", digest::encoded(other));
    let flipped = shop.file("flipped.tar", flipped(&docker, &member));
    shop.state.layout.corrupt(lost);
    shop.repair(&[&flipped]).ok().says("unpacks to");
    shop.is_as_before();

    // Cut short behind what is lost, and before the index.json.
    let whole = oci_archive(&[(&app, &[APP])], full_named).to_bytes();
    let name = format!("blobs/sha256/{}", digest::encoded(lost));
    let header = whole.windows(name.len()).position(|text| text == name.as_bytes()).unwrap();
    let end = header + 512 + app.layers[2].bytes.len().next_multiple_of(512);
    for bytes in [whole[..end + 700].to_vec(), Packing::Zstd.pack(&whole[..end + 700])] {
        let cut = shop.file("cut.tar", bytes);
        shop.state.layout.corrupt(lost);
        shop.repair(&[&cut]).ok().says("is damaged");
        shop.is_as_before();
    }

    // No index.json at all.
    let blobs = shop.state.ocirepo.scratch("headless");
    copy_tree(&shop.good, &blobs);
    fs::remove_file(blobs.join("index.json")).unwrap();
    shop.state.layout.truncate(lost, 3);
    shop.repair(&[blobs.to_str().unwrap()]).ok();
    shop.is_as_before();
}

#[test]
fn a_manifest_that_comes_back_shows_what_else_is_lost() {
    let shop = Shop::new();
    let (app, arm) = (app(), arm());
    let layout = &shop.state.layout;
    // The layer is an orphan, and the config one that is damaged, until the manifests are back.
    layout.truncate(&shop.index(), 10);
    layout.corrupt(arm.digest());
    layout.delete(&arm.layers[2].digest);
    layout.corrupt(&arm.config.digest);
    layout.delete(app.digest());
    layout.truncate(&app.layers[2].digest, 0);
    let bytes = fs::read(shop.export("b.tar", &["--compress", "gzip"])).unwrap();
    let args = ["verify", "--format", "json", "--repair-from", "-"];
    let report = shop.state.ocirepo.run_with_stdin(&args, bytes).json();
    assert_eq!(report["repaired"].as_array().unwrap().len(), 6, "{report:#}");
    shop.is_as_before();
}

/// The first source has the layer and not the manifest that tells of it.
#[test]
fn two_sources_heal_together_what_none_heals_alone() {
    let shop = Shop::new();
    let (app, arm) = (app(), arm());
    let (one, two) = (shop.state.ocirepo.scratch("one"), shop.state.ocirepo.scratch("two"));
    copy_tree(&shop.good, &one);
    copy_tree(&shop.good, &two);
    let (one, two) = (Layout::open(&one), Layout::open(&two));
    one.delete(app.digest());
    one.corrupt(&arm.layers[2].digest);
    two.corrupt(&app.layers[2].digest);
    for digest in [app.digest(), &app.layers[2].digest, &arm.layers[2].digest] {
        shop.state.layout.corrupt(digest);
    }
    let paths = [one.path().to_str().unwrap(), two.path().to_str().unwrap()];
    let output = shop.repair(&paths).ok().says(&format!("no good copy of {}", arm.layers[2].digest));
    let report = output.any_json();
    let source = |digest: &str| {
        let repaired = report["repaired"].as_array().unwrap().iter();
        repaired.clone().find(|row| row["digest"] == digest).unwrap()["source"].clone()
    };
    assert_eq!(source(app.digest()), paths[1]);
    assert_eq!(source(&app.layers[2].digest), paths[0]);
    assert_eq!(source(&arm.layers[2].digest), paths[1]);
    shop.is_as_before();
}

#[test]
fn a_source_with_the_same_damage_or_with_nothing_changes_nothing() {
    let shop = Shop::new();
    let layer = &app().layers[2].digest;
    shop.state.layout.corrupt(layer);
    let same = shop.state.ocirepo.scratch("same");
    copy_tree(shop.state.dir(), &same);
    let other =
        oci_archive(&[(&ImageSpec::seeded("other").build(), &["docker.io/test/other:1"])], full_named);
    let other = shop.file("other.tar", other.to_bytes());
    let text = shop.file("text", "no archive at all");
    let before = Snapshot::of(shop.state.dir());
    let same = same.to_str().unwrap();
    for (sources, said) in [
        (&[same][..], &["no good copy of", "hashes to"][..]),
        (&[&other], &[]),
        (&[&text], &["text is not an image archive"]),
        (&[same, &text, &other], &["no good copy of", "text is not an image archive"]),
    ] {
        let mut output =
            shop.repair(sources).one_clear_error(4, &["1 blob could not be repaired", layer, APP, MULTI]);
        for text in said {
            output = output.says(text);
        }
        let report = output.any_json();
        assert_eq!(report["repaired"], json!([]));
        let found = finding(&report, layer);
        assert_eq!((&found["kind"], &found["images"]), (&json!("corrupt"), &json!([APP, MULTI])));
        before.assert_same(shop.state.dir(), "a repair that heals nothing");
    }
}

#[test]
fn only_what_is_lost_comes_in() {
    let shop = Shop::new();
    let app = app();
    let (bigger, extra) = (shop.state.ocirepo.scratch("bigger"), ImageSpec::seeded("extra").build());
    copy_tree(&shop.good, &bigger);
    Layout::open(&bigger).full_image(&extra, "docker.io/test/extra:1").write_index();
    // What no image needs is not healed, and a child that may be absent is not brought.
    let layout = &shop.state.layout;
    let (orphan, child) = (nowhere('7'), arm());
    layout.blob_as("sha256", digest::encoded(&orphan), b"something else");
    Layout::open(&bigger).blob_as("sha256", digest::encoded(&orphan), b"something else again");
    layout.delete(child.digest());
    layout.corrupt(&app.config.digest);
    let index = fs::read(layout.path().join("index.json")).unwrap();
    let blobs = layout.blobs();
    let report = shop.repair(&[bigger.to_str().unwrap()]).fails_with(4).any_json();
    assert_eq!(report["repaired"].as_array().unwrap().len(), 1);
    assert_eq!(layout.blobs(), blobs);
    assert_eq!(fs::read(layout.path().join("index.json")).unwrap(), index);
    assert_eq!(finding(&report, child.digest())["kind"], "sparse");
    assert_eq!(finding(&report, &orphan)["kind"], "corrupt");
    assert_eq!(debris(shop.state.dir()), Default::default());

    // A child that is there and damaged is healed.
    fs::copy(shop.good.join("blobs/sha256").join(child.manifest.hex()), layout.blob_path(child.digest()))
        .unwrap();
    layout.delete(&orphan);
    layout.corrupt(child.digest());
    shop.is_healed_from(&[bigger.to_str().unwrap()]);
}

#[test]
fn only_the_images_that_are_named_are_repaired() {
    let shop = Shop::new();
    let (app, arm) = (app(), arm());
    shop.state.layout.corrupt(&app.layers[2].digest);
    shop.state.layout.corrupt(&arm.layers[2].digest);
    let report = shop.state.json(&["verify", APP, "--repair-from", shop.good()]);
    assert_eq!(report["repaired"].as_array().unwrap().len(), 1, "{report:#}");
    shop.state.run(&["verify", APP]).ok();
    shop.state.run(&["verify"]).fails_with(4);
    shop.state.run(&["verify", "gone:1", "--repair-from", shop.good()]).fails_with(3);
    shop.is_healed_from(&[shop.good()]);
}

#[test]
fn one_volume_heals_what_it_holds_and_all_of_them_what_lies_in_parts() {
    let bundle = Bundle::new();
    let layout = Layout::open(bundle.source.dir());
    let before = Tree::of(bundle.source.dir()).without_own();
    let repair = |sources: &[&str]| {
        let flags = sources.iter().flat_map(|source| ["--repair-from", source]);
        let args: Vec<&str> = ["verify", "--format", "json"].into_iter().chain(flags).collect();
        bundle.source.run(&args)
    };
    let (number, member) = bundle.find("blobs/");
    let whole = format!("sha256:{}", member.rsplit('/').next().unwrap());
    layout.corrupt(&whole);
    let report = repair(&[bundle.volume(number)]).json();
    assert_eq!(report["repaired"][0]["digest"], json!(whole));
    Tree::of(bundle.source.dir()).without_own().assert_is(&before);

    let (_, member) = bundle.find("ocirepo-parts/");
    let parts = format!("sha256:{}", member.rsplit('/').next().unwrap().split('.').next().unwrap());
    layout.corrupt(&parts);
    let all: Vec<&str> = bundle.volumes.iter().map(|path| path.to_str().unwrap()).collect();
    repair(&all[..1]).fails_with(4);
    let report = repair(&all).json();
    let source = report["repaired"][0]["source"].as_str().unwrap();
    assert!(source.contains(".tar, "), "{source}");
    Tree::of(bundle.source.dir()).without_own().assert_is(&before);
    assert_eq!(volumes::pending(&bundle.source), json!([]));
    assert_eq!(debris(bundle.source.dir()), Default::default());
}

/// Of a stream, large blobs that the repository has are passed over: not those that only seem to be there.
#[test]
fn a_large_blob_that_is_damaged_at_its_size_is_taken_from_a_stream() {
    let mut state = State::new();
    let large = ImageSpec::seeded("large").noise_layer(1, 5 << 20).noise_layer(2, 5 << 20).build();
    state.layout.full_image(&large, APP).write_index();
    let before = state.tree().without_own();
    let archive = oci_archive(&[(&large, &[APP])], full_named).to_bytes();
    for what in [&[][..], &[APP]] {
        state.layout.corrupt(&large.layers[3].digest);
        // Until it is back, nothing says that the layer is needed.
        state.layout.corrupt(large.digest());
        let args = [&["verify", "--repair-from", "-"], what].concat();
        state.ocirepo.run_with_stdin(&args, archive.clone()).ok();
        state.tree().without_own().assert_is(&before);
    }
}

#[test]
fn a_delta_heals_what_it_carries() {
    let shop = Shop::new();
    let base = shop.export("base.tar", &[APP]);
    let delta = shop.export("delta.tar", &["--have", &base]);
    shop.state.layout.corrupt(&arm().layers[2].digest);
    shop.state.layout.delete(&shop.index());
    shop.is_healed_from(&[&delta]);
    shop.state.layout.corrupt(&app().layers[2].digest);
    shop.repair(&[&delta]).fails_with(4);
    shop.is_healed_from(&[&delta, &base]);
}

#[test]
fn an_archive_from_before_docker_1_10_heals_the_image_it_became() {
    let sample = producers::docker_v1();
    let file = |ocirepo: &Ocirepo| ocirepo.scratch("v1.tar").to_str().unwrap().to_owned();
    let ocirepo = volumes::repository();
    fs::write(file(&ocirepo), sample.tarball().to_bytes()).unwrap();
    ocirepo.run(&["add", &file(&ocirepo)]).ok();
    let before = Tree::of(ocirepo.dir()).without_own();
    let layout = Layout::open(ocirepo.dir());
    for blob in layout.blobs().iter().filter(|blob| !layout.read_blob(blob).is_empty()) {
        layout.corrupt(blob);
        ocirepo.run(&["verify", "--repair-from", &file(&ocirepo)]).ok();
        Tree::of(ocirepo.dir()).without_own().assert_is(&before);
    }
}
