//! Layers: stored as they are or as the user wants them, proven against the diffID in the config.
//!
//! What a config promises is the digest of the uncompressed layer. For a docker archive that one
//! is always computed, even when the repository has the blob: an archive that pairs a config with
//! the wrong layer is caught here or nowhere.

mod known;
mod origin;
mod unpack;

use ocirepo_store::graph::Replacement;
use ocirepo_store::layers::Recipe;
use ocirepo_store::{Algorithm, Digest, Hasher, Item};
use serde::Deserialize;

pub(crate) use known::Known;
pub(crate) use origin::Origin;
use unpack::Consume;
pub(crate) use unpack::{Sink, only_hash, unpack};

use super::carrier::Carrier;
use super::options::Layers;
use crate::archive::{Member, paths};
use crate::compress::{Encoding, Stopped};
use crate::error::{Error, Result, escape};

/// How a layer is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    pub(crate) fn of(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Gzip(_) => Self::Gzip,
            Encoding::Zstd(_) => Self::Zstd,
        }
    }
}

/// A layer that is part of the session.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) compression: Compression,
    /// The digest of its uncompressed content.
    pub(crate) diff_id: Digest,
}

/// How layers are to be stored, and what helps with that.
pub(crate) struct Layering<'r> {
    pub(crate) policy: Layers,
    pub(crate) allow_thin: bool,
    pub(crate) known: Known<'r>,
}

impl Layering<'_> {
    /// Brings in a layer of a docker archive whose diffID should be `expected`, if that is known
    /// beforehand. Whether it is, is for the caller to say.
    pub(crate) fn bring(
        &self,
        carrier: &Carrier<'_>,
        member: &Member,
        expected: Option<&Digest>,
    ) -> Result<Layer> {
        let algorithm = expected.and_then(Digest::algorithm).unwrap_or(Algorithm::Sha256);
        let compression = Origin::Member(member).compression(carrier)?;
        let layer = match (self.policy, expected) {
            (Layers::Encode(encoding), _) if Compression::of(encoding) != compression => {
                let origin = Origin::Member(member);
                let source = Packed { origin, compression, stored: None };
                return self.encode(carrier, &source, algorithm, expected, encoding);
            }
            (Layers::Reuse, _) => self.reuse(carrier, member, compression, algorithm, expected)?,
            _ => keep(carrier, member, compression, algorithm, expected)?,
        };
        self.known.note(&layer, None);
        Ok(layer)
    }

    /// The layer of the repository with this diffID, for an archive that does without it.
    pub(crate) fn stand_in(&self, carrier: &Carrier<'_>, diff_id: &Digest) -> Result<Option<Layer>> {
        if !self.allow_thin {
            return Ok(None);
        }
        let layer = self.known.any(carrier, diff_id)?;
        match &layer {
            Some(held) if carrier.ingest.has(&held.digest, held.size)? => Ok(layer),
            _ => Ok(None),
        }
    }

    /// Uses the blob that the repository has for the layer, once the archive's is seen to be the same.
    fn reuse(
        &self,
        carrier: &Carrier<'_>,
        member: &Member,
        compression: Compression,
        algorithm: Algorithm,
        expected: Option<&Digest>,
    ) -> Result<Layer> {
        let keep = || keep(carrier, member, compression, algorithm, expected);
        let held = expected.and_then(|expected| self.known.compressed(carrier, expected));
        // Without an expectation, only what comes out tells which layer to look for.
        if expected.is_some() && held.is_none() {
            return keep();
        }
        let sink = Sink::Hash(Hasher::new(Algorithm::Sha256));
        let unpacked = unpack(carrier, Origin::Member(member), compression, algorithm, sink, &mut only_hash)?;
        if compression != Compression::None
            && let Sink::Hash(hasher) = unpacked.sink
            && let own = hasher.finish()
            && carrier.ingest.has(&own, member.size)?
        {
            return Ok(Layer { digest: own, size: member.size, compression, diff_id: unpacked.diff_id });
        }
        if expected.is_some_and(|expected| unpacked.diff_id != *expected) {
            return keep();
        }
        match held.or_else(|| self.known.compressed(carrier, &unpacked.diff_id)) {
            Some(held) if carrier.ingest.has(&held.digest, held.size)? => Ok(held),
            _ => keep(),
        }
    }

    /// Brings a layer in under another compression. Whether it is the layer that was `expected` is
    /// for the caller to say.
    ///
    /// # Errors
    /// When its stored bytes are not what they should be, and when it cannot be unpacked or written.
    pub(crate) fn encode(
        &self,
        carrier: &Carrier<'_>,
        source: &Packed<'_>,
        algorithm: Algorithm,
        expected: Option<&Digest>,
        encoding: Encoding,
    ) -> Result<Layer> {
        let recipe: Option<Recipe> = encoding.recipe().parse().ok();
        let made = recipe.as_ref().zip(expected);
        let made = made.and_then(|(recipe, diff_id)| self.known.made_by(diff_id, recipe));
        let compression = Compression::of(encoding);
        if let Some((digest, size)) = made {
            let diff_id = source.unpack(carrier, algorithm, &mut only_hash)?;
            if Some(&diff_id) != expected || carrier.ingest.has(&digest, size)? {
                return Ok(Layer { digest, size, compression, diff_id });
            }
        }
        let mut writer = carrier.ingest.writer(Algorithm::Sha256)?;
        let diff_id = source.unpack(carrier, algorithm, &mut |layer| {
            carrier.encoder.encode(layer, encoding, &mut |bytes| writer.push(bytes)).map_err(|stopped| {
                match stopped {
                    Stopped::Sink(error) => error.into(),
                    Stopped::Reader(error) | Stopped::Encoder(error) => Error::read(carrier.label(), error),
                }
            })
        })?;
        let staged = writer.finish()?;
        let layer = Layer { digest: staged.digest().clone(), size: staged.size(), compression, diff_id };
        carrier.ingest.keep(staged)?;
        self.known.note(&layer, recipe);
        Ok(layer)
    }
}

/// A layer as it is stored, and what its stored bytes have to be.
pub(crate) struct Packed<'m> {
    pub(crate) origin: Origin<'m>,
    pub(crate) compression: Compression,
    /// The digest that the stored bytes must have; `None` where that does not matter.
    pub(crate) stored: Option<&'m Digest>,
}

impl Packed<'_> {
    /// Unpacks the layer into `consume`; its diffID.
    ///
    /// # Errors
    /// Those of [`unpack`], and when the stored bytes are not what they should be.
    pub(crate) fn unpack(
        &self,
        carrier: &Carrier<'_>,
        algorithm: Algorithm,
        consume: Consume<'_>,
    ) -> Result<Digest> {
        let unproven = self.stored.filter(|digest| self.origin.known_digest() != Some(digest));
        let sink = match unproven {
            Some(digest) => Sink::Hash(Hasher::new(digest.algorithm().unwrap_or(Algorithm::Sha256))),
            None => Sink::Nothing,
        };
        let unpacked = unpack(carrier, self.origin, self.compression, algorithm, sink, consume)?;
        if let (Some(expected), Sink::Hash(hasher)) = (unproven, unpacked.sink)
            && let found = hasher.finish()
            && found != *expected
        {
            return Err(Error::BadBlob {
                archive: carrier.label().to_owned(),
                member: escape(self.origin.name()),
                expected: expected.clone(),
                found,
            });
        }
        Ok(unpacked.diff_id)
    }
}

/// Brings a layer in as it is stored.
fn keep(
    carrier: &Carrier<'_>,
    member: &Member,
    compression: Compression,
    algorithm: Algorithm,
    expected: Option<&Digest>,
) -> Result<Layer> {
    if compression == Compression::None {
        let digest = keep_plain(carrier, member, expected, algorithm)?;
        return Ok(Layer { diff_id: digest.clone(), digest, size: member.size, compression });
    }
    let (digest, diff_id) = keep_compressed(carrier, member, compression, algorithm)?;
    Ok(Layer { digest, size: member.size, compression, diff_id })
}

/// For an uncompressed layer, the digest of the blob is the diffID.
fn keep_plain(
    carrier: &Carrier<'_>,
    member: &Member,
    expected: Option<&Digest>,
    algorithm: Algorithm,
) -> Result<Digest> {
    if let Some(staged) = member.staged().filter(|staged| staged.digest().algorithm() == Some(algorithm)) {
        carrier.progress.advance(member.size);
        carrier.ingest.keep(staged.clone())?;
        return Ok(staged.digest().clone());
    }
    if let Some(expected) = expected
        && carrier.repository().blob_size(expected)? == Some(member.size)
    {
        let digest = carrier.hash(member, algorithm)?;
        if digest != *expected || carrier.ingest.has(&digest, member.size)? {
            return Ok(digest);
        }
    }
    let _item = Item::begin(carrier.progress, &member.name);
    let mut writer = carrier.ingest.writer(algorithm)?;
    crate::archive::pour(carrier.content, member, &mut |chunk| {
        carrier.progress.advance(chunk.len() as u64);
        Ok(writer.push(chunk)?)
    })?;
    let staged = writer.finish()?;
    let digest = staged.digest().clone();
    carrier.ingest.keep(staged)?;
    Ok(digest)
}

/// Reads a compressed layer once: its bytes are hashed and staged while they are unpacked.
fn keep_compressed(
    carrier: &Carrier<'_>,
    member: &Member,
    compression: Compression,
    algorithm: Algorithm,
) -> Result<(Digest, Digest)> {
    let known = member.known_digest().cloned();
    let suggested = known.clone().or_else(|| paths::suggested_digest(&member.name));
    let is_held = match &suggested {
        Some(digest) => carrier.repository().blob_size(digest)? == Some(member.size),
        None => false,
    };
    let sink = match (&known, is_held) {
        (Some(_), _) => Sink::Nothing,
        (None, true) => Sink::Hash(Hasher::new(Algorithm::Sha256)),
        (None, false) => Sink::Stage(carrier.ingest.writer(Algorithm::Sha256)?),
    };
    let unpacked = unpack(carrier, Origin::Member(member), compression, algorithm, sink, &mut only_hash)?;
    let digest = match unpacked.sink {
        Sink::Nothing => known.expect("nothing is computed only for a digest that is known"),
        Sink::Hash(hasher) => hasher.finish(),
        Sink::Stage(writer) => {
            let staged = writer.finish()?;
            let digest = staged.digest().clone();
            carrier.ingest.keep(staged)?;
            digest
        }
    };
    if let Some(staged) = member.staged() {
        carrier.ingest.keep(staged.clone())?;
    }
    if !carrier.ingest.has(&digest, member.size)? {
        // The name suggested a blob that this is not; a second look at the content is the price.
        carrier.bring(&digest, member.size, member)?;
    }
    Ok((digest, unpacked.diff_id))
}

/// The media types of a layer in the three compressions, in the manner of OCI and of docker.
const OCI: [&str; 3] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
];
const DOCKER: [&str; 3] = [
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
];

/// The media type of a layer in another compression; `None` when `media_type` is not that of a
/// plain layer: one that is encrypted, or not to be distributed, or no layer of a file system.
pub(crate) fn media_type_in(media_type: &str, compression: Compression) -> Option<&'static str> {
    let family = [OCI, DOCKER].into_iter().find(|family| family.contains(&media_type))?;
    Some(match compression {
        Compression::None => family[0],
        Compression::Gzip => family[1],
        Compression::Zstd => family[2],
    })
}

impl Layer {
    /// The layer under the descriptor of another encoding of it.
    pub(crate) fn replacing(&self, media_type: &str) -> Option<Replacement> {
        Some(Replacement {
            media_type: media_type_in(media_type, self.compression)?.to_owned(),
            digest: self.digest.clone(),
            size: self.size,
        })
    }
}

/// The `rootfs.diff_ids` of a config; a config without them is one of an image without layers.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn diff_ids(config: &[u8]) -> Result<Vec<Digest>, String> {
    #[derive(Deserialize)]
    struct Config {
        rootfs: Option<RootFs>,
    }
    #[derive(Deserialize)]
    struct RootFs {
        diff_ids: Option<Vec<String>>,
    }
    let fail = |error: &dyn std::fmt::Display| format!("it is not usable as a config: {error}");
    ocirepo_store::index::check_json(config).map_err(|error| fail(&error))?;
    let config: Config = serde_json::from_slice(config).map_err(|error| fail(&error))?;
    let texts = config.rootfs.and_then(|rootfs| rootfs.diff_ids).unwrap_or_default();
    texts.iter().map(|text| text.parse().map_err(|error| format!("{error}"))).collect()
}

/// The error of a layer that is not what the config of its image says.
pub(crate) fn bad_layer(
    carrier: &Carrier<'_>,
    image: &str,
    layer: &str,
    expected: &Digest,
    found: &Digest,
) -> Error {
    Error::BadLayer {
        archive: carrier.label().to_owned(),
        image: image.to_owned(),
        member: escape(layer),
        expected: expected.clone(),
        found: found.clone(),
    }
}
