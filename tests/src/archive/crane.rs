//! crane, kaniko and what else is built on the same Go library.

use super::v1::{top, v1_chain};
use super::{Item, Tarball, manifest_item, repositories};
use crate::compress::Compression;
use crate::json::compact;
use crate::tarball::Member;

/// `crane pull` and kaniko's `--tarPath`: the config under its whole digest, layers as the
/// registry has them, `manifest.json` last, no v1 part.
pub fn crane_pull(items: &[Item<'_>]) -> Tarball {
    let mut tarball = Tarball::new();
    let mut manifest = Vec::new();
    for &(image, names) in items {
        tarball.push_once(Member::file(&image.config.digest, image.config.bytes.clone()));
        let mut layers = Vec::new();
        for layer in &image.layers {
            let name = format!("{}.tar{}", layer.hex(), Compression::of(&layer.bytes).suffix());
            tarball.push_once(Member::file(&name, layer.bytes.clone()));
            layers.push(name);
        }
        manifest.push(manifest_item(image.config.digest.clone(), names, layers));
    }
    tarball.file("manifest.json", compact(&manifest.into()))
}

/// `crane pull --format=legacy`: the config, then for each layer a v1 directory with the raw layer in it.
pub fn crane_legacy(items: &[Item<'_>]) -> Tarball {
    let mut tarball = Tarball::new();
    let (mut manifest, mut tops) = (Vec::new(), Vec::new());
    for &(image, names) in items {
        let config = format!("{}.json", image.config.hex());
        tarball.push_once(Member::file(&config, image.config.bytes.clone()));
        let chain = v1_chain(image);
        for (layer, tar) in chain.iter().zip(&image.tars) {
            let id = &layer.id;
            tarball.push_once(Member::file(format!("{id}/layer.tar"), tar.clone()));
            tarball.push_once(Member::file(format!("{id}/json"), compact(&layer.json)));
            tarball.push_once(Member::file(format!("{id}/VERSION"), "1.0"));
        }
        let layers = chain.iter().map(|layer| format!("{}/layer.tar", layer.id)).collect();
        manifest.push(manifest_item(config, names, layers));
        tops.extend(top(&chain).map(|id| (names, id)));
    }
    tarball
        .file("manifest.json", compact(&manifest.into()))
        .file("repositories", compact(&repositories(tops)))
}
