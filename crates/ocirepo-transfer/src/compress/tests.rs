//! What holds for every encoding.

use std::io::Cursor;

use flate2::read::MultiGzDecoder;
use ocirepo_store::{Algorithm, Digest, Hasher};

use super::*;
use crate::source::zstd_decoder;

fn compress(content: &[u8], encoding: &str, jobs: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let result =
        Encoder::new(jobs).encode(&mut Cursor::new(content), encoding.parse().unwrap(), &mut |bytes| {
            out.extend_from_slice(bytes);
            Ok::<(), String>(())
        });
    result.unwrap();
    out
}

/// The content of gzip members, or of zstd frames, with nothing behind.
fn decompress(bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    if bytes.starts_with(b"\x1f\x8b") {
        MultiGzDecoder::new(bytes).read_to_end(&mut content).unwrap();
    } else {
        zstd_decoder(bytes).unwrap().read_to_end(&mut content).unwrap();
    }
    content
}

/// Numbers without a pattern, always the same ones.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 32
    }
}

pub(super) fn random_bytes(length: usize) -> Vec<u8> {
    let mut noise = Noise(1);
    let mut bytes: Vec<u8> =
        (0..length.div_ceil(4)).flat_map(|_| (noise.next() as u32).to_le_bytes()).collect();
    bytes.truncate(length);
    bytes
}

/// Some of everything that layers hold: text, noise, zeros, and what came before once more.
fn mixture(length: usize) -> Vec<u8> {
    const WORDS: &str =
        "layer of a made-up image with words in no order and some names like /usr/lib/ more than others ";
    let mut numbers = Noise(2);
    let mut bytes = Vec::with_capacity(length + 8192);
    while bytes.len() < length {
        let number = numbers.next() as usize;
        let size = number / 8 % 4096;
        match number % 8 {
            0 => bytes.extend(random_bytes(size)),
            1 => bytes.resize(bytes.len() + size, 0),
            2 => bytes.extend_from_within(bytes.len().saturating_sub(size * 9)..),
            _ => {
                for _ in 0..size / 32 {
                    let from = numbers.next() as usize % (WORDS.len() - 12);
                    bytes.extend_from_slice(&WORDS.as_bytes()[from..from + 3 + from % 9]);
                }
            }
        }
    }
    bytes.truncate(length);
    bytes
}

fn around(block: usize) -> [usize; 6] {
    [0, 1, block - 1, block, block + 1, 3 * block + 7]
}

#[test]
fn content_comes_back_from_around_the_borders_of_blocks() {
    for (encoding, block) in [("gzip:1", Gzip::BLOCK), ("gzip", Gzip::BLOCK), ("zstd:1", Zstd::BLOCK)] {
        for length in around(block) {
            for content in [random_bytes(length), mixture(length)] {
                let compressed = compress(&content, encoding, 2);
                assert!(decompress(&compressed) == content, "{encoding}, {length} bytes");
            }
        }
    }
}

#[test]
fn every_level_gives_the_content_back() {
    let content = mixture(2 * Gzip::BLOCK + 99);
    for encoding in (1..=9).map(|n| format!("gzip:{n}")).chain((1..=19).map(|n| format!("zstd:{n}"))) {
        let compressed = compress(&content, &encoding, 2);
        assert!(decompress(&compressed) == content, "{encoding}");
        assert!(compressed.len() < content.len() / 2, "{encoding}");
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    for (encoding, block) in [("gzip", Gzip::BLOCK), ("gzip:9", Gzip::BLOCK), ("zstd:6", Zstd::BLOCK)] {
        let content = mixture(3 * block + 7);
        let alone = compress(&content, encoding, 1);
        for jobs in [2, 3, 8] {
            assert!(compress(&content, encoding, jobs) == alone, "{encoding} on {jobs} threads");
        }
    }
}

#[test]
fn how_the_content_is_read_changes_nothing() {
    struct Dripping<'a>(&'a [u8]);
    impl Read for Dripping<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(1000);
            self.0.read(&mut buffer[..length])
        }
    }
    let content = mixture(Gzip::BLOCK + 5);
    let mut out = Vec::new();
    let encoding = "gzip".parse().unwrap();
    let result = Encoder::new(2).encode(&mut Dripping(&content), encoding, &mut |bytes| {
        out.extend_from_slice(bytes);
        Ok::<(), String>(())
    });
    result.unwrap();
    assert!(out == compress(&content, "gzip", 1));
}

#[test]
fn noise_is_stored_at_level_1_and_what_stands_around_it_compressed() {
    let around = mixture(300_000);
    let content = [&around[..], &random_bytes(5 << 20), &around].concat();
    let compressed = compress(&content, "gzip:1", 2);
    assert!(decompress(&compressed) == content);
    let [alone, smallest] = [("gzip:1", &around), ("gzip:9", &content)]
        .map(|(encoding, content)| compress(content, encoding, 2).len());
    assert!(compressed.len() < (5 << 20) + 2 * alone + (5 << 20) / 1000, "{}", compressed.len());
    assert!(compressed.len() * 100 < smallest * 101, "{} beside {smallest}", compressed.len());
    let digest = Digest::sha256(&compressed).to_string();
    assert_eq!(
        digest, "sha256:938bac75b4501f32f9a93b3190bdef60b548518fa66673e92f2fbd7f13fdb3a4",
        "the bytes are those of this revision"
    );
}

/// Guards against encoders that change behind our back.
#[test]
fn the_bytes_are_those_that_were_always_written() {
    let content = mixture(Zstd::BLOCK + 1_234_567);
    for (encoding, length, expected) in [
        ("gzip:1", 1_500_000, "sha256:cea9938a6936b07ab4092a40ec95b5c6faba35582b5c9f2f36a748fbe0ea1907"),
        ("gzip:6", 1_500_000, "sha256:ae155e253b01b86b0744061149d9c4970c119bd56a8a37658b7aa98b901f1704"),
        ("gzip:9", 1_500_000, "sha256:fe3b6771caaaf5c584aefd7b735b6b92b2ee58169735a86e9799f43fbb9202fd"),
        ("zstd:2", 1_500_000, "sha256:6157b1f4f3f2377dee2338c424776d29e4de1838b6023baae0263e311a1026bc"),
        ("zstd:3", content.len(), "sha256:d5bb2b2b5bef4dbafa292c7354e21e594142a99566e07140c710b5a5fbe71004"),
        ("zstd:9", 1_500_000, "sha256:4674367bcdbc6211c53c7d24e4bfea710e4913dfc3627ea8eec7a1a6164ab606"),
        ("zstd:19", 300_000, "sha256:f12b90a8d2cc8a08b057ae9f6b993fe9d8d66250c2a4d9704b9d998841aa3c5e"),
    ] {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(&compress(&content[..length], encoding, 2));
        assert_eq!(
            hasher.finish().to_string(),
            expected,
            "{encoding} writes other bytes than before: count up its REVISION, and say so in the changelog"
        );
    }
}

#[test]
fn an_empty_layer_is_a_whole_stream() {
    assert_eq!(compress(b"", "gzip", 2), b"\x1f\x8b\x08\0\0\0\0\0\x04\xff\x01\0\0\xff\xff\0\0\0\0\0\0\0\0");
    assert_eq!(decompress(&compress(b"", "zstd", 2)), b"");
    assert!(!compress(b"", "zstd", 2).is_empty());
}

#[test]
fn an_error_of_the_reader_comes_out_as_it_is() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(5))
        }
    }
    for jobs in [1, 2, 8] {
        let mut reader = Cursor::new(random_bytes(3 * Gzip::BLOCK)).chain(Broken);
        let result =
            Encoder::new(jobs).encode(&mut reader, "gzip".parse().unwrap(), &mut |_| Ok::<(), String>(()));
        assert!(matches!(result, Err(Stopped::Reader(error)) if error.raw_os_error() == Some(5)));
    }
}

#[test]
fn an_error_of_the_sink_stops_the_reading() {
    for jobs in [1, 2, 8] {
        let mut reader = io::repeat(7);
        let mut calls = 0;
        let result = Encoder::new(jobs).encode(&mut reader, "gzip".parse().unwrap(), &mut |_| {
            calls += 1;
            if calls < 5 { Ok(()) } else { Err("full") }
        });
        assert!(matches!(result, Err(Stopped::Sink("full"))));
        assert_eq!(calls, 5);
    }
}
