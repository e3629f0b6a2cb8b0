//! Tars with right checksums, whatever else is wrong with them: random bytes hardly ever have one,
//! and what lies behind the check would never be reached.

pub(crate) const BLOCK: usize = 512;

/// The header of one member, every field as it is to be written.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub(crate) kind: u8,
    pub(crate) name: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) size: Size,
    pub(crate) magic: Magic,
}

#[derive(Debug, Clone)]
pub(crate) enum Size {
    Octal(u64),
    /// GNU's form for what does not fit into eleven octal digits.
    Binary(u64),
    Raw(Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Magic {
    Gnu,
    Ustar,
    None,
}

impl Header {
    pub(crate) fn new(kind: u8, name: &[u8], size: u64) -> Self {
        Self { kind, name: name.to_vec(), link: Vec::new(), size: Size::Octal(size), magic: Magic::Ustar }
    }

    pub(crate) fn block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        put(&mut block[..100], &self.name);
        put(&mut block[100..108], b"0000644");
        put(&mut block[108..116], b"0000000");
        put(&mut block[116..124], b"0000000");
        match &self.size {
            Size::Octal(size) => put(&mut block[124..136], format!("{size:011o}").as_bytes()),
            Size::Binary(size) => {
                block[124] = 0x80;
                block[128..136].copy_from_slice(&size.to_be_bytes());
            }
            Size::Raw(bytes) => put(&mut block[124..136], bytes),
        }
        put(&mut block[136..148], b"00000000000");
        block[156] = self.kind;
        put(&mut block[157..257], &self.link);
        match self.magic {
            Magic::Gnu => put(&mut block[257..265], b"ustar  "),
            Magic::Ustar => put(&mut block[257..265], b"ustar\x0000"),
            Magic::None => {}
        }
        set_checksum(&mut block);
        block
    }
}

fn put(field: &mut [u8], bytes: &[u8]) {
    let length = bytes.len().min(field.len());
    field[..length].copy_from_slice(&bytes[..length]);
}

pub(crate) fn set_checksum(block: &mut [u8]) {
    let fields = block[..148].iter().chain(&block[156..BLOCK]);
    let sum: u32 = fields.map(|&byte| u32::from(byte)).sum::<u32>() + 8 * u32::from(b' ');
    put(&mut block[148..156], format!("{sum:06o}\0 ").as_bytes());
}

/// Content, filled up to whole blocks.
pub(crate) fn push_content(tar: &mut Vec<u8>, content: &[u8]) {
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(BLOCK), 0);
}

pub(crate) fn push_end(tar: &mut Vec<u8>) {
    tar.resize(tar.len() + 2 * BLOCK, 0);
}

/// A member whose name may be of any length.
pub(crate) fn push_member(tar: &mut Vec<u8>, kind: u8, name: &[u8], link: &[u8], content: &[u8]) {
    let mut header = Header::new(kind, name, content.len() as u64);
    header.link = link.to_vec();
    let records: Vec<(&str, &[u8])> =
        [("path", name), ("linkpath", link)].into_iter().filter(|(_, value)| value.len() > 100).collect();
    if !records.is_empty() {
        let records: Vec<u8> = records.iter().flat_map(|(key, value)| pax_record(key, value)).collect();
        push_member(tar, b'x', b"PaxHeaders/x", b"", &records);
    }
    tar.extend_from_slice(&header.block());
    push_content(tar, content);
}

/// One PAX record: its own length comes first.
pub(crate) fn pax_record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length += 1;
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

/// Gives every header the checksum that it should have, as far as the sizes lead to headers.
pub(crate) fn mend(tar: &mut [u8]) {
    let mut at = 0;
    while let Some(block) = tar.get_mut(at..at + BLOCK) {
        if block.iter().any(|&byte| byte != 0) {
            set_checksum(block);
        }
        let digits = block[124..136].iter().take_while(|byte| (b'0'..=b'7').contains(byte));
        let size = digits.fold(0_usize, |size, digit| size << 3 | usize::from(digit - b'0'));
        let Some(next) = size.checked_next_multiple_of(BLOCK).and_then(|size| size.checked_add(at + BLOCK))
        else {
            return;
        };
        at = next;
    }
}
