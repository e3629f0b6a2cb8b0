//! Names among as many others as there are in the largest store.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use ocirepo_tests::archive::{self, oci_archive};
use ocirepo_tests::descriptor;
use ocirepo_tests::image::ImageSpec;

use super::super::bar::Bar;
use super::super::context::Context;
use super::super::data::store::reference;
use super::super::job::{Contender, Job, Manner, Place};
use super::commands::Commands;
use crate::shell;

const MEMORY: Bar = Bar::Memory { mib: 70.0 };
/// The bar of everything but the full list.
const SECONDS: Bar = Bar::Seconds(0.12);
/// The same on a machine on which umoci does not take 0.22 s to list, and 0.31 s to change an index.
const LISTS_FASTER: Bar = Bar::Faster { than: "umoci", times: 1.8 };
const CHANGES_FASTER: Bar = Bar::Faster { than: "umoci", times: 2.6 };
/// These jobs take a moment each: more rounds for the same time.
const ROUNDS: usize = 2;

pub(super) fn jobs(context: &Context) -> Result<Vec<Job>> {
    let entries = *context.data.stores().last().expect("there is a store");
    let store = context.data.store(entries)?;
    let ours = context.store_for("ocirepo", &store)?;
    let umoci =
        if context.commands.peers.has("umoci") { Some(context.store_for("umoci", &store)?) } else { None };
    let skopeo =
        if context.commands.peers.has("skopeo") { Some(context.store_for("skopeo", &store)?) } else { None };
    let stores =
        Stores { entries, ours, umoci: umoci.unwrap_or_default(), skopeo: skopeo.unwrap_or_default() };
    let commands = &context.commands;
    Ok(vec![
        names(commands, &stores),
        list(commands, &stores),
        tag(commands, &stores),
        rm(commands, &stores),
        add(commands, &stores),
    ])
}

/// A copy of the store for each tool that writes to it.
struct Stores {
    entries: usize,
    ours: PathBuf,
    umoci: PathBuf,
    skopeo: PathBuf,
}

impl Stores {
    fn job(&self, what: &str, manner: Manner) -> Job {
        let job = Job::new(format!("{what}, {} entries", self.entries), manner).rounds(ROUNDS);
        job.reads(self.ours.join("index.json"))
    }
}

fn names(commands: &Commands, stores: &Stores) -> Job {
    stores
        .job("List the names", Manner::Reads)
        .with(ours(commands, &stores.ours, "ocirepo ls --names", |_| words(&["ls", "--names"])))
        .with(umoci(commands, &stores.umoci, "umoci ls", |layout, _| words(&["ls", "--layout", layout])))
        .bar(SECONDS)
        .bar(LISTS_FASTER)
        .bar(MEMORY)
}

fn list(commands: &Commands, stores: &Stores) -> Job {
    stores
        .job("List images with platforms and sizes", Manner::Reads)
        .with(ours(commands, &stores.ours, "ocirepo ls", |_| words(&["ls"])))
        .bar(Bar::Seconds(1.0))
}

fn tag(commands: &Commands, stores: &Stores) -> Job {
    stores
        .job("Tag an image", Manner::Writes)
        .with(ours(commands, &stores.ours, "ocirepo tag", tag_of_ours))
        .with(umoci(commands, &stores.umoci, "umoci tag", tag_of_umoci))
        .bar(SECONDS)
        .bar(CHANGES_FASTER)
        .bar(MEMORY)
}

fn rm(commands: &Commands, stores: &Stores) -> Job {
    let ours_before = (commands.clone(), stores.ours.clone());
    let umoci_before = (commands.clone(), stores.umoci.clone());
    let ours = ours(commands, &stores.ours, "ocirepo rm", |place| words(&["rm", &new_name(place)]));
    let umoci = umoci(commands, &stores.umoci, "umoci rm", |layout, place| {
        words(&["rm", "--image", &format!("{layout}:{}", new_name(place))])
    });
    stores
        .job("Remove a name", Manner::Writes)
        .with(ours.prepared(move |place| {
            let (commands, repository) = &ours_before;
            shell::quiet(&mut commands.ocirepo(repository, tag_of_ours(place)))
        }))
        .with(umoci.map(|umoci| {
            umoci.prepared(move |place| {
                let (commands, layout) = &umoci_before;
                let mut command = commands.peers.command("umoci")?;
                shell::quiet(command.args(tag_of_umoci(&layout.to_string_lossy(), place)))
            })
        }))
        .bar(SECONDS)
        .bar(CHANGES_FASTER)
        .bar(MEMORY)
}

fn add(commands: &Commands, stores: &Stores) -> Job {
    let ours =
        ours(commands, &stores.ours, "ocirepo add", |place| words(&["add", &small(place).to_string_lossy()]));
    let layout = stores.skopeo.clone();
    let skopeo = commands.peer("skopeo", "skopeo copy", move |commands, place| {
        let (from, to) = (small(place), format!("oci:{}:{}", layout.display(), new_name(place)));
        commands.skopeo(place, &[], &format!("oci-archive:{}", from.display()), &to)
    });
    stores
        .job("Add one small image", Manner::Writes)
        .with(ours.prepared(make_small))
        .with(skopeo.map(|skopeo| skopeo.prepared(make_small)))
        .bar(SECONDS)
        .bar(MEMORY)
}

fn ours(
    commands: &Commands,
    repository: &Path,
    label: &str,
    words: impl Fn(&Place) -> Vec<String> + 'static,
) -> Contender {
    let repository = repository.to_owned();
    commands.ours(label, move |commands, place| commands.ocirepo(&repository, words(place)))
}

fn umoci(
    commands: &Commands,
    layout: &Path,
    label: &str,
    words: impl Fn(&str, &Place) -> Vec<String> + 'static,
) -> Option<Contender> {
    let layout = layout.to_string_lossy().into_owned();
    commands.peer("umoci", label, move |commands, place| {
        let mut command = commands.peers.command("umoci")?;
        command.args(words(&layout, place));
        Ok(command)
    })
}

fn tag_of_ours(place: &Place) -> Vec<String> {
    words(&["tag", &reference(0), &new_name(place)])
}

fn tag_of_umoci(layout: &str, place: &Place) -> Vec<String> {
    words(&["tag", "--image", &format!("{layout}:{}", reference(0)), &new_name(place)])
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// A name that no other run makes.
fn new_name(place: &Place) -> String {
    let run = place.dir.file_name().unwrap_or_default().to_string_lossy();
    format!("registry.example/bench/{}:{run}", run.replace('-', "/"))
}

fn small(place: &Place) -> PathBuf {
    place.dir.join("small.tar")
}

/// An image that nobody has.
fn make_small(place: &Place) -> Result<()> {
    let name = new_name(place);
    let image = ImageSpec::seeded(&name).build();
    let items: &[archive::Item<'_>] = &[(&image, &[name.as_str()])];
    Ok(fs::write(small(place), oci_archive(items, descriptor::full_named).to_bytes())?)
}
