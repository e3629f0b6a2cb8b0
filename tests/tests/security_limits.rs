//! What is small to send and large to read: documents that are large in memory, sizes that no disk has, compression
//! that never ends. Each is refused, in bounded memory and time, and the repository is as it was.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::fs;
use std::time::Duration;

use ocirepo_tests::archive;
use ocirepo_tests::cli::{Ocirepo, Output};
use ocirepo_tests::compress::Packing;
use ocirepo_tests::descriptor::{Blob, OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, full_named};
use ocirepo_tests::image::ImageSpec;
use ocirepo_tests::json::compact;
use ocirepo_tests::layout::Layout;
use ocirepo_tests::memory::wait_measured;
use ocirepo_tests::snapshot::Snapshot;
use ocirepo_tests::states::{State, nowhere};
use ocirepo_tests::tarball::Tarball;
use serde_json::{Value, json};

/// The text of a document of 64 MiB, and room for what is made of it.
const MEMORY: u64 = 400 << 20;

/// A little less than the largest index.json.
const LARGE: usize = 60 << 20;

#[track_caller]
fn in_bounds(ocirepo: &Ocirepo, args: &[&str]) -> Output {
    let (output, peak) = wait_measured(ocirepo.spawn(args));
    assert!(peak.is_none_or(|peak| peak < MEMORY), "{args:?}: {peak:?} bytes\n{}", output.stderr);
    output
}

/// `item` over and over, in a list.
fn list(item: &str, length: usize) -> String {
    format!("[{}]", vec![item; length / (item.len() + 1)].join(","))
}

#[test]
fn an_index_of_values_without_number() {
    let members: String = (0..LARGE / 16).map(|number| format!(",\"{number:08}\":{{}}")).collect();
    for text in [
        format!("{{\"schemaVersion\":2,\"manifests\":{}}}", list("{}", LARGE)),
        format!("{{\"schemaVersion\":2,\"manifests\":[],\"x\":{}}}", list("0", LARGE)),
        format!("{{\"schemaVersion\":2,\"manifests\":[]{members}}}"),
        format!("{{\"schemaVersion\":2,\"manifests\":{}", "[".repeat(LARGE)),
    ] {
        let state = State::two_images();
        state.layout.write("index.json", text.as_bytes());
        let output = in_bounds(&state.ocirepo, &["ls"]).fails_with(4).says("index.json");
        assert!(output.stderr.len() < 1000, "{}", output.stderr);
        // The same as a source.
        let receiver = Ocirepo::new();
        receiver.run(&["init"]).ok();
        in_bounds(&receiver, &["add", state.dir().to_str().unwrap()]).fails_with(4).says("index.json");
    }
}

#[test]
fn documents_of_an_archive_of_values_without_number() {
    let strings = list("\"\"", LARGE);
    let config = format!("{{\"rootfs\":{{\"type\":\"layers\",\"diff_ids\":{}}}}}", list("\"\"", 15 << 20));
    for (config, manifest) in [
        ("{}", list("{\"Config\":\"\",\"Layers\":[]}", LARGE)),
        ("{}", format!("[{{\"Config\":\"c\",\"Layers\":{strings}}}]")),
        ("{}", format!("[{{\"Config\":\"c\",\"Layers\":[],\"RepoTags\":{strings}}}]")),
        (&config, "[{\"Config\":\"c\",\"Layers\":[\"l\"]}]".to_owned()),
    ] {
        let state = State::two_images();
        let before = Snapshot::of(state.dir());
        let path = state.ocirepo.scratch("bomb.tar");
        let tarball = Tarball::new().file("c", config).file("l", "").file("manifest.json", manifest);
        fs::write(&path, tarball.to_bytes()).unwrap();
        for verb in ["add", "ls"] {
            in_bounds(&state.ocirepo, &[verb, path.to_str().unwrap()]).fails_with(4);
        }
        before.assert_same(state.dir(), "a bomb");
    }
}

/// Documents that are larger than any may be, packed to nearly nothing: refused without being read into memory.
#[test]
fn documents_beyond_every_limit_packed_to_nothing() {
    let spaces = " ".repeat(80 << 20);
    for name in ["manifest.json", "index.json", "ocirepo-bundle.json"] {
        let layout = Tarball::new().file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
        let layout = if name == "ocirepo-bundle.json" { layout.file("index.json", "{}") } else { layout };
        let bytes = Packing::Zstd.pack(&layout.file(name, spaces.as_str()).to_bytes());
        assert!(bytes.len() < 1 << 20);
        let state = State::two_images();
        let path = state.ocirepo.scratch("bomb.tar");
        fs::write(&path, bytes).unwrap();
        for verb in ["add", "ls", "inventory"] {
            let output = in_bounds(&state.ocirepo, &[verb, path.to_str().unwrap()]);
            assert!(matches!(output.status.code(), Some(1 | 4)), "{verb} {name}: {}", output.stderr);
        }
    }
}

/// Sizes that cannot be added up.
#[test]
fn sizes_that_no_disk_has() {
    let part = |media_type: &str, fill: char, size: Value| json!({"mediaType": media_type, "digest": nowhere(fill), "size": size});
    let whole = [json!(u64::MAX), json!(i64::MAX), json!(u64::MAX - 1)];
    for size in whole {
        let layers: Vec<_> = "abcdef".chars().map(|fill| part(OCI_LAYER, fill, size.clone())).collect();
        let config = part(OCI_CONFIG, '1', size.clone());
        let manifest =
            json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers});
        let manifest = Blob::new(OCI_MANIFEST, compact(&manifest));
        let ocirepo = Ocirepo::new();
        let mut layout = Layout::create(ocirepo.dir());
        layout.blobs_of([&manifest]);
        layout.entry(full_named(manifest.descriptor(), "docker.io/library/huge:1"));
        let mut root = full_named(manifest.descriptor(), "docker.io/test/root:1");
        root["size"] = size.clone();
        root["digest"] = nowhere('9').into();
        layout.entry(root).write_index();
        let have: String = "1abcdef9".chars().map(|fill| format!("{} {size}\n", nowhere(fill))).collect();
        fs::write(ocirepo.scratch("have.txt"), have).unwrap();
        for args in [
            &["ls"][..],
            &["inspect", "huge:1"],
            &["verify"],
            &["gc", "-n"],
            &["inventory"],
            &["inventory", "../have.txt"],
            &["export", "-n", "huge:1"],
            &["export", "-n", "huge:1", "--have", "../have.txt"],
            &["export", "huge:1", "--have", "../have.txt", "-o", "../delta.tar"],
            &["ls", "../delta.tar"],
            &["verify", "../delta.tar"],
            &["diff", "../have.txt", "."],
            &["diff", ".", "../have.txt"],
            &["diff", "huge:1", "../have.txt"],
            &["add", "-n", "."],
        ] {
            for format in ["table", "json"] {
                let output = ocirepo.run(&[args, &["--format", format]].concat());
                let code = output.status.code();
                // A delta that was refused is not there.
                assert!(matches!(code, Some(0 | 1 | 3 | 4 | 7)), "{args:?}: {code:?}\n{}", output.stderr);
            }
        }
        let receiver = Ocirepo::new();
        receiver.run(&["init"]).ok();
        let delta = ocirepo.scratch("delta.tar");
        if delta.exists() {
            for flags in [&[][..], &["-n"], &["--format", "json"]] {
                let output = receiver.run(&[&["add", delta.to_str().unwrap()], flags].concat());
                assert!(matches!(output.status.code(), Some(4 | 7)), "{}", output.stderr);
            }
        }
    }
}

/// Headers that say more than there is.
#[test]
fn members_that_say_they_are_larger_than_the_archive() {
    use ocirepo_tests::headers::{Head, SizeField, Style};
    let image = ImageSpec::seeded("a").build();
    let whole = archive::docker_save(&[(&image, &["docker.io/test/a:1"])]).to_bytes();
    for (size, sizes) in [
        (1 << 32, SizeField::Octal),
        (1 << 40, SizeField::Base256),
        (i64::MAX as u64, SizeField::Base256),
        (u64::MAX, SizeField::Pax),
        (u64::MAX - 511, SizeField::Pax),
        (i64::MAX as u64, SizeField::Pax),
    ] {
        let head = Head::file("blobs/sha256/x", size).to_bytes(Style::Pax, sizes);
        let bytes = [&head[..], &whole].concat();
        let state = State::two_images();
        let before = Snapshot::of(state.dir());
        let path = state.ocirepo.scratch("lies.tar");
        fs::write(&path, &bytes).unwrap();
        in_bounds(&state.ocirepo, &["add", path.to_str().unwrap()]).fails_with(4);
        state.ocirepo.run_with_stdin(&["add", "-"], bytes).fails_with(4);
        before.assert_same(state.dir(), "a size that is a lie");
    }
}

/// Headers without end, packed to a few kilobytes: there is a most.
#[test]
fn members_without_number() {
    let header = ocirepo_tests::tarball::Member::dir("d/");
    let block = Tarball::new().with(header).to_bytes()[..512].to_vec();
    let bytes = Packing::Zstd.pack(&block.repeat(1_000_001));
    assert!(bytes.len() < 1 << 20);
    let state = State::two_images();
    let ocirepo = state.ocirepo.clone().time_limit(Duration::from_secs(300));
    let before = Snapshot::of(state.dir());
    let path = ocirepo.scratch("bomb.tar");
    fs::write(&path, bytes).unwrap();
    let output = in_bounds(&ocirepo, &["add", path.to_str().unwrap()]).fails_with(4);
    assert!(output.stderr.contains("1000000 members"), "{}", output.stderr);
    before.assert_same(state.dir(), "a bomb");
}

/// A layer of a gigabyte of zeros in some kilobytes is looked through in constant memory, wherever it is unpacked.
#[test]
fn a_layer_that_unpacks_without_end() {
    let zeros = vec![0; 256 << 20];
    let bomb = Packing::Zstd.pack(&zeros);
    drop(zeros);
    let image = ImageSpec::seeded("a").build();
    let config = image.config.bytes;
    let item = json!([{"Config": "c", "RepoTags": ["docker.io/test/a:1"], "Layers": ["bomb", "bomb"]}]);
    let tarball = Tarball::new().file("c", config).file("bomb", bomb).file("manifest.json", compact(&item));
    let state = State::two_images();
    let before = Snapshot::of(state.dir());
    let path = state.ocirepo.scratch("bomb.tar");
    fs::write(&path, tarball.to_bytes()).unwrap();
    for flags in [&[][..], &["--layers", "gzip"], &["--layers", "reuse"]] {
        let args = [&["add", path.to_str().unwrap()], flags].concat();
        let (output, peak) = wait_measured(state.ocirepo.spawn(&args));
        output.fails_with(4);
        assert!(peak.is_none_or(|peak| peak < 100 << 20), "{flags:?}: {peak:?}");
    }
    before.assert_same(state.dir(), "a bomb");
}

/// A list of names is a text of some size, and not whatever a file goes on with.
#[test]
fn lists_without_end() {
    let state = State::two_images();
    for args in [["add", "-f", "/dev/zero"], ["export", "-nf", "/dev/zero"]] {
        in_bounds(&state.ocirepo, &args).fails_with(2).says("more than 64 MiB");
    }
}
