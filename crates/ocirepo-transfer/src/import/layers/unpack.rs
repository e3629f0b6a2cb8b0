//! Unpacking a layer: its stored bytes go by once, and both they and the layer are hashed.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ocirepo_store::ingest::BlobWriter;
use ocirepo_store::{Algorithm, Digest, Hasher, Progress};

use super::{Compression, Origin};
use crate::archive::limits::BUFFER;
use crate::error::{Error, Result, escape};
use crate::import::carrier::Carrier;
use crate::source::{Bytes, zstd_decoder};

/// Where the stored bytes go while they are unpacked.
pub(crate) enum Sink {
    Nothing,
    Hash(Hasher),
    Stage(BlobWriter),
}

/// What came of unpacking a layer.
pub(crate) struct Unpacked {
    pub(crate) sink: Sink,
    /// The digest of the uncompressed layer.
    pub(crate) diff_id: Digest,
}

/// Unpacks a layer into `consume`, which must read all of it.
///
/// # Errors
/// When it is damaged, or as long as it should not be, and what `consume` says.
pub(crate) fn unpack(
    carrier: &Carrier<'_>,
    origin: Origin<'_>,
    compression: Compression,
    algorithm: Algorithm,
    sink: Sink,
    consume: &mut dyn FnMut(&mut (dyn Read + Send)) -> Result<()>,
) -> Result<Unpacked> {
    let mut failed = None;
    let tee =
        Tee { reader: origin.open(carrier)?, sink, read: 0, progress: carrier.progress, failed: &mut failed };
    let result = Decoder::new(tee, compression).map_err(Failure::Io).and_then(|decoder| {
        let mut layer = Hashing { decoder, hasher: Hasher::new(algorithm), failed: None };
        let consumed = consume(&mut layer);
        // An error of reading comes first: the consumer only passed it on.
        if let Some(error) = layer.failed {
            return Err(Failure::Io(error));
        }
        consumed.map_err(|error| Failure::Consumer(Box::new(error)))?;
        let (sink, read) = drain(layer.decoder.into_inner()).map_err(Failure::Io)?;
        Ok((sink, read, layer.hasher.finish()))
    });
    match result {
        Ok((sink, read, diff_id)) if read == origin.size() => Ok(Unpacked { sink, diff_id }),
        Ok((_, read, ..)) => Err(Error::BadSize {
            archive: carrier.label().to_owned(),
            member: escape(origin.name()),
            expected: origin.size(),
            found: read,
        }),
        Err(Failure::Consumer(error)) => Err(*error),
        Err(Failure::Io(error)) => Err(match failed {
            Some(error) => error.into(),
            None if error.raw_os_error().is_some() => Error::read(carrier.label(), error),
            None => {
                let reason = format!("it cannot be unpacked: {}", escape(&error.to_string()));
                Error::member(carrier.label(), origin.name(), reason)
            }
        }),
    }
}

enum Failure {
    Io(io::Error),
    Consumer(Box<Error>),
}

/// Reads a layer to its end, for the sake of its digests.
pub(crate) fn only_hash(layer: &mut (dyn Read + Send)) -> Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match layer.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Whoever unpacks has kept the error itself, and knows what to call it.
            Err(error) => return Err(Error::read("the layer", io::Error::other(error.to_string()))),
        }
    }
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

/// A decoder may stop before the end of what is stored; the blob is all of it.
fn drain(mut tee: Tee<'_>) -> io::Result<(Sink, u64)> {
    io::copy(&mut tee, &mut io::sink())?;
    Ok((tee.sink, tee.read))
}

enum Decoder<R: Read> {
    Plain(R),
    Gzip(Box<MultiGzDecoder<BufReader<R>>>),
    Zstd(zstd::stream::read::Decoder<'static, BufReader<R>>),
}

impl<R: Read> Decoder<R> {
    fn new(reader: R, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::Plain(reader),
            Compression::Gzip => {
                let buffered = BufReader::with_capacity(BUFFER, reader);
                Self::Gzip(Box::new(MultiGzDecoder::new(buffered)))
            }
            Compression::Zstd => Self::Zstd(zstd_decoder(reader)?),
        })
    }

    fn into_inner(self) -> R {
        match self {
            Self::Plain(reader) => reader,
            Self::Gzip(decoder) => decoder.into_inner().into_inner(),
            Self::Zstd(decoder) => decoder.finish().into_inner(),
        }
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

/// Hashes the uncompressed layer, and keeps the error that ended it.
struct Hashing<R: Read> {
    decoder: Decoder<R>,
    hasher: Hasher,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.decoder.read(buffer) {
            Ok(read) => {
                self.hasher.update(&buffer[..read]);
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let told = io::Error::other(error.to_string());
                self.failed = Some(error);
                Err(told)
            }
        }
    }
}
