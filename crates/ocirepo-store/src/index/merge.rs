//! Bringing together two changes of one index.json, ours and that of a tool without our locks.

use std::collections::HashMap;

use super::document::Document;

/// What `base` became in other hands is `theirs`, what it became in ours is `ours`: gives the
/// document with both changes. Entries count as the same when they are written the same. Of the
/// two, ours gives the order; what they added comes last. Top-level members are theirs, since we
/// never change those.
pub(super) fn merge(base: &Document, theirs: Document, ours: &Document) -> Document {
    let mut balance: HashMap<&str, i64> = HashMap::new();
    for entry in theirs.entries() {
        *balance.entry(entry.json()).or_default() += 1;
    }
    for entry in base.entries() {
        *balance.entry(entry.json()).or_default() -= 1;
    }
    // Now positive: added by them. Negative: taken out by them.
    let mut entries = Vec::with_capacity(ours.entries().len() + 1);
    for entry in ours.entries() {
        match balance.get_mut(entry.json()) {
            Some(count) if *count < 0 => *count += 1,
            _ => entries.push(entry.clone()),
        }
    }
    for entry in theirs.entries() {
        if let Some(count) = balance.get_mut(entry.json()).filter(|count| **count > 0) {
            *count -= 1;
            entries.push(entry.clone());
        }
    }
    drop(balance);
    let mut merged = theirs;
    *merged.entries_mut() = entries;
    merged
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
    }

    #[test]
    fn unknown_members_that_they_changed_are_theirs() {
        let theirs = Document::parse(br#"{"schemaVersion":2,"x":7,"manifests":[]}"#).unwrap();
        let merged = merge(&document(&[]), theirs, &document(&[1]));
        assert_eq!(merged.to_bytes(), br#"{"schemaVersion":2,"x":7,"manifests":[1]}"#);
    }
}
