//! How time grows with the number of images, and memory with the size of layers.

use anyhow::Result;

use super::super::bar::Bar;
use super::super::context::Context;
use super::super::job::{Contender, Job, Manner};
use super::gc;

/// Noise of measuring, and what caches lose when there is more than fits.
const LINEAR: Bar = Bar::Linear { times: 1.3 };

pub(super) fn jobs(context: &Context) -> Result<Vec<Job>> {
    Ok(vec![add(context)?, collect(context)?, list(context)?, verify(context)?, layers(context)?])
}

fn add(context: &Context) -> Result<Job> {
    let mut job = Job::new("Add every image of a layout, one command", Manner::Writes).bar(LINEAR);
    for &images in context.data.growing_stores() {
        let store = context.data.store(images)?;
        let layout = store.layout.clone();
        let ours = context.commands.ours_into_new(format!("{images} images"), move |commands, place| {
            commands.add(&place.out(), &layout, &[])
        });
        job = job.reads(&store.layout).with(ours.gives_blobs(store.live).units(images));
    }
    Ok(job)
}

fn collect(context: &Context) -> Result<Job> {
    let mut job = Job::new("Collect garbage, 20 % of the blobs", Manner::WritesAhead).bar(LINEAR);
    for &images in context.data.growing_stores() {
        let store = context.data.store(images)?;
        let contender = Contender { label: format!("{images} images"), ..gc::ours(context) };
        job = job.with(gc::on_copies(contender, &store).units(images));
    }
    Ok(job)
}

fn list(context: &Context) -> Result<Job> {
    reads(context, "List images with platforms and sizes", "ls")
}

fn verify(context: &Context) -> Result<Job> {
    reads(context, "Verify every blob", "verify")
}

fn reads(context: &Context, title: &str, verb: &'static str) -> Result<Job> {
    let mut job = Job::new(title, Manner::Reads).bar(LINEAR);
    for &images in context.data.growing_stores() {
        let repository = context.store_for("ocirepo", &context.data.store(images)?)?;
        let blobs = repository.join("blobs");
        let ours = context
            .commands
            .ours(format!("{images} images"), move |commands, _| commands.ocirepo(&repository, [verb]));
        job = job.reads(blobs).with(ours.units(images));
    }
    Ok(job)
}

fn layers(context: &Context) -> Result<Job> {
    let mut job = Job::new("Memory of an add by the size of the layer", Manner::Writes);
    for mib in context.data.layer_sizes() {
        let archive = context.data.one_layer(mib)?;
        let ours = context.commands.ours_into_new(format!("a layer of {mib} MiB"), {
            let archive = archive.clone();
            move |commands, place| commands.add(&place.out(), &archive, &[])
        });
        job = job.reads(archive).with(ours.gives_blobs(3));
    }
    Ok(job.bar(Bar::Memory { mib: 40.0 }))
}
