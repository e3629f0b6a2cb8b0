//! Pure edits of a [`Document`]: put an entry under a name, take entries out.
//!
//! Nothing here touches the disk, so an edit can be applied again to a document that changed in
//! the meantime. Order is data: an entry that is moved to another digest keeps its place, and new
//! entries are appended.

use std::collections::{BTreeSet, HashSet};

use super::document::Document;
use super::entry::Entry;
use crate::error::{Error, Result};
use crate::name::{Name, RefPolicy};

/// An entry to be put into index.json.
#[derive(Debug, Clone)]
pub struct Put {
    /// The entry; its two name annotations are overwritten by `name`.
    pub entry: Entry,
    /// The name it shall have.
    pub name: Option<Name>,
    /// Whether a ref.name that another image holds is taken from it.
    pub replace: bool,
}

/// What a [`Put`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOutcome {
    /// The digest that had the name before.
    pub previous: Option<String>,
    /// Whether index.json already said all of it.
    pub unchanged: bool,
    /// The images that lost their ref.name, as `reference@digest`.
    pub displaced: Vec<String>,
}

/// Puts several entries, in order. Bringing many new names into a large index is linear.
///
/// # Errors
/// Those of [`put`].
pub fn put_all(document: &mut Document, policy: RefPolicy, puts: &[Put]) -> Result<Vec<PutOutcome>> {
    let mut taken: HashSet<String> = HashSet::new();
    for entry in document.entries() {
        taken.extend(claims(entry.name(), entry.ref_name(), entry.digest_text()));
    }
    let mut outcomes = Vec::with_capacity(puts.len());
    for item in puts {
        let ref_name = item.name.as_ref().and_then(|name| name.ref_name(policy));
        let own: Vec<String> =
            claims(item.name.as_ref(), ref_name.as_deref(), item.entry.digest_text()).collect();
        let is_new = item.name.is_some() && own.iter().all(|claim| !taken.contains(claim));
        if is_new {
            check_digest(item)?;
            append(document, item, ref_name.as_deref())?;
            outcomes.push(PutOutcome { previous: None, unchanged: false, displaced: Vec::new() });
        } else {
            outcomes.push(put(document, policy, item)?);
        }
        taken.extend(own);
    }
    Ok(outcomes)
}

/// What an entry lays claim to: if nobody else does to any of it, it can simply be appended.
fn claims<'a>(
    name: Option<&'a Name>,
    ref_name: Option<&'a str>,
    digest: Option<&'a str>,
) -> impl Iterator<Item = String> + 'a {
    let name = name.map(|name| format!("name {name}"));
    name.into_iter()
        .chain(ref_name.map(|text| format!("ref {text}")))
        .chain(digest.map(|text| format!("digest {text}")))
}

/// A name that ends in a digest must be the name of the image of that digest.
fn check_digest(put: &Put) -> Result<()> {
    let Some(Name::Full(reference)) = &put.name else { return Ok(()) };
    if reference.digest().is_none_or(|digest| put.entry.digest() == Some(digest)) {
        return Ok(());
    }
    let reason = "the image has another digest";
    Err(Error::InvalidReference { text: reference.to_string(), reason })
}

/// Puts an entry under its name.
///
/// A ref.name is written once: if another name of the same image has it already, as two names with
/// one tag do under the `tag` policy, the new name goes without, because other tools take a ref.name
/// that stands twice for an error.
///
/// # Errors
/// [`Error::TagConflict`] when an image of another digest holds the ref.name, and
/// [`Error::InvalidReference`] when the name ends in the digest of another image.
pub fn put(document: &mut Document, policy: RefPolicy, put: &Put) -> Result<PutOutcome> {
    let fail = |reason| Error::StrangeEntry { position: document.entries().len(), reason };
    let Some(name) = &put.name else {
        let entry = put.entry.with_names(None, None).map_err(fail)?;
        return Ok(put_nameless(document, entry));
    };
    check_digest(put)?;
    let wanted = name.ref_name(policy);
    let digest = put.entry.digest_text();
    let displaced = displace(document, name, wanted.as_deref(), digest, put.replace)?;
    let is_written = |entry: &Entry| entry.ref_name() == wanted.as_deref() && entry.name() != Some(name);
    let ref_name = wanted.clone().filter(|_| !document.entries().iter().any(is_written));
    let rename = |entry: &Entry| entry.with_names(name.image_name().as_deref(), ref_name.as_deref());
    let entries = document.entries_mut();

    let holders: Vec<usize> = (0..entries.len()).filter(|&n| entries[n].name() == Some(name)).collect();
    if let Some(&first) = holders.first() {
        let other = holders.iter().find(|&&n| entries[n].digest_text() != digest);
        let Some(&other) = other else {
            let previous = digest.map(str::to_owned);
            return Ok(PutOutcome { previous, unchanged: displaced.is_empty(), displaced });
        };
        let previous = entries[other].digest_text().map(str::to_owned);
        let fail = |reason| Error::StrangeEntry { position: first, reason };
        entries[first] = rename(&put.entry).map_err(fail)?;
        let mut position = 0;
        entries.retain(|entry| {
            let nameless_twin = entry.name().is_none() && entry.digest_text() == digest;
            let keep = position == first || !(holders.contains(&position) || nameless_twin);
            position += 1;
            keep
        });
        return Ok(PutOutcome { previous, unchanged: false, displaced });
    }
    let nameless = entries.iter().position(|entry| entry.name().is_none() && entry.digest_text() == digest);
    match nameless {
        Some(position) => {
            let fail = |reason| Error::StrangeEntry { position, reason };
            entries[position] = rename(&entries[position]).map_err(fail)?;
        }
        None => append(document, put, ref_name.as_deref())?,
    }
    Ok(PutOutcome { previous: None, unchanged: false, displaced })
}

/// Appends an entry under its name.
fn append(document: &mut Document, put: &Put, ref_name: Option<&str>) -> Result<()> {
    let image_name = put.name.as_ref().and_then(Name::image_name);
    let fail = |reason| Error::StrangeEntry { position: document.entries().len(), reason };
    let entry = put.entry.with_names(image_name.as_deref(), ref_name).map_err(fail)?;
    document.entries_mut().push(entry);
    Ok(())
}

fn put_nameless(document: &mut Document, entry: Entry) -> PutOutcome {
    let known = document.entries().iter().any(|old| old.digest_text() == entry.digest_text());
    if !known {
        document.entries_mut().push(entry);
    }
    PutOutcome { previous: None, unchanged: known, displaced: Vec::new() }
}

/// Makes sure that nobody else of another digest has `ref_name`, removing them if that is wished.
fn displace(
    document: &mut Document,
    name: &Name,
    ref_name: Option<&str>,
    digest: Option<&str>,
    replace: bool,
) -> Result<Vec<String>> {
    let Some(tag) = ref_name else { return Ok(Vec::new()) };
    let claims = |entry: &Entry| {
        entry.ref_name() == Some(tag)
            && entry.digest_text() != digest
            && entry.name().is_some_and(|held| held != name)
    };
    let describe = |entry: &Entry| {
        let held = entry.name().map_or_else(String::new, ToString::to_string);
        format!("{held}@{}", entry.digest_text().unwrap_or("?"))
    };
    let holders: Vec<String> =
        document.entries().iter().filter(|entry| claims(entry)).map(describe).collect();
    if !holders.is_empty() && !replace {
        let claimant = format!("{name}@{}", digest.unwrap_or("?"));
        let holders = std::iter::once(claimant).chain(holders).collect();
        return Err(Error::TagConflict { tag: tag.to_owned(), holders });
    }
    document.entries_mut().retain(|entry| !claims(entry));
    Ok(holders)
}

/// Takes out the entries at `positions`. A ref.name that goes with one of them passes on to the
/// first name left that should have it.
pub fn remove_at(document: &mut Document, policy: RefPolicy, positions: &BTreeSet<usize>) {
    let freed: HashSet<String> =
        positions.iter().filter_map(|&n| document.entries().get(n)?.ref_name().map(str::to_owned)).collect();
    let mut position = 0..;
    document.entries_mut().retain(|_| position.next().is_none_or(|n| !positions.contains(&n)));
    if policy == RefPolicy::Tag && !freed.is_empty() {
        pass_on(document, policy, freed);
    }
}

fn pass_on(document: &mut Document, policy: RefPolicy, mut freed: HashSet<String>) {
    for entry in document.entries() {
        entry.ref_name().map(|text| freed.remove(text));
    }
    for entry in document.entries_mut() {
        let Some(name) = entry.name().filter(|_| entry.ref_name().is_none()) else { continue };
        let Some(ref_name) = name.ref_name(policy).filter(|text| freed.remove(text)) else { continue };
        if let Ok(named) = entry.with_names(entry.image_name(), Some(&ref_name)) {
            *entry = named;
        }
    }
}

/// Takes out every entry that is written exactly as one of `entries`.
pub fn remove(document: &mut Document, entries: &HashSet<String>) {
    document.entries_mut().retain(|entry| !entries.contains(entry.json()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn entry(content: &str) -> Entry {
        Entry::for_descriptor(
            "application/vnd.oci.image.manifest.v1+json",
            &Digest::sha256(content.as_bytes()),
            1,
            None,
        )
    }

    fn add(
        document: &mut Document,
        policy: RefPolicy,
        content: &str,
        name: Option<&str>,
        replace: bool,
    ) -> Result<PutOutcome> {
        let name = name.map(|name| Name::parse(name).unwrap());
        put(document, policy, &Put { entry: entry(content), name, replace })
    }

    fn labels(document: &Document) -> Vec<String> {
        document.entries().iter().enumerate().map(|(n, entry)| entry.label(n)).collect()
    }

    #[test]
    fn a_name_moves_in_place_and_leaves_nothing_nameless() {
        let mut document = Document::empty();
        for (content, name) in [("a", "one:1"), ("b", "two:1"), ("a2", "one:1")] {
            add(&mut document, RefPolicy::Full, content, Some(name), false).unwrap();
        }
        assert_eq!(labels(&document), ["docker.io/library/one:1", "docker.io/library/two:1"]);
        assert_eq!(document.entries()[0].digest(), Some(&Digest::sha256(b"a2")));
    }

    #[test]
    fn the_same_name_and_digest_change_nothing() {
        let mut document = Document::empty();
        add(&mut document, RefPolicy::Full, "a", Some("one:1"), false).unwrap();
        let before = document.to_bytes();
        assert!(add(&mut document, RefPolicy::Full, "a", Some("one:1"), false).unwrap().unchanged);
        assert!(add(&mut document, RefPolicy::Full, "a", None, false).unwrap().unchanged);
        assert_eq!(document.to_bytes(), before);
    }

    #[test]
    fn naming_a_nameless_entry_names_that_entry() {
        let mut document = Document::empty();
        add(&mut document, RefPolicy::Full, "a", None, false).unwrap();
        add(&mut document, RefPolicy::Full, "a", Some("one:1"), false).unwrap();
        assert_eq!(labels(&document), ["docker.io/library/one:1"]);
    }

    #[test]
    fn a_ref_name_stands_once_and_passes_on() {
        let mut document = Document::empty();
        for name in ["alpine:3.11", "mirror.corp/alpine:3.11"] {
            add(&mut document, RefPolicy::Tag, "a", Some(name), false).unwrap();
        }
        let ref_names = |document: &Document| {
            document.entries().iter().map(|entry| entry.ref_name().map(str::to_owned)).collect::<Vec<_>>()
        };
        assert_eq!(ref_names(&document), [Some("3.11".to_owned()), None]);
        remove_at(&mut document, RefPolicy::Tag, &BTreeSet::from([0]));
        assert_eq!(ref_names(&document), [Some("3.11".to_owned())]);
        assert_eq!(labels(&document), ["mirror.corp/alpine:3.11"]);
    }

    #[test]
    fn a_name_with_the_digest_of_another_image_is_refused() {
        let mut document = Document::empty();
        let name = format!("alpine@{}", Digest::sha256(b"other"));
        assert!(add(&mut document, RefPolicy::Full, "a", Some(&name), false).is_err());
    }

    #[test]
    fn one_tag_for_two_images_is_a_conflict_unless_it_is_moved() {
        let mut document = Document::empty();
        add(&mut document, RefPolicy::Tag, "a", Some("alpine:3.11"), false).unwrap();
        let before = document.to_bytes();
        let error = add(&mut document, RefPolicy::Tag, "b", Some("busybox:3.11"), false).unwrap_err();
        assert!(matches!(error, Error::TagConflict { ref holders, .. } if holders.len() == 2), "{error}");
        assert_eq!(document.to_bytes(), before);
        let outcome = add(&mut document, RefPolicy::Tag, "b", Some("busybox:3.11"), true).unwrap();
        assert_eq!(outcome.displaced.len(), 1);
        assert_eq!(labels(&document), ["docker.io/library/busybox:3.11"]);
        assert!(
            add(&mut document, RefPolicy::Tag, "b", Some("mirror/b:3.11"), false).is_ok(),
            "one digest, one tag"
        );
    }
}
