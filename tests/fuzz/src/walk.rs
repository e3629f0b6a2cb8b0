//! What must hold for every walk through the headers of a tar.

use ocirepo_transfer::fuzzing::{Walk, walk_file, walk_stream};

use super::headers;
use super::input::{self, Pieces};
use super::memory;

/// The walk may keep what the archive really holds, and some records and buffers of fixed size.
const FIXED: usize = 8 << 20;
const PER_BYTE: usize = 32;

/// Walks an archive as a file and as a stream.
///
/// # Panics
/// When something does not hold.
pub(crate) fn check(bytes: &[u8]) {
    let tar = input::archive(bytes, headers::build);
    let (walk, peak) = memory::peak(|| walk_file(&tar));
    assert!(peak <= FIXED + PER_BYTE * tar.len(), "{peak} bytes of memory for a tar of {}", tar.len());
    check_members(&walk, tar.len() as u64);
    for longest in [usize::MAX, 7] {
        let (streamed, peak) = memory::peak(|| walk_stream(Pieces { bytes: &tar, longest }));
        assert_eq!(streamed, walk, "the stream in pieces of {longest} differs from the file");
        assert!(peak <= FIXED + PER_BYTE * tar.len(), "{peak} bytes of memory for a tar of {}", tar.len());
    }
}

/// Members lie one after the other, on whole blocks, and only the last one may go past the end.
fn check_members(walk: &Walk, length: u64) {
    let mut end = 0;
    for (n, member) in walk.members.iter().enumerate() {
        assert!(member.offset >= end + 512 && member.offset % 512 == 0, "{member:?} lies before {end}");
        assert!(end <= length, "there is something after {end}, where the archive has ended");
        end = member.offset.checked_add(member.size).unwrap_or_else(|| panic!("{member:?} has no end"));
        assert!(end <= length || n + 1 == walk.members.len(), "{member:?} does not end the walk");
        assert!(!member.is_file || !member.name.ends_with('/'), "{member:?} is a directory");
    }
}
