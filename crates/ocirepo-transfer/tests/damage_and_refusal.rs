//! What is not an archive, or a damaged one, is refused by name and changes nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

mod support;

use ocirepo_store::{Digest, ErrorKind};
use ocirepo_transfer::{Error, Source};
use serde_json::json;
use support::*;

fn refused(bytes: &[u8], kind: ErrorKind, words: &[&str]) {
    let repo = Repo::new();
    let before = repo.snapshot();
    for add in [Repo::add, Repo::add_stream] {
        let error = add(&repo, bytes).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
        assert_eq!(repo.snapshot(), before);
    }
}

#[test]
fn a_truncated_archive_changes_nothing() {
    let image = Image::new("some content that is long enough to be cut");
    let (docker, oci) = (image.docker(&["a:1"]), image.oci("a:1"));
    for bytes in [&docker, &oci] {
        // Behind the last content there are only blocks of zeros, which may be missing.
        let content = bytes.iter().rposition(|&byte| byte != 0).unwrap();
        for cut in [1300, content / 2, content - 200, content - 1] {
            refused(&bytes[..cut], ErrorKind::Corrupt, &[]);
        }
    }
    for whole in [gzip(&docker), zstd(&docker)] {
        for cut in [whole.len() / 2, whole.len() - 4] {
            refused(&whole[..cut], ErrorKind::Corrupt, &["is damaged"]);
        }
    }
}

#[test]
fn only_the_end_of_archive_blocks_may_be_missing() {
    let image = Image::new("a");
    let bytes = image.oci("a:1");
    let content = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    for add in [Repo::add, Repo::add_stream] {
        for cut in [content, content.next_multiple_of(512), bytes.len() - 512] {
            assert_eq!(add(&Repo::new(), &bytes[..cut]).unwrap().images[0].digest, image.digest());
        }
    }
}

#[test]
fn what_comes_after_the_end_is_pointed_out() {
    let mut bytes = Image::new("a").oci("a:1");
    bytes.extend(Image::new("b").oci("b:1"));
    for add in [Repo::add, Repo::add_stream] {
        let imported = add(&Repo::new(), &bytes).unwrap();
        assert_eq!(imported.images.len(), 1);
        assert!(imported.warnings[0].contains("end-of-archive"), "{:?}", imported.warnings);
    }
}

#[test]
fn a_flipped_bit_in_compressed_input_is_noticed() {
    let mut bytes = gzip(&Image::new("a").docker(&["a:1"]));
    let checksum = bytes.len() - 6;
    bytes[checksum] ^= 1;
    refused(&bytes, ErrorKind::Corrupt, &["is damaged"]);
}

#[test]
fn compressed_archives_of_both_kinds_come_in() {
    let image = Image::new("a");
    for archive in [image.docker(&["a:1"]), image.oci("docker.io/library/a:1")] {
        for bytes in [gzip(&archive), zstd(&archive)] {
            let imported = Repo::new().add(&bytes).unwrap();
            assert_eq!(summary(&imported).0, [format!("docker.io/library/a:1 {}", image.digest())]);
        }
    }
}

#[test]
fn nothing_at_all_is_not_an_archive() {
    for bytes in [&b""[..], &[0; 512], &[0; 10240], b"hello", &[b'x'; 4096]] {
        refused(bytes, ErrorKind::Other, &["is not an image archive"]);
    }
    let repo = Repo::new();
    let gone = repo.add_source(&Source::parse("/nonexistent/a.tar"), &Default::default()).unwrap_err();
    assert!(matches!(&gone, Error::Read { .. }));
    assert_eq!(gone.to_string(), "cannot read /nonexistent/a.tar");
    let empty = repo.dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert!(repo.add_path(&empty).unwrap_err().to_string().contains("it is empty"));
}

#[test]
fn things_that_look_like_archives_are_called_by_their_name() {
    let other = ErrorKind::Other;
    let root = Tar::new().file("bin/sh", "x").file("etc/passwd", "x").file("usr/bin/env", "x");
    refused(&root.bytes(), other, &["root file system", "not supported"]);
    refused(&layer("x"), other, &["single layer"]);
    let registry = Tar::new().file("docker/registry/v2/blobs/sha256/ab/abcd/data", "x");
    refused(&registry.bytes(), other, &["storage of a registry"]);
    let imgpkg = Tar::new().json("manifest.json", &json!([{"Image": {"Refs": []}}]));
    refused(&imgpkg.bytes(), other, &["imgpkg"]);
    refused(b"\x04\x22\x4d\x18rest", other, &["lz4", "not supported"]);
    refused(&gzip(&zstd(&layer("x"))), other, &["compressed twice"]);
}

#[test]
fn known_formats_that_lack_a_part_say_which() {
    let corrupt = ErrorKind::Corrupt;
    let dir = Tar::new().file("version", "x").json("manifest.json", &json!({"schemaVersion": 2}));
    refused(&dir.bytes(), corrupt, &["manifest.json", "not the manifest of an image"]);
    let image = Image::new("a");
    let dir = Tar::new()
        .file("manifest.json", &image.manifest)
        .file(Digest::sha256(&image.config).encoded(), &image.config);
    refused(&dir.bytes(), corrupt, &[Digest::sha256(&image.layer).as_str(), "not in the archive"]);
    let v1 = Tar::new().json("repositories", &json!({"a": {"1": "x"}})).file("x/layer.tar", "");
    refused(&v1.bytes(), corrupt, &["repositories says that it is x", "not in the archive"]);
    refused(b"\xfd7zXZ\0\0rest", corrupt, &["damaged"]);
    refused(b"BZh91AY&SY", corrupt, &["damaged"]);
}

#[test]
fn json_that_two_readers_could_read_differently_is_refused() {
    let image = Image::new("a");
    let entry = image.entry().to_string();
    let bytes = Tar::new()
        .blobs(&image.blobs())
        .file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#)
        .file("index.json", format!(r#"{{"schemaVersion":2,"manifests":[],"manifests":[{entry}]}}"#))
        .bytes();
    refused(&bytes, ErrorKind::Corrupt, &["index.json", "twice"]);
    let item = r#"[{"Config":"config.json","Config":"other","Layers":[]}]"#;
    let bytes = Tar::new().file("config.json", &image.config).file("manifest.json", item).bytes();
    refused(&bytes, ErrorKind::Corrupt, &["manifest.json", "twice"]);
}

#[test]
fn two_different_manifest_json_are_refused() {
    let image = Image::new("a");
    let item = |tag: &str| json!([{"Config": "c", "RepoTags": [tag], "Layers": ["l"]}]);
    let bytes = Tar::new()
        .file("c", &image.config)
        .file("l", &image.layer)
        .json("manifest.json", &item("a:1"))
        .json("manifest.json", &item("b:1"))
        .bytes();
    refused(&bytes, ErrorKind::Corrupt, &["manifest.json", "twice"]);
}

#[test]
fn an_unknown_layout_version_is_refused() {
    let image = Image::new("a");
    let bytes = Tar::new()
        .blobs(&image.blobs())
        .file("oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#)
        .json("index.json", &json!({"schemaVersion": 2, "manifests": [image.entry()]}))
        .bytes();
    refused(&bytes, ErrorKind::Corrupt, &["oci-layout", "2.0.0"]);
}

#[test]
fn links_out_of_the_archive_are_refused_where_they_are_needed() {
    let image = Image::new("a");
    for target in ["/etc/passwd", "../../../etc/passwd"] {
        let bytes = Tar::new()
            .file("c", &image.config)
            .symlink("x/layer.tar", target)
            .json("manifest.json", &json!([{"Config": "c", "RepoTags": ["a:1"], "Layers": ["x/layer.tar"]}]))
            .bytes();
        refused(&bytes, ErrorKind::Corrupt, &["x/layer.tar"]);
    }
}

#[test]
fn a_hostile_member_name_is_harmless_and_escaped() {
    let image = Image::new("a");
    let bytes = Tar::new()
        .file("../../evil", "x")
        .file("c", &image.config)
        .json(
            "manifest.json",
            &json!([{"Config": "c", "RepoTags": ["a:1"], "Layers": ["\u{1b}[2J\u{202e}gone"]}]),
        )
        .bytes();
    let repo = Repo::new();
    let text = repo.add(&bytes).unwrap_err().to_string();
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
    assert!(!repo.dir.path().join("evil").exists());
}

#[test]
fn sparse_members_are_refused_only_if_they_are_needed() {
    let image = Image::new("a");
    let with = |layer: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_path("sparse").unwrap();
        header.set_entry_type(tar::EntryType::GNUSparse);
        header.set_size(0);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(
            Tar::new()
                .file("c", &image.config)
                .file("l", &image.layer)
                .json("manifest.json", &json!([{"Config": "c", "RepoTags": ["a:1"], "Layers": [layer]}]))
                .bytes(),
        );
        bytes
    };
    assert_eq!(Repo::new().add(&with("l")).unwrap().images[0].digest, image.digest());
    refused(&with("sparse"), ErrorKind::Corrupt, &["sparse"]);
}
