//! Scenarios over images of one repository: add, name, remove, sweep, convert, begin.

use std::fs;
use std::path::Path;

use ocirepo_tests::artifact::{artifact, index_of};
use ocirepo_tests::descriptor::full_named;
use ocirepo_tests::image::{Image, ImageSpec};
use ocirepo_tests::layout::Layout;

use super::stage::{Stage, image};
use super::{Maker, Scenario};
use crate::context::Context;
use crate::outcome::Outcome;

const APP: &str = "docker.io/test/app:1";
const TOOL: &str = "docker.io/test/tool:1";

/// So many names does a repository have whose names are converted.
const NAMES: usize = 100;

pub(super) const MAKERS: [Maker; 19] = [
    first_add,
    moving_add,
    sharing_add,
    healing_add,
    foreign_add,
    add_of_two,
    add_of_a_layout,
    add_of_a_platform,
    joining_add,
    packing_add,
    gc,
    pruning_gc,
    rm,
    tag,
    to_tags,
    to_full_names,
    after_a_killed_conversion,
    init,
    adopt,
];

fn first_add(context: &Context) -> Outcome<Scenario> {
    let stage = Stage::new(context)?;
    let archive = stage.archive(&[(&image(1), &[APP])])?;
    stage.scenario("the first add", &["add", &archive])
}

fn moving_add(context: &Context) -> Outcome<Scenario> {
    let stage = Stage::new(context)?;
    stage.layout().full_image(&image(1), APP).write_index();
    let archive = stage.archive(&[(&image(2), &[APP])])?;
    stage.scenario("an add that moves a name", &["add", &archive])
}

/// Two of its layers are in use, one lies around.
fn sharing_add(context: &Context) -> Outcome<Scenario> {
    let stage = Stage::new(context)?;
    let (old, new) = (image(1), ImageSpec::of(&image(1)).noise_layer(77, 1000));
    let new = new.noise_layer(78, 1000).build();
    stage.layout().full_image(&old, APP).write_index();
    stage.layout().blob(&new.layers[new.layers.len() - 1].bytes);
    let archive = stage.archive(&[(&new, &[TOOL])])?;
    stage.scenario("an add of blobs that are partly there", &["add", &archive])
}

fn healing_add(context: &Context) -> Outcome<Scenario> {
    let stage = Stage::new(context)?;
    let old = image(1);
    let new = ImageSpec::of(&old).noise_layer(77, 1000).build();
    stage.layout().full_image(&old, APP).write_index();
    stage.layout().truncate(&old.layers[1].digest, 100);
    let archive = stage.archive(&[(&new, &[TOOL])])?;
    stage.scenario("an add that heals a truncated blob", &["add", &archive])
}

/// Into a repository that another tool has made, which has no `.ocirepo` yet.
fn foreign_add(context: &Context) -> Outcome<Scenario> {
    let stage = Stage::bare(context)?;
    Layout::create(stage.repo()).image(&image(1), "1").write_index();
    let archive = stage.archive(&[(&image(2), &["docker.io/test/app:2"])])?;
    stage.scenario("the first add of ours to a repository of another tool", &["add", &archive])
}

fn add_of_two(context: &Context) -> Outcome<Scenario> {
    let stage = Stage::new(context)?;
    stage.layout().full_image(&image(3), TOOL).write_index();
    let archive = stage.archive(&[(&image(1), &[APP]), (&image(2), &[TOOL])])?;
    stage.scenario("an add of two images", &["add", &archive])
}

/// From a directory, with a signature that is listed and another that is not.
fn add_of_a_layout(context: &Context) -> Outcome<Scenario> {
    let stage = Stage::new(context)?;
    let (from, app) = (stage.input("from"), image(1));
    let signature = artifact("application/vnd.test.signature", b"signed", Some(&app.manifest));
    let unlisted = artifact("application/vnd.test.sbom", b"listed nowhere", Some(&app.manifest));
    let mut layout = Layout::create(&from);
    layout.full_image(&app, APP).artifact(&signature).blobs_of(unlisted.blobs()).write_index();
    stage.scenario("an add from a layout directory", &["add", &text(&from)])
}

fn add_of_a_platform(context: &Context) -> Outcome<Scenario> {
    let stage = Stage::new(context)?;
    let (from, images) = (stage.input("from"), [image(1), image(2)]);
    let index = index_of(&[(&images[0], "linux/amd64"), (&images[1], "linux/arm64")]);
    let mut layout = Layout::create(&from);
    layout.blobs_of(images.iter().flat_map(Image::blobs)).blobs_of([&index]);
    layout.entry(full_named(index.descriptor(), APP)).write_index();
    stage.scenario("an add of one platform", &["add", "--platform", "linux/arm64", &text(&from)])
}

/// A second platform under a name that is taken.
fn joining_add(context: &Context) -> Outcome<Scenario> {
    let stage = Stage::new(context)?;
    stage.layout().full_image(&image(1), APP).write_index();
    let other = ImageSpec::seeded("arm").platform("linux/arm64").noise_layer(5, 1000).build();
    let archive = stage.archive(&[(&other, &[APP])])?;
    stage.scenario("an add of another platform", &["add", "--merge-platforms", &archive])
}

fn packing_add(context: &Context) -> Outcome<Scenario> {
    let stage = Stage::new(context)?;
    let archive = stage.archive(&[(&image(1), &[APP])])?;
    stage.scenario("an add that compresses", &["add", "--layers", "gzip", &archive])
}

/// What killed sessions leave is there as well.
fn gc(context: &Context) -> Outcome<Scenario> {
    let stage = grown(context, 5)?;
    for number in 0..8 {
        stage.layout().blob(format!("garbage {number}").as_bytes());
    }
    // Nothing but its subject keeps this one.
    let signature = artifact("application/vnd.test.signature", b"signed", Some(&image(1).manifest));
    stage.layout().blobs_of(signature.blobs());
    let own = stage.repo().join(".ocirepo");
    fs::create_dir_all(own.join("tmp/session-dead"))?;
    for name in ["tmp/session-dead/owner", "tmp/session-dead/000000", "tmp/owner.new", "config.json.new"] {
        fs::write(own.join(name), "left behind")?;
    }
    fs::copy(stage.repo().join("index.json"), own.join("index.next"))?;
    stage.scenario("gc", &["gc"])
}

fn pruning_gc(context: &Context) -> Outcome<Scenario> {
    let stage = grown(context, 2)?;
    let (gone, kept) = (image(9), image(8));
    let index = index_of(&[(&kept, "linux/amd64")]);
    let mut layout = stage.layout();
    layout.blobs_of(kept.blobs()).blobs_of([&index]);
    for (image, content) in [(&gone, "of what is gone"), (&kept, "of what an index keeps")] {
        let signature = artifact("application/vnd.test.signature", content.as_bytes(), Some(&image.manifest));
        layout.artifact(&signature);
    }
    layout.entry(full_named(index.descriptor(), TOOL)).write_index();
    Ok(stage.scenario("gc that drops referrers", &["gc", "--prune-referrers"])?.may_keep_more())
}

fn rm(context: &Context) -> Outcome<Scenario> {
    let stage = Stage::new(context)?;
    let app = image(1);
    let signature = artifact("application/vnd.test.signature", b"signed", Some(&app.manifest));
    stage.layout().full_image(&app, APP).full_image(&image(2), TOOL).artifact(&signature).write_index();
    Ok(stage.scenario("rm of an image with a signature", &["rm", APP])?.may_keep_more())
}

fn tag(context: &Context) -> Outcome<Scenario> {
    grown(context, 5)?.scenario("tag", &["tag", APP, "test/more:3"])
}

fn to_tags(context: &Context) -> Outcome<Scenario> {
    grown(context, NAMES)?.scenario("a conversion to tags", &["config", "ref-policy", "tag"])
}

fn to_full_names(context: &Context) -> Outcome<Scenario> {
    let stage = grown(context, NAMES)?;
    stage.run(&["config", "ref-policy", "tag"])?;
    stage.scenario("a conversion to full names", &["config", "ref-policy", "full"])
}

/// Whoever comes next finishes what was begun; it can be killed as well.
fn after_a_killed_conversion(context: &Context) -> Outcome<Scenario> {
    let stage = grown(context, NAMES)?;
    let config = r#"{"formatVersion":1,"refPolicy":"full","convertingTo":"tag"}"#;
    fs::write(stage.repo().join(".ocirepo/config.json"), config)?;
    stage.scenario("a tag after a conversion that was killed", &["tag", APP, "test/more:new"])
}

fn init(context: &Context) -> Outcome<Scenario> {
    Stage::bare(context)?.scenario("init", &["init"])
}

/// Of what a killed copy leaves: blobs.
fn adopt(context: &Context) -> Outcome<Scenario> {
    let stage = Stage::bare(context)?;
    Layout::create(stage.repo()).full_image(&image(1), APP).full_image(&image(2), TOOL);
    for name in ["index.json", "oci-layout"] {
        fs::remove_file(stage.repo().join(name))?;
    }
    stage.scenario("init that adopts blobs", &["init", "--adopt"])
}

/// A repository that ocirepo knows, of one image under many names.
fn grown(context: &Context, names: usize) -> Outcome<Stage> {
    let stage = Stage::new(context)?;
    let app = image(1);
    let mut layout = stage.layout();
    layout.full_image(&app, APP);
    for number in 0..names {
        layout.entry(full_named(app.descriptor(), &format!("docker.io/test/name{number}:tag{number}")));
    }
    layout.write_index();
    stage.run(&["tag", APP, "test/other:2"])?;
    Ok(stage)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
