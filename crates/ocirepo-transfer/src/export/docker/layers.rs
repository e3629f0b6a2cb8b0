//! Layers in the form that a docker archive is to have them in.
//!
//! The size of a member stands before it, so a layer that changes its form is made twice: here to
//! learn how large it gets, and again when it is written. That costs time and no space. Only where a
//! layer is unpacked into a file it is made once: its size is filled in when it is known.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead};

use ocirepo_store::{Algorithm, Digest, Hasher, Progress, Unit};

use super::Image;
use crate::compress::{Encoding, Stopped};
use crate::error::{Error, Result};
use crate::export::member::{Layer, Member, Source};
use crate::import::carrier::Carrier;
use crate::import::layers::{Compression, Origin, Sink, bad_layer, unpack};

/// How layers are compressed in a docker archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
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

/// The layers in their new form. Those that are unpacked are not opened: nobody knows their sizes yet.
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
    let layers = wanted(carrier, images, stacks, form)?;
    let prepared: Result<Vec<Member>> = match form {
        LayerForm::Raw => layers.iter().map(|layer| raw(carrier, layer)).collect(),
        LayerForm::Encoded(encoding) => {
            measuring(progress, layers.iter().filter(|layer| layer.changes()), || {
                carrier.on_each(&layers, |layer| layer.stored, |layer| encoded(carrier, layer, encoding))
            })
        }
    };
    let mut members: BTreeMap<String, Member> = BTreeMap::new();
    let mut names = HashMap::new();
    for (layer, member) in layers.into_iter().zip(prepared?) {
        names.insert(layer.blob, member.name.clone());
        members.insert(member.name.clone(), member);
    }
    Ok(Prepared { members: members.into_values().collect(), names })
}

/// Every layer once.
fn wanted(
    carrier: &Carrier<'_>,
    images: &[Image],
    stacks: &[Vec<Digest>],
    form: LayerForm,
) -> Result<Vec<Layer>> {
    let mut wanted: BTreeMap<Digest, Layer> = BTreeMap::new();
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
                image: image.label.clone(),
            };
            if let Some(known) = wanted.get(digest)
                && known.diff_id != layer.diff_id
            {
                let other = &known.image;
                return Err(image.refuse(format!("its config and that of {other} disagree on {digest}")));
            }
            wanted.insert(digest.clone(), layer);
        }
    }
    Ok(wanted.into_values().collect())
}

/// A layer that is not to be compressed.
fn raw(carrier: &Carrier<'_>, layer: &Layer) -> Result<Member> {
    let name = format!("{}.tar", layer.diff_id.encoded());
    if layer.changes() {
        return Ok(Member { name, size: 0, source: Source::Late(layer.clone()) });
    }
    if layer.blob != layer.diff_id && layer.blob.algorithm() == layer.diff_id.algorithm() {
        return Err(bad_layer(carrier, &layer.image, layer.blob.as_str(), &layer.diff_id, &layer.blob));
    }
    Ok(Member { name, size: layer.stored, source: Source::Blob(layer.blob.clone()) })
}

/// A layer that is to be compressed.
fn encoded(carrier: &Carrier<'_>, layer: &Layer, encoding: Encoding) -> Result<Member> {
    let suffix = match Compression::of(encoding) {
        Compression::Gzip => "tar.gz",
        Compression::Zstd => "tar.zst",
        Compression::None => "tar",
    };
    if !layer.changes() {
        let name = format!("{}.{suffix}", layer.blob.encoded());
        return Ok(Member { name, size: layer.stored, source: Source::Blob(layer.blob.clone()) });
    }
    let (mut size, mut hasher) = (0, Hasher::new(Algorithm::Sha256));
    pour(carrier, layer, &mut |bytes| {
        size += bytes.len() as u64;
        hasher.update(bytes);
        Ok(())
    })?;
    let name = format!("{}.{suffix}", hasher.finish().encoded());
    Ok(Member { name, size, source: Source::Layer(layer.clone()) })
}

/// The same members with the sizes of all layers, for what is written from its beginning to its end.
///
/// # Errors
/// Those of [`pour`].
pub(in crate::export) fn measured(
    carrier: &Carrier<'_>,
    members: &[Member],
    progress: &dyn Progress,
) -> Result<Vec<Member>> {
    let late = members.iter().filter_map(Member::late);
    measuring(progress, late, || {
        let stored = |member: &Member| member.late().map_or(0, |layer| layer.stored);
        carrier.on_each(members, stored, |member| {
            let Some(layer) = member.late() else { return Ok(member.clone()) };
            let mut size = 0;
            pour(carrier, layer, &mut |bytes| {
                size += bytes.len() as u64;
                Ok(())
            })?;
            Ok(Member { name: member.name.clone(), size, source: Source::Layer(layer.clone()) })
        })
    })
}

fn measuring<'l, T>(
    progress: &dyn Progress,
    layers: impl Iterator<Item = &'l Layer>,
    work: impl FnOnce() -> T,
) -> T {
    progress.begin("measuring layers", Unit::Bytes, Some(layers.map(|layer| layer.stored).sum()));
    let done = work();
    progress.end();
    done
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
    sink: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let origin = Origin::Repository(&layer.blob, layer.stored);
    let algorithm = layer.diff_id.algorithm().unwrap_or(Algorithm::Sha256);
    let unpacked =
        unpack(carrier, origin, layer.compression, algorithm, Sink::Nothing, &mut |content| match layer
            .encoding
        {
            None => copy(carrier, content, sink),
            Some(encoding) => {
                carrier.encoder.encode(content, encoding, sink).map_err(|stopped| match stopped {
                    Stopped::Sink(error) => error,
                    Stopped::Reader(error) | Stopped::Encoder(error) => Error::read(carrier.label(), error),
                })
            }
        })?;
    if unpacked.diff_id != layer.diff_id {
        let name = layer.blob.as_str();
        return Err(bad_layer(carrier, &layer.image, name, &layer.diff_id, &unpacked.diff_id));
    }
    Ok(())
}

fn copy(
    carrier: &Carrier<'_>,
    content: &mut (dyn BufRead + Send),
    sink: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    loop {
        let read = match content.fill_buf() {
            Ok([]) => return Ok(()),
            Ok(bytes) => {
                sink(bytes)?;
                bytes.len()
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::read(carrier.label(), error)),
        };
        content.consume(read);
    }
}
