//! From what a user typed to the entries that are meant.
//!
//! In this order: `@N`, a position in index.json; a whole digest; a name, matched exactly after
//! normalising both sides; a ref.name, matched to the letter; 7 or more hex digits that begin a
//! digest. Never a suffix, never a substring.

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::index::{Document, Entry};
use crate::name::similar::similar;
use crate::name::{Name, Pattern, Reference, Word};
use std::path::Path;

/// The entries that a query means, by position: at least one, all with the same digest.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// Positions in index.json, in order.
    pub positions: Vec<usize>,
    /// Whether the entries were found by their digest, not by a name.
    pub by_digest: bool,
}

/// The shortest beginning of a digest that is taken, in hex digits.
const MIN_PREFIX: usize = 7;

/// Finds the entries that `query` means; `repository` is only for messages.
///
/// # Errors
/// [`Error::NotFound`], or [`Error::Ambiguous`] when entries with different digests fit.
pub fn resolve(document: &Document, query: &str, repository: &Path) -> Result<Found> {
    let entries = document.entries();
    let found = |positions: Vec<usize>, by_digest| one_image(entries, query, positions, by_digest);
    if let Some(position) = query.strip_prefix('@').and_then(|text| text.parse::<usize>().ok())
        && position < entries.len()
    {
        return Ok(Found { positions: vec![position], by_digest: true });
    }
    let by_text = positions(entries, |entry| entry.digest_text() == Some(query));
    if !by_text.is_empty() {
        return found(by_text, true);
    }
    // What is listed under these very words comes before what they normalise to.
    let listed = positions(entries, |entry| {
        // It stands in ref.name then, and most entries need not be asked for their names.
        entry.ref_name() == Some(query) && entry.name().is_some_and(|name| !matches!(name, Name::Full(_)))
    });
    if !listed.is_empty() {
        return found(listed, false);
    }
    let by_name = by_name(entries, query);
    if !by_name.is_empty() {
        return found(by_name, false);
    }
    let by_ref_name = positions(entries, |entry| entry.ref_name() == Some(query));
    if !by_ref_name.is_empty() {
        return found(by_ref_name, false);
    }
    let prefix = query.strip_prefix("sha256:").unwrap_or(query);
    if prefix.len() >= MIN_PREFIX && prefix.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        let by_prefix = positions(entries, |entry| {
            entry.digest().is_some_and(|digest| digest.encoded().starts_with(prefix))
        });
        if !by_prefix.is_empty() {
            return found(by_prefix, true);
        }
    }
    let similar = similar(document, query);
    Err(Error::NotFound { query: query.to_owned(), path: repository.to_owned(), similar })
}

/// Finds the entries whose name a pattern matches, by position; at least one. `repository` is only for
/// messages.
///
/// # Errors
/// [`Error::NoMatch`].
pub fn resolve_glob(document: &Document, pattern: &Pattern, repository: &Path) -> Result<Vec<usize>> {
    let found = positions(document.entries(), |entry| pattern.matches(entry));
    if found.is_empty() {
        return Err(Error::NoMatch { pattern: pattern.to_string(), path: repository.to_owned() });
    }
    Ok(found)
}

fn positions(entries: &[Entry], fits: impl Fn(&Entry) -> bool) -> Vec<usize> {
    entries.iter().enumerate().filter(|(_, entry)| fits(entry)).map(|(position, _)| position).collect()
}

fn by_name(entries: &[Entry], query: &str) -> Vec<usize> {
    let Ok(wanted) = query.parse::<Reference>().map(Reference::or_latest) else { return Vec::new() };
    let name = Name::Full(wanted.clone());
    let word = Word::of(&name);
    let fits = |entry: &Entry| word.is_in(entry) && entry.name() == Some(&name);
    let is_true = |entry: &Entry| wanted.digest().is_none_or(|digest| entry.digest() == Some(digest));
    let exact = positions(entries, |entry| fits(entry) && is_true(entry));
    if !exact.is_empty() {
        return exact;
    }
    // `name[:tag]@digest` also means the image of that digest under that name.
    let Some(digest) = wanted.digest().cloned() else { return Vec::new() };
    positions(entries, |entry| is_named_image(entry, &wanted, &digest))
}

fn is_named_image(entry: &Entry, wanted: &Reference, digest: &Digest) -> bool {
    entry.digest() == Some(digest)
        && matches!(entry.name(), Some(Name::Full(name))
            if name.repository() == wanted.repository() && (wanted.tag().is_none() || wanted.tag() == name.tag()))
}

fn one_image(entries: &[Entry], query: &str, positions: Vec<usize>, by_digest: bool) -> Result<Found> {
    let digest = |position: &usize| entries[*position].digest_text();
    if positions.iter().all(|position| digest(position) == digest(&positions[0])) {
        return Ok(Found { positions, by_digest });
    }
    let candidates = positions
        .iter()
        .map(|&position| {
            let entry = &entries[position];
            let platform = entry.descriptor().ok().and_then(|descriptor| descriptor.platform.as_ref());
            let platform = platform.map(|platform| format!(" ({platform})")).unwrap_or_default();
            let digest = entry.digest_text().unwrap_or("without a digest");
            format!("@{position} {}{platform} {digest}", entry.label(position))
        })
        .collect();
    Err(Error::Ambiguous { query: query.to_owned(), candidates })
}
