//! Docker archives: `manifest.json` and what it names.
//!
//! Such an archive has no registry manifest. The one that is made here is compact JSON with a
//! fixed order of keys, the config and the layers as they are stored, and the media types of the
//! image-spec, which is byte for byte what docker 26 and later write into their own archives: one
//! image saved by different dockers keeps one digest.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use oci_spec::image::{Descriptor, DescriptorBuilder, ImageManifestBuilder, MediaType};
use ocirepo_store::graph::{Platform, is_nondistributable};
use ocirepo_store::index::{Entry, check_json};
use ocirepo_store::name::Name;
use ocirepo_store::{Digest, Unit};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::carrier::Carrier;
use super::layers::{Compression, Layer, bring_layer};
use super::naming::{self, Root};
use super::task::Task;
use crate::archive::Member;
use crate::archive::limits::MAX_CONFIG;
use crate::error::{Error, Result, escape};

/// What a docker archive is called in results.
const FORMAT: &str = "docker archive";

/// One item of `manifest.json`.
#[derive(Debug, Deserialize)]
pub(crate) struct Item {
    #[serde(rename = "Config")]
    config: Option<String>,
    #[serde(rename = "RepoTags")]
    repo_tags: Option<Vec<String>>,
    #[serde(rename = "Layers")]
    layers: Option<Vec<String>>,
    /// diffID to the descriptor under which a registry has the layer. Later dockers list every
    /// layer here; only those that must not be distributed mean anything.
    #[serde(rename = "LayerSources")]
    sources: Option<BTreeMap<String, Source>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Source {
    #[serde(rename = "mediaType", default)]
    media_type: String,
    digest: Option<String>,
    size: Option<u64>,
    urls: Option<Vec<String>>,
}

/// What a `manifest.json` turned out to be.
#[derive(Debug)]
pub(crate) enum ManifestJson {
    Docker(Vec<Item>),
    Null,
    /// The manifest of a `dir:` directory.
    RegistryManifest,
    Imgpkg,
}

/// Reads a `manifest.json`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(bytes: &[u8]) -> Result<ManifestJson, String> {
    check_json(bytes)?;
    let raw: &RawValue = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    match raw.get().trim_start().as_bytes().first() {
        Some(b'n') => return Ok(ManifestJson::Null),
        Some(b'{') => return Ok(ManifestJson::RegistryManifest),
        _ => {}
    }
    let items: Vec<BTreeMap<String, &RawValue>> =
        serde_json::from_slice(bytes).map_err(|_| "it is not a list of images".to_owned())?;
    if items.iter().any(|item| item.contains_key("Image") || item.contains_key("ImageIndex")) {
        return Ok(ManifestJson::Imgpkg);
    }
    serde_json::from_slice(bytes).map(ManifestJson::Docker).map_err(|error| error.to_string())
}

/// The config of an image: what is needed of it.
#[derive(Debug)]
pub(crate) struct Config {
    member: Member,
    /// Its digest, whatever its member is called.
    pub(crate) digest: Digest,
    pub(crate) diff_ids: Vec<Digest>,
    platform: Option<Platform>,
}

/// An image of a docker archive, its config read.
#[derive(Debug)]
pub(crate) struct Image {
    item: Item,
    pub(crate) config: Rc<Config>,
    /// Its names, normalised.
    pub(crate) names: Vec<Name>,
    warnings: Vec<String>,
    /// How to call it in messages.
    label: String,
}

/// Reads the configs that items name. Several items may name the same one.
pub(crate) fn read(carrier: &Carrier<'_>, items: Vec<Item>) -> Result<Vec<Image>> {
    let mut configs: HashMap<String, Rc<Config>> = HashMap::new();
    let mut images = Vec::with_capacity(items.len());
    for (position, item) in items.into_iter().enumerate() {
        let tags = item.repo_tags.as_deref().unwrap_or_default();
        let label = tags.first().map_or_else(|| format!("number {}", position + 1), |tag| escape(tag));
        let name = item
            .config
            .as_deref()
            .filter(|name| !name.is_empty())
            .ok_or_else(|| carrier.bad_image(&label, "manifest.json names no config for it"))?;
        let member = carrier.find(name)?.ok_or_else(|| {
            carrier.bad_image(&label, format!("its config {} is not in the archive", escape(name)))
        })?;
        let config = match configs.get(&member.name) {
            Some(config) => Rc::clone(config),
            None => {
                let own_name = member.name.clone();
                let config = Rc::new(Config::read(carrier, member, &label)?);
                configs.insert(own_name, Rc::clone(&config));
                config
            }
        };
        let (names, warnings) = naming::of_repo_tags(tags);
        images.push(Image { config, names, warnings, label, item });
    }
    Ok(images)
}

impl Config {
    fn read(carrier: &Carrier<'_>, member: Member, image: &str) -> Result<Self> {
        let bytes = carrier.read(&member, MAX_CONFIG)?;
        let diff_ids = diff_ids(&bytes)
            .map_err(|reason| Error::member(carrier.label(), &member.name, escape(&reason)))?;
        if let Some(digest) = diff_ids.iter().find(|digest| digest.algorithm().is_none()) {
            return Err(carrier.unknown_algorithm(image, digest));
        }
        Ok(Self { member, digest: Digest::sha256(&bytes), diff_ids, platform: Platform::of_config(&bytes) })
    }
}

impl Image {
    /// Makes this image stand in for entries whose manifest has the layers in the wrong order.
    pub(crate) fn replace(&mut self, names: Vec<Name>) {
        if !names.is_empty() {
            self.names = names;
        }
        let warning = "index.json lists it with its layers in the wrong order; manifest.json was followed";
        self.warnings.push(warning.to_owned());
    }

    fn layers(&self) -> &[String] {
        self.item.layers.as_deref().unwrap_or_default()
    }

    /// The descriptor of a layer that the archive may leave out.
    fn foreign(&self, diff_id: &Digest) -> Option<Descriptor> {
        let source = self.item.sources.as_ref()?.get(diff_id.as_str())?;
        let urls = source.urls.clone().unwrap_or_default();
        if urls.is_empty() && !is_nondistributable(&source.media_type) {
            return None;
        }
        let media_type = if source.media_type.ends_with("gzip") {
            MediaType::ImageLayerNonDistributableGzip
        } else if source.media_type.ends_with("zstd") {
            MediaType::ImageLayerNonDistributableZstd
        } else {
            MediaType::ImageLayerNonDistributable
        };
        let digest: Digest = source.digest.as_deref()?.parse().ok()?;
        descriptor(media_type, &digest, source.size?, urls).ok()
    }
}

/// The `rootfs.diff_ids` of a config; a config without them is one of an image without layers.
fn diff_ids(config: &[u8]) -> Result<Vec<Digest>, String> {
    #[derive(Deserialize)]
    struct Config {
        rootfs: Option<RootFs>,
    }
    #[derive(Deserialize)]
    struct RootFs {
        diff_ids: Option<Vec<String>>,
    }
    check_json(config).map_err(|error| format!("it is not usable as a config: {error}"))?;
    let config: Config =
        serde_json::from_slice(config).map_err(|error| format!("it is not usable as a config: {error}"))?;
    let texts = config.rootfs.and_then(|rootfs| rootfs.diff_ids).unwrap_or_default();
    texts.iter().map(|text| text.parse().map_err(|error| format!("{error}"))).collect()
}

/// Brings images in and makes their manifests.
pub(crate) fn import(carrier: &Carrier<'_>, images: &[Image]) -> Result<Vec<Root>> {
    if images.is_empty() {
        return Ok(Vec::new());
    }
    // A layer that several images name is read once.
    let mut members: Vec<(Member, &Digest)> = Vec::new();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut stacks: Vec<Vec<Part>> = Vec::with_capacity(images.len());
    for image in images {
        let (layers, diff_ids) = (image.layers(), &image.config.diff_ids);
        if layers.len() != diff_ids.len() {
            let reason = format!("it has {} layers, but its config lists {}", layers.len(), diff_ids.len());
            return Err(carrier.bad_image(&image.label, reason));
        }
        let mut stack = Vec::with_capacity(layers.len());
        for (name, diff_id) in layers.iter().zip(diff_ids) {
            stack.push(match (carrier.find(name)?, image.foreign(diff_id)) {
                (Some(member), _) => Part::Layer(*numbers.entry(member.name.clone()).or_insert_with(|| {
                    members.push((member, diff_id));
                    members.len() - 1
                })),
                (None, Some(foreign)) => Part::Foreign(Box::new(foreign)),
                (None, None) => {
                    let reason = format!("its layer {} is not in the archive", escape(name));
                    return Err(carrier.bad_image(&image.label, reason));
                }
            });
        }
        stacks.push(stack);
    }

    let total = members.iter().map(|(member, _)| member.size).fold(0, u64::saturating_add);
    let task = Task::begin(carrier.progress, carrier.label(), Unit::Bytes, Some(total));
    let layers = carrier.on_each(&members, |(member, diff_id)| bring_layer(carrier, member, diff_id))?;
    drop(task);

    let stacked = images.iter().zip(stacks);
    stacked
        .map(|(image, stack)| {
            let mut descriptors = Vec::with_capacity(stack.len());
            for (part, diff_id) in stack.into_iter().zip(&image.config.diff_ids) {
                descriptors.push(match part {
                    Part::Foreign(foreign) => *foreign,
                    Part::Layer(number) => {
                        let layer = &layers[number];
                        if layer.diff_id != *diff_id {
                            return Err(Error::BadLayer {
                                archive: carrier.label().to_owned(),
                                image: image.label.clone(),
                                member: escape(&members[number].0.name),
                                expected: diff_id.clone(),
                                found: layer.diff_id.clone(),
                            });
                        }
                        describe(layer).map_err(|reason| carrier.bad_image(&image.label, reason))?
                    }
                });
            }
            make_root(carrier, image, descriptors)
        })
        .collect()
}

/// A layer of an image: one that was brought in, by number, or one that is elsewhere.
enum Part {
    Layer(usize),
    Foreign(Box<Descriptor>),
}

fn make_root(carrier: &Carrier<'_>, image: &Image, layers: Vec<Descriptor>) -> Result<Root> {
    let config = &image.config;
    let manifest = manifest(&config.digest, config.member.size, layers)
        .map_err(|reason| carrier.bad_image(&image.label, reason))?;
    let bytes = carrier.read(&config.member, MAX_CONFIG)?;
    carrier.keep(&config.digest, &config.member, &bytes)?;
    let digest = carrier.ingest.put_bytes(&manifest)?;
    let media_type = MediaType::ImageManifest.to_string();
    Ok(Root {
        entry: Entry::for_descriptor(&media_type, &digest, manifest.len() as u64, config.platform.as_ref()),
        digest,
        names: image.names.clone(),
        subject: None,
        warnings: image.warnings.clone(),
        format: FORMAT,
    })
}

fn describe(layer: &Layer) -> Result<Descriptor, String> {
    let media_type = match layer.compression {
        Compression::None => MediaType::ImageLayer,
        Compression::Gzip => MediaType::ImageLayerGzip,
        Compression::Zstd => MediaType::ImageLayerZstd,
    };
    descriptor(media_type, &layer.digest, layer.size, Vec::new())
}

fn descriptor(
    media_type: MediaType,
    digest: &Digest,
    size: u64,
    urls: Vec<String>,
) -> Result<Descriptor, String> {
    let digest: oci_spec::image::Digest = digest.as_str().parse().map_err(|error| format!("{error}"))?;
    let mut builder = DescriptorBuilder::default().media_type(media_type).digest(digest).size(size);
    if !urls.is_empty() {
        builder = builder.urls(urls);
    }
    builder.build().map_err(|error| error.to_string())
}

/// The manifest of an image, in the one form it has.
fn manifest(config: &Digest, size: u64, layers: Vec<Descriptor>) -> Result<Vec<u8>, String> {
    let manifest = ImageManifestBuilder::default()
        .schema_version(2_u32)
        .media_type(MediaType::ImageManifest)
        .config(descriptor(MediaType::ImageConfig, config, size, Vec::new())?)
        .layers(layers)
        .build()
        .map_err(|error| error.to_string())?;
    serde_json::to_vec(&manifest).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_has_one_form() {
        let (config, layer) = (Digest::sha256(b"config"), Digest::sha256(b"layer"));
        let layers = vec![descriptor(MediaType::ImageLayer, &layer, 5, Vec::new()).unwrap()];
        let text = String::from_utf8(manifest(&config, 6, layers).unwrap()).unwrap();
        let expected = [
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","#,
            r#""config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":""#,
            config.as_str(),
            r#"","size":6},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":""#,
            layer.as_str(),
            r#"","size":5}]}"#,
        ];
        assert_eq!(text, expected.concat());
        assert!(
            String::from_utf8(manifest(&config, 6, Vec::new()).unwrap())
                .unwrap()
                .ends_with(",\"layers\":[]}")
        );
    }

    #[test]
    fn other_files_called_manifest_json_are_told_apart() {
        assert!(matches!(parse(b" null"), Ok(ManifestJson::Null)));
        assert!(matches!(parse(br#"{"schemaVersion":2}"#), Ok(ManifestJson::RegistryManifest)));
        assert!(matches!(parse(br#"[{"Image":{"Refs":[]}}]"#), Ok(ManifestJson::Imgpkg)));
        assert!(
            matches!(parse(br#"[{"Config":"c","Layers":null}]"#), Ok(ManifestJson::Docker(items)) if items.len() == 1)
        );
        for bad in ["", "3", "[1]", r#"[{"Config":1}]"#, r#"[{"Config":"a","Config":"b"}]"#] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
