//! Archives in docker's own formats: every image comes back with its config and its names, whatever its layers were
//! packed in, and docker before 1.10 finds what it knows.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use liblzma::read::XzDecoder;
use ocirepo_tests::archive::helm_chart;
use ocirepo_tests::artifact::{artifact, index_of, schema1};
use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::compress::Compression;
use ocirepo_tests::descriptor::{Blob, full_named, split_reference};
use ocirepo_tests::digest;
use ocirepo_tests::exported::{Exported, add, export, run};
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::layout::Layout;
use ocirepo_tests::producers::{self, Sample};
use ocirepo_tests::states::{A, B, State, image};
use ocirepo_tests::tarball::Tarball;
use ocirepo_tests::tools::{self, say};
use serde_json::{Value, json};
use tar::EntryType;

const SHOP: &str = "registry.example:5000/shop/web:2.1";

/// Images of raw, gzip and zstd layers, one of them under two names, one without any.
fn packed_in_every_way() -> (State, [Image; 4]) {
    let images = [
        ImageSpec::seeded("raw").build(),
        ImageSpec::seeded("gzip").packed(Compression::Gzip).build(),
        ImageSpec::seeded("zstd").packed(Compression::Zstd).build(),
        ImageSpec::seeded("mixed").gzip_layer(Tarball::new().file("more", "x")).build(),
    ];
    let mut state = State::new();
    let [raw, gzip, zstd, mixed] = &images;
    state
        .layout
        .full_image(raw, A)
        .full_image(gzip, B)
        .full_image(zstd, SHOP)
        .full_image(raw, "quay.io/shop/a:1");
    state.layout.blobs_of(mixed.blobs());
    state.layout.entry(mixed.descriptor()).write_index();
    (state, images)
}

/// The configs in a repository, with the names of the images that have them.
fn configs(dir: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let layout = Layout::open(dir);
    let mut configs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in layout.read_index()["manifests"].as_array().unwrap() {
        let manifest = layout.read_blob(entry["digest"].as_str().unwrap());
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let config = manifest["config"]["digest"].as_str().unwrap().to_owned();
        let name = entry["annotations"]["io.containerd.image.name"].as_str();
        configs.entry(config).or_default().extend(name.map(str::to_owned));
    }
    configs
}

/// What stands in manifest.json: every layer unpacks to what the config says. Returns how layers are packed.
#[track_caller]
fn layers_fit(exported: &Exported) -> Vec<Compression> {
    let mut packed = Vec::new();
    for item in exported.items() {
        let config = item["Config"].as_str().unwrap();
        let bytes = &exported.member(config).content;
        assert_eq!(config, format!("{}.json", digest::encoded(&digest::sha256(bytes))));
        let config: Value = serde_json::from_slice(bytes).unwrap();
        let diff_ids = config["rootfs"]["diff_ids"].as_array().cloned().unwrap_or_default();
        let layers = item["Layers"].as_array().unwrap();
        assert_eq!(layers.len(), diff_ids.len());
        for (layer, diff_id) in layers.iter().zip(diff_ids) {
            let name = layer.as_str().unwrap();
            let bytes = &exported.member(name).content;
            let compression = Compression::of(bytes);
            let plain = digest::sha256(&compression.unpack(bytes));
            assert_eq!(diff_id, plain.as_str(), "{name}");
            let stem = if compression == Compression::None { plain } else { digest::sha256(bytes) };
            assert_eq!(name, format!("{}.tar{}", digest::encoded(&stem), compression.suffix()));
            packed.push(compression);
        }
    }
    packed
}

#[test]
fn every_image_comes_back_with_its_config_and_names() {
    let (state, images) = packed_in_every_way();
    for form in ["docker", "docker-legacy"] {
        let exported = export(&state.ocirepo, &["--type", form]);
        exported.is_silent();
        assert!(layers_fit(&exported).iter().all(|packed| *packed == Compression::None));
        let again = add(&exported.bytes, "full");
        assert_eq!(configs(again.dir()), configs(state.dir()), "{form}");
        let digests: BTreeSet<_> = images.iter().map(|image| image.unpacked().manifest.digest).collect();
        let ls = again.run(&["ls", "--format", "json"]).json();
        let found = ls.as_array().unwrap().iter().map(|row| row["digest"].as_str().unwrap().to_owned());
        assert_eq!(found.collect::<BTreeSet<_>>(), digests, "{form}");
        again.run(&["verify"]).ok();
        assert!(export(&again, &["--type", form]).bytes == exported.bytes, "{form}");
    }
}

#[test]
fn layers_are_packed_as_asked() {
    let (state, images) = packed_in_every_way();
    for (how, expected) in
        [("gzip", Compression::Gzip), ("zstd", Compression::Zstd), ("gzip:1", Compression::Gzip)]
    {
        let exported = export(&state.ocirepo, &["--type", "docker", "--layers", how]);
        assert!(layers_fit(&exported).iter().all(|packed| *packed == expected), "{how}");
        let stored = &images[if expected == Compression::Gzip { 1 } else { 2 }].layers[1];
        let kept = format!("{}.tar{}", stored.hex(), expected.suffix());
        assert_eq!(exported.member(&kept).content, stored.bytes, "what fits already is not packed again");
        let again = add(&exported.bytes, "full");
        assert_eq!(configs(again.dir()), configs(state.dir()), "{how}");
        again.run(&["verify"]).ok();
    }
}

#[test]
fn docker_finds_its_documents_first_and_nothing_of_other_formats() {
    let state = State::two_images();
    let exported = export(&state.ocirepo, &["--type", "docker"]);
    assert_eq!(exported.repo_tags(), [[A], [B]]);
    let (a, b) = (image("a"), image("b"));
    let mut configs = [&a, &b].map(|image| format!("{}.json", image.config.hex()));
    configs.sort();
    let layers = [&a.layers[0], &a.layers[1], &b.layers[1]].map(|layer| format!("{}.tar", layer.hex()));
    let layers: BTreeSet<_> = layers.into_iter().collect();
    let expected: Vec<_> = std::iter::once("manifest.json".to_owned()).chain(configs).chain(layers).collect();
    assert_eq!(exported.names(), expected);
    assert!(exported.members.iter().all(|member| member.kind == EntryType::Regular));
}

/// Whatever people have.
macro_rules! producers {
    ($($name:ident),* $(,)?) => {
        const ALL: &[(&str, fn() -> Sample)] = &[$((stringify!($name), producers::$name)),*];
    };
}

ocirepo_tests::each_producer!(producers);

#[test]
fn images_of_every_producer_come_back() {
    for (name, sample) in ALL {
        let (first, again) = (sample().goes_in(&[]), Ocirepo::new());
        again.run(&["init"]).ok();
        let ids = |ocirepo: &Ocirepo| -> BTreeSet<String> {
            let exported = export(ocirepo, &["--type", "docker"]);
            layers_fit(&exported);
            exported.items().iter().map(|item| format!("{} {}", item["Config"], item["RepoTags"])).collect()
        };
        let exported = export(&first, &["--type", "docker"]);
        again.run_with_stdin(&["add", "-"], exported.bytes).ok();
        assert_eq!(ids(&again), ids(&first), "{name}");
        again.run(&["verify"]).ok();
        if *name != "buildx_docker_scratch" {
            let legacy = export(&first, &["--type", "docker-legacy"]);
            assert_eq!(legacy.items(), export(&first, &["--type", "docker"]).items(), "{name}");
            add(&legacy.bytes, "full").run(&["verify"]).ok();
        }
    }
}

/// The folders that docker before 1.10 reads: base first, each with its parent, the layer a link to the one file.
#[test]
fn the_old_part_is_whole() {
    let state = State::two_images();
    let exported = export(&state.ocirepo, &["--type", "docker-legacy"]);
    let repositories = exported.document("repositories");
    for (name, image) in [(A, image("a")), (B, image("b"))] {
        let (repository, tag) = split_reference(name);
        let mut id = repositories[repository][tag].as_str().unwrap().to_owned();
        let mut stack = Vec::new();
        loop {
            assert_eq!(exported.member(&format!("{id}/VERSION")).content, b"1.0");
            let link = exported.member(&format!("{id}/layer.tar"));
            assert_eq!(link.kind, EntryType::Symlink);
            let target = link.link.as_deref().unwrap().strip_prefix("../").unwrap().to_owned();
            stack.push(digest::sha256(&exported.member(&target).content));
            let layer = exported.document(&format!("{id}/json"));
            assert_eq!(layer["id"], id.as_str());
            let Some(parent) = layer["parent"].as_str() else { break };
            parent.clone_into(&mut id);
        }
        stack.reverse();
        assert_eq!(stack, image.diff_ids, "{name}");
    }
    assert_eq!(exported.names()[..2], ["manifest.json", "repositories"]);
    let links = exported.members.iter().filter(|member| member.kind == EntryType::Symlink);
    assert_eq!(links.count(), 3, "the base is shared");

    // As docker before 1.10 would, without manifest.json.
    let old: Tarball = archive_without(&exported, "manifest.json");
    let again = add(&old.to_bytes(), "full");
    let names = again.run(&["ls", "--names"]).ok().stdout;
    assert_eq!(names.lines().collect::<BTreeSet<_>>(), [A, B].into());
}

/// The members but for one.
fn archive_without(exported: &Exported, name: &str) -> Tarball {
    use ocirepo_tests::tarball::Member;
    let members = exported.members.iter().filter(|member| member.name != name);
    let copy = |member: &ocirepo_tests::exported::Member| match (&member.kind, &member.link) {
        (EntryType::Directory, _) => Member::dir(&member.name),
        (_, Some(target)) => Member::symlink(&member.name, target),
        _ => Member::file(&member.name, member.content.clone()),
    };
    members.map(copy).collect()
}

#[test]
fn a_layer_that_is_not_what_the_config_says_is_refused() {
    let mut wrong = ImageSpec::seeded("wrong").packed(Compression::Gzip).build();
    let other = ImageSpec::seeded("other").packed(Compression::Gzip).build();
    let text = String::from_utf8(wrong.manifest.bytes.clone()).unwrap();
    let (old, new) = (&wrong.layers[1], &other.layers[1]);
    let text = text.replace(&old.digest, &new.digest);
    let text = text
        .replace(&format!("\"size\":{}}}]", old.bytes.len()), &format!("\"size\":{}}}]", new.bytes.len()));
    wrong.manifest = Blob::new(wrong.manifest.media_type.as_str(), text);
    wrong.layers[1] = new.clone();
    let raw = ImageSpec::seeded("raw").build();
    let mut raw_wrong = image("x");
    let text = String::from_utf8(raw_wrong.manifest.bytes.clone()).unwrap();
    assert_eq!(raw.layers[1].bytes.len(), raw_wrong.layers[1].bytes.len());
    let text = text.replace(&raw_wrong.layers[1].digest, &raw.layers[1].digest);
    raw_wrong.manifest = Blob::new(raw_wrong.manifest.media_type.as_str(), text);
    raw_wrong.layers[1] = raw.layers[1].clone();
    for image in [&wrong, &raw_wrong] {
        let mut state = State::two_images();
        state.layout.full_image(image, SHOP).write_index();
        let path = state.ocirepo.scratch("out.tar");
        for args in [
            &["--type", "docker"][..],
            &["--type", "docker-legacy"],
            &["--type", "docker", "--layers", "zstd"],
        ] {
            let output = run(&state.ocirepo, &path, args);
            output.one_clear_error(4, &[SHOP, &image.layers[1].digest, &image.diff_ids[1]]);
            assert!(!path.exists());
        }
        // Nothing is unpacked for an image layout.
        export(&state.ocirepo, &[]);
    }
}

#[test]
fn what_has_no_form_is_refused_or_left_out() {
    let schema1 = schema1("library/old", "1", &image("old"));
    let chart = helm_chart("app");
    const OLD: &str = "docker.io/library/old:1";
    const CHART: &str = "registry.example/charts/app:1.0.0";
    let mut state = State::two_images();
    let signature = artifact("application/x.signature", b"signed", Some(&image("a").manifest));
    state.layout.artifact(&signature).blobs_of(schema1.blobs().chain(chart.blobs()));
    state.layout.entry(full_named(schema1.manifest.descriptor(), OLD));
    state.layout.entry(full_named(chart.manifest.descriptor(), CHART)).write_index();
    let path = state.ocirepo.scratch("out.tar");
    for form in ["docker", "docker-legacy"] {
        run(&state.ocirepo, &path, &["--type", form]).fails_with(1).says(OLD).says("schema 1");
        assert!(!path.exists());
        let exported = export(&state.ocirepo, &["--type", form, A, CHART]);
        exported.warns(&[CHART]);
        exported.warns(&[&signature.manifest.digest[..19]]);
        assert_eq!(exported.repo_tags(), [[A]]);
        let alone = run(&state.ocirepo, &path, &["--type", form, CHART]);
        assert!(!alone.status.success() && !path.exists(), "{form}: an archive of nothing");
    }
    let scratch = ImageSpec::new().build();
    let mut state = State::new();
    state.layout.full_image(&scratch, A).write_index();
    assert_eq!(export(&state.ocirepo, &["--type", "docker"]).items()[0]["Layers"], json!([]));
    run(&state.ocirepo, &path, &["--type", "docker-legacy"]).fails_with(1).says("no layers");
}

/// One image of an index, the same on every machine, or the one that is asked for.
#[test]
fn an_index_becomes_one_image() {
    let images = ["linux/arm64", "linux/amd64"].map(|it| ImageSpec::seeded(it).platform(it).build());
    let index = index_of(&[(&images[0], "linux/arm64"), (&images[1], "linux/amd64")]);
    let mut state = State::new();
    state.layout.blobs_of(images.iter().flat_map(Image::blobs).chain([&index]));
    state.layout.entry(full_named(index.descriptor(), A)).write_index();
    let exported = export(&state.ocirepo, &["--type", "docker"]);
    exported.warns(&[A, "linux/amd64"]);
    assert_eq!(exported.items()[0]["Config"], format!("{}.json", images[1].config.hex()));
    let arm = export(&state.ocirepo, &["--type", "docker", "--platform", "linux/arm64"]);
    assert_eq!(arm.items()[0]["Config"], format!("{}.json", images[0].config.hex()));
    assert_eq!(arm.repo_tags(), [[A]]);
    state.layout.delete(images[1].digest());
    let sparse = export(&state.ocirepo, &["--type", "docker"]);
    assert_eq!(sparse.items()[0]["Config"], format!("{}.json", images[0].config.hex()));
}

/// Archives that other programs wrote, which repeat the old format in another way. Of one kind docker wrote one.
fn is_of_another_writer(name: &str) -> bool {
    ["_derived/", "_generated/podman", "_generated/skopeo", "google+go-containerregistry/"]
        .iter()
        .any(|start| name.starts_with(start) && !name.ends_with("/test_link.tar"))
}

/// Archives of docker in the corpus: added and exported again, the old part has the very IDs that docker gave.
#[test]
fn the_old_part_is_the_one_that_docker_wrote() {
    let Some(corpus) = env::var_os("OCIREPO_CORPUS").map(PathBuf::from) else {
        return say("skipped: OCIREPO_CORPUS does not name a directory of archives");
    };
    let (mut archives, mut equal) = (0, 0);
    for path in tars(&corpus) {
        let name = path.strip_prefix(&corpus).unwrap().to_string_lossy().into_owned();
        if is_of_another_writer(&name) {
            continue;
        }
        let ocirepo = Ocirepo::new();
        ocirepo.run(&["init"]).ok();
        let Some(written) = layer_ids(&path) else { continue };
        if written.is_empty() || !ocirepo.run(&["add", path.to_str().unwrap()]).status.success() {
            continue;
        }
        let exported = export(&ocirepo, &["--type", "docker-legacy"]);
        let ids: BTreeSet<_> =
            exported.names().into_iter().filter_map(|name| name.strip_suffix("/json")).collect();
        let ours: BTreeSet<_> = ids.into_iter().map(str::to_owned).collect();
        assert_eq!(ours, written, "{name}");
        (archives, equal) = (archives + 1, equal + ours.len());
    }
    say(&format!("{equal} layers of {archives} archives are as docker wrote them"));
    assert!(archives > 0, "the corpus has no archive of docker");
}

/// The folders of layers in an archive; `None` for what cannot be read here.
fn layer_ids(path: &Path) -> Option<BTreeSet<String>> {
    let bytes = fs::read(path).unwrap();
    let bytes: Box<dyn io::Read> = match path.extension()?.to_str()? {
        "xz" => Box::new(XzDecoder::new(bytes.as_slice())),
        _ => Box::new(bytes.as_slice()),
    };
    let mut archive = tar::Archive::new(bytes);
    let mut ids = BTreeSet::new();
    let mut has_manifest = false;
    for entry in archive.entries().ok()? {
        let entry = entry.ok()?;
        let name = String::from_utf8(entry.path_bytes().into_owned()).ok()?;
        has_manifest |= name == "manifest.json";
        if let Some(id) = name.strip_suffix("/json").filter(|id| id.len() == 64) {
            ids.insert(id.to_owned());
        }
    }
    has_manifest.then_some(ids)
}

fn tars(root: &Path) -> Vec<PathBuf> {
    let (mut open, mut found) = (vec![root.to_owned()], Vec::new());
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if [".tar", ".tar.xz"].iter().any(|end| path.to_string_lossy().ends_with(end)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Witnesses: skopeo copies each image and finds its config.
#[test]
fn skopeo_finds_the_configs() {
    let Some(skopeo) = tools::tool("skopeo") else { return };
    let (state, images) = packed_in_every_way();
    let path = state.ocirepo.scratch("out.tar");
    for how in ["raw", "gzip", "zstd"] {
        run(&state.ocirepo, &path, &["--type", "docker", "--layers", how]).ok();
        for (name, image) in [(A, &images[0]), (B, &images[1]), (SHOP, &images[2])] {
            let source = format!("docker-archive:{}:{name}", path.display());
            let config = tools::run(&skopeo, &["inspect", "--config", "--raw", &source]);
            assert_eq!(digest::sha256(config.as_bytes()), image.config.digest, "{how} {name}");
        }
    }
}
