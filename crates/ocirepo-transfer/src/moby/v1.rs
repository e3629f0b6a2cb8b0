//! The `json` of a layer, and the config that docker made of the `json` of all layers of an image.
//!
//! The config is the `json` of the top layer without what only made sense in a chain, and with a
//! rootfs and a history that have one item a layer. A `json` of docker before 1.8.3, or of nobody
//! in particular, is passed through docker's types first, which drops and adds members; a later one
//! keeps its members as they are spelled.

use std::collections::BTreeMap;

use ocirepo_store::Digest;
use ocirepo_store::index::check_json;

use super::members::Members;
use super::record::Record;
use super::types::V1_IMAGE;
use super::{go_json, go_time};

/// What a config does not take over.
const DROPPED: [&str; 6] = ["id", "parent", "Size", "parent_id", "layer_id", "throwaway"];

/// The first version whose documents are kept as they are.
const KEPT_SINCE: &str = "1.8.3";

/// The `json` of a layer.
#[derive(Debug)]
pub(crate) struct V1Json {
    parent: String,
    /// What the config of an image with this layer on top takes over, as it is written.
    members: BTreeMap<String, String>,
    /// The item of this layer in histories.
    history: String,
}

impl V1Json {
    /// Reads a `json`.
    ///
    /// # Errors
    /// What is wrong with it: whatever docker refused, and duplicate names.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        check_json(bytes)?;
        let json = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let members = Members::parse(json).map_err(|_| "it is not an object".to_owned())?;
        let Some((Members(raw), image)) = members.zip(Record::read(V1_IMAGE, json)?) else {
            return Err("it is null".to_owned());
        };
        let mut members: BTreeMap<String, String> = if is_less(image.text("docker_version"), KEPT_SINCE) {
            image.members().map(|(name, json)| (name.to_owned(), json)).collect()
        } else {
            raw.into_iter().map(|(name, json)| (name, go_json::compact(json.get()))).collect()
        };
        members.retain(|name, _| !DROPPED.contains(&name.as_str()));
        Ok(Self { parent: image.text("parent").to_owned(), members, history: history(&image) })
    }

    /// The layer below, if there is one.
    pub(crate) fn parent(&self) -> Option<&str> {
        (!self.parent.is_empty()).then_some(&self.parent)
    }
}

/// The config of an image, given the `json` and the diffID of each of its layers from the base up.
/// Its digest is the image ID that docker gave it.
///
/// # Errors
/// When there is no layer.
pub(crate) fn config(chain: &[(&V1Json, Digest)]) -> Result<Vec<u8>, String> {
    let (top, _) = chain.last().ok_or("it has no layers")?;
    let diff_ids = go_json::list(chain.iter().map(|(_, diff_id)| go_json::string(diff_id.as_str())));
    let rootfs = go_json::object([("type", go_json::string("layers")), ("diff_ids", diff_ids)]);
    let history = go_json::list(chain.iter().map(|(layer, _)| &layer.history));
    let mut members: BTreeMap<&str, &str> =
        top.members.iter().map(|(name, json)| (name.as_str(), json.as_str())).collect();
    members.insert("rootfs", &rootfs);
    members.insert("history", &history);
    Ok(go_json::object(members).into_bytes())
}

/// What a layer adds to a history.
fn history(image: &Record) -> String {
    let created = match image.text("created") {
        "" => go_time::ZERO,
        created => created,
    };
    let command =
        image.record("container_config").map_or(String::new(), |config| config.texts("Cmd").join(" "));
    let rest =
        [("author", image.text("author")), ("created_by", &command), ("comment", image.text("comment"))];
    let rest = rest.into_iter().filter(|(_, text)| !text.is_empty());
    go_json::object(
        std::iter::once(("created", created)).chain(rest).map(|(name, text)| (name, go_json::string(text))),
    )
}

/// Whether a version is before another the way docker compares them: number by number, where
/// whatever is no number is 0.
fn is_less(version: &str, other: &str) -> bool {
    let (mut left, mut right) = (version.split('.'), other.split('.'));
    loop {
        let (left, right) = match (left.next(), right.next()) {
            (None, None) => return false,
            (left, right) => (left.map_or(0, number), right.map_or(0, number)),
        };
        if left != right {
            return left < right;
        }
    }
}

fn number(text: &str) -> i64 {
    use std::num::IntErrorKind;
    text.parse().unwrap_or_else(|error: std::num::ParseIntError| match error.kind() {
        IntErrorKind::PosOverflow => i64::MAX,
        IntErrorKind::NegOverflow => i64::MIN,
        _ => 0,
    })
}
