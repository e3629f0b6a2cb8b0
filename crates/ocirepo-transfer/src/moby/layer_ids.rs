//! An image as docker before 1.10 would have kept it: a layer ID and a `json` for each layer, from
//! the config alone.
//!
//! Docker 1.10 to 24 wrote these beside the image when it saved one, so that older dockers could
//! load it. The IDs here are those, of a docker whose clock runs in UTC: docker wrote the time of
//! the layers below the top in its local zone, and IDs of other zones differ.

use std::collections::BTreeMap;

use ocirepo_store::Digest;
use ocirepo_store::index::check_json;
use serde_json::value::RawValue;

use super::go_json;
use super::members::Members;
use super::record::Record;
use super::types::V1_IMAGE;

/// When a layer below the top was made: nobody knows, and docker wrote this.
const UNKNOWN: &str = "1970-01-01T00:00:00Z";

/// One layer as docker before 1.10 knew it.
#[derive(Debug)]
pub(crate) struct V1Layer {
    /// What it goes by, and the folder that it lies in: 64 hex digits.
    pub(crate) id: String,
    /// The content of `<id>/json`.
    pub(crate) json: Vec<u8>,
}

/// The layers of an image, the base first, from the bytes of its config alone.
///
/// # Errors
/// What is wrong with the config: what docker would refuse, duplicate names, and no layers.
pub(crate) fn v1_layers(config: &[u8]) -> Result<Vec<V1Layer>, String> {
    check_json(config)?;
    let config = std::str::from_utf8(config).map_err(|error| error.to_string())?;
    let top = Record::read(V1_IMAGE, config)?.ok_or("it is null")?;
    let diff_ids = diff_ids(config)?;
    let os = top.text("os").to_owned();
    let below = Facts::of(&record(&[("created", UNKNOWN)])?);
    let below_in_file = Facts::of(&record(&[("created", UNKNOWN), ("os", &os)])?);
    let top = Facts::of(&top);

    let mut layers: Vec<V1Layer> = Vec::with_capacity(diff_ids.len());
    let mut chain: Option<Digest> = None;
    for (position, diff_id) in diff_ids.iter().enumerate() {
        let chain_id = match &chain {
            None => diff_id.clone(),
            Some(below) => Digest::sha256(format!("{below} {diff_id}").as_bytes()),
        };
        let is_top = position + 1 == diff_ids.len();
        let (hashed, written) = if is_top { (&top, &top) } else { (&below, &below_in_file) };
        let parent = layers.last().map(|layer| layer.id.as_str());
        let id = hashed.id(&chain_id, parent);
        let json = written.file(&id, parent);
        layers.push(V1Layer { id, json });
        chain = Some(chain_id);
    }
    Ok(layers)
}

/// `repositories`: which layer is on top of the image of each name. A name is a repository as docker
/// shows it, a tag, and an ID. It ends with a newline, as docker's does.
pub(crate) fn repositories_json(names: &[(String, String, String)]) -> Vec<u8> {
    let mut repositories: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for (repository, tag, id) in names {
        repositories.entry(repository).or_default().insert(tag, id);
    }
    let tags = |tags: &BTreeMap<&str, &str>| {
        go_json::object(tags.iter().map(|(tag, id)| (*tag, go_json::string(id))))
    };
    let mut json = go_json::object(repositories.iter().map(|(name, of)| (*name, tags(of))));
    json.push('\n');
    json.into_bytes()
}

/// What the `json` of a layer says, apart from what the layer and its parent go by.
struct Facts(Vec<(&'static str, String)>);

impl Facts {
    /// An ID and a parent that stand in a config mean other things, and docker ignored them.
    fn of(image: &Record) -> Self {
        Self(image.members().filter(|(name, _)| !matches!(*name, "id" | "parent")).collect())
    }

    /// The ID: a digest of everything, with the names sorted.
    fn id(&self, chain_id: &Digest, parent: Option<&str>) -> String {
        let mut members: BTreeMap<&str, String> =
            self.0.iter().map(|(name, json)| (*name, json.clone())).collect();
        members.insert("layer_id", go_json::string(chain_id.as_str()));
        if let Some(parent) = parent {
            members.insert("parent", go_json::string(&format!("sha256:{parent}")));
        }
        Digest::sha256(go_json::object(members).as_bytes()).encoded().to_owned()
    }

    /// The `json`, in the order of docker's type.
    fn file(&self, id: &str, parent: Option<&str>) -> Vec<u8> {
        let own = std::iter::once(("id", id)).chain(parent.map(|parent| ("parent", parent)));
        let own = own.map(|(name, text)| (name, go_json::string(text)));
        go_json::object(own.chain(self.0.iter().cloned())).into_bytes()
    }
}

/// What docker's type makes of these texts.
fn record(texts: &[(&str, &str)]) -> Result<Record, String> {
    let json = go_json::object(texts.iter().map(|(name, text)| (*name, go_json::string(text))));
    Record::read(V1_IMAGE, &json)?.ok_or_else(|| "it is null".to_owned())
}

/// The digests of the uncompressed layers, the base first.
fn diff_ids(config: &str) -> Result<Vec<Digest>, String> {
    let rootfs = member(config, "rootfs")?.ok_or("it has no rootfs")?;
    let diff_ids = member(rootfs.get(), "diff_ids").map_err(|_| "its rootfs is not an object")?;
    let diff_ids = diff_ids.ok_or("its rootfs has no diff_ids")?;
    let diff_ids: Vec<&RawValue> =
        serde_json::from_str(diff_ids.get()).map_err(|_| "its diff_ids are not a list")?;
    if diff_ids.is_empty() {
        return Err("it has no layers, and docker before 1.10 had no images without".to_owned());
    }
    let read = |(position, json): (usize, &&RawValue)| {
        serde_json::from_str(json.get()).map_err(|_| format!("diff_ids[{position}] is not a digest"))
    };
    diff_ids.iter().enumerate().map(read).collect()
}

/// A member of an object that is not null.
fn member<'a>(json: &'a str, name: &str) -> Result<Option<&'a RawValue>, String> {
    let members = Members::parse(json).map_err(|_| "it is not an object".to_owned())?;
    let members = members.into_iter().flat_map(|members| members.0);
    Ok(members.filter(|(member, _)| member == name).map(|(_, json)| json).find(|json| json.get() != "null"))
}
