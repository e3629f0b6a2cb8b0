//! What is measured on: made at the first use, in the directory for it, and there for every later run.
//!
//! | what | full size |
//! | --- | --- |
//! | [`Data::big`] | an image of 8 layers, 1,848 MB, as docker archive, OCI archive (gzip), and layouts (gzip, raw) |
//! | [`Data::apps`] | five images on one base, as docker archives and as OCI archives (gzip) |
//! | [`Data::store`] | layouts of 1,000, 10,000 and 50,000 small images, 20 % of the blobs garbage |
//! | [`Data::one_layer`] | a docker archive with one layer of a given size |
//!
//! Whatever is there under its final name is complete: it is made under another and renamed.

mod corpus;
pub(super) mod files;
mod forms;
pub(super) mod images;
mod layer;
pub(super) mod store;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use ocirepo_tests::headers::SizeField;
use ocirepo_tests::large::{Filling, LargeArchive};

use images::Plan;
use store::{Shape, Store};

/// Goes up when other data is made, so that old data is not taken for it.
const EDITION: u32 = 1;

/// The data of one size.
#[derive(Debug)]
pub(super) struct Data {
    root: PathBuf,
    quick: bool,
}

/// One image in every form.
#[derive(Debug)]
pub(super) struct Big {
    /// As `docker save` and skopeo write it, layers uncompressed.
    pub(super) docker: PathBuf,
    /// A tar of `gzip`.
    pub(super) oci: PathBuf,
    /// A layout with gzip layers.
    pub(super) gzip: PathBuf,
    /// A layout with uncompressed layers.
    pub(super) raw: PathBuf,
}

/// Several images that share a base.
#[derive(Debug)]
pub(super) struct Apps {
    pub(super) docker: Vec<PathBuf>,
    pub(super) oci: Vec<PathBuf>,
    /// How many blobs all of them have together; as many for raw layers as for gzip ones.
    pub(super) blobs: usize,
}

impl Data {
    /// Data under `directory`: all of it, or a quarter.
    pub(super) fn new(directory: &Path, quick: bool) -> Result<Self> {
        let root = directory.join(format!("data-{EDITION}"));
        fs::create_dir_all(&root).with_context(|| root.display().to_string())?;
        Ok(Self { root: root.canonicalize()?, quick })
    }

    /// The numbers of images of the stores, ascending.
    pub(super) fn stores(&self) -> &'static [usize] {
        if self.quick { &[1_000, 4_000] } else { &[1_000, 10_000, 50_000] }
    }

    /// Those by which it is told how time grows: adding every image of one takes long.
    pub(super) fn growing_stores(&self) -> &'static [usize] {
        if self.quick { &[500, 2_000] } else { self.stores() }
    }

    /// The image of 8 layers.
    pub(super) fn big(&self) -> Result<Big> {
        let place = self.once(self.sized("big"), |place| images::big(&Plan::big(self.quick), place))?;
        Ok(Big {
            docker: place.join("docker.tar"),
            oci: place.join("oci-gzip.tar"),
            gzip: place.join("layout-gzip"),
            raw: place.join("layout-raw"),
        })
    }

    /// The five images.
    pub(super) fn apps(&self) -> Result<Apps> {
        let plans = Plan::apps(self.quick);
        let place = self.once(self.sized("apps"), |place| images::apps(&plans, place))?;
        let files = |kind: &str| (1..=plans.len()).map(|n| place.join(format!("{kind}-{n}.tar"))).collect();
        Ok(Apps { docker: files("docker"), oci: files("oci"), blobs: images::blobs_of_apps(&plans) })
    }

    /// The layout of that many images.
    pub(super) fn store(&self, images: usize) -> Result<Store> {
        let shape = Shape { images, garbage_percent: 20 };
        let place = self.once(format!("store-{images}"), |place| store::keep(&shape, place))?;
        Store::open(&place)
    }

    /// A docker archive with one layer of so many MiB that do not compress.
    pub(super) fn one_layer(&self, mib: u64) -> Result<PathBuf> {
        let place = self.once(format!("layer-{mib}"), |place| {
            let mut file = File::create(place.join("docker.tar"))?;
            LargeArchive::new(mib << 20, Filling::Noise, SizeField::Octal).write_to(&mut file)?;
            Ok(())
        })?;
        Ok(place.join("docker.tar"))
    }

    /// The sizes of layers that memory is measured with, in MiB.
    pub(super) fn layer_sizes(&self) -> [u64; 3] {
        if self.quick { [4, 32, 256] } else { [16, 128, 1024] }
    }

    /// What is there, in a sentence each.
    pub(super) fn facts(&self) -> Result<Vec<String>> {
        let mut facts = Vec::new();
        let big = self.root.join(self.sized("big"));
        if big.exists() {
            let raw = files::size(&big.join("docker.tar"))? as f64 / 1e6;
            let gzip = files::size(&big.join("oci-gzip.tar"))? as f64 / 1e6;
            facts.push(format!("the image of 8 layers: {raw:.0} MB, with gzip layers {gzip:.0} MB"));
        }
        if self.root.join(self.sized("apps")).exists() {
            let apps = self.apps()?;
            let total = |files: &[PathBuf]| files.iter().map(|file| files::size(file)).sum::<Result<u64>>();
            let (docker, oci) = (total(&apps.docker)? as f64 / 1e6, total(&apps.oci)? as f64 / 1e6);
            facts
                .push(format!("five images: docker archives of {docker:.0} MB, OCI archives of {oci:.0} MB"));
        }
        Ok(facts)
    }

    fn sized(&self, name: &str) -> String {
        format!("{name}-{}", if self.quick { "quick" } else { "full" })
    }

    /// Makes the directory, unless it is there.
    fn once(&self, name: String, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let place = self.root.join(&name);
        if place.exists() {
            return Ok(place);
        }
        let part = self.root.join(format!("{name}.part"));
        files::remove(&part)?;
        fs::create_dir(&part)?;
        let start = Instant::now();
        eprint!("making {} … ", place.display());
        make(&part).with_context(|| format!("cannot make {}", place.display()))?;
        rustix::fs::syncfs(File::open(&part)?)?;
        fs::rename(&part, &place)?;
        eprintln!("{:.1} s", start.elapsed().as_secs_f64());
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_finished_is_made_anew_and_what_was_is_kept() {
        let scratch = tempfile::tempdir().unwrap();
        let data = Data::new(scratch.path(), true).unwrap();
        let fail = data.once("a".into(), |place| {
            fs::write(place.join("half"), "")?;
            anyhow::bail!("interrupted")
        });
        assert!(fail.is_err());
        let place = data.once("a".into(), |place| Ok(fs::write(place.join("whole"), "")?)).unwrap();
        assert!(place.join("whole").exists() && !place.join("half").exists());
        data.once("a".into(), |_| panic!("it is there")).unwrap();
    }
}
