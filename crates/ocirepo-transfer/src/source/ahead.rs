//! Reading ahead: a reader works on a thread of its own while what it gave before is used.
//!
//! Memory is bounded, by the pieces that wait. An error comes out where it stood, and nothing comes
//! after it. If the reader panics, so does the scope that its thread belongs to.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::Scope;

use crate::archive::limits::BUFFER;

/// So many pieces wait to be used.
const WAITING: usize = 3;

/// What a reader on another thread gives.
pub(crate) struct Ahead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    empty: Sender<Vec<u8>>,
    piece: Vec<u8>,
    used: usize,
}

impl Ahead {
    /// Begins to read. The thread ends with the reader, or once nobody wants more.
    pub(crate) fn start<'s>(scope: &'s Scope<'s, '_>, reader: impl Read + Send + 's) -> Self {
        let (full, pieces) = sync_channel(WAITING);
        let (empty, used) = channel();
        scope.spawn(move || give_all(reader, &full, &used));
        Self { pieces, empty, piece: Vec::new(), used: 0 }
    }
}

fn give_all(mut reader: impl Read, full: &SyncSender<io::Result<Vec<u8>>>, empty: &Receiver<Vec<u8>>) {
    loop {
        let mut piece = empty.try_recv().unwrap_or_default();
        piece.resize(BUFFER, 0);
        let read = match reader.read(&mut piece) {
            Ok(0) => return,
            Ok(read) => {
                piece.truncate(read);
                Ok(piece)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_last = read.is_err();
        if full.send(read).is_err() || is_last {
            return;
        }
    }
}

impl BufRead for Ahead {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.piece.len() {
            let next = self.pieces.recv().unwrap_or_else(|_| Ok(Vec::new()))?;
            self.used = 0;
            // Whoever reads may be done already.
            let _ = self.empty.send(std::mem::replace(&mut self.piece, next));
        }
        Ok(&self.piece[self.used..])
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
