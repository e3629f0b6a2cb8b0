//! Volumes: a bundle in several files, each no larger than a medium, and each of use by itself.
//!
//! Everything is settled from the sizes of the blobs before the first byte is written. A blob lies in
//! one volume, unless it is larger than a volume; then it is cut. Every volume is an image layout with
//! the whole index.json, the whole table of contents and checksums of its own.

use std::collections::{BTreeMap, BTreeSet};

use ocirepo_store::Digest;
use ocirepo_store::index::Entry;
use serde::Serialize;

use super::layout;
use super::member::{Member, Source, archive_size, size_in_archive};
use crate::archive::paths;
use crate::bundle::{Part, Required, SUMS, Toc, TocBlob, TocImage, VOLUME, part_name};
use crate::error::{Error, Result};

/// What stands in `ocirepo-volume.json`.
#[derive(Serialize)]
struct Label<'t> {
    bundle: &'t Digest,
    volume: u32,
    volumes: u32,
}

/// What is to be split.
pub(super) struct Whole<'e> {
    pub(super) images: Vec<TocImage>,
    pub(super) entries: Vec<Entry>,
    pub(super) blobs: &'e BTreeMap<Digest, u64>,
    pub(super) required: Vec<Required>,
    pub(super) made: &'e BTreeMap<Digest, Vec<u8>>,
}

/// The members of every volume, and the table that they share. A bundle that fits into one volume is
/// one in a single piece.
///
/// # Errors
/// [`Error::VolumeTooSmall`].
pub(super) fn split(whole: &Whole<'_>, limit: u64) -> Result<(Vec<Vec<Member>>, Toc)> {
    let single = whole.toc(whole.blobs.iter().map(|(digest, size)| plain(digest, *size)).collect(), 1);
    let mut members = layout::documents(&single, &whole.entries, None);
    members.extend(layout::blobs(whole.blobs.iter(), whole.made));
    if size(&members)? <= limit {
        return Ok((vec![members], single));
    }
    let Some(room) = whole.room(limit)? else {
        return Err(Error::VolumeTooSmall { size: limit, least: whole.least(limit)? });
    };
    let plan = pack(whole.blobs, room)?;
    let volumes = plan.volumes;
    let toc = whole.toc(plan.blobs, volumes);
    let volumes: Vec<Vec<Member>> = (1..=volumes).map(|number| whole.volume(&toc, number)).collect();
    for members in &volumes {
        // The room was reckoned generously, so this is a mistake of ours.
        debug_assert!(size(members)? <= limit, "a volume is larger than it may be");
    }
    Ok((volumes, toc))
}

fn plain(digest: &Digest, size: u64) -> TocBlob {
    TocBlob { digest: digest.clone(), size, volume: None, parts: Vec::new() }
}

fn size(members: &[Member]) -> Result<u64> {
    archive_size(members).map_err(|source| Error::Write { output: "the archive".to_owned(), source })
}

/// The longest number of a volume that is reckoned with, and of a part.
const MAX_NUMBER: u32 = 99_999;

impl Whole<'_> {
    fn toc(&self, blobs: Vec<TocBlob>, volumes: u32) -> Toc {
        Toc::new(self.images.clone(), Vec::new(), blobs, self.required.clone(), volumes)
    }

    /// How many bytes of a volume are left for blobs, whatever the numbers turn out to be.
    fn room(&self, limit: u64) -> Result<Option<u64>> {
        let spelled = |(digest, size): (&Digest, &u64)| {
            // A part takes as many bytes in the table as this one.
            let longest = Part { volume: MAX_NUMBER, size: limit };
            let parts = if *size > limit / 2 { size / (limit / 8).max(1) + 3 } else { 0 };
            let parts = vec![longest; usize::try_from(parts).unwrap_or(usize::MAX).min(1 << 20)];
            TocBlob { digest: digest.clone(), size: *size, volume: Some(MAX_NUMBER), parts }
        };
        let toc = self.toc(self.blobs.iter().map(spelled).collect(), MAX_NUMBER);
        let mut members = layout::documents(&toc, &self.entries, None);
        members.insert(1, label(&toc, MAX_NUMBER));
        members.extend(layout::folders(self.blobs.keys()));
        let sums = sums_size(&members);
        members.push(Member { name: SUMS.to_owned(), size: sums, source: Source::Sums });
        // The checksums of blobs are reckoned with the blobs, but for what fills the last block.
        let fixed = size(&members)? + 512;
        Ok(limit.checked_sub(fixed).filter(|room| *room >= LEAST_ROOM))
    }

    /// The least size of a volume that has room. The table is longer for smaller volumes, since it
    /// lists their parts.
    fn least(&self, too_small: u64) -> Result<u64> {
        let (mut below, mut above) = (too_small, too_small.max(LEAST_ROOM));
        while self.room(above)?.is_none() {
            (below, above) = (above, above.saturating_mul(2));
        }
        while above - below > 1024 {
            let middle = below + (above - below) / 2;
            if self.room(middle)?.is_some() { above = middle } else { below = middle }
        }
        Ok(above)
    }

    fn volume(&self, toc: &Toc, number: u32) -> Vec<Member> {
        let here = toc.blobs.iter().filter(|blob| blob.volume == Some(number));
        let whole: BTreeMap<&Digest, &u64> = here.map(|blob| (&blob.digest, &blob.size)).collect();
        let mut members = layout::documents(toc, &self.entries, None);
        members.insert(1, label(toc, number));
        members.extend(layout::blobs(whole.iter().map(|(digest, size)| (*digest, *size)), self.made));
        for blob in &toc.blobs {
            let mut offset = 0;
            for (k, part) in (1..).zip(&blob.parts) {
                if part.volume == number {
                    members.push(Member {
                        name: part_name(&blob.digest, k),
                        size: part.size,
                        source: Source::Part { blob: blob.digest.clone(), of: blob.size, offset },
                    });
                }
                offset += part.size;
            }
        }
        let size = sums_size(&members);
        members.push(Member { name: SUMS.to_owned(), size, source: Source::Sums });
        members
    }
}

fn label(toc: &Toc, volume: u32) -> Member {
    let label = Label { bundle: &toc.id, volume, volumes: toc.volumes };
    let mut bytes = serde_json::to_vec(&label).expect("strings and numbers can be written as JSON");
    bytes.push(b'\n');
    Member::bytes(VOLUME, bytes)
}

/// The length of the line that a member has among the checksums.
fn line_size(name: &str) -> u64 {
    64 + 2 + name.len() as u64 + 1
}

fn sums_size(members: &[Member]) -> u64 {
    members.iter().filter(|member| member.is_file()).map(|member| line_size(&member.name)).sum()
}

/// A volume with less room than this is of no use.
const LEAST_ROOM: u64 = 64 << 10;
/// A part smaller than this share of the room is not worth a cut.
const LEAST_SHARE: u64 = 16;

/// Where every blob goes.
struct Plan {
    blobs: Vec<TocBlob>,
    volumes: u32,
}

/// Puts every blob into the first volume that has room for it, the largest first; what is larger than
/// a volume is cut before that, into pieces as large as can be.
fn pack(blobs: &BTreeMap<Digest, u64>, room: u64) -> Result<Plan> {
    let mut left: Vec<u64> = Vec::new();
    let mut placed: Vec<TocBlob> = Vec::with_capacity(blobs.len());
    let mut by_size: Vec<(&Digest, u64)> = blobs.iter().map(|(digest, size)| (digest, *size)).collect();
    by_size.sort_unstable_by_key(|(digest, size)| (std::cmp::Reverse(*size), *digest));
    // Volumes before this one have room for nothing that is still to come.
    let mut full: BTreeSet<usize> = BTreeSet::new();
    for (digest, size) in by_size {
        let cost = cost(&paths::blob_name(digest), size)?;
        if cost > room {
            placed.push(cut(digest, size, room, &mut left)?);
            continue;
        }
        let fits = (0..left.len()).find(|n| !full.contains(n) && left[*n] >= cost);
        let at = fits.unwrap_or_else(|| {
            left.push(room);
            left.len() - 1
        });
        left[at] -= cost;
        if left[at] < SMALLEST {
            full.insert(at);
        }
        placed.push(TocBlob { volume: Some(number(at)?), ..plain(digest, size) });
    }
    placed.sort_unstable_by(|a, b| a.digest.cmp(&b.digest));
    Ok(Plan { blobs: placed, volumes: u32::try_from(left.len()).unwrap_or(MAX_NUMBER) })
}

/// What the smallest of blobs takes.
const SMALLEST: u64 = 1024;

/// What a member takes in a volume, its checksum included.
fn cost(name: &str, size: u64) -> Result<u64> {
    let member = Member { name: name.to_owned(), size, source: Source::Sums };
    let size = size_in_archive(&member)
        .map_err(|source| Error::Write { output: "the archive".to_owned(), source })?;
    Ok(size + line_size(name))
}

fn number(at: usize) -> Result<u32> {
    let number = u32::try_from(at + 1).ok().filter(|number| *number <= MAX_NUMBER);
    number.ok_or(Error::TooManyVolumes { most: MAX_NUMBER })
}

/// Cuts a blob, beginning in what is left of the last volume if that is worth it.
fn cut(digest: &Digest, size: u64, room: u64, left: &mut Vec<u64>) -> Result<TocBlob> {
    let overhead = cost(&part_name(digest, MAX_NUMBER), 0)? + 512;
    let mut parts = Vec::new();
    let mut rest = size;
    while rest > 0 {
        let last = left.last().copied().unwrap_or_default().saturating_sub(overhead);
        if last < (room / LEAST_SHARE).min(rest) || last == 0 {
            left.push(room);
            continue;
        }
        let at = left.len() - 1;
        let piece = rest.min(last);
        parts.push(Part { volume: number(at)?, size: piece });
        left[at] = left[at].saturating_sub(cost(&part_name(digest, MAX_NUMBER), piece)?);
        rest -= piece;
    }
    Ok(TocBlob { parts, ..plain(digest, size) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blobs(sizes: &[u64]) -> BTreeMap<Digest, u64> {
        sizes.iter().enumerate().map(|(n, size)| (Digest::sha256(&n.to_le_bytes()), *size)).collect()
    }

    fn whole<'e>(blobs: &'e BTreeMap<Digest, u64>, made: &'e BTreeMap<Digest, Vec<u8>>) -> Whole<'e> {
        Whole { images: Vec::new(), entries: Vec::new(), blobs, required: Vec::new(), made }
    }

    #[test]
    fn no_volume_is_larger_than_it_may_be_and_every_byte_is_in_one() {
        let made = BTreeMap::new();
        for (sizes, limit) in [
            (vec![100_000; 20], 300_000),
            (vec![1, 0, 5_000_000, 3, 777, 1_000_000, 250_000], 400_000),
            (vec![10_000_000, 9_999_999, 12], 200_000),
            ((0..400).map(|n| n * 37).collect(), 250_000),
            (vec![200_000, 200_001, 199_999, 130_000], 333_333),
        ] {
            let blobs = blobs(&sizes);
            let (volumes, toc) = split(&whole(&blobs, &made), limit).unwrap();
            assert_eq!(volumes.len(), toc.volumes as usize);
            let mut there: BTreeMap<String, u64> = BTreeMap::new();
            for members in &volumes {
                assert!(archive_size(members).unwrap() <= limit, "{limit}: {members:#?}");
                for member in members {
                    let digest = match &member.source {
                        Source::Blob(digest) => digest,
                        Source::Part { blob, .. } => blob,
                        _ => continue,
                    };
                    *there.entry(digest.to_string()).or_default() += member.size;
                }
            }
            let expected = blobs.iter().map(|(digest, size)| (digest.to_string(), *size)).collect();
            assert_eq!(there, expected, "{limit}");
            Toc::parse(&toc.to_bytes()).unwrap();
        }
    }

    #[test]
    fn what_fits_into_one_volume_is_one_piece() {
        let (blobs, made) = (blobs(&[1000, 2000]), BTreeMap::new());
        let (volumes, toc) = split(&whole(&blobs, &made), 1 << 20).unwrap();
        assert_eq!((volumes.len(), toc.volumes), (1, 1));
        assert!(toc.blobs.iter().all(|blob| blob.volume.is_none() && blob.parts.is_empty()));
    }

    #[test]
    fn a_volume_must_hold_the_table() {
        let (blobs, made) = (blobs(&[100_000; 100]), BTreeMap::new());
        let error = split(&whole(&blobs, &made), 20_000).unwrap_err();
        assert!(matches!(error, Error::VolumeTooSmall { size: 20_000, .. }), "{error}");
    }
}
