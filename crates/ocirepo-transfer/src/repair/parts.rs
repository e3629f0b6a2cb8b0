//! Blobs that are larger than a volume: their parts lie in several sources, and are put together.

use ocirepo_store::Digest;
use ocirepo_store::ingest::Ingest;
use ocirepo_store::verify::Lost;

use super::opened::{Brought, Opened, answer};
use crate::archive::{Member, pour};
use crate::bundle::{Toc, TocBlob, part_name};
use crate::error::{Error, Result};
use crate::import::carrier::Carrier;

/// The parts of a blob in their order, each with where it is.
type Parts<'o> = Vec<(&'o Carrier<'o>, Member)>;

/// Whether all parts of a blob are in what is open.
pub(super) fn are_there(opened: &[&Opened<'_>], lost: &Lost) -> bool {
    find(opened, lost).is_ok_and(|parts| parts.is_some())
}

/// Puts a blob together.
///
/// # Errors
/// Those that are not about the sources.
pub(super) fn join(opened: &[&Opened<'_>], ingest: &Ingest<'_>, lost: &Lost) -> Result<Brought> {
    let joined = find(opened, lost).and_then(|parts| match parts {
        Some(parts) => put_together(&parts, ingest, &lost.digest),
        None => Ok(Brought::Absent),
    });
    answer(lost, joined)
}

fn put_together(parts: &Parts<'_>, ingest: &Ingest<'_>, digest: &Digest) -> Result<Brought> {
    let mut labels: Vec<&str> = parts.iter().map(|(carrier, _)| carrier.label()).collect();
    labels.dedup();
    let labels = labels.join(", ");
    let unknown = || Error::member(&labels, digest.as_str(), "its digest cannot be verified");
    let size = parts.iter().map(|(_, member)| member.size).fold(0, u64::saturating_add);
    let mut writer = ingest.writer_of(digest.algorithm().ok_or_else(unknown)?, size)?;
    for (carrier, member) in parts {
        pour(carrier.content, member, &mut |chunk| Ok(writer.push(chunk)?))?;
    }
    let staged = writer.finish()?;
    if staged.digest() != digest {
        let reason = format!("its parts make {}", staged.digest());
        ingest.discard(&staged)?;
        return Err(Error::member(&labels, digest.as_str(), reason));
    }
    ingest.keep(staged)?;
    Ok(Brought::Good(labels))
}

fn find<'o>(opened: &[&'o Opened<'_>], lost: &Lost) -> Result<Option<Parts<'o>>> {
    for toc in opened.iter().filter_map(|source| source.toc.as_ref()) {
        let is_it = |blob: &&TocBlob| blob.digest == lost.digest && lost.may_be(blob.size);
        let Some(blob) = toc.blobs.iter().find(is_it).filter(|blob| !blob.parts.is_empty()) else { continue };
        if let Some(parts) = find_all(opened, toc, blob)? {
            return Ok(Some(parts));
        }
    }
    Ok(None)
}

fn find_all<'o>(opened: &[&'o Opened<'_>], toc: &Toc, blob: &TocBlob) -> Result<Option<Parts<'o>>> {
    let mut parts = Vec::with_capacity(blob.parts.len());
    for (number, part) in (1..).zip(&blob.parts) {
        let name = part_name(&blob.digest, number);
        let mut found = None;
        for source in opened.iter().filter(|source| source.toc.as_ref().is_some_and(|own| own.id == toc.id)) {
            if let Some(member) = source.carrier.find(&name)?.filter(|member| member.size == part.size) {
                found = Some((&source.carrier, member));
                break;
            }
        }
        match found {
            Some(part) => parts.push(part),
            None => return Ok(None),
        }
    }
    Ok(Some(parts))
}
