//! Volumes: a bundle in several files, each no larger than a medium, and each of use by itself.
//!
//! Everything is settled from the sizes of the blobs before the first byte is written. A blob lies in
//! one volume, unless it is larger than a volume; then it is cut. Every volume is an image layout with
//! the whole index.json, the whole table of contents and checksums of its own.

use std::collections::{BTreeMap, BTreeSet};

use ocirepo_store::Digest;
use ocirepo_store::index::Entry;
use serde::Serialize;

use super::member::{Member, Source, size_in_archive};
use super::{layout, size_of};
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

/// The members of every volume, and the table that they share.
type Split = (Vec<Vec<Member>>, Toc);

/// Splits a bundle. One that fits into a single volume stays in one piece.
///
/// # Errors
/// [`Error::VolumeTooSmall`] and [`Error::TooManyVolumes`].
pub(super) fn split(whole: &Whole<'_>, limit: u64) -> Result<Split> {
    let single =
        whole.toc(whole.blobs.iter().map(|(digest, size)| TocBlob::whole(digest, *size)).collect(), 1);
    let mut members = layout::documents(&single, &whole.entries, None);
    members.extend(layout::blobs(whole.blobs.iter(), whole.made));
    if size_of(&members)? <= limit {
        return Ok((vec![members], single));
    }
    if let Some(split) = whole.split(limit)? {
        return Ok(split);
    }
    let mut least = limit.max(LEAST_ROOM);
    loop {
        least = least.saturating_mul(2);
        match whole.split(least) {
            Ok(None) => {}
            Ok(Some(_)) | Err(Error::TooManyVolumes { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    Err(Error::VolumeTooSmall { size: limit, least })
}

/// The most volumes that there may be.
const MAX_NUMBER: u32 = 99_999;
/// So often the room for blobs is made smaller, because the table got longer for it.
const MAX_TRIES: usize = 64;

impl Whole<'_> {
    fn toc(&self, blobs: Vec<TocBlob>, volumes: u32) -> Toc {
        Toc::new(self.images.clone(), Vec::new(), blobs, self.required.clone(), volumes)
    }

    /// Splits the bundle; `None` when a volume has no room beside the table. How long the table is
    /// depends on how many parts it lists, and that on the room: so room is given up until it fits.
    fn split(&self, limit: u64) -> Result<Option<Split>> {
        let blank =
            |(digest, size): (&Digest, &u64)| TocBlob { volume: Some(1), ..TocBlob::whole(digest, *size) };
        let toc = self.toc(self.blobs.iter().map(blank).collect(), 1);
        let mut members = self.documents(&toc);
        members.push(label(&toc, 1));
        members.push(Member { name: SUMS.to_owned(), size: sums_size(&members), source: Source::Sums });
        let Some(mut room) = limit.checked_sub(size_of(&members)?) else { return Ok(None) };
        for _ in 0..MAX_TRIES {
            if room < LEAST_ROOM {
                return Ok(None);
            }
            let plan = pack(self.blobs, room)?;
            let toc = self.toc(plan.blobs, plan.volumes);
            let volumes = self.volumes(&toc);
            let mut largest = 0;
            for members in &volumes {
                largest = largest.max(size_of(members)?);
            }
            match largest.checked_sub(limit) {
                None | Some(0) => return Ok(Some((volumes, toc))),
                Some(excess) => room = room.saturating_sub(excess.max(512)),
            }
        }
        Ok(None)
    }

    /// The members that are the same in every volume.
    fn documents(&self, toc: &Toc) -> Vec<Member> {
        let mut members = layout::documents(toc, &self.entries, None);
        members.extend(layout::folders(self.blobs.keys()));
        members
    }

    fn volumes(&self, toc: &Toc) -> Vec<Vec<Member>> {
        let count = toc.volumes as usize;
        let mut whole: Vec<BTreeMap<&Digest, &u64>> = vec![BTreeMap::new(); count];
        let mut parts: Vec<Vec<Member>> = vec![Vec::new(); count];
        let at = |volume: u32| volume as usize - 1;
        for blob in &toc.blobs {
            if let Some(volume) = blob.volume {
                whole[at(volume)].insert(&blob.digest, &blob.size);
            }
            let mut offset = 0;
            for (k, part) in (1..).zip(&blob.parts) {
                parts[at(part.volume)].push(Member {
                    name: part_name(&blob.digest, k),
                    size: part.size,
                    source: Source::Part { blob: blob.digest.clone(), of: blob.size, offset },
                });
                offset += part.size;
            }
        }
        let documents = layout::documents(toc, &self.entries, None);
        let volumes = (1..).zip(whole.iter().zip(parts));
        volumes
            .map(|(number, (whole, parts))| {
                let mut members = documents.clone();
                members.insert(1, label(toc, number));
                members.extend(layout::blobs(whole.iter().map(|(digest, size)| (*digest, *size)), self.made));
                members.extend(parts);
                let size = sums_size(&members);
                members.push(Member { name: SUMS.to_owned(), size, source: Source::Sums });
                members
            })
            .collect()
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
const LEAST_ROOM: u64 = 16 << 10;
/// A part smaller than this share of the room is not worth a cut.
const LEAST_SHARE: u64 = 16;

/// Where every blob goes.
struct Plan {
    blobs: Vec<TocBlob>,
    volumes: u32,
}

/// Puts every blob into the volume that it fills best, the largest first; what is larger than a volume
/// is cut before that, into pieces as large as can be.
fn pack(blobs: &BTreeMap<Digest, u64>, room: u64) -> Result<Plan> {
    let mut by_size: Vec<(&Digest, u64)> = blobs.iter().map(|(digest, size)| (digest, *size)).collect();
    by_size.sort_unstable_by_key(|(digest, size)| (std::cmp::Reverse(*size), *digest));
    let mut placed: Vec<TocBlob> = Vec::with_capacity(blobs.len());
    // What is left of each volume; what is larger than one comes first.
    let mut left: Vec<u64> = Vec::new();
    let mut small = Vec::new();
    for (digest, size) in by_size {
        let cost = cost(&paths::blob_name(digest), size)?;
        if cost > room {
            placed.push(cut(digest, size, room, &mut left)?);
        } else {
            small.push((digest, size, cost));
        }
    }
    let mut by_room: BTreeSet<(u64, usize)> = left.iter().copied().zip(0..).collect();
    let mut volumes = left.len();
    for (digest, size, cost) in small {
        let fits = by_room.range((cost, 0)..).next().copied();
        let (free, at) = fits.unwrap_or_else(|| {
            volumes += 1;
            (room, volumes - 1)
        });
        by_room.remove(&(free, at));
        by_room.insert((free - cost, at));
        placed.push(TocBlob { volume: Some(number(at)?), ..TocBlob::whole(digest, size) });
    }
    placed.sort_unstable_by(|a, b| a.digest.cmp(&b.digest));
    Ok(Plan { blobs: placed, volumes: u32::try_from(volumes).unwrap_or(MAX_NUMBER) })
}

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
    Ok(TocBlob { parts, ..TocBlob::whole(digest, size) })
}

#[cfg(test)]
mod tests {
    use super::super::member::archive_size;
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
            // The table takes more than half of a volume.
            (vec![90_000; 1000], 260_000),
            (vec![2_000_000; 40], 140_000),
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
