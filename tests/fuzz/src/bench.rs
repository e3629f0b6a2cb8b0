//! Two repositories that begin the same, to bring an archive into one as a file and into the other
//! as a stream.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ocirepo_store::index::Entry;
use ocirepo_store::index::edit::Put;
use ocirepo_store::name::{Name, RefPolicy};
use ocirepo_store::{Digest, InitOptions, Repository, Settings};
use tempfile::TempDir;

/// How an archive comes in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    File,
    Stream,
}

pub(crate) const WAYS: [Way; 2] = [Way::File, Way::Stream];

/// What the repositories begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Start {
    pub(crate) policy: RefPolicy,
    /// Whether there is an image in them, under a name that archives like to give.
    pub(crate) is_filled: bool,
}

/// The repositories, used again as long as nothing comes into them.
pub(crate) struct Bench {
    dir: TempDir,
    start: Option<Start>,
    fresh: BTreeMap<PathBuf, Vec<u8>>,
}

const IMAGE: &[u8] = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#;
const LOCKS: &[&str] = &["gate", "lock", "index.lock"];

impl Bench {
    /// # Panics
    /// When there is no place for it.
    pub(crate) fn new() -> Self {
        // What is made and thrown away a thousand times is best made in memory.
        let memory = Path::new("/dev/shm");
        let is_chosen = std::env::var_os("TMPDIR").is_some();
        let parent = if memory.is_dir() && !is_chosen { memory.to_owned() } else { std::env::temp_dir() };
        let dir = tempfile::Builder::new().prefix("ocirepo-fuzz-").tempdir_in(parent);
        let dir = dir.expect("a temporary directory can be made");
        let bench = Self { dir, start: None, fresh: BTreeMap::new() };
        fs::create_dir(bench.spool()).expect("a directory can be made");
        bench
    }

    /// Where a rehearsal keeps what it has to read again.
    pub(crate) fn spool(&self) -> PathBuf {
        self.dir.path().join("spool")
    }

    /// Makes the repositories what they are to begin with, unless they still are.
    pub(crate) fn begin(&mut self, start: Start) {
        if self.start != Some(start) {
            WAYS.iter().for_each(|way| self.make(*way, start));
            self.fresh = self.contents(Way::File);
            self.start = Some(start);
        }
    }

    /// To be said when something came into the repositories.
    pub(crate) fn spoiled(&mut self) {
        self.start = None;
    }

    #[allow(clippy::disallowed_methods, reason = "the repository is ours, and nobody else's")]
    fn make(&self, way: Way, start: Start) {
        let path = self.path(way);
        if path.exists() {
            fs::remove_dir_all(&path).expect("what we made can be removed");
        }
        let options = InitOptions { policy: Some(start.policy), adopt: false };
        let (repository, _) =
            Repository::init(&path, options, Settings::default()).expect("a repository can be made");
        let lock = repository.lock_shared().expect("nobody else has a lock");
        let ingest = lock.ingest().expect("a session can begin");
        // The first session leaves directories that every further one finds, committed or not.
        for blob in [IMAGE, b"{}"] {
            ingest.put_bytes(blob).expect("a blob can be staged");
        }
        if start.is_filled {
            let media_type = "application/vnd.oci.image.manifest.v1+json";
            let entry = Entry::for_descriptor(media_type, &Digest::sha256(IMAGE), IMAGE.len() as u64, None);
            let name = Some(Name::parse("a:1").expect("a name"));
            ingest.commit(&[Put { entry, name, replace: false }]).expect("an image can be committed");
        }
    }

    pub(crate) fn repository(&self, way: Way) -> Repository {
        Repository::open(&self.path(way), Settings::default()).expect("the repository was just made")
    }

    fn path(&self, way: Way) -> PathBuf {
        self.dir.path().join(format!("{way:?}"))
    }

    /// The file that is imported.
    pub(crate) fn source(&self) -> PathBuf {
        self.dir.path().join("source.tar")
    }

    /// A file that is not what it was at the beginning.
    pub(crate) fn changed(&self, way: Way) -> Option<PathBuf> {
        let now = self.contents(way);
        let mut paths = now.keys().chain(self.fresh.keys());
        paths.find(|path| now.get(*path) != self.fresh.get(*path)).cloned()
    }

    /// Everything in a repository but its locks.
    pub(crate) fn contents(&self, way: Way) -> BTreeMap<PathBuf, Vec<u8>> {
        let root = self.path(way);
        let mut contents = BTreeMap::new();
        let mut open = vec![root.clone()];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(&dir).expect("a directory of the repository") {
                let path = entry.expect("a directory of the repository").path();
                if path.is_dir() {
                    open.push(path.clone());
                }
                if !LOCKS.iter().any(|lock| path.file_name().is_some_and(|name| name == *lock)) {
                    let name = path.strip_prefix(&root).expect("it lies in the repository").to_owned();
                    contents.insert(name, fs::read(&path).unwrap_or_default());
                }
            }
        }
        contents
    }
}
