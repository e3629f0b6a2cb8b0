//! Manifests for images that come without one.
//!
//! Neither a docker archive nor an archive of docker before 1.10 has a registry manifest. The one
//! that is made here is compact JSON with a fixed order of keys, the config and the layers as they
//! are stored, and the media types of the image-spec, which is byte for byte what docker 26 and
//! later write into their own archives: one image saved by different dockers keeps one digest.

use oci_spec::image::{Descriptor, DescriptorBuilder, ImageManifestBuilder, MediaType};
use ocirepo_store::Digest;
use ocirepo_store::graph::Platform;
use ocirepo_store::index::Entry;
use ocirepo_store::name::Name;

use super::carrier::Carrier;
use super::join::check_size;
use super::layers::{Compression, Layer};
use super::naming::Root;
use crate::error::Result;

/// An image whose config and layers are part of the session already.
pub(crate) struct Parts<'a> {
    /// How to call it in messages.
    pub(crate) label: &'a str,
    pub(crate) config: &'a Digest,
    pub(crate) config_size: u64,
    pub(crate) layers: Vec<Descriptor>,
    pub(crate) platform: Option<&'a Platform>,
    pub(crate) names: &'a [Name],
    /// Where the image stands in the source, from 0.
    pub(crate) position: usize,
    pub(crate) warnings: &'a [String],
    /// The format it came in.
    pub(crate) format: &'static str,
}

/// Makes the manifest of an image.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn root(carrier: &Carrier<'_>, parts: Parts<'_>) -> Result<Root> {
    let Parts { label, config, config_size, layers, platform, names, position, warnings, format } = parts;
    let manifest =
        manifest(config, config_size, layers).map_err(|reason| carrier.bad_image(label, reason))?;
    check_size(&manifest).map_err(|reason| carrier.bad_image(label, reason))?;
    let digest = carrier.ingest.put_bytes(&manifest)?;
    let media_type = MediaType::ImageManifest.to_string();
    Ok(Root {
        entry: Entry::for_descriptor(&media_type, &digest, manifest.len() as u64, platform),
        digest,
        position,
        names: names.to_vec(),
        subject: None,
        config: Some(config.clone()),
        platform: platform.cloned(),
        children: Vec::new(),
        warnings: warnings.to_vec(),
        format,
    })
}

/// The descriptor of a layer.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn describe(layer: &Layer) -> Result<Descriptor, String> {
    let media_type = match layer.compression {
        Compression::None => MediaType::ImageLayer,
        Compression::Gzip => MediaType::ImageLayerGzip,
        Compression::Zstd => MediaType::ImageLayerZstd,
    };
    descriptor(media_type, &layer.digest, layer.size, Vec::new())
}

/// The descriptor of a layer that is here, but must not be distributed.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn describe_foreign(layer: &Layer) -> Result<Descriptor, String> {
    let media_type = match layer.compression {
        Compression::None => MediaType::ImageLayerNonDistributable,
        Compression::Gzip => MediaType::ImageLayerNonDistributableGzip,
        Compression::Zstd => MediaType::ImageLayerNonDistributableZstd,
    };
    descriptor(media_type, &layer.digest, layer.size, Vec::new())
}

/// A descriptor as it stands in a manifest.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn descriptor(
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
///
/// # Errors
/// What is wrong with its parts.
pub(crate) fn manifest(config: &Digest, size: u64, layers: Vec<Descriptor>) -> Result<Vec<u8>, String> {
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
}
