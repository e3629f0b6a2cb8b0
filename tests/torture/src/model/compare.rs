//! Whether the repository on the disk is what the model says, in everything that can be seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::fs;

use anyhow::{Context as _, Result, bail};
use ocirepo_store::image::Image;
use ocirepo_store::verify::{self, Options};
use ocirepo_store::{Repository, Silent};
use ocirepo_tests::checker::check;
use ocirepo_tests::descriptor::{OCI_INDEX, OCI_MANIFEST};
use ocirepo_tests::snapshot::debris;

use super::foreign::blob_path;
use super::run::{Run, document, put};
use super::state::Entry;
use super::text::{Index, Parts};
use super::verdict::Finding;

/// Other tools pass over entries of other types.
const READ_BY_ALL: [&str; 2] = [OCI_MANIFEST, OCI_INDEX];

impl Run<'_> {
    /// Compares everything after a step.
    pub(super) fn compare(&mut self) -> Result<()> {
        self.compare_index().context("index.json")?;
        self.compare_blobs()?;
        let left = debris(self.dir);
        if !left.is_empty() {
            bail!("nothing of unfinished work may be left\nfound {left:?}");
        }
        self.compare_findings()?;
        self.compare_inventory()?;
        self.compare_images()
    }

    /// The entries, in order, with their names; what was not touched, to the byte.
    fn compare_index(&mut self) -> Result<()> {
        let bytes = fs::read(self.dir.join("index.json"))?;
        let found = Index::parse(&bytes)?;
        equal("what it holds besides its entries", &self.model.top, &found.top)?;
        let is_written = self.seen.as_ref().is_some_and(|(index, seen)| *index == found && *seen != bytes);
        if is_written {
            bail!("nothing in it was to change, and yet it was written anew");
        }
        let expected: Vec<String> = self.model.entries.iter().map(spell).collect();
        let parts = found.entries.iter().map(|text| Parts::parse(text)).collect::<Result<Vec<_>>>()?;
        let is_same = self.model.entries.len() == parts.len()
            && self.model.entries.iter().zip(&parts).all(|(entry, parts)| {
                (&entry.digest, &entry.image_name, &entry.ref_name)
                    == (&parts.digest, &parts.image_name, &parts.ref_name)
            });
        if !is_same {
            let found: Vec<String> =
                found.entries.iter().map(|text| spell(&Entry::written(text.clone(), false))).collect();
            let label = |lines: Vec<String>| {
                let lines = lines.into_iter().map(|line| self.label(&line)).collect::<Vec<_>>();
                format!("\n    {}", lines.join("\n    "))
            };
            bail!("expected these entries:{}\nfound:{}", label(expected), label(found));
        }
        for ((entry, parts), text) in self.model.entries.iter_mut().zip(parts).zip(found.entries) {
            match &entry.text {
                Some(known) if *known != text => {
                    bail!("an entry that nobody touched was changed\nexpected {known}\nfound {text}");
                }
                _ => equal("what an entry holds besides its names", &entry.rest, &parts.rest)?,
            }
            entry.text = Some(text);
        }
        self.seen = Some((self.model.index(), bytes));
        Ok(())
    }

    /// The blobs on the disk, with their sizes.
    fn compare_blobs(&self) -> Result<()> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(self.dir.join("blobs/sha256"))? {
            let entry = entry?;
            found.insert(format!("sha256:{}", entry.file_name().to_string_lossy()), entry.metadata()?.len());
        }
        let size = |(digest, blob): (&String, &super::state::Blob)| {
            (digest.clone(), self.model.size_on_disk(digest, *blob))
        };
        let expected: BTreeMap<String, u64> = self.model.blobs.iter().map(size).collect();
        self.sets(
            "blobs on the disk, with their sizes",
            &expected.into_iter().collect(),
            &found.into_iter().collect(),
        )
    }

    /// What verify finds, and in which images.
    fn compare_findings(&self) -> Result<()> {
        let report = verify::verify(&self.repository, &Options::default(), &Silent).context("verify")?;
        let finding = |finding: &verify::Finding| -> Finding {
            let images = finding.images.iter().cloned().collect();
            (finding.kind.as_str().to_owned(), finding.digest.clone(), images)
        };
        self.sets("what verify finds", &self.model.findings(), &report.findings.iter().map(finding).collect())
    }

    /// What the repository says it has: what is needed and whole.
    fn compare_inventory(&self) -> Result<()> {
        let needed = self.model.needed();
        let whole = needed.0.keys().filter(|digest| self.model.is_whole(digest));
        let expected = whole.map(|digest| (digest.clone(), self.model.catalogue.size(digest))).collect();
        let found = self.repository.inventory().context("inventory")?;
        let found = found.into_iter().map(|(digest, size)| (digest.to_string(), size)).collect();
        self.sets("the inventory", &expected, &found)
    }

    /// Whether each image is complete, and what it is called.
    fn compare_images(&self) -> Result<()> {
        let document = document(&self.repository)?;
        for (n, (entry, found)) in self.model.entries.iter().zip(document.entries()).enumerate() {
            equal("how an entry is called", &entry.label(), &found.label(n))?;
            let expected = !entry.is_strange && self.model.is_complete(&entry.digest);
            let image = Image::of(&self.repository, found);
            equal(&format!("whether {} is complete", entry.label()), &expected, &image.is_complete)?;
        }
        Ok(())
    }

    /// The end of a script: whatever was damaged is added once more, and then an independent reader finds a sound
    /// layout, with the images that the model has.
    pub(super) fn heal(&mut self) -> Result<()> {
        let strange: Vec<usize> =
            (0..self.model.entries.len()).rev().filter(|&n| self.model.entries[n].is_strange).collect();
        for n in strange {
            self.model.entries.remove(n);
            self.seen = None;
            let index = self.model.index();
            fs::write(self.dir.join("index.json"), index.written_by_others())?;
            self.model.is_ours = false;
        }
        let catalogue = self.model.catalogue;
        let before = self.model.clone();
        loop {
            // What comes in may need more.
            let needed = self.model.needed();
            let is_wanted = |digest: &&String| {
                !self.model.is_whole(digest) && (self.model.blobs.contains_key(*digest) || needed.has(digest))
            };
            let wanted: Vec<&String> = catalogue.blobs.keys().filter(is_wanted).collect();
            if wanted.is_empty() {
                break;
            }
            self.model.bring(wanted);
        }
        let brings: Vec<&String> =
            catalogue.blobs.keys().filter(|digest| self.model.is_whole(digest)).collect();
        self.tell("add every blob that is missing or damaged once more".to_owned());
        put(self.repository.lock_shared()?.ingest()?, catalogue, &brings, &[]).context("healing")?;
        self.model.settle(&before);
        self.compare()?;
        let report = check(self.dir);
        if !report.problems.is_empty() {
            bail!("an independent reader finds the layout unsound:\n{}", report.problems.join("\n"));
        }
        let needed = self.model.needed();
        let lost: Vec<&String> = report.live.iter().filter(|digest| !needed.has(digest)).collect();
        if !lost.is_empty() {
            bail!("an independent reader finds these blobs needed, which the model does not: {lost:?}");
        }
        Ok(())
    }

    fn sets<T: Ord + Debug>(&self, what: &str, expected: &BTreeSet<T>, found: &BTreeSet<T>) -> Result<()> {
        let only = |a: &BTreeSet<T>, b: &BTreeSet<T>| -> Vec<String> {
            a.difference(b).map(|item| format!("\n    {}", self.label(&format!("{item:?}")))).collect()
        };
        let (lacks, has) = (only(expected, found), only(found, expected));
        if lacks.is_empty() && has.is_empty() {
            return Ok(());
        }
        bail!("{what}\nexpected, and not found:{}\nfound, and not expected:{}", lacks.concat(), has.concat())
    }

    /// A text with what digests stand for.
    pub(super) fn label(&self, text: &str) -> String {
        let catalogue = self.model.catalogue;
        catalogue.blobs.keys().fold(text.to_owned(), |text, digest| {
            text.replace(digest.as_str(), &format!("<{}>", catalogue.label(digest)))
        })
    }
}

fn spell(entry: &Entry) -> String {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    format!(
        "{}, image name {}, ref.name {}",
        entry.digest,
        or_none(&entry.image_name),
        or_none(&entry.ref_name)
    )
}

fn equal<T: PartialEq + Debug>(what: &str, expected: &T, found: &T) -> Result<()> {
    if expected == found { Ok(()) } else { bail!("{what}\nexpected {expected:?}\nfound {found:?}") }
}

/// Every OCI image that has a ref.name which stands once, with its digest: what other tools can address.
pub(super) fn addressable(repository: &Repository) -> Result<Vec<(String, String)>> {
    let document = document(repository)?;
    let names: Vec<&str> = document.entries().iter().filter_map(|entry| entry.ref_name()).collect();
    let is_alone = |name: &str| names.iter().filter(|other| **other == name).count() == 1;
    Ok(document
        .entries()
        .iter()
        .filter_map(|entry| {
            let descriptor =
                entry.descriptor().ok().filter(|one| READ_BY_ALL.contains(&one.media_type.as_str()))?;
            let name = entry.ref_name().filter(|name| is_alone(name))?;
            Some((name.to_owned(), descriptor.digest.to_string()))
        })
        .collect())
}

/// The content of a blob.
pub(super) fn content(repository: &Repository, digest: &str) -> Result<Vec<u8>> {
    fs::read(blob_path(repository.path(), digest)).with_context(|| digest.to_owned())
}
