//! What [`super::put`] must come to, written plainly: it looks at every entry each time. What is
//! quick is compared with it on many small histories.

use super::{Put, PutOutcome, check_digest, put_all};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::index::{Document, Entry};
use crate::name::{Name, RefPolicy};

fn put(document: &mut Document, policy: RefPolicy, put: &Put) -> Result<PutOutcome> {
    let mut edited = document.clone();
    let outcome = put_plainly(&mut edited, policy, put)?;
    *document = edited;
    Ok(outcome)
}

fn put_plainly(document: &mut Document, policy: RefPolicy, put: &Put) -> Result<PutOutcome> {
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
            let nameless_twin = entry.digest_text() == digest && !entry.is_named();
            let keep = position == first || !(holders.contains(&position) || nameless_twin);
            position += 1;
            keep
        });
        return Ok(PutOutcome { previous, unchanged: false, displaced });
    }
    let nameless = entries.iter().position(|entry| entry.digest_text() == digest && !entry.is_named());
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

/// Numbers that are the same on every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn one_of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
}

fn contents() -> Vec<String> {
    let digest = |content: &str| Digest::sha256(content.as_bytes());
    let mut texts: Vec<String> =
        ["a", "b", "c"].map(|text| format!(r#"{{"digest":"{}","size":1}}"#, digest(text))).into();
    texts.push(r#"{"digest":"odd:1"}"#.to_owned());
    texts.push("{}".to_owned());
    texts
}

/// A few of each, so that they get in each other's way.
fn document(dice: &mut Dice) -> Document {
    let digest = Digest::sha256(b"a").to_string();
    let image_names = ["docker.io/library/one:1", "docker.io/library/two:1", "quay.io/one:2", "none"];
    let ref_names = ["1", "2", "docker.io/library/one:1", "one:1", "library/two", "quay.io/one:2", "odd one"];
    let ref_names = [&ref_names[..], &[digest.as_str(), ""]].concat();
    let mut entries = Vec::new();
    for _ in 0..dice.below(7) {
        let entry = Entry::new(crate::index::json::raw(dice.one_of(&contents())));
        let image_name = (dice.below(3) > 0).then(|| dice.one_of(&image_names));
        let ref_name = (dice.below(3) > 0).then(|| dice.one_of(&ref_names));
        entries.push(entry.with_names(image_name, ref_name).unwrap());
        if dice.below(12) == 0 {
            let strange =
                dice.one_of(&["42".to_owned(), format!(r#"{{"digest":"{digest}","annotations":[]}}"#)]);
            entries.push(Entry::new(crate::index::json::raw(strange)));
        }
    }
    let mut document = Document::empty();
    *document.entries_mut() = entries;
    document
}

fn puts(dice: &mut Dice) -> Vec<Put> {
    let mut names =
        ["one:1", "two:1", "two", "three:1", "quay.io/one:2", "quay.io/two:2", "mirror.corp/one:1"]
            .map(|text| Some(Name::parse(text).unwrap()))
            .to_vec();
    names.push(Some(Name::parse(&format!("one@{}", Digest::sha256(b"a"))).unwrap()));
    names.push(Some(Name::Tag("1".to_owned())));
    names.push(Some(Name::Verbatim("odd one".to_owned())));
    names.extend([None, None]);
    let replaces = dice.below(3);
    (0..=dice.below(9))
        .map(|_| {
            // Seldom what is strange: a refusal ends the history.
            let contents = contents();
            let usual = if dice.below(16) == 0 { contents.len() } else { 3 };
            let entry = Entry::new(crate::index::json::raw(dice.one_of(&contents[..usual])));
            Put { entry, name: dice.one_of(&names), replace: replaces > 0 && dice.below(3) < replaces + 1 }
        })
        .collect()
}

fn texts(document: &Document) -> Vec<&str> {
    document.entries().iter().map(Entry::json).collect()
}

#[test]
fn many_puts_at_once_come_to_what_they_do_in_turn() {
    let mut dice = Dice(2026);
    let (mut done, mut moved, mut displaced, mut refused) = (0, 0, 0, 0);
    for number in 0..2000 {
        let policy = if number % 2 == 0 { RefPolicy::Full } else { RefPolicy::Tag };
        let (before, puts) = (document(&mut dice), puts(&mut dice));
        let (mut at_once, mut in_turn) = (before.clone(), before.clone());
        let outcomes = put_all(&mut at_once, policy, &puts);
        let expected: Result<Vec<PutOutcome>> =
            puts.iter().map(|item| put(&mut in_turn, policy, item)).collect();
        assert_eq!(
            format!("{outcomes:?}"),
            format!("{expected:?}"),
            "{policy}: {puts:#?} into {:#?}",
            texts(&before)
        );
        assert_eq!(texts(&at_once), texts(&in_turn), "{policy}: {puts:#?} into {:#?}", texts(&before));
        match expected {
            Ok(outcomes) => {
                done += 1;
                moved += usize::from(outcomes.iter().any(|it| it.previous.is_some() && !it.unchanged));
                displaced += usize::from(outcomes.iter().any(|it| !it.displaced.is_empty()));
            }
            Err(_) => refused += 1,
        }
    }
    // The histories are of every kind.
    assert!(
        [done, moved, displaced, refused].iter().all(|&count| count > 100),
        "{done} {moved} {displaced} {refused}"
    );
}
