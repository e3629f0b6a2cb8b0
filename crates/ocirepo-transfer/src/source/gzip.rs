//! gzip around an archive: members one after the other, and the zeros that tapes and block
//! devices leave behind them.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// Inflates gzip members until the input ends.
pub(crate) struct Gzip<R> {
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Gzip<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { member: Some(GzDecoder::new(reader)) }
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(mut rest) = self.member.take().map(GzDecoder::into_inner) else { break };
            if !skip_zeros(&mut rest)? {
                self.member = Some(GzDecoder::new(rest));
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
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn inflate(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Gzip::new(io::BufReader::with_capacity(7, bytes)).read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn members_follow_each_other_and_zeros_end_them() {
        let bytes = [gzip(b"one"), gzip(b""), gzip(b"two"), vec![0; 600]].concat();
        assert_eq!(inflate(&bytes).unwrap(), b"onetwo");
        assert_eq!(inflate(&bytes[..bytes.len() - 600]).unwrap(), b"onetwo");
    }

    #[test]
    fn anything_else_behind_a_member_is_an_error() {
        assert!(inflate(&[gzip(b"one"), b"garbage".to_vec()].concat()).is_err());
        assert!(inflate(&[gzip(b"one"), vec![0; 9], b"garbage".to_vec()].concat()).is_err());
        let whole = gzip(b"one");
        assert!(inflate(&whole[..whole.len() - 1]).is_err());
    }
}
