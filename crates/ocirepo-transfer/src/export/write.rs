//! Writing what was planned: in one pass, without a copy on the side, every blob proven on its way.
//!
//! Reading and hashing go on while what was read before is written.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;

use ocirepo_store::blob::VerifiedReader;
use ocirepo_store::{Algorithm, Digest, Hasher, Item, Progress};

use super::docker;
use super::medium::Medium;
use super::member::{Layer, Member, Source};
use super::tar::{self, Kind};
use crate::compress::{Encoding, Stopped};
use crate::error::{Error, Result};
use crate::import::carrier::Carrier;
use crate::source::widen;

/// The size of a piece that is handed on to be written, in bytes.
const PIECE: usize = 1 << 20;
/// So many pieces wait to be written.
const WAITING: usize = 4;

/// What is carried from one volume to the next, and from one member.
#[derive(Default)]
pub(super) struct State {
    /// The blobs of which more pieces are to come.
    cut: HashMap<Digest, VerifiedReader<File>>,
    /// The checksums of the archive so far, if it has any.
    sums: Option<String>,
}

/// Writes an archive.
///
/// # Errors
/// When a blob is not what it should be, or `out` refuses.
pub(super) fn archive(
    carrier: &Carrier<'_>,
    members: &[Member],
    state: &mut State,
    out: &mut dyn Medium,
    label: &str,
    progress: &dyn Progress,
) -> Result<()> {
    let has_sums = members.iter().any(|member| matches!(member.source, Source::Sums));
    state.sums = has_sums.then(String::new);
    pump(out, label, |sink| {
        for member in members {
            write(carrier, member, state, sink, label, progress)?;
        }
        sink.write_all(&tar::END).map_err(|error| refused(label, error))
    })
}

/// Writes an archive compressed.
///
/// # Errors
/// Those of [`archive`].
pub(super) fn compressed(
    carrier: &Carrier<'_>,
    members: &[Member],
    encoding: Encoding,
    out: &mut (dyn Write + Send),
    label: &str,
    progress: &dyn Progress,
) -> Result<()> {
    let (mut reader, mut writer) = io::pipe().map_err(|error| refused(label, error))?;
    widen(&reader);
    let jobs = carrier.repository().jobs();
    thread::scope(|scope| {
        let encoder = scope.spawn(move || {
            carrier.encoder.encode(&mut reader, encoding, jobs, &mut |bytes| out.write_all(bytes)).map_err(
                |stopped| match stopped {
                    Stopped::Sink(error) | Stopped::Reader(error) | Stopped::Encoder(error) => error,
                },
            )
        });
        let written = archive(carrier, members, &mut State::default(), &mut writer, label, progress);
        drop(writer);
        match encoder.join() {
            // What stopped the encoder comes before what noticed that it had stopped.
            Ok(Err(error)) => Err(refused(label, error)),
            Ok(Ok(())) => written,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn refused(label: &str, source: io::Error) -> Error {
    Error::Write { output: label.to_owned(), source }
}

fn write(
    carrier: &Carrier<'_>,
    member: &Member,
    state: &mut State,
    out: &mut Sink<'_>,
    label: &str,
    progress: &dyn Progress,
) -> Result<()> {
    let refused = |error| refused(label, error);
    if let Source::Late(layer) = &member.source {
        return write_late(carrier, &member.name, layer, out, label);
    }
    let header = tar::header(&member.name, member.kind()).map_err(refused)?;
    out.write_all(&header).map_err(refused)?;
    let _item = member.is_file().then(|| Item::begin(progress, &member.name));
    let State { cut, sums } = state;
    let mut hasher = sums.as_ref().filter(|_| !is_named_by_sha256(member)).map(|_| sha256());
    // What is unpacked is counted as it is stored.
    let is_unpacked = matches!(member.source, Source::Layer(_));
    let mut give = |bytes: &[u8]| {
        if let Some(hasher) = &mut hasher {
            hasher.update(bytes);
        }
        if !is_unpacked {
            progress.advance(bytes.len() as u64);
        }
        out.write_all(bytes).map_err(refused)
    };
    match &member.source {
        Source::Folder | Source::Link(_) | Source::Late(_) => return Ok(()),
        Source::Bytes(bytes) => give(bytes)?,
        Source::Blob(digest) => {
            let mut blob = carrier.repository().read_blob(digest, Some(member.size))?.hashing_beside();
            copy(digest, &mut blob, member.size, &mut give)?;
            prove(digest, &mut blob)?;
        }
        Source::Part { blob: digest, of, offset } => {
            let mut blob = match cut.remove(digest) {
                Some(blob) => blob,
                None => carrier.repository().read_blob(digest, Some(*of))?.hashing_beside(),
            };
            copy(digest, &mut blob, member.size, &mut give)?;
            if offset + member.size == *of {
                prove(digest, &mut blob)?;
            } else {
                cut.insert(digest.clone(), blob);
            }
        }
        Source::Layer(layer) => {
            let mut written = 0_u64;
            docker::pour(carrier, layer, &mut |bytes| {
                written += bytes.len() as u64;
                give(bytes)
            })?;
            if written != member.size {
                return Err(changed(&layer.blob));
            }
        }
        Source::Sums => give(sums.take().unwrap_or_default().as_bytes())?,
    }
    if let Some(sums) = sums {
        let sum = hasher.map_or_else(|| named(member), |hasher| hasher.finish().encoded().to_owned());
        sums.push_str(&format!("{sum}  {}\n", member.name));
    }
    tar::pad(out, member.size).map_err(refused)
}

/// Writes a layer whose size is known when it is written, and then its header.
fn write_late(
    carrier: &Carrier<'_>,
    name: &str,
    layer: &Layer,
    out: &mut Sink<'_>,
    label: &str,
) -> Result<()> {
    let refused = |error| refused(label, error);
    let begin = out.position;
    let mut room = tar::header(name, Kind::File(0)).map_err(refused)?.len();
    loop {
        out.write_all(&vec![0; room]).map_err(refused)?;
        let mut size = 0;
        docker::pour(carrier, layer, &mut |bytes| {
            size += bytes.len() as u64;
            out.write_all(bytes).map_err(refused)
        })?;
        let end = out.position;
        out.go_to(begin).map_err(refused)?;
        let header = tar::header(name, Kind::File(size)).map_err(refused)?;
        // That of a very large layer needs more room, so everything is written once more behind it.
        if header.len() > room {
            room = header.len();
            continue;
        }
        out.write_all(&header).map_err(refused)?;
        out.go_to(end).map_err(refused)?;
        return tar::pad(out, size).map_err(refused);
    }
}

fn sha256() -> Hasher {
    Hasher::new(Algorithm::Sha256)
}

/// Whether the checksum of a member is its name, so that it need not be hashed twice.
fn is_named_by_sha256(member: &Member) -> bool {
    matches!(&member.source, Source::Blob(digest) if digest.algorithm() == Some(Algorithm::Sha256))
}

fn named(member: &Member) -> String {
    match &member.source {
        Source::Blob(digest) => digest.encoded().to_owned(),
        _ => String::new(),
    }
}

fn changed(blob: &Digest) -> Error {
    Error::Blob { digest: blob.clone(), source: io::Error::other("it changed while it was read") }
}

/// Copies the next `size` bytes of a blob.
fn copy(
    digest: &Digest,
    blob: &mut impl Read,
    size: u64,
    give: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut buffer = vec![0; crate::archive::buffer_for(size)];
    let mut left = size;
    while left > 0 {
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        match blob.read(&mut buffer[..most]) {
            Ok(0) => return Err(changed(digest)),
            Ok(read) => {
                give(&buffer[..read])?;
                left -= read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::Blob { digest: digest.clone(), source: error }),
        }
    }
    Ok(())
}

/// Reads past the end of a blob, which proves it.
fn prove(digest: &Digest, blob: &mut impl Read) -> Result<()> {
    loop {
        match blob.read(&mut [0]) {
            Ok(0) => return Ok(()),
            Ok(_) => return Err(changed(digest)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::Blob { digest: digest.clone(), source: error }),
        }
    }
}

/// What another thread is to do.
enum Order {
    Write(Vec<u8>),
    GoTo(u64),
}

/// Collects what is written into pieces, for another thread to write.
struct Sink<'p> {
    piece: Vec<u8>,
    /// Where in the archive the next byte goes.
    position: u64,
    orders: &'p SyncSender<Order>,
    empty: &'p Receiver<Vec<u8>>,
}

impl Sink<'_> {
    fn order(&self, order: Order) -> io::Result<()> {
        // The other side only goes away when it failed, and then that is what is told.
        self.orders.send(order).map_err(|_| io::Error::other("writing has stopped"))
    }

    fn send(&mut self) -> io::Result<()> {
        let next = self.empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(PIECE));
        let piece = std::mem::replace(&mut self.piece, next);
        self.order(Order::Write(piece))
    }

    fn go_to(&mut self, position: u64) -> io::Result<()> {
        self.flush()?;
        self.position = position;
        self.order(Order::GoTo(position))
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        self.position += taken as u64;
        if self.piece.len() == PIECE {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() { Ok(()) } else { self.send() }
    }
}

/// Runs `work` on this thread, and writes what it gives to its sink on another.
fn pump(out: &mut dyn Medium, label: &str, work: impl FnOnce(&mut Sink<'_>) -> Result<()>) -> Result<()> {
    let (orders, received) = sync_channel::<Order>(WAITING);
    let (give_back, empty) = channel();
    thread::scope(|scope| {
        let writer = scope.spawn(move || {
            for order in received {
                match order {
                    Order::Write(mut piece) => {
                        out.write_all(&piece)?;
                        piece.clear();
                        // Nobody needs it any more when the other side is done.
                        let _ = give_back.send(piece);
                    }
                    Order::GoTo(position) => out.go_to(position)?,
                }
            }
            out.flush()
        });
        let mut sink = Sink { piece: Vec::with_capacity(PIECE), position: 0, orders: &orders, empty: &empty };
        let done = work(&mut sink);
        let done = done.and_then(|()| sink.flush().map_err(|error| refused(label, error)));
        drop(orders);
        match writer.join() {
            // What stopped the writing comes before what noticed that it had stopped.
            Ok(Err(error)) => Err(refused(label, error)),
            Ok(Ok(())) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
