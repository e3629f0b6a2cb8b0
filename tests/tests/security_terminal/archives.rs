//! Archives of every kind with poison in their texts and in the names of their members, and every verb that reads one.

use std::fs;

use ocirepo_tests::archive;
use ocirepo_tests::artifact::artifact;
use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::compress::Packing;
use ocirepo_tests::descriptor::{Blob, OCI_CONFIG, full_named};
use ocirepo_tests::exported::TOC;
use ocirepo_tests::image::ImageSpec;
use ocirepo_tests::json::compact;
use ocirepo_tests::layout::Layout;
use ocirepo_tests::snapshot::copy_tree;
use ocirepo_tests::states::State;
use ocirepo_tests::tarball::{Member, Tarball};
use ocirepo_tests::volumes;
use serde_json::{Value, json};

use crate::poison::{POISON, judge, name, run};

/// A docker archive of one item.
fn docker(config: &[u8], item: Value) -> Tarball {
    let image = ImageSpec::seeded("a").build();
    Tarball::new()
        .file("config.json", config)
        .file("layer.tar", image.tars[0].clone())
        .file(format!("{POISON}.json"), config)
        .file(format!("{POISON}/layer.tar"), image.tars[0].clone())
        .file("manifest.json", compact(&json!([item])))
}

/// A config of the one layer of [`docker`].
fn config(fields: &[(&str, Value)]) -> Vec<u8> {
    let image = ImageSpec::seeded("a").build();
    let mut config = json!({
        "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [image.diff_ids[0]]},
    });
    for (field, value) in fields {
        config[*field] = value.clone();
    }
    compact(&config)
}

fn docker_archives() -> Vec<Tarball> {
    let good = config(&[]);
    let item = |tags: Value, config: &str, layer: &str| json!({"Config": config, "RepoTags": tags, "Layers": [layer]});
    let texts = config(&[("os", json!(POISON)), ("architecture", json!(POISON)), ("author", json!(POISON))]);
    let mut twice = docker(&good, item(json!([name("a")]), "config.json", &format!("{POISON}/layer.tar")));
    twice = twice.file(format!("{POISON}/layer.tar"), "another content");
    vec![
        docker(&good, item(json!([name("a"), POISON, name("a")]), "config.json", "layer.tar")),
        docker(&texts, item(json!([name("a")]), &format!("{POISON}.json"), &format!("{POISON}/layer.tar"))),
        docker(&good, item(json!([POISON]), "config.json", POISON)),
        docker(&good, item(json!([POISON]), POISON, "layer.tar")),
        docker(&good, item(json!(POISON), "config.json", "layer.tar")),
        docker(&good, json!({POISON: POISON, "Config": [POISON], "Layers": POISON})),
        docker(
            &config(&[("rootfs", json!({"type": POISON, "diff_ids": [POISON]}))]),
            item(json!([]), "config.json", "layer.tar"),
        ),
        docker(&config(&[("rootfs", json!(POISON))]), item(json!([]), "config.json", "layer.tar")),
        docker(POISON.as_bytes(), item(json!([]), "config.json", "layer.tar")),
        twice,
        Tarball::new().file("manifest.json", POISON),
        Tarball::new().file("manifest.json", format!("[{{{0}:1,{0}:2}}]", json!(POISON))),
        Tarball::new()
            .with(Member::symlink(format!("{POISON}/layer.tar"), format!("../../{POISON}")))
            .file("config.json", good.clone())
            .file(
                "manifest.json",
                compact(&json!([item(json!([]), "config.json", &format!("{POISON}/layer.tar"))])),
            ),
        // Before docker 1.10.
        Tarball::new()
            .file("repositories", compact(&json!({POISON: {POISON: "abc"}, "test/a": {"1": POISON}})))
            .file("abc/VERSION", "1.0")
            .file(
                "abc/json",
                compact(&json!({"id": "abc", "os": POISON, "parent": POISON, "author": POISON})),
            )
            .file("abc/layer.tar", ImageSpec::seeded("a").build().tars[0].clone()),
        Tarball::new().file("repositories", compact(&json!({POISON: POISON}))),
    ]
}

fn layout_archives() -> Vec<Tarball> {
    let image = ImageSpec::seeded("a").annotation(POISON, POISON).build();
    let layout = |entries: Vec<Value>| {
        archive::oci_archive_of(image.blobs(), entries)
            .file(POISON, POISON)
            .file(format!("blobs/sha256/{POISON}"), POISON)
            .with(Member::dir(format!("{POISON}/")))
    };
    let named = full_named(image.descriptor(), &name("a"));
    let with = |field: &str, value: Value| {
        let mut entry = named.clone();
        entry[field] = value;
        layout(vec![entry])
    };
    let other = ImageSpec::seeded("b").build();
    let odd = Blob::new(OCI_CONFIG, compact(&json!({"config": POISON, "layers": [POISON]})));
    vec![
        layout(vec![named.clone()]),
        layout(vec![named.clone(), full_named(image.descriptor(), &name("b")), image.descriptor()]),
        layout(vec![full_named(other.descriptor(), &name("gone"))]),
        layout(vec![full_named(odd.descriptor(), &name("odd"))]),
        with("digest", json!(POISON)),
        with("digest", json!(format!("sha512:{POISON}"))),
        with("size", json!(POISON)),
        with("mediaType", json!(POISON)),
        with("platform", json!({"os": POISON, "architecture": POISON})),
        with("annotations", json!({"org.opencontainers.image.ref.name": POISON, POISON: POISON})),
        layout(vec![json!(POISON)]),
        layout(vec![]).file("oci-layout", format!("{{\"imageLayoutVersion\": {}}}", json!(POISON))),
        layout(vec![]).without("index.json").file("index.json", POISON),
        layout(vec![]).without("index.json").file("index.json", format!("{{{0}:1,{0}:2}}", json!(POISON))),
        layout(vec![named.clone()]).file("ocirepo-bundle.json", POISON),
        layout(vec![named.clone()]).file("ocirepo-bundle.json", format!("{{{0}:1,{0}:2}}", json!(POISON))),
        layout(vec![named]).file("ocirepo-volume.json", format!("{{\"bundle\": {}}}", json!(POISON))),
        Tarball::new().file(POISON, POISON),
        Tarball::new().file(format!("etc/{POISON}"), POISON).file("bin/sh", POISON),
        Tarball::new().file(format!("docker/registry/v2/blobs/sha256/{POISON}"), POISON),
        Tarball::new()
            .file("version", POISON)
            .file("manifest.json", format!("{{\"mediaType\": {}}}", json!(POISON))),
        Tarball::new().file("index.json", POISON).file(format!("{POISON}/index.json"), POISON),
    ]
}

/// Every way to look at a source and to take it.
fn every_verb(source: &str) {
    let ocirepo = State::two_images().ocirepo;
    for args in [
        &["ls", source][..],
        &["verify", source],
        &["inspect", source],
        &["inspect", POISON, "--in", source],
        &["inventory", source],
        &["diff", source, "."],
        &["diff", ".", source],
        &["add", "--dry-run", source],
        &["add", "--dry-run", source, "--platform", "linux/arm64"],
        &["add", "--dry-run", source, "--select", POISON],
        &["add", "--dry-run", source, "--select", "@0", "--ref", "docker.io/test/a:1"],
        &["add", "--dry-run", source, "--merge-platforms", "--require-complete"],
        &["add", "--dry-run", source, "--layers", "gzip", "--verify-diffids"],
        &["export", "--dry-run", "--have", source],
    ] {
        let output = run(&ocirepo, args);
        // The words are right, whatever is wrong with the source.
        assert!(!output.stderr.contains("Usage:"), "{args:?}: {}", output.stderr);
    }
    for (policy, flags) in
        [("full", &[][..]), ("tag", &[]), ("full", &["--keep-going", "-v"]), ("full", &["-q"])]
    {
        let ocirepo = Ocirepo::new();
        ocirepo.run(&["init", "--ref-policy", policy]).ok();
        for _ in 0..2 {
            judge(&ocirepo.run(&[&["add", source], flags].concat()), source);
        }
        judge(&ocirepo.run(&["ls"]), source);
    }
}

fn every_archive(archives: Vec<Tarball>) {
    let ocirepo = Ocirepo::new();
    for (number, tarball) in archives.into_iter().enumerate() {
        // The name of the file is somebody's choice, too.
        let path = ocirepo.scratch(&format!("{number}{POISON}.tar"));
        let bytes = tarball.to_bytes();
        fs::write(&path, if number % 3 == 2 { Packing::Gzip.pack(&bytes) } else { bytes }).unwrap();
        every_verb(path.to_str().unwrap());
    }
}

#[test]
fn docker_archives_of_any_text() {
    every_archive(docker_archives());
}

#[test]
fn layouts_of_any_text() {
    every_archive(layout_archives());
}

/// Names in a header say what the header says, however long and in whatever record.
#[test]
fn members_of_any_name() {
    use ocirepo_tests::headers::{SizeField, Style};
    let image = ImageSpec::seeded("a").build();
    let item = json!({"Config": POISON, "RepoTags": [name("a")], "Layers": [format!("{POISON}/{POISON}")]});
    let tarball = Tarball::new()
        .file(POISON, image.config.bytes)
        .file(format!("{POISON}/{POISON}"), "not the layer")
        .file(format!("../{POISON}"), "out")
        .with(Member::hardlink(format!("{POISON}.link"), format!("/{POISON}")))
        .file("manifest.json", compact(&json!([item])));
    let archives = [Style::Ustar, Style::Gnu, Style::Pax].map(|style| tarball.clone().style(style));
    every_archive(archives.into_iter().chain([tarball.sizes(SizeField::Pax)]).collect());
    // Cut off inside such a member.
    let whole = Tarball::new().file(format!("{POISON}/{POISON}"), vec![b'x'; 4096]).to_bytes();
    let ocirepo = Ocirepo::new();
    let path = ocirepo.scratch("cut.tar");
    fs::write(&path, &whole[..2048]).unwrap();
    every_verb(path.to_str().unwrap());
}

#[test]
fn folders_of_any_text() {
    let ocirepo = Ocirepo::new();
    let folder = ocirepo.scratch(POISON);
    let image = ImageSpec::seeded("a").annotation(POISON, POISON).build();
    let signature = artifact(POISON, POISON.as_bytes(), Some(&image.manifest));
    let mut layout = Layout::create(&folder);
    layout.full_image(&image, &name("a")).artifact(&signature).write_index();
    every_verb(folder.to_str().unwrap());
    let run_in = ocirepo.in_dir(ocirepo.scratch("home"));
    for verb in
        [&["ls"][..], &["verify"], &["gc", "--dry-run"], &["inspect", "x"], &["init"], &["export", "-n"]]
    {
        run(&run_in, &[&["-C", folder.to_str().unwrap()], verb].concat());
    }
    layout.write("index.json", POISON.as_bytes());
    every_verb(folder.to_str().unwrap());
    let unpacked = ocirepo.scratch(&format!("docker{POISON}"));
    docker_archives().swap_remove(1).unpack(&unpacked);
    every_verb(unpacked.to_str().unwrap());
}

/// A bundle whose images are named by somebody else: as it comes, and while it waits.
#[test]
fn bundles_of_any_text() {
    let source = Ocirepo::new();
    let image = ImageSpec::seeded("old").noise_layer(1, 150_000).noise_layer(2, 150_000).build();
    let signature = artifact(POISON, POISON.as_bytes(), Some(&image.manifest));
    Layout::create(source.dir()).full_image(&image, &name("app")).artifact(&signature).write_index();
    let bundle = volumes::Bundle::of(source, "200kB", &[]);
    let receiver = volumes::repository();
    judge(&receiver.run(&["add", bundle.volume(1)]), "a volume");
    for verb in [&["ls", "--pending"][..], &["ls", "--pending", "--digests"], &["gc"], &["verify"], &["ls"]] {
        run(&receiver, verb);
    }
    every_verb(bundle.volume(2));
    // The names inside are taken on trust until the last volume comes.
    let pending = receiver.dir().join(".ocirepo/pending").join(bundle.id.strip_prefix("sha256:").unwrap());
    let toc = fs::read_to_string(pending.join("toc")).unwrap();
    for toc in [
        toc.replace("docker.io", "\\u001b[31m"),
        POISON.to_owned(),
        format!("{{{0}:1,{0}:2}}", json!(POISON)),
    ] {
        let copy = receiver.in_dir(receiver.scratch("copy"));
        copy_tree(receiver.dir(), copy.dir());
        fs::write(copy.dir().join(pending.strip_prefix(receiver.dir()).unwrap()).join("toc"), toc).unwrap();
        for verb in
            [&["ls", "--pending"][..], &["gc"], &["verify"], &["rm", "--dry-run", "--pending", &bundle.id]]
        {
            run(&copy, verb);
        }
        judge(&copy.run(&["add", bundle.volume(2)]), "the last volume");
        fs::remove_dir_all(copy.dir()).unwrap();
    }
    let forged = volumes::read(bundle.volume(2)).into_iter().map(|(name, bytes)| match name == TOC {
        true => (name, String::from_utf8(bytes).unwrap().replace("docker.io", POISON).into_bytes()),
        false => (name, bytes),
    });
    let path = receiver.scratch("forged.tar");
    fs::write(&path, volumes::write(&forged.collect::<Vec<_>>())).unwrap();
    every_verb(path.to_str().unwrap());
}
