//! The format of docker before 1.10: every layer an image of its own, with a parent, and `repositories` for the
//! names.
//!
//! Later archives repeat it beside their `manifest.json`; what they need of it is here too.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Item, Tarball, repositories};
use crate::descriptor::{self, Blob, split_reference};
use crate::digest;
use crate::image::{Flavor, Image, image_manifest};
use crate::json::compact;
use crate::tarball::Member;

/// `docker save` before 1.10: v1 layer directories and `repositories`, nothing else.
pub fn docker_v1_save(items: &[Item<'_>]) -> Tarball {
    let mut tarball = Tarball::new();
    let mut tops = Vec::new();
    for &(image, names) in items {
        let chain = v1_chain(image);
        for (layer, tar) in chain.iter().zip(&image.tars) {
            for member in v1_directory(layer) {
                tarball.push_once(member);
            }
            tarball.push_once(Member::file(format!("{}/layer.tar", layer.id), tar.clone()));
        }
        tops.extend(top(&chain).map(|id| (names, id)));
    }
    tarball.file("repositories", compact(&repositories(tops)))
}

/// An archive of docker before 1.10, layer by layer: chains that part, layers without content, tags on any of them,
/// and leaves without a tag.
#[derive(Clone, Debug, Default)]
pub struct V1Archive {
    layers: Vec<Layer>,
    tags: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
struct Layer {
    id: String,
    json: Value,
    tar: Vec<u8>,
}

impl V1Archive {
    /// An archive of no layers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a layer on top of its parent and returns its ID. A layer without bytes is what docker wrote for a step
    /// that changed no file.
    pub fn layer(&mut self, parent: Option<&str>, command: &str, tar: impl Into<Vec<u8>>) -> String {
        let tar = tar.into();
        let input = [parent.unwrap_or_default(), command, &digest::sha256(&tar)].join(" ");
        let id = digest::encoded(&digest::sha256(input.as_bytes())).to_owned();
        let mut json = json!({
            "id": id,
            "created": "2015-03-04T21:38:56.769279623Z",
            "container": "cd2c5e92b2a0ef081f7acfe660aeaafbd8498c4428fd1ec130def86e7c9a48f6",
            "container_config": {"Cmd": ["/bin/sh", "-c", command]},
            "docker_version": "1.9.1",
            "author": "The Testkit",
            "config": {"Cmd": ["/app"], "Env": ["PATH=/bin"]},
            "architecture": "amd64",
            "os": "linux",
            "Size": tar.len(),
        });
        if let Some(parent) = parent {
            json["parent"] = parent.into();
            json["parent_id"] = format!("sha256:{parent}").into();
        }
        if tar.is_empty() {
            json["throwaway"] = true.into();
        }
        self.layers.push(Layer { id: id.clone(), json, tar });
        id
    }

    /// Gives a layer a name, with its tag.
    pub fn tag(&mut self, name: &str, id: &str) -> &mut Self {
        self.tags.push((name.to_owned(), id.to_owned()));
        self
    }

    /// The archive: folders by ID, then `repositories`.
    pub fn to_tarball(&self) -> Tarball {
        let layers: BTreeMap<_, _> = self.layers.iter().map(|layer| (&layer.id, layer)).collect();
        let folder = |layer: &Layer| {
            let id = &layer.id;
            [
                Member::dir(format!("{id}/")),
                Member::file(format!("{id}/VERSION"), "1.0"),
                Member::file(format!("{id}/json"), compact(&layer.json)),
                Member::file(format!("{id}/layer.tar"), layer.tar.clone()),
            ]
        };
        let mut names = json!({});
        for (name, id) in &self.tags {
            let (repository, tag) = split_reference(name);
            names[repository][tag] = id.as_str().into();
        }
        let tarball: Tarball = layers.into_values().flat_map(folder).collect();
        tarball.file("repositories", compact(&names))
    }

    /// The image that docker makes of a layer and those below it: the config is the top layer's JSON without what
    /// only that format had, with `rootfs` and `history` of the whole chain, keys in the order of their bytes.
    pub fn image(&self, top: &str) -> Image {
        let chain = self.chain(top);
        let tars: Vec<_> = chain.iter().map(|layer| layer.tar.clone()).collect();
        let diff_ids: Vec<_> = tars.iter().map(|tar| digest::sha256(tar)).collect();
        let config = Blob::new(descriptor::OCI_CONFIG, config(&chain, &diff_ids));
        let layers: Vec<_> = tars.iter().map(|tar| Blob::new(descriptor::OCI_LAYER, tar.clone())).collect();
        let manifest = image_manifest(Flavor::Oci, &config, &layers);
        let manifest = Blob::new(descriptor::OCI_MANIFEST, compact(&manifest));
        Image { manifest, config, layers, tars, diff_ids, platform: descriptor::platform("linux/amd64") }
    }

    /// The layers from the base up to `top`.
    fn chain(&self, top: &str) -> Vec<&Layer> {
        let find = |id: &str| self.layers.iter().find(|layer| layer.id == id).expect("it was added");
        let mut chain = vec![find(top)];
        while let Some(parent) = chain.last().and_then(|layer| layer.json["parent"].as_str()) {
            chain.push(find(parent));
        }
        chain.reverse();
        chain
    }
}

fn config(chain: &[&Layer], diff_ids: &[String]) -> Vec<u8> {
    let top = chain.last().expect("a chain has a top").json.as_object().expect("a layer has an object");
    let mut members: BTreeMap<_, _> = top.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    for key in ["id", "parent", "parent_id", "layer_id", "Size", "throwaway"] {
        members.remove(key);
    }
    let step = |layer: &&Layer| {
        let command = layer.json["container_config"]["Cmd"].as_array().expect("it was given a command");
        let words: Vec<_> = command.iter().filter_map(Value::as_str).collect();
        let (created, author) = (&layer.json["created"], &layer.json["author"]);
        json!({"created": created, "author": author, "created_by": words.join(" ")})
    };
    members.insert("rootfs", json!({"type": "layers", "diff_ids": diff_ids}));
    members.insert("history", chain.iter().map(step).collect());
    let member = |(key, value): (&str, Value)| {
        format!("\"{key}\":{}", String::from_utf8(compact(&value)).expect("JSON is UTF-8"))
    };
    let members: Vec<_> = members.into_iter().map(member).collect();
    format!("{{{}}}", members.join(",")).into_bytes()
}

/// A layer as docker knew it before images had configs.
pub(super) struct V1Layer {
    pub(super) id: String,
    pub(super) diff_id: String,
    pub(super) json: Value,
}

/// The v1 form of an image, base first. IDs depend on the layers below and, at the top, on the config, as
/// docker's do; they are not docker's own, which no reader checks.
pub(super) fn v1_chain(image: &Image) -> Vec<V1Layer> {
    let config: Value = serde_json::from_slice(&image.config.bytes).expect("our own config is JSON");
    let mut chain: Vec<V1Layer> = Vec::new();
    for (position, diff_id) in image.diff_ids.iter().enumerate() {
        let is_top = position + 1 == image.diff_ids.len();
        let parent = chain.last().map(|layer| layer.id.clone());
        let input = [parent.as_deref().unwrap_or(""), diff_id, if is_top { image.config.hex() } else { "" }];
        let id = digest::encoded(&digest::sha256(input.join(" ").as_bytes())).to_owned();
        let mut json = json!({"id": id, "created": config["created"], "os": config["os"]});
        if is_top {
            json["architecture"] = config["architecture"].clone();
            json["config"] = config["config"].clone();
        }
        if let Some(parent) = parent {
            json["parent"] = parent.into();
        }
        chain.push(V1Layer { id, diff_id: diff_id.clone(), json });
    }
    chain
}

pub(super) fn top(chain: &[V1Layer]) -> Option<String> {
    chain.last().map(|layer| layer.id.clone())
}

pub(super) fn v1_directory(layer: &V1Layer) -> [Member; 3] {
    let id = &layer.id;
    [
        Member::dir(format!("{id}/")),
        Member::file(format!("{id}/VERSION"), "1.0"),
        Member::file(format!("{id}/json"), compact(&layer.json)),
    ]
}
