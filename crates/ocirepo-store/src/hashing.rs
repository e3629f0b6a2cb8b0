//! Hashing beside the work that brings the bytes.
//!
//! Reading and writing a blob cost about half as much time as hashing it. [`PipelinedHasher`] lets
//! one core do the former while another does the latter, so that a single large blob is handled at
//! the speed of SHA-256. It is worth it only where a core would have nothing to do: whoever owns the
//! hasher says when, by [`PipelinedHasher::split`]. Bytes that are handed over are copied, unless they
//! were read into a buffer of the hasher, [`PipelinedHasher::buffer`].
//!
//! Memory: none before that, then up to four pieces of 256 KiB. The same pieces go around and are cleared
//! once, so the work does not depend on which thread is ahead.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use crate::digest::{Algorithm, Digest, Hasher};

/// What is handed over at once, in bytes.
const PIECE: usize = 256 << 10;

/// So many pieces are with the thread: one is hashed, the others wait.
const BESIDE: usize = 3;

/// A piece, of which so many bytes from its beginning are to be hashed.
type Filled = (Vec<u8>, usize);

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
    piece: Filled,
    /// How many pieces were handed over and not taken back.
    given: usize,
    full: Sender<Filled>,
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
        if let State::Beside(beside) = &mut self.state
            && buffer.capacity() == 0
        {
            buffer = beside.empty_piece();
        }
        buffer.resize(usize::try_from(size).map_or(PIECE, |size| size.min(PIECE)), 0);
        buffer
    }

    /// Takes in the first `length` bytes of a buffer.
    pub fn accept(&mut self, buffer: Vec<u8>, length: usize) {
        match &mut self.state {
            State::Beside(beside) if length > 0 => beside.hand_over((buffer, length)),
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
            State::Beside(Beside { piece: (piece, length), full, thread, .. }) => {
                drop(full);
                let mut hasher = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                hasher.update(&piece[..length]);
                hasher.finish()
            }
        }
    }
}

impl Beside {
    /// Goes on from where `hasher` is; `None` where no thread can be had.
    fn start(hasher: &Hasher) -> Option<Self> {
        let mut hasher = hasher.clone();
        let (full, pieces) = channel::<Filled>();
        let (give_back, empty) = channel();
        let work = move || {
            for (piece, length) in pieces {
                hasher.update(&piece[..length]);
                // Nobody needs it any more once everything is handed over.
                let _ = give_back.send(piece);
            }
            hasher
        };
        let thread = thread::Builder::new().name("hash".to_owned()).spawn(work).ok()?;
        Some(Self { piece: Filled::default(), given: 0, full, empty, thread })
    }

    /// A piece with anything in it, or with nothing. Waits for one that was hashed, if as many as may be
    /// are with the thread.
    fn empty_piece(&mut self) -> Vec<u8> {
        if self.given < BESIDE {
            return vec![0; PIECE];
        }
        self.given -= 1;
        // The thread only ends before its sender if it panics, and then `finish` says so.
        self.empty.recv().unwrap_or_default()
    }

    /// Hands over a whole buffer, after what was taken in before.
    fn hand_over(&mut self, buffer: Filled) {
        self.give_piece();
        self.give(buffer);
    }

    fn give_piece(&mut self) {
        let piece = std::mem::take(&mut self.piece);
        self.give(piece);
    }

    fn give(&mut self, filled: Filled) {
        if filled.1 > 0 {
            self.given += usize::from(self.full.send(filled).is_ok());
        }
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.piece.0.is_empty() {
                self.piece.0 = self.empty_piece();
                self.piece.0.resize(PIECE, 0);
            }
            let (piece, length) = &mut self.piece;
            let (now, later) = bytes.split_at(bytes.len().min(PIECE - *length));
            piece[*length..][..now.len()].copy_from_slice(now);
            *length += now.len();
            if *length == PIECE {
                self.give_piece();
            }
            bytes = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_that_are_not_given_back_are_missed_by_nobody() {
        let content = vec![7; 40 * PIECE];
        let mut hasher = PipelinedHasher::new(Algorithm::Sha256);
        hasher.split();
        for (number, chunk) in content.chunks(PIECE).enumerate() {
            drop(hasher.buffer(PIECE as u64));
            if number % 2 == 0 {
                hasher.update(chunk);
            } else {
                let mut buffer = hasher.buffer(PIECE as u64);
                buffer.copy_from_slice(chunk);
                hasher.accept(buffer, PIECE);
            }
        }
        assert_eq!(hasher.finish(), Digest::sha256(&content));
    }

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
