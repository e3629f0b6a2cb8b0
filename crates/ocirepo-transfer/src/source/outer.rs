//! The compression around an archive: taken off while reading, in one pass.

use std::io::{self, BufReader, Cursor, Read};

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;

use super::members::{Member, Members};
use super::sniff::{HEAD, Magic};
use super::xz::Xz;
use super::zstd::Zstd;
use crate::archive::limits::BUFFER;
use crate::error::{Error, Result};

/// A reader that is used by one thread at a time.
pub(crate) type Bytes<'a> = Box<dyn Read + Send + 'a>;

/// The plain tar in `reader`, whatever is around it.
///
/// # Errors
/// When it is empty, or compressed in a way that is not supported.
pub(crate) fn unwrap<'a>(reader: impl Read + Send + 'a, label: &str) -> Result<Bytes<'a>> {
    let (magic, reader) = peek(reader, label)?;
    refuse(magic, label)?;
    if !magic.is_compressed() {
        return Ok(Box::new(reader));
    }
    let (inner, plain) = peek(decoder(magic, reader).map_err(|error| failed(label, error))?, label)?;
    if inner.is_compressed() {
        let reason = "it is compressed twice".to_owned();
        return Err(Error::NotAnArchive { archive: label.to_owned(), reason });
    }
    refuse(inner, label)?;
    Ok(Box::new(plain))
}

/// What is inside a compressed stream.
fn decoder<'a>(magic: Magic, reader: impl Read + Send + 'a) -> io::Result<Bytes<'a>> {
    fn members<'a, M: Member<Input: Send> + Send + 'a>(input: M::Input) -> io::Result<Bytes<'a>> {
        Ok(Box::new(Members::<M>::begin(input)?))
    }
    if magic == Magic::Zstd {
        return Ok(Box::new(Zstd::new(reader)?));
    }
    let reader = BufReader::with_capacity(BUFFER, reader);
    match magic {
        Magic::Gzip => members::<GzDecoder<_>>(reader),
        Magic::Bzip2 => members::<BzDecoder<_>>(reader),
        Magic::Xz => members::<Xz<_>>(reader),
        _ => Ok(Box::new(reader)),
    }
}

/// Refuses what can hold no archive, or is compressed in a way that is not supported, by how it
/// begins.
pub(crate) fn refuse(magic: Magic, label: &str) -> Result<()> {
    let archive = label.to_owned();
    match magic {
        Magic::Plain | Magic::Gzip | Magic::Zstd | Magic::Xz | Magic::Bzip2 => Ok(()),
        Magic::Empty => Err(Error::NotAnArchive { archive, reason: "it is empty".to_owned() }),
        Magic::Zip => Err(Error::NotAnArchive { archive, reason: "it is a zip file".to_owned() }),
        Magic::Lz4 => Err(Error::Unsupported { archive, what: "compressed with lz4" }),
    }
}

/// How a stream begins, and the whole of it.
fn peek<R: Read>(mut reader: R, label: &str) -> Result<(Magic, impl Read + use<R>)> {
    let mut head = Vec::with_capacity(HEAD);
    (&mut reader).take(HEAD as u64).read_to_end(&mut head).map_err(|error| failed(label, error))?;
    Ok((Magic::of(&head), Cursor::new(head).chain(reader)))
}

/// What needs more memory than it gets is not damaged.
fn failed(label: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::Unsupported => Error::Read { archive: label.to_owned(), source: error },
        _ => Error::read(label, error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::testing::{bzip2, gzip, xz, zstd};
    use super::*;

    type Compress = fn(&[u8]) -> Vec<u8>;

    const ALL: [Compress; 4] = [gzip, zstd, xz, bzip2];

    fn read(bytes: &[u8]) -> Result<Vec<u8>> {
        let mut plain = Vec::new();
        unwrap(bytes, "x")?.read_to_end(&mut plain).map_err(|error| Error::read("x", error))?;
        Ok(plain)
    }

    #[test]
    fn one_layer_of_compression_is_taken_off() {
        let content = vec![b'a'; 3000];
        assert_eq!(read(&content).unwrap(), content);
        for compress in ALL {
            let several = [compress(&content[..1000]), compress(&content[1000..])].concat();
            assert_eq!(read(&several).unwrap(), content);
            let empty = read(&compress(b"")).unwrap_err().to_string();
            assert_eq!(empty, "x is not an image archive: it is empty");
            for outer in ALL {
                let twice = read(&outer(&compress(&content))).unwrap_err().to_string();
                assert_eq!(twice, "x is not an image archive: it is compressed twice");
            }
        }
    }

    /// Cut everywhere, so also where a block ends and where only the checksum is missing.
    #[test]
    fn a_stream_that_is_cut_short_is_damaged() {
        let content = b"what is said three times is true".repeat(8000);
        for compress in ALL {
            let whole = compress(&content);
            assert_eq!(read(&whole).unwrap(), content);
            for cut in 6..whole.len() {
                let error = read(&whole[..cut]).err();
                assert!(matches!(error, Some(Error::Damaged { .. })), "cut to {cut}: {error:?}");
            }
        }
    }

    #[test]
    fn what_needs_too_much_memory_is_not_called_damaged() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(28).unwrap();
        encoder.write_all(b"content").unwrap();
        let error = read(&encoder.finish().unwrap()).unwrap_err();
        assert!(
            matches!(&error, Error::Read { source, .. } if source.to_string().contains("128 MiB")),
            "{error}"
        );
    }

    #[test]
    fn other_compression_is_refused_by_name() {
        for bytes in [b"\x04\x22\x4d\x18rest".to_vec(), gzip(b"\x04\x22\x4d\x18rest")] {
            let error = read(&bytes).unwrap_err().to_string();
            assert_eq!(error, "x is compressed with lz4, which is not supported");
        }
    }
}
