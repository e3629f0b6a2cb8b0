//! What is exported comes back: whatever people have goes in, out, and into another repository, and the second
//! export is the first one byte for byte. The bytes depend on the images alone.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use ocirepo_tests::checker::check;
use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::compress::Compression;
use ocirepo_tests::descriptor::{Blob, full_named, ref_named};
use ocirepo_tests::exported::{Exported, TOC, add, export, run};
use ocirepo_tests::image::ImageSpec;
use ocirepo_tests::intake::pairs;
use ocirepo_tests::layout::Layout;
use ocirepo_tests::producers::{self, Sample};
use ocirepo_tests::states::{A, B, State, image};
use ocirepo_tests::{archive, digest, tools};
use serde_json::{Value, json};
use tar::EntryType;

/// The sample in a repository under these names; `None` if two of them clash there.
fn taken(sample: &Sample, policy: &str) -> Option<Ocirepo> {
    let ocirepo = Ocirepo::new();
    ocirepo.run(&["init", "--ref-policy", policy]).ok();
    let added = ocirepo.run_with_stdin(&["add", "-"], sample.tarball().to_bytes());
    if added.status.code() == Some(9) && policy == "tag" {
        return None;
    }
    added.ok();
    Some(ocirepo)
}

/// Takes a repository out, into an empty one, and out again.
#[track_caller]
fn comes_back(ocirepo: &Ocirepo, policy: &str, args: &[&str]) -> Exported {
    let layout = Layout::open(ocirepo.dir());
    let first = export(ocirepo, args);
    first.assert_entries_of(&layout.read_index());
    assert_eq!(first.digests(), layout.blobs(), "{policy} {args:?}: what is carried");
    let again = add(&first.bytes, policy);
    assert_eq!(Layout::open(again.dir()).blobs(), layout.blobs(), "{policy} {args:?}: what has come in");
    let ls = |ocirepo: &Ocirepo| pairs(&ocirepo.run(&["ls", "--format", "json"]).json());
    assert_eq!(ls(&again), ls(ocirepo), "{policy} {args:?}");
    check(again.dir()).assert_sound();
    let second = export(&again, args);
    let text = |export: &Exported| String::from_utf8_lossy(&export.member("index.json").content).into_owned();
    assert_eq!(text(&second), text(&first), "{policy} {args:?}");
    assert_eq!(second.names(), first.names(), "{policy} {args:?}");
    assert!(second.bytes == first.bytes, "{policy} {args:?}: the archive is another one");
    first
}

macro_rules! producers {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                let sample = producers::$name();
                for policy in ["full", "tag"] {
                    let Some(ocirepo) = taken(&sample, policy) else { continue };
                    comes_back(&ocirepo, policy, &["--type", "oci"]);
                    // One of them is sparse.
                    comes_back(&ocirepo, policy, &["--keep-index"]);
                }
            }
        )*
    };
}

ocirepo_tests::each_producer!(producers);

/// Three images of one base, in this order.
fn repository(order: &[usize]) -> Ocirepo {
    let images = ["one", "two", "three"].map(|seed| (seed, ImageSpec::seeded(seed).noise_layer(7, 300_000)));
    let ocirepo = Ocirepo::new();
    ocirepo.run(&["init"]).ok();
    for &n in order {
        let (seed, spec) = &images[n];
        let name = format!("registry.example/shop/{seed}:1");
        let image = spec.clone().packed(Compression::Gzip).build();
        let bytes = archive::oci_archive(&[(&image, &[&name])], full_named).to_bytes();
        ocirepo.run_with_stdin(&["add", "-"], bytes).ok();
    }
    ocirepo
}

const FORMS: [&[&str]; 6] = [
    &[],
    &["--type", "oci"],
    &["--type", "docker"],
    &["--type", "docker-legacy"],
    &["--type", "docker", "--layers", "gzip"],
    &["--type", "docker", "--layers", "zstd"],
];

#[test]
fn the_bytes_depend_on_nothing_but_the_images() {
    let first: Vec<_> = FORMS.iter().map(|form| export(&repository(&[0, 1, 2]), form).bytes).collect();
    // Times are kept in seconds.
    sleep(Duration::from_millis(1100));
    let other = repository(&[2, 0, 1]).env("TZ", "America/New_York").env("LC_ALL", "de_DE.UTF-8");
    for (form, first) in FORMS.iter().zip(&first) {
        for jobs in ["1", "8"] {
            let again = export(&other, &[form, &["-j", jobs][..]].concat());
            assert!(again.bytes == *first, "{form:?} with {jobs} jobs");
        }
    }
}

/// However the words are put, and whatever else is in the repository.
#[test]
fn the_bytes_do_not_depend_on_how_images_are_chosen() {
    let (all, two) = (repository(&[0, 1, 2]), repository(&[1, 0]));
    let expected = export(&two, &[]).bytes;
    let [one, other] = ["registry.example/shop/one:1", "registry.example/shop/two:1"];
    for args in [&[one, other][..], &[other, one, other], &["@0", "@1"], &["*/one:*", "*/t*o:1"]] {
        assert!(export(&all, args).bytes == expected, "{args:?}");
    }
    all.run(&["tag", one, "registry.example/shop/extra:1"]).ok();
    all.run(&["rm", "registry.example/shop/extra:1"]).ok();
    assert!(export(&all, &[one, other]).bytes == expected);
}

#[test]
fn documents_come_first_and_blobs_in_order() {
    let exported = export(&State::two_images().ocirepo, &[]);
    let blobs: Vec<_> =
        exported.digests().iter().map(|digest| format!("blobs/{}", digest.replace(':', "/"))).collect();
    let documents = [TOC, "oci-layout", "index.json", "manifest.json", "blobs/", "blobs/sha256/"];
    let expected: Vec<&str> = documents.into_iter().chain(blobs.iter().map(String::as_str)).collect();
    assert_eq!(exported.names(), expected);
    let is_plain = |kind: EntryType| matches!(kind, EntryType::Regular | EntryType::Directory);
    assert!(exported.members.iter().all(|member| is_plain(member.kind)));
    assert_eq!(exported.member("oci-layout").content, br#"{"imageLayoutVersion":"1.0.0"}"#);

    let oci = export(&State::two_images().ocirepo, &["--type", "oci"]);
    let without: Vec<_> = expected.into_iter().filter(|name| *name != "manifest.json").collect();
    assert_eq!(oci.names(), without);
}

/// The names of sha512 blobs do not fit into a plain header.
#[test]
fn blobs_of_other_algorithms_go_along() {
    let mut state = State::new();
    let image = ImageSpec::seeded("sha512").build();
    let layer = digest::sha512(&image.tars[1]);
    state.layout.blob_as("sha512", digest::encoded(&layer), &image.tars[1]);
    let text = String::from_utf8(image.manifest.bytes.clone()).unwrap();
    let manifest = text.replace(&image.layers[1].digest, &layer);
    let manifest = Blob::new(image.manifest.media_type.as_str(), manifest);
    state.layout.blobs_of([&image.config, &image.layers[0], &manifest]);
    state.layout.entry(full_named(manifest.descriptor(), A)).write_index();
    let exported = comes_back(&state.ocirepo, "full", &[]);
    assert!(exported.digests().contains(&layer));
    assert!(exported.has("blobs/sha512/"));
}

/// Fields of other tools, and numbers as they were written, in an entry and in what it lists.
#[test]
fn an_entry_is_carried_as_it_is() {
    let state = State::new();
    let image = image("odd");
    state.layout.blobs_of(image.blobs());
    let size = image.manifest.bytes.len();
    let entry = format!(
        "{{\"size\":{size},\"digest\":\"{}\",\"x-unknown\":{{\"z\":1.50,\"a\":[1e2,null]}},\"mediaType\":\"{}\",\
         \"annotations\":{{\"z\":\"\\u00e9\",\"org.opencontainers.image.ref.name\":\"{A}\",\
         \"io.containerd.image.name\":\"{A}\",\"a\":\"\"}},\"artifactType\":\"\"}}",
        image.digest(),
        image.manifest.media_type
    );
    state.layout.write("index.json", format!("{{\"schemaVersion\":2,\"manifests\":[{entry}]}}").as_bytes());
    for args in [&[][..], &["--type", "oci"]] {
        let exported = comes_back(&state.ocirepo, "full", args);
        let index = String::from_utf8_lossy(&exported.member("index.json").content).into_owned();
        assert!(index.contains(&entry), "{index}");
    }
}

/// skopeo and umoci write ref.name alone; runtimes need the full name in the other annotation too.
#[test]
fn layouts_of_other_tools_get_the_annotation_they_lack() {
    let mut state = State::new();
    state.layout.image(&image("a"), A).image(&image("b"), "v2").write_index();
    let before = state.tree();
    let exported = export(&state.ocirepo, &[]);
    let expected = [full_named(image("a").descriptor(), A), ref_named(image("b").descriptor(), "v2")];
    assert_eq!(exported.entries(), expected);
    assert_eq!(exported.repo_tags(), [vec![A.to_owned()], vec![]]);
    exported.warns(&["v2"]);
    state.tree().assert_is(&before);
    let again = add(&exported.bytes, "full");
    assert!(export(&again, &[]).bytes == exported.bytes);
}

#[test]
fn the_table_of_contents_says_what_is_there() {
    let state = State::two_images();
    let exported = export(&state.ocirepo, &[]);
    let toc = exported.document(TOC);
    let images = [A, B].map(|name| {
        let seed = if name == A { "a" } else { "b" };
        json!({"reference": name, "digest": image(seed).digest()})
    });
    assert_eq!(toc["images"], json!(images));
    assert_eq!(toc["artifacts"], json!([]));
    assert_eq!(toc["required"], json!([]));
    let blob = |(digest, bytes): (&String, &&[u8])| json!({"digest": digest, "size": bytes.len()});
    assert_eq!(toc["blobs"], exported.blobs().iter().map(blob).collect::<Value>());
    assert_eq!(exported.json["bundle"], toc["id"]);
    let other = export(&state.ocirepo, &[A]);
    assert_ne!(other.document(TOC)["id"], toc["id"]);
}

/// Also what docker has no word for.
#[test]
fn a_dry_run_says_the_same_and_writes_nothing() {
    let state = State::two_images();
    let path = state.ocirepo.scratch("out.tar");
    for form in FORMS {
        let dry = run(&state.ocirepo, &path, &[form, &["--dry-run"]].concat()).json();
        assert!(!path.exists());
        let real = run(&state.ocirepo, &path, form).json();
        for key in ["images", "blobs", "bundle", "bytes", "type", "required", "warnings"] {
            assert_eq!(dry[key], real[key], "{form:?}: {key}");
        }
        assert_eq!(real["bytes"], fs::metadata(&path).unwrap().len(), "{form:?}");
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn an_empty_repository_has_nothing_to_export() {
    let ocirepo = Ocirepo::new();
    ocirepo.run(&["init"]).ok();
    let path = ocirepo.scratch("out.tar");
    run(&ocirepo, &path, &[]).fails_with(3).says("holds no images");
    assert!(!path.exists());
}

/// A witness that it is what it says: skopeo copies every image out of every form under its name.
#[test]
fn skopeo_takes_every_form() {
    let Some(skopeo) = tools::tool("skopeo") else { return };
    let state = State::two_images();
    let (path, target) = (state.ocirepo.scratch("out.tar"), state.ocirepo.scratch("copy"));
    for (n, form) in FORMS.iter().enumerate() {
        run(&state.ocirepo, &path, form).ok();
        let transports = [("oci-archive", n < 2), ("docker-archive", n != 1)];
        for (transport, _) in transports.into_iter().filter(|(_, is_in)| *is_in) {
            for (name, image) in [(A, image("a")), (B, image("b"))] {
                let source = format!("{transport}:{}:{name}", path.display());
                let target_dir = format!("dir:{}", target.display());
                tools::run(&skopeo, &["copy", "--quiet", "--insecure-policy", &source, &target_dir]);
                let manifest = fs::read(target.join("manifest.json")).unwrap();
                if transport == "oci-archive" {
                    assert_eq!(digest::sha256(&manifest), image.digest(), "{form:?} {name}");
                }
                assert!(target.join(image.config.hex()).exists(), "{form:?} {transport} {name}");
                fs::remove_dir_all(&target).unwrap();
            }
        }
    }
}
