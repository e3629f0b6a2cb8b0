//! A tar stream, read once: members go to the ingest's staging, hashed on the way.
//!
//! Every format writes the index last, so nothing is known about a member when it comes. It is
//! staged as a blob; what turns out to be needed is kept, the rest goes with the session. A large
//! blob that lies under its digest and that the repository has already is passed over.

use std::io::Read;

use ocirepo_store::graph::MAX_MANIFEST_SIZE;
use ocirepo_store::ingest::{BlobWriter, Ingest, Staged};
use ocirepo_store::{Algorithm, Digest, Hasher, Item, Progress};

use super::headers::{Header, Headers, Kind};
use super::input::{Input, Stream};
use super::table::{DIFFER, Lookup, Table};
use super::tar_file::{NO_MEMBERS, fault_of, trailing_warning};
use super::{Content, Member, Place, buffer_for, paths};
use crate::bundle::VOLUME;
use crate::error::{Error, Result, escape};

/// The content of a member, as an index into the list of them.
#[derive(Debug)]
enum Held {
    Staged(Staged),
    Repository(Digest, u64),
}

impl Held {
    fn digest(&self) -> &Digest {
        match self {
            Self::Staged(staged) => staged.digest(),
            Self::Repository(digest, _) => digest,
        }
    }
}

/// A stream that was read to its end.
pub(crate) struct Spool<'i, 'l> {
    label: String,
    ingest: &'i Ingest<'l>,
    held: Vec<Held>,
    table: Table<usize>,
    /// Whether this is a volume of a bundle, in which everything is proven.
    is_volume: bool,
    warnings: Vec<String>,
}

impl<'i, 'l> Spool<'i, 'l> {
    /// Reads `stream` to its end. What comes before the first fault is there also when it is no tar
    /// or ends too early, and when nothing can be written.
    pub(crate) fn read(
        stream: impl Read,
        label: String,
        ingest: &'i Ingest<'l>,
        progress: &dyn Progress,
    ) -> (Self, Result<()>) {
        let (table, warnings) = (Table::new(), Vec::new());
        let mut spool = Self { label, ingest, held: Vec::new(), table, is_volume: false, warnings };
        let read = spool.walk(stream, progress);
        (spool, read)
    }

    fn walk(&mut self, stream: impl Read, progress: &dyn Progress) -> Result<()> {
        let mut headers = Headers::new(Stream::new(stream));
        while let Some(header) = headers.next().map_err(|fault| fault_of(&self.label, fault))? {
            self.take(&header, headers.input(), progress)?;
        }
        if headers.seen() == 0 {
            return Err(Error::NotAnArchive { archive: self.label.clone(), reason: NO_MEMBERS.to_owned() });
        }
        if headers.trailing(true).map_err(|error| Error::read(&self.label, error))? {
            self.warnings.push(trailing_warning(&self.label));
        }
        Ok(())
    }

    fn take(&mut self, header: &Header, input: &mut impl Input, progress: &dyn Progress) -> Result<()> {
        if header.kind != Kind::File {
            self.table.insert(header, usize::MAX);
            return self.pour(header, input, &mut |_| Ok(()));
        }
        let _item = Item::begin(progress, &header.name);
        let name = paths::clean(&header.name);
        self.is_volume |= name.as_deref().is_some_and(|name| name.rsplit('/').next() == Some(VOLUME));
        let digest = name.and_then(|name| paths::blob_digest(&name));
        let held = match digest.as_ref().filter(|digest| self.is_held(digest, header.size)) {
            Some(digest) => {
                let mut hasher = digest.algorithm().filter(|_| self.is_volume).map(Hasher::new);
                self.pour(header, input, &mut |chunk| {
                    hasher.iter_mut().for_each(|hasher| hasher.update(chunk));
                    Ok(())
                })?;
                Held::Repository(hasher.map_or_else(|| digest.clone(), Hasher::finish), header.size)
            }
            None => {
                let algorithm = digest.and_then(|digest| digest.algorithm()).unwrap_or(Algorithm::Sha256);
                let mut writer = self.ingest.spool(algorithm)?;
                self.stage(header, input, &mut writer)?;
                let staged = writer.finish()?;
                self.ingest.sync_soon(&staged)?;
                Held::Staged(staged)
            }
        };
        self.table.insert(header, self.held.len());
        self.held.push(held);
        Ok(())
    }

    /// Documents are always taken from the stream: they have to be read in any case.
    fn is_held(&self, digest: &Digest, size: u64) -> bool {
        size > MAX_MANIFEST_SIZE && self.ingest.is_in_repository(digest, size).unwrap_or(false)
    }

    fn pour(
        &self,
        header: &Header,
        input: &mut impl Input,
        sink: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut buffer = vec![0; buffer_for(header.size)];
        let mut done = 0;
        while done < header.size {
            let read = self.piece(header, done, input, &mut buffer)?;
            sink(&buffer[..read])?;
            done += read as u64;
        }
        Ok(())
    }

    fn stage(&self, header: &Header, input: &mut impl Input, writer: &mut BlobWriter) -> Result<()> {
        writer.hash_beside(header.size);
        while writer.size() < header.size {
            let done = writer.size();
            writer.pull(header.size - done, |buffer| self.piece(header, done, input, buffer))?;
        }
        Ok(())
    }

    /// What comes behind the first `done` bytes of a member: as much as there is room for.
    fn piece(&self, header: &Header, done: u64, input: &mut impl Input, buffer: &mut [u8]) -> Result<usize> {
        let wanted = usize::try_from(header.size - done).unwrap_or(usize::MAX).min(buffer.len());
        let read = input
            .read_from(header.offset + done, &mut buffer[..wanted])
            .map_err(|error| Error::read(&self.label, error))?;
        if read == wanted {
            return Ok(read);
        }
        Err(Error::Damaged {
            archive: self.label.clone(),
            reason: format!("it ends inside the member {}", escape(&header.name)),
        })
    }
}

impl Content for Spool<'_, '_> {
    fn label(&self) -> &str {
        &self.label
    }

    fn find(&self, name: &str) -> Result<Option<Member>> {
        let Some(cleaned) = paths::clean(name) else {
            return Err(Error::member(&self.label, name, "its name is not usable"));
        };
        match self.table.find(&cleaned) {
            Lookup::Absent => Ok(None),
            Lookup::Unusable(reason) => Err(Error::member(&self.label, &cleaned, reason)),
            Lookup::Found { name, places } => {
                let held = &self.held[*places[0]];
                if places[1..].iter().any(|&&other| self.held[other].digest() != held.digest()) {
                    return Err(Error::member(&self.label, name, DIFFER));
                }
                let (size, place) = match held {
                    Held::Staged(staged) => (staged.size(), Place::Staged(staged.clone())),
                    Held::Repository(digest, size) => (*size, Place::Held(digest.clone())),
                };
                Ok(Some(Member { name: name.to_owned(), size, place }))
            }
        }
    }

    fn open<'a>(&'a self, member: &Member) -> Result<Box<dyn Read + Send + 'a>> {
        match &member.place {
            Place::Staged(staged) => Ok(Box::new(self.ingest.open(staged)?)),
            Place::Held(digest) => Ok(Box::new(self.ingest.open_kept(digest)?)),
            _ => Err(Error::member(&self.label, &member.name, "it is not in the stream")),
        }
    }

    fn folders(&self) -> Vec<String> {
        self.table.folders()
    }

    fn has_below(&self, folder: &str) -> bool {
        self.table.has_below(folder)
    }

    fn below(&self, folder: &str) -> Vec<String> {
        self.table.below(folder)
    }

    fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }
}
