//! Archives that real tools wrote, from a directory that `OCIREPO_CORPUS` names: every one in
//! scope gives the names and digests that it should, from the file and from a stream.

#![expect(clippy::print_stderr, reason = "a test that is skipped must say so")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

mod support;

use std::path::{Path, PathBuf};

use ocirepo_store::ErrorKind::{Conflict, Corrupt, Other};
use support::*;

const ALPINE: &str = "docker.io/library/alpine:3.11 5e0c0c3f7a7f";
const REG: &str = "quay.io/k8scsi/reg:v1.0.1 64cb750a108b";
const MULTIARCH: &str = "docker.io/library/alpine:3.11 9567d511100f";
const DUP: &str = "example.com/dup:1 cd33b6a2b482";
const CHILD: &str = "localhost:5000/child:v2 1ca4aadc0ae6";
const CHILD_OCI: &str = "localhost:5000/child:v2 05c2a5f4811c";
const HELLO: &str = "docker.io/library/hello-world:latest faa03e786c97";
const NAMELESS: &str = "- 5e0c0c3f7a7f";
const DIGEST_NAME: &str = "docker.io/library/alpine@sha256:5e0c0c3f7a7f09b7e9d3f0a6a19f3f490e65cf068a09b2f2ec6b6ad4a156b799 5e0c0c3f7a7f";
const NOTAG: &str =
    "localhost/notag@sha256:5e0c0c3f7a7f09b7e9d3f0a6a19f3f490e65cf068a09b2f2ec6b6ad4a156b799 5e0c0c3f7a7f";
const LATEST: &str = "docker.io/library/alpine:latest 5e0c0c3f7a7f";

/// The config that docker made for an image of an archive from before 1.10, which is its image ID.
const IMAGE_IDS: &[(&str, &str)] = &[
    (
        "google+go-containerregistry/no_manifest.tar",
        "a2673db3c3d86a802c915e140274aed9d62464681af1371c881d7f5821b05645",
    ),
    ("moby+moby/emptyLayer.tar", "a9e31d6f186fbbe2468c9961316dba93971266d344ba960f68911df6e29b564c"),
];

/// A source and its images, each as name and shortened digest.
const GOOD: &[(&str, &[&str])] = &[
    ("_derived/d16-same-tag-two-arch.tar", &["docker.io/library/alpine:3.11 bcc83c394de3"]),
    ("_derived/v10-digestref.tar", &[DIGEST_NAME]),
    ("_derived/v6-hybrid-multi.tar.xz", &[ALPINE, REG]),
    ("_generated/containerd-1.6.20/export-digestname.tar", &[NOTAG]),
    ("_generated/podman-4.3.1/docker-dir", &["- db8401cc9335"]),
    ("_generated/skopeo-1.9.3/dir", &["- d8d7cff16c1b"]),
    ("containers+common/docker-name-only.tar.xz", &["docker.io/library/pretty-empty:latest d77bd28d172e"]),
    ("containers+common/docker-registry-name.tar.xz", &["example.com/empty:latest d77bd28d172e"]),
    (
        "containers+common/docker-two-images.tar.xz",
        &["example.com/empty:latest d77bd28d172e", "example.com/empty/but:different 4d8a306f4062"],
    ),
    (
        "containers+common/docker-two-names.tar.xz",
        &["docker.io/library/pretty-empty:latest d77bd28d172e", "example.com/empty:latest d77bd28d172e"],
    ),
    ("containers+common/docker-unnamed.tar.xz", &["- d77bd28d172e"]),
    ("containers+common/layouts/scratch-dir-5pec!@L", &["- 1b0a841fa0f4"]),
    (
        "google+go-containerregistry/layouts/test_gc_index",
        &["1 eebff607b162", "3 05f95b26ed10", "4 2b29a2b8dea3"],
    ),
    ("google+go-containerregistry/no_manifest.tar", &["docker.io/bazel/v1/tarball:test_image d1a1c223a145"]),
    (
        "google+go-containerregistry/overwritten_file.tar",
        &["docker.io/bazel/pkg/v1/mutate:overwritten_file d41deb2e6702"],
    ),
    (
        "google+go-containerregistry/source_image.tar",
        &["docker.io/bazel/pkg/v1/mutate:source_image e3f168bd4161"],
    ),
    (
        "google+go-containerregistry/test_image_1.tar",
        &["docker.io/bazel/v1/tarball:test_image_1 e3f168bd4161"],
    ),
    (
        "google+go-containerregistry/test_image_2.tar",
        &["docker.io/bazel/v1/tarball:test_image_2 146100660997"],
    ),
    (
        "google+go-containerregistry/test_load_manifest.tar",
        &["docker.io/bazel/v1/tarball:test_image_1 e3f168bd4161"],
    ),
    ("moby+moby/emptyLayer.tar", &["docker.io/matthughes/library-centos:6-2015.03.20 94bb9caabbfb"]),
    ("_derived/d1-gzlayers.tar", &[ALPINE]),
    ("_derived/d12-hardlink.tar", &["docker.io/library/alpine:3.11 cdecaa46355c"]),
    ("_derived/d13-symlink-before-target.tar", &["docker.io/library/alpine:3.11 cdecaa46355c"]),
    ("_derived/d15-config-name-mismatch.tar", &[ALPINE]),
    ("_derived/d2-tags-missing.tar", &[NAMELESS]),
    ("_derived/d3-tags-null.tar", &[NAMELESS]),
    ("_derived/d4-tags-empty.tar", &[NAMELESS]),
    ("_derived/d5-tag-notag.tar", &[LATEST]),
    ("_derived/d6-tag-digest.tar", &[NAMELESS]),
    ("_derived/d7-dotslash-layers.tar", &[ALPINE]),
    ("_derived/v1-single-full.tar", &[ALPINE]),
    ("_derived/v11-both-tag.tar", &[ALPINE]),
    ("_derived/v11b-both-multi.tar", &[ALPINE, REG]),
    ("_derived/v12-blobs-first.tar", &[ALPINE]),
    ("_derived/v13-dotslash.tar", &[ALPINE]),
    ("_derived/v14-abs.tar", &[ALPINE]),
    ("_derived/v15-nolayout-hybrid.tar", &[ALPINE]),
    ("_derived/v16-same-image-two-names.tar", &[ALPINE, LATEST]),
    ("_derived/v17-ocidir-name.tar", &["x 5e0c0c3f7a7f"]),
    ("_derived/v18-hybrid-multiarch.tar", &[MULTIARCH]),
    ("_derived/v19-hybrid-sparse-index.tar", &[MULTIARCH]),
    ("_derived/v2-single-tag.tar", &["3.11 5e0c0c3f7a7f"]),
    ("_derived/v20-multi-images-one-multiarch.tar", &[MULTIARCH, REG]),
    ("_derived/v21-with-helm-artifact.tar", &[ALPINE, "ghcr.io/x/charts/y:1 caa625d48d80"]),
    ("_derived/v23-index-null-manifests.tar", &[ALPINE]),
    ("_derived/v24-wrapped-dir.tar", &[ALPINE]),
    ("_derived/v25-zero-layers.tar", &["docker.io/library/alpine:3.11 09ade42fe3e6"]),
    ("_derived/v3-multi-full.tar", &[ALPINE, REG]),
    ("_derived/v4-multi-tag.tar", &["3.11 5e0c0c3f7a7f", "v1.0.1 64cb750a108b"]),
    ("_derived/v5-hybrid-single.tar", &[ALPINE]),
    ("_derived/v6-hybrid-multi.tar", &[ALPINE, REG]),
    ("_derived/v6-hybrid-multi.tar.gz", &[ALPINE, REG]),
    ("_derived/v6-hybrid-multi.tar.zst", &[ALPINE, REG]),
    ("_derived/v6b-hybrid-multi-familiar.tar", &[ALPINE, REG]),
    ("_derived/v6f-hybrid-multi-fullref.tar", &[ALPINE, REG]),
    ("_derived/v7-repo-tag.tar", &[ALPINE]),
    ("_derived/v7b-familiar.tar", &[ALPINE]),
    ("_derived/v8-indexdocker.tar", &[ALPINE]),
    ("_derived/v9-none.tar", &[NAMELESS]),
    ("_generated/containerd-1.6.20/export-multi-skip-manifest-json.tar", &[ALPINE, REG]),
    ("_generated/containerd-1.6.20/export-multi.tar", &[ALPINE, REG, "example.com/dup:1 78bbfff180aa"]),
    ("_generated/containerd-1.6.20/export-single.tar", &[ALPINE]),
    ("_generated/docker-20.10.24-graphdriver/save-by-id-untagged.tar", &["- 1ca4aadc0ae6"]),
    ("_generated/docker-20.10.24-graphdriver/save-multi-shared-layers.tar", &[DUP, CHILD]),
    ("_generated/docker-20.10.24-graphdriver/save-single.tar", &[DUP]),
    (
        "_generated/docker-20.10.24-graphdriver/save-two-names-one-image.tar",
        &[DUP, "docker.io/library/dup:latest cd33b6a2b482"],
    ),
    ("_generated/podman-4.3.1/docker-archive-multi.tar", &[DUP, CHILD]),
    ("_generated/podman-4.3.1/docker-archive-single.tar", &[DUP]),
    ("_generated/podman-4.3.1/oci-archive-by-id.tar", &["- c06d85ad6114"]),
    ("_generated/podman-4.3.1/oci-archive-single.tar", &[CHILD_OCI]),
    ("_generated/podman-4.3.1/oci-dir", &[CHILD_OCI]),
    ("_generated/skopeo-1.9.3/docker-archive-single.tar", &[DUP]),
    ("_generated/skopeo-1.9.3/docker-archive-untagged.tar", &["- cd33b6a2b482"]),
    ("_generated/skopeo-1.9.3/oci-archive-fullref.tar", &[CHILD_OCI]),
    ("_generated/skopeo-1.9.3/oci-archive-tag.tar", &["v2 05c2a5f4811c"]),
    ("_generated/skopeo-1.9.3/oci-archive-unnamed.tar", &["- 05c2a5f4811c"]),
    ("_generated/skopeo-1.9.3/oci-archive-zstd.tar", &["1 10e051bc97f9"]),
    ("_generated/skopeo-1.9.3/oci-multi", &["example.com/dup:1 c06d85ad6114", CHILD_OCI]),
    ("containers+common/buildkit-docker.tar", &["github.com/buildkit/archive:docker bc79dee9c249"]),
    ("containers+common/buildkit-oci.tar", &["github.com/buildkit/archive:oci 7b9a5714cfff"]),
    ("containers+common/layouts/blobs-only", &["v1.0 bcb1ab2c0c29"]),
    ("containers+common/layouts/index", &["- 74c31168f466"]),
    ("containers+common/layouts/no-blobs", &["v1.0 46ad038ecba6"]),
    ("containers+common/oci-name-only.tar.gz", &["docker.io/library/pretty-empty:latest ff1abe159f09"]),
    ("containers+common/oci-non-docker-name.tar.gz", &["UPPERCASE-IS-INVALID ff1abe159f09"]),
    ("containers+common/oci-registry-name.tar.gz", &["example.com/empty:latest ff1abe159f09"]),
    ("containers+common/oci-unnamed.tar.gz", &["- ff1abe159f09"]),
    ("containers+image/almostempty.tar", &["docker.io/library/emptyimage:latest d7aecbf81bae"]),
    ("google+go-containerregistry/hello-world-v25.tar", &["- 09533dff01f9"]),
    (
        "google+go-containerregistry/layouts/test_index",
        &["1 eebff607b162", "2 325899857025", "3 05f95b26ed10", "4 2b29a2b8dea3"],
    ),
    ("google+go-containerregistry/layouts/test_index_media_type", &["- b544f71ecd82"]),
    ("google+go-containerregistry/layouts/test_index_one_image", &["- 98ceaf93e482"]),
    (
        "google+go-containerregistry/source_image_with_empty_layer_history.tar",
        &["docker.io/bazel/pkg/v1/mutate:source_image a21bf5d34767"],
    ),
    (
        "google+go-containerregistry/test_bundle.tar",
        &[
            "docker.io/library/test_image_2:latest 146100660997",
            "docker.io/library/test_image_1:latest e3f168bd4161",
        ],
    ),
    (
        "google+go-containerregistry/test_link.tar",
        &[
            "docker.io/bazel/v1/tarball:test_image_1 e3f168bd4161",
            "docker.io/bazel/v1/tarball:test_image_3 5d3ba42d8384",
        ],
    ),
    (
        "google+go-containerregistry/whiteout_image.tar",
        &["docker.io/bazel/pkg/v1/mutate:whiteout_image c7d47da00bfe"],
    ),
    ("oras-project+oras-go/hello-world-prefixed-path.tar", &[HELLO]),
    ("oras-project+oras-go/hello-world.tar", &[HELLO]),
];

/// A source that is refused, the kind of error, and a word of its message.
const BAD: &[(&str, ocirepo_store::ErrorKind, &str)] = &[
    ("_derived/d10-layer-missing.tar", Corrupt, "nope.tar"),
    ("_derived/d11-dup-manifest.tar", Corrupt, "manifest.json"),
    ("_derived/d14-diffid-mismatch.tar", Corrupt, "unpacks to"),
    ("_derived/d17-layercount.tar", Corrupt, "2 layers"),
    ("_derived/d8-manifest-null.tar", Corrupt, "null"),
    ("_derived/d9-manifest-empty.tar", Other, "no images"),
    ("_derived/v22-corrupt-blob.tar", Corrupt, "95159d3676e1"),
    ("containers+common/exported-container.tar", Other, "root file system"),
    ("containers+image/layouts/delete_image_shared_blobs_dir", Corrupt, "eaa95f3cfaac"),
    ("containers+image/layouts/delete_image_two_identical_references", Conflict, "1.0.0"),
    ("containers+common/layouts/config-only", Corrupt, "should be 506 bytes"),
    ("containers+image/layouts/delete_image_multiple_images", Corrupt, "should be 585 bytes"),
    ("containers+image/layouts/delete_image_only_one_image", Corrupt, "should be 585 bytes"),
    ("containers+image/layouts/manifest", Other, "neither oci-layout nor blobs"),
    ("containers+image/layouts/two_images_manifest", Other, "neither oci-layout nor blobs"),
    ("containers+image/manifests/fixtures", Other, "neither index.json nor manifest.json"),
    ("containers+image/layouts/name_lookups", Other, "neither oci-layout nor blobs"),
    ("google+go-containerregistry/content.tar", Other, "single layer"),
    ("google+go-containerregistry/layouts/test_gc_image_unknown_mediatype", Corrupt, "325899857025"),
    ("google+go-containerregistry/null_manifest.tar", Corrupt, "null"),
];

fn corpus() -> Option<PathBuf> {
    let corpus = std::env::var_os("OCIREPO_CORPUS").map(PathBuf::from);
    if corpus.is_none() {
        eprintln!("skipped: OCIREPO_CORPUS does not name a directory of archives");
    }
    corpus
}

fn images(imported: &ocirepo_transfer::Imported) -> Vec<String> {
    let images = imported.images.iter();
    images
        .map(|image| {
            let name = image.reference.as_deref().unwrap_or("-");
            format!("{name} {}", &image.digest.encoded()[..12])
        })
        .collect()
}

fn stream(repo: &Repo, path: &Path) -> Option<Result<ocirepo_transfer::Imported, ocirepo_transfer::Error>> {
    path.is_file().then(|| repo.add_stream(&std::fs::read(path).unwrap()))
}

#[test]
fn every_good_archive_of_the_corpus_comes_in_as_it_should() {
    let Some(corpus) = corpus() else { return };
    for (name, expected) in GOOD {
        let path = corpus.join(name);
        let repo = Repo::new();
        let imported = repo.add_path(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(images(&imported), *expected, "{name}");
        let streamed = Repo::new();
        if let Some(imported) = stream(&streamed, &path) {
            assert_eq!(images(&imported.unwrap()), *expected, "{name} as a stream");
            assert_eq!(streamed.index(), repo.index(), "{name}");
        }
        eprintln!("{name}: {}", expected.join(", "));
    }
}

#[test]
fn every_bad_archive_of_the_corpus_is_refused_and_changes_nothing() {
    let Some(corpus) = corpus() else { return };
    for (name, kind, word) in BAD {
        let path = corpus.join(name);
        let repo = Repo::new();
        let before = repo.snapshot();
        for result in std::iter::once(repo.add_path(&path)).chain(stream(&repo, &path)) {
            let error = result.expect_err(name);
            assert_eq!(error.kind(), *kind, "{error}");
            assert!(error.to_string().contains(word), "{error}");
            assert_eq!(repo.snapshot(), before, "{name}");
        }
        eprintln!("{name}: refused, {word}");
    }
}

#[test]
fn images_from_before_docker_1_10_get_the_id_that_docker_gave_them() {
    let Some(corpus) = corpus() else { return };
    for (name, id) in IMAGE_IDS {
        let repo = Repo::new();
        repo.add_path(&corpus.join(name)).unwrap();
        assert!(repo.path("blobs/sha256").join(id).is_file(), "{name}");
    }
}

/// Whatever looks like a source anywhere in the corpus stands in one of the tables.
#[test]
fn every_archive_of_the_corpus_is_in_a_table() {
    let Some(corpus) = corpus() else { return };
    let listed: Vec<&str> =
        GOOD.iter().map(|(name, _)| *name).chain(BAD.iter().map(|(name, ..)| *name)).collect();
    let (mut open, mut found) = (vec![corpus.clone()], 0);
    while let Some(dir) = open.pop() {
        let is_source = ["index.json", "manifest.json"].iter().any(|name| dir.join(name).is_file());
        let mut sources = if is_source { vec![dir.clone()] } else { Vec::new() };
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !is_source {
                open.push(path);
            } else if path.to_string_lossy().contains(".tar") {
                sources.push(path);
            }
        }
        for source in sources {
            let name = source.strip_prefix(&corpus).unwrap().to_string_lossy().into_owned();
            assert!(listed.contains(&name.as_str()), "{name} is in no table");
            found += 1;
        }
    }
    assert!(found > 100, "only {found} sources in {}", corpus.display());
}
