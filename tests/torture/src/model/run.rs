//! A script in progress: every step is done to a repository on the disk and to the model, and then the two are
//! compared.

use std::fmt::Debug;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use ocirepo_store::gc::{self, Options};
use ocirepo_store::index::edit::{Put, PutOutcome};
use ocirepo_store::index::{Document, Entry as StoreEntry};
use ocirepo_store::ingest::{Committed, Ingest};
use ocirepo_store::name::{Name as StoreName, RefPolicy};
use ocirepo_store::remove::{self, Selection};
use ocirepo_store::{Error, ErrorKind, InitOptions, Repository, Settings, Silent, set_policy, tag};

use super::catalogue::Catalogue;
use super::names::{NAMES, Name, Policy};
use super::naming::{Outcome, Query, Wanted};
use super::script::{self, Script, Start, Step, Write};
use super::state::{Blob, Model, Refusal};
use super::text::{Index, Parts};

/// A repository on the disk, the model of it, and what was done so far.
pub(super) struct Run<'c> {
    pub(super) dir: &'c Path,
    pub(super) repository: Repository,
    pub(super) model: Model<'c>,
    /// Each step as a person would write it.
    pub(super) told: Vec<String>,
    /// Counts entries, so that each has a member of its own.
    pub(super) stamp: usize,
    /// index.json as it was seen last, unless another tool has written it since.
    pub(super) seen: Option<(Index, Vec<u8>)>,
}

/// Runs a script to its end in an empty directory. What was done is in `told`, also when it fails.
pub(super) fn run(catalogue: &Catalogue, dir: &Path, script: &Script, told: &mut Vec<String>) -> Result<()> {
    let mut run = Run::begin(catalogue, dir, &script.start, told)?;
    let outcome = run.steps(&script.steps);
    *told = run.told;
    outcome
}

impl<'c> Run<'c> {
    fn begin(catalogue: &'c Catalogue, dir: &'c Path, start: &Start, told: &mut Vec<String>) -> Result<Self> {
        let mut model = Model::new(catalogue);
        match start {
            Start::Init(policy) => {
                told.push(format!("init --ref-policy {policy}"));
                let options = InitOptions { policy: Some(real(*policy)), adopt: false };
                Repository::init(dir, options, settings()).context("init")?;
                (model.policy, model.is_ours) = (Some(*policy), true);
            }
            Start::Foreign(entries) => {
                told.push(format!("another tool makes a layout of {} images", entries.len()));
                super::foreign::make_layout(&mut model, dir)?;
                for (thing, spelling) in entries {
                    told.push(super::foreign::append(&mut model, dir, *thing, *spelling)?);
                }
            }
        }
        let repository = Repository::open(dir, settings()).context("opening it")?;
        let mut run = Self { dir, repository, model, told: std::mem::take(told), stamp: 0, seen: None };
        let compared = run.compare();
        told.clone_from(&run.told);
        compared.map(|()| run)
    }

    fn steps(&mut self, steps: &[Step]) -> Result<()> {
        for step in steps {
            self.step(step)?;
            self.compare()?;
        }
        self.heal()
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Add { puts, replace } => self.add(puts, *replace),
            Step::Tag { query, names, replace } => self.tag(*query, names, *replace),
            Step::Remove { queries, untagged, keep_referrers } => {
                self.remove(queries, *untagged, *keep_referrers)
            }
            Step::Collect { prune, ignore_missing_roots } => self.collect(*prune, *ignore_missing_roots),
            Step::Policy(policy) => self.convert(*policy),
            Step::Foreign(edit) => {
                self.seen = None;
                let told = super::foreign::edit(&mut self.model, self.dir, edit)?;
                self.tell(told);
                Ok(())
            }
            Step::Orphans(thing) => {
                let thing = &self.model.catalogue.things[*thing];
                self.tell(format!("another tool writes the blobs of {}, and no entry", thing.label));
                super::foreign::write_blobs(&mut self.model, self.dir, &thing.brings)
            }
            Step::Garbage(number) => {
                let digest = Catalogue::garbage(*number);
                self.tell(format!("another tool writes {}", self.model.catalogue.label(&digest)));
                super::foreign::write_blobs(&mut self.model, self.dir, &[digest])
            }
            Step::Truncate(number) => self.damage(*number, true),
            Step::Delete(number) => self.damage(*number, false),
            Step::Abandon(thing) => self.abandon(*thing),
            Step::Reopen => {
                self.tell("reopen the repository".to_owned());
                self.repository = Repository::open(self.dir, settings()).context("reopening")?;
                Ok(())
            }
            Step::Torn(write) => self.torn(*write),
        }
    }

    pub(super) fn tell(&mut self, line: String) {
        self.told.push(line);
    }

    fn add(&mut self, puts: &[script::Put], replace: bool) -> Result<()> {
        let things = &self.model.catalogue.things;
        let texts: Vec<String> = puts
            .iter()
            .map(|(thing, name)| {
                let name = name.map_or("no name", |name| NAMES[name].typed);
                format!("{} as {name}", things[*thing].label)
            })
            .collect();
        self.tell(format!("add {}{}", texts.join(", "), if replace { ", --replace" } else { "" }));
        let mut wanted = Vec::new();
        let mut real_puts = Vec::new();
        let mut brings: Vec<&String> = Vec::new();
        for (thing, name) in puts {
            let thing = &things[*thing];
            self.stamp += 1;
            let text = format!(
                r#"{{"mediaType":"{}","digest":"{}","size":{},"x-stamp":{}.0,"annotations":{{"stamp":"{}"}}}}"#,
                thing.manifest.media_type,
                thing.manifest.digest,
                thing.manifest.bytes.len(),
                self.stamp,
                self.stamp
            );
            let Parts { digest, rest, .. } = Parts::parse(&text)?;
            wanted.push(Wanted { digest, rest, name: name.map(Name::known), replace });
            let entry = StoreEntry::parse(&text).map_err(anyhow::Error::msg)?;
            real_puts.push(Put { entry, name: name.map(real_name).transpose()?, replace });
            brings.extend(thing.brings.iter().filter(|one| !brings.contains(one)).collect::<Vec<_>>());
        }
        let before = self.model.clone();
        let expected =
            if self.model.collide(&wanted) { Err(Refusal::Conflict) } else { self.model.put_all(&wanted) };
        let new = brings.iter().filter(|digest| !before.is_whole(digest)).count() as u64;
        if expected.is_ok() {
            self.model.settle(&before);
            self.model.bring(brings.iter().copied());
        }
        self.rehearse(&brings, &real_puts, &expected)?;
        let lock = self.repository.lock_shared()?;
        let done = put(lock.ingest()?, before.catalogue, &brings, &real_puts);
        if let Ok(done) = &done
            && (done.counts.new, done.counts.reused) != (new, brings.len() as u64 - new)
        {
            bail!("expected {new} of {} blobs to be new\nfound {:?}", brings.len(), done.counts);
        }
        same("what add does", &expected, done.map(|done| outcomes(&done.puts)))
    }

    /// A dry run says what will be done, and does nothing.
    fn rehearse(
        &self,
        brings: &[&String],
        puts: &[Put],
        expected: &Result<Vec<Outcome>, Refusal>,
    ) -> Result<()> {
        let index = || std::fs::read(self.dir.join("index.json"));
        let (before, spool) = (index()?, std::env::temp_dir());
        let reading = self.repository.lock_reading()?;
        let done = put(reading.rehearse(&spool), self.model.catalogue, brings, puts);
        same("what a dry run says", expected, done.map(|done| outcomes(&done.puts)))?;
        if before == index()? { Ok(()) } else { bail!("a dry run of add has changed index.json") }
    }

    fn tag(&mut self, query: script::Query, names: &[usize], replace: bool) -> Result<()> {
        let (asked, query) = self.query(query);
        let typed: Vec<&str> = names.iter().map(|&name| NAMES[name].typed).collect();
        let flag = if replace { " --replace" } else { "" };
        self.tell(format!("tag{flag} {asked} {}", typed.join(" ")));
        let before = self.model.clone();
        let known: Vec<Name> = names.iter().map(|&name| Name::known(name)).collect();
        let expected = self.model.tag(&query, &known, replace);
        if expected.is_ok() {
            self.model.settle(&before);
        }
        let names = names.iter().map(|&name| real_name(name)).collect::<Result<Vec<_>>>()?;
        let done = tag(&self.repository.lock_shared()?, &asked, &names, replace);
        let done = done.map(|done| done.into_iter().map(|one| one.outcome).collect::<Vec<_>>());
        same("what tag does", &expected, done.map(|done| outcomes(&done)))
    }

    fn remove(&mut self, queries: &[script::Query], untagged: bool, keep_referrers: bool) -> Result<()> {
        let queries: Vec<(String, Query)> = queries.iter().map(|&query| self.query(query)).collect();
        let asked: Vec<String> = queries.iter().map(|(asked, _)| asked.clone()).collect();
        let flags = [(untagged, " --untagged"), (keep_referrers, " --keep-referrers")];
        let flags: String = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| *flag).collect();
        self.tell(format!("rm{flags} {}", asked.join(" ")));
        let before = self.model.clone();
        let queries: Vec<Query> = queries.into_iter().map(|(_, query)| query).collect();
        let expected = self.model.remove(&queries, untagged, keep_referrers);
        if expected.is_ok() {
            self.model.settle(&before);
        }
        let labels = |gone: std::collections::BTreeSet<usize>| -> Vec<String> {
            gone.into_iter().map(|n| before.entries[n].label()).collect()
        };
        let selection = Selection { queries: asked, globs: Vec::new(), untagged, keep_referrers };
        let done = remove::remove(&self.repository.lock_shared()?, &selection);
        let done =
            done.map(|plan| plan.removals.into_iter().map(|removal| removal.label).collect::<Vec<_>>());
        same("what rm takes out", &expected.map(labels), done)
    }

    fn convert(&mut self, policy: Policy) -> Result<()> {
        self.tell(format!("config ref-policy {policy}"));
        let before = self.model.clone();
        let expected = self.model.convert(policy).map(|renamed| (real(before.policy()), renamed));
        if expected.is_ok() {
            self.model.settle(&before);
            self.model.policy = Some(policy);
        }
        let done = set_policy(&self.repository.lock_shared()?, real(policy));
        same("what the conversion says", &expected, done.map(|done| (done.from, done.renamed)))
    }

    fn collect(&mut self, prune: bool, ignore_missing_roots: bool) -> Result<()> {
        let flags = [(prune, " --prune-referrers"), (ignore_missing_roots, " --ignore-missing-roots")];
        let flags: String = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| *flag).collect();
        self.tell(format!("gc{flags}"));
        let options = Options { prune_referrers: prune, ignore_missing_roots, ..Options::default() };
        let expected = self.model.collect(prune, ignore_missing_roots);
        let said = |plan: &gc::Plan| {
            let swept = plan.garbage.iter().map(|blob| blob.digest.to_string()).collect();
            let pruned = if plan.is_refused() { Vec::new() } else { plan.pruned.clone() };
            super::removal::Collected { is_refused: plan.is_refused(), pruned, swept }
        };
        let planned = gc::plan(&self.repository, &options, &Silent);
        same("what a dry run of gc says", &Ok(expected.clone()), planned.map(|plan| said(&plan)))?;
        let done = gc::collect(&self.repository, &options, &Silent);
        same("what gc does", &Ok(expected), done.map(|(plan, _)| said(&plan)))
    }

    fn damage(&mut self, number: usize, cut: bool) -> Result<()> {
        let count = self.model.blobs.len().max(1);
        let Some((digest, blob)) = self.model.blobs.iter().nth(number % count) else { return Ok(()) };
        let (digest, size) = (digest.clone(), self.model.size_on_disk(digest, *blob));
        let what = if cut { "cut to half" } else { "delete" };
        self.tell(format!("{what} {}", self.model.catalogue.label(&digest)));
        let path = super::foreign::blob_path(self.dir, &digest);
        let bytes = std::fs::read(&path)?;
        // A new file: the old one may be linked elsewhere.
        std::fs::remove_file(&path)?;
        if cut {
            std::fs::write(&path, &bytes[..bytes.len() / 2])?;
            if size > 0 {
                self.model.blobs.insert(digest, Blob::Cut(size / 2));
            }
        } else {
            self.model.blobs.remove(&digest);
        }
        Ok(())
    }

    fn abandon(&mut self, thing: usize) -> Result<()> {
        let thing = &self.model.catalogue.things[thing];
        self.told.push(format!("begin to add {}, and stop before the commit", thing.label));
        let lock = self.repository.lock_shared()?;
        let ingest = lock.ingest()?;
        for digest in &thing.brings {
            ingest.put_bytes(&self.model.catalogue.blobs[digest])?;
        }
        Ok(())
    }

    /// While index.json is bad, nobody may write anything.
    fn torn(&mut self, write: Write) -> Result<()> {
        self.tell(format!("index.json is cut while somebody wants to {write:?}"));
        let path = self.dir.join("index.json");
        let good = std::fs::read(&path)?;
        let bad = &good[..good.len() / 2];
        std::fs::write(&path, bad)?;
        let done = self.try_to(write);
        if !matches!(&done, Err(error) if error.kind() == ErrorKind::Corrupt) {
            bail!("expected a refusal, as index.json is bad\nfound {done:?}");
        }
        if std::fs::read(&path)? != bad {
            bail!("expected a bad index.json to stay as it is\nfound that it was replaced");
        }
        std::fs::write(&path, good)?;
        Ok(())
    }

    fn try_to(&self, write: Write) -> Result<(), Error> {
        let thing = &self.model.catalogue.things[0];
        match write {
            Write::Add => {
                let text = thing.manifest.descriptor().to_string();
                let entry = StoreEntry::parse(&text).expect("it is JSON");
                let brings: Vec<&String> = thing.brings.iter().collect();
                let puts = [Put { entry, name: None, replace: false }];
                let lock = self.repository.lock_shared()?;
                put(lock.ingest()?, self.model.catalogue, &brings, &puts).map(drop)
            }
            Write::Remove => {
                let selection = Selection { untagged: true, ..Selection::default() };
                remove::remove(&self.repository.lock_shared()?, &selection).map(drop)
            }
            Write::Collect => gc::collect(&self.repository, &Options::default(), &Silent).map(drop),
            Write::Policy => set_policy(&self.repository.lock_shared()?, RefPolicy::Tag).map(drop),
        }
    }

    /// A query as it is typed, and what the model makes of it.
    fn query(&self, query: script::Query) -> (String, Query) {
        let digest = |thing: usize| self.model.catalogue.things[thing].manifest.digest.clone();
        match query {
            script::Query::Name(n) => (NAMES[n].typed.to_owned(), Query::Name(Name::known(n))),
            script::Query::Digest(thing) => (digest(thing), Query::Digest(digest(thing))),
            script::Query::Prefix(thing) => {
                let prefix = digest(thing)[..19].to_owned();
                (prefix["sha256:".len()..].to_owned(), Query::Prefix(prefix))
            }
            script::Query::Position(n) => (format!("@{n}"), Query::Position(n)),
        }
    }
}

/// Brings blobs in and commits entries, in one session.
pub(super) fn put(
    ingest: Ingest<'_>,
    catalogue: &Catalogue,
    brings: &[&String],
    puts: &[Put],
) -> Result<Committed, Error> {
    for digest in brings {
        ingest.put_bytes(&catalogue.blobs[*digest])?;
    }
    ingest.commit(puts)
}

/// Whether the store did what the model says, refusals included.
fn same<T: PartialEq + Debug>(
    what: &str,
    expected: &Result<T, Refusal>,
    found: Result<T, Error>,
) -> Result<()> {
    let kind = |error: &Error| match error.kind() {
        ErrorKind::NotFound => Some(Refusal::NotFound),
        ErrorKind::Conflict => Some(Refusal::Conflict),
        ErrorKind::Corrupt => Some(Refusal::Corrupt),
        _ => None,
    };
    let is_same = match (expected, &found) {
        (Ok(expected), Ok(found)) => expected == found,
        (Err(expected), Err(error)) => kind(error) == Some(*expected),
        _ => false,
    };
    if is_same { Ok(()) } else { Err(anyhow!("{what}\nexpected {expected:?}\nfound {found:?}")) }
}

fn outcomes(puts: &[PutOutcome]) -> Vec<Outcome> {
    let outcome = |put: &PutOutcome| Outcome {
        previous: put.previous.clone(),
        unchanged: put.unchanged,
        displaced: put.displaced.len(),
    };
    puts.iter().map(outcome).collect()
}

pub(super) fn settings() -> Settings {
    Settings { jobs: 1, ..Settings::default() }
}

const fn real(policy: Policy) -> RefPolicy {
    match policy {
        Policy::Full => RefPolicy::Full,
        Policy::Tag => RefPolicy::Tag,
    }
}

/// A tag that stands alone cannot be typed; it comes from layouts that name their images so.
fn real_name(number: usize) -> Result<StoreName> {
    let known = &NAMES[number];
    match known.full {
        Some(_) => Ok(StoreName::parse(known.typed)?),
        None => StoreName::from_annotations(None, Some(known.tag)).context("a tag is a name"),
    }
}

/// The store's own view of index.json.
pub(super) fn document(repository: &Repository) -> Result<Document> {
    repository.index().context("reading index.json")
}
