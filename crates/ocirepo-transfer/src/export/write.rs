//! Writing what was planned: in one pass, without a copy on the side, every blob proven on its way.
//!
//! What was read and written is hashed on another thread, which takes about as long as both.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::thread;

use ocirepo_store::blob::VerifiedReader;
use ocirepo_store::{Algorithm, Digest, Hasher, Item, Progress};

use super::docker;
use super::medium::Medium;
use super::member::{Layer, Member, Source};
use super::tar::{self, Kind};
use crate::compress::{Encoder, Encoding, Stopped};
use crate::error::{Error, Result};
use crate::import::carrier::Carrier;
use crate::source::widen;

/// Less than this is collected before it is written, in bytes.
const LITTLE: usize = 64 << 10;

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
    let mut sink = Sink { out: BufWriter::with_capacity(LITTLE, out), position: 0 };
    for member in members {
        write(carrier, member, state, &mut sink, label, progress)?;
    }
    sink.write_all(&tar::END).and_then(|()| sink.flush()).map_err(|error| refused(label, error))
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
    // Not that of the carrier: what encodes layers there waits until this one has read them, and
    // would hold the places that this one waits for.
    let outer = Encoder::new(carrier.repository().jobs());
    thread::scope(|scope| {
        let encoder = scope.spawn(move || {
            outer.encode(&mut reader, encoding, &mut |bytes| out.write_all(bytes)).map_err(|stopped| {
                match stopped {
                    Stopped::Sink(error) | Stopped::Reader(error) | Stopped::Encoder(error) => error,
                }
            })
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
    blob: &mut VerifiedReader<File>,
    size: u64,
    give: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut left = size;
    while left > 0 {
        match blob.pass(left, |bytes| give(bytes).map_err(Stop::Given)) {
            Ok(0) => return Err(changed(digest)),
            Ok(read) => left -= read as u64,
            Err(Stop::Given(error)) => return Err(error),
            Err(Stop::Read(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(Stop::Read(error)) => return Err(Error::Blob { digest: digest.clone(), source: error }),
        }
    }
    Ok(())
}

/// What ends a copy early.
enum Stop {
    Read(io::Error),
    Given(Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
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

/// What an archive is written to, with the place in it.
struct Sink<'o> {
    out: BufWriter<&'o mut dyn Medium>,
    /// Where in the archive the next byte goes.
    position: u64,
}

impl Sink<'_> {
    fn go_to(&mut self, position: u64) -> io::Result<()> {
        self.out.flush()?;
        self.position = position;
        self.out.get_mut().go_to(position)
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.out.write(bytes)?;
        self.position += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
