//! Bringing together two changes of one index.json, ours and that of a tool without our locks.

use std::collections::HashMap;

use super::document::Document;

/// What `base` became in other hands is `theirs`, what it became in ours is `ours`: gives the
/// document with both changes. Entries count as the same when they are written the same. Of the
/// two, ours gives the order; what they added comes last. Top-level members are theirs, since we
/// never change those.
///
/// To merge what was merged already changes nothing, so that a merge can be repeated by somebody
/// who does not know how far the last one came.
pub(super) fn merge(base: &Document, theirs: Document, ours: &Document) -> Document {
    let (before, after) = (count(base), count(&theirs));
    // Only where they changed something is it their number that counts.
    let changed = |entry: &&str| before.get(entry) != after.get(entry);
    let number_of = |entry: &str| after.get(entry).copied().unwrap_or(0);
    let mut wanted: HashMap<&str, usize> = before
        .keys()
        .chain(after.keys())
        .filter(|entry| changed(entry))
        .map(|entry| (*entry, number_of(entry)))
        .collect();
    let grew = |entry: &str| after.get(entry) > before.get(entry);
    let mut entries = Vec::with_capacity(ours.entries().len() + 1);
    for entry in ours.entries() {
        match wanted.get_mut(entry.json()) {
            Some(0) if !grew(entry.json()) => {}
            Some(number) => {
                *number = number.saturating_sub(1);
                entries.push(entry.clone());
            }
            None => entries.push(entry.clone()),
        }
    }
    for entry in theirs.entries().iter().filter(|entry| grew(entry.json())) {
        if let Some(number) = wanted.get_mut(entry.json()).filter(|number| **number > 0) {
            *number -= 1;
            entries.push(entry.clone());
        }
    }
    drop((wanted, after));
    let mut merged = theirs;
    *merged.entries_mut() = entries;
    merged
}

/// How often each entry stands in a document.
fn count(document: &Document) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for entry in document.entries() {
        *counts.entry(entry.json()).or_default() += 1;
    }
    counts
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
}
