//! Docker archives: what becomes of the images of a `docker save`.

mod support;

use ocirepo_store::{Digest, ErrorKind};
use ocirepo_transfer::{Error, ImportOptions};
use serde_json::json;
use support::*;

#[test]
fn a_docker_archive_becomes_an_image_under_its_full_name() {
    let (repo, image) = (Repo::new(), Image::new("a"));
    let imported = repo.add(&image.docker(&["alpine:3.11"])).unwrap();
    assert_eq!(references(&imported), ["docker.io/library/alpine:3.11"]);
    assert_eq!(imported.images[0].digest, image.digest());
    assert_eq!(imported.images[0].format, "docker archive");
    assert_eq!((imported.counts.new, imported.counts.reused), (3, 0));
    assert!(image.blobs().iter().all(|blob| repo.has(blob)));
    let entry = &repo.index()["manifests"][0];
    assert_eq!(entry["platform"], json!({"architecture": "arm64", "os": "linux", "variant": "v8"}));
    assert_eq!(entry["annotations"][IMAGE_NAME], "docker.io/library/alpine:3.11");
}

#[test]
fn adding_it_again_brings_nothing_and_changes_nothing() {
    let (repo, image) = (Repo::new(), Image::new("a"));
    repo.add(&image.docker(&["a:1"])).unwrap();
    let before = repo.snapshot();
    let imported = repo.add(&image.docker(&["a:1"])).unwrap();
    assert_eq!((imported.counts.new, imported.counts.reused), (0, 3));
    assert!(imported.images[0].unchanged);
    assert_eq!(repo.snapshot(), before);
}

#[test]
fn one_image_under_two_names_is_two_entries_of_one_digest() {
    let repo = Repo::new();
    let imported = repo.add(&Image::new("a").docker(&["a:1", "quay.io/b/c:2"])).unwrap();
    assert_eq!(references(&imported), ["docker.io/library/a:1", "quay.io/b/c:2"]);
    assert_eq!(imported.images[0].digest, imported.images[1].digest);
    assert_eq!(repo.index()["manifests"].as_array().unwrap().len(), 2);
}

#[test]
fn layers_shared_by_symlink_are_stored_once_even_before_their_target() {
    for hard in [false, true] {
        let repo = Repo::new();
        let (base, top) = (layer("base"), layer("top"));
        let (one, two) = (config(&[&base]), config(&[&base, &top]));
        let tar = Tar::new().file("1.json", &one).file("2.json", &two);
        let tar = if hard {
            tar.hardlink("x/layer.tar", "z/layer.tar")
        } else {
            tar.symlink("x/layer.tar", "../z/layer.tar")
        };
        let bytes = tar
            .file("y/layer.tar", &top)
            .file("z/layer.tar", &base)
            .json(
                "manifest.json",
                &json!([
                    {"Config": "1.json", "RepoTags": ["one:1"], "Layers": ["x/layer.tar"]},
                    {"Config": "2.json", "RepoTags": ["two:1"], "Layers": ["z/layer.tar", "y/layer.tar"]},
                ]),
            )
            .bytes();
        let imported = repo.add(&bytes).unwrap();
        assert_eq!(imported.images[0].digest, Digest::sha256(&manifest(&one, &[&base])));
        assert_eq!(imported.images[1].digest, Digest::sha256(&manifest(&two, &[&base, &top])));
        assert_eq!(imported.counts.new, 6, "two layers, two configs, two manifests");
    }
}

#[test]
fn compressed_layers_stay_compressed_and_are_called_so() {
    let repo = Repo::new();
    let (one, two, three) = (layer("one"), layer("two"), layer("three"));
    let config = config(&[&one, &two, &three]);
    let (gzipped, zstandard) = (gzip(&one), zstd(&two));
    let bytes = Tar::new()
        .file("sha256:0123", &config)
        .file(&format!("{}.tar.gz", Digest::sha256(&gzipped).encoded()), &gzipped)
        .file("two.tar.zst", &zstandard)
        .file("three.tar", &three)
        .json(
            "manifest.json",
            &json!([{"Config": "sha256:0123", "RepoTags": ["a:1"], "Layers":
                [format!("{}.tar.gz", Digest::sha256(&gzipped).encoded()), "two.tar.zst", "./three.tar"]}]),
        )
        .bytes();
    for _ in 0..2 {
        let imported = repo.add(&bytes).unwrap();
        let path = repo.path(&blob_path(&imported.images[0].digest));
        let manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let layers = manifest["layers"].as_array().unwrap();
        assert_eq!(layers[0]["mediaType"], format!("{LAYER}+gzip"));
        assert_eq!(layers[0]["digest"], Digest::sha256(&gzipped).as_str());
        assert_eq!(layers[1]["mediaType"], format!("{LAYER}+zstd"));
        assert_eq!(layers[2]["mediaType"], LAYER);
        assert!(repo.has(&gzipped) && repo.has(&zstandard) && repo.has(&three) && !repo.has(&one));
    }
}

#[test]
fn the_name_of_a_layer_is_a_hint_and_no_proof() {
    let (repo, image) = (Repo::new(), Image::new("a"));
    let gzipped = gzip(&image.layer);
    // The repository has a blob of the same length by the name that the layer bears wrongly.
    let decoy = vec![b'x'; gzipped.len()];
    let lock = repo.repository.lock_shared().unwrap();
    let ingest = lock.ingest().unwrap();
    let name = format!("{}.tar.gz", ingest.put_bytes(&decoy).unwrap().encoded());
    ingest.commit(&[]).unwrap();
    let bytes = Tar::new()
        .file("c", &image.config)
        .file(&name, &gzipped)
        .json("manifest.json", &json!([{"Config": "c", "Layers": [name]}]))
        .bytes();
    repo.add(&bytes).unwrap();
    assert!(repo.has(&gzipped) && repo.has(&decoy));
}

#[test]
fn a_layer_that_is_not_what_the_config_says_is_refused_even_if_it_is_known() {
    let (repo, image, other) = (Repo::new(), Image::new("a"), Image::new("b"));
    repo.add(&other.docker(&["b:1"])).unwrap();
    repo.add(&image.docker(&["a:1"])).unwrap();
    let before = repo.snapshot();
    for layer in [other.layer.clone(), gzip(&other.layer)] {
        let bytes = Image { layer, ..Image::new("a") }.docker(&["c:1"]);
        let error = repo.add(&bytes).unwrap_err();
        assert!(matches!(&error, Error::BadLayer { image, member, .. }
            if image == "c:1" && member == "abc/layer.tar"));
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert_eq!(repo.snapshot(), before);
    }
}

#[test]
fn an_image_that_lacks_something_is_refused_by_name() {
    let (repo, image) = (Repo::new(), Image::new("a"));
    let with = |items: serde_json::Value| {
        Tar::new().file("c", &image.config).file("l", &image.layer).json("manifest.json", &items).bytes()
    };
    for (items, words) in [
        (json!([{"Config": "c", "RepoTags": ["a:1"], "Layers": ["gone"]}]), ["a:1", "gone"]),
        (json!([{"Config": "gone", "RepoTags": ["a:1"], "Layers": ["l"]}]), ["a:1", "gone"]),
        (json!([{"Config": "c", "RepoTags": ["a:1"], "Layers": ["l", "l"]}]), ["a:1", "2 layers"]),
        (json!([{"RepoTags": ["a:1"], "Layers": []}]), ["a:1", "no config"]),
        (json!([{"Config": "../../etc/passwd", "Layers": []}]), ["passwd", "not usable"]),
        (json!([]), ["source.tar", "no images"]),
        (json!(null), ["manifest.json", "null"]),
    ] {
        let error = repo.add(&with(items)).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
}

#[test]
fn foreign_layers_may_be_absent_and_keep_their_urls() {
    let repo = Repo::new();
    let (base, blob) = (layer("base"), gzip(&layer("base")));
    let config = config(&[&base]);
    let diff_id = Digest::sha256(&base).to_string();
    let source = json!({"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "digest": Digest::sha256(&blob).to_string(), "size": blob.len(), "urls": ["https://example.com/l"]});
    let bytes = Tar::new()
        .file("c", &config)
        .json(
            "manifest.json",
            &json!([{"Config": "c", "RepoTags": ["w:1"], "Layers": ["x/layer.tar"], "LayerSources": {diff_id: source}}]),
        )
        .bytes();
    let imported = repo.add(&bytes).unwrap();
    let manifest = std::fs::read(repo.path(&blob_path(&imported.images[0].digest))).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["layers"][0]["urls"][0], "https://example.com/l");
    assert_eq!(
        manifest["layers"][0]["mediaType"],
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    );
}

#[test]
fn untagged_images_come_without_a_name_and_take_a_given_one() {
    let (repo, image) = (Repo::new(), Image::new("a"));
    assert_eq!(references(&repo.add(&image.docker(&[])).unwrap()), ["-"]);
    let name = ocirepo_store::name::Name::parse("mine:1").unwrap();
    let options = ImportOptions { reference: Some(name), ..ImportOptions::default() };
    let imported = repo.add_with(&image.docker(&[]), &options).unwrap();
    assert_eq!(references(&imported), ["docker.io/library/mine:1"]);
    assert_eq!(repo.index()["manifests"].as_array().unwrap().len(), 1);
}

#[test]
fn a_given_name_needs_exactly_one_image() {
    let (repo, a, b) = (Repo::new(), Image::new("a"), Image::new("b"));
    let bytes = Tar::new()
        .file("a", &a.config)
        .file("b", &b.config)
        .file("al", &a.layer)
        .file("bl", &b.layer)
        .json(
            "manifest.json",
            &json!([{"Config": "a", "RepoTags": ["one:1"], "Layers": ["al"]},
                {"Config": "b", "RepoTags": ["two:1"], "Layers": ["bl"]}]),
        )
        .bytes();
    let name = ocirepo_store::name::Name::parse("mine:1").unwrap();
    let before = repo.snapshot();
    let error = repo
        .add_with(&bytes, &ImportOptions { reference: Some(name), ..ImportOptions::default() })
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    let text = error.to_string();
    assert!(text.contains("library/one:1") && text.contains("library/two:1"), "{text}");
    assert_eq!(repo.snapshot(), before);
}

#[test]
fn the_same_name_for_two_images_is_a_conflict() {
    let (repo, a, b) = (Repo::new(), Image::new("a"), Image::new("b"));
    let bytes = Tar::new()
        .file("a", &a.config)
        .file("b", &b.config)
        .file("al", &a.layer)
        .file("bl", &b.layer)
        .json(
            "manifest.json",
            &json!([{"Config": "a", "RepoTags": ["one:1"], "Layers": ["al"]},
                {"Config": "b", "RepoTags": ["docker.io/library/one:1"], "Layers": ["bl"]}]),
        )
        .bytes();
    let error = repo.add(&bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("library/one:1"));
}

#[test]
fn a_repeated_member_is_fine_only_if_it_is_the_same() {
    let image = Image::new("a");
    let with = |second: &[u8]| {
        Tar::new()
            .file("c", &image.config)
            .file("l", &image.layer)
            .file("./l", second)
            .json("manifest.json", &json!([{"Config": "c", "RepoTags": ["a:1"], "Layers": ["l"]}]))
            .bytes()
    };
    let other = vec![0; image.layer.len()];
    for add in [Repo::add, Repo::add_stream] {
        let repo = Repo::new();
        assert_eq!(add(&repo, &with(&image.layer)).unwrap().images[0].digest, image.digest());
        let error = add(&repo, &with(&other)).unwrap_err().to_string();
        assert!(error.contains("member l") && error.contains("twice"), "{error}");
    }
}

#[test]
fn an_unpacked_archive_is_an_archive_too() {
    let (repo, image) = (Repo::new(), Image::new("a"));
    let dir = repo.dir.path().join("unpacked");
    unpack(&image.docker(&["a:1"]), &dir);
    assert_eq!(repo.add_path(&dir).unwrap().images[0].digest, image.digest());
}

#[test]
fn an_unpacked_archive_cannot_take_files_from_elsewhere() {
    let (repo, image) = (Repo::new(), Image::new("a"));
    let dir = repo.dir.path().join("unpacked");
    unpack(&image.docker(&["a:1"]), &dir);
    let secret = repo.dir.path().join("secret.json");
    std::fs::write(&secret, &image.config).unwrap();
    std::fs::write(dir.join("manifest.json"), r#"[{"Config":"linked","Layers":["abc/layer.tar"]}]"#).unwrap();
    std::os::unix::fs::symlink(&secret, dir.join("linked")).unwrap();
    let error = repo.add_path(&dir).unwrap_err().to_string();
    assert!(error.contains("out of the directory"), "{error}");
    assert!(!repo.has(&image.config));
}

#[test]
fn progress_counts_what_is_read_and_always_ends() {
    #[derive(Default)]
    struct Told(std::sync::Mutex<(u64, u64, i32)>);
    impl ocirepo_store::Progress for Told {
        fn begin(&self, task: &str, _: ocirepo_store::Unit, total: Option<u64>) {
            assert!(task.starts_with("adding "));
            let mut told = self.0.lock().unwrap();
            told.0 += total.unwrap_or(0);
            told.2 += 1;
        }
        fn advance(&self, amount: u64) {
            self.0.lock().unwrap().1 += amount;
        }
        fn end(&self) {
            self.0.lock().unwrap().2 -= 1;
        }
    }
    let (repo, image) = (Repo::new(), Image::new("a"));
    for (bytes, size) in [
        (image.docker(&["a:1"]), image.layer.len()),
        (Image::new("b").oci("b:1"), image.layer.len() + image.config.len()),
        (image.docker(&["c:1"]), image.layer.len()),
    ] {
        let (told, path) = (Told::default(), repo.dir.path().join("source.tar"));
        std::fs::write(&path, bytes).unwrap();
        let lock = repo.repository.lock_shared().unwrap();
        let source = ocirepo_transfer::Source::Path(path);
        ocirepo_transfer::import(lock.ingest().unwrap(), &source, &ImportOptions::default(), &told).unwrap();
        assert_eq!(*told.0.lock().unwrap(), (size as u64, size as u64, 0));
    }
}

#[test]
fn an_image_whose_manifest_nobody_could_read_is_refused() {
    let layer = layer("x");
    let layers: Vec<&[u8]> = vec![&layer; 30_000];
    let config = config(&layers);
    let names = vec!["l.tar"; 30_000];
    let bytes = Tar::new()
        .file("c.json", &config)
        .file("l.tar", &layer)
        .json("manifest.json", &json!([{"Config": "c.json", "RepoTags": ["a:1"], "Layers": names}]))
        .bytes();
    let repo = Repo::new();
    let before = repo.snapshot();
    let error = repo.add(&bytes).unwrap_err();
    assert!(error.to_string().contains("more than 4 MiB"), "{error}");
    assert_eq!(repo.snapshot(), before);
}

#[test]
fn a_layer_that_must_not_be_distributed_is_kept_as_one() {
    let image = Image::new("a");
    let diff_id = Digest::sha256(&image.layer).to_string();
    let source = json!({
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "digest": Digest::sha256(b"elsewhere").to_string(), "size": 9, "urls": ["https://example.com/layer"],
    });
    let item = json!([{
        "Config": "c.json", "RepoTags": ["a:1"], "Layers": ["l.tar"], "LayerSources": {diff_id: source},
    }]);
    let bytes = Tar::new()
        .file("c.json", &image.config)
        .file("l.tar", &image.layer)
        .json("manifest.json", &item)
        .bytes();
    let repo = Repo::new();
    let imported = repo.add(&bytes).unwrap();
    let manifest = std::fs::read(repo.path(&blob_path(&imported.images[0].digest))).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let media_type = "application/vnd.oci.image.layer.nondistributable.v1.tar";
    assert_eq!(manifest["layers"][0]["mediaType"], media_type);
    assert!(repo.has(&image.layer));
}
