//! The seeds: what a fuzzer starts from, and what the tests replay. All of it is made here.

use serde_json::json;

use super::archives;
use super::choices::Choices;
use super::headers;
use super::images;
use super::input::{BUILD, MEND};
use super::tarball::{self, BLOCK, Header, Magic, Size};

/// One file to start from.
pub struct Seed {
    /// The target it is for.
    pub target: &'static str,
    /// The name of its file.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Every seed.
pub fn all() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (target, made) in [
        ("reference", references()),
        ("index_json", indexes()),
        ("tar_walk", tars()),
        ("docker_import", imports()),
    ] {
        seeds.extend(made.into_iter().map(|(name, bytes)| Seed { target, name, bytes }));
    }
    seeds
}

type Named = (String, Vec<u8>);

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn references() -> Vec<Named> {
    let digest = format!("sha256:{EMPTY}");
    let texts = [
        "alpine",
        "alpine:3.11",
        "index.docker.io/library/alpine:3.11",
        "docker.io/alpine",
        "me/app",
        "localhost:5000/app:1",
        "localhost/app",
        "quay.io/a/b/c:v1",
        "Host/app",
        "foo__bar:1",
        "a---b.c_d:1",
        "[fe80::1]:5000/a:1",
        "a_b.c/d",
        "UPPERCASE-IS-INVALID",
        "ocidir://x:1",
        "a\u{1b}[31m",
        "alpine:3.11\n3.11",
        "not_a_name\n@x",
        &digest,
        EMPTY,
        &format!("@{digest}"),
        &format!("alpine:3.11@{digest}"),
        &format!("a@sha512:{EMPTY}{EMPTY}"),
        &format!("a@blake3:{EMPTY}"),
        "a@multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8",
        &format!("sha256-{EMPTY}.sig"),
        &"a/".repeat(140),
    ];
    numbered("text", texts.into_iter().map(|text| text.as_bytes().to_vec()))
}

fn indexes() -> Vec<Named> {
    let entry = |digest: char, image_name: Option<&str>, ref_name: Option<&str>| {
        let mut entry = json!({"mediaType": "a/b", "digest": format!("sha256:{}", EMPTY.replace('e', &digest.to_string())), "size": 7});
        let names =
            [("io.containerd.image.name", image_name), ("org.opencontainers.image.ref.name", ref_name)];
        for (key, name) in names.into_iter().filter_map(|(key, name)| Some((key, name?))) {
            entry["annotations"][key] = json!(name);
        }
        entry
    };
    let full = |name| Some(name).filter(|name: &&str| !name.is_empty());
    let alpine = entry('a', full("docker.io/library/alpine:3.11"), Some("3.11"));
    let busybox = entry('b', full("docker.io/library/busybox:3.11"), None);
    let list = |entries: &[serde_json::Value]| images::index(entries).to_string();
    let texts = [
        r#"{"schemaVersion":2,"manifests":[]}"#.to_owned(),
        r#"{"manifests":null}"#.to_owned(),
        r#" {"x-top": 1e2,"manifests":[1, null, {"size":7.0,"x":{"n":1.10}}],"annotations":{"b":"1"}}"#.to_owned(),
        r#"{"m\u0061nifests":[{"digest":"blake9:zz","size":-1}],"a":"\ud83d\ude00"}"#.to_owned(),
        r#"{"manifests":[{"annotations":null},{"annotations":[]},{"annotations":{"io.containerd.image.name":1}}]}"#.to_owned(),
        list(&[alpine.clone(), busybox.clone()]),
        list(&[busybox, alpine.clone(), entry('a', None, None)]),
        list(&[entry('a', None, Some("3.11")), entry('b', None, Some("docker.io/library/alpine:3.11"))]),
        list(&[entry('a', None, Some("foo__bar:1")), entry('a', None, Some("ocidir://x:1"))]),
        list(&[alpine, entry('c', None, Some("3.11"))]),
        r#"{"manifests":[{"mediaType":"a/b","digest":"sha256:D","size":0,"data":"","urls":["x"],"platform":{"os":"linux","architecture":"arm","variant":"v7","os.version":"1"}}]}"#.replace('D', EMPTY),
    ];
    numbered("index", texts.into_iter().map(String::into_bytes))
}

/// Tars for the walk: each form of a header once, and some at random.
fn tars() -> Vec<Named> {
    let long = "d/".repeat(80);
    let mut plain = Vec::new();
    tarball::push_member(&mut plain, b'0', b"a", b"", b"content");
    tarball::push_member(&mut plain, b'5', b"dir/", b"", b"");
    tarball::push_member(&mut plain, b'2', b"link", b"a", b"");
    let mut pax = Vec::new();
    tarball::push_member(&mut pax, b'0', long.as_bytes(), long.as_bytes(), b"1");
    let mut gnu = Vec::new();
    for kind in [b'L', b'K'] {
        tarball::push_member(&mut gnu, kind, b"././@LongLink", b"", long.as_bytes());
    }
    tarball::push_member(&mut gnu, b'1', b"d", b"d", b"");
    let mut sizes = Vec::new();
    for size in [Size::Binary(5), Size::Raw(b"5 \0".to_vec()), Size::Octal(5)] {
        let mut header = Header::new(b'0', b"a", 0);
        (header.size, header.magic) = (size, Magic::Gnu);
        sizes.extend_from_slice(&header.block());
        tarball::push_content(&mut sizes, b"12345");
    }
    let mut record = Vec::new();
    let records = [tarball::pax_record("size", b"3"), tarball::pax_record("GNU.sparse.major", b"1")].concat();
    tarball::push_member(&mut record, b'x', b"x", b"", &records);
    tarball::push_member(&mut record, b'0', b"sparse", b"", b"123");
    let mut seeds = Vec::new();
    for (name, tar) in [("plain", plain), ("pax", pax), ("gnu", gnu), ("sizes", sizes), ("record", record)] {
        seeds.push((format!("{name}-mended"), [&[MEND][..], &tar].concat()));
        seeds.push((name.to_owned(), tar));
    }
    seeds.push(("end".to_owned(), vec![0; 2 * BLOCK]));
    seeds.extend(numbered("built", (0..24).map(|n| [&[BUILD][..], &noise(n, 120)].concat())));
    let is_useful = |bytes: &[u8]| !headers::build(&mut Choices::new(bytes)).is_empty();
    seeds.retain(|(_, bytes)| bytes[0] != BUILD || is_useful(&bytes[1..]));
    seeds
}

/// Archives to import: those that choices make, and a few of them as the archives themselves.
fn imports() -> Vec<Named> {
    let mut built = Vec::new();
    for style in 0..5 {
        for n in 0..12_u8 {
            // Usual options, the style, and then less and less that is usual.
            let mut bytes = vec![0, 0, style];
            bytes.extend(
                noise(u64::from(n) * 5 + u64::from(style), 70)
                    .into_iter()
                    .map(|byte| if byte % 12 < n { byte } else { byte % 3 }),
            );
            if n > 8 {
                (bytes[0], bytes[1]) = (bytes[9], bytes[10]);
            }
            built.push(bytes);
        }
    }
    let mut seeds = Vec::new();
    for (n, bytes) in built.iter().enumerate() {
        let tar = archives::build(&mut Choices::new(&bytes[2..]));
        for (form, archive) in
            [("gz", images::gzip(&tar)), ("mended", [&[MEND][..], &tar].concat()), ("raw", tar)]
        {
            if archive.len() < 4096 && n % 6 == 0 {
                seeds.push((format!("{form}-{n:02}"), archive));
            }
        }
    }
    seeds.extend(numbered("built", built.into_iter().map(|bytes| [&[BUILD][..], &bytes].concat())));
    seeds
}

fn numbered(word: &str, files: impl Iterator<Item = Vec<u8>>) -> Vec<Named> {
    files.enumerate().map(|(n, bytes)| (format!("{word}-{n:02}"), bytes)).collect()
}

/// Bytes that look random and are always the same.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}
