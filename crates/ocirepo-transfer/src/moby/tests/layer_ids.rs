//! The layers of old dockers against the types of docker 20.10 to 24 in Go, and against archives
//! that docker wrote.

#![expect(clippy::print_stderr, reason = "a test that is skipped must say so")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use ocirepo_store::Digest;
use serde::Deserialize;

use crate::moby::layer_ids::{V1Layer, repositories_json, v1_layers};
use crate::source::unwrap;

/// A config with its members and so many layers, whose content is `layer <n>`.
fn config(members: &str, layers: usize) -> String {
    let diff_ids: Vec<String> =
        (1..=layers).map(|n| format!("\"{}\"", Digest::sha256(format!("layer {n}").as_bytes()))).collect();
    format!("{{{members}\"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[{}]}}}}", diff_ids.join(","))
}

/// What stands before the rootfs, how many layers there are, and for each of them its ID and the
/// sha256 of its `json`.
type Case = (&'static str, usize, &'static [(&'static str, &'static str)]);

/// A program with docker's types in Go gave these.
const CASES: &[Case] = &[
    (
        "",
        1,
        &[(
            "e6f0353539f66cfc042de7b24407ff1c4ce0dc9b356b4c1a8ae58fe339a84f0f",
            "3ddcc17f9e25af9d9a0be6719051c639d95659ef65d31dbf3b6774d912e476d7",
        )],
    ),
    (
        r#""os":"linux","architecture":"amd64","config":{},"#,
        3,
        &[
            (
                "9e1ae6cf2da0c206371368a10e09d8caf645ab6434517abd5053d8661d32abf8",
                "77333df31a893135d76fa5c494d5bc88285842b1d65c332656a16c700efd4b3e",
            ),
            (
                "c8a3ed02986e1f65f1d3b65ea4043b708b309143dedf567919e5057ca0ee9078",
                "9e846da1cc3888988468a4e6e9c71fce5b24e4f88ecf478da92f21140fc9ed25",
            ),
            (
                "f9d6262286fb0b70baccba1a525523221cc8fb9ad45c80dc9254645be8eb7f9a",
                "aa262de798ec29e85e0a91a4e1e80e639d5b101f3a580ef43e2329994a874095",
            ),
        ],
    ),
    (
        r##""id":"a","parent":"sha256:b","comment":"a <comment> & more","created":"2015-01-02T03:04:05.600700800Z",
        "container":"cafe","container_config":{"Hostname":"cafe","Cmd":["/bin/sh","-c","#(nop) CMD [\"a\" && <b>]"],"Image":"x"},
        "docker_version":"20.10.1","author":"Jörg <j@example.org>","architecture":"arm","variant":"v7","os":"linux","Size":12345,
        "config":{"Hostname":"h","Domainname":"d","User":"u","Memory":0,"AttachStdin":true,"AttachStdout":true,
            "AttachStderr":true,"PortSpecs":null,"ExposedPorts":{"8080/tcp":{},"53/udp":{},"443/tcp":{}},"Tty":true,
            "OpenStdin":true,"StdinOnce":true,"Env":["PATH=/bin","A=\u00e9 \ud83d\ude00"],"Cmd":["a","b"],
            "Healthcheck":{"Test":["CMD","x"],"Interval":30000000000,"Timeout":0,"StartPeriod":1,"StartInterval":2,"Retries":3},
            "ArgsEscaped":true,"Image":"sha256:1","Volumes":{"/z":{},"/a b":{}},"WorkingDir":"/w","Entrypoint":"/e",
            "NetworkDisabled":true,"MacAddress":"02:42:ac:11:00:02","OnBuild":["RUN x"],"Labels":{"b":"2","a":"<1>"},
            "StopSignal":"SIGTERM","StopTimeout":0,"Shell":["/bin/sh","-c"]},
        "history":[{"created":"2015-01-02T03:04:05Z"}],"os.version":"10","os.features":["x"],"moby.buildkit.x":1,"##,
        2,
        &[
            (
                "9e1ae6cf2da0c206371368a10e09d8caf645ab6434517abd5053d8661d32abf8",
                "77333df31a893135d76fa5c494d5bc88285842b1d65c332656a16c700efd4b3e",
            ),
            (
                "34078843dc2316096ef3bb7bea923dfb2470c1e6edf01c081b448acf2b9735d9",
                "edc3aa491dc10c179082e8e78d8f42be4dc5a72722192c99be5abe9c47a1ec5b",
            ),
        ],
    ),
    (
        r#""created":"2014-10-01T20:46:13.50+00:00","config":null,"container_config":null,"author":"","#,
        1,
        &[(
            "188cd0dbb2095129d8098654a540eff35cd8cfb7172e4e9fb132deba540358d3",
            "ea952e67e1e8d6cd0f3d4a72be4d5b2ad2b88cc5d21dbe07c820f76a92ae037e",
        )],
    ),
    (
        r#""created":"2014-10-01T20:46:13+05:30","config":{"Labels":{},"Volumes":{},"ExposedPorts":{},"Env":[],
            "OnBuild":[],"Shell":[],"Cmd":[],"Healthcheck":{},"StopTimeout":0},"#,
        2,
        &[
            (
                "9e1ae6cf2da0c206371368a10e09d8caf645ab6434517abd5053d8661d32abf8",
                "d2e9471f7b2d574f62f6c82f1d1326d5ea12eac5ae59c674e5f0919885c31da4",
            ),
            (
                "c403291810dcf2c1db1db1d4ed04fe8ac74e18a8e63f02b9c60e33c2e2b8e390",
                "54b4e9530cfa68f0ae77eb5ac814dd7f5adceaa1d7e78c9c0c7b2184fbf0d514",
            ),
        ],
    ),
];

#[test]
fn layers_have_the_ids_and_documents_that_docker_gave_them() {
    for (members, count, expected) in CASES {
        let layers = v1_layers(config(members, *count).as_bytes()).unwrap();
        let found: Vec<(&str, Digest)> =
            layers.iter().map(|layer| (layer.id.as_str(), Digest::sha256(&layer.json))).collect();
        let found: Vec<(&str, &str)> = found.iter().map(|(id, json)| (*id, json.encoded())).collect();
        assert_eq!(found, *expected, "{members}");
    }
}

#[test]
fn a_document_names_its_layer_its_parent_and_the_system() {
    let layers = v1_layers(config(r#""os":"linux","#, 2).as_bytes()).unwrap();
    let text = |layer: &V1Layer| String::from_utf8(layer.json.clone()).unwrap();
    let (base, top) = (text(&layers[0]), text(&layers[1]));
    assert!(base.starts_with(&format!(
        r#"{{"id":"{}","created":"1970-01-01T00:00:00Z","container_config":{{"#,
        layers[0].id
    )));
    assert!(base.ends_with(r#"},"os":"linux"}"#));
    let (id, parent) = (&layers[1].id, &layers[0].id);
    assert!(
        top.starts_with(&format!(r#"{{"id":"{id}","parent":"{parent}","created":"0001-01-01T00:00:00Z","#))
    );
}

#[test]
fn configs_that_docker_would_not_take_are_refused_with_a_reason() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for (config, reason) in [
        ("", "EOF"),
        ("null", "null"),
        ("[]", "not an object"),
        ("{}", "no rootfs"),
        (r#"{"rootfs":null}"#, "no rootfs"),
        (r#"{"rootfs":"layers"}"#, "rootfs is not an object"),
        (r#"{"rootfs":{}}"#, "no diff_ids"),
        (r#"{"rootfs":{"diff_ids":null}}"#, "no diff_ids"),
        (r#"{"rootfs":{"diff_ids":{}}}"#, "not a list"),
        (r#"{"rootfs":{"diff_ids":[]}}"#, "no layers"),
        (r#"{"rootfs":{"diff_ids":[1]}}"#, "diff_ids[0] is not a digest"),
        (r#"{"rootfs":{"diff_ids":["sha256:abc"]}}"#, "diff_ids[0] is not a digest"),
        (r#"{"rootfs":{},"rootfs":{}}"#, "stands twice"),
        (r#"{"os":1,"rootfs":{}}"#, "its os is not usable"),
        (r#"{"created":"yesterday","rootfs":{}}"#, "its created is not usable"),
        (r#"{"config":{"Env":"x"},"rootfs":{}}"#, "its Env is not usable"),
        (&deep, "recursion limit"),
    ] {
        let error = v1_layers(config.as_bytes()).unwrap_err();
        assert!(error.contains(reason), "{}: {error}", &config[..config.len().min(80)]);
    }
    assert!(v1_layers(b"{\"\xff\":1}").is_err());
}

#[test]
fn repositories_are_sorted_and_hold_every_name() {
    let name = |repository: &str, tag: &str, id: &str| (repository.to_owned(), tag.to_owned(), id.to_owned());
    let names = [name("quay.io/b", "2", "bb"), name("alpine", "3", "aa"), name("quay.io/b", "1", "aa")];
    let json = r#"{"alpine":{"3":"aa"},"quay.io/b":{"1":"aa","2":"bb"}}"#;
    assert_eq!(String::from_utf8(repositories_json(&names)).unwrap(), format!("{json}\n"));
    assert_eq!(repositories_json(&[]), b"{}\n");
}

/// Archives with layers of version 1 whose IDs are not docker's, as other programs wrote them.
const OTHER_WRITERS: &[&str] = &[
    "_generated/podman-4.3.1/docker-archive-multi.tar",
    "_generated/podman-4.3.1/docker-archive-single.tar",
    "_generated/skopeo-1.9.3/docker-archive-single.tar",
    "_generated/skopeo-1.9.3/docker-archive-untagged.tar",
    "google+go-containerregistry/overwritten_file.tar",
    "google+go-containerregistry/source_image.tar",
    "google+go-containerregistry/source_image_with_empty_layer_history.tar",
    "google+go-containerregistry/test_bundle.tar",
    "google+go-containerregistry/test_image_1.tar",
    "google+go-containerregistry/test_image_2.tar",
    "google+go-containerregistry/test_load_manifest.tar",
    "google+go-containerregistry/whiteout_image.tar",
];

/// Archives of docker 25, which kept the documents of version 1 as blobs that nothing names.
const AS_BLOBS: &[&str] = &["google+go-containerregistry/hello-world-v25.tar"];

#[test]
fn archives_that_docker_wrote_have_these_very_layers() {
    let Some(corpus) = std::env::var_os("OCIREPO_CORPUS").map(PathBuf::from) else {
        eprintln!("skipped: OCIREPO_CORPUS does not name a directory of archives");
        return;
    };
    let (mut equal, mut passed) = (0, Vec::new());
    for path in archives(&corpus) {
        let name = path.strip_prefix(&corpus).unwrap().to_string_lossy().into_owned();
        let members = members(&path);
        let has_layers = members.keys().any(|member| member.len() == 69 && member.ends_with("/json"));
        let as_blobs = AS_BLOBS.contains(&name.as_str());
        if !has_layers && !as_blobs {
            continue;
        }
        for item in items(&members) {
            let config = members.get(&item.config).unwrap_or_else(|| panic!("{name}: {}", item.config));
            let layers = v1_layers(config).unwrap();
            if OTHER_WRITERS.contains(&name.as_str()) {
                assert!(
                    layers.iter().all(|layer| !members.contains_key(&format!("{}/json", layer.id))),
                    "{name} is docker's own"
                );
                passed.push(name.clone());
                continue;
            }
            assert_eq!(layers.len(), item.layers.len(), "{name}");
            for (layer, written) in layers.iter().zip(&item.layers) {
                if as_blobs {
                    let blob = format!("blobs/sha256/{}", Digest::sha256(&layer.json).encoded());
                    assert!(members.contains_key(&blob), "{name}: {}", layer.id);
                } else {
                    assert_eq!(format!("{}/layer.tar", layer.id), *written, "{name}");
                    let json = &members[&format!("{}/json", layer.id)];
                    assert_eq!(String::from_utf8_lossy(&layer.json), String::from_utf8_lossy(json), "{name}");
                }
                equal += 1;
            }
        }
    }
    passed.dedup();
    assert_eq!(passed, OTHER_WRITERS, "an archive is not in the table, or not there");
    assert!(equal >= 20, "only {equal} layers of docker's own");
    eprintln!("{equal} layers are as docker wrote them");
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    layers: Vec<String>,
}

/// The images of an archive; none where there is no list of them that can be read.
fn items(members: &BTreeMap<String, Vec<u8>>) -> Vec<Item> {
    let manifest = members.get("manifest.json");
    manifest.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default()
}

/// Every tar below a directory, sorted.
fn archives(root: &Path) -> Vec<PathBuf> {
    let (mut open, mut found) = (vec![root.to_owned()], Vec::new());
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_string_lossy().contains(".tar") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The documents of an archive.
fn members(path: &Path) -> BTreeMap<String, Vec<u8>> {
    const LARGEST: u64 = 1 << 20;
    let mut members = BTreeMap::new();
    let plain = unwrap(File::open(path).unwrap(), "x").unwrap();
    for member in tar::Archive::new(plain).entries().unwrap() {
        let Ok(mut member) = member else { break };
        let mut bytes = Vec::new();
        if member.size() <= LARGEST {
            member.read_to_end(&mut bytes).unwrap();
        }
        members.insert(member.path().unwrap().to_string_lossy().into_owned(), bytes);
    }
    members
}
