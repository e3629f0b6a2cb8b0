//! Layers of docker archives: stored as they are, proven against the diffID in the config.
//!
//! The blob of a layer is its bytes in the archive, compressed or not. What the config promises is
//! the digest of the uncompressed layer, so that one is always computed, even when the repository
//! has the blob: an archive that pairs a config with the wrong layer is caught here or nowhere.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ocirepo_store::ingest::BlobWriter;
use ocirepo_store::{Algorithm, Digest, Hasher, Progress};

use super::carrier::Carrier;
use crate::archive::limits::BUFFER;
use crate::archive::{Member, cut_short, paths};
use crate::error::{Error, Result, escape};
use crate::source::{Bytes, HEAD, Magic, zstd_decoder};

/// How a layer is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
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

/// Brings in a layer whose diffID should be `expected`; whether it is, is for the caller to say.
pub(crate) fn bring_layer(carrier: &Carrier<'_>, member: &Member, expected: &Digest) -> Result<Layer> {
    let algorithm = expected.algorithm().unwrap_or(Algorithm::Sha256);
    let compression = compression_of(carrier, member)?;
    if compression == Compression::None {
        let digest = bring_plain(carrier, member, expected, algorithm)?;
        return Ok(Layer { diff_id: digest.clone(), digest, size: member.size, compression });
    }
    let (digest, diff_id) = bring_compressed(carrier, member, compression, algorithm)?;
    Ok(Layer { digest, size: member.size, compression, diff_id })
}

fn compression_of(carrier: &Carrier<'_>, member: &Member) -> Result<Compression> {
    let mut head = Vec::with_capacity(HEAD);
    carrier
        .content
        .open(member)?
        .take(HEAD as u64)
        .read_to_end(&mut head)
        .map_err(|error| Error::read(carrier.label(), error))?;
    match Magic::of(&head) {
        Magic::Gzip => Ok(Compression::Gzip),
        Magic::Zstd => Ok(Compression::Zstd),
        // An empty layer, or one of zeros, is a legal one.
        Magic::Plain | Magic::Empty => Ok(Compression::None),
        Magic::Xz | Magic::Bzip2 | Magic::Lz4 | Magic::Zip => {
            let reason = "it is a layer in a compression that images do not use";
            Err(Error::member(carrier.label(), &member.name, reason))
        }
    }
}

/// For an uncompressed layer, the digest of the blob is the diffID.
fn bring_plain(
    carrier: &Carrier<'_>,
    member: &Member,
    expected: &Digest,
    algorithm: Algorithm,
) -> Result<Digest> {
    if let Some(staged) = member.staged().filter(|staged| staged.digest().algorithm() == Some(algorithm)) {
        carrier.ingest.keep(staged.clone())?;
        return Ok(staged.digest().clone());
    }
    if carrier.repository().blob_size(expected)? == Some(member.size) {
        let digest = carrier.hash(member, Hasher::new(algorithm))?;
        if digest != *expected || carrier.ingest.has(&digest, member.size)? {
            return Ok(digest);
        }
    }
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

/// Reads a compressed layer once: its bytes are hashed and staged while they are inflated.
fn bring_compressed(
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
    let (sink, diff_id) = inflate(carrier, member, compression, algorithm, sink)?;
    let digest = match sink {
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
    Ok((digest, diff_id))
}

/// Where the compressed bytes go.
enum Sink {
    Nothing,
    Hash(Hasher),
    Stage(BlobWriter),
}

/// Passes on what is read, and gives it to a sink.
struct Tee<'a> {
    reader: Bytes<'a>,
    sink: Sink,
    read: u64,
    progress: &'a dyn Progress,
    failed: &'a mut Option<ocirepo_store::Error>,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        let bytes = &buffer[..read];
        match &mut self.sink {
            Sink::Nothing => {}
            Sink::Hash(hasher) => hasher.update(bytes),
            Sink::Stage(writer) => {
                if let Err(error) = writer.push(bytes) {
                    *self.failed = Some(error);
                    return Err(io::Error::other("the copy failed"));
                }
            }
        }
        self.read += read as u64;
        self.progress.advance(read as u64);
        Ok(read)
    }
}

fn inflate(
    carrier: &Carrier<'_>,
    member: &Member,
    compression: Compression,
    algorithm: Algorithm,
    sink: Sink,
) -> Result<(Sink, Digest)> {
    let mut failed = None;
    let mut hasher = Hasher::new(algorithm);
    let reader = carrier.content.open(member)?;
    let tee = Tee { reader, sink, read: 0, progress: carrier.progress, failed: &mut failed };
    let result = match compression {
        Compression::Zstd => zstd_decoder(tee).and_then(|mut decoder| {
            hash_all(&mut decoder, &mut hasher)?;
            drain(decoder.finish().into_inner())
        }),
        _ => {
            let mut decoder = MultiGzDecoder::new(BufReader::with_capacity(BUFFER, tee));
            hash_all(&mut decoder, &mut hasher).and_then(|()| drain(decoder.into_inner().into_inner()))
        }
    };
    match result {
        Ok((sink, read)) if read == member.size => Ok((sink, hasher.finish())),
        Ok((_, read)) => Err(cut_short(carrier.label(), member, read)),
        Err(error) => Err(match failed {
            Some(error) => error.into(),
            None if error.raw_os_error().is_some() => Error::read(carrier.label(), error),
            None => {
                let reason = format!("it cannot be unpacked: {}", escape(&error.to_string()));
                Error::member(carrier.label(), &member.name, reason)
            }
        }),
    }
}

fn hash_all(reader: &mut dyn Read, hasher: &mut Hasher) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A decoder may stop before the end of what is stored; the blob is all of it.
fn drain(mut tee: Tee<'_>) -> io::Result<(Sink, u64)> {
    io::copy(&mut tee, &mut io::sink())?;
    Ok((tee.sink, tee.read))
}
