//! Layers in the form that a docker archive is to have them in.
//!
//! The size of a member stands before it, so a layer that changes its form is made twice: here to
//! learn how large it gets, and again when it is written. That costs time and no space.

use std::collections::{BTreeMap, HashMap};

use ocirepo_store::{Algorithm, Digest, Hasher, Progress, Unit};

use super::Image;
use crate::compress::{self, Encoding, Stopped};
use crate::error::{Error, Result};
use crate::export::member::{Layer, Member, Source};
use crate::import::carrier::Carrier;
use crate::import::layers::{Compression, Origin, Sink, bad_layer, unpack};

/// How layers are compressed in a docker archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LayerForm {
    /// Not at all, as `docker save` has them.
    #[default]
    Raw,
    /// By an encoder, unless they are stored in that compression.
    Encoded(Encoding),
}

/// The layers of some images.
pub(super) struct Prepared {
    /// Each once, by name.
    pub(super) members: Vec<Member>,
    /// What the member of a blob is called.
    pub(super) names: HashMap<Digest, String>,
}

/// Finds out how large every layer is in its new form.
///
/// # Errors
/// When a layer is not there, or is not what the config of its image says.
pub(super) fn prepare(
    carrier: &Carrier<'_>,
    images: &[Image],
    stacks: &[Vec<Digest>],
    form: LayerForm,
    progress: &dyn Progress,
) -> Result<Prepared> {
    let mut wanted: BTreeMap<Digest, (Layer, &Image)> = BTreeMap::new();
    for (image, diff_ids) in images.iter().zip(stacks) {
        for (layer, diff_id) in image.layers.iter().zip(diff_ids) {
            let digest = &layer.digest;
            let stored =
                carrier.repository().blob_size(digest)?.ok_or_else(|| image.lacks(carrier, digest))?;
            let layer = Layer {
                blob: digest.clone(),
                stored,
                compression: Origin::Repository(digest, stored).compression(carrier)?,
                diff_id: diff_id.clone(),
                encoding: match form {
                    LayerForm::Raw => None,
                    LayerForm::Encoded(encoding) => Some(encoding),
                },
            };
            if let Some((known, other)) = wanted.get(digest)
                && known.diff_id != layer.diff_id
            {
                let other = &other.label;
                return Err(image.refuse(format!("its config and that of {other} disagree on {digest}")));
            }
            wanted.insert(digest.clone(), (layer, image));
        }
    }
    let layers: Vec<(Layer, &Image)> = wanted.into_values().collect();
    let total = layers.iter().filter(|(layer, _)| layer.changes()).map(|(layer, _)| layer.stored).sum();
    progress.begin("measuring layers", Unit::Bytes, Some(total));
    let measured = match form {
        LayerForm::Raw => carrier.on_each(
            &layers,
            |(layer, _)| layer.stored,
            |(layer, image)| measure(carrier, layer, image),
        ),
        // An encoder is parallel in itself.
        LayerForm::Encoded(_) => layers.iter().map(|(layer, image)| measure(carrier, layer, image)).collect(),
    };
    progress.end();

    let mut members: BTreeMap<String, Member> = BTreeMap::new();
    let mut names = HashMap::new();
    for ((layer, _), (size, name)) in layers.into_iter().zip(measured?) {
        names.insert(layer.blob.clone(), name.clone());
        let source = if layer.changes() { Source::Layer(layer) } else { Source::Blob(layer.blob) };
        members.insert(name.clone(), Member { name, size, source });
    }
    Ok(Prepared { members: members.into_values().collect(), names })
}

/// The size of a layer in its new form, and what its member is called.
fn measure(carrier: &Carrier<'_>, layer: &Layer, image: &Image) -> Result<(u64, String)> {
    let raw = format!("{}.tar", layer.diff_id.encoded());
    let Some(encoding) = layer.encoding else {
        if !layer.changes() {
            if layer.blob != layer.diff_id && layer.blob.algorithm() == layer.diff_id.algorithm() {
                let name = layer.blob.as_str();
                return Err(bad_layer(carrier, &image.label, name, &layer.diff_id, &layer.blob));
            }
            return Ok((layer.stored, raw));
        }
        let mut size = 0;
        pour(carrier, layer, &image.label, &mut |bytes| {
            size += bytes.len() as u64;
            Ok(())
        })?;
        return Ok((size, raw));
    };
    let suffix = match Compression::of(encoding) {
        Compression::Gzip => "tar.gz",
        Compression::Zstd => "tar.zst",
        Compression::None => "tar",
    };
    if !layer.changes() {
        return Ok((layer.stored, format!("{}.{suffix}", layer.blob.encoded())));
    }
    let (mut size, mut hasher) = (0, Hasher::new(Algorithm::Sha256));
    pour(carrier, layer, &image.label, &mut |bytes| {
        size += bytes.len() as u64;
        hasher.update(bytes);
        Ok(())
    })?;
    Ok((size, format!("{}.{suffix}", hasher.finish().encoded())))
}

impl Layer {
    /// Whether it is stored in another form than it is to have.
    pub(super) fn changes(&self) -> bool {
        self.compression != self.encoding.map_or(Compression::None, Compression::of)
    }
}

/// Gives a layer in its new form to `sink`. Both what is stored and what it unpacks to are proven.
///
/// # Errors
/// When it is damaged, or is not what the config of its image says, and what `sink` says.
pub(in crate::export) fn pour(
    carrier: &Carrier<'_>,
    layer: &Layer,
    image: &str,
    sink: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let origin = Origin::Repository(&layer.blob, layer.stored);
    let algorithm = layer.diff_id.algorithm().unwrap_or(Algorithm::Sha256);
    let jobs = carrier.repository().jobs();
    let unpacked =
        unpack(carrier, origin, layer.compression, algorithm, Sink::Nothing, &mut |content| match layer
            .encoding
        {
            None => copy(carrier, content, sink),
            Some(encoding) => {
                compress::encode(content, encoding, jobs, sink).map_err(|stopped| match stopped {
                    Stopped::Sink(error) => error,
                    Stopped::Reader(error) | Stopped::Encoder(error) => Error::read(carrier.label(), error),
                })
            }
        })?;
    if unpacked.diff_id != layer.diff_id {
        let name = layer.blob.as_str();
        return Err(bad_layer(carrier, image, name, &layer.diff_id, &unpacked.diff_id));
    }
    Ok(())
}

fn copy(
    carrier: &Carrier<'_>,
    content: &mut (dyn std::io::Read + Send),
    sink: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut buffer = vec![0; crate::archive::limits::BUFFER];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => sink(&buffer[..read])?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::read(carrier.label(), error)),
        }
    }
}
