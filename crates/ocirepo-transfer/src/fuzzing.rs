//! Entry points for the fuzz targets in `tests/fuzz`, which may not reach into the crate otherwise.
//!
//! There is one for each way of walking the headers of a tar, so that a target can compare the
//! two. Nothing here is part of the crate's interface, and none of it is compiled into a release.

// The walk is private to `archive`, and stays so: this is the same source, compiled once more.
#[path = "archive/headers.rs"]
#[allow(dead_code, reason = "only the walk is of interest here")]
mod headers;
#[path = "archive/input.rs"]
mod input;

use std::io::{self, Read};

use crate::archive::limits;
use headers::{Fault, Headers, Kind};
use input::{Input, Stream};

/// What a walk found.
#[derive(Debug, PartialEq, Eq)]
pub struct Walk {
    /// The members, in order.
    pub members: Vec<Member>,
    /// Whether there is more after the end-of-archive marker, or what ended the walk before.
    pub end: Result<bool, String>,
}

/// One member.
#[derive(Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// What it is, with the target of a link.
    pub kind: String,
    /// Whether it is a file with content.
    pub is_file: bool,
    /// Where its content begins.
    pub offset: u64,
    /// How long its content is.
    pub size: u64,
}

/// Walks a tar that can be read anywhere.
#[must_use]
pub fn walk_file(bytes: &[u8]) -> Walk {
    walk(Memory(bytes), false)
}

/// Walks a tar that is read once.
#[must_use]
pub fn walk_stream(reader: impl Read) -> Walk {
    walk(Stream::new(reader), true)
}

struct Memory<'a>(&'a [u8]);

impl Input for Memory<'_> {
    fn read_from(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        // What the system says to a read from so far out.
        if i64::try_from(offset).is_err() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let rest = usize::try_from(offset).ok().and_then(|offset| self.0.get(offset..)).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}

fn walk(input: impl Input, read_all: bool) -> Walk {
    let mut headers = Headers::new(input);
    let mut members = Vec::new();
    let end = loop {
        match headers.next() {
            Ok(Some(header)) => members.push(Member {
                name: header.name,
                is_file: header.kind == Kind::File,
                kind: format!("{:?}", header.kind),
                offset: header.offset,
                size: header.size,
            }),
            Ok(None) => break headers.trailing(read_all).map_err(|error| error.to_string()),
            Err(Fault::Io(error)) => break Err(error.to_string()),
            Err(Fault::NotTar) => break Err("it is no tar".to_owned()),
            Err(Fault::Damaged(reason)) => break Err(reason),
        }
    };
    Walk { members, end }
}
