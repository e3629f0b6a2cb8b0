//! Unpacking a layer: its stored bytes go by once, and both they and the layer are hashed.
//!
//! Where there are threads for it, reading, decoding and what is done with the layer go on at the same
//! time. An error or a panic of any of them ends the others.

use std::io::{self, BufRead, BufReader, Read};
use std::thread;

use flate2::bufread::MultiGzDecoder;
use ocirepo_store::ingest::BlobWriter;
use ocirepo_store::{Algorithm, Digest, Hasher, Item, Progress};

use super::{Compression, Origin};
use crate::archive::limits::BUFFER;
use crate::error::{Error, Result, escape};
use crate::import::carrier::Carrier;
use crate::source::{Ahead, Bytes, zstd_decoder};

/// A smaller layer is unpacked sooner than threads are there.
const WORTH_THREADS: u64 = 1 << 20;

/// Does something with a layer, all of which it must read.
pub(crate) type Consume<'c> = &'c mut dyn FnMut(&mut (dyn BufRead + Send)) -> Result<()>;

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
    consume: Consume<'_>,
) -> Result<Unpacked> {
    let _item = Item::begin(carrier.progress, origin.name());
    let reader = origin.open(carrier)?;
    let mut tee = Tee { reader, sink, read: 0, progress: carrier.progress, failed: None };
    let is_threaded = carrier.repository().jobs() > 1 && origin.size() >= WORTH_THREADS;
    let result = if is_threaded && compression != Compression::None {
        thread::scope(|scope| {
            let stored = Ahead::start(scope, &mut tee);
            let decoder = Decoder::new(stored, compression).map_err(Failure::Io)?;
            hash(Ahead::start(scope, decoder), algorithm, consume)
        })
    } else {
        let stored = BufReader::with_capacity(BUFFER, &mut tee);
        Decoder::new(stored, compression)
            .map_err(Failure::Io)
            .and_then(|decoder| hash(BufReader::with_capacity(BUFFER, decoder), algorithm, consume))
    };
    let Tee { sink, read, failed, .. } = tee;
    match result {
        Ok(diff_id) if read == origin.size() => Ok(Unpacked { sink, diff_id }),
        Ok(_) => Err(Error::BadSize {
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

/// Has a layer consumed; its digest.
fn hash(layer: impl BufRead + Send, algorithm: Algorithm, consume: Consume<'_>) -> Result<Digest, Failure> {
    let mut layer = Hashing { layer, hasher: Hasher::new(algorithm), failed: None };
    let consumed = consume(&mut layer);
    // An error of reading comes first: the consumer only passed it on.
    if let Some(error) = layer.failed {
        return Err(Failure::Io(error));
    }
    consumed.map_err(|error| Failure::Consumer(Box::new(error)))?;
    Ok(layer.hasher.finish())
}

enum Failure {
    Io(io::Error),
    Consumer(Box<Error>),
}

/// Reads a layer to its end, for the sake of its digests.
pub(crate) fn only_hash(layer: &mut (dyn BufRead + Send)) -> Result<()> {
    loop {
        match layer.fill_buf().map(<[u8]>::len) {
            Ok(0) => return Ok(()),
            Ok(read) => layer.consume(read),
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
    failed: Option<ocirepo_store::Error>,
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
                    self.failed = Some(error);
                    return Err(io::Error::other("the copy failed"));
                }
            }
        }
        self.read += read as u64;
        self.progress.advance(read as u64);
        Ok(read)
    }
}

/// Gives a layer uncompressed. A decoder may stop before the end of what is stored; the blob is all of
/// it, so the rest is read too.
enum Decoder<R: BufRead> {
    Plain(R),
    Gzip(Box<MultiGzDecoder<R>>),
    Zstd(zstd::stream::read::Decoder<'static, R>),
}

impl<R: BufRead> Decoder<R> {
    fn new(stored: R, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::Plain(stored),
            Compression::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(stored))),
            Compression::Zstd => Self::Zstd(zstd_decoder(stored)?),
        })
    }

    fn stored(&mut self) -> &mut R {
        match self {
            Self::Plain(stored) => stored,
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
        }
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self {
            Self::Plain(stored) => stored.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }?;
        if read == 0 && !buffer.is_empty() {
            io::copy(self.stored(), &mut io::sink())?;
        }
        Ok(read)
    }
}

/// Hashes the uncompressed layer, and keeps the error that ended it.
struct Hashing<R> {
    layer: R,
    hasher: Hasher,
    failed: Option<io::Error>,
}

impl<R: BufRead> BufRead for Hashing<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        // Asked for twice, because an error that is kept cannot be given away as well.
        if let Err(error) = self.layer.fill_buf()
            && error.kind() != io::ErrorKind::Interrupted
        {
            let told = io::Error::other(error.to_string());
            self.failed = Some(error);
            return Err(told);
        }
        self.layer.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Ok(content) = self.layer.fill_buf() {
            self.hasher.update(&content[..amount]);
        }
        self.layer.consume(amount);
    }
}

impl<R: BufRead> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}
