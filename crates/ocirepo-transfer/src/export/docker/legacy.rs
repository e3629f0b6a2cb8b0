//! What docker before 1.10 reads of an archive: `repositories`, and a folder for every layer.
//!
//! The layers themselves are links to those that manifest.json names, so that they are there once.

use std::collections::BTreeMap;

use ocirepo_store::Digest;

use super::Image;
use crate::error::{Result, escape};
use crate::export::member::{Member, Source};
use crate::moby::layer_ids::{V1Layer, repositories_json, v1_layers};

type Configs<'c> = BTreeMap<&'c Digest, (u64, Vec<u8>)>;

/// The layers of every image as that docker would know them.
pub(super) fn layers(images: &[Image], configs: &Configs<'_>) -> Result<Vec<Vec<V1Layer>>> {
    let of = |image: &Image| {
        let (_, config) = &configs[&image.config.digest];
        v1_layers(config).map_err(|reason| image.refuse(escape(&reason)))
    };
    images.iter().map(of).collect()
}

/// The member `repositories`; there is none where nothing has a name.
pub(super) fn repositories(images: &[Image], layers: &[Vec<V1Layer>]) -> Result<Option<Member>> {
    let mut names = Vec::new();
    for (image, layers) in images.iter().zip(layers) {
        let Some(top) = layers.last() else {
            return Err(
                image.refuse("it has no layers, and the old format has images by their layers".into())
            );
        };
        let top = &top.id;
        names.extend(image.names.iter().map(|it| (it.repository.clone(), it.tag.clone(), top.clone())));
    }
    Ok((!names.is_empty()).then(|| Member::bytes("repositories", repositories_json(&names))))
}

/// The folders of the layers, by their IDs.
pub(super) fn folders(layers: Vec<Vec<V1Layer>>, stacks: &[Vec<Digest>]) -> Vec<Member> {
    let mut folders: BTreeMap<String, [Member; 4]> = BTreeMap::new();
    for (layers, diff_ids) in layers.into_iter().zip(stacks) {
        for (V1Layer { id, json }, diff_id) in layers.into_iter().zip(diff_ids) {
            let at = |name: &str| format!("{id}/{name}");
            let target = format!("../{}.tar", diff_id.encoded());
            let members = [
                Member::folder(at("")),
                Member::bytes(at("VERSION"), b"1.0".to_vec()),
                Member::bytes(at("json"), json),
                Member { name: at("layer.tar"), size: 0, source: Source::Link(target) },
            ];
            folders.insert(id, members);
        }
    }
    folders.into_values().flatten().collect()
}
