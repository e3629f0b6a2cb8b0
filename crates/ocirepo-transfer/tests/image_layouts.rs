//! Image layouts: what becomes of the entries of an index.json.

mod support;

use ocirepo_store::{Algorithm, Digest, ErrorKind};
use ocirepo_transfer::{Error, ImportOptions};
use serde_json::json;
use support::*;

#[test]
fn every_entry_keeps_its_digest_its_name_and_its_annotations() {
    let (repo, a, b) = (Repo::new(), Image::new("a"), Image::new("b"));
    let mut first = named(a.entry(), REF_NAME, "quay.io/a/a:1");
    first["annotations"]["x"] = json!("y");
    first["unknown"] = json!({"n": 1});
    let second = named(named(b.entry(), REF_NAME, "2"), IMAGE_NAME, "docker.io/library/b:2");
    let bytes = Tar::new().blobs(&a.blobs()).blobs(&b.blobs()).layout(&[first, second]).bytes();
    let imported = repo.add(&bytes).unwrap();
    assert_eq!(references(&imported), ["quay.io/a/a:1", "docker.io/library/b:2"]);
    assert_eq!(imported.images[0].digest, a.digest());
    assert_eq!(imported.images[0].format, "OCI archive");
    let entry = &repo.index()["manifests"][0];
    assert_eq!((&entry["annotations"]["x"], &entry["unknown"]), (&json!("y"), &json!({"n": 1})));
    assert!(warnings(&imported).is_empty());
}

#[test]
fn directory_file_and_stream_give_the_same_repository() {
    let image = Image::new("a");
    let bytes = image.oci("a:1");
    let (one, two, three) = (Repo::new(), Repo::new(), Repo::new());
    let dir = one.dir.path().join("layout");
    unpack(&bytes, &dir);
    let results = [one.add_path(&dir), two.add(&bytes), three.add_stream(&bytes)];
    let results = results.map(|result| summary(&result.unwrap()));
    assert_eq!(results[0], results[1]);
    assert_eq!(results[1], results[2]);
    assert_eq!(one.index(), two.index());
    assert_eq!(two.index(), three.index());
}

#[test]
fn nested_indexes_are_followed_to_the_bottom() {
    let (repo, image) = (Repo::new(), Image::new("a"));
    let inner = json!({"schemaVersion": 2, "manifests": [image.entry()]}).to_string();
    let outer =
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(INDEX, inner.as_bytes())]})
            .to_string();
    let entry = named(descriptor(INDEX, outer.as_bytes()), REF_NAME, "a:1");
    let bytes = Tar::new().blobs(&image.blobs()).blob(&inner).blob(&outer).layout(&[entry]).bytes();
    let imported = repo.add(&bytes).unwrap();
    assert_eq!(imported.counts.new, 5);
    assert!(image.blobs().iter().all(|blob| repo.has(blob)));
}

#[test]
fn a_sparse_index_comes_in_with_a_warning_that_lists_platforms() {
    let (repo, image, absent, partial) = (Repo::new(), Image::new("a"), Image::new("b"), Image::new("c"));
    let mut children = [image.entry(), absent.entry(), partial.entry()];
    for (child, architecture) in children.iter_mut().zip(["amd64", "s390x", "riscv64"]) {
        child["platform"] = json!({"os": "linux", "architecture": architecture});
    }
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": children}).to_string();
    let entry = named(descriptor(INDEX, index.as_bytes()), REF_NAME, "a:1");
    let bytes = Tar::new()
        .blobs(&image.blobs())
        .blob(&partial.manifest)
        .blob(&partial.config)
        .blob(&index)
        .layout(&[entry])
        .bytes();
    let imported = repo.add(&bytes).unwrap();
    assert_eq!(warnings(&imported), ["it is sparse: the archive does not have linux/riscv64, linux/s390x"]);
    assert!(repo.has(image.blobs()[0]));
    // Half of a child is of no use, and looks like damage.
    assert!(!repo.has(&partial.manifest) && !repo.has(&partial.config));
    repo.assert_sound();
}

#[test]
fn a_missing_blob_is_an_error_unless_the_repository_has_it() {
    let (repo, image) = (Repo::new(), Image::new("a"));
    let entry = named(image.entry(), REF_NAME, "quay.io/a/a:1");
    let thin = Tar::new().blob(&image.config).blob(&image.manifest).layout(&[entry]).bytes();
    let before = repo.snapshot();
    let error = repo.add(&thin).unwrap_err();
    assert!(
        matches!(&error, Error::MissingBlob { image, digest, .. }
            if image == "quay.io/a/a:1" && *digest == Digest::sha256(&Image::new("a").layer)),
        "{error}"
    );
    assert_eq!(repo.snapshot(), before);
    repo.add(&image.docker(&["b:1"])).unwrap();
    repo.add(&thin).unwrap();
}

#[test]
fn a_missing_root_is_an_error() {
    let (repo, image) = (Repo::new(), Image::new("a"));
    let bytes = Tar::new().blob(&image.config).layout(&[image.entry()]).bytes();
    assert!(matches!(repo.add(&bytes), Err(Error::MissingBlob { .. })));
}

#[test]
fn blobs_that_may_be_absent_may_be_absent() {
    let repo = Repo::new();
    let foreign = json!({"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "digest": Digest::sha256(b"foreign").to_string(), "size": 7});
    let elsewhere = json!({"mediaType": LAYER, "digest": Digest::sha256(b"elsewhere").to_string(), "size": 9,
        "urls": ["https://example.com"]});
    let embedded = json!({"mediaType": "application/vnd.oci.empty.v1+json",
        "digest": Digest::sha256(b"{}").to_string(), "size": 2, "data": "e30="});
    let manifest =
        json!({"schemaVersion": 2, "config": embedded, "layers": [foreign, elsewhere]}).to_string();
    let entry = descriptor(MANIFEST, manifest.as_bytes());
    repo.add(&Tar::new().blob(&manifest).layout(&[entry]).bytes()).unwrap();
    assert!(repo.has(b"{}"), "what is embedded is kept as a blob");
}

#[test]
fn a_blob_that_does_not_hash_to_its_name_is_refused() {
    let (image, repo) = (Image::new("a"), Repo::new());
    let before = repo.snapshot();
    for broken in 0..3 {
        let mut tar = Tar::new();
        for (n, blob) in image.blobs().into_iter().enumerate() {
            let mut content = blob.to_vec();
            let middle = content.len() / 2;
            content[middle] ^= u8::from(n == broken);
            tar = tar.file(&blob_path(&Digest::sha256(blob)), content);
        }
        let bytes = tar.layout(&[named(image.entry(), REF_NAME, "a:1")]).bytes();
        for add in [Repo::add, Repo::add_stream] {
            let error = add(&repo, &bytes).unwrap_err();
            assert!(matches!(&error, Error::BadBlob { .. }), "{error}");
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert_eq!(repo.snapshot(), before);
        }
    }
}

#[test]
fn a_descriptor_with_the_wrong_size_is_refused() {
    let (image, repo) = (Image::new("a"), Repo::new());
    let mut entry = image.entry();
    entry["size"] = json!(7);
    let bytes = Tar::new().blobs(&image.blobs()).layout(&[entry]).bytes();
    assert!(matches!(repo.add(&bytes), Err(Error::BadSize { expected: 7, .. })));
}

#[test]
fn every_known_digest_algorithm_is_verified_and_unknown_ones_are_refused() {
    let content = layer("a");
    let config = config(&[&content]);
    for algorithm in Algorithm::all() {
        let digest = Digest::of(algorithm, &content);
        let layer = json!({"mediaType": LAYER, "digest": digest.as_str(), "size": content.len()});
        let manifest =
            json!({"schemaVersion": 2, "config": descriptor(CONFIG, &config), "layers": [layer]}).to_string();
        let entry = descriptor(MANIFEST, manifest.as_bytes());
        let with = |content: &[u8]| {
            let tar = Tar::new().blob(&config).blob(&manifest).file(&blob_path(&digest), content);
            tar.layout(std::slice::from_ref(&entry)).bytes()
        };
        let mut bad = content.clone();
        bad[600] ^= 1;
        for add in [Repo::add, Repo::add_stream] {
            let repo = Repo::new();
            assert!(matches!(add(&repo, &with(&bad)), Err(Error::BadBlob { .. })));
            add(&repo, &with(&content)).unwrap();
            assert!(repo.path(&blob_path(&digest)).exists());
        }
    }
    let layer = json!({"mediaType": LAYER, "digest": "crc32:00000000", "size": content.len()});
    let manifest =
        json!({"schemaVersion": 2, "config": descriptor(CONFIG, &config), "layers": [layer]}).to_string();
    let bytes = Tar::new()
        .blob(&config)
        .blob(&manifest)
        .file("blobs/crc32/00000000", &content)
        .layout(&[descriptor(MANIFEST, manifest.as_bytes())])
        .bytes();
    assert!(matches!(Repo::new().add(&bytes), Err(Error::UnknownAlgorithm { .. })));
}

#[test]
fn referrers_come_along_without_a_name() {
    let (repo, image) = (Repo::new(), Image::new("a"));
    let empty = descriptor("application/vnd.oci.empty.v1+json", b"{}");
    let referrer = json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/x-sbom",
        "config": empty, "layers": [descriptor("application/x-sbom", b"sbom")], "subject": image.entry()})
    .to_string();
    let mut entry = descriptor(MANIFEST, referrer.as_bytes());
    entry["artifactType"] = json!("application/x-sbom");
    let bytes = Tar::new()
        .blobs(&image.blobs())
        .blobs(&[b"{}", b"sbom", referrer.as_bytes()])
        .layout(&[named(image.entry(), REF_NAME, "a:1"), entry])
        .bytes();
    let name = ocirepo_store::name::Name::parse("mine:1").unwrap();
    let options = ImportOptions { reference: Some(name), ..ImportOptions::default() };
    let imported = repo.add_with(&bytes, &options).unwrap();
    assert_eq!(references(&imported), ["docker.io/library/mine:1", "-"]);
    assert!(repo.has(b"sbom"));
    assert_eq!(repo.index()["manifests"][1]["artifactType"], "application/x-sbom");
}

#[test]
fn entries_of_unknown_types_bring_what_they_name() {
    let (repo, image) = (Repo::new(), Image::new("a"));
    let entry = named(descriptor("application/x-unknown", &image.manifest), REF_NAME, "2");
    repo.add(&Tar::new().blobs(&image.blobs()).layout(&[entry]).bytes()).unwrap();
    assert!(image.blobs().iter().all(|blob| repo.has(blob)));
}

#[test]
fn strange_names_are_kept_with_a_warning() {
    let (repo, a, b) = (Repo::new(), Image::new("a"), Image::new("b"));
    let first = named(a.entry(), REF_NAME, "foo__bar:1");
    let second = named(named(b.entry(), REF_NAME, "v1"), IMAGE_NAME, "ocidir://x");
    let bytes = Tar::new().blobs(&a.blobs()).blobs(&b.blobs()).layout(&[first, second]).bytes();
    let imported = repo.add(&bytes).unwrap();
    assert_eq!(references(&imported), ["docker.io/library/foo__bar:1", "v1"]);
    let warnings = warnings(&imported);
    assert!(warnings[0].contains("OCI grammar") && warnings[1].contains("ocidir://x"), "{warnings:?}");
}

#[test]
fn member_names_may_be_written_in_every_common_way() {
    let image = Image::new("a");
    for prefix in ["./", "/", "bundle/", "./images/"] {
        let mut tar = Tar::new();
        for blob in image.blobs() {
            tar = tar.file(&format!("{prefix}{}", blob_path(&Digest::sha256(blob))), blob);
        }
        let bytes = tar
            .file(&format!("{prefix}oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
            .json(&format!("{prefix}index.json"), &json!({"schemaVersion": 2, "manifests": [image.entry()]}))
            .bytes();
        for add in [Repo::add, Repo::add_stream] {
            assert_eq!(add(&Repo::new(), &bytes).unwrap().images[0].digest, image.digest(), "{prefix}");
        }
    }
}

#[test]
fn another_repository_can_be_added() {
    let (one, two, image) = (Repo::new(), Repo::new(), Image::new("a"));
    one.add(&image.docker(&["a:1"])).unwrap();
    let imported = two.add_path(&one.path("")).unwrap();
    assert_eq!(references(&imported), ["docker.io/library/a:1"]);
    assert_eq!(imported.images[0].format, "OCI layout");
    let before = one.snapshot();
    assert!(one.add_path(&one.path("")).unwrap().images[0].unchanged, "even itself");
    assert_eq!(one.snapshot(), before);
}

#[test]
fn large_blobs_that_are_known_are_not_copied_again() {
    let repo = Repo::new();
    let image = Image::new(&"large ".repeat(1 << 20));
    repo.add(&image.oci("quay.io/a/a:1")).unwrap();
    for (n, add) in [Repo::add, Repo::add_stream].into_iter().enumerate() {
        let imported = add(&repo, &image.oci(&format!("quay.io/a/b:{n}"))).unwrap();
        assert_eq!((imported.counts.new, imported.counts.reused), (0, 3));
    }
    // A blob that lost its end is not trusted, and healed.
    let path = repo.path(&blob_path(&Digest::sha256(&image.layer)));
    for (n, add) in [Repo::add, Repo::add_stream].into_iter().enumerate() {
        std::fs::write(&path, &image.layer[..1000]).unwrap();
        let imported = add(&repo, &image.oci(&format!("quay.io/a/c:{n}"))).unwrap();
        assert_eq!((imported.counts.new, imported.counts.reused), (1, 2));
        assert!(repo.has(&image.layer));
    }
}

#[test]
fn documents_have_a_limit() {
    let repo = Repo::new();
    let manifest = format!("{{\"schemaVersion\":2,\"layers\":[]{}}}", " ".repeat(4 << 20));
    let bytes = Tar::new().blob(&manifest).layout(&[descriptor(MANIFEST, manifest.as_bytes())]).bytes();
    let error = repo.add(&bytes).unwrap_err().to_string();
    assert!(error.contains("more than 4 MiB"), "{error}");
}

#[test]
fn a_schema_1_manifest_comes_in_with_a_warning() {
    let (repo, layer) = (Repo::new(), layer("a"));
    let manifest = json!({"schemaVersion": 1, "fsLayers": [{"blobSum": Digest::sha256(&layer).to_string()}]})
        .to_string();
    let entry = descriptor("application/vnd.docker.distribution.manifest.v1+json", manifest.as_bytes());
    let bytes =
        Tar::new().blobs(&[&layer, manifest.as_bytes()]).layout(&[named(entry, REF_NAME, "a:1")]).bytes();
    let imported = repo.add(&bytes).unwrap();
    assert!(warnings(&imported)[0].contains("schema 1"));
    assert!(repo.has(&layer));
}
