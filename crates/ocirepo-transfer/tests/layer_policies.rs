//! How layers are stored where images share them, lack them, or do not fit their configs.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

mod support;

use std::time::{Duration, Instant};

use ocirepo_store::{Algorithm, Digest};
use ocirepo_transfer::{ImportOptions, Imported};
use serde_json::{Value, json};
use support::*;

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
const FOREIGN: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";

fn stored_as(layers: &str) -> ImportOptions {
    ImportOptions { layers: layers.parse().unwrap(), ..ImportOptions::default() }
}

/// A manifest of any kind, from descriptors.
fn manifest_of(media_type: &str, config: &Value, layers: &[Value]) -> Vec<u8> {
    json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers})
        .to_string()
        .into_bytes()
}

fn entry(media_type: &str, manifest: &[u8], name: &str) -> Value {
    named(descriptor(media_type, manifest), REF_NAME, name)
}

fn on(platform: &str, mut descriptor: Value) -> Value {
    let (os, architecture) = platform.split_once('/').unwrap();
    descriptor["platform"] = json!({"os": os, "architecture": architecture});
    descriptor
}

fn document(repo: &Repo, digest: &Digest) -> Value {
    serde_json::from_slice(&std::fs::read(repo.path(&blob_path(digest))).unwrap()).unwrap()
}

fn media_types(repo: &Repo, imported: &Imported) -> Vec<String> {
    let first = |image: &ocirepo_transfer::ImportedImage| {
        document(repo, &image.digest)["layers"][0]["mediaType"].as_str().unwrap().to_owned()
    };
    imported.images.iter().map(first).collect()
}

#[test]
fn images_that_share_a_layer_call_it_each_in_their_own_manner() {
    for docker_first in [false, true] {
        let (repo, image) = (Repo::new(), Image::new("a"));
        let docker = manifest_of(
            DOCKER_MANIFEST,
            &descriptor(DOCKER_CONFIG, &image.config),
            &[descriptor(DOCKER_LAYER, &image.layer)],
        );
        let mut entries = vec![named(image.entry(), REF_NAME, "a:1"), entry(DOCKER_MANIFEST, &docker, "b:1")];
        let mut expected = vec![format!("{LAYER}+gzip"), format!("{DOCKER_LAYER}.gzip")];
        if docker_first {
            entries.reverse();
            expected.reverse();
        }
        let bytes = Tar::new().blobs(&image.blobs()).blob(&docker).layout(&entries).bytes();
        let imported = repo.add_with(&bytes, &stored_as("gzip")).unwrap();
        assert_eq!(media_types(&repo, &imported), expected);
    }
}

#[test]
fn a_foreign_layer_keeps_its_urls_whoever_else_has_it() {
    let (repo, image) = (Repo::new(), Image::new("a"));
    let mut foreign = descriptor(FOREIGN, &image.layer);
    foreign["urls"] = json!(["https://example.com/layer"]);
    let other = manifest_of(MANIFEST, &descriptor(CONFIG, &image.config), &[foreign]);
    let entries = [named(image.entry(), REF_NAME, "a:1"), entry(MANIFEST, &other, "b:1")];
    let bytes = Tar::new().blobs(&image.blobs()).blob(&other).layout(&entries).bytes();
    let imported = repo.add_with(&bytes, &stored_as("gzip")).unwrap();
    assert_ne!(imported.images[0].digest, image.digest());
    assert_eq!(imported.images[1].digest, Digest::sha256(&other));
    assert!(imported.images[1].warnings.is_empty(), "{:?}", imported.images[1].warnings);
}

#[test]
fn an_image_that_does_not_fit_its_config_is_left_as_it_is_and_said_to_be() {
    let (repo, image, top) = (Repo::new(), Image::new("a"), layer("top"));
    let odd = manifest(&image.config, &[&image.layer, &top]);
    let entries = [named(image.entry(), REF_NAME, "a:1"), entry(MANIFEST, &odd, "b:1")];
    let bytes = Tar::new().blobs(&image.blobs()).blob(&odd).blob(&top).layout(&entries).bytes();
    let imported = repo.add_with(&bytes, &stored_as("gzip")).unwrap();
    assert_ne!(imported.images[0].digest, image.digest());
    assert_eq!(imported.images[1].digest, Digest::sha256(&odd));
    let warning = "it keeps its layers as they are: it has 2 layers, but its config lists 1";
    assert_eq!(imported.images[1].warnings, [warning]);

    let imported = repo.add_with(&bytes, &stored_as("reuse")).unwrap();
    assert!(imported.images[1].warnings.is_empty(), "nothing was asked of it");
}

#[test]
fn what_is_left_below_an_index_is_said_of_the_index() {
    let repo = Repo::new();
    let (whole, partial, attestation, artifact) =
        (Image::new("whole"), Image::new("partial"), Image::new("attestation"), b"artifact");
    // Its config does not fit, but its layer is as it should be by its media type.
    let packed = gzip(&layer("packed"));
    let fitting = manifest_of(
        MANIFEST,
        &descriptor(CONFIG, &config(&[])),
        &[descriptor(&format!("{LAYER}+gzip"), &packed)],
    );
    let chart = manifest_of(
        MANIFEST,
        &descriptor("application/vnd.cncf.helm.config.v1+json", b"{}"),
        &[descriptor(LAYER, artifact)],
    );
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        on("linux/amd64", whole.entry()),
        on("linux/riscv64", partial.entry()),
        on("unknown/unknown", attestation.entry()),
        on("linux/s390x", descriptor(MANIFEST, &fitting)),
        descriptor(MANIFEST, &chart),
    ]})
    .to_string();
    let bytes = Tar::new()
        .blobs(&whole.blobs())
        .blobs(&[&partial.config, &partial.manifest, &packed, &config(&[]), &fitting, &chart, artifact])
        .blobs(&[b"{}", &attestation.config, &attestation.manifest, index.as_bytes()])
        .layout(&[entry(INDEX, index.as_bytes(), "a:1")])
        .bytes();
    let imported = repo.add_with(&bytes, &stored_as("gzip")).unwrap();
    let warnings = &imported.images[0].warnings;
    // Parts that are not whole are left out, and nothing is made for them.
    assert!(!warnings.iter().any(|warning| warning.contains("keeps")), "{warnings:#?}");
    let sparse = "it is sparse: the archive does not have linux/riscv64, unknown/unknown";
    assert!(warnings.iter().any(|warning| warning == sparse), "{warnings:#?}");
    repo.assert_sound();
}

#[test]
fn an_archive_of_old_docker_uses_the_copy_that_is_there() {
    let (repo, image) = (Repo::new(), Image::new("a"));
    let packed = gzip(&image.layer);
    let other = manifest_of(
        MANIFEST,
        &descriptor(CONFIG, &image.config),
        &[descriptor(&format!("{LAYER}+gzip"), &packed)],
    );
    let stored =
        Tar::new().blobs(&[&packed, &image.config, &other]).layout(&[entry(MANIFEST, &other, "b:1")]);
    repo.add(&stored.bytes()).unwrap();

    let old = |layers: &[(&str, Vec<u8>)]| {
        let mut tar = Tar::new();
        for (n, (id, layer)) in layers.iter().enumerate() {
            let mut json = json!({"id": id, "created": "2015-01-01T00:00:00Z", "architecture": "amd64",
                "os": "linux", "config": {}});
            if n > 0 {
                json["parent"] = json!(layers[n - 1].0);
            }
            tar = tar
                .file(&format!("{id}/VERSION"), "1.0")
                .json(&format!("{id}/json"), &json)
                .file(&format!("{id}/layer.tar"), layer);
        }
        tar.json("repositories", &json!({"old": {"1": layers[layers.len() - 1].0}})).bytes()
    };
    let (base, top) = ("a".repeat(64), "b".repeat(64));
    let bytes = old(&[(&base, image.layer.clone()), (&top, layer("new"))]);
    let imported = repo.add_with(&bytes, &stored_as("reuse")).unwrap();
    let layers = &document(&repo, &imported.images[0].digest)["layers"];
    assert_eq!(layers[0], descriptor(&format!("{LAYER}+gzip"), &packed));
    assert_eq!(layers[1], descriptor(LAYER, &layer("new")), "what is not there comes as it is");
    assert!(!repo.has(&image.layer) && repo.has(&layer("new")));
}

#[test]
fn a_diff_id_is_only_compared_with_one_of_its_own_algorithm() {
    let (repo, layer) = (Repo::new(), layer("a"));
    let packed = gzip(&layer);
    let verify = ImportOptions { verify_diff_ids: true, ..ImportOptions::default() };
    let add = |diff_id: Digest, name: &str| {
        let config = json!({"architecture": "amd64", "os": "linux", "rootfs":
            {"type": "layers", "diff_ids": [diff_id.to_string()]}})
        .to_string();
        let manifest = manifest_of(
            MANIFEST,
            &descriptor(CONFIG, config.as_bytes()),
            &[descriptor(&format!("{LAYER}+gzip"), &packed)],
        );
        let entries = [entry(MANIFEST, &manifest, name)];
        let bytes = Tar::new().blobs(&[&packed, config.as_bytes(), &manifest]).layout(&entries).bytes();
        repo.add_with(&bytes, &verify)
    };
    add(Digest::sha256(&layer), "a:1").unwrap();
    add(Digest::of(Algorithm::Sha512, &layer), "b:1").unwrap();
    let error = add(Digest::of(Algorithm::Sha512, b"other"), "c:1").unwrap_err().to_string();
    assert!(error.contains("unpacks to sha512:"), "{error}");
}

#[test]
fn many_absent_platforms_are_found_soon_and_not_all_named() {
    const CHILDREN: usize = 20_000;
    let repo = Repo::new();
    let absent = |n: usize| {
        let digest = Digest::sha256(n.to_string().as_bytes()).to_string();
        on(&format!("linux/p{n:05}"), json!({"mediaType": MANIFEST, "digest": digest, "size": 7}))
    };
    let children: Vec<Value> = (0..CHILDREN).map(absent).collect();
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": children}).to_string();
    let mut tar = Tar::new().blob(&index);
    let mut entries = Vec::new();
    for n in 0..20 {
        let root = json!({"schemaVersion": 2, "mediaType": INDEX, "annotations": {"n": n.to_string()},
            "manifests": [descriptor(INDEX, index.as_bytes())]})
        .to_string();
        entries.push(entry(INDEX, root.as_bytes(), &format!("a:{n}")));
        tar = tar.blob(&root);
    }
    let bytes = tar.layout(&entries).bytes();
    let begin = Instant::now();
    let imported = repo.add(&bytes).unwrap();
    assert!(begin.elapsed() < Duration::from_secs(40), "{:?}", begin.elapsed());
    for image in &imported.images {
        let [warning] = image.warnings.as_slice() else { panic!("{:?}", image.warnings) };
        assert!(warning.starts_with("it is sparse: the archive does not have linux/p00000, "), "{warning}");
        assert!(warning.ends_with(", linux/p00019 and 19980 more"), "{warning}");
    }
}
