//! Writing what was planned: in one pass, without a copy on the side, every blob proven on its way.
//!
//! Reading and hashing go on while what was read before is written.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;

use ocirepo_store::Progress;

use super::docker;
use super::member::{Member, Source};
use super::tar;
use crate::compress::{self, Encoding, Stopped};
use crate::error::{Error, Result};
use crate::import::carrier::Carrier;

/// The size of a piece that is handed on to be written, in bytes.
const PIECE: usize = 1 << 20;
/// So many pieces wait to be written.
const WAITING: usize = 4;

/// Writes an archive.
///
/// # Errors
/// When a blob is not what it should be, or `out` refuses.
pub(super) fn archive(
    carrier: &Carrier<'_>,
    members: &[Member],
    out: &mut (dyn Write + Send),
    label: &str,
    progress: &dyn Progress,
) -> Result<()> {
    pump(out, label, |sink| {
        for member in members {
            write(carrier, member, sink, label, progress)?;
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
    let jobs = carrier.repository().jobs();
    thread::scope(|scope| {
        let encoder = scope.spawn(move || {
            compress::encode(&mut reader, encoding, jobs, &mut |bytes| out.write_all(bytes)).map_err(
                |stopped| match stopped {
                    Stopped::Sink(error) | Stopped::Reader(error) | Stopped::Encoder(error) => error,
                },
            )
        });
        let written = archive(carrier, members, &mut writer, label, progress);
        if written.is_err() {
            // The encoder sees the end of its input, and what it made is thrown away with the rest.
            drop(writer);
            let _ = encoder.join();
            return written;
        }
        drop(writer);
        match encoder.join() {
            Ok(encoded) => encoded.map_err(|error| refused(label, error)),
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
    out: &mut Sink<'_>,
    label: &str,
    progress: &dyn Progress,
) -> Result<()> {
    let refused = |error| refused(label, error);
    let header = tar::header(&member.name, member.kind()).map_err(refused)?;
    out.write_all(&header).map_err(refused)?;
    match &member.source {
        Source::Folder | Source::Link(_) => return Ok(()),
        Source::Bytes(bytes) => out.write_all(bytes).map_err(refused)?,
        Source::Blob(digest) => {
            let mut blob = carrier.repository().read_blob(digest, Some(member.size))?;
            let mut buffer = vec![0; crate::archive::buffer_for(member.size)];
            loop {
                match blob.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(read) => {
                        out.write_all(&buffer[..read]).map_err(refused)?;
                        progress.advance(read as u64);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(Error::Blob { digest: digest.clone(), source: error }),
                }
            }
        }
        Source::Layer(layer) => {
            let mut written = 0_u64;
            docker::pour(carrier, layer, layer.blob.as_str(), &mut |bytes| {
                written += bytes.len() as u64;
                progress.advance(bytes.len() as u64);
                out.write_all(bytes).map_err(refused)
            })?;
            if written != member.size {
                let source = io::Error::other("it changed while it was read");
                return Err(Error::Blob { digest: layer.blob.clone(), source });
            }
        }
    }
    tar::pad(out, member.size).map_err(refused)
}

/// Collects what is written into pieces, for another thread to write.
struct Sink<'p> {
    piece: Vec<u8>,
    full: &'p SyncSender<Vec<u8>>,
    empty: &'p Receiver<Vec<u8>>,
}

impl Sink<'_> {
    fn send(&mut self) -> io::Result<()> {
        let next = self.empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(PIECE));
        let piece = std::mem::replace(&mut self.piece, next);
        // The other side only goes away when it failed, and then that is what is told.
        self.full.send(piece).map_err(|_| io::Error::other("writing has stopped"))
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
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
fn pump(
    out: &mut (dyn Write + Send),
    label: &str,
    work: impl FnOnce(&mut Sink<'_>) -> Result<()>,
) -> Result<()> {
    let (full, pieces) = sync_channel::<Vec<u8>>(WAITING);
    let (give_back, empty) = channel();
    thread::scope(|scope| {
        let writer = scope.spawn(move || {
            for mut piece in pieces {
                out.write_all(&piece)?;
                piece.clear();
                // Nobody needs it any more when the other side is done.
                let _ = give_back.send(piece);
            }
            out.flush()
        });
        let mut sink = Sink { piece: Vec::with_capacity(PIECE), full: &full, empty: &empty };
        let done = work(&mut sink);
        let done = done.and_then(|()| sink.flush().map_err(|error| refused(label, error)));
        drop(full);
        match writer.join() {
            // What stopped the writing comes before what noticed that it had stopped.
            Ok(Err(error)) => Err(refused(label, error)),
            Ok(Ok(())) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
