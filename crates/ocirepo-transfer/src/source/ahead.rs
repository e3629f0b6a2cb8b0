//! Reading ahead: a reader works on a thread of its own while what it gave before is used.
//!
//! Memory is bounded, by the pieces that wait. An error comes out where it stood, and nothing comes
//! after it. If the reader panics, so does the scope that its thread belongs to.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;

use crate::archive::limits::BUFFER;

/// So many pieces go around: one is filled, one is used, and the others wait.
const PIECES: usize = 5;

/// A buffer, and how much of it is in use.
type Piece = (Vec<u8>, usize);

/// What a reader on another thread gives.
pub(crate) struct Ahead {
    pieces: Receiver<io::Result<Piece>>,
    empty: Sender<Vec<u8>>,
    piece: Piece,
    used: usize,
}

impl Ahead {
    /// Begins to read. The thread ends with the reader, or once nobody wants more.
    pub(crate) fn start<'s>(scope: &'s Scope<'s, '_>, reader: impl Read + Send + 's) -> Self {
        let (full, pieces) = channel();
        let (empty, used) = channel();
        scope.spawn(move || give_all(reader, &full, &used));
        Self { pieces, empty, piece: Piece::default(), used: 0 }
    }
}

fn give_all(mut reader: impl Read, full: &Sender<io::Result<Piece>>, empty: &Receiver<Vec<u8>>) {
    let mut made = 0;
    loop {
        let mut piece = if made < PIECES {
            made += 1;
            vec![0; BUFFER]
        } else {
            // Nobody wants more.
            let Ok(piece) = empty.recv() else { return };
            piece
        };
        let read = loop {
            match reader.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let is_last = !matches!(read, Ok(length) if length > 0);
        if full.send(read.map(|length| (piece, length))).is_err() || is_last {
            return;
        }
    }
}

impl BufRead for Ahead {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.piece.1 {
            let next = self.pieces.recv().unwrap_or_else(|_| Ok(Piece::default()))?;
            self.used = 0;
            let (piece, _) = std::mem::replace(&mut self.piece, next);
            if !piece.is_empty() {
                // Whoever reads may be done already.
                let _ = self.empty.send(piece);
            }
        }
        let (piece, length) = &self.piece;
        Ok(&piece[self.used..*length])
    }

    fn consume(&mut self, amount: usize) {
        self.used += amount;
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;

    use super::*;

    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(5))
        }
    }

    #[test]
    fn everything_comes_out_in_its_order() {
        let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 7) as u8).collect();
        let mut out = Vec::new();
        thread::scope(|scope| {
            let odd = content[..1001].chain(&content[1001..]);
            Ahead::start(scope, odd).read_to_end(&mut out).unwrap();
        });
        assert!(out == content);
    }

    #[test]
    fn an_error_comes_where_it_stood_and_as_it_is() {
        thread::scope(|scope| {
            let mut ahead = Ahead::start(scope, b"before".chain(Broken));
            let mut out = [0; 6];
            ahead.read_exact(&mut out).unwrap();
            assert_eq!(&out, b"before");
            assert_eq!(ahead.read(&mut out).unwrap_err().raw_os_error(), Some(5));
            assert_eq!(ahead.read(&mut out).unwrap(), 0);
        });
    }

    #[test]
    fn nobody_has_to_read_to_the_end() {
        thread::scope(|scope| {
            let mut ahead = Ahead::start(scope, io::repeat(7));
            assert_eq!(ahead.fill_buf().unwrap()[0], 7);
        });
    }

    #[test]
    fn a_reader_that_panics_does_not_pass_for_one_that_ended() {
        struct Bad;
        impl Read for Bad {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                panic!("bad reader")
            }
        }
        let read = || thread::scope(|scope| Ahead::start(scope, Bad).read(&mut [0]).is_ok());
        assert!(catch_unwind(AssertUnwindSafe(read)).is_err());
    }
}
