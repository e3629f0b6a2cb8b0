//! What a Go struct does to a JSON document that is read into it and written again.
//!
//! A struct is a table of [`Field`]s. Members that are not in the table are lost; the others are
//! found whatever the case of their names; null is as good as nothing; what is absent is written
//! with the zero value of its kind, or not at all.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::members::Members;
use super::{go_json, go_time};

/// A field: its name, the kind of its value, and what happens when that is empty.
#[derive(Debug)]
pub(crate) struct Field(pub(crate) &'static str, pub(crate) Kind, pub(crate) Empty);

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Text,
    Flag,
    Integer,
    /// An integer that differs from 0 when there is none.
    IntegerIfAny,
    Time,
    Texts,
    /// Texts, or one text that stands for a list of it.
    TextOrTexts,
    /// An object that is only there for the names in it.
    Set,
    Labels,
    Record(&'static [Field]),
    /// A record that is null when there is none.
    RecordIfAny(&'static [Field]),
}

/// What becomes of an empty value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Empty {
    Written,
    Omitted,
}

#[derive(Debug)]
enum Value {
    Text(String),
    Flag(bool),
    Integer(i64),
    Time(String),
    Texts(Vec<String>),
    Set(BTreeSet<String>),
    Labels(BTreeMap<String, String>),
    Record(Record),
}

/// A document as a struct holds it.
#[derive(Debug)]
pub(crate) struct Record {
    fields: &'static [Field],
    /// One for each field; `None` where the document has nothing or null.
    values: Vec<Option<Value>>,
}

impl Record {
    /// One that holds nothing.
    fn empty(fields: &'static [Field]) -> Self {
        Self { fields, values: fields.iter().map(|_| None).collect() }
    }

    /// Reads a document; `None` when it is null.
    ///
    /// # Errors
    /// When it is no object, and when a member that is in the table is of another kind or there
    /// twice.
    pub(crate) fn read(fields: &'static [Field], json: &str) -> Result<Option<Self>, String> {
        let Some(Members(members)) = Members::parse(json).map_err(|_| "it is not an object".to_owned())?
        else {
            return Ok(None);
        };
        let mut record = Self::empty(fields);
        let mut seen = vec![false; fields.len()];
        for (name, json) in members {
            let name = fold(&name);
            let Some(position) = fields.iter().position(|field| field.0.eq_ignore_ascii_case(&name)) else {
                continue;
            };
            let Field(name, kind, _) = &fields[position];
            // Go merges the two in a way of its own; no docker has written such a document.
            if std::mem::replace(&mut seen[position], true) {
                return Err(format!("it has {name} twice, spelled differently"));
            }
            record.values[position] =
                kind.read(json).map_err(|reason| format!("its {name} is not usable: {reason}"))?;
        }
        Ok(Some(record))
    }

    /// The members as they are written, in the order of the table.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.fields.iter().zip(&self.values).filter_map(|(Field(name, kind, empty), value)| {
            let is_omitted =
                *empty == Empty::Omitted && value.as_ref().is_none_or(|value| kind.is_empty(value));
            (!is_omitted).then(|| (*name, value.as_ref().map_or_else(|| kind.zero(), Value::to_json)))
        })
    }

    /// A text, or the text of a time; empty when there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        match self.value(name) {
            Some(Value::Text(text) | Value::Time(text)) => text,
            _ => "",
        }
    }

    /// A list of texts; empty when there is none.
    pub(crate) fn texts(&self, name: &str) -> &[String] {
        match self.value(name) {
            Some(Value::Texts(texts)) => texts,
            _ => &[],
        }
    }

    /// A record, if there is one.
    pub(crate) fn record(&self, name: &str) -> Option<&Self> {
        match self.value(name) {
            Some(Value::Record(record)) => Some(record),
            _ => None,
        }
    }

    fn value(&self, name: &str) -> Option<&Value> {
        let position = self.fields.iter().position(|field| field.0 == name)?;
        self.values[position].as_ref()
    }

    fn to_json(&self) -> String {
        go_json::object(self.members())
    }
}

impl Kind {
    fn read(self, json: &RawValue) -> Result<Option<Value>, String> {
        let json = json.get();
        Ok(match self {
            Self::Text => parse(json, "a text")?.map(Value::Text),
            Self::Flag => parse(json, "true or false")?.map(Value::Flag),
            Self::Integer | Self::IntegerIfAny => parse(json, "a whole number")?.map(Value::Integer),
            Self::Time => {
                let text: Option<String> = parse(json, "a time")?;
                text.map(|text| go_time::rewrite(&text).map(Value::Time)).transpose()?
            }
            Self::TextOrTexts if json.starts_with('"') => {
                parse(json, "a text")?.map(|text| Value::Texts(vec![text]))
            }
            Self::Texts | Self::TextOrTexts => {
                let texts: Option<Vec<Option<String>>> = parse(json, "a list of texts")?;
                texts.map(|texts| Value::Texts(texts.into_iter().map(Option::unwrap_or_default).collect()))
            }
            Self::Set => {
                type Members = BTreeMap<String, Option<BTreeMap<String, IgnoredAny>>>;
                let members: Option<Members> = parse(json, "an object of objects")?;
                members.map(|members| Value::Set(members.into_keys().collect()))
            }
            Self::Labels => {
                let labels: Option<BTreeMap<String, Option<String>>> = parse(json, "an object of texts")?;
                let labels = labels.into_iter().flatten();
                let labels: BTreeMap<_, _> =
                    labels.map(|(name, text)| (name, text.unwrap_or_default())).collect();
                (json != "null").then_some(Value::Labels(labels))
            }
            Self::Record(fields) | Self::RecordIfAny(fields) => {
                Record::read(fields, json)?.map(Value::Record)
            }
        })
    }

    fn is_empty(self, value: &Value) -> bool {
        match value {
            Value::Text(text) => text.is_empty(),
            Value::Flag(flag) => !flag,
            Value::Integer(number) => *number == 0 && matches!(self, Self::Integer),
            Value::Texts(texts) => texts.is_empty(),
            Value::Set(names) => names.is_empty(),
            Value::Labels(labels) => labels.is_empty(),
            Value::Time(_) | Value::Record(_) => false,
        }
    }

    /// What is written for a value that is not there.
    fn zero(self) -> String {
        match self {
            Self::Text => go_json::string(""),
            Self::Flag => "false".to_owned(),
            Self::Integer => "0".to_owned(),
            Self::Time => go_json::string(go_time::ZERO),
            Self::Record(fields) => Record::empty(fields).to_json(),
            Self::IntegerIfAny
            | Self::Texts
            | Self::TextOrTexts
            | Self::Set
            | Self::Labels
            | Self::RecordIfAny(_) => "null".to_owned(),
        }
    }
}

impl Value {
    fn to_json(&self) -> String {
        match self {
            Self::Text(text) | Self::Time(text) => go_json::string(text),
            Self::Flag(flag) => flag.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Texts(texts) => go_json::list(texts.iter().map(|text| go_json::string(text))),
            Self::Set(names) => go_json::object(names.iter().map(|name| (name, "{}"))),
            Self::Labels(labels) => {
                go_json::object(labels.iter().map(|(name, text)| (name, go_json::string(text))))
            }
            Self::Record(record) => record.to_json(),
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(json: &'a str, what: &str) -> Result<Option<T>, String> {
    serde_json::from_str(json).map_err(|_| format!("it should be {what}"))
}

/// Two letters outside of ASCII are, in Unicode, other cases of `k` and `s`, and so they are to Go.
fn fold(name: &str) -> Cow<'_, str> {
    if name.is_ascii() { name.into() } else { name.replace('\u{212a}', "k").replace('\u{17f}', "s").into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INNER: &[Field] = &[
        Field("Name", Kind::Text, Empty::Written),
        Field("Limit", Kind::IntegerIfAny, Empty::Omitted),
        Field("Retries", Kind::Integer, Empty::Omitted),
    ];
    const OUTER: &[Field] = &[
        Field("task", Kind::Text, Empty::Omitted),
        Field("when", Kind::Time, Empty::Written),
        Field("inner", Kind::Record(INNER), Empty::Written),
        Field("more", Kind::RecordIfAny(INNER), Empty::Omitted),
        Field("list", Kind::TextOrTexts, Empty::Written),
        Field("short", Kind::Texts, Empty::Omitted),
        Field("ports", Kind::Set, Empty::Omitted),
        Field("labels", Kind::Labels, Empty::Written),
        Field("on", Kind::Flag, Empty::Written),
    ];

    fn pass(json: &str) -> Result<String, String> {
        Record::read(OUTER, json).map(|record| record.expect("it is not null").to_json())
    }

    #[test]
    fn what_is_absent_or_null_gets_the_zero_value_of_its_kind() {
        let zero =
            r#"{"when":"0001-01-01T00:00:00Z","inner":{"Name":""},"list":null,"labels":null,"on":false}"#;
        assert_eq!(pass("{}").as_deref(), Ok(zero));
        let nulls = OUTER.iter().map(|field| (field.0, "null"));
        assert_eq!(pass(&go_json::object(nulls)).as_deref(), Ok(zero));
        assert!(Record::read(OUTER, "null").unwrap().is_none());
    }

    #[test]
    fn what_is_empty_is_written_or_omitted_as_the_table_says() {
        let json = r#"{"task":"","short":[],"ports":{},"labels":{},"list":[],"more":{},"inner":{"Limit":0,"Retries":0}}"#;
        let written = r#"{"when":"0001-01-01T00:00:00Z","inner":{"Name":"","Limit":0},"more":{"Name":""},"list":[],"labels":{},"on":false}"#;
        assert_eq!(pass(json).as_deref(), Ok(written));
    }

    #[test]
    fn values_are_written_in_order_with_sorted_names_inside() {
        let json = r#"{"on":true,"labels":{"b":"<","a":null,"B":"ü"},"ports":{"80/tcp":{},"443/tcp":null,"53/udp":{"x":1}},
            "list":"one","short":["a",null],"when":"2015-01-01T00:00:00.10+00:00","unknown":[1],"task":"t"}"#;
        let written = r#"{"task":"t","when":"2015-01-01T00:00:00.1Z","inner":{"Name":""},"list":["one"],"short":["a",""],"ports":{"443/tcp":{},"53/udp":{},"80/tcp":{}},"labels":{"B":"ü","a":"","b":"\u003c"},"on":true}"#;
        assert_eq!(pass(json).as_deref(), Ok(written));
    }

    #[test]
    fn names_are_found_whatever_their_case() {
        let written = r#"{"task":"t","when":"0001-01-01T00:00:00Z","inner":{"Name":""},"list":null,"labels":null,"on":false}"#;
        for name in ["TASK", "tA\u{17f}\u{212a}"] {
            assert_eq!(pass(&format!("{{\"{name}\":\"t\"}}")).as_deref(), Ok(written));
        }
        assert!(pass(r#"{"task":"a","Task":"b"}"#).unwrap_err().contains("task twice"));
    }

    #[test]
    fn values_of_another_kind_are_refused_by_name() {
        for (json, name) in [
            (r#"{"task":1}"#, "task"),
            (r#"{"on":"yes"}"#, "on"),
            (r#"{"when":"now"}"#, "when"),
            (r#"{"list":["a",1]}"#, "list"),
            (r#"{"short":"a"}"#, "short"),
            (r#"{"ports":{"80":1}}"#, "ports"),
            (r#"{"ports":{"80":[]}}"#, "ports"),
            (r#"{"labels":["a"]}"#, "labels"),
            (r#"{"inner":[]}"#, "inner"),
            (r#"{"inner":{"Limit":1.5}}"#, "Limit"),
        ] {
            assert!(pass(json).unwrap_err().contains(&format!("its {name} is not usable")), "{json}");
        }
        assert!(pass("[]").is_err());
    }
}
