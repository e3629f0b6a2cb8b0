//! Setting the stage for a scenario.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use ocirepo_tests::archive;
use ocirepo_tests::cli::Ocirepo;
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::layout::Layout;

use super::{OTHER, OUT, REPO, Scenario, State, remove};
use crate::context::Context;
use crate::outcome::Outcome;

/// What a scenario begins with, while it is made.
pub(super) struct Stage {
    ocirepo: Ocirepo,
    template: PathBuf,
}

impl Stage {
    /// An empty directory for the repository.
    pub(super) fn bare(context: &Context) -> Outcome<Self> {
        let ocirepo = context.ocirepo();
        let template = ocirepo.scratch("template");
        for name in [REPO, OUT] {
            fs::create_dir_all(template.join(name))?;
        }
        Ok(Self { ocirepo: ocirepo.in_dir(template.join(REPO)), template })
    }

    /// A new repository.
    pub(super) fn new(context: &Context) -> Outcome<Self> {
        let stage = Self::bare(context)?;
        stage.run(&["init"])?;
        Ok(stage)
    }

    /// The repository as a layout, for more to be put in by hand.
    pub(super) fn layout(&self) -> Layout {
        Layout::open(self.repo())
    }

    pub(super) fn repo(&self) -> PathBuf {
        self.template.join(REPO)
    }

    pub(super) fn other(&self) -> PathBuf {
        self.template.join(OTHER)
    }

    /// A path for what the command reads.
    pub(super) fn input(&self, name: &str) -> PathBuf {
        self.ocirepo.scratch(name)
    }

    /// A command in the repository, which must succeed.
    pub(super) fn run(&self, args: &[&str]) -> Outcome<()> {
        let output = self.ocirepo.run(args);
        ensure!(output.status.success(), "preparing, `ocirepo {}`: {}", args.join(" "), output.stderr);
        Ok(())
    }

    /// An archive of these images, as podman writes it; its path.
    pub(super) fn archive(&self, items: &[archive::Item<'_>]) -> Outcome<String> {
        let path = self.input("images.tar");
        fs::write(&path, archive::podman_save(items).to_bytes())?;
        path.into_os_string().into_string().ok().context("a path that is not UTF-8")
    }

    /// What comes of the command on a copy that nobody disturbs, and of the same once more.
    pub(super) fn scenario(self, name: &'static str, args: &[&str]) -> Outcome<Scenario> {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let Self { ocirepo, template } = self;
        let (old, new) = Default::default();
        let mut scenario =
            Scenario { name, ocirepo, template, args, old, new, again: 0, may_keep_more: false };
        let copy = scenario.copy("undisturbed");
        scenario.old = State::look(&scenario, &copy)?;
        let ocirepo = scenario.ocirepo_in(&copy, REPO);
        let output = ocirepo.run(&scenario.args);
        ensure!(output.status.success(), "{name}: `{}`: {}", scenario.line(), output.stderr);
        scenario.new = State::look(&scenario, &copy)?;
        scenario.again = ocirepo.run(&scenario.args).status.code().context("killed by nobody")?;
        ensure!(
            State::look(&scenario, &copy)? == scenario.new,
            "{name}: `{}` twice is not as once",
            scenario.line()
        );
        remove(&copy)?;
        Ok(scenario)
    }
}

/// An image of four layers, small, so that its calls are few.
pub(super) fn image(seed: u64) -> Image {
    let spec = ImageSpec::seeded(&format!("crash {seed}"));
    (0..3).fold(spec, |spec, layer| spec.noise_layer(seed * 10 + layer, 1000)).build()
}
