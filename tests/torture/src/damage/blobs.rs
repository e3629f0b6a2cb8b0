//! A damaged blob: it is found and named with all the images it breaks, nothing else is lost by it, and what
//! brings it again heals it.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use ocirepo_tests::checker::check;

use super::harm::Harm;
use super::specimen::{Listed, Specimen, Target};
use super::trial::{Finding, Findings, Trial, path_text};

/// What became of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Missing,
    WrongSize,
    /// Of the right size, with another content.
    Corrupt,
}

/// A blob that is not what it was.
struct Hurt<'s> {
    target: &'s Target,
    state: State,
}

/// A repository with a damaged blob, or with two that have changed places.
struct Case<'s> {
    specimen: &'s Specimen,
    trial: Trial,
    hurt: Vec<Hurt<'s>>,
}

/// Damages a blob and tries everything that people would do then.
pub(super) fn attempt(specimen: &Specimen, target: &Target, harm: &Harm) -> Result<()> {
    let case = Case::new(specimen, target, harm)?;
    case.is_found().context("what verify says")?;
    case.is_listed().context("what ls says")?;
    case.is_not_exported().context("what export does")?;
    case.is_not_swept().context("what gc does")?;
    case.takes_new_images().context("what add of another image does")?;
    case.is_healed_by_add().context("what add of the same images does")?;
    Case::new(specimen, target, harm)?.can_be_removed().context("what rm of what is broken does")
}

/// Damages a blob and leaves it so, for those who heal it otherwise.
pub(super) fn damaged(specimen: &Specimen, target: &Target, harm: &Harm) -> Result<Trial> {
    Ok(Case::new(specimen, target, harm)?.trial)
}

impl Hurt<'_> {
    /// A child that an index lists and the repository lacks makes a sparse image, which is legal.
    fn is_sparse(&self) -> bool {
        self.state == State::Missing && self.target.is_document && !self.target.is_root
    }

    /// Whether it cannot be known what is needed, so that nothing may be swept.
    fn is_uncertain(&self) -> bool {
        self.target.is_document && !self.is_sparse()
    }

    fn kind(&self) -> &'static str {
        match self.state {
            State::Missing if self.target.is_root => "missing-root",
            State::Missing if self.is_sparse() => "sparse",
            State::Missing => "missing",
            State::WrongSize => "wrong-size",
            State::Corrupt => "corrupt",
        }
    }

    fn is_in(&self, entry: &Listed) -> bool {
        entry.blobs.contains(&self.target.digest)
    }

    /// Whether a list shows that an entry is not complete. Parts are not read for it.
    fn shows_in(&self, entry: &Listed) -> bool {
        self.is_in(entry) && (self.target.is_document || self.state != State::Corrupt)
    }
}

impl<'s> Case<'s> {
    fn new(specimen: &'s Specimen, target: &'s Target, harm: &Harm) -> Result<Self> {
        let trial = Trial::of(&specimen.ocirepo);
        let before = trial.tree()?;
        harm.apply(trial.dir(), &path(&target.digest))?;
        let after = trial.tree()?;
        let state = |target: &Target| match (before.get(&target.digest), after.get(&target.digest)) {
            (_, None) => Some(State::Missing),
            (before, after) if before == after => None,
            (Some(before), Some(after)) if before.len() == after.len() => Some(State::Corrupt),
            _ => Some(State::WrongSize),
        };
        let hurt = specimen.targets.iter().filter_map(|target| Some(Hurt { target, state: state(target)? }));
        Ok(Self { hurt: hurt.collect(), specimen, trial })
    }

    fn has(&self, state: State) -> bool {
        self.hurt.iter().any(|hurt| hurt.state == state)
    }

    /// The entries that have what is damaged, those that are about them aside.
    fn broken(&self) -> impl Iterator<Item = &Listed> {
        self.specimen.listed.iter().filter(|entry| self.hurt.iter().any(|hurt| hurt.is_in(entry)))
    }

    /// The entries that have nothing to do with it: neither they, nor what they are about, nor what is about them.
    fn sound(&self) -> impl Iterator<Item = &Listed> {
        let is_hit = |one: &Listed| self.hurt.iter().any(|hurt| hurt.is_in(one));
        let is_about = |one: &Listed, other: &Listed| one.subject.contains(&other.digest);
        let all = &self.specimen.listed;
        all.iter().filter(move |entry| {
            let is_near = |other: &Listed| is_about(other, entry) || is_about(entry, other);
            !is_hit(entry) && !all.iter().any(|other| is_near(other) && is_hit(other))
        })
    }

    /// Exactly what is damaged is found, with every image that needs it.
    fn is_found(&self) -> Result<()> {
        let code = if self.hurt.iter().all(Hurt::is_sparse) { 0 } else { 4 };
        let found = self.trial.verify(&[code])?;
        for hurt in &self.hurt {
            let list = if hurt.is_sparse() { &found.notes } else { &found.errors };
            if !list.iter().any(|finding| self.says(finding, hurt)) {
                bail!(
                    "expected {}, {}, {:?}\nfound errors {:?}\nfound notes {:?}",
                    hurt.kind(),
                    hurt.target.digest,
                    self.concerned(hurt),
                    found.errors,
                    found.notes
                );
            }
        }
        let is_known = |it: &&Finding| self.hurt.iter().any(|hurt| self.says(it, hurt));
        let others: Vec<_> = found.errors.iter().filter(|it| !is_known(it)).collect();
        if !others.is_empty() {
            bail!("nothing else is damaged, and yet there is {others:?}");
        }
        Ok(())
    }

    /// The images that need a damaged blob.
    fn concerned(&self, hurt: &Hurt<'_>) -> BTreeSet<String> {
        let needs = |entry: &&Listed| hurt.is_in(entry) || entry.subject.contains(&hurt.target.digest);
        self.specimen.listed.iter().filter(needs).map(|entry| entry.label.clone()).collect()
    }

    /// Whether a finding is what has to be said of a damaged blob. Where a document that leads to it is damaged
    /// as well, it cannot be known which images need it, nor at which size.
    fn says(&self, (kind, digest, images): &Finding, hurt: &Hurt<'_>) -> bool {
        let all = self.concerned(hurt);
        let is_other =
            |other: &&Hurt<'_>| other.target.digest != hurt.target.digest && other.target.is_document;
        let hidden: BTreeSet<String> =
            self.hurt.iter().filter(is_other).flat_map(|other| self.concerned(other)).collect();
        let is_kind = kind == hurt.kind() || (kind == "corrupt" && all.is_subset(&hidden));
        let is_certain = |image: &&String| !hidden.contains(*image);
        // What lies there now may look like a document that is about something.
        let is_about = |other: &Hurt<'_>| {
            let mut entries = self.specimen.listed.iter();
            entries.any(|entry| entry.digest == other.target.digest && !entry.subject.is_empty())
        };
        let may_seem_more = self.hurt.iter().filter(is_other).any(is_about);
        *digest == hurt.target.digest
            && is_kind
            && (images.is_subset(&all) || may_seem_more)
            && all.iter().filter(is_certain).all(|image| images.contains(image))
    }

    /// Every entry is still listed, in order, and only what is broken is said to be so.
    fn is_listed(&self) -> Result<()> {
        let listed = self.trial.listed()?;
        let labels: Vec<&str> = listed.iter().map(|(label, _)| label.as_str()).collect();
        let expected: Vec<&str> = self.specimen.listed.iter().map(|entry| entry.label.as_str()).collect();
        if labels != expected {
            bail!("expected {expected:?}\nfound {labels:?}");
        }
        for (entry, (label, complete)) in self.specimen.listed.iter().zip(&listed) {
            let expected = !self.hurt.iter().any(|hurt| hurt.shows_in(entry));
            if *complete != expected {
                bail!("whether {label} is complete: expected {expected}, found {complete}");
            }
        }
        for entry in self.sound() {
            self.trial.run(&["inspect", &entry.label], &[0])?;
        }
        Ok(())
    }

    /// Nothing broken goes out, and nothing is left of the attempt; what is sound goes out, and is so.
    fn is_not_exported(&self) -> Result<()> {
        let output = self.trial.output("out.tar")?;
        let named = self.broken().filter(|entry| !entry.label.starts_with("sha256:"));
        let mut wanted = vec![vec!["export", "-o", &output]];
        wanted.extend(named.take(2).map(|entry| vec!["export", &entry.label, "-o", &output]));
        for args in wanted {
            self.trial.run(&args, &[4])?;
            let left = self.trial.outputs()?;
            if !left.is_empty() {
                bail!("`ocirepo {}` failed and left {left:?}", args.join(" "));
            }
        }
        if let Some(entry) = self.sound().next() {
            self.trial.run(&["export", &entry.label, "-o", &output], &[0])?;
            self.trial.run(&["verify", &output], &[0])?;
        }
        Ok(())
    }

    /// gc refuses where it cannot know what is needed; elsewhere it sweeps what no image can need, and no more.
    fn is_not_swept(&self) -> Result<()> {
        let before = self.trial.tree()?;
        if self.hurt.iter().any(Hurt::is_uncertain) {
            for args in [&["gc", "--dry-run"][..], &["gc"]] {
                let said = self.trial.json(args, &[4])?;
                let names = |hurt: &Hurt<'_>| {
                    let lists = ["missing", "broken"].iter().filter_map(|list| said[list].as_array());
                    lists.flatten().any(|it| it["digest"] == *hurt.target.digest)
                };
                // One document may hide another.
                if !self.hurt.iter().filter(|hurt| hurt.is_uncertain()).any(names) {
                    bail!("`ocirepo {}` refuses and does not name the culprit: {said}", args.join(" "));
                }
                self.trial.is_untouched(&before, "a refused gc")?;
            }
            return Ok(());
        }
        let garbage = check(self.trial.dir()).garbage;
        if !garbage.contains(&self.specimen.orphan) {
            bail!("an independent reader does not find the orphan");
        }
        // A dry run first: both have to say the same.
        let said = self.trial.json(&["gc", "--dry-run"], &[0])?;
        self.trial.is_untouched(&before, "a dry run of gc")?;
        let done = self.trial.json(&["gc"], &[0])?;
        if said["swept"] != done["swept"] {
            bail!("the dry run says {}, the real one {}", said["swept"], done["swept"]);
        }
        let mut expected = before;
        expected.retain(|path, _| !garbage.contains(path));
        self.trial.is_untouched(&expected, "gc")
    }

    /// Damage elsewhere keeps nobody from adding, and adding hides no damage.
    fn takes_new_images(&self) -> Result<()> {
        let before = self.trial.verify(&[0, 4])?.errors;
        self.trial.run(&["add", path_text(&self.specimen.news)], &[0])?;
        let names: Vec<String> = self.trial.listed()?.into_iter().map(|(label, _)| label).collect();
        if !names.contains(&self.specimen.news_name.to_owned()) {
            bail!("{} was added and is not listed", self.specimen.news_name);
        }
        let [one, other] = [&self.specimen.listed[0], &self.specimen.listed[1]];
        let shares = self.hurt.iter().any(|hurt| hurt.is_in(one) && hurt.is_in(other));
        let after = self.trial.verify(&[0, 4])?.errors;
        // What the new image shares may have been healed by it, or break it too.
        if !shares && before != after {
            bail!("before, verify found {before:?}\nthen {after:?}");
        }
        Ok(())
    }

    /// Whoever brings the images again heals what is not there or has another size.
    fn is_healed_by_add(&self) -> Result<()> {
        let is_corrupt = self.has(State::Corrupt);
        let codes: &[i32] = if is_corrupt { &[0, 4] } else { &[0] };
        self.trial.run(&["add", path_text(&self.specimen.good())], codes)?;
        let Findings { errors, notes } = self.trial.verify(&[0, 4])?;
        let is_healed = errors.is_empty() && notes.iter().all(|(kind, ..)| kind != "sparse");
        if !is_corrupt && !is_healed {
            bail!("every blob was brought again, and still there is {errors:?} {notes:?}");
        }
        if is_healed {
            is_whole(&self.trial, self.specimen)?;
            self.trial.run(&["gc"], &[0])?;
            is_whole(&self.trial, self.specimen)?;
        }
        Ok(())
    }

    /// What is broken can be taken out, by name or by digest, and then the rest is a sound repository. A referrer
    /// stays with what it is about, listed or not, so that goes too.
    fn can_be_removed(&self) -> Result<()> {
        let broken: Vec<&Listed> = self.broken().collect();
        let is_subject = |entry: &Listed| broken.iter().any(|one| one.subject.contains(&entry.digest));
        let goes = |entry: &&Listed| broken.iter().any(|one| one.label == entry.label) || is_subject(entry);
        let labels: Vec<&str> =
            self.specimen.listed.iter().filter(goes).map(|entry| entry.label.as_str()).collect();
        self.trial.run(&[&["rm"], labels.as_slice()].concat(), &[0])?;
        self.trial.run(&["gc"], &[0])?;
        let found = self.trial.verify(&[0])?;
        if !found.errors.is_empty() {
            bail!("after gc, verify finds {:?}", found.errors);
        }
        for entry in self.sound() {
            self.trial.run(&["verify", &entry.label], &[0])?;
        }
        Ok(())
    }
}

/// Every entry that there was is there, with every blob.
pub(super) fn is_whole(trial: &Trial, specimen: &Specimen) -> Result<()> {
    let report = check(trial.dir());
    if !report.problems.is_empty() {
        bail!("an independent reader finds:\n{}", report.problems.join("\n"));
    }
    let listed = trial.listed()?;
    for entry in &specimen.listed {
        if !listed.contains(&(entry.label.clone(), true)) {
            bail!("{} is not listed as complete: {listed:?}", entry.label);
        }
        let lost: Vec<&String> = entry.blobs.iter().filter(|digest| !report.live.contains(*digest)).collect();
        if !lost.is_empty() {
            bail!("{} has lost {lost:?}", entry.label);
        }
    }
    Ok(())
}

/// Where a blob is.
pub(super) fn path(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}
