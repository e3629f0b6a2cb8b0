//! Archives out of choices: what a tool writes, with a few things gone wrong.

use ocirepo_store::Digest;
use serde_json::{Value, json};

use super::choices::Choices;
use super::images::{self, Image};
use super::json::spoil;
use super::tarball;

#[derive(Debug, Clone)]
struct Member {
    name: String,
    kind: u8,
    link: String,
    content: Vec<u8>,
}

impl Member {
    fn file(name: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), kind: b'0', link: String::new(), content: content.into() }
    }

    fn blob(content: &[u8]) -> Self {
        Self::file(blob_name(content), content)
    }
}

fn blob_name(content: &[u8]) -> String {
    format!("blobs/sha256/{}", Digest::sha256(content).encoded())
}

/// The archive that the choices make.
pub(crate) fn build(choices: &mut Choices<'_>) -> Vec<u8> {
    let style = choices.below(5);
    let images: Vec<Image> = (0..=choices.below(3)).map(|_| Image::build(choices)).collect();
    let mut members = match style {
        0 => docker(&images, choices),
        1 => layout(&images, choices),
        2 => {
            let mut members = layout(&images, choices);
            members.push(manifest_json(&images, blob_name, choices));
            members
        }
        3 => legacy(&images, choices),
        _ => {
            let mut members = docker(&images, choices);
            members.extend(legacy(&images, choices));
            members
        }
    };
    for _ in 0..choices.below(4) {
        deviate(&mut members, choices);
    }
    let mut tar = Vec::new();
    for member in &members {
        let (name, link) = (member.name.as_bytes(), member.link.as_bytes());
        tarball::push_member(&mut tar, member.kind, name, link, &member.content);
    }
    tarball::push_end(&mut tar);
    wrap(tar, choices)
}

/// What `docker save` wrote until version 24.
fn docker(images: &[Image], choices: &mut Choices<'_>) -> Vec<Member> {
    let mut members = Vec::new();
    for image in images {
        members.push(Member::file(config_name(&image.config), image.config.clone()));
        for layer in &image.layers {
            let member = Member::file(layer_name(&layer.stored), layer.stored.clone());
            if !members.iter().any(|other| other.name == member.name) {
                members.push(member);
            }
        }
    }
    members.push(manifest_json(images, |content| names_of(images, content), choices));
    members
}

fn names_of(images: &[Image], content: &[u8]) -> String {
    let is_config = images.iter().any(|image| image.config == content);
    if is_config { config_name(content) } else { layer_name(content) }
}

fn config_name(config: &[u8]) -> String {
    format!("{}.json", Digest::sha256(config).encoded())
}

fn layer_name(layer: &[u8]) -> String {
    format!("{}/layer.tar", Digest::sha256(layer).encoded())
}

fn manifest_json(images: &[Image], name: impl Fn(&[u8]) -> String, choices: &mut Choices<'_>) -> Member {
    let item = |image: &Image| {
        let layers: Vec<String> = image.layers.iter().map(|layer| name(&layer.stored)).collect();
        json!({"Config": name(&image.config), "RepoTags": image.tags, "Layers": layers})
    };
    let items: Vec<Value> = images.iter().map(item).collect();
    Member::file("manifest.json", spoil(json!(items), choices))
}

/// An image layout: some of the images in an index of their own, some with a referrer.
fn layout(images: &[Image], choices: &mut Choices<'_>) -> Vec<Member> {
    let (mut members, mut entries) = (Vec::new(), Vec::new());
    for image in images {
        let layers = image.layers.iter().map(|layer| &layer.stored);
        members.extend(layers.chain([&image.config, &image.manifest]).map(|content| Member::blob(content)));
        entries.push(image.entry(choices));
        if choices.one_in(4) {
            let referrer = image.referrer();
            entries.push(images::descriptor("application/vnd.oci.image.manifest.v1+json", &referrer));
            members.extend([Member::blob(&referrer), Member::blob(b"{}")]);
        }
    }
    if choices.one_in(3) {
        let index = spoil(images::index(&entries), choices);
        let mut entry = images::descriptor("application/vnd.oci.image.index.v1+json", &index);
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": "m:1"});
        entries = vec![entry];
        members.push(Member::blob(&index));
    }
    members.push(Member::file("oci-layout", spoil(json!({"imageLayoutVersion": "1.0.0"}), choices)));
    members.push(Member::file("index.json", spoil(images::index(&entries), choices)));
    members
}

/// What docker wrote before manifest.json: a chain of layers, each with a config of its own.
fn legacy(images: &[Image], choices: &mut Choices<'_>) -> Vec<Member> {
    let (mut members, mut repositories) = (Vec::new(), json!({}));
    for (n, image) in images.iter().enumerate() {
        let mut parent: Option<String> = None;
        for (depth, layer) in image.layers.iter().enumerate() {
            let id = Digest::sha256(format!("{n} {depth}").as_bytes()).encoded().to_owned();
            let mut config = json!({"id": id, "os": "linux", "architecture": "amd64"});
            if let Some(parent) = &parent {
                config["parent"] = json!(parent);
            }
            members.push(Member::file(format!("{id}/VERSION"), "1.0"));
            members.push(Member::file(format!("{id}/json"), spoil(config, choices)));
            members.push(Member::file(format!("{id}/layer.tar"), layer.stored.clone()));
            parent = Some(id);
        }
        for (repository, tag) in image.tags.iter().filter_map(|name| name.rsplit_once(':')) {
            repositories[repository][tag] = json!(parent.as_deref().unwrap_or("none"));
        }
    }
    members.push(Member::file("repositories", spoil(repositories, choices)));
    members
}

/// Makes one thing different among the members.
fn deviate(members: &mut Vec<Member>, choices: &mut Choices<'_>) {
    let way = choices.below(14);
    let at = choices.below(members.len().max(1));
    let Some(member) = members.get(at).cloned() else { return };
    match way {
        0 => drop(members.remove(at)),
        1 => members.push(member),
        2 => {
            let to = choices.below(members.len());
            members.swap(at, to);
        }
        3 => members[at].name.insert_str(0, choices.pick(&["./", "/", "dir/", "../", ".//"])),
        4 => {
            let prefix = choices.pick(&["./", "/", "dir/", "images/"]);
            members.iter_mut().for_each(|member| member.name.insert_str(0, prefix));
        }
        5 | 6 => {
            // The content moves elsewhere, and a link is left in its place.
            let up = "../".repeat(member.name.matches('/').count());
            let kind = choices.pick(b"21");
            let link = if kind == b'2' { format!("{up}elsewhere/x") } else { "elsewhere/x".to_owned() };
            members[at] = Member { kind, link, content: Vec::new(), ..member.clone() };
            let to = if way == 5 { members.len() } else { 0 };
            members.insert(to, Member { name: "elsewhere/x".to_owned(), ..member });
        }
        7 => {
            let other = choices.below(members.len());
            members[at].kind = choices.pick(b"21");
            members[at].link = members[other].name.clone();
            members[at].content = Vec::new();
        }
        8 => members[at].kind = choices.pick(b"S57V\0"),
        9 => {
            let mut twin = member;
            twin.content.push(choices.byte());
            members.push(twin);
        }
        10 => {
            let content = &mut members[at].content;
            if !content.is_empty() {
                let place = choices.word() % content.len();
                content[place] ^= choices.byte();
            }
        }
        11 => members[at].content.truncate(choices.word() % 256),
        12 => members.reverse(),
        _ => members[at].name.push_str(&"/long".repeat(choices.below(60))),
    }
}

fn wrap(mut tar: Vec<u8>, choices: &mut Choices<'_>) -> Vec<u8> {
    match choices.below(14) {
        1 => tar.truncate(tar.len() - choices.word() % tar.len()),
        2 => tar.extend_from_slice(choices.bytes()),
        3 => tar = images::gzip(&tar),
        4 => tar = images::zstd(&tar),
        5 => {
            tar = images::gzip(&tar);
            tar.truncate(tar.len() - choices.word() % tar.len());
        }
        6 => {
            tar = images::zstd(&tar);
            let at = choices.word() % tar.len();
            tar[at] ^= choices.byte();
        }
        7 => tar = images::gzip(&images::gzip(&tar)),
        8 => {
            // Members of a gzip file, one after the other.
            let (head, rest) = tar.split_at(choices.word() % tar.len());
            tar = [images::gzip(head), images::gzip(rest), choices.bytes().to_vec()].concat();
        }
        9 => tar = images::xz(&tar),
        10 => tar = images::bzip2(&tar),
        _ => {}
    }
    tar
}
