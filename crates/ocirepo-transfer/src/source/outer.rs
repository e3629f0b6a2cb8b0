//! The compression around an archive: taken off while reading, in one pass.

use std::io::{self, BufReader, Cursor, Read};

use super::gzip::Gzip;
use super::sniff::{HEAD, Magic};
use crate::archive::limits::BUFFER;
use crate::error::{Error, Result};

/// The largest zstd window in bytes, as a power of two: what `zstd -d` takes without being told.
pub(crate) const ZSTD_WINDOW_LOG: u32 = 27;

/// A reader that is used by one thread at a time.
pub(crate) type Bytes<'a> = Box<dyn Read + Send + 'a>;

/// The plain tar in `reader`, whatever is around it.
///
/// # Errors
/// When it is empty, or compressed in a way that is not supported.
pub(crate) fn unwrap<'a>(reader: impl Read + Send + 'a, label: &str) -> Result<Bytes<'a>> {
    let (magic, reader) = peek(reader, label)?;
    let decoded: Bytes<'a> = match magic {
        Magic::Gzip => Box::new(Gzip::new(BufReader::with_capacity(BUFFER, reader))),
        Magic::Zstd => Box::new(zstd_decoder(reader).map_err(|error| Error::read(label, error))?),
        _ => {
            refuse(magic, label)?;
            return Ok(Box::new(reader));
        }
    };
    let (inner, decoded) = peek(decoded, label)?;
    match inner {
        Magic::Plain => Ok(Box::new(decoded)),
        Magic::Empty => refuse(inner, label).map(|()| -> Bytes<'a> { Box::new(io::empty()) }),
        _ => Err(Error::NotAnArchive {
            archive: label.to_owned(),
            reason: "it is compressed twice".to_owned(),
        }),
    }
}

/// Refuses what is no plain tar by how it begins.
pub(crate) fn refuse(magic: Magic, label: &str) -> Result<()> {
    let archive = label.to_owned();
    let unsupported = |what, later| Err(Error::Unsupported { archive: label.to_owned(), what, later });
    match magic {
        Magic::Plain | Magic::Gzip | Magic::Zstd => Ok(()),
        Magic::Empty => Err(Error::NotAnArchive { archive, reason: "it is empty".to_owned() }),
        Magic::Zip => Err(Error::NotAnArchive { archive, reason: "it is a zip file".to_owned() }),
        Magic::Xz => unsupported("compressed with xz", true),
        Magic::Bzip2 => unsupported("compressed with bzip2", true),
        Magic::Lz4 => unsupported("compressed with lz4", false),
    }
}

/// A decoder of zstd frames, one after the other.
pub(crate) fn zstd_decoder<R: Read>(
    reader: R,
) -> io::Result<zstd::stream::read::Decoder<'static, BufReader<R>>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(BUFFER, reader))?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(decoder)
}

/// How a stream begins, and the whole of it.
fn peek<R: Read>(mut reader: R, label: &str) -> Result<(Magic, impl Read + use<R>)> {
    let mut head = Vec::with_capacity(HEAD);
    (&mut reader).take(HEAD as u64).read_to_end(&mut head).map_err(|error| Error::read(label, error))?;
    Ok((Magic::of(&head), Cursor::new(head).chain(reader)))
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

    fn read(bytes: &[u8]) -> Result<Vec<u8>> {
        let mut plain = Vec::new();
        unwrap(bytes, "x")?.read_to_end(&mut plain).map_err(|error| Error::read("x", error))?;
        Ok(plain)
    }

    #[test]
    fn one_layer_of_compression_is_taken_off() {
        let content = vec![b'a'; 3000];
        let mut members = gzip(&content[..1000]);
        members.extend(gzip(&content[1000..]));
        assert_eq!(read(&members).unwrap(), content);
        assert_eq!(read(&zstd::encode_all(&content[..], 1).unwrap()).unwrap(), content);
        assert_eq!(read(&content).unwrap(), content);
        let twice = gzip(&gzip(&content));
        assert!(matches!(read(&twice), Err(Error::NotAnArchive { reason, .. }) if reason.contains("twice")));
        assert!(matches!(read(&gzip(b"")), Err(Error::NotAnArchive { .. })));
        assert!(matches!(read(&gzip(&content)[..40]), Err(Error::Damaged { .. })));
    }

    #[test]
    fn other_compression_is_refused_by_name() {
        let error = read(b"\xfd7zXZ\0rest").err().unwrap().to_string();
        assert_eq!(error, "x is compressed with xz, which is not supported yet");
    }
}
