//! A damaged file of a bundle that waits for volumes: what waits is never taken for what it is not, gc keeps
//! what the bundle needs or sweeps nothing, and good volumes complete it all the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use ocirepo_tests::checker::check;
use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::image::ImageSpec;
use ocirepo_tests::layout::Layout;

use super::harm::Harm;
use super::specimen::done;
use super::trial::{Trial, path_text};
use crate::context::Context;

const APP: &str = "docker.io/test/app:1";
const HELD: &str = "docker.io/test/held:1";

/// A repository in which all volumes of a bundle but the last wait.
#[derive(Debug)]
pub(super) struct Waiting {
    ocirepo: Ocirepo,
    volumes: Vec<PathBuf>,
    /// What the bundle goes by.
    id: String,
    /// One of each kind of file that it has there.
    pub(super) files: Vec<(&'static str, String)>,
}

impl Waiting {
    pub(super) fn new(context: &Context) -> Result<Self> {
        let ocirepo = context.ocirepo();
        let app =
            ImageSpec::seeded("app").noise_layer(1, 40_000).noise_layer(2, 160_000).noise_layer(3, 30_000);
        let app = app.noise_layer(4, 50_000).noise_layer(5, 60_000).noise_layer(6, 45_000);
        let (app, held) = (app.build(), ImageSpec::seeded("held").build());
        let kin = ImageSpec::new().noise_layer(3, 30_000).build();
        let source = ocirepo.in_dir(ocirepo.scratch("source"));
        Layout::create(source.dir()).full_image(&app, APP).write_index();
        let mut there = Layout::create(ocirepo.scratch("there"));
        there.full_image(&held, HELD).full_image(&kin, "docker.io/test/kin:1").write_index();
        fs::create_dir(ocirepo.scratch("volumes"))?;
        let bundle = ocirepo.scratch("volumes/b.tar");
        done(&source, &["export", "--type", "oci", "--volume-size", "100kB", "-o", path_text(&bundle)])?;
        let mut volumes: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(ocirepo.scratch("volumes"))? {
            volumes.push(entry?.path());
        }
        volumes.sort();
        done(&ocirepo, &["init"])?;
        done(&ocirepo, &["add", path_text(there.path())])?;
        for volume in &volumes[..volumes.len() - 1] {
            done(&ocirepo, &["add", path_text(volume)])?;
        }
        // Blobs that nothing but the bundle needs.
        done(&ocirepo, &["rm", "docker.io/test/kin:1"])?;
        done(&ocirepo, &["gc"])?;
        let pending = done(&ocirepo, &["ls", "--pending", "--format", "json"])?;
        let id = pending[0]["bundle"].as_str().context("a bundle waits")?.to_owned();
        let mut waiting = Self { ocirepo, volumes, id, files: Vec::new() };
        waiting.find_files()?;
        Ok(waiting)
    }

    fn find_files(&mut self) -> Result<()> {
        let below = format!(".ocirepo/pending/{}", &self.id["sha256:".len()..]);
        let first = |folder: &str| -> Result<String> {
            let folder = format!("{below}/{folder}");
            let entries = fs::read_dir(self.ocirepo.dir().join(&folder)).with_context(|| folder.clone())?;
            let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
            let first = names.collect::<Result<Vec<_>>>()?.into_iter().min().context("something waits")?;
            Ok(format!("{folder}/{first}"))
        };
        self.files = vec![
            ("needs", format!("{below}/needs")),
            ("toc", format!("{below}/toc")),
            ("part", first("parts")?),
            ("blob", first("blobs/sha256")?),
        ];
        Ok(())
    }
}

/// Damages a file and goes on working, then completes the bundle.
pub(super) fn attempt(waiting: &Waiting, kind: &str, file: &str, harm: &Harm) -> Result<()> {
    let trial = Trial::of(&waiting.ocirepo);
    harm.apply(trial.dir(), file)?;
    let before = (trial.tree()?, files(&trial.dir().join(".ocirepo/pending"))?);

    let found = trial.verify(&[0, 4])?;
    let is_broken = found.errors.iter().any(|(kind, ..)| kind == "broken-pending");
    // It may have changed places with another file of the bundle, which is then damaged as well.
    let is_expected = |(found, id, _): &(String, String, _)| {
        found == "damaged" || (found == "broken-pending" && *id == waiting.id)
    };
    if let Some(other) = found.errors.iter().find(|error| !is_expected(error)) {
        bail!("verify finds {other:?}, where the {kind} of a bundle that waits was damaged");
    }
    // A blob that is gone may come yet, and a part alone is nothing that could be proven.
    let may_be_missed = kind == "part" || (kind == "blob" && *harm == Harm::Delete);
    let must_be_broken = kind == "toc" || kind == "needs";
    if (found.errors.is_empty() && !may_be_missed) || (must_be_broken && !is_broken) {
        bail!("verify does not find the damage to the {kind} of a bundle that waits");
    }
    let code = if is_broken { 4 } else { 0 };
    trial.run(&["gc", "--dry-run"], &[code])?;
    trial.run(&["gc"], &[code])?;
    trial.is_untouched(&before.0, "gc").context("while a bundle waits")?;
    if files(&trial.dir().join(".ocirepo/pending"))? != before.1 {
        bail!("gc has changed what waits");
    }
    let output = trial.output("out.tar")?;
    for args in [&["ls"][..], &["ls", "--pending"], &["inspect", HELD], &["export", "-o", &output]] {
        trial.run(args, &[0])?;
    }
    completes(waiting, &trial, is_broken || kind == "toc" || kind == "needs")
}

/// Good volumes, twice if need be; where the record itself is damaged, after the bundle was given up.
fn completes(waiting: &Waiting, trial: &Trial, may_be_given_up: bool) -> Result<()> {
    let is_done = || {
        Ok::<_, anyhow::Error>(trial.json(&["ls", "--pending"], &[0])?.as_array().is_some_and(Vec::is_empty))
    };
    let mut passes = 0;
    while passes == 0 || !is_done()? {
        passes += 1;
        if passes == 3 {
            if !may_be_given_up {
                bail!("every volume was added twice, and still the bundle waits");
            }
            trial.run(&["rm", "--pending", &waiting.id], &[0])?;
        }
        if passes > 4 {
            bail!("the bundle was given up and every volume added, and still it waits");
        }
        for volume in &waiting.volumes {
            trial.run(&["add", path_text(volume)], &[0, 4])?;
        }
    }
    let listed = trial.listed()?;
    for name in [APP, HELD] {
        if !listed.contains(&(name.to_owned(), true)) {
            bail!("the bundle is complete, and {name} is not: {listed:?}");
        }
    }
    trial.run(&["verify"], &[0])?;
    trial.run(&["gc"], &[0])?;
    let report = check(trial.dir());
    if !report.problems.is_empty() || !report.garbage.is_empty() {
        bail!("an independent reader finds {:?} and garbage {:?}", report.problems, report.garbage);
    }
    Ok(())
}

/// Every file below a directory.
fn files(dir: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.clone(), fs::read(path)?);
            }
        }
    }
    Ok(found)
}
