//! What must hold for every text that may be an index.json.

use std::collections::{BTreeSet, HashSet};

use ocirepo_store::index::edit::{self, Put, PutOutcome};
use ocirepo_store::index::{Document, Entry};
use ocirepo_store::name::{Name, RefPolicy};
use ocirepo_store::{Digest, Error};

use super::members;
use super::names;

const POLICIES: [RefPolicy; 2] = [RefPolicy::Full, RefPolicy::Tag];
/// So many entries of a document are edited; the others are there to be left alone.
const EDITED: usize = 4;

/// Parses a document, writes it back, and edits it.
///
/// # Panics
/// When something does not hold.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(document) = Document::parse(bytes) else { return };
    let text = std::str::from_utf8(bytes).expect("what is not UTF-8 is no document");
    check_kept(text, &document);
    for entry in document.entries() {
        check_entry(entry);
    }
    let puts = puts(&document);
    for policy in POLICIES {
        for put in &puts {
            check_put(&document, policy, put);
        }
        check_put_all(&document, policy, &puts);
        check_remove(&document, policy);
    }
    let _ = (RefPolicy::infer(&document), document.media_type());
}

/// What is not edited is written back as it was, and what is written parses to the same.
fn check_kept(text: &str, document: &Document) {
    let written = String::from_utf8(document.to_bytes()).expect("what is written is UTF-8");
    let again = Document::parse(written.as_bytes()).unwrap_or_else(|e| panic!("{written}: {e}"));
    assert_eq!(texts(&again), texts(document), "other entries are read than were written");
    assert_eq!(again.to_bytes(), written.as_bytes(), "writing twice differs");
    let (before, after) = (members::of_object(text), members::of_object(&written));
    assert_eq!(before.len(), after.len(), "{written}");
    for ((name, value), (new_name, new_value)) in before.iter().zip(&after) {
        assert_eq!(name, new_name, "the order of members");
        if name == "manifests" {
            let listed = if *value == "null" { Vec::new() } else { members::of_list(value) };
            assert_eq!(texts(document), listed, "the text of entries");
        } else {
            assert_eq!(value, new_value, "the text of {name}");
        }
    }
}

fn check_entry(entry: &Entry) {
    if let Ok(descriptor) = entry.descriptor() {
        assert_eq!(entry.digest_text(), Some(descriptor.digest.as_str()));
        assert!(i64::try_from(descriptor.size).is_ok(), "{}", descriptor.size);
        assert!(descriptor.data.as_ref().is_none_or(|data| descriptor.digest.proves(data)));
    }
    let _ = (entry.label(0), entry.annotations());
    let Some(name) = entry.name() else { return };
    names::check_lossless(name);
    for policy in POLICIES {
        let (image_name, ref_name) = (name.image_name(), name.ref_name(policy));
        let Ok(renamed) = entry.with_names(image_name.as_deref(), ref_name.as_deref()) else { continue };
        assert_eq!(renamed.name(), Some(name), "{}", renamed.json());
        check_other_members(entry, &renamed);
    }
}

/// Renaming leaves everything but two annotations as it was.
fn check_other_members(old: &Entry, new: &Entry) {
    let rest = |entry: &Entry| -> Vec<(String, String)> {
        let owned = |(name, text): &(String, &str)| (name.clone(), (*text).to_owned());
        let members = members::of_object(entry.json());
        let others = members.iter().filter(|(name, _)| name != "annotations").map(owned);
        let annotations = members.iter().find(|(name, _)| name == "annotations").map(|(_, text)| *text);
        let annotations = annotations.filter(|text| *text != "null").map(members::of_object);
        let is_name =
            |name: &str| matches!(name, ocirepo_store::index::IMAGE_NAME | ocirepo_store::index::REF_NAME);
        let kept = annotations.iter().flatten().filter(|(name, _)| !is_name(name)).map(owned);
        others.chain([(String::new(), String::new())]).chain(kept).collect()
    };
    assert_eq!(rest(old), rest(new), "{} became {}", old.json(), new.json());
}

/// Puts that a document provokes: its own names and digests, and new ones, in every pairing.
fn puts(document: &Document) -> Vec<Put> {
    let new = |content: &[u8]| Entry::for_descriptor("a/b", &Digest::sha256(content), 1, None);
    let mut entries = vec![new(b"one"), new(b"two")];
    let mut held: Vec<Option<Name>> = vec![None, Name::parse("fuzz:1").ok(), Name::parse("x/fuzz:1").ok()];
    for entry in document.entries().iter().take(EDITED) {
        // What is no usable descriptor is not put anywhere; `tag` and `add` see to that.
        entries.extend(entry.digest().map(|_| entry.clone()));
        held.extend(entry.name().map(|name| Some(name.clone())));
        // The same tag under another name is what the `tag` policy has to watch.
        let tag = entry.name().and_then(|name| name.ref_name(RefPolicy::Tag));
        held.extend(tag.and_then(|tag| Name::parse(&format!("other/image:{tag}")).ok()).map(Some));
    }
    let pairs = entries.iter().flat_map(|entry| held.iter().map(move |name| (entry, name)));
    pairs
        .enumerate()
        .map(|(n, (entry, name))| Put { entry: entry.clone(), name: name.clone(), replace: n % 3 == 2 })
        .collect()
}

/// Puts one entry: all others stay as they were, and a refusal changes nothing.
fn check_put(document: &Document, policy: RefPolicy, put: &Put) {
    let mut edited = document.clone();
    let outcome = match edit::put(&mut edited, policy, put) {
        Ok(outcome) => outcome,
        Err(error) => {
            assert!(
                !put.replace || !matches!(error, Error::TagConflict { .. }),
                "{error}, though it may replace"
            );
            assert_eq!(edited.to_bytes(), document.to_bytes(), "{error}, and yet something changed");
            return;
        }
    };
    check_kept_entries(document, &edited, policy, put);
    assert_eq!(outcome.unchanged, texts(document) == texts(&edited), "{put:?} gives {outcome:?}");
    let digest = put.entry.digest_text();
    let Some(name) = &put.name else {
        assert!(edited.entries().iter().any(|entry| entry.digest_text() == digest));
        return;
    };
    if is_shadowed(document, name, policy, digest) {
        return;
    }
    let holders: Vec<&Entry> = edited.entries().iter().filter(|entry| entry.name() == Some(name)).collect();
    assert!(!holders.is_empty(), "{name} is not there after {put:?} under {policy}: {:?}", texts(&edited));
    assert!(holders.iter().all(|entry| entry.digest_text() == digest), "{name} is another image");
    let again = edit::put(&mut edited.clone(), policy, put).expect("what was put can be put again");
    assert!(again.unchanged, "putting {put:?} again under {policy} changes {:?}", texts(&edited));
}

/// An open finding (`findings/index_json/bare-tag-lost`): a bare tag cannot be put where the same
/// image has that very ref.name under another name; the entry ends up nameless.
fn is_shadowed(document: &Document, name: &Name, policy: RefPolicy, digest: Option<&str>) -> bool {
    let wanted = name.ref_name(policy);
    !matches!(name, Name::Full(_))
        && document.entries().iter().any(|entry| {
            entry.ref_name() == wanted.as_deref()
                && entry.digest_text() == digest
                && entry.name() != Some(name)
        })
}

/// Every entry that has nothing to do with a put is there, in order, to the letter.
fn check_kept_entries(before: &Document, after: &Document, policy: RefPolicy, put: &Put) {
    let ref_name = put.name.as_ref().and_then(|name| name.ref_name(policy));
    let is_touched = |entry: &&Entry| {
        let same_name = put.name.is_some() && entry.name() == put.name.as_ref();
        let same_ref_name = ref_name.is_some() && entry.ref_name() == ref_name.as_deref() && put.replace;
        let nameless = entry.name().is_none() && entry.digest_text() == put.entry.digest_text();
        same_name || same_ref_name || nameless
    };
    let mut left = after.entries().iter().map(Entry::json);
    for entry in before.entries().iter().filter(|entry| !is_touched(entry)) {
        assert!(left.any(|text| text == entry.json()), "{} is gone after {put:?}", entry.json());
    }
    assert!(after.entries().len() <= before.entries().len() + 1, "one put, several entries");
}

/// Several puts at once do what they do one after the other.
fn check_put_all(document: &Document, policy: RefPolicy, puts: &[Put]) {
    for puts in puts.chunks(5) {
        let (mut at_once, mut in_turn) = (document.clone(), document.clone());
        let outcomes = edit::put_all(&mut at_once, policy, puts);
        let expected: Result<Vec<PutOutcome>, Error> =
            puts.iter().map(|put| edit::put(&mut in_turn, policy, put)).collect();
        match (outcomes, expected) {
            (Ok(outcomes), Ok(expected)) => {
                assert_eq!(outcomes, expected, "{puts:?}");
                assert_eq!(texts(&at_once), texts(&in_turn), "{puts:?}");
            }
            (Err(error), Err(expected)) => assert_eq!(error.kind(), expected.kind()),
            (outcomes, expected) => panic!("at once {outcomes:?}, in turn {expected:?}"),
        }
    }
}

/// Taking entries out leaves the others, but for a ref.name that passes on.
fn check_remove(document: &Document, policy: RefPolicy) {
    for step in 1..=document.entries().len().min(EDITED) {
        let positions: BTreeSet<usize> = (0..document.entries().len()).step_by(step).collect();
        let mut edited = document.clone();
        edit::remove_at(&mut edited, policy, &positions);
        let kept = document.entries().iter().enumerate().filter(|(n, _)| !positions.contains(n));
        let kept: Vec<&Entry> = kept.map(|(_, entry)| entry).collect();
        assert_eq!(edited.entries().len(), kept.len());
        for (old, new) in kept.iter().zip(edited.entries()) {
            if old.json() != new.json() {
                assert!(policy == RefPolicy::Tag && old.ref_name().is_none(), "{}", new.json());
                assert_eq!(old.name(), new.name());
                check_other_members(old, new);
            }
        }
        let mut exact = document.clone();
        let gone: HashSet<String> =
            positions.iter().map(|&n| document.entries()[n].json().to_owned()).collect();
        edit::remove(&mut exact, &gone);
        let left = texts(document).into_iter().filter(|text| !gone.contains(*text));
        assert_eq!(texts(&exact), left.collect::<Vec<_>>());
    }
}

fn texts(document: &Document) -> Vec<&str> {
    document.entries().iter().map(Entry::json).collect()
}
