//! Compressed members one after the other, and the zeros that tapes and block devices leave behind
//! them.
//!
//! gzip, bzip2 and xz files may consist of several members, each whole in itself with a checksum of
//! its own. Every member is read to its end, so its checksum is always compared. Zeros may stand
//! behind a member; anything else that begins no further member is an error. A file that was cut
//! exactly between two members cannot be told from a whole one.

use std::io::{self, BufRead, Read};

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;

/// The decoder of one member: reads its content, and nothing of what comes behind it.
pub(crate) trait Member: Read + Sized {
    type Input: BufRead;

    fn begin(input: Self::Input) -> io::Result<Self>;

    fn into_input(self) -> Self::Input;
}

impl<R: BufRead> Member for GzDecoder<R> {
    type Input = R;

    fn begin(input: R) -> io::Result<Self> {
        Ok(Self::new(input))
    }

    fn into_input(self) -> R {
        self.into_inner()
    }
}

impl<R: BufRead> Member for BzDecoder<R> {
    type Input = R;

    fn begin(input: R) -> io::Result<Self> {
        Ok(Self::new(input))
    }

    fn into_input(self) -> R {
        self.into_inner()
    }
}

/// The content of all members until the input ends.
pub(crate) struct Members<M> {
    member: Option<M>,
}

impl<M: Member> Members<M> {
    pub(crate) fn begin(input: M::Input) -> io::Result<Self> {
        Ok(Self { member: Some(M::begin(input)?) })
    }
}

impl<M: Member> Read for Members<M> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(mut rest) = self.member.take().map(M::into_input) else { break };
            if !skip_zeros(&mut rest)? {
                self.member = Some(M::begin(rest)?);
            }
        }
        Ok(0)
    }
}

/// Skips zeros; whether the input ends behind them.
fn skip_zeros(reader: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let bytes = reader.fill_buf()?;
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        let (all, is_end) = (zeros == bytes.len(), bytes.is_empty());
        reader.consume(zeros);
        if is_end || !all {
            return Ok(is_end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bzip2, gzip, xz};
    use super::super::xz::Xz;
    use super::*;

    type Tiny<'a> = io::BufReader<&'a [u8]>;

    fn content<'a, M: Member<Input = Tiny<'a>>>(bytes: &'a [u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        // Borders of members fall everywhere in so small a buffer.
        Members::<M>::begin(Tiny::with_capacity(7, bytes))?.read_to_end(&mut out).map(|_| out)
    }

    /// A kind of member: how one is made, and how all are read.
    type Kind = (fn(&[u8]) -> Vec<u8>, fn(&[u8]) -> io::Result<Vec<u8>>);

    const KINDS: [Kind; 3] = [
        (gzip, |bytes| content::<GzDecoder<Tiny<'_>>>(bytes)),
        (bzip2, |bytes| content::<BzDecoder<Tiny<'_>>>(bytes)),
        (xz, |bytes| content::<Xz<Tiny<'_>>>(bytes)),
    ];

    #[test]
    fn members_follow_each_other_and_zeros_end_them() {
        for (make, read) in KINDS {
            let members = [make(b"one"), make(b""), make(b"two")].concat();
            assert_eq!(read(&members).unwrap(), b"onetwo");
            for zeros in [1, 4, 600] {
                assert_eq!(read(&[members.clone(), vec![0; zeros]].concat()).unwrap(), b"onetwo");
            }
            let padded = [make(b"one"), vec![0; 8], make(b"two")].concat();
            assert_eq!(read(&padded).unwrap(), b"onetwo");
        }
    }

    #[test]
    fn anything_else_behind_a_member_is_an_error() {
        for (make, read) in KINDS {
            for rest in [&b"garbage"[..], b"\0\0\0\0garbage", b"g", b"\0B", &make(b"two")[..5]] {
                assert!(read(&[&make(b"one"), rest].concat()).is_err(), "{rest:?}");
            }
        }
    }
}
