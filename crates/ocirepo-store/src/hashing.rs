//! Hashing beside the work that brings the bytes.
//!
//! Reading and writing a blob cost about half as much time as hashing it. [`PipelinedHasher`] lets
//! one core do the former while another does the latter, so that a single large blob is handled at
//! the speed of SHA-256. It is worth it only where a core would have nothing to do: whoever owns the
//! hasher says when, by [`PipelinedHasher::split`]. Bytes that are handed over are copied, unless they
//! were read into a buffer of the hasher, [`PipelinedHasher::buffer`].
//!
//! Memory: none before that, then up to six pieces of 256 KiB.

use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};

use crate::digest::{Algorithm, Digest, Hasher};

/// What is handed over at once, in bytes.
const PIECE: usize = 256 << 10;

/// So many pieces may wait to be hashed.
const WAITING: usize = 4;

/// To hash so many bytes takes longer than to start a thread by far.
pub(crate) const WORTH_A_THREAD: u64 = 1 << 20;

/// A hasher that can go on in a thread of its own.
#[derive(Debug)]
pub struct PipelinedHasher {
    state: State,
    /// A buffer that was given back.
    spare: Vec<u8>,
}

#[derive(Debug)]
enum State {
    Here(Hasher),
    Beside(Beside),
}

#[derive(Debug)]
struct Beside {
    /// What was taken in and not handed over.
    piece: Vec<u8>,
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    thread: JoinHandle<Hasher>,
}

impl PipelinedHasher {
    /// Begins a digest, without a thread.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        Self { state: State::Here(Hasher::new(algorithm)), spare: Vec::new() }
    }

    /// From here on, hashes in a thread of its own. Where none can be had, everything stays as it is.
    pub fn split(&mut self) {
        if let State::Here(hasher) = &self.state
            && let Some(beside) = Beside::start(hasher)
        {
            self.state = State::Beside(beside);
        }
    }

    /// [`Self::split`], if that is worth it for so many bytes to come.
    pub fn split_for(&mut self, bytes: u64) {
        if bytes >= WORTH_A_THREAD {
            self.split();
        }
    }

    /// Takes in more bytes. Waits while too much is waiting to be hashed.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Here(hasher) => hasher.update(bytes),
            State::Beside(beside) => beside.take(bytes),
        }
    }

    /// A buffer of `size` bytes, 256 KiB at most, with anything in it: to be filled and handed to
    /// [`Self::accept`].
    pub fn buffer(&mut self, size: u64) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut self.spare);
        if let State::Beside(beside) = &self.state
            && buffer.capacity() == 0
        {
            buffer = beside.empty.try_recv().unwrap_or_default();
        }
        buffer.resize(usize::try_from(size).map_or(PIECE, |size| size.min(PIECE)), 0);
        buffer
    }

    /// Takes in the first `length` bytes of a buffer.
    pub fn accept(&mut self, mut buffer: Vec<u8>, length: usize) {
        match &mut self.state {
            State::Beside(beside) if length > 0 => {
                buffer.truncate(length);
                beside.hand_over(buffer);
            }
            State::Beside(_) => self.spare = buffer,
            State::Here(hasher) => {
                hasher.update(&buffer[..length]);
                self.spare = buffer;
            }
        }
    }

    /// The digest of everything taken in, once that is hashed.
    #[must_use]
    pub fn finish(self) -> Digest {
        match self.state {
            State::Here(hasher) => hasher.finish(),
            State::Beside(Beside { piece, full, thread, .. }) => {
                drop(full);
                let mut hasher = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                hasher.update(&piece);
                hasher.finish()
            }
        }
    }
}

impl Beside {
    /// Goes on from where `hasher` is; `None` where no thread can be had.
    fn start(hasher: &Hasher) -> Option<Self> {
        let mut hasher = hasher.clone();
        let (full, pieces) = sync_channel::<Vec<u8>>(WAITING);
        let (give_back, empty) = channel();
        let work = move || {
            for piece in pieces {
                hasher.update(&piece);
                // Nobody needs it any more once everything is handed over.
                let _ = give_back.send(piece);
            }
            hasher
        };
        let thread = thread::Builder::new().name("hash".to_owned()).spawn(work).ok()?;
        Some(Self { piece: Vec::new(), full, empty, thread })
    }

    /// Hands over a whole buffer, after what was taken in before.
    fn hand_over(&mut self, buffer: Vec<u8>) {
        let before = std::mem::take(&mut self.piece);
        for piece in [before, buffer] {
            if !piece.is_empty() {
                // The thread only ends before its sender if it panics, and then `finish` says so.
                let _ = self.full.send(piece);
            }
        }
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = PIECE - self.piece.len();
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.piece.reserve_exact(room);
            self.piece.extend_from_slice(now);
            if now.len() == room {
                let next = self.empty.try_recv().unwrap_or_default();
                self.hand_over(Vec::new());
                self.piece = next;
                self.piece.clear();
            }
            bytes = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_does_not_depend_on_how_the_bytes_come() {
        let content: Vec<u8> = (0..3 * PIECE + 17).map(|n| ((n * n) >> 7) as u8).collect();
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, content.len()] {
            for step in [1 << 10, PIECE - 1, PIECE] {
                for (split_at, buffer_every) in [(0, 1), (0, 3), (1, 2), (1, usize::MAX), (usize::MAX, 2)] {
                    let mut hasher = PipelinedHasher::new(Algorithm::Sha256);
                    for (number, chunk) in content[..length].chunks(step).enumerate() {
                        if number == split_at {
                            hasher.split();
                        }
                        if number % buffer_every == 0 {
                            let mut buffer = hasher.buffer(content.len() as u64);
                            buffer[..chunk.len()].copy_from_slice(chunk);
                            hasher.accept(buffer, chunk.len());
                        } else {
                            hasher.update(chunk);
                        }
                    }
                    let expected = Digest::sha256(&content[..length]);
                    let how = format!("{length} bytes by {step}, split at {split_at}, {buffer_every}");
                    assert_eq!(hasher.finish(), expected, "{how}");
                }
            }
        }
    }
}
