//! Every archive people have goes in: one of each producer, as a file, on stdin, packed and as a folder, gives
//! the names and digests that the testkit computes, the same index.json every way, and a repository that
//! `verify` finds nothing in.

use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::compress::Packing;
use ocirepo_tests::producers::{self, Sample, Way};
use ocirepo_tests::tools;

/// How every producer is tried; xz and bzip2 follow below.
const WAYS: [Way; 5] = [
    Way::Stdin,
    Way::Folder,
    Way::Packed(Packing::Gzip),
    Way::Packed(Packing::Zstd),
    Way::PackedOnStdin(Packing::ZstdLong),
];

macro_rules! producers {
    ($($name:ident),* $(,)?) => {
        const ALL: &[fn() -> Sample] = &[$(producers::$name),*];
        $(
            #[test]
            fn $name() {
                producers::$name().goes_in(&WAYS);
            }
        )*
    };
}

ocirepo_tests::each_producer!(producers);

/// Compression of the whole archive is taken off before anything is recognised, so a few stand for all.
#[test]
fn packed_in_parts() {
    for sample in [producers::docker_save(), producers::oci_archive(), producers::nix_stream()] {
        sample.goes_in(&[Packing::GzipMembers, Packing::ZstdFrames].map(Way::Packed));
    }
}

#[test]
fn packed_with_xz() {
    for sample in ALL {
        sample().goes_in(&[Way::Packed(Packing::Xz)]);
    }
    producers::k3s_airgap().goes_in(&[Way::PackedOnStdin(Packing::Xz)]);
}

#[test]
fn packed_with_bzip2() {
    for sample in ALL {
        sample().goes_in(&[Way::Packed(Packing::Bzip2)]);
    }
    producers::k3s_airgap().goes_in(&[Way::PackedOnStdin(Packing::Bzip2)]);
}

/// What an entry says besides its name stays.
#[test]
fn annotations_of_the_producer_stay() {
    let index = |sample: Sample| {
        let ocirepo = sample.goes_in(&[]);
        std::fs::read_to_string(ocirepo.dir().join("index.json")).expect("index.json can be read")
    };
    assert!(index(producers::hauler()).contains("\"kind\":\"dev.cosignproject.cosign/imageIndex\""));
    assert!(index(producers::buildx_oci()).contains("\"org.opencontainers.image.created\""));
    assert!(index(producers::ctr_export()).contains("\"containerd.io/distribution.source.docker.io\""));
    assert!(index(producers::zarf()).contains("\"org.opencontainers.image.base.name\""));
}

/// The same image is the same image, whoever saved it.
#[test]
fn one_image_of_many_producers_is_one() {
    let ocirepo = Ocirepo::new();
    ocirepo.run(&["init"]).ok();
    let same = [producers::docker_save_by_id(), producers::docker25_by_digest()];
    for sample in same.into_iter().chain([producers::skopeo_docker_archive_untagged()]) {
        ocirepo.run_with_stdin(&["add", "-"], sample.tarball().to_bytes()).ok();
    }
    let listed = ocirepo.run(&["ls", "--format", "json"]).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed:#}");
}

/// A witness that the archives made here are like the real ones: skopeo takes the first image of each. It knows
/// nothing of docker before 1.10, of folders around a layout and of several names in one.
#[test]
fn skopeo_takes_them_too() {
    let Some(skopeo) = tools::tool("skopeo") else { return };
    let docker = [
        producers::docker_save_by_id(),
        producers::docker25(),
        producers::docker25_by_digest(),
        producers::podman_docker_archive(),
        producers::crane(),
        producers::crane_mixed(),
        producers::crane_legacy(),
        producers::jib_docker(),
        producers::nix_stream(),
        producers::nix_build(),
        producers::rules_docker(),
        producers::rules_oci_docker(),
        producers::buildx_docker(),
        producers::ctr_export(),
        producers::k3s_airgap(),
        producers::hauler(),
    ];
    let oci = [
        producers::oci_archive(),
        producers::oci_archive_unnamed(),
        producers::crane_oci(),
        producers::regctl(),
        producers::jib_oci(),
        producers::buildx_oci_old(),
        producers::buildx_docker(),
        producers::ctr_export_by_digest(),
        producers::ctr_export_index(),
    ];
    let dir = [producers::dir(), producers::dir_mislabelled(), producers::dir_of_index()];
    let of =
        |transport, samples: &[Sample]| samples.iter().map(|sample| (transport, sample.clone())).collect();
    let samples: [Vec<_>; 3] = [of("docker-archive", &docker), of("oci-archive", &oci), of("dir", &dir)];
    for (transport, sample) in samples.into_iter().flatten() {
        let scratch = tempfile::tempdir().expect("a directory can be made");
        let path = scratch.path().join("source");
        match transport {
            "dir" => sample.tarball().unpack(&path),
            _ => std::fs::write(&path, sample.tarball().to_bytes()).expect("the archive can be written"),
        }
        let first = if transport == "docker-archive" { ":@0" } else { "" };
        let source = format!("{transport}:{}{first}", path.display());
        let target = format!("dir:{}", scratch.path().join("target").display());
        let platform = ["--override-os", "linux", "--override-arch", "amd64"];
        tools::run(
            &skopeo,
            &[&platform[..], &["copy", "--quiet", "--insecure-policy", &source, &target]].concat(),
        );
    }
}

/// A digest that a test computes must not depend on when it does.
#[test]
fn archives_are_the_same_every_time() {
    for sample in ALL {
        assert!(sample().tarball() == sample().tarball());
    }
}
