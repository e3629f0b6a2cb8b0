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
const LATEST: &str = "docker.io/library/alpine:latest 5e0c0c3f7a7f";

/// A source and its images, each as name and shortened digest.
const GOOD: &[(&str, &[&str])] = &[
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
    ("_derived/d16-same-tag-two-arch.tar", Conflict, "alpine:3.11"),
    ("_derived/d17-layercount.tar", Corrupt, "2 layers"),
    ("_derived/d8-manifest-null.tar", Corrupt, "null"),
    ("_derived/d9-manifest-empty.tar", Other, "no images"),
    ("_derived/v22-corrupt-blob.tar", Corrupt, "95159d3676e1"),
    ("_derived/v6-hybrid-multi.tar.xz", Other, "not supported yet"),
    ("_generated/skopeo-1.9.3/dir", Other, "dir:"),
    ("containers+common/exported-container.tar", Other, "root file system"),
    ("containers+common/layouts/scratch-dir-5pec!@L", Other, "dir:"),
    ("containers+image/layouts/delete_image_shared_blobs_dir", Corrupt, "eaa95f3cfaac"),
    ("containers+image/layouts/delete_image_two_identical_references", Conflict, "1.0.0"),
    ("containers+image/layouts/name_lookups", Other, "neither oci-layout nor blobs"),
    ("google+go-containerregistry/content.tar", Other, "single layer"),
    ("google+go-containerregistry/layouts/test_gc_image_unknown_mediatype", Corrupt, "325899857025"),
    ("google+go-containerregistry/no_manifest.tar", Other, "before 1.10"),
    ("google+go-containerregistry/null_manifest.tar", Corrupt, "null"),
    ("moby+moby/emptyLayer.tar", Other, "before 1.10"),
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
    }
}
