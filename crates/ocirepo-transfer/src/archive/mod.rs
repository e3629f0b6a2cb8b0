//! Members by name, wherever they lie: in a directory, in a tar file, or spooled from a stream.
//!
//! What the members mean is for the importers. Here a name is looked up, links are followed in a
//! table, and content is read, checked to be as long as it should be.

mod below;
mod directory;
mod headers;
mod input;
pub(crate) mod limits;
mod outline;
pub(crate) mod paths;
mod spool;
mod table;
mod tar_file;

use std::io::{self, Read};
use std::path::PathBuf;

use ocirepo_store::Digest;
use ocirepo_store::ingest::{Ingest, Staged};

pub(crate) use directory::Directory;
pub(crate) use outline::{Outline, is_tar, outline_of_file, outline_of_stream};
pub(crate) use spool::Spool;
pub(crate) use tar_file::TarFile;

use crate::error::{Error, Result, escape};
use limits::BUFFER;

/// A member that was found, links resolved.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Its own name, which is that of the last link's target: one content, one name.
    pub(crate) name: String,
    /// The size of its content in bytes.
    pub(crate) size: u64,
    place: Place,
}

/// Where the content of a member is.
#[derive(Debug, Clone)]
enum Place {
    Path(PathBuf),
    /// At an offset of a tar file.
    Region(u64),
    /// In staging already, and hashed.
    Staged(Staged),
    /// Passed over in the stream, because the repository has this blob at its right size.
    Held(Digest),
    /// Where its own name leads, for a content that needs to know no more.
    Named,
}

/// Members by name.
pub(crate) trait Content: Sync {
    /// What to call it in messages.
    fn label(&self) -> &str;

    /// The member of that name; `None` when there is none.
    ///
    /// # Errors
    /// When there is one that cannot be used: a link to nowhere, a sparse file, two contents.
    fn find(&self, name: &str) -> Result<Option<Member>>;

    /// Reads a member. The reader may give less than its size when the file changed meanwhile.
    fn open<'a>(&'a self, member: &Member) -> Result<Box<dyn Read + Send + 'a>>;

    /// Brings a blob into the session without reading it again, where it was proven before. `false`
    /// when it has to be read.
    fn bring_into(&self, _ingest: &Ingest<'_>, _digest: &Digest, _size: u64) -> Result<bool> {
        Ok(false)
    }

    /// The folders at the top.
    fn folders(&self) -> Vec<String>;

    /// Whether there is anything below a folder.
    fn has_below(&self, folder: &str) -> bool;

    /// The names of what lies below a folder, however deep; empty where nobody has to know.
    fn below(&self, _folder: &str) -> Vec<String> {
        Vec::new()
    }

    /// Whether nothing was found in it at all.
    fn is_empty(&self) -> bool;

    /// Whether it is a directory, whose archives can be added one by one.
    fn is_directory(&self) -> bool {
        false
    }

    /// What is odd about it, but can be lived with.
    fn warnings(&self) -> &[String];
}

impl Member {
    /// A member that its content finds again by its name.
    pub(crate) fn named(name: &str, size: u64) -> Self {
        Self { name: name.to_owned(), size, place: Place::Named }
    }

    /// The staged blob that holds this member already.
    pub(crate) fn staged(&self) -> Option<&Staged> {
        match &self.place {
            Place::Staged(staged) => Some(staged),
            _ => None,
        }
    }

    /// The digest under which the member is in the repository or in staging.
    pub(crate) fn known_digest(&self) -> Option<&Digest> {
        match &self.place {
            Place::Staged(staged) => Some(staged.digest()),
            Place::Held(digest) => Some(digest),
            Place::Path(_) | Place::Region(_) | Place::Named => None,
        }
    }
}

/// The least and the most that reading a member may give is its size: whatever comes in chunks to
/// `sink` is exactly that, or an error.
pub(crate) fn pour(
    content: &dyn Content,
    member: &Member,
    sink: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut reader = content.open(member)?;
    let mut buffer = vec![0; buffer_for(member.size)];
    let mut done = 0_u64;
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::read(content.label(), error)),
        };
        done += read as u64;
        if done > member.size {
            break;
        }
        sink(&buffer[..read])?;
    }
    if done == member.size { Ok(()) } else { Err(cut_short(content.label(), member, done)) }
}

/// The content of a member that is not larger than `limit`.
pub(crate) fn read_whole(content: &dyn Content, member: &Member, limit: u64) -> Result<Vec<u8>> {
    if member.size > limit {
        let reason = format!("it is {} bytes, more than {} MiB", member.size, limit >> 20);
        return Err(Error::member(content.label(), &member.name, reason));
    }
    let mut bytes = Vec::new();
    pour(content, member, &mut |chunk| {
        bytes.extend_from_slice(chunk);
        Ok(())
    })?;
    Ok(bytes)
}

/// Most blobs by number are small documents, which need no large buffer.
pub(crate) fn buffer_for(size: u64) -> usize {
    usize::try_from(size).map_or(BUFFER, |size| (size + 1).min(BUFFER))
}

pub(crate) fn cut_short(label: &str, member: &Member, found: u64) -> Error {
    Error::BadSize { archive: label.to_owned(), member: escape(&member.name), expected: member.size, found }
}
