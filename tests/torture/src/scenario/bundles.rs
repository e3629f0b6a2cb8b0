//! Scenarios over what leaves a repository, and over bundles that come in volumes.

use std::fs;

use anyhow::ensure;
use ocirepo_tests::artifact::artifact;
use ocirepo_tests::image::ImageSpec;
use ocirepo_tests::layout::Layout;

use super::stage::{Stage, image};
use super::{Maker, OUT, Scenario};
use crate::context::Context;
use crate::outcome::Outcome;

const APP: &str = "docker.io/test/app:1";
const TOOL: &str = "docker.io/test/tool:1";

/// Of the volumes of a bundle that is split in three.
const VOLUME_SIZE: &str = "60kB";

pub(super) const MAKERS: [Maker; 9] = [
    first_volume,
    last_volume,
    giving_up,
    export,
    export_again,
    export_of_a_signed_image,
    export_of_volumes,
    export_to_a_repository,
    export_to_a_new_repository,
];

/// A new repository, and a bundle in three volumes beside it; one of its layers is cut.
fn with_volumes(context: &Context) -> Outcome<(Stage, Vec<String>)> {
    let stage = Stage::new(context)?;
    let from = stage.input("from");
    let large = ImageSpec::seeded("large").noise_layer(1, 70_000).noise_layer(2, 30_000).build();
    Layout::create(&from).full_image(&large, APP).full_image(&image(2), TOOL).write_index();
    let volume = stage.input("b.tar").to_string_lossy().into_owned();
    let from = from.to_string_lossy().into_owned();
    stage.run(&["-C", &from, "export", "--type", "oci", "--volume-size", VOLUME_SIZE, "-o", &volume])?;
    let volumes = [1, 2, 3].map(|number| volume.replace(".tar", &format!(".{number:03}.tar")));
    ensure!(
        volumes.iter().all(|volume| fs::exists(volume).unwrap_or(false)),
        "not three volumes: {volumes:?}"
    );
    Ok((stage, volumes.to_vec()))
}

fn first_volume(context: &Context) -> Outcome<Scenario> {
    let (stage, volumes) = with_volumes(context)?;
    stage.scenario("the first volume of a bundle", &["add", &volumes[1]])
}

fn last_volume(context: &Context) -> Outcome<Scenario> {
    let (stage, volumes) = with_volumes(context)?;
    stage.layout().full_image(&image(3), TOOL).write_index();
    stage.run(&["add", &volumes[0], &volumes[2]])?;
    stage.scenario("the last volume of a bundle", &["add", &volumes[1]])
}

fn giving_up(context: &Context) -> Outcome<Scenario> {
    let (stage, volumes) = with_volumes(context)?;
    stage.run(&["add", &volumes[0], &volumes[1]])?;
    let pending = stage.repo().join(".ocirepo/pending");
    let bundle = fs::read_dir(pending)?.next().transpose()?.map(|entry| entry.file_name());
    let bundle = format!("sha256:{}", bundle.unwrap_or_default().to_string_lossy());
    stage.scenario("rm of a bundle that waits", &["rm", "--pending", &bundle])
}

fn with_two(context: &Context) -> Outcome<Stage> {
    let stage = Stage::new(context)?;
    stage.layout().full_image(&image(1), APP).full_image(&image(2), TOOL).write_index();
    Ok(stage)
}

fn export(context: &Context) -> Outcome<Scenario> {
    let output = format!("../{OUT}/b.tar");
    with_two(context)?.scenario("export", &["export", "-o", &output])
}

/// Over a file that is there.
fn export_again(context: &Context) -> Outcome<Scenario> {
    let stage = with_two(context)?;
    let output = format!("../{OUT}/b.tar");
    stage.run(&["export", APP, "-o", &output])?;
    stage.scenario("export over an older file", &["export", "-o", &output])
}

/// One of two images, with what is about it.
fn export_of_a_signed_image(context: &Context) -> Outcome<Scenario> {
    let stage = Stage::new(context)?;
    let app = image(1);
    let listed = artifact("application/vnd.test.signature", b"signed", Some(&app.manifest));
    let unlisted = artifact("application/vnd.test.sbom", b"listed nowhere", Some(&app.manifest));
    let mut layout = stage.layout();
    layout.full_image(&app, APP).full_image(&image(2), TOOL).artifact(&listed);
    layout.blobs_of(unlisted.blobs()).write_index();
    let output = format!("../{OUT}/b.tar");
    stage.scenario("export of an image with a signature", &["export", APP, "-o", &output])
}

fn export_of_volumes(context: &Context) -> Outcome<Scenario> {
    let stage = Stage::new(context)?;
    let large = ImageSpec::seeded("large").noise_layer(1, 70_000).noise_layer(2, 30_000).build();
    stage.layout().full_image(&large, APP).write_index();
    let output = format!("../{OUT}/b.tar");
    let args = ["export", "--type", "oci", "--volume-size", VOLUME_SIZE, "--sums", "-o", &output];
    stage.scenario("export in volumes", &args)
}

fn export_to_a_repository(context: &Context) -> Outcome<Scenario> {
    let stage = with_two(context)?;
    Layout::create(stage.other()).full_image(&image(3), TOOL).write_index();
    stage.scenario("export into a repository", &["export", "--type", "dir", "-o", "../other"])
}

fn export_to_a_new_repository(context: &Context) -> Outcome<Scenario> {
    let stage = with_two(context)?;
    stage.scenario("export into a new repository", &["export", "--type", "dir", "-o", "../other"])
}
