//! The committed archive is what it is said to be.
//!
//! In a file of its own, and so a process of its own, because it starts a program that it has just written: a child
//! that another test starts at that moment would hold the file open for writing, and the start would fail.

use std::io::Read as _;

use ocirepo_tests::digest;
use ocirepo_tests::fixtures::fixture;
use serde_json::json;

/// The content of a member of a tar file.
fn member(tar: &[u8], name: &str) -> Vec<u8> {
    let mut archive = tar::Archive::new(tar);
    let mut entries = archive.entries().expect("a tar file").map(|entry| entry.expect("a member"));
    let mut entry = entries.find(|entry| *entry.path_bytes() == *name.as_bytes()).expect(name);
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).expect("the member is whole");
    bytes
}

#[test]
fn the_committed_archive_holds_what_it_should() {
    let archive = std::fs::read(fixture("hello.tar")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&member(&archive, "manifest.json")).unwrap();
    assert_eq!(manifest[0]["RepoTags"], json!(["docker.io/library/hello:1.0"]));
    let config_name = manifest[0]["Config"].as_str().unwrap();
    let config = member(&archive, config_name);
    assert_eq!(format!("{}.json", digest::encoded(&digest::sha256(&config))), config_name);
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    let layers = manifest[0]["Layers"].as_array().unwrap();
    for (layer, diff_id) in layers.iter().zip(config["rootfs"]["diff_ids"].as_array().unwrap()) {
        assert_eq!(digest::sha256(&member(&archive, layer.as_str().unwrap())), *diff_id);
    }
    let base = member(&archive, layers[0].as_str().unwrap());
    assert!(member(&base, "bin/hello").starts_with(b"\x7fELF"));
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn the_program_in_the_committed_archive_runs() {
    use std::os::unix::fs::PermissionsExt as _;

    let archive = std::fs::read(fixture("hello.tar")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&member(&archive, "manifest.json")).unwrap();
    let base = member(&archive, manifest[0]["Layers"][0].as_str().unwrap());
    // Below the target directory, because a temporary directory may be mounted noexec.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let program = dir.path().join("hello");
    std::fs::write(&program, member(&base, "bin/hello")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = std::process::Command::new(&program).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Hello from a linux/amd64 image.\n");
}
