//! What something holds: a repository, some of its images, a bundle, another archive, an inventory.
//!
//! It is told by content, and nothing is added anywhere. Blobs are believed to be what their names
//! say; only a repository is known to hold what it lists.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, Read};

use ocirepo_store::graph::closure;
use ocirepo_store::index::{Document, Entry};
use ocirepo_store::{Digest, Progress, Repository, Settings};

use super::inventory::read_inventory;
use super::{TOC, Toc, TocImage};
use crate::archive::{Outline, is_tar, outline_of_file, outline_of_stream};
use crate::error::{Error, Result, escape};
use crate::import::task::{Counted, Task};
use crate::source::{HEAD, Magic, Source, unwrap};

const INDEX: &str = "index.json";
const DOCKER: [&str; 2] = ["manifest.json", "repositories"];

/// What something holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holdings {
    /// The images, named and nameless, in the order in which they are listed; `None` where only the
    /// blobs are known.
    pub images: Option<Vec<TocImage>>,
    /// The blobs, with their sizes in bytes.
    pub blobs: BTreeMap<Digest, u64>,
    /// The blobs that a bundle leaves to its receiver, with their sizes in bytes.
    pub required: BTreeMap<Digest, u64>,
}

impl Holdings {
    /// Finds out what a repository, a bundle, another archive or an inventory holds. One volume
    /// stands for the whole of its bundle.
    ///
    /// # Errors
    /// When it is none of these, is damaged, or cannot be read; [`Error::UnknownBlobs`] for an archive
    /// that lists no blobs.
    pub fn read(source: &Source, progress: &dyn Progress) -> Result<Self> {
        let label = source.to_string();
        let counted = |stream: Box<dyn Read + Send>, size: Option<u64>, begin: Vec<u8>| {
            let _task = Task::reading(progress, &label, size);
            progress.advance(begin.len() as u64);
            read_stream(Cursor::new(begin).chain(Counted { stream, progress }), &label)
        };
        let Source::Path(path) = source else {
            return counted(Box::new(io::stdin()), None, Vec::new());
        };
        let fail = |error| Error::Read { archive: label.clone(), source: error };
        if fs::metadata(path).map_err(fail)?.is_dir() {
            return Self::of_repository(&Repository::open(path, Settings::default())?);
        }
        let file = File::open(path).map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        if metadata.is_file() {
            let head = head(&mut &file).map_err(fail)?;
            if Magic::of(&head) == Magic::Plain && is_tar(&head) {
                return Self::of_archive(&outline_of_file(&file, &label, &wanted())?, &label);
            }
            return counted(Box::new(file), Some(metadata.len()), head);
        }
        counted(Box::new(file), None, Vec::new())
    }

    /// What a repository holds: all its entries, and of the blobs that they need those that are there
    /// at their right size.
    ///
    /// # Errors
    /// When index.json cannot be trusted, or `blobs/` cannot be listed.
    pub fn of_repository(repository: &Repository) -> Result<Self> {
        let _lock = repository.lock_reading()?;
        let images = images_of(repository.index()?.entries());
        Ok(Self {
            images: Some(images),
            blobs: repository.inventory()?.into_iter().collect(),
            required: BTreeMap::new(),
        })
    }

    /// What some entries of a repository need, and what is about them, as an export takes it along.
    ///
    /// # Errors
    /// When `blobs/` cannot be listed or read.
    pub fn of_entries(repository: &Repository, document: &Document, positions: &[usize]) -> Result<Self> {
        let _lock = repository.lock_reading()?;
        let entries = document.entries();
        let mut chosen: Vec<Entry> =
            positions.iter().filter_map(|&position| entries.get(position).cloned()).collect();
        let found = closure(repository, document, &chosen, true)?;
        chosen.extend(found.companions.iter().filter_map(|&position| entries.get(position).cloned()));
        Ok(Self {
            images: Some(images_of(&chosen)),
            blobs: repository.usable_blobs(&found.graph).into_iter().collect(),
            required: BTreeMap::new(),
        })
    }

    /// The blobs that whoever has taken it in has: those it holds, and those it required.
    #[must_use]
    pub fn with_required(&self) -> BTreeMap<Digest, u64> {
        self.blobs.iter().chain(&self.required).map(|(digest, size)| (digest.clone(), *size)).collect()
    }

    fn of_archive(outline: &Outline, label: &str) -> Result<Self> {
        if let Some(toc) = outline.document(TOC) {
            let toc = Toc::parse(toc).map_err(|reason| Error::member(label, TOC, escape(&reason)))?;
            return Ok(Self::of_toc(toc));
        }
        let index = outline.document(INDEX).map(Document::parse).transpose();
        let index = index.map_err(|reason| Error::member(label, INDEX, escape(&reason)))?;
        if index.is_none() && outline.blobs.is_empty() {
            let archive = label.to_owned();
            if DOCKER.iter().any(|name| outline.document(name).is_some()) {
                return Err(Error::UnknownBlobs { archive });
            }
            let reason = "it has neither index.json nor blobs".to_owned();
            return Err(Error::NotAnArchive { archive, reason });
        }
        Ok(Self {
            images: index.map(|index| images_of(index.entries())),
            blobs: outline.blobs.clone(),
            required: BTreeMap::new(),
        })
    }

    fn of_toc(toc: Toc) -> Self {
        let mut images = toc.images;
        images.extend(images_of(&toc.artifacts));
        Self {
            images: Some(images),
            blobs: toc.blobs.into_iter().map(|blob| (blob.digest, blob.size)).collect(),
            required: toc.required.into_iter().map(|blob| (blob.digest, blob.size)).collect(),
        }
    }
}

fn wanted() -> [&'static str; 4] {
    [TOC, INDEX, DOCKER[0], DOCKER[1]]
}

/// Reads what comes once: an inventory, or an archive, compressed or not. Nothing at all is the
/// inventory of an empty repository.
fn read_stream(mut reader: impl Read + Send, label: &str) -> Result<Holdings> {
    let fail = |error| Error::read(label, error);
    let start = head(&mut reader).map_err(fail)?;
    if start.is_empty() {
        return Ok(Holdings::default());
    }
    let mut plain = unwrap(Cursor::new(start).chain(reader), label)?;
    let start = head(&mut plain).map_err(fail)?;
    let is_archive = is_tar(&start);
    let plain = Cursor::new(start).chain(plain);
    if is_archive {
        return Holdings::of_archive(&outline_of_stream(plain, label, &wanted())?, label);
    }
    Ok(Holdings { blobs: read_inventory(BufReader::new(plain), label)?, ..Holdings::default() })
}

/// How something begins: as much as tells what it is.
fn head(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD);
    reader.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// Entries as images. What has no digest can be nowhere else either.
fn images_of(entries: &[Entry]) -> Vec<TocImage> {
    entries.iter().filter_map(TocImage::of).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use ocirepo_store::index::edit::Put;
    use ocirepo_store::name::Name;
    use ocirepo_store::{InitOptions, Silent};

    use super::super::{Required, TocBlob, write_inventory};
    use super::*;

    fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, name, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    /// The same from a file and from a stream.
    fn read(bytes: &[u8]) -> Result<Holdings> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let from_file = Holdings::read(&Source::parse(file.path()), &Silent);
        let label = Source::parse(file.path()).to_string();
        let from_stream = read_stream(bytes, &label);
        assert_eq!(format!("{from_file:?}"), format!("{from_stream:?}"));
        from_file
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn index(name: &str, manifest: &[u8]) -> Vec<u8> {
        let digest = Digest::sha256(manifest);
        format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":{},"annotations":{{"io.containerd.image.name":"{name}"}}}}]}}"#,
            manifest.len()
        )
        .into_bytes()
    }

    const NAME: &str = "docker.io/library/a:1";

    #[test]
    fn an_archive_holds_the_blobs_it_has_members_for() {
        let digest = Digest::sha256(b"{}");
        let blob = format!("blobs/sha256/{}", digest.encoded());
        let layout = tar(&[(&blob, b"{}"), ("index.json", &index(NAME, b"{}")), ("manifest.json", b"[]")]);
        let expected = Holdings {
            images: Some(vec![TocImage { reference: Some(NAME.to_owned()), digest: digest.clone() }]),
            blobs: BTreeMap::from([(digest, 2)]),
            required: BTreeMap::new(),
        };
        assert_eq!(read(&layout).unwrap(), expected);
        assert_eq!(read(&gzip(&layout)).unwrap(), expected);
        let nameless = read(&tar(&[(&blob, b"{}"), ("manifest.json", b"[]")])).unwrap();
        assert_eq!(nameless, Holdings { images: None, ..expected });
    }

    #[test]
    fn a_bundle_holds_what_its_table_says() {
        let (own, left) = (Digest::sha256(b"own"), Digest::sha256(b"left"));
        let image = TocImage { reference: Some(NAME.to_owned()), digest: own.clone() };
        let blobs = vec![TocBlob::whole(&own, 3)];
        let required = vec![Required { digest: left.clone(), size: 4, images: vec![NAME.to_owned()] }];
        let toc = Toc::new(vec![image.clone()], Vec::new(), blobs, required, 1);
        let bytes = tar(&[(TOC, &toc.to_bytes()), ("index.json", b"not read")]);
        let holdings = read(&bytes).unwrap();
        assert_eq!(holdings.images, Some(vec![image]));
        assert_eq!(holdings.blobs, BTreeMap::from([(own.clone(), 3)]));
        assert_eq!(holdings.with_required(), BTreeMap::from([(own, 3), (left, 4)]));
        let damaged = read(&tar(&[(TOC, b"{}")])).unwrap_err().to_string();
        assert!(damaged.contains(TOC), "{damaged}");
    }

    #[test]
    fn an_inventory_holds_blobs_and_no_images() {
        let blobs = vec![(Digest::sha256(b"a"), 1)];
        let mut text = Vec::new();
        write_inventory(&blobs, &mut text).unwrap();
        let expected = Holdings { blobs: blobs.into_iter().collect(), ..Holdings::default() };
        assert_eq!(read(&text).unwrap(), expected);
        assert_eq!(read(&gzip(&text)).unwrap(), expected);
        assert_eq!(read(b"").unwrap(), Holdings::default());
    }

    #[test]
    fn what_says_nothing_about_blobs_is_refused_by_what_it_is() {
        let docker = read(&tar(&[("manifest.json", b"[]"), ("a.json", b"{}")])).unwrap_err();
        assert!(matches!(docker, Error::UnknownBlobs { .. }), "{docker}");
        let v1 = read(&tar(&[("repositories", b"{}")])).unwrap_err();
        assert!(matches!(v1, Error::UnknownBlobs { .. }), "{v1}");
        let other = read(&tar(&[("etc/passwd", b"root")])).unwrap_err();
        assert!(matches!(other, Error::NotAnArchive { .. }), "{other}");
        let zip = read(b"PK\x03\x04 and more").unwrap_err();
        assert!(matches!(zip, Error::NotAnArchive { .. }), "{zip}");
        let text = read(b"hello\n").unwrap_err();
        assert!(matches!(text, Error::BadInventory { .. }), "{text}");
        let absent = Holdings::read(&Source::parse("/nowhere/at/all"), &Silent).unwrap_err();
        assert!(matches!(absent, Error::Read { .. }), "{absent}");
    }

    #[test]
    fn a_repository_and_one_of_its_images_hold_what_is_reached() {
        let dir = tempfile::tempdir().unwrap();
        let (repository, _) =
            Repository::init(dir.path(), InitOptions::default(), Settings::default()).unwrap();
        let lock = repository.lock_shared().unwrap();
        let ingest = lock.ingest().unwrap();
        let mut puts = Vec::new();
        let mut expected = Vec::new();
        for (name, blob) in [("a:1", "one"), ("b:1", "another")] {
            let layer = ingest.put_bytes(blob.as_bytes()).unwrap();
            let size = blob.len();
            let manifest = format!(
                r#"{{"schemaVersion":2,"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer}","size":{size}}}]}}"#
            );
            let digest = ingest.put_bytes(manifest.as_bytes()).unwrap();
            let media_type = "application/vnd.oci.image.manifest.v1+json";
            let entry = Entry::for_descriptor(media_type, &digest, manifest.len() as u64, None);
            puts.push(Put { entry, name: Some(Name::parse(name).unwrap()), replace: false });
            expected.push(BTreeMap::from([(layer, size as u64), (digest, manifest.len() as u64)]));
        }
        ingest.commit(&puts).unwrap();
        drop(lock);

        let whole = Holdings::read(&Source::parse(dir.path()), &Silent).unwrap();
        assert_eq!(whole.images.as_ref().map(Vec::len), Some(2));
        assert_eq!(whole.blobs, expected.iter().flatten().map(|(d, s)| (d.clone(), *s)).collect());
        let document = repository.index().unwrap();
        let one = Holdings::of_entries(&repository, &document, &[1]).unwrap();
        assert_eq!(one.blobs, expected[1]);
        assert_eq!(one.images.unwrap()[0].reference.as_deref(), Some("docker.io/library/b:1"));
    }
}
