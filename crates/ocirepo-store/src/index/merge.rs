//! Bringing together two changes of one index.json, ours and that of a tool without our locks.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::document::Document;
use super::entry::Entry;
use crate::name::Name;

/// What `base` became in other hands is `theirs`, what it became in ours is `ours`: gives the
/// document with both changes. Entries count as the same when they mean the same: other tools write
/// all of them anew, with the members in an order of their own. Of the two, ours gives the order and
/// the spelling; what they added comes last. A name that both gave to something is what they made it:
/// whoever takes no lock cannot be told to try again. Top-level members are theirs, since we never
/// change those.
///
/// To merge what was merged already changes nothing, so that a merge can be repeated by somebody
/// who does not know how far the last one came.
pub(super) fn merge(base: &Document, theirs: Document, ours: &Document) -> Document {
    let (before, after) = (count(base), count(&theirs));
    // Only where they changed something is it their number that counts.
    let mut wanted: HashMap<&Value, usize> = before
        .keys()
        .chain(after.keys())
        .filter(|meaning| before.get(meaning) != after.get(meaning))
        .map(|meaning| (meaning, after.get(meaning).copied().unwrap_or(0)))
        .collect();
    let grew = |meaning: &Value| after.get(meaning) > before.get(meaning);
    let given: HashSet<&Name> =
        theirs.entries().iter().filter(|entry| grew(&meaning(entry))).filter_map(Entry::name).collect();
    let is_given_away = |entry: &Entry, meaning: &Value| {
        let is_new = !before.contains_key(meaning) && !after.contains_key(meaning);
        is_new && entry.name().is_some_and(|name| given.contains(name))
    };
    let mut entries = Vec::with_capacity(ours.entries().len() + 1);
    for entry in ours.entries() {
        let meaning = meaning(entry);
        match wanted.get_mut(&meaning) {
            Some(0) if !grew(&meaning) => {}
            Some(number) => {
                *number = number.saturating_sub(1);
                entries.push(entry.clone());
            }
            None if is_given_away(entry, &meaning) => {}
            None => entries.push(entry.clone()),
        }
    }
    for entry in theirs.entries() {
        let meaning = meaning(entry);
        if let Some(number) = wanted.get_mut(&meaning).filter(|number| **number > 0 && grew(&meaning)) {
            *number -= 1;
            entries.push(entry.clone());
        }
    }
    drop((wanted, given));
    let mut merged = theirs;
    *merged.entries_mut() = entries;
    merged
}

/// How often each entry stands in a document.
fn count(document: &Document) -> HashMap<Value, usize> {
    let mut counts = HashMap::new();
    for entry in document.entries() {
        *counts.entry(meaning(entry)).or_default() += 1;
    }
    counts
}

/// What an entry says, however it is written. What cannot be read is what it is to the letter.
fn meaning(entry: &Entry) -> Value {
    serde_json::from_str(entry.json()).unwrap_or_else(|_| Value::String(entry.json().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(entries: &[u32]) -> Document {
        let list: Vec<String> = entries.iter().map(ToString::to_string).collect();
        Document::parse(format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, list.join(",")).as_bytes())
            .unwrap()
    }

    fn merged(base: &[u32], theirs: &[u32], ours: &[u32]) -> Vec<u32> {
        let merged = merge(&document(base), document(theirs), &document(ours));
        merged.entries().iter().map(|entry| entry.json().parse().unwrap()).collect()
    }

    #[test]
    fn additions_and_removals_of_both_sides_hold() {
        assert_eq!(merged(&[1, 2], &[1, 2, 3], &[1, 2, 4]), [1, 2, 4, 3]);
        assert_eq!(merged(&[1, 2], &[2], &[1, 2, 4]), [2, 4]);
        assert_eq!(merged(&[1, 2], &[1, 2, 3], &[2]), [2, 3]);
        assert_eq!(merged(&[1], &[], &[]), [0; 0]);
        assert_eq!(merged(&[1, 1], &[1], &[1, 1, 5]), [1, 5]);
        assert_eq!(merged(&[1], &[1, 3], &[1, 3]), [1, 3]);
    }

    #[test]
    fn to_merge_again_changes_nothing() {
        for (base, theirs, ours) in [
            (&[1, 2][..], &[1, 2, 3][..], &[1, 2, 4][..]),
            (&[1, 2], &[2], &[1, 2, 4]),
            (&[1, 1], &[1], &[1, 1, 5]),
            (&[1], &[1, 1, 1], &[1, 5]),
        ] {
            let once = merged(base, theirs, ours);
            assert_eq!(merged(base, theirs, &once), once);
        }
    }

    #[test]
    fn unknown_members_that_they_changed_are_theirs() {
        let theirs = Document::parse(br#"{"schemaVersion":2,"x":7,"manifests":[]}"#).unwrap();
        let merged = merge(&document(&[]), theirs, &document(&[1]));
        assert_eq!(merged.to_bytes(), br#"{"schemaVersion":2,"x":7,"manifests":[1]}"#);
    }

    const NAME: &str = "org.opencontainers.image.ref.name";

    fn named(entries: &[(&str, &str)], respelled: bool) -> Document {
        let entry = |(name, digest): &(&str, &str)| {
            if respelled {
                format!(r#"{{ "annotations": {{"{NAME}": "{name}"}}, "digest": "{digest}" }}"#)
            } else {
                format!(r#"{{"digest":"{digest}","annotations":{{"{NAME}":"{name}"}}}}"#)
            }
        };
        let list: Vec<String> = entries.iter().map(entry).collect();
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, list.join(","));
        Document::parse(text.as_bytes()).unwrap()
    }

    fn pairs(document: &Document) -> Vec<(&str, &str)> {
        document.entries().iter().map(|it| (it.ref_name().unwrap(), it.digest_text().unwrap())).collect()
    }

    #[test]
    fn entries_that_another_tool_wrote_anew_are_the_same() {
        let base = named(&[("a", "1"), ("b", "1"), ("c", "1")], false);
        let theirs = || named(&[("a", "1"), ("b", "1"), ("c", "1"), ("x", "1")], true);
        // We moved "b" and took "c" out.
        let ours = named(&[("a", "1"), ("b", "2")], false);
        let merged = merge(&base, theirs(), &ours);
        assert_eq!(pairs(&merged), [("a", "1"), ("b", "2"), ("x", "1")]);
        assert_eq!(merged.entries()[0].json(), base.entries()[0].json(), "our spelling stays");
        assert_eq!(pairs(&merge(&base, theirs(), &merged)), pairs(&merged));
    }

    #[test]
    fn a_name_that_both_gave_away_stands_once_and_is_theirs() {
        let base = named(&[("a", "1"), ("b", "1")], false);
        let theirs = || named(&[("a", "3"), ("b", "1"), ("x", "3")], true);
        let ours = named(&[("a", "2"), ("b", "1"), ("x", "2"), ("y", "2")], false);
        let merged = merge(&base, theirs(), &ours);
        assert_eq!(pairs(&merged), [("b", "1"), ("y", "2"), ("a", "3"), ("x", "3")]);
        assert_eq!(pairs(&merge(&base, theirs(), &merged)), pairs(&merged));
    }
}
