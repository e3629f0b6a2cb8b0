//! Archives around docker's `manifest.json`, and the older ones around `repositories` alone.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Item, Tarball, manifest_item, repositories};
use crate::digest;
use crate::image::Image;
use crate::json::compact;
use crate::tarball::Member;

/// `podman save` and skopeo's docker-archive: layers as `<diffID>.tar`, the config, then for each layer a v1
/// directory whose `layer.tar` is a link to the layer; `manifest.json` and `repositories` last.
pub fn podman_save(items: &[Item<'_>]) -> Tarball {
    let mut tarball = Tarball::new();
    let mut manifest = Vec::new();
    let mut tops = Vec::new();
    for &(image, names) in items {
        let layer_names: Vec<_> =
            image.diff_ids.iter().map(|id| format!("{}.tar", digest::encoded(id))).collect();
        for (name, tar) in layer_names.iter().zip(&image.tars) {
            tarball.push_once(Member::file(name, tar.clone()).mode(0o444));
        }
        let config = format!("{}.json", image.config.hex());
        tarball.push_once(Member::file(&config, image.config.bytes.clone()).mode(0o444));
        let chain = v1_chain(image);
        for (layer, name) in chain.iter().zip(&layer_names) {
            let id = &layer.id;
            tarball.push_once(Member::symlink(format!("{id}/layer.tar"), format!("../{name}")));
            tarball.push_once(Member::file(format!("{id}/VERSION"), "1.0").mode(0o444));
            tarball.push_once(Member::file(format!("{id}/json"), compact(&layer.json)).mode(0o444));
        }
        let mut item = manifest_item(config, names, layer_names);
        if names.is_empty() {
            item["RepoTags"] = json!([]);
        }
        manifest.push(item);
        tops.extend(top(&chain).map(|id| (names, id)));
    }
    tarball
        .with(Member::file("manifest.json", compact(&manifest.into())).mode(0o444))
        .with(Member::file("repositories", compact(&repositories(tops))).mode(0o444))
}

/// `docker save` from 1.10 to 24: configs and v1 layer directories in alphabetical order, a layer that comes
/// again as a symbolic link to its first place (which may lie further on), then `manifest.json` and
/// `repositories`.
pub fn docker_save(items: &[Item<'_>]) -> Tarball {
    let mut members = BTreeMap::new();
    let mut first_place = BTreeMap::new();
    let mut manifest = Vec::new();
    let mut tops = Vec::new();
    for &(image, names) in items {
        let config = format!("{}.json", image.config.hex());
        members.insert(config.clone(), Member::file(&config, image.config.bytes.clone()));
        let chain = v1_chain(image);
        for (layer, tar) in chain.iter().zip(&image.tars) {
            let path = format!("{}/layer.tar", layer.id);
            for member in v1_directory(layer) {
                members.insert(member.name.clone(), member);
            }
            let place = first_place.entry(layer.diff_id.clone()).or_insert_with(|| path.clone());
            let member = if *place == path {
                Member::file(&path, tar.clone())
            } else {
                Member::symlink(&path, format!("../{place}"))
            };
            members.insert(path, member);
        }
        let layers = chain.iter().map(|layer| format!("{}/layer.tar", layer.id)).collect();
        manifest.push(manifest_item(config, names, layers));
        tops.extend(top(&chain).map(|id| (names, id)));
    }
    let tarball: Tarball = members.into_values().collect();
    let tarball = tarball.file("manifest.json", compact(&manifest.into()));
    let repositories = repositories(tops);
    // docker leaves the file out when nothing has a tag.
    if repositories == json!({}) { tarball } else { tarball.file("repositories", compact(&repositories)) }
}

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

/// `crane pull` and everything built on the same library: the config under its whole digest, layers as the
/// registry has them, `manifest.json` last, no v1 part.
pub fn crane_pull(items: &[Item<'_>]) -> Tarball {
    let mut tarball = Tarball::new();
    let mut manifest = Vec::new();
    for &(image, names) in items {
        tarball.push_once(Member::file(&image.config.digest, image.config.bytes.clone()));
        let mut layers = Vec::new();
        for layer in &image.layers {
            let name = format!("{}.tar{}", layer.hex(), crane_suffix(&layer.bytes));
            tarball.push_once(Member::file(&name, layer.bytes.clone()));
            layers.push(name);
        }
        manifest.push(manifest_item(image.config.digest.clone(), names, layers));
    }
    tarball.file("manifest.json", compact(&manifest.into()))
}

fn crane_suffix(layer: &[u8]) -> &'static str {
    match layer {
        [0x1f, 0x8b, ..] => ".gz",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ".zst",
        _ => "",
    }
}

/// A layer as docker knew it before images had configs.
struct V1Layer {
    id: String,
    diff_id: String,
    json: Value,
}

/// The v1 form of an image, base first. IDs depend on the layers below and, at the top, on the config, as
/// docker's do; they are not docker's own, which no reader checks.
fn v1_chain(image: &Image) -> Vec<V1Layer> {
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

fn top(chain: &[V1Layer]) -> Option<String> {
    chain.last().map(|layer| layer.id.clone())
}

fn v1_directory(layer: &V1Layer) -> [Member; 3] {
    let id = &layer.id;
    [
        Member::dir(format!("{id}/")),
        Member::file(format!("{id}/VERSION"), "1.0"),
        Member::file(format!("{id}/json"), compact(&layer.json)),
    ]
}
