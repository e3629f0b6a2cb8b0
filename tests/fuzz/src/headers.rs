//! Tars out of choices, header by header: whatever a field can hold, under a right checksum.

use super::choices::Choices;
use super::tarball::{self, BLOCK, Header, Magic, Size};

const KINDS: &[u8] = b"00000\x0012375xxgLKSS4678AZ";
const NAMES: &[&str] = &["a", "./a", "dir/", "manifest.json", "../../x", "blobs/sha256/ab", "a//b", ""];
const KEYS: &[&str] =
    &["path", "linkpath", "size", "GNU.sparse.major", "GNU.sparse.name", "mtime", "SCHILY.xattr.user.x", ""];
const SIZES: &[&str] = &["0", "5", "513", "18446744073709551615", "9223372036854775807", "-1", "1e3", ""];
const FILLER: [u8; 4 * BLOCK] = [b'c'; 4 * BLOCK];

/// The tar that the choices make, and how it is cut off.
pub(crate) fn build(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut tar = Vec::new();
    while !choices.is_empty() && tar.len() < 1 << 16 {
        match choices.below(16) {
            0 => tar.resize(tar.len() + BLOCK, 0),
            1 => tar.extend_from_slice(choices.bytes()),
            2 => tar.truncate(tar.len().saturating_sub(choices.word())),
            3 | 4 => push_pax(&mut tar, choices),
            _ => push_header(&mut tar, choices),
        }
    }
    tar
}

fn push_header(tar: &mut Vec<u8>, choices: &mut Choices<'_>) {
    let kind = choices.pick(KINDS);
    let content = content(choices);
    let mut header = Header::new(kind, &name(choices), content.len() as u64);
    header.magic = choices.pick(&[Magic::Ustar, Magic::Gnu, Magic::None]);
    if matches!(kind, b'1' | b'2' | b'K') {
        header.link = name(choices);
    }
    match choices.below(8) {
        5 => header.size = Size::Octal(choices.word() as u64),
        6 => header.size = Size::Binary(u64::MAX >> choices.below(64)),
        7 => header.size = Size::Raw(choices.bytes().to_vec()),
        _ => {}
    }
    let mut block = header.block();
    if choices.one_in(8) {
        // Any byte anywhere; half of the time the checksum is still right after it.
        let at = choices.word() % BLOCK;
        block[at] = choices.byte();
        if choices.one_in(2) {
            tarball::set_checksum(&mut block);
        }
    }
    if kind == b'S' {
        // The map may go on in further blocks.
        block[482] = choices.byte() & 1;
        tarball::set_checksum(&mut block);
    }
    tar.extend_from_slice(&block);
    if kind == b'S' && block[482] == 1 {
        for _ in 0..=choices.below(3) {
            let mut map = [b'0'; BLOCK];
            map[504] = choices.byte() & 1;
            tar.extend_from_slice(&map);
        }
    }
    tarball::push_content(tar, &content);
}

fn push_pax(tar: &mut Vec<u8>, choices: &mut Choices<'_>) {
    let mut records = Vec::new();
    for _ in 0..=choices.below(3) {
        let key = choices.pick(KEYS);
        let value = match key {
            "size" => choices.pick(SIZES).as_bytes().to_vec(),
            _ => name(choices),
        };
        records.extend(tarball::pax_record(key, &value));
    }
    if choices.one_in(4) {
        let at = choices.word() % records.len();
        records[at] = choices.byte();
    }
    tarball::push_member(tar, choices.pick(b"xxxg"), b"PaxHeaders/x", b"", &records);
}

fn name(choices: &mut Choices<'_>) -> Vec<u8> {
    match choices.below(4) {
        0 => choices.bytes().to_vec(),
        1 => vec![b'n'; choices.word() % 700],
        _ => choices.pick(NAMES).as_bytes().to_vec(),
    }
}

fn content(choices: &mut Choices<'_>) -> Vec<u8> {
    match choices.below(4) {
        0 => Vec::new(),
        1 => choices.bytes().to_vec(),
        2 => FILLER[..choices.word() % FILLER.len()].to_vec(),
        _ => FILLER[..choices.pick(&[1, 511, 512, 513, 1024]) % FILLER.len()].to_vec(),
    }
}
