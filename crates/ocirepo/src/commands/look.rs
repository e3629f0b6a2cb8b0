//! What a verb looks at that only reads: the repository, or an archive where it lies.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use anyhow::Result;
use ocirepo_store::graph::{Documents, Graph, Loaded, Referrers, Wanted, walk};
use ocirepo_store::image::Image;
use ocirepo_store::index::{Document, Entry};
use ocirepo_store::name::Pattern;
use ocirepo_store::{Digest, Repository};
use ocirepo_transfer::{PeekOptions, Peeked, PeekedVolume, Source, peek};

use crate::context::Context;
use crate::exit::UsageError;
use crate::render;

/// Something that lists images, and has their documents.
pub(crate) struct View<'a> {
    pub(crate) document: &'a Document,
    pub(crate) documents: &'a dyn Documents,
    pub(crate) jobs: usize,
    /// What to call it in messages.
    pub(crate) path: &'a Path,
    repository: Option<&'a Repository>,
    /// What a delta leaves to its receiver: the size of each blob.
    base: HashMap<Digest, u64>,
}

/// What a receiver has of the images of a delta: what it brings, and what is left to him.
struct Received<'a> {
    delta: &'a dyn Documents,
    base: &'a HashMap<Digest, u64>,
}

impl Documents for Received<'_> {
    fn load(&self, wanted: &Wanted<'_>) -> Loaded {
        self.delta.load(wanted)
    }

    fn blob_size(&self, digest: &Digest) -> ocirepo_store::Result<Option<u64>> {
        Ok(self.delta.blob_size(digest)?.or_else(|| self.base.get(digest).copied()))
    }
}

impl View<'_> {
    /// What is about what. In a repository that is looked for beside index.json as well.
    pub(crate) fn referrers(&self) -> Result<Referrers> {
        let graph: Graph = match self.repository {
            Some(repository) => repository.graph(self.document)?,
            None => walk(self.documents, self.document, self.jobs),
        };
        Ok(Referrers::of(&graph, self.document))
    }

    /// What to say of an image that is not complete, if that is only because something is left to the
    /// receiver.
    pub(crate) fn beside_base(&self, entry: &Entry) -> Option<&'static str> {
        let root = entry.descriptor().ok().filter(|_| !self.base.is_empty())?;
        if self.base.get(&root.digest) == Some(&root.size) {
            return Some("in its base");
        }
        let received = Received { delta: self.documents, base: &self.base };
        Image::of(&received, entry).is_complete.then_some("complete with its base")
    }

    /// Where the one image stands in the index. Nameless images beside named ones are about those.
    pub(crate) fn only_image(&self) -> Result<usize> {
        let entries = self.document.entries();
        let is_named = entries.iter().any(Entry::is_named);
        let counts = |entry: &Entry| !is_named || entry.is_named();
        let images: BTreeSet<_> =
            entries.iter().filter(|entry| counts(entry)).map(Entry::digest_text).collect();
        match entries.iter().position(counts).filter(|_| images.len() == 1) {
            Some(position) => Ok(position),
            None => {
                let path = render::safe(&self.path.display().to_string());
                let images = render::count(images.len() as u64, "image");
                let named: BTreeSet<_> = entries
                    .iter()
                    .filter_map(Entry::name)
                    .map(|name| render::safe(&name.to_string()))
                    .collect();
                let mut names = some_of(named.iter().map(String::as_str));
                if named.len() > MOST_NAMED {
                    names = format!("{names} names, which `ocirepo ls {path}` lists");
                }
                let cure = format!("name one, with `--in {path}` behind it");
                let names = if names.is_empty() { names } else { format!(": {names}") };
                Err(UsageError(format!("{path} holds {images}; {cure}{names}")).into())
            }
        }
    }
}

/// Looks at a repository.
pub(crate) fn at_repository<R>(
    repository: &Repository,
    look: impl FnOnce(&View<'_>) -> Result<R>,
) -> Result<R> {
    let document = repository.index()?;
    look(&view(repository, &document))
}

/// A repository with what its index.json said when it was read.
pub(crate) fn view<'a>(repository: &'a Repository, document: &'a Document) -> View<'a> {
    View {
        document,
        documents: repository,
        jobs: repository.jobs(),
        path: repository.path(),
        repository: Some(repository),
        base: HashMap::new(),
    }
}

/// Looks at what a user points at: another repository, a bundle, or any other archive.
pub(crate) fn at_source<R>(
    source: &str,
    context: &Context,
    look: impl FnOnce(&View<'_>) -> Result<R>,
) -> Result<R> {
    if let Some(repository) = repository_at(source, context) {
        return at_repository(&repository, look);
    }
    let parsed = Source::parse(source);
    let looked = |peeked: &Peeked<'_>| {
        tell(peeked, &parsed, context);
        let path = Path::new(source);
        let (document, jobs) = (&peeked.document, peeked.jobs());
        let base = peeked.required().iter().map(|blob| (blob.digest.clone(), blob.size)).collect();
        look(&View { document, documents: peeked, jobs, path, repository: None, base })
    };
    peek(&parsed, &peek_options(context), &context.reporter(), looked)?
}

/// How archives are to be looked into.
pub(crate) fn peek_options(context: &Context) -> PeekOptions {
    let settings = context.settings();
    let mut options = PeekOptions::new(std::env::temp_dir());
    (options.jobs, options.stop) = (settings.jobs, settings.stop);
    options
}

/// The repository in a directory. One that is an unpacked docker archive as well is looked at as what
/// both make of it.
pub(crate) fn repository_at(source: &str, context: &Context) -> Option<Repository> {
    let path = Path::new(source);
    if source == "-" || !path.is_dir() || path.join("manifest.json").exists() {
        return None;
    }
    Repository::open(path, context.settings()).ok()
}

/// The entries that a word means: a reference, or a pattern over names.
pub(crate) fn entries_of(repository: &Repository, document: &Document, word: &str) -> Result<Vec<usize>> {
    let found = repository.resolve(document, word);
    // A name may have brackets in it, such as [::1]:5000/a.
    if found.is_ok() || !word.contains(['*', '?', '[']) {
        return Ok(found?.positions);
    }
    let pattern = Pattern::new(word)
        .map_err(|error| UsageError(format!("{word} is neither a name nor a pattern: {error}")))?;
    Ok(repository.resolve_glob(document, &pattern)?)
}

/// Whether a word of the command line is something to look at, and no reference.
pub(crate) fn is_source(word: &str) -> bool {
    word == "-" || Path::new(word).exists()
}

/// Whether there is no repository, rather than one that cannot be used.
pub(crate) fn is_no_repository(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ocirepo_store::Error::NotARepository { .. }))
}

/// The repository in which a word is looked for, or that it is no path either.
pub(crate) fn or_no_path(opened: Result<Repository>, word: &str) -> Result<Repository> {
    opened.map_err(|error| match is_no_repository(&error) {
        true => error.context(format!("there is no file or directory {word}")),
        false => error,
    })
}

/// So many blobs or images are named.
const MOST_NAMED: usize = 5;

/// The first of many: `a, b and 3 more`.
fn some_of<'n>(all: impl ExactSizeIterator<Item = &'n str>) -> String {
    let more = all.len().saturating_sub(MOST_NAMED);
    let named = all.take(MOST_NAMED).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}

/// Says what is special about an archive.
fn tell(peeked: &Peeked<'_>, source: &Source, context: &Context) {
    for warning in &peeked.warnings {
        context.warn(&format!("{source}: {warning}"));
    }
    if let Some(PeekedVolume { number, volumes, .. }) = peeked.volume {
        let which = number.map_or_else(|| "a volume".to_owned(), |number| format!("volume {number}"));
        context.say(&format!("{source} is {which} of {volumes}: what is in the others counts as absent"));
    }
    let required = peeked.required();
    if !required.is_empty() {
        let blobs = render::count(required.len() as u64, "blob");
        let bytes = required.iter().fold(0_u64, |sum, blob| sum.saturating_add(blob.size));
        context.say(&format!(
            "{source} leaves {blobs} ({}) to its receiver: {}",
            render::size(bytes),
            some_of(required.iter().map(|blob| blob.digest.as_str()))
        ));
    }
}
