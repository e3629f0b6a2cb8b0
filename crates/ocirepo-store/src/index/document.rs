//! index.json as a document that is edited losslessly.
//!
//! Top-level members and entries that are not touched are written back as the text they were read
//! as. A document that cannot be trusted as a whole (not JSON, duplicate names, another version,
//! `manifests` that are not a list) is an error and never an empty index.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::entry::{Entry, Place};
use super::json::{self, Object};
use crate::digest::{Algorithm, Digest, Hasher};
use crate::disk::BUFFER;
use crate::hashing::WORTH_A_THREAD;
use crate::parallel::{beside, in_stretches};

/// The largest index.json that is read, in bytes.
pub const MAX_INDEX_SIZE: u64 = 64 << 20;

/// The most entries that are read: more than an index.json of the largest size has room for, if each
/// of them is a descriptor.
const MAX_ENTRIES: usize = 600_000;

/// A parsed index.json.
#[derive(Debug, Clone)]
pub struct Document {
    /// Every member but `manifests`, whose place is kept by a null.
    members: Object,
    entries: Vec<Entry>,
}

const ENTRIES: &str = "manifests";

impl Document {
    /// The index.json of a repository without images.
    #[must_use]
    pub fn empty() -> Self {
        let mut members = Object::default();
        members.set("schemaVersion", json::raw("2".to_owned()));
        members.set("mediaType", json::quote("application/vnd.oci.image.index.v1+json"));
        members.set(ENTRIES, json::raw("null".to_owned()));
        Self { members, entries: Vec::new() }
    }

    /// Parses an index.json.
    ///
    /// # Errors
    /// What is wrong with it, when it cannot be trusted as a whole.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        Self::read(&Arc::new(text.to_owned()), 1)
    }

    /// [`Document::parse`] of a text that is to be kept anyway: the entries are places in it, found on
    /// up to `jobs` threads.
    pub(crate) fn read(text: &Arc<String>, jobs: usize) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("it is empty".to_owned());
        }
        let take_apart = || serde_json::from_str(text);
        let is_worth_it = jobs > 1 && text.len() as u64 >= WORTH_A_THREAD;
        let (checked, taken_apart) = beside(is_worth_it, || json::check(text.as_bytes()), take_apart);
        checked?;
        let is_object = text.trim_start().starts_with('{');
        let Members { members, list } = taken_apart.map_err(|error| match is_object {
            true => "its manifests are not a list".to_owned(),
            false => error.to_string(),
        })?;
        if let Some(version) = members.get("schemaVersion").map(RawValue::get)
            && version != "2"
        {
            return Err(format!("it has schemaVersion {version}, not 2"));
        }
        let List(list) = list.ok_or_else(|| "it has no list of manifests".to_owned())?;
        if list.len() > MAX_ENTRIES {
            return Err(format!("it has more than {MAX_ENTRIES} entries"));
        }
        let entry = |raw: &&RawValue| Entry::read(text, Place::of(raw.get(), text));
        let entries = in_stretches(&list, jobs, entry);
        Ok(Self { members, entries })
    }

    /// The entries in order. Their order is data: readers take the first that fits.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries, to be edited.
    pub fn entries_mut(&mut self) -> &mut Vec<Entry> {
        &mut self.entries
    }

    /// The media type that the document gives itself.
    #[must_use]
    pub fn media_type(&self) -> Option<String> {
        self.members.get("mediaType").and_then(|value| serde_json::from_str(value.get()).ok())
    }

    /// The document as it is to be written.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_text().into_bytes()
    }

    /// [`Document::to_bytes`] as the text that they are.
    pub(crate) fn to_text(&self) -> String {
        let mut length = 0;
        self.pieces(&mut |piece| length += piece.len());
        let mut out = String::with_capacity(length);
        self.pieces(&mut |piece| out.push_str(piece));
        out
    }

    /// Writes the document.
    pub(crate) fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(BUFFER);
        let mut done = Ok(());
        self.pieces(&mut |piece| {
            buffer.extend_from_slice(piece.as_bytes());
            if buffer.len() >= BUFFER && done.is_ok() {
                done = out.write_all(&buffer);
                buffer.clear();
            }
        });
        done?;
        out.write_all(&buffer)
    }

    /// The digest of the document as it is to be written.
    pub(crate) fn digest(&self) -> Digest {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        self.pieces(&mut |piece| hasher.update(piece.as_bytes()));
        hasher.finish()
    }

    /// Whether the document is to be written as `text`.
    pub(crate) fn is_written_as(&self, text: &str) -> bool {
        let mut rest = Some(text);
        self.pieces(&mut |piece| rest = rest.and_then(|rest| rest.strip_prefix(piece)));
        rest == Some("")
    }

    /// The document as it is to be written, piece by piece.
    fn pieces(&self, take: &mut dyn FnMut(&str)) {
        take("{");
        for (position, (name, value)) in self.members.members().enumerate() {
            if position > 0 {
                take(",");
            }
            take(json::quote(name).get());
            take(":");
            if name == ENTRIES {
                self.entry_pieces(take);
            } else {
                take(value.get());
            }
        }
        take("}");
    }

    fn entry_pieces(&self, take: &mut dyn FnMut(&str)) {
        take("[");
        for (position, entry) in self.entries.iter().enumerate() {
            if position > 0 {
                take(",");
            }
            take(entry.json());
        }
        take("]");
    }
}

/// The members of a document, and apart from them what is listed.
///
/// They are read while the text is still being checked, so neither takes more room here than it may.
struct Members<'a> {
    members: Object,
    list: Option<List<'a>>,
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut read = Members { members: Object::default(), list: None };
                let mut left = json::MAX_MEMBERS;
                while let Some(name) = map.next_key::<String>()? {
                    left = left.checked_sub(1).ok_or_else(|| A::Error::custom("it has too many members"))?;
                    let value = if name == ENTRIES {
                        // Go programs write an empty list as null.
                        read.list = Some(map.next_value::<Option<_>>()?.unwrap_or_default());
                        json::raw("null".to_owned())
                    } else {
                        map.next_value()?
                    };
                    read.members.push(name, value);
                }
                Ok(read)
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

/// What is listed; of more than [`MAX_ENTRIES`], one more than that.
#[derive(Default)]
struct List<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for List<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = List<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<'de>, A::Error> {
                let mut list = Vec::new();
                while let Some(entry) = seq.next_element()? {
                    list.push(entry);
                    if list.len() > MAX_ENTRIES {
                        while seq.next_element::<IgnoredAny>()?.is_some() {}
                    }
                }
                Ok(List(list))
            }
        }
        deserializer.deserialize_seq(Visit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRANGE: &str = r#"{"x-top": 1e2,"schemaVersion":2,
      "manifests":[{"mediaType":"a/b","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":7.0,
      "x":{"n":1.10}}, 42, {"digest":"blake9:zz","size":-1,"annotations":{"org.opencontainers.image.ref.name":"odd"}} ],"annotations":{"b":"1","a":"2"}}"#;

    #[test]
    fn untouched_entries_and_members_are_written_back_as_they_were() {
        let document = Document::parse(STRANGE.as_bytes()).unwrap();
        let out = String::from_utf8(document.to_bytes()).unwrap();
        for piece in
            ["\"x-top\":1e2", "\"x\":{\"n\":1.10}", ",42,", "\"annotations\":{\"b\":\"1\",\"a\":\"2\"}}"]
        {
            assert!(out.contains(piece), "{piece} is gone from {out}");
        }
        assert_eq!(Document::parse(out.as_bytes()).unwrap().to_bytes(), out.as_bytes());
    }

    #[test]
    fn more_entries_than_an_index_has_room_for_are_refused() {
        let of =
            |entries: usize| format!(r#"{{"schemaVersion":2,"manifests":[{}0]}}"#, "0,".repeat(entries - 1));
        for jobs in [1, 2] {
            assert_eq!(
                Document::read(&Arc::new(of(MAX_ENTRIES)), jobs).unwrap().entries().len(),
                MAX_ENTRIES
            );
            let refused = Document::read(&Arc::new(of(MAX_ENTRIES + 2)), jobs).unwrap_err();
            assert_eq!(refused, "it has more than 600000 entries");
        }
    }

    #[test]
    fn a_document_knows_whether_it_would_be_written_as_it_was_read() {
        let document = Document::parse(STRANGE.as_bytes()).unwrap();
        let written = String::from_utf8(document.to_bytes()).unwrap();
        assert!(document.is_written_as(&written) && !document.is_written_as(STRANGE));
        assert!(!document.is_written_as(&written[..written.len() - 1]));
        assert!(!document.is_written_as(&format!("{written} ")));
    }

    #[test]
    fn entries_mean_the_same_however_they_are_spelled() {
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let escaped = digest.replacen('s', "\\u0073", 1);
        for digest_text in [digest, &escaped] {
            let text = format!(
                r#"{{"manifests":[ {{"size":0, "digest" : "{digest_text}","annotations":{{"org.opencontainers.image.ref\u002ename":"one:\u0031"}}}} ]}}"#
            );
            let document = Document::parse(text.as_bytes()).unwrap();
            let entry = &document.entries()[0];
            assert_eq!(entry.digest_text(), Some(digest));
            assert_eq!(entry.digest().map(Digest::as_str), Some(digest));
            assert_eq!(entry.ref_name(), Some("one:1"));
            assert_eq!(entry.label(0), "docker.io/library/one:1");
            assert!(text.contains(entry.json()) && entry.clone().json() == entry.json());
        }
    }

    #[test]
    fn strange_entries_are_kept_and_say_what_is_wrong() {
        let document = Document::parse(STRANGE.as_bytes()).unwrap();
        assert!(document.entries()[0].descriptor().unwrap_err().contains("size"));
        assert!(document.entries()[1].descriptor().is_err());
        assert_eq!(document.entries()[2].ref_name(), Some("odd"));
    }

    #[test]
    fn a_bad_index_is_an_error_and_never_empty() {
        for bad in [
            "",
            " ",
            "null",
            "[]",
            "{}",
            "{\"schemaVersion\":2",
            r#"{"schemaVersion":1,"manifests":[]}"#,
            r#"{"schemaVersion":2,"manifests":{}}"#,
            r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#,
            r#"{"schemaVersion":2,"manifests":[{"size":1,"size":2}]}"#,
            "\u{feff}{\"schemaVersion\":2,\"manifests\":[]}",
        ] {
            assert!(Document::parse(bad.as_bytes()).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn renaming_touches_nothing_but_the_two_annotations() {
        let text = r#"{"schemaVersion":2,"manifests":[{"size":1,"annotations":{"z":"1","org.opencontainers.image.ref.name":"old","a":"2"},"digest":"sha256:00"}]}"#;
        let document = Document::parse(text.as_bytes()).unwrap();
        let renamed = document.entries()[0].with_names(Some("full"), Some("new")).unwrap();
        assert_eq!(
            renamed.json(),
            r#"{"size":1,"annotations":{"z":"1","org.opencontainers.image.ref.name":"new","a":"2","io.containerd.image.name":"full"},"digest":"sha256:00"}"#
        );
        assert_eq!(
            renamed.with_names(None, None).unwrap().json(),
            r#"{"size":1,"annotations":{"z":"1","a":"2"},"digest":"sha256:00"}"#
        );
    }
}
