//! What runtimes read of a hybrid: names, the items of docker's part, platforms, layers that are elsewhere.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

use std::collections::BTreeSet;

use ocirepo_tests::artifact::{artifact, index_of, manifest_list, schema1};
use ocirepo_tests::compress::Compression;
use ocirepo_tests::descriptor::{self, Blob, full_named, on_platform, ref_named};
use ocirepo_tests::exported::{Exported, add, export, run, sorted};
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::layout::Layout;
use ocirepo_tests::states::{A, B, State, digests, image};
use ocirepo_tests::tarball::Tarball;
use serde_json::{Value, json};

/// The same entries and blobs are there when an archive has been added to an empty repository.
#[track_caller]
fn is_restored(state: &State, exported: &Exported) {
    let again = add(&exported.bytes, "full");
    let layout = Layout::open(again.dir());
    assert_eq!(sorted(&layout.read_index()["manifests"]), sorted(&state.layout.read_index()["manifests"]));
    assert_eq!(layout.blobs(), state.layout.blobs());
    again.run(&["verify"]).ok();
}

#[track_caller]
fn digests_of(entries: &[Value]) -> BTreeSet<String> {
    entries.iter().map(|entry| entry["digest"].as_str().expect("an entry has a digest").to_owned()).collect()
}

fn path(blob: &Blob) -> String {
    format!("blobs/sha256/{}", blob.hex())
}

/// An item of manifest.json over an image as it is stored.
fn item(image: &Image, names: &[&str]) -> Value {
    let names = if names.is_empty() { Value::Null } else { json!(names) };
    let layers: Vec<_> = image.layers.iter().map(path).collect();
    json!({"Config": path(&image.config), "RepoTags": names, "Layers": layers})
}

#[test]
fn docker_gets_one_item_for_an_image_with_all_its_full_names() {
    const QUAY: &str = "quay.io/shop/a:2.0";
    let mut state = State::new();
    let (a, b) = (image("a"), image("b"));
    state.layout.full_image(&b, B).full_image(&a, QUAY).full_image(&a, A).write_index();
    let exported = export(&state.ocirepo, &[]);
    exported.is_silent();
    assert_eq!(exported.items(), [item(&a, &[A, QUAY]), item(&b, &[B])]);
    let names: Vec<_> =
        exported.entries().iter().map(|entry| entry["annotations"][descriptor::IMAGE_NAME].clone()).collect();
    assert_eq!(names, [A, B, QUAY], "one entry for each name");
    is_restored(&state, &exported);
}

/// In a repository of short names the full ones are in docker's part all the same, and both annotations are there.
#[test]
fn names_are_full_whatever_the_policy() {
    let state = State::two_images();
    state.ocirepo.run(&["config", "ref-policy", "tag"]).ok();
    let exported = export(&state.ocirepo, &[]);
    assert_eq!(exported.repo_tags(), [[A], [B]]);
    for (entry, (name, tag)) in exported.entries().iter().zip([(A, "1"), (B, "2")]) {
        assert_eq!(entry["annotations"][descriptor::IMAGE_NAME], name);
        assert_eq!(entry["annotations"][descriptor::REF_NAME], tag);
    }
    exported.assert_entries_of(&state.layout.read_index());
}

#[test]
fn names_in_an_oci_archive_are_spelled_as_asked() {
    let state = State::two_images();
    let ref_names = |exported: &Exported| -> Vec<Value> {
        exported.entries().iter().map(|entry| entry["annotations"][descriptor::REF_NAME].clone()).collect()
    };
    let oci = |names| export(&state.ocirepo, &["--type", "oci", "--names", names]);
    assert_eq!(ref_names(&oci("full")), [A, B]);
    assert_eq!(ref_names(&oci("tag")), ["1", "2"]);
    let full = add(&oci("tag").bytes, "full");
    assert!(export(&full, &[]).bytes == export(&state.ocirepo, &[]).bytes, "nothing is lost on the way");

    let mut clash = State::new();
    clash.layout.full_image(&image("a"), A).full_image(&image("b"), "docker.io/library/b:1").write_index();
    let path = clash.ocirepo.scratch("out.tar");
    run(&clash.ocirepo, &path, &["--type", "oci", "--names", "tag"]).one_clear_error(9, &[A, "library/b:1"]);
    assert!(!path.exists());
}

/// Digests, bare tags and what docker's grammar refuses are names of the layout only.
#[test]
fn what_docker_does_not_take_for_a_name_stays_out_of_its_part() {
    let [named, bare, odd, nameless, both] = ["1", "2", "3", "4", "5"].map(image);
    let digest = format!("quay.io/shop/named@{}", named.digest());
    let mut state = State::new();
    state.layout.full_image(&named, &digest).image(&bare, "v9").image(&odd, "Foo/Bar:1");
    state.layout.full_image(&both, A).image(&both, "v5");
    state.layout.blobs_of(nameless.blobs());
    state.layout.entry(nameless.descriptor()).write_index();
    let exported = export(&state.ocirepo, &[]);
    let tags: BTreeSet<_> = exported.repo_tags().into_iter().flatten().collect();
    assert_eq!(tags, [A.to_owned()].into());
    let items: BTreeSet<_> = exported.items().iter().map(Value::to_string).collect();
    let expected =
        [item(&both, &[A]), item(&named, &[]), item(&bare, &[]), item(&odd, &[]), item(&nameless, &[])];
    assert_eq!(items, expected.iter().map(Value::to_string).collect());
    for name in [digest.as_str(), "v9", "Foo/Bar:1", "v5"] {
        exported.warns(&[name]);
    }
    assert_eq!(exported.warnings.len(), 4, "{:#?}", exported.warnings);
    is_restored(&state, &exported);
}

/// Two manifests may have one config: with other annotations, or with the same layers packed otherwise.
#[test]
fn images_of_one_config_stay_apart() {
    let plain = image("a");
    let annotated = ImageSpec::seeded("a").annotation("k", "v").build();
    let packed = ImageSpec::seeded("a").packed(Compression::Gzip).build();
    const C: &str = "docker.io/library/c:3";
    let mut state = State::new();
    state.layout.full_image(&plain, A).full_image(&annotated, B).full_image(&packed, C).write_index();
    let exported = export(&state.ocirepo, &[]);
    assert_eq!(exported.items(), [item(&plain, &[A, B]), item(&packed, &[C])]);
    is_restored(&state, &exported);
}

/// What docker reads of an index does not depend on the machine.
#[test]
fn an_index_is_linux_amd64_to_docker_else_its_first_linux() {
    let cases: [(&[&str], usize); 4] = [
        (&["linux/arm64", "linux/amd64"], 1),
        (&["windows/amd64", "linux/s390x", "linux/arm64"], 1),
        (&["windows/amd64", "darwin/arm64"], 0),
        (&["linux/arm/v7", "linux/arm/v6"], 0),
    ];
    for (platforms, expected) in cases {
        let images: Vec<_> = platforms.iter().map(|it| ImageSpec::seeded(it).platform(it).build()).collect();
        let children: Vec<_> = images.iter().zip(platforms.iter().copied()).collect();
        let index = index_of(&children);
        let mut state = State::new();
        state.layout.blobs_of(images.iter().flat_map(Image::blobs).chain([&index]));
        state.layout.entry(full_named(index.descriptor(), A)).write_index();
        let exported = export(&state.ocirepo, &[]);
        assert_eq!(exported.items(), [item(&images[expected], &[A])], "{platforms:?}");
        is_restored(&state, &exported);
    }
}

/// An index of three platforms, of which some are there.
fn sparse(there: &[usize]) -> (State, Blob, Vec<Image>) {
    let platforms = ["linux/amd64", "linux/arm64", "linux/s390x"];
    let images: Vec<_> = platforms.iter().map(|it| ImageSpec::seeded(it).platform(it).build()).collect();
    let index = index_of(&images.iter().zip(platforms).collect::<Vec<_>>());
    let mut state = State::new();
    state.layout.blobs_of(there.iter().flat_map(|&n| images[n].blobs()).chain([&index]));
    state.layout.entry(full_named(index.descriptor(), A)).write_index();
    (state, index, images)
}

#[test]
fn a_sparse_image_needs_a_word_in_a_hybrid() {
    let (state, index, images) = sparse(&[0, 1]);
    let out = state.ocirepo.scratch("out.tar");
    run(&state.ocirepo, &out, &[]).one_clear_error(4, &[A, "linux/s390x", "--platform", "--keep-index"]);
    assert!(!out.exists());

    let kept = export(&state.ocirepo, &["--keep-index"]);
    kept.warns(&[A, "linux/s390x"]);
    assert_eq!(kept.entries(), [full_named(index.descriptor(), A)]);
    assert_eq!(kept.items(), [item(&images[0], &[A])]);
    is_restored(&state, &kept);

    let oci = export(&state.ocirepo, &["--type", "oci"]);
    oci.warns(&[A, "linux/s390x"]);
    is_restored(&state, &oci);

    let cut = export(&state.ocirepo, &["--platform", "linux/amd64,linux/arm64"]);
    cut.warns(&[A, &index.digest]);
    assert_eq!(cut.digests().len(), 8, "the base is shared: {:?}", cut.names());
}

#[test]
fn one_platform_is_an_image_and_several_are_an_index() {
    let (state, index, images) = sparse(&[0, 1, 2]);
    let one = export(&state.ocirepo, &["--platform", "linux/arm64"]);
    assert_eq!(one.digests(), digests(images[1].blobs()));
    assert_eq!(digests_of(&one.entries()), [images[1].digest().to_owned()].into());
    assert_eq!(one.items(), [item(&images[1], &[A])]);
    let expected = full_named(on_platform(images[1].descriptor(), "linux/arm64"), A);
    for form in ["hybrid", "oci"] {
        let one = export(&state.ocirepo, &["--platform", "linux/arm64", "--type", form]);
        assert_eq!(
            one.entries(),
            std::slice::from_ref(&expected),
            "{form}: what is left of an image keeps its name"
        );
        let again = add(&one.bytes, "full");
        assert!(export(&again, &["--type", form]).bytes == one.bytes, "{form}");
    }
    let copy = state.ocirepo.scratch("copy");
    run(&state.ocirepo, &copy, &["--platform", "linux/arm64", "--type", "dir"]).ok();
    assert_eq!(Layout::open(&copy).read_index()["manifests"], json!([expected]));

    let several = export(&state.ocirepo, &["--platform", "linux/s390x,linux/amd64"]);
    let children = [(&images[0], "linux/amd64"), (&images[2], "linux/s390x")];
    let expected = index_of(&children);
    assert_eq!(several.entries(), [full_named(expected.descriptor(), A)]);
    assert_eq!(several.digests(), digests(images[0].blobs().chain(images[2].blobs()).chain([&expected])));
    assert_eq!(several.items(), [item(&images[0], &[A])]);
    let again = add(&several.bytes, "full");
    assert!(export(&again, &[]).bytes == several.bytes);

    let all = export(&state.ocirepo, &["--platform", "linux/s390x,linux/amd64,linux/arm64"]);
    assert_eq!(all.entries(), [full_named(index.descriptor(), A)], "nothing is cut, nothing changes");
    let out = state.ocirepo.scratch("out.tar");
    run(&state.ocirepo, &out, &["--platform", "linux/riscv64"]).one_clear_error(3, &["linux/riscv64"]);
}

/// Who signed the index did not sign what is left of it; who signed a platform did.
#[test]
fn the_signature_of_an_index_that_is_cut_stays_behind() {
    let (mut state, index, images) = sparse(&[0, 1, 2]);
    let of_index = artifact("application/x.signature", b"of the index", Some(&index));
    let of_arm64 = artifact("application/x.signature", b"of arm64", Some(&images[1].manifest));
    let of_s390x = artifact("application/x.signature", b"of s390x", Some(&images[2].manifest));
    state.layout.artifact(&of_index).artifact(&of_arm64).artifact(&of_s390x).write_index();
    let unlisted = artifact("application/x.sbom", b"unlisted", Some(&images[1].manifest));
    let unlisted_of_index = artifact("application/x.sbom", b"unlisted of the index", Some(&index));
    state.layout.blobs_of(unlisted.blobs().chain(unlisted_of_index.blobs()));
    for platforms in ["linux/arm64", "linux/arm64,linux/amd64"] {
        let cut = export(&state.ocirepo, &["--platform", platforms]);
        cut.warns(&[&of_index.manifest.digest, &index.digest]);
        cut.warns(&[&of_s390x.manifest.digest]);
        assert_eq!(digests_of(&cut.artifacts()), [of_arm64.manifest.digest.clone()].into(), "{platforms}");
        assert!(cut.digests().is_superset(&digests(of_arm64.blobs().chain(unlisted.blobs()))), "{platforms}");
        let others = [&of_index, &of_s390x, &unlisted_of_index].map(|it| it.manifest.digest.clone());
        assert!(others.iter().all(|digest| !cut.digests().contains(digest)), "{platforms}");
        add(&cut.bytes, "full").run(&["verify"]).ok();
    }
}

/// Windows' base layers, which are not to be distributed: where they are, they go along, else their URLs do.
#[test]
fn layers_that_are_elsewhere() {
    for is_there in [true, false] {
        let foreign = Blob::new(
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            Compression::Gzip.pack(&Tarball::new().file("windows", "x").to_bytes()),
        );
        let mut image = ImageSpec::new().layer(Tarball::new().file("windows", "x")).build();
        let mut layer = foreign.descriptor();
        layer["urls"] = json!(["https://example.com/layer"]);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": descriptor::OCI_MANIFEST,
            "config": image.config.descriptor(),
            "layers": [layer],
        });
        image.manifest = Blob::new(descriptor::OCI_MANIFEST, manifest.to_string());
        let mut state = State::new();
        state.layout.blobs_of([&image.manifest, &image.config]);
        if is_there {
            state.layout.blob(&foreign.bytes);
        }
        state.layout.entry(full_named(image.descriptor(), A)).write_index();
        let exported = export(&state.ocirepo, &[]);
        is_restored(&state, &exported);
        if is_there {
            let sources = json!({&image.diff_ids[0]: foreign.descriptor()});
            assert_eq!(exported.items()[0]["LayerSources"], sources);
        } else {
            assert_eq!(exported.items(), [] as [Value; 0]);
            exported.warns(&[A, "elsewhere"]);
            let out = state.ocirepo.scratch("out.tar");
            run(&state.ocirepo, &out, &["--type", "docker"]).one_clear_error(4, &[A, &foreign.digest]);
            assert!(!out.exists());
        }
    }
}

/// Old docker reads gzip only, and is told so; a list of docker's own type is as good as an index.
#[test]
fn what_old_docker_cannot_load_is_said() {
    let mut state = State::new();
    let zstd = ImageSpec::seeded("zstd").packed(Compression::Zstd).build();
    let list = manifest_list(descriptor::DOCKER_LIST, [on_platform(zstd.descriptor(), "linux/amd64")]);
    state.layout.blobs_of(zstd.blobs().chain([&list]));
    state.layout.entry(full_named(list.descriptor(), A)).write_index();
    let exported = export(&state.ocirepo, &[]);
    exported.warns(&[A, "zstd"]);
    assert_eq!(exported.items(), [item(&zstd, &[A])]);
    is_restored(&state, &exported);

    let old = schema1("library/b", "2", &image("b"));
    state.layout.blobs_of(old.blobs());
    state.layout.entry(ref_named(old.manifest.descriptor(), B)).write_index();
    let exported = export(&state.ocirepo, &[]);
    exported.warns(&[B, "schema 1"]);
    assert_eq!(exported.items(), [item(&zstd, &[A])]);
    assert_eq!(exported.digests(), state.layout.blobs());
}
