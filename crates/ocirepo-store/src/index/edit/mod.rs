//! Pure edits of a [`Document`]: put an entry under a name, take entries out.
//!
//! Nothing here touches the disk, so an edit can be applied again to a document that changed in
//! the meantime. Order is data: an entry that is moved to another digest keeps its place, and new
//! entries are appended.

#[cfg(test)]
mod model;
mod slots;

use std::collections::{BTreeSet, HashMap, HashSet};

use self::slots::Slots;
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
#[non_exhaustive]
pub struct PutOutcome {
    /// The digest that had the name before.
    pub previous: Option<String>,
    /// Whether index.json already said all of it.
    pub unchanged: bool,
    /// The images that lost their ref.name, as `reference@digest`.
    pub displaced: Vec<String>,
}

/// Puts several entries, each as [`put`] does, in order. The time it takes grows with the number of
/// entries and puts, not with one times the other.
///
/// # Errors
/// Those of [`put`]; what was put before stays in `document`.
pub fn put_all(document: &mut Document, policy: RefPolicy, puts: &[Put]) -> Result<Vec<PutOutcome>> {
    let mut slots = Slots::new(std::mem::take(document.entries_mut()), policy, puts);
    let outcomes = puts.iter().map(|put| put_into(&mut slots, policy, put)).collect();
    *document.entries_mut() = slots.into_entries();
    outcomes
}

/// Makes sure that no entry would take its ref.name from another one that comes in with it.
///
/// # Errors
/// [`Error::TagTwice`].
pub(crate) fn check_apart(policy: RefPolicy, puts: &[Put]) -> Result<()> {
    let mut claims: HashMap<String, &Put> = HashMap::new();
    for put in puts {
        let Some(tag) = put.name.as_ref().and_then(|name| name.ref_name(policy)) else { continue };
        let first = claims.entry(tag.clone()).or_insert(put);
        if first.name == put.name {
            // What comes last under a name is what it stands for.
            *first = put;
        } else if first.entry.digest_text() != put.entry.digest_text() {
            let claim = |put: &Put| {
                let name = put.name.as_ref().map(ToString::to_string).unwrap_or_default();
                format!("{name}@{}", put.entry.digest_text().unwrap_or("?"))
            };
            return Err(Error::TagTwice { tag, holders: vec![claim(first), claim(put)] });
        }
    }
    Ok(())
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
    let puts = std::slice::from_ref(put);
    let mut slots = Slots::new(std::mem::take(document.entries_mut()), policy, puts);
    let outcome = put_into(&mut slots, policy, put);
    *document.entries_mut() = slots.into_entries();
    outcome
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

fn put_into(slots: &mut Slots, policy: RefPolicy, put: &Put) -> Result<PutOutcome> {
    let Some(name) = &put.name else { return put_nameless(slots, &put.entry) };
    check_digest(put)?;
    let wanted = name.ref_name(policy);
    let digest = put.entry.digest_text();
    let Displaced { taken, holders } = displace(slots, name, wanted.as_deref(), digest, put.replace)?;
    let settled = settle(slots, put, name, wanted, holders);
    if settled.is_err() {
        // What cannot be put takes nothing from anybody.
        taken.into_iter().for_each(|(position, entry)| slots.set(position, entry));
    }
    settled
}

/// Writes an entry under its name, which is free now.
fn settle(
    slots: &mut Slots,
    put: &Put,
    name: &Name,
    wanted: Option<String>,
    displaced: Vec<String>,
) -> Result<PutOutcome> {
    let digest = put.entry.digest_text();
    let first = slots.with_name(name).next();
    if let Some(first) = first {
        let is_other = |entry: &&Entry| entry.digest_text() != digest;
        let other = slots.with_name(name).find_map(|position| slots.get(position).filter(is_other));
        let Some(other) = other else {
            let previous = digest.map(str::to_owned);
            return Ok(PutOutcome { previous, unchanged: displaced.is_empty(), displaced });
        };
        let previous = other.digest_text().map(str::to_owned);
        let entry = rename(slots, &put.entry, name, wanted, || slots.place_of(first))?;
        let gone: Vec<usize> = slots.with_name(name).skip(1).chain(slots.nameless(digest)).collect();
        gone.into_iter().for_each(|position| slots.take(position));
        slots.set(first, entry);
        return Ok(PutOutcome { previous, unchanged: false, displaced });
    }
    let nameless = slots.nameless(digest).next();
    match nameless.and_then(|position| Some((position, slots.get(position)?))) {
        Some((position, old)) => {
            let entry = rename(slots, old, name, wanted, || slots.place_of(position))?;
            slots.set(position, entry);
        }
        None => {
            let entry = rename(slots, &put.entry, name, wanted, || slots.end())?;
            slots.push(entry);
        }
    }
    Ok(PutOutcome { previous: None, unchanged: false, displaced })
}

/// `entry` under `name`, with the ref.name `wanted` unless that is written elsewhere.
fn rename(
    slots: &Slots,
    entry: &Entry,
    name: &Name,
    wanted: Option<String>,
    place: impl Fn() -> usize,
) -> Result<Entry> {
    let is_written = |wanted: &str| {
        slots.with_ref_name(wanted).any(|n| slots.get(n).is_some_and(|other| other.name() != Some(name)))
    };
    let ref_name = wanted.filter(|wanted| !is_written(wanted));
    entry
        .with_names(name.image_name().as_deref(), ref_name.as_deref())
        .map_err(|reason| Error::StrangeEntry { position: place(), reason })
}

fn put_nameless(slots: &mut Slots, entry: &Entry) -> Result<PutOutcome> {
    let fail = |reason| Error::StrangeEntry { position: slots.end(), reason };
    let entry = entry.with_names(None, None).map_err(fail)?;
    let known = slots.has_digest(entry.digest_text());
    if !known {
        slots.push(entry);
    }
    Ok(PutOutcome { previous: None, unchanged: known, displaced: Vec::new() })
}

/// Entries that had to go for another one.
#[derive(Default)]
struct Displaced {
    /// Each with the position that it had.
    taken: Vec<(usize, Entry)>,
    /// As `reference@digest`.
    holders: Vec<String>,
}

/// Makes sure that nobody else of another digest has `ref_name`, removing them if that is wished.
fn displace(
    slots: &mut Slots,
    name: &Name,
    ref_name: Option<&str>,
    digest: Option<&str>,
    replace: bool,
) -> Result<Displaced> {
    let Some(tag) = ref_name else { return Ok(Displaced::default()) };
    let mut taken = Vec::new();
    let mut holders = Vec::new();
    for position in slots.others_with_ref_name(tag, digest) {
        let Some(entry) = slots.get(position) else { continue };
        if let Some(held) = entry.name().filter(|held| *held != name) {
            holders.push(format!("{held}@{}", entry.digest_text().unwrap_or("?")));
            taken.push((position, entry.clone()));
        }
    }
    if !holders.is_empty() && !replace {
        let claimant = format!("{name}@{}", digest.unwrap_or("?"));
        let holders = std::iter::once(claimant).chain(holders).collect();
        return Err(Error::TagConflict { tag: tag.to_owned(), holders });
    }
    taken.iter().for_each(|(position, _)| slots.take(*position));
    Ok(Displaced { taken, holders })
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
        if entry.ref_name().is_some() {
            continue;
        }
        let Some(name) = entry.name() else { continue };
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

    #[test]
    fn what_comes_in_together_takes_no_ref_name_from_each_other() {
        let put = |(content, name): &(&str, &str)| Put {
            entry: entry(content),
            name: Some(Name::parse(name).unwrap()),
            replace: true,
        };
        let check =
            |puts: &[(&str, &str)]| check_apart(RefPolicy::Tag, &puts.iter().map(put).collect::<Vec<_>>());
        assert!(check(&[("a", "one:1"), ("a", "two:1"), ("b", "one:2")]).is_ok());
        assert!(check(&[("a", "one:1"), ("b", "two:1")]).is_err());
        assert!(check(&[("a", "one:1"), ("b", "one:1"), ("a", "two:1")]).is_err());
    }

    /// How often entries are looked at when `puts` go into what is left of the puts before them.
    fn looks(policy: RefPolicy, rounds: &[Vec<Put>]) -> usize {
        let puts = rounds.concat();
        let mut slots = Slots::new(Vec::new(), policy, &puts);
        for put in &puts {
            put_into(&mut slots, policy, put).unwrap();
        }
        slots.looks.get()
    }

    #[test]
    fn what_many_puts_take_grows_with_their_number_alone() {
        const MANY: usize = 1000;
        let named = |content: String, name: String| Put {
            entry: entry(&content),
            name: Some(Name::parse(&name).unwrap()),
            replace: false,
        };
        let all = |put: &dyn Fn(usize) -> Put| (0..MANY).map(put).collect::<Vec<Put>>();
        let many_names = all(&|n| named("one".to_owned(), format!("image:{n}")));
        let moved = all(&|n| named("two".to_owned(), format!("image:{n}")));
        let one_tag = all(&|n| named("one".to_owned(), format!("image{n}:1")));
        let nameless = all(&|n| Put { entry: entry(&n.to_string()), name: None, replace: false });
        let baptised = all(&|n| named(n.to_string(), format!("image:{n}")));
        for rounds in [vec![many_names.clone(), moved, many_names], vec![one_tag], vec![nameless, baptised]] {
            for policy in [RefPolicy::Full, RefPolicy::Tag] {
                let (looks, puts) = (looks(policy, &rounds), rounds.iter().map(Vec::len).sum::<usize>());
                assert!(looks <= 4 * puts, "{looks} for {puts} puts under {policy}");
            }
        }
    }
}
