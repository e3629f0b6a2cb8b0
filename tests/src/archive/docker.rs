//! Archives of docker from 1.10 to 24, and of podman and skopeo, which write the same with other names.

use std::collections::BTreeMap;

use serde_json::json;

use super::v1::{top, v1_chain, v1_directory};
use super::{Item, Tarball, manifest_item, repositories};
use crate::digest;
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
