//! Two images that share a layer, as registries hold them, and what is about them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ocirepo_tests::artifact::artifact;
use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::descriptor::{full_named, ref_named};
use ocirepo_tests::image::{Flavor, Image, ImageSpec};
use ocirepo_tests::layout::Layout;
use ocirepo_tests::tarball::Tarball;

pub(crate) const ALPINE: &str = "docker.io/library/alpine:3.11";
pub(crate) const APP: &str = "registry.corp:5000/team/app:1.2";

/// An image as registries hold it: docker's types or OCI's, gzip layers.
pub(crate) fn image(seed: &str, platform: &str, flavor: Flavor) -> Image {
    let base = Tarball::new().dir("etc/").file("etc/os-release", "ID=testkit\n");
    let spec = ImageSpec::new().platform(platform).flavor(flavor).gzip_layer(base);
    spec.gzip_layer(Tarball::new().file("seed", seed)).build()
}

/// A repository of two images that share a layer.
pub(crate) struct Two {
    pub(crate) ocirepo: Ocirepo,
    layout: Layout,
    pub(crate) alpine: Image,
    pub(crate) app: Image,
}

pub(crate) fn two_images(flavor: Flavor) -> Two {
    let ocirepo = Ocirepo::new();
    let (alpine, app) = (image("alpine", "linux/amd64", flavor), image("app", "linux/amd64", flavor));
    let mut layout = Layout::create(ocirepo.dir());
    layout.full_image(&alpine, ALPINE).full_image(&app, APP).write_index();
    Two { ocirepo, layout, alpine, app }
}

impl Two {
    pub(crate) fn export(&self, args: &[&str]) -> PathBuf {
        export(&self.ocirepo, args)
    }

    /// The names with what `of` says of each image.
    pub(crate) fn names<'i>(&'i self, of: impl Fn(&'i Image) -> &'i str) -> BTreeMap<String, String> {
        [(ALPINE, &self.alpine), (APP, &self.app)]
            .map(|(name, it)| (name.to_owned(), of(it).to_owned()))
            .into()
    }

    /// The same names as docker shows them.
    pub(crate) fn familiar(&self) -> BTreeMap<String, String> {
        let names = self.names(config).into_iter();
        names.map(|(name, id)| (name.trim_start_matches("docker.io/library/").to_owned(), id)).collect()
    }

    /// Both images with something about them: a signature by its tag, an attachment by its subject, and a chart.
    pub(crate) fn with_artifacts(mut self) -> Self {
        let chart = artifact("application/vnd.cncf.helm.chart.content.v1.tar+gzip", b"a chart", None);
        let sbom =
            artifact("application/spdx+json", b"{\"spdxVersion\":\"SPDX-2.3\"}", Some(&self.app.manifest));
        let signature = artifact("application/vnd.dev.cosign.simplesigning.v1+json", b"signed", None);
        let tag = format!("{}.sig", self.app.digest().replace(':', "-"));
        for artifact in [&chart, &signature] {
            self.layout.blobs_of(artifact.blobs());
        }
        self.layout.artifact(&sbom);
        self.layout.entry(full_named(chart.manifest.descriptor(), "registry.corp:5000/charts/web:7"));
        self.layout.entry(ref_named(signature.manifest.descriptor(), &tag));
        self.layout.write_index();
        self
    }
}

pub(crate) fn config(image: &Image) -> &str {
    &image.config.digest
}

/// Exports everything to a new file in the scratch directory.
pub(crate) fn export(ocirepo: &Ocirepo, args: &[&str]) -> PathBuf {
    let path = ocirepo.scratch("exported.tar");
    ocirepo.run(&[&["export", "--output", text(&path)], args].concat()).ok();
    path
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}
