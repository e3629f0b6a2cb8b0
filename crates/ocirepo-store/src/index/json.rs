//! JSON read strictly but kept as it was spelled.
//!
//! [`Object`] is a JSON object as an ordered list of members whose values are untouched text, so
//! that what we do not change is written back byte for byte: order, unknown members, number
//! spelling and all. [`check`] refuses what I-JSON (RFC 7493) refuses and serde would let pass:
//! duplicate names, on any level, because two readers would see two different documents. It also
//! refuses what is small as text and large in memory: more values than any document of that size has.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The most members of one object.
pub(super) const MAX_MEMBERS: usize = 100_000;

/// So many values any document may have.
const FREE_VALUES: usize = 1_000_000;

/// Beyond those, a value for so many bytes: a digest alone has four times as many.
const BYTES_PER_VALUE: usize = 24;

/// Checks that `bytes` are one JSON text without duplicate names, and not one that was made to be
/// large in memory.
///
/// # Errors
/// What is wrong and where, as text.
pub fn check(bytes: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let left = Cell::new(FREE_VALUES + text.len() / BYTES_PER_VALUE);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let checked = Strict { left: &left }.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    checked.map_err(|error| error.to_string())
}

/// The members of an object that have these names, each as it is written; of members that have the same
/// name, the first. Nothing is copied, and the others are only looked over.
pub(crate) fn pick<'a, const N: usize>(
    text: &'a str,
    names: [&str; N],
) -> Result<[Option<&'a RawValue>; N], serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let picked = deserializer.deserialize_map(Pick { names })?;
    deserializer.end()?;
    Ok(picked)
}

/// The text that a value is, if it is one.
pub(crate) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let plain = value.get().strip_prefix('"')?.strip_suffix('"')?;
    if plain.contains('\\') {
        return serde_json::from_str(value.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(plain))
}

/// A JSON object: its members in order, each value as the text it was read as.
#[derive(Debug, Clone, Default)]
pub(crate) struct Object {
    members: Vec<(String, Box<RawValue>)>,
}

impl Object {
    pub(crate) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&RawValue> {
        self.members.iter().find(|(member, _)| member == name).map(|(_, value)| &**value)
    }

    /// Sets a member in place, or appends it.
    pub(crate) fn set(&mut self, name: &str, value: Box<RawValue>) {
        match self.members.iter_mut().find(|(member, _)| member == name) {
            Some((_, old)) => *old = value,
            None => self.members.push((name.to_owned(), value)),
        }
    }

    /// Appends a member, which must be a new one.
    pub(crate) fn push(&mut self, name: String, value: Box<RawValue>) {
        self.members.push((name, value));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.members.retain(|(member, _)| member != name);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.members.iter().map(|(name, value)| (name.as_str(), &**value))
    }

    pub(crate) fn to_raw(&self) -> Box<RawValue> {
        let mut text = String::from("{");
        for (position, (name, value)) in self.members.iter().enumerate() {
            if position > 0 {
                text.push(',');
            }
            text.push_str(quote(name).get());
            text.push(':');
            text.push_str(value.get());
        }
        text.push('}');
        raw(text)
    }
}

/// A text as a JSON string.
pub(crate) fn quote(text: &str) -> Box<RawValue> {
    serde_json::value::to_raw_value(text).expect("a string always has a JSON form")
}

/// Text that was put together from valid JSON parts.
pub(crate) fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).expect("joining JSON values with JSON punctuation gives JSON")
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object { members })
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// The name of a member, borrowed where it is spelled without escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

struct Pick<'n, const N: usize> {
    names: [&'n str; N],
}

impl<'de, const N: usize> Visitor<'de> for Pick<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut picked = [None; N];
        while let Some(Key(name)) = map.next_key()? {
            match self.names.iter().position(|wanted| *wanted == name) {
                Some(n) if picked[n].is_none() => picked[n] = Some(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(picked)
    }
}

/// Any JSON value, looked through and thrown away.
#[derive(Clone, Copy)]
struct Strict<'l> {
    /// How many values may still come.
    left: &'l Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.left.get().checked_sub(1) {
            Some(left) => self.left.set(left),
            None => return Err(serde::de::Error::custom("it has too many values for its size")),
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = Names::default();
        while let Some(Key(name)) = map.next_key()? {
            names.note(name).map_err(serde::de::Error::custom)?;
            map.next_value_seed(self)?;
        }
        Ok(())
    }
}

/// So many names are looked through one by one.
const FEW: usize = 16;

/// The names of one object. Most objects have a handful, spelled without escapes: those are not
/// copied. Only a large one is worth a hash set.
#[derive(Default)]
struct Names<'a> {
    few: [&'a str; FEW],
    count: usize,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    /// Takes one more name, which must be another one.
    fn note(&mut self, name: Cow<'a, str>) -> Result<(), String> {
        let few = &self.few[..self.count];
        if few.contains(&&*name) || self.many.contains(&name) {
            return Err(format!("the name {name:?} stands twice in one object"));
        }
        match name {
            Cow::Borrowed(plain) if self.count < FEW => {
                self.few[self.count] = plain;
                self.count += 1;
            }
            other => {
                self.many.insert(other);
            }
        }
        if self.count + self.many.len() > MAX_MEMBERS {
            return Err(format!("an object has more than {MAX_MEMBERS} members"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_names_are_found_on_any_level() {
        assert!(check(br#"{"a":1,"b":[{"a":1},{"a":2}]}"#).is_ok());
        let spelled = [r#"{"a":1,"\u0061":1}"#, r#"{"\u0061":1,"a":1}"#, r#"{"\u0061":1,"\u0061":1}"#];
        for bad in [r#"{"a":1,"a":1}"#, r#"[{"b":{"c":1,"d":2,"c":3}}]"#].into_iter().chain(spelled) {
            assert!(check(bad.as_bytes()).unwrap_err().contains("twice"), "{bad}");
        }
        let wide: String = (0..100).map(|n| format!("\"k{n}\":0,")).collect();
        assert!(check(format!("{{{wide}\"x\":1}}").as_bytes()).is_ok());
        for again in ["k3", "\\u006b3", "k97", "\\u006b97"] {
            assert!(check(format!("{{{wide}\"{again}\":1}}").as_bytes()).is_err(), "{again}");
        }
    }

    #[test]
    fn what_is_small_as_text_and_large_in_memory_is_refused() {
        let list = |item: &str, times: usize| format!("[{}0]", item.repeat(times));
        assert!(check(list("0,", FREE_VALUES).as_bytes()).is_ok());
        assert!(check(list("0,", FREE_VALUES * 2).as_bytes()).unwrap_err().contains("too many values"));
        let nested = list("[[[]]],", FREE_VALUES);
        assert!(check(nested.as_bytes()).unwrap_err().contains("too many values"));
        assert!(check("[".repeat(100_000).as_bytes()).is_err());
        let digest = format!("\"sha256:{}\",", "0".repeat(64));
        assert!(check(list(&digest, FREE_VALUES * 2).as_bytes()).is_ok(), "an honest document of any size");
        let members: String = (0..=MAX_MEMBERS).map(|n| format!("\"{n}\":0,")).collect();
        assert!(check(format!("{{{members}\"x\":0}}").as_bytes()).unwrap_err().contains("members"));
    }

    #[test]
    fn members_are_picked_as_they_are_written_and_the_first_of_two() {
        let text = r#"{"b": 1.50e+2 ,"\u0061":{"x": [1]},"c":null,"a":2}"#;
        let picked = pick(text, ["a", "b", "none"]).unwrap().map(|value| value.map(RawValue::get));
        assert_eq!(picked, [Some(r#"{"x": [1]}"#), Some("1.50e+2"), None]);
        for bad in ["[]", "42", r#"{"a":1"#, "{} {}", r#"{"a":}"#] {
            assert!(pick(bad, ["a"]).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn a_text_is_what_it_means_however_it_is_spelled() {
        let meaning = |json: &str| text(serde_json::from_str(json).unwrap()).map(Cow::into_owned);
        for json in [r#""a/b""#, r#""\u0061\/b""#] {
            assert_eq!(meaning(json).as_deref(), Some("a/b"), "{json}");
        }
        assert_eq!(meaning(r#""""#).as_deref(), Some(""));
        for json in ["1", "null", "[\"a\"]", r#""\ud800""#] {
            assert_eq!(meaning(json), None, "{json}");
        }
    }

    #[test]
    fn what_is_not_touched_keeps_its_spelling() {
        let text = "{\"b\": 1.50e+2 ,\"a\":{ \"z\" : 12345678901234567890123 }}";
        let object = Object::parse(text).unwrap();
        assert_eq!(object.to_raw().get(), "{\"b\":1.50e+2,\"a\":{ \"z\" : 12345678901234567890123 }}");
    }
}
