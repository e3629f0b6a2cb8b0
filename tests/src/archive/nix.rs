//! Nix: `dockerTools.streamLayeredImage`, a Python script, and `dockerTools.buildImage`, GNU tar over a folder.
//! Both are usually piped through pigz.

use serde_json::json;

use super::v1::{top, v1_chain};
use super::{Tarball, manifest_item, repositories};
use crate::digest;
use crate::headers::Style;
use crate::image::Image;
use crate::json::compact;
use crate::tarball::Member;

/// `streamLayeredImage`: folders of a layer and nothing more, named by the diffID, then the config and
/// `manifest.json`; PAX headers, no `repositories`.
pub fn nix_stream_layered_image(image: &Image, name: &str) -> Tarball {
    let mut tarball = Tarball::new();
    let mut layers = Vec::new();
    for (id, tar) in image.diff_ids.iter().zip(&image.tars) {
        let path = format!("{}/layer.tar", digest::encoded(id));
        tarball.push_once(Member::file(&path, tar.clone()));
        layers.push(path);
    }
    let config = format!("{}.json", image.config.hex());
    tarball
        .file(&config, image.config.bytes.clone())
        .file("manifest.json", compact(&json!([manifest_item(config, &[name], layers)])))
        .style(Style::Pax)
}

/// `buildImage`: the folder of a docker archive with v1 directories and `repositories`, as GNU tar sorts it.
pub fn nix_build_image(image: &Image, name: &str) -> Tarball {
    let chain = v1_chain(image);
    let config = format!("{}.json", image.config.hex());
    let layers = chain.iter().map(|layer| format!("{}/layer.tar", layer.id)).collect();
    let mut members = vec![
        Member::dir("./"),
        Member::file(format!("./{config}"), image.config.bytes.clone()),
        Member::file("./manifest.json", compact(&json!([manifest_item(config, &[name], layers)]))),
        Member::file("./repositories", compact(&repositories(top(&chain).map(|id| ([name], id))))),
    ];
    for (layer, tar) in chain.iter().zip(&image.tars) {
        let file = |name: &str, bytes: Vec<u8>| Member::file(format!("./{}/{name}", layer.id), bytes);
        members.push(Member::dir(format!("./{}/", layer.id)));
        members.push(file("VERSION", b"1.0".to_vec()));
        members.push(file("json", compact(&layer.json)));
        members.push(file("layer.tar", tar.clone()));
    }
    members.sort_by(|a, b| a.name.cmp(&b.name));
    members.into_iter().map(|member| member.mode(0o444)).collect::<Tarball>().style(Style::Gnu)
}
